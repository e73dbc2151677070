//! What happens when somebody changes the code of a function: which attempts run on which code, and
//! what is to be seen of it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::support::clients::daybook;
use crate::support::{Ledger, OPERATOR, Server, eventually};

/// A handler of a few lines without a client: it answers with its own code's version and place, once
/// the file that its object names is there.
const SCRIPT: &str = r#"#!/usr/bin/env python3
import http.client, json, os, time
VERSION = "one"
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    answer = api.getresponse()
    event, id = json.load(answer), answer.headers["Lambda-Runtime-Aws-Request-Id"]
    key = event["Records"][0]["s3"]["object"]["key"]
    while key.startswith("wait") and not os.path.exists(os.environ["GATE"]):
        time.sleep(0.01)
    here = open(os.path.join(os.environ["LAMBDA_TASK_ROOT"], "data.txt")).read()
    print("version", VERSION, "with", here)
    body = json.dumps({"version": VERSION, "data": here, "root": os.environ["LAMBDA_TASK_ROOT"]})
    api.request("POST", f"/2018-06-01/runtime/invocation/{id}/response", body)
    api.getresponse().read()
"#;

const CONFIG: &str = r#"
[buckets.inbox]
path = "inbox"

[pipelines.told]
on = [{ bucket = "inbox" }]
run = "told"

[functions.told]
runtime = "provided"
code = "code"
environment = { GATE = "GATE-FILE" }
readable = ["told"]
timeout = "5m"

"#;

const LIMITS: &str = "[limits]\ncode_rescan_every = \"100ms\"\n";

fn ledger(more: &str) -> Ledger {
    let config = format!("{CONFIG}{more}");
    let ledger = Ledger::new(&config);
    // A folder that is there when a process starts, and that it may read.
    std::fs::create_dir(ledger.path("told")).unwrap();
    let gate = ledger.path("told/gate").display().to_string();
    ledger.write("daybook.toml", config.replace("GATE-FILE", &gate));
    install(&ledger.path("code"), "one");
    ledger
}

/// Puts this version of the code in place, one file after the other.
fn install(folder: &Path, version: &str) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("data.txt"), version).unwrap();
    let script = SCRIPT.replace("\"one\"", &format!("{version:?}"));
    std::fs::write(folder.join("bootstrap"), script).unwrap();
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.join("bootstrap"), executable).unwrap();
}

async fn put(server: &Server, key: &str) {
    server.client().put("inbox", key, "x".into()).await.unwrap();
}

/// What the run for an object answered, and the revision that the ledger says it ran on.
async fn answered(server: &Server, key: &str) -> (Value, Value) {
    let object = server.settled("inbox", key).await;
    let run = &object["executions"]["nodes"][0];
    assert_eq!(run["status"], "SUCCEEDED", "{object:#}");
    let id = run["id"].as_str().unwrap();
    let started = server.events(&["TaskStarted"]).await;
    let stream = format!("execution-{id}");
    let started = started.iter().find(|event| event["stream"] == stream);
    let code = started.unwrap()["data"]["code"].clone();
    let told = server
        .query(
            "query($id: ID!) { execution(id: $id) { output } }",
            serde_json::json!({ "id": id }),
        )
        .await;
    (told["execution"]["output"].clone(), code)
}

async fn revision(server: &Server, wanted: usize) -> Value {
    eventually("the change was noticed", || async {
        let revised = server.events(&["FunctionRevised"]).await;
        (revised.len() >= wanted).then(|| revised[wanted - 1]["data"].clone())
    })
    .await
}

