//! Notifications of other stores, through the outer interfaces: what is answered, what is in the log,
//! and what those can do who mean harm.

mod bounds;
mod kills;
mod model;

use daybook_s3_gateway::client::S3Client;
use serde_json::{Value, json};

use crate::support::clients::daybook;
use crate::support::{Ledger, OPERATOR, UPPERCASE, eventually};

/// One record of S3's.
pub(crate) fn record(name: &str, bucket: &str, key: &str, sequencer: &str, etag: &str) -> Value {
    json!({
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-west-1",
        "eventTime": "2026-03-04T10:11:12.345Z", "eventName": name,
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": { "name": bucket, "arn": format!("arn:aws:s3:::{bucket}") },
            "object": { "key": key, "size": 3, "eTag": etag, "sequencer": sequencer },
        },
    })
}

/// A message of S3's about arrivals, each `(key, sequencer, etag)`.
fn arrivals(bucket: &str, records: &[(&str, &str, &str)]) -> Value {
    let records = records.iter();
    let records = records
        .map(|(key, sequencer, etag)| record("ObjectCreated:Put", bucket, key, sequencer, etag));
    json!({ "Records": records.collect::<Vec<_>>() })
}

fn verdicts(answer: &Value) -> Vec<&str> {
    let records = answer["records"].as_array().into_iter().flatten();
    records
        .map(|record| record["verdict"].as_str().unwrap_or("-"))
        .collect()
}

/// A pipeline on a bucket that only notifications tell of. Its function needs nothing of the bucket.
const NOTIFIED: &str = r#"
[buckets.landing]
notified = true

[buckets.results]
path = "results"

[pipelines.arrived]
on = [{ bucket = "landing", prefix = "in/" }]
run = "arrived"

[functions.arrived]
runtime = "provided"
code = "arrived"
"#;

