//! What one does with functions at the command line: try one alone, and follow what one writes.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::alone;
use crate::support::clients::daybook;
use crate::support::{Ledger, OPERATOR, eventually, program};

/// A handler without any client library: answers with its event, unless that says to fail; says
/// so before and after, and waits in between for a file where it is told one.
const ECHO: &str = r#"#!/usr/bin/env python3
import http.client, json, os, time
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])

def call(method, path, body=None):
    api.request(method, "/2018-06-01/runtime/invocation/" + path, body)
    answer = api.getresponse()
    return json.loads(answer.read()), answer.headers["Lambda-Runtime-Aws-Request-Id"]

while True:
    event, request = call("GET", "next")
    print("begins", flush=True)
    while "WAIT" in os.environ and not os.path.exists(os.environ["WAIT"]):
        time.sleep(0.02)
    print("ends", flush=True)
    if event.get("fail"):
        error = {"errorType": "Told", "errorMessage": "as it was told"}
        call("POST", request + "/error", json.dumps(error))
    else:
        call("POST", request + "/response", json.dumps(event))
"#;

fn ledger(more: &str) -> Ledger {
    let ledger = Ledger::new(&format!(
        r#"
[buckets.inbox]
path = "inbox"
[pipelines.echo]
on = [{{ bucket = "inbox" }}]
run = "echo"
[functions.echo]
runtime = "provided"
code = "echo"
{more}
{OPERATOR}"#
    ));
    ledger.write("echo/bootstrap", ECHO);
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(ledger.path("echo/bootstrap"), executable).unwrap();
    ledger
}

#[tokio::test]
async fn a_function_is_tried_alone() {
    let ledger = ledger("");
    let config = ledger.config().display().to_string();
    ledger.write("event.json", json!({ "n": 1 }).to_string());
    ledger.write("fail.json", json!({ "fail": true }).to_string());
    ledger.write("none.json", "{");
    let invoke = async |more: &[&str]| {
        let mut arguments = vec!["invoke", "--config", &config, "--output", "json"];
        arguments.extend(more);
        alone(&arguments).await
    };
    let event = ledger.path("event.json").display().to_string();
    let ran = invoke(&["echo", "--event", &event]).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    for line in [
        "START RequestId: ",
        "begins\nends\n",
        "END RequestId: ",
        "Billed Duration: ",
    ] {
        assert!(ran.err.contains(line), "{line}: {}", ran.err);
    }
    assert_eq!(ran.json(), json!({ "n": 1 }));

    let failing = ledger.path("fail.json").display().to_string();
    let ran = invoke(&["echo", "--event", &failing]).await;
    assert_eq!(ran.code, 1);
    let error: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(error["errorType"], "Told", "{}", ran.out);

    let of_object = invoke(&["echo", "--s3-object", "s3://inbox/a b.txt"]).await;
    let key = &of_object.json()["Records"][0]["s3"]["object"]["key"];
    assert_eq!(key, "a+b.txt");

    let none = ledger.path("none.json").display().to_string();
    let refused = invoke(&["echo", "--event", &none]).await.failed(1);
    assert!(refused.contains("none.json is not JSON"), "{refused}");
    let refused = invoke(&["nobody", "--event", &event]).await.failed(1);
    assert!(refused.contains("there are: echo"), "{refused}");
    assert!(!ledger.data_dir().exists(), "it leaves nothing");
}

#[tokio::test]
async fn logs_are_followed_to_the_end() {
    let ledger = ledger("");
    std::fs::create_dir(ledger.path("told")).unwrap();
    let wait = ledger.path("told/go");
    let config = std::fs::read_to_string(ledger.config()).unwrap();
    let more =
        format!("code = \"echo\"\nreadable = [\"told\"]\nenvironment = {{ WAIT = {wait:?} }}");
    ledger.write("daybook.toml", config.replace("code = \"echo\"", &more));
    let server = ledger.start().await;
    server.client().put("inbox", "a", "x".into()).await.unwrap();
    let execution = eventually("it runs", async || {
        let query = "{ executions(first: 1) { nodes { id } } }";
        let found = server.query(query, json!({})).await;
        let id = found["executions"]["nodes"][0]["id"].as_str();
        id.map(str::to_owned)
    })
    .await;

    let mut following = tokio::process::Command::new(program());
    following
        .args(["--server", &server.api, "logs", &execution, "--follow"])
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let mut following = following.spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let mut next = async || {
        let line = tokio::time::timeout(crate::support::PATIENCE, lines.next_line());
        line.await.expect("a line in time").unwrap()
    };
    assert!(next().await.unwrap().starts_with("START RequestId: "));
    assert_eq!(next().await.unwrap(), "begins");
    // It is still at it, and what it wrote is there to be read.
    std::fs::write(&wait, "").unwrap();
    assert_eq!(next().await.unwrap(), "ends");
    assert!(next().await.unwrap().starts_with("END RequestId: "));
    assert!(next().await.unwrap().starts_with("REPORT RequestId: "));
    assert_eq!(next().await, None);
    assert!(following.wait().await.unwrap().success());

    let whole = daybook(&server, &["logs", &execution]).await.ok();
    assert!(whole.contains("begins\nends\nEND RequestId: "), "{whole}");
    let listed = daybook(&server, &["functions", "--output", "json"])
        .await
        .json();
    let listed = serde_json::to_string(&listed).unwrap();
    assert!(
        listed.contains(r#""echo""#) && listed.contains("sha256"),
        "{listed}"
    );
    server.stop().await;
}
