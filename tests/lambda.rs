//! The intake as an AWS Lambda function: the program that is deployed to AWS, run by Daybook's own
//! function host with events as AWS sends them, against a PostgreSQL log that is shared.
//!
//! The events are those of the corpus of notifications, `DAYBOOK_NOTIFICATION_CORPUS`
//! (default `../shared/corpus/notifications`).

use std::collections::BTreeSet;
use std::path::PathBuf;

use daybook_event_store::testing::postgres::TestDatabase;
use serde_json::{Value, json};

use crate::support::clients::{Ran, finished};
use crate::support::{Ledger, OPERATOR, eventually, program};

/// What invokes a function: S3 itself, a queue, a topic, a bus.
const INVOKERS: [&str; 4] = ["s3", "sqs", "sns", "eventbridge"];

/// Who invokes with an event, if it is one of [`INVOKERS`].
fn invoker(event: &Value) -> Option<&'static str> {
    let record = &event["Records"][0];
    let source = record["eventSource"].as_str();
    match source.or(record["EventSource"].as_str()) {
        Some("aws:s3") => Some("s3"),
        Some("aws:sqs") => Some("sqs"),
        Some("aws:sns") => Some("sns"),
        Some(_) => None,
        None => event["detail-type"].is_string().then_some("eventbridge"),
    }
}

/// Of the corpus, the first case of each invoker that tells of new objects, and what it tells: from
/// an empty ledger and with nothing else.
fn cases() -> Vec<(&'static str, Value)> {
    let folder = std::env::var_os("DAYBOOK_NOTIFICATION_CORPUS").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| {
        PathBuf::from(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../shared/corpus/notifications"
        ))
    });
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; name the corpus in DAYBOOK_NOTIFICATION_CORPUS",
            folder.display()
        )
    });
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut found: Vec<(&'static str, Value)> = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let case: Value = serde_json::from_str(&text).unwrap_or_default();
        let event = case["body"].as_str().unwrap_or_default();
        let event: Value = serde_json::from_str(event).unwrap_or_default();
        let accepted = case["verdicts"].as_array().is_some_and(|verdicts| {
            !verdicts.is_empty() && verdicts.iter().all(|verdict| verdict == "accepted")
        });
        let Some(invoker) = invoker(&event) else {
            continue;
        };
        let known = found.iter().any(|(known, _)| *known == invoker);
        if accepted && case["prior"].is_null() && !known {
            found.push((invoker, case));
        }
    }
    let missing = INVOKERS
        .iter()
        .filter(|name| !found.iter().any(|(known, _)| known == *name));
    let missing: Vec<_> = missing.collect();
    assert!(
        missing.is_empty(),
        "{} has no case of {missing:?}",
        folder.display()
    );
    found
}

/// The case of an invoker.
fn case_of(invoker: &str) -> Value {
    let mut cases = cases().into_iter();
    cases.find(|(name, _)| *name == invoker).unwrap().1
}

/// The program, built beside the one under test.
fn lambda() -> PathBuf {
    let built = program().with_file_name("daybook-lambda");
    assert!(
        built.is_file(),
        "{} is not there; run cargo build -p daybook-lambda",
        built.display()
    );
    built
}

/// A function host with the intake as a function, which appends to the log at this URL.
struct Deployed(Ledger);

impl Deployed {
    fn new(store: &str, port: &str, file: Option<&str>) -> Self {
        let ledger = Ledger::new(&format!(
            "{OPERATOR}\n[functions.intake]\nruntime = \"provided\"\ncode = \"function\"\n\
             connect = [{port}]\nsecrets = {{ DAYBOOK_STORE_URL = {{ file = \"store-url\" }} }}\n"
        ));
        ledger.write("store-url", store);
        let bootstrap = ledger.path("function/bootstrap");
        std::fs::create_dir_all(bootstrap.parent().unwrap()).unwrap();
        std::fs::copy(lambda(), bootstrap).unwrap();
        if let Some(file) = file {
            ledger.write("function/daybook-lambda.toml", file);
        }
        Self(ledger)
    }

    /// Invokes it with an event.
    async fn invoke(&self, event: &str) -> Ran {
        self.0.write("event.json", event);
        let mut command = tokio::process::Command::new(program());
        command.args(["invoke", "intake", "--output", "json", "--config"]);
        command.arg(self.0.config()).arg("--event");
        command.arg(self.0.path("event.json"));
        finished(command).await
    }
}

/// The port in a URL of a test's database.
fn port(url: &str) -> String {
    let authority = url.split("://").nth(1).unwrap().split('/').next().unwrap();
    authority.rsplit_once(':').unwrap().1.to_owned()
}

/// The URL of a role that may do what `deploy/README.md` says that the function needs.
async fn limited(database: &TestDatabase) -> String {
    let url = database.url();
    let (scheme, rest) = url.split_once("://").unwrap();
    let (place, _) = rest.split_once('?').unwrap_or((rest, ""));
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    let name = place.rsplit_once('/').unwrap().1;
    let role = format!("intake_{name}");
    for sql in [
        &format!("CREATE ROLE {role} LOGIN PASSWORD 'p'") as &str,
        &format!("GRANT USAGE, CREATE ON SCHEMA daybook TO {role}"),
        &format!("GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA daybook TO {role}"),
        &format!("GRANT UPDATE ON daybook.head, daybook.blobs TO {role}"),
    ] {
        database.execute(sql).await;
    }
    format!("{scheme}://{role}:p@{place}")
}

