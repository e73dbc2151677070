//! Notifications pulled from SQS, with the whole program: a put to a bucket of another store becomes a
//! message, an event and an outcome. The store, the queues, topics and rules are moto's.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::clients::{daybook, finished, installed};
use crate::support::seeds::{Random, number, seed_of_now};
use crate::support::store::Store;
use crate::support::{ACCESS_KEY, Ledger, OPERATOR, SECRET_KEY, Server, UPPERCASE, eventually};

/// The bucket at the store that is watched.
const RAW: &str = "company-raw";

/// Runs `moto_queues.py` against the store.
async fn moto(store: &Store, arguments: &[&str]) -> String {
    let mut command = tokio::process::Command::new(installed("DAYBOOK_TEST_PYTHON"));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/moto_queues.py");
    command.arg(script).arg(&store.endpoint).args(arguments);
    finished(command).await.ok()
}

/// A queue that the bucket's notifications reach.
async fn queue(store: &Store, arguments: &[&str]) -> Value {
    let made = moto(store, &[&["make", RAW], arguments].concat()).await;
    serde_json::from_str(&made).unwrap()
}

/// How many messages are in a queue, hidden ones too.
async fn in_queue(store: &Store, url: &Value) -> u64 {
    let looked = moto(store, &["look", url.as_str().unwrap()]).await;
    looked.trim().parse().unwrap()
}

/// [`UPPERCASE`] with its `inbox` at the store, and this queue to pull from.
fn pulling(store: &Store, url: &Value, more: &str) -> Ledger {
    let (endpoint, url) = (&store.endpoint, url.as_str().unwrap());
    let at_store = format!(
        "upstream = {{ bucket = \"{RAW}\", endpoint = \"{endpoint}\", access_key = \"{ACCESS_KEY}\", \
         secret_key = {{ file = \"store-secret\" }} }}"
    );
    let config = UPPERCASE.replace("path = \"inbox\"", &at_store);
    let ledger = Ledger::new(&format!(
        "{config}{OPERATOR}\n[intake.queues.arrivals]\nurl = \"{url}\"\n\
         access_key = \"{ACCESS_KEY}\"\nsecret_key = {{ file = \"store-secret\" }}\n{more}\n"
    ));
    ledger.write("store-secret", SECRET_KEY);
    ledger
}

async fn status_of_queue(server: &Server) -> Value {
    let (status, text) = server.get("/v1/queues").await;
    assert_eq!(status, 200);
    let answer: Value = serde_json::from_str(&text).unwrap();
    answer["queues"][0].clone()
}

async fn notifications(server: &Server, key: &str) -> Vec<Value> {
    let query = "query ($key: String!) { object(bucket: \"inbox\", key: $key) {
        notifications(first: 10) { nodes {
            verdict reason why source channel eventName eventTime sequencer repeats position
            recordedAt etag size
        } }
    } }";
    let answer = server.query(query, json!({ "key": key })).await;
    let nodes = &answer["object"]["notifications"]["nodes"];
    nodes.as_array().expect("it is an object").clone()
}

#[tokio::test]
async fn a_put_to_the_store_becomes_an_outcome() {
    let store = Store::start(&[RAW]).await;
    let made = queue(&store, &["sqs"]).await;
    let ledger = pulling(&store, &made["url"], "");
    let server = ledger.start().await;
    moto(&store, &["put", RAW, "a b+ü.txt", "grüße"]).await;
    let object = eventually("the object is known", || async {
        let object = server.settled("inbox", "a b+ü.txt").await;
        object["status"].is_string().then_some(object)
    })
    .await;
    assert_eq!(object["status"], "SUCCEEDED", "{object:#}");
    let result = server.client().get("results", "a b+ü.txt").await.unwrap();
    assert_eq!(result, "GRÜSSE");
    eventually("the queue is empty", || async {
        (in_queue(&store, &made["url"]).await == 0).then_some(())
    })
    .await;

    let told = notifications(&server, "a b+ü.txt").await;
    let [told] = &told[..] else {
        panic!("one notification: {told:#?}");
    };
    assert_eq!(told["verdict"], "ACCEPTED");
    assert_eq!(told["source"], "aws:s3");
    assert_eq!(told["eventName"], "ObjectCreated:Put");
    assert_eq!((&told["size"], &told["repeats"]), (&json!(7), &json!(0)));
    assert!(
        told["eventTime"].is_string() && told["position"].is_number(),
        "{told}"
    );
    let told = daybook(&server, &["show", "s3://inbox/a b+ü.txt"])
        .await
        .ok();
    assert!(
        told.contains("arrived    ObjectCreated:Put by notification:aws:s3 (at 20"),
        "{told}"
    );
    let status = status_of_queue(&server).await;
    assert_eq!(status["problem"], json!(null), "{status}");
    // The test event that S3 sends first is a message too.
    assert_eq!(
        (&status["received"], &status["deleted"]),
        (&json!(2), &json!(2))
    );
    let status = daybook(&server, &["status"]).await.ok();
    assert!(
        status.contains("queues\n") && status.contains("arrivals"),
        "{status}"
    );
    let (_, figures) = server.get("/metrics").await;
    assert!(
        figures.contains("daybook_sqs_deleted_total{queue=\"arrivals\"} 2"),
        "{figures}"
    );
    let statistics = "{ statistics(window: ALL) { notifications { source verdict count } } }";
    let statistics = server.query(statistics, json!({})).await;
    assert_eq!(
        statistics["statistics"]["notifications"],
        json!([{ "source": "aws:s3", "verdict": "ACCEPTED", "count": 1 }])
    );
}