#[tokio::test]
async fn each_verdict_is_answered_and_recorded() {
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    let first = arrivals(
        "ord",
        &[
            ("a", "02", "x"),
            ("a", "01", "w"),
            ("a", "02", "x"),
            ("b", "01", "x"),
        ],
    );
    let (status, answer) = server.post("/v1/notifications", first).await;
    assert_eq!(status, 200, "{answer:#}");
    assert_eq!(
        verdicts(&answer),
        ["accepted", "stale", "duplicate", "accepted"]
    );
    let accepted = &answer["records"][0];
    assert_eq!(accepted["bucket"], "ord");
    assert_eq!(accepted["eventName"], "ObjectCreated:Put");
    assert!(accepted["position"].is_u64());
    let removal = json!({ "Records": [record("ObjectRemoved:Delete", "ord", "b", "02", "x")] });
    let (_, answer) = server.post("/v1/notifications", removal).await;
    assert_eq!(verdicts(&answer), ["ignored"]);
    assert_eq!(answer["records"][0]["reason"], "not-a-create");
    // A bad record among good ones stands alone.
    let mut mixed = arrivals("ord", &[("c", "01", "x"), ("d", "01", "x")]);
    mixed["Records"][0]["s3"]["object"]["key"] = "%FF".into();
    let (status, answer) = server.post("/v1/notifications", mixed).await;
    assert_eq!(
        (status, verdicts(&answer)),
        (200, vec!["error", "accepted"])
    );

    let events = server.events(&["ObjectCreated", "ObjectRemoved"]).await;
    let mut told: Vec<_> = events
        .iter()
        .map(|event| {
            format!(
                "{} {}",
                event["type"].as_str().unwrap(),
                event["stream"].as_str().unwrap()
            )
        })
        .collect();
    // Keys of one delivery are written at once.
    told[..2].sort();
    assert_eq!(
        told,
        [
            "ObjectCreated object-ord/a",
            "ObjectCreated object-ord/b",
            "ObjectRemoved object-ord/b",
            "ObjectCreated object-ord/d",
        ]
    );
    assert_eq!(events[0]["actor"], "notification:aws:s3");
    let object = server.settled("ord", "a").await;
    assert_eq!(
        (&object["status"], &object["present"]),
        (&"UNMATCHED".into(), &true.into())
    );
    let gone = server.settled("ord", "b").await;
    assert_eq!(gone["present"], false);
    // What was told of a key that never became an object is there as well.
    let tagged = json!({ "Records": [record("ObjectTagging:Put", "ord", "never", "01", "x")] });
    let (_, answer) = server.post("/v1/notifications", tagged).await;
    assert_eq!(verdicts(&answer), ["ignored"]);
    server.caught_up().await;
    let told = "{ object(bucket: \"ord\", key: \"never\") { key }
        notifications(bucket: \"ord\", key: \"never\", first: 5) { nodes { verdict reason eventName } } }";
    let told = server.query(told, json!({})).await;
    assert_eq!(told["object"], Value::Null);
    let ignored =
        json!({ "verdict": "IGNORED", "reason": "not-a-create", "eventName": "ObjectTagging:Put" });
    assert_eq!(told["notifications"]["nodes"], json!([ignored]));
}

#[tokio::test]
async fn a_delivery_that_is_nothing_gets_its_status_and_is_kept() {
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    for (body, status, reason) in [
        ("{", 400, "json-syntax"),
        ("[]x", 400, "json-syntax"),
        ("7", 400, "unrecognised-shape"),
    ] {
        let response = reqwest::Client::new()
            .post(format!("{}/v1/notifications?token=hunter2", server.api))
            .header("authorization", "Bearer hunter2")
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status().as_u16(), status, "{body}");
        let answer: Value = response.json().await.unwrap();
        assert_eq!(answer["records"][0]["reason"], reason);
    }
    let listed = daybook(&server, &["intake", "rejected", "--output", "json"]).await;
    let listed: Value = serde_json::from_str(&listed.out).unwrap();
    let newest = &listed[0];
    assert_eq!(listed.as_array().unwrap().len(), 3);
    assert_eq!(newest["reason"], "unrecognised-shape");
    let shown = daybook(
        &server,
        &["intake", "rejected", newest["id"].as_str().unwrap()],
    )
    .await;
    assert!(shown.out.contains("authorization: "), "{}", shown.out);
    assert!(!shown.out.contains("hunter2"), "{}", shown.out);
    let (_, metrics) = server.get("/metrics").await;
    let counted = r#"daybook_intake_rejected_total{source="-",reason="json-syntax"} 2"#;
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn a_source_has_to_show_what_the_config_asks_for() {
    let config = format!(
        r#"{UPPERCASE}{OPERATOR}
[intake.sources.minio]
authentication = {{ bearer = "minio-token" }}
stores = ["minio:s3", "aws:s3"]
buckets = {{ "ord" = "inbox" }}

[intake.sources.pulled]
stores = ["aws:s3"]

[intake.queues.arrivals]
url = "http://127.0.0.1:9/123456789012/arrivals"
access_key = "AK"
secret_key = "S"
source = "pulled"

[intake.sources.hook]
authentication = {{ query = "token", value = "hook-token" }}
allowed_origins = ["eventgrid.azure.net"]
"#
    );
    let ledger = Ledger::new(&config);
    let server = ledger.start().await;
    let http = reqwest::Client::new();
    let send = |path: &str, token: Option<&str>| {
        let mut request = http.post(format!("{}{path}", server.api));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let body = arrivals("ord", &[("new.txt", "01", "x")]);
        async move {
            let response = request.json(&body).send().await.unwrap();
            let status = response.status().as_u16();
            (status, response.json::<Value>().await.unwrap_or_default())
        }
    };
    assert_eq!(send("/v1/notifications/minio", None).await.0, 401);
    assert_eq!(send("/v1/notifications/minio", Some("other")).await.0, 401);
    assert_eq!(
        send("/v1/notifications/nobody", Some("minio-token"))
            .await
            .0,
        404
    );
    // It is for its queue alone, and asks nobody for a token: so it has no path.
    assert_eq!(send("/v1/notifications/pulled", None).await.0, 404);
    assert_eq!(send("/v1/notifications/hook?token=nope", None).await.0, 401);
    let (status, answer) = send("/v1/notifications/minio", Some("minio-token")).await;
    assert_eq!((status, verdicts(&answer)), (200, vec!["accepted"]));
    // Its store's name for a bucket of the ledger.
    let events = server.events(&["ObjectCreated"]).await;
    assert_eq!(events[0]["stream"], "object-inbox/new.txt");
    assert_eq!(events[0]["actor"], "notification:minio");
    assert_eq!(
        send("/v1/notifications/hook?token=hook-token", None)
            .await
            .0,
        200
    );
    // The handshake of CloudEvents web hooks.
    let options = |origin: &str| {
        let url = format!("{}/v1/notifications/hook?token=hook-token", server.api);
        let request = http.request(reqwest::Method::OPTIONS, url);
        request.header("webhook-request-origin", origin).send()
    };
    let allowed = options("eventgrid.azure.net").await.unwrap();
    assert_eq!(allowed.status(), 200);
    assert_eq!(
        allowed.headers()["webhook-allowed-origin"],
        "eventgrid.azure.net"
    );
    assert_eq!(options("evil.example").await.unwrap().status(), 403);
    options("eventgrid.azure.net").await.unwrap();
    let shaken = server.events(&["HandshakeAnswered"]).await;
    assert_eq!(shaken.len(), 1, "it is recorded once");
    assert_eq!(shaken[0]["stream"], "intake-hook");
}

/// The entity tag of the body `abc`.
const MD5_OF_ABC: &str = "900150983cd24fb0d6963f7d28e17f72";

#[tokio::test]
async fn a_write_through_the_gateway_that_a_store_tells_of_is_one_version() {
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    let client: S3Client = server.client();
    client.put("inbox", "a.txt", "abc".into()).await.unwrap();
    let told = arrivals("inbox", &[("a.txt", "01", MD5_OF_ABC)]);
    for verdict in ["duplicate", "duplicate"] {
        let (_, answer) = server.post("/v1/notifications", told.clone()).await;
        assert_eq!(verdicts(&answer), [verdict], "{answer:#}");
    }
    // Another content was written around the gateway.
    let around = arrivals("inbox", &[("a.txt", "02", "other")]);
    let (_, answer) = server.post("/v1/notifications", around).await;
    assert_eq!(verdicts(&answer), ["accepted"]);
    let created = server.events(&["ObjectCreated"]).await;
    let of_key = created
        .iter()
        .filter(|event| event["stream"] == "object-inbox/a.txt");
    assert_eq!(of_key.count(), 2);
}

#[tokio::test]
async fn a_pipeline_runs_for_what_only_notifications_tell() {
    let ledger = Ledger::new(&format!("{NOTIFIED}{OPERATOR}"));
    ledger.write("arrived/bootstrap", ECHO);
    let program = ledger.path("arrived/bootstrap");
    std::fs::set_permissions(program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let server = ledger.start().await;
    // While it is paused, what arrives stays pending.
    let paused = daybook(&server, &["pipeline", "pause", "arrived"]).await;
    assert!(paused.out.contains("is paused"), "{}", paused.out);
    let told = arrivals(
        "landing",
        &[("in/a+b.csv", "01", "x"), ("out/c.csv", "01", "x")],
    );
    let (_, answer) = server.post("/v1/notifications", told.clone()).await;
    assert_eq!(verdicts(&answer), ["accepted", "accepted"]);
    let unmatched = server.settled("landing", "out/c.csv").await;
    assert_eq!(unmatched["status"], "UNMATCHED");
    let status = |key: &'static str| {
        let server = &server;
        async move {
            let query = "query($k: String!) { object(bucket: \"landing\", key: $k) { status } }";
            let answer = server.query(query, json!({ "k": key })).await;
            answer["object"]["status"]
                .as_str()
                .unwrap_or("-")
                .to_owned()
        }
    };
    eventually("it is known", || async {
        (status("in/a b.csv").await != "-").then_some(())
    })
    .await;
    assert_eq!(status("in/a b.csv").await, "PENDING");
    assert!(server.events(&["ExecutionStarted"]).await.is_empty());
    daybook(&server, &["pipeline", "resume", "arrived"]).await;
    let object = server.settled("landing", "in/a b.csv").await;
    assert_eq!(object["status"], "SUCCEEDED", "{object:#}");
    // Told again, it does not run again.
    let (_, answer) = server.post("/v1/notifications", told).await;
    assert_eq!(verdicts(&answer), ["duplicate", "duplicate"]);
    assert_eq!(server.events(&["ExecutionStarted"]).await.len(), 1);
    let pauses = server.events(&["PipelinePaused", "PipelineResumed"]).await;
    assert!(pauses.iter().all(|event| {
        event["actor"]
            .as_str()
            .is_some_and(|it| it.starts_with("cli:"))
    }));
}

/// A Lambda function that answers each event with itself.
const ECHO: &str = r#"#!/usr/bin/python3
import http.client, os
runtime = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    runtime.request("GET", "/2018-06-01/runtime/invocation/next")
    event = runtime.getresponse()
    body = event.read()
    request = event.headers["Lambda-Runtime-Aws-Request-Id"]
    runtime.request("POST", f"/2018-06-01/runtime/invocation/{request}/response", body)
    runtime.getresponse().read()
"#;