#[tokio::test]
async fn what_it_is_invoked_with_is_on_record_once() {
    let database = TestDatabase::create().await;
    let ledger = Ledger::new(&format!(
        "{OPERATOR}\n[store]\nurl = \"{}\"\n",
        database.url()
    ));
    // It makes the tables, and answers what is in them.
    let query = ledger.start_as("query", "query").await;
    let deployed = Deployed::new(&limited(&database).await, &port(&database.url()), None);
    let mut expected = BTreeSet::new();
    let mut alone = Vec::new();
    for (name, case) in cases() {
        let event = case["body"].as_str().unwrap();
        let mut verdicts = Vec::new();
        for round in 0..2 {
            let answer = deployed.invoke(event).await.json();
            match answer["batchItemFailures"].as_array() {
                Some(failures) => assert!(failures.is_empty(), "{name}: {answer}"),
                None => verdicts.push((round, answer["records"][0]["verdict"].clone())),
            }
        }
        if let [(0, first), (1, second)] = &verdicts[..] {
            assert!(
                first == "accepted" || first == "duplicate",
                "{name}: {first}"
            );
            assert_eq!(*second, "duplicate", "{name}");
        }
        for command in case["expect"].as_array().unwrap() {
            let text = |field: &str| command[field].as_str().map(str::to_owned);
            expected.insert((text("bucket"), text("key"), text("version_id")));
            let object = json!({ "bucket": command["bucket"], "key": command["key"] });
            alone.push((name, object));
        }
    }
    let recorded = eventually("all are in the read model", || async {
        let created = query.events(&["ObjectCreated"]).await;
        (created.len() >= expected.len()).then_some(created)
    })
    .await;
    assert_eq!(recorded.len(), expected.len(), "each is on record once");
    let recorded: BTreeSet<_> = recorded
        .iter()
        .map(|event| {
            let data = &event["data"];
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let version = text(&data["version"]["version_id"]);
            (text(&data["bucket"]), text(&data["key"]), version)
        })
        .collect();
    assert_eq!(recorded, expected);
    let query_notifications = "query ($bucket: String!, $key: String!) {
        object(bucket: $bucket, key: $key) { notifications(first: 5) { nodes { verdict } } }
    }";
    // Two invokers may tell of one object, but each object was told of twice at least.
    for (name, object) in alone {
        let told = query.query(query_notifications, object).await;
        let told = told["object"]["notifications"]["nodes"].as_array().unwrap();
        assert_eq!(told.last().unwrap()["verdict"], "ACCEPTED", "{name}");
        let again = told[..told.len() - 1].iter();
        assert!(told.len() > 1, "{name}: {told:?}");
        for notification in again {
            assert_eq!(notification["verdict"], "DUPLICATE", "{name}: {told:?}");
        }
    }
}

#[tokio::test]
async fn poison_comes_again_in_a_queue_and_fails_nothing_else() {
    let database = TestDatabase::create().await;
    let good = case_of("s3");
    let told = &good["expect"][0];
    let file = format!(
        "unknown_buckets = \"ignore\"\n[buckets.inbox]\nat_store = {}\n",
        told["bucket"]
    );
    let deployed = Deployed::new(&database.url(), &port(&database.url()), Some(&file));
    let message = |id: &str, body: &str| {
        json!({
            "messageId": id, "receiptHandle": "r", "body": body, "attributes": {},
            "messageAttributes": {}, "md5OfBody": "0", "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-west-1:111122223333:q", "awsRegion": "eu-west-1",
        })
    };
    let event = json!({ "Records": [
        message("bad", "{ no JSON"), message("good", good["body"].as_str().unwrap()),
    ] });
    let ran = deployed.invoke(&event.to_string()).await;
    assert!(
        ran.err.contains("json-syntax"),
        "its log says why: {}",
        ran.err
    );
    let answer = ran.json();
    assert_eq!(
        answer,
        json!({ "batchItemFailures": [{ "itemIdentifier": "bad" }] })
    );
    let answer = deployed.invoke("{\"rubbish\": true}").await.json();
    assert_eq!(answer["records"][0]["verdict"], "error");
    // The file is heeded.
    let other = case_of("eventbridge");
    let answer = deployed
        .invoke(other["body"].as_str().unwrap())
        .await
        .json();
    assert_eq!(answer["records"][0]["verdict"], "ignored");
    assert_eq!(answer["records"][0]["reason"], "unknown-bucket");
    let session = database.session().await;
    let rows = session
        .query("SELECT stream FROM daybook.events WHERE version = 0", &[])
        .await;
    let names: Vec<String> = rows.unwrap().iter().map(|row| row.get(0)).collect();
    let key = told["key"].as_str().unwrap();
    assert_eq!(names, [format!("object-inbox/{key}")]);
}

#[tokio::test]
async fn a_log_that_is_away_fails_the_invocation() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    drop(listener);
    let store = format!("postgres://nobody:planted-secret@127.0.0.1:{port}/nowhere");
    let deployed = Deployed::new(&store, &port, None);
    let ran = deployed
        .invoke(case_of("s3")["body"].as_str().unwrap())
        .await;
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(answer["errorType"], "Daybook.Unavailable");
    assert!(!format!("{}{}", ran.out, ran.err).contains("planted-secret"));
}