#[tokio::test]
async fn what_comes_by_way_of_a_topic_or_a_bus_is_the_same() {
    for (route, event_name) in [
        ("sns", "ObjectCreated:Put"),
        ("eventbridge", "Object Created"),
    ] {
        let store = Store::start(&[RAW]).await;
        let made = queue(&store, &[route]).await;
        let source = match made["topic"].as_str() {
            // Only that topic is listened to.
            Some(topic) => {
                format!("source = \"stores\"\n[intake.sources.stores]\ntopics = [\"{topic}\"]")
            }
            None => String::new(),
        };
        let ledger = pulling(&store, &made["url"], &source);
        let server = ledger.start().await;
        moto(&store, &["put", RAW, "k.txt", "text"]).await;
        let object = eventually("the object is known", || async {
            let object = server.settled("inbox", "k.txt").await;
            object["status"].is_string().then_some(object)
        })
        .await;
        assert_eq!(object["status"], "SUCCEEDED", "{route}: {object:#}");
        let mut told = notifications(&server, "k.txt").await;
        // Through EventBridge the store also tells that there are no tags.
        told.retain(|it| it["verdict"] != "IGNORED");
        assert_eq!(told.len(), 1, "{route}: {told:#?}");
        assert_eq!(told[0]["verdict"], "ACCEPTED");
        assert_eq!(told[0]["eventName"], event_name, "{route}");
        eventually("the queue is empty", || async {
            (in_queue(&store, &made["url"]).await == 0).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_poison_message_ends_in_the_dead_letter_queue_and_holds_nobody_up() {
    let store = Store::start(&[RAW]).await;
    let made = queue(&store, &["sqs", "2"]).await;
    let url = made["url"].as_str().unwrap();
    moto(&store, &["put", RAW, "a.txt", "a", "b.txt", "b"]).await;
    moto(&store, &["send", url, "{ no JSON", "<xml/>"]).await;
    moto(&store, &["put", RAW, "c.txt", "c"]).await;
    let ledger = pulling(&store, &made["url"], "");
    let server = ledger.start().await;
    for key in ["a.txt", "b.txt", "c.txt"] {
        eventually(format!("{key} is run"), || async {
            let object = server.settled("inbox", key).await;
            (object["status"] == "SUCCEEDED").then_some(())
        })
        .await;
    }
    eventually("the poison is in the dead-letter queue", || async {
        (in_queue(&store, &made["dead"]).await == 2).then_some(())
    })
    .await;
    let mut dead: Vec<String> =
        serde_json::from_str(&moto(&store, &["drain", made["dead"].as_str().unwrap()]).await)
            .unwrap();
    dead.sort();
    assert_eq!(dead, ["<xml/>", "{ no JSON"]);
    assert_eq!(in_queue(&store, &made["url"]).await, 0);
    let status = status_of_queue(&server).await;
    assert_eq!(status["redrive"], true);
    assert_eq!(status["unreadable"], 4, "each came twice");
    let kept = daybook(&server, &["intake", "rejected", "--output", "json"]).await;
    let kept = kept.json();
    assert_eq!(
        kept.as_array().unwrap().len(),
        2,
        "each is kept once: {kept:#}"
    );
}

#[tokio::test]
async fn a_message_that_comes_again_is_a_duplicate() {
    let store = Store::start(&[RAW]).await;
    let made = queue(&store, &["sqs"]).await;
    let url = made["url"].as_str().unwrap();
    moto(&store, &["put", RAW, "k.txt", "text"]).await;
    // The test event and the object.
    let bodies = moto(&store, &["drain", url]).await;
    let bodies: Vec<String> = serde_json::from_str(&bodies).unwrap();
    let body = bodies.iter().find(|it| it.contains("k.txt")).unwrap();
    let ledger = pulling(&store, &made["url"], "");
    let server = ledger.start().await;
    moto(&store, &["send", url, body, body, body]).await;
    let told = eventually("the repetition has its verdict", || async {
        server.settled("inbox", "k.txt").await["status"].as_str()?;
        let told = notifications(&server, "k.txt").await;
        (told.len() >= 2).then_some(told)
    })
    .await;
    assert_eq!(
        told[0]["verdict"], "DUPLICATE",
        "the newest first: {told:#?}"
    );
    assert_eq!(told[1]["verdict"], "ACCEPTED");
    eventually("the queue is empty", || async {
        (in_queue(&store, &made["url"]).await == 0).then_some(())
    })
    .await;
    assert_eq!(
        server.events(&["ObjectCreated"]).await.len(),
        2,
        "it and its result"
    );
    assert_eq!(server.events(&["ExecutionStarted"]).await.len(), 1);
    let told = daybook(&server, &["show", "s3://inbox/k.txt"]).await.ok();
    assert!(
        told.contains("\u{20}duplicate  ObjectCreated:Put by aws:s3"),
        "{told}"
    );
}

/// A longer run: `DAYBOOK_TEST_QUEUE_ROUNDS=30`. Each run prints its seed; `DAYBOOK_TEST_SEED` sets it.
#[tokio::test]
async fn killing_it_in_the_middle_loses_nothing_and_doubles_nothing() {
    let rounds = number("DAYBOOK_TEST_QUEUE_ROUNDS", 4);
    let seed = number("DAYBOOK_TEST_SEED", seed_of_now());
    println!("DAYBOOK_TEST_SEED={seed} ({rounds} rounds)");
    let mut random = Random(seed);
    let store = Store::start(&[RAW]).await;
    let made = queue(&store, &["sqs"]).await;
    // What a killed process had received shows itself soon.
    let ledger = pulling(&store, &made["url"], "visibility = \"2s\"\nwait = \"1s\"");
    let mut keys = Vec::new();
    for round in 0..rounds {
        let of_round: Vec<String> = (0..25).map(|n| format!("r{round}/{n}.txt")).collect();
        let mut put = vec!["put", RAW];
        put.extend(of_round.iter().flat_map(|key| [key.as_str(), "text"]));
        moto(&store, &put).await;
        keys.extend(of_round);
        let pause = Duration::from_millis(400 + random.below(900));
        ledger.start_and_kill_after(pause).await;
    }
    let server = ledger.start().await;
    for key in &keys {
        eventually(format!("{key} is run"), || async {
            let object = server.settled("inbox", key).await;
            (object["status"] == "SUCCEEDED").then_some(())
        })
        .await;
    }
    eventually("the queue is empty", || async {
        (in_queue(&store, &made["url"]).await == 0).then_some(())
    })
    .await;
    let created = server.events(&["ObjectCreated"]).await;
    for key in &keys {
        let arrived = created.iter().filter(|event| {
            (&event["data"]["bucket"], &event["data"]["key"]) == (&json!("inbox"), &json!(key))
        });
        assert_eq!(arrived.count(), 1, "{key}");
    }
    assert_eq!(server.events(&["ExecutionStarted"]).await.len(), keys.len());
    assert_eq!(
        server.events(&["ExecutionSucceeded"]).await.len(),
        keys.len()
    );
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_told_and_found_when_it_is() {
    let store = Store::start(&[RAW]).await;
    let url = json!(format!("{}/123456789012/{RAW}-arrivals", store.endpoint));
    let ledger = pulling(&store, &url, "");
    let server = ledger.start().await;
    eventually("it is said what is wrong", || async {
        let problem = status_of_queue(&server).await["problem"].clone();
        problem
            .as_str()?
            .contains("make it, or correct its url")
            .then_some(())
    })
    .await;
    let (ready, _) = server.get("/livez").await;
    assert_eq!(ready, 200);
    let made = queue(&store, &["sqs"]).await;
    assert_eq!(made["url"], url);
    moto(&store, &["put", RAW, "k.txt", "text"]).await;
    eventually("the object is run", || async {
        let object = server.settled("inbox", "k.txt").await;
        (object["status"] == "SUCCEEDED").then_some(())
    })
    .await;
    assert_eq!(status_of_queue(&server).await["problem"], json!(null));
    let (status, said) = server.stop().await;
    assert!(status.success(), "{said}");
}