#[tokio::test]
async fn changed_code_is_a_revision_that_the_next_attempts_run_on() {
    let ledger = ledger(&format!("{OPERATOR}{LIMITS}"));
    let server = ledger.start().await;
    put(&server, "wait").await;
    eventually("it runs", || async {
        (!server.events(&["TaskStarted"]).await.is_empty()).then_some(())
    })
    .await;
    install(&ledger.path("code"), "two");
    let revised = revision(&server, 2).await;
    assert!(revised["actor"].as_str().unwrap().starts_with("watch:"));
    put(&server, "after").await;
    let (output, code) = answered(&server, "after").await;
    assert_eq!(
        (&output["version"], &output["data"]),
        (&"two".into(), &"two".into())
    );
    assert_eq!(code["revision"], 2);
    assert_eq!(code["sha256"], revised["sha256"]);
    let root = output["root"].as_str().unwrap();
    assert!(
        root.ends_with(revised["sha256"].as_str().unwrap()),
        "{root}"
    );

    // What ran meanwhile finishes on the code that it began with, files included.
    ledger.write("told/gate", "");
    let (output, code) = answered(&server, "wait").await;
    assert_eq!(
        (&output["version"], &output["data"]),
        (&"one".into(), &"one".into())
    );
    assert_eq!(code["revision"], 1);
    let left = Path::new(output["root"].as_str().unwrap()).to_owned();
    eventually("the old copy is gone", || async {
        (!left.exists()).then_some(())
    })
    .await;

    let listed = daybook(&server, &["functions", "--output", "json"]).await;
    let rows: Value = serde_json::from_str(&listed.out).unwrap();
    assert_eq!(rows[0]["revision"], 2);
    assert_eq!(rows[0]["processes"]["revision"], 2);
    assert_eq!(rows[0]["processes"]["sha256"], revised["sha256"]);
}

#[tokio::test]
async fn code_that_cannot_run_is_reported_and_the_old_goes_on() {
    let ledger = ledger(&format!("{OPERATOR}{LIMITS}"));
    let server = ledger.start().await;
    std::fs::remove_file(ledger.path("code/bootstrap")).unwrap();
    eventually("it is reported", || async {
        let listed = daybook(&server, &["functions"]).await;
        listed
            .out
            .contains("changed code does not run: function told: there is no executable file")
            .then_some(())
    })
    .await;
    assert!(server.log().contains("the changed code does not run"));
    put(&server, "still").await;
    let (output, code) = answered(&server, "still").await;
    assert_eq!(output["version"], "one");
    assert_eq!(code["revision"], 1);

    // The same code again is no change.
    install(&ledger.path("code"), "one");
    eventually("it is well again", || async {
        let listed = daybook(&server, &["functions"]).await;
        listed.out.trim_end().ends_with("runs").then_some(())
    })
    .await;
    install(&ledger.path("code"), "three");
    assert_eq!(revision(&server, 2).await["revision"], 2);
    let (status, log) = server.stop().await;
    assert!(status.success(), "{log}");
    // The next start finds the copy, and nothing new.
    let server = ledger.start().await;
    put(&server, "later").await;
    assert_eq!(answered(&server, "later").await.1["revision"], 2);
    assert_eq!(server.events(&["FunctionRevised"]).await.len(), 2);
}

#[tokio::test]
async fn another_machine_runs_the_code_of_the_first_from_the_blob_store() {
    let database = daybook_event_store::testing::postgres::TestDatabase::create().await;
    let store = format!(
        "{OPERATOR}\n[store]\nurl = \"{}\"\n\n{LIMITS}",
        database.url()
    );
    let (first, second) = (ledger(&store), ledger(&store));
    let one = first.start_as("one", "command,functions").await;
    let two = second.start_as("two", "command,functions").await;
    let query = first.start_as("query", "query").await;
    install(&first.path("code"), "two");
    let revised = revision(&query, 2).await;
    eventually("the other offers it as well", || async {
        let offered = query.events(&["FunctionsOffered"]).await;
        let of_it = offered
            .iter()
            .filter(|event| event["data"]["functions"]["told"] == revised["sha256"]);
        (of_it.count() == 2).then_some(())
    })
    .await;
    // From now on it is alone.
    one.stop().await;
    two.client().put("inbox", "file", "x".into()).await.unwrap();
    let (output, code) = answered(&query, "file").await;
    assert_eq!(output["version"], "two");
    assert_eq!(code["revision"], 2);
    let own = std::fs::read_to_string(second.path("code/data.txt")).unwrap();
    assert_eq!(own, "one", "its own folder is as it was");
    two.stop().await;
}
