//! Functions that run elsewhere, with the whole program: under the functions frameworks of Google
//! for Node.js and Python, at moto, and at a server that speaks AWS Lambda's API.

use serde_json::{Value, json};

use crate::support::clients::{daybook, finished, installed};
use crate::support::helper::Helper;
use crate::support::store::Store;
use crate::support::{ACCESS_KEY, Ledger, OPERATOR, SECRET_KEY, Server, eventually, program};

/// A ledger whose bucket `inbox` triggers the function `far`, which is tried again after each of
/// the errors that are named.
fn ledger(function: &str, retry: &[&str]) -> Ledger {
    let ledger = Ledger::new(&format!(
        r#"{OPERATOR}
        [buckets.inbox]
        path = "inbox"
        [pipelines.far]
        on = [{{ bucket = "inbox" }}]
        definition = "far.asl.json"
        [functions.far]
        {function}
        "#
    ));
    let mut task = json!({
        "Type": "Task", "End": true, "TimeoutSeconds": 20,
        "Resource": "arn:aws:lambda:us-east-1:000000000000:function:far",
    });
    if !retry.is_empty() {
        task["Retry"] = json!([
            { "ErrorEquals": retry, "IntervalSeconds": 1, "MaxAttempts": 2 }
        ]);
    }
    let machine = json!({ "StartAt": "Far", "States": { "Far": task } });
    ledger.write("far.asl.json", machine.to_string());
    ledger
}

fn http(url: &str, more: &str) -> String {
    format!("runtime = \"http\"\nurl = \"{url}\"\nprivate_addresses = true\n{more}")
}

/// Writes an object; its one execution, once that ended.
async fn run(server: &Server, key: &str) -> Value {
    server
        .client()
        .put("inbox", key, "text".into())
        .await
        .unwrap();
    let object = server.settled("inbox", key).await;
    let executions = object["executions"]["nodes"].as_array().unwrap();
    assert_eq!(executions.len(), 1, "{object:#}");
    executions[0].clone()
}

async fn lineage(server: &Server, execution: &Value) -> Value {
    let id = json!({ "id": execution["id"] });
    let query = "query ($id: ID!) { execution(id: $id) {
      lineage attempts { lineageKnown durationMs maxMemoryBytes initMs } } }";
    server.query(query, id).await["execution"].take()
}

#[tokio::test]
async fn node_under_its_functions_framework() {
    let framework = Helper::start("framework_node.cjs", &[]).await;
    let ledger = ledger(&http(&framework.url, ""), &["States.Http.StatusCode.500"]);
    let server = ledger.start().await;

    let execution = run(&server, "plain").await;
    assert_eq!(execution["status"], "SUCCEEDED", "{execution:#}");
    assert_eq!(execution["output"], json!({ "key": "plain", "size": 4 }));
    let [event] = &framework.got()[..] else {
        panic!("one event: {:#?}", framework.got());
    };
    assert_eq!(event["type"], "com.amazonaws.s3.ObjectCreated:Put");
    assert_eq!(event["source"], "aws:s3.us-east-1.inbox");
    assert_eq!(event["daybookexecution"], execution["id"]);
    assert_eq!(event["data"]["Records"][0]["s3"]["bucket"]["name"], "inbox");
    // What it read and wrote is not known, and that is shown.
    let told = lineage(&server, &execution).await;
    assert_eq!(told["lineage"], "UNKNOWN");
    assert_eq!(told["attempts"][0]["lineageKnown"], false);
    let told = daybook(&server, &["show", "s3://inbox/plain"]).await.ok();
    assert!(told.contains("lineage UNKNOWN"), "{told}");

    // Its retry is the same event, by its id.
    let execution = run(&server, "flaky").await;
    assert_eq!(execution["status"], "SUCCEEDED", "{execution:#}");
    let [failed, again] = execution["attempts"].as_array().unwrap().as_slice() else {
        panic!("two attempts: {execution:#}");
    };
    assert_eq!(failed["error"], "States.Http.StatusCode.500");
    assert!(failed["cause"].as_str().unwrap().contains("no ink left"));
    assert_eq!(again["status"], "SUCCEEDED");
    let [_, first, second] = &framework.got()[..] else {
        panic!("three events: {:#?}", framework.got());
    };
    assert_eq!(first["id"], second["id"]);
    assert_eq!(first["daybookattempt"], "1");
    assert_eq!(second["daybookattempt"], "2");
}

#[tokio::test]
async fn a_state_that_waits_too_long_times_out() {
    let framework = Helper::start("framework_node.cjs", &[]).await;
    let ledger = ledger(&http(&framework.url, "timeout = \"1s\""), &[]);
    let server = ledger.start().await;
    let execution = run(&server, "slow").await;
    assert_eq!(execution["error"], "States.Timeout", "{execution:#}");
    let attempt = &execution["attempts"][0];
    assert_eq!(attempt["status"], "TIMED_OUT");
    assert!(
        attempt["cause"]
            .as_str()
            .unwrap()
            .contains("was not stopped"),
        "{attempt}"
    );
    assert_eq!(framework.got().len(), 1);
}

#[tokio::test]
async fn python_under_its_functions_framework() {
    let framework = Helper::start("framework_python.py", &[]).await;
    let ledger = ledger(&http(&framework.url, "mode = \"structured\""), &[]);
    let server = ledger.start().await;
    // Structured, so that a key like this arrives as it is.
    let key = "a folder/b+ü.txt";
    let execution = run(&server, key).await;
    assert_eq!(execution["status"], "SUCCEEDED", "{execution:#}");
    // What the framework answers for a function that answers nothing.
    assert_eq!(execution["output"], "OK");
    let [event] = &framework.got()[..] else {
        panic!("one event: {:#?}", framework.got());
    };
    assert_eq!(event["subject"], key);
    assert_eq!(
        event["data"]["Records"][0]["eventName"],
        "ObjectCreated:Put"
    );

    let execution = run(&server, "boom").await;
    assert_eq!(execution["status"], "FAILED");
    assert_eq!(execution["error"], "States.Http.StatusCode.500");
}

#[tokio::test]
async fn python_takes_the_binary_form_too() {
    let framework = Helper::start("framework_python.py", &[]).await;
    let ledger = ledger(&http(&framework.url, ""), &[]);
    let server = ledger.start().await;
    let execution = run(&server, "plain").await;
    assert_eq!(execution["status"], "SUCCEEDED", "{execution:#}");
    let got = framework.got();
    assert_eq!(got[0]["subject"], "plain");
    assert_eq!(got[0]["data"]["Records"][0]["s3"]["object"]["size"], 4);
}

#[tokio::test]
async fn a_certificate_counts_if_the_system_trusts_its_authority() {
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("authority.pem");
    let function = Helper::start("https_function.py", &[authority.to_str().unwrap()]).await;
    let ledger = ledger(&http(&function.url, ""), &[]);
    let server = ledger
        .start_with(&[("SSL_CERT_FILE", authority.as_os_str())])
        .await;
    let execution = run(&server, "trusted").await;
    assert_eq!(execution["status"], "SUCCEEDED", "{execution:#}");
    let event = &execution["output"]["Records"][0];
    assert_eq!(event["s3"]["object"]["key"], "trusted");
    server.stop().await;

    let other = folder.path().join("other.pem");
    let _other = Helper::start("https_function.py", &[other.to_str().unwrap()]).await;
    let server = ledger
        .start_with(&[("SSL_CERT_FILE", other.as_os_str())])
        .await;
    let execution = run(&server, "not trusted").await;
    assert_eq!(execution["error"], "States.Http.Socket", "{execution:#}");
    let cause = execution["cause"].as_str().unwrap();
    assert!(cause.contains("certificate"), "{cause}");
}

#[tokio::test]
async fn it_does_not_run_again_as_a_shadow() {
    let framework = Helper::start("framework_node.cjs", &[]).await;
    let ledger = ledger(&http(&framework.url, ""), &[]);
    let server = ledger.start().await;
    let execution = run(&server, "plain").await;
    let id = execution["id"].as_str().unwrap();
    let said = daybook(&server, &["redrive", id, "--shadow"])
        .await
        .failed(1);
    assert!(said.contains("does not pass the gateway"), "{said}");
    assert_eq!(framework.got().len(), 1);
    daybook(&server, &["redrive", id]).await.ok();
    eventually("it runs again", || async {
        (framework.got().len() == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_lambda_function_by_its_api() {
    let lambda = Helper::start("lambda_api.py", &[ACCESS_KEY, SECRET_KEY]).await;
    let arn = "arn:aws:lambda:eu-central-1:123456789012:function:thumbs:live";
    let ledger = ledger(
        &format!(
            "runtime = \"lambda\"\narn = \"{arn}\"\nendpoint = \"{}\"\n\
             access_key = \"{ACCESS_KEY}\"\nsecret_key = {{ file = \"secret\" }}",
            lambda.url
        ),
        &["Lambda.TooManyRequestsException", "Lambda.ServiceException"],
    );
    ledger.write("secret", SECRET_KEY);
    let server = ledger.start().await;

    let execution = run(&server, "plain").await;
    assert_eq!(execution["status"], "SUCCEEDED", "{execution:#}");
    assert_eq!(execution["output"], json!({ "key": "plain" }));
    let logs = execution["attempts"][0]["logs"].as_str().unwrap();
    assert!(
        logs.contains("hello\n") && logs.contains("Billed Duration: 8 ms"),
        "{logs}"
    );
    assert!(logs.contains("ran version $LATEST"), "{logs}");
    let told = lineage(&server, &execution).await;
    assert_eq!(told["lineage"], "UNKNOWN");
    let figures = json!({
        "lineageKnown": false, "durationMs": 8, "initMs": 100, "maxMemoryBytes": 64 << 20,
    });
    assert_eq!(told["attempts"][0], figures);

    let execution = run(&server, "busy").await;
    assert_eq!(execution["status"], "SUCCEEDED", "{execution:#}");
    let attempts = execution["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 2);
    assert_eq!(attempts[0]["error"], "Lambda.TooManyRequestsException");

    for (key, error) in [("boom", "OutOfInk"), ("late", "Sandbox.Timedout")] {
        let execution = run(&server, key).await;
        assert_eq!(execution["status"], "FAILED");
        assert_eq!(execution["error"], error);
    }
}

#[tokio::test]
async fn a_lambda_function_at_moto_and_what_is_known_of_its_code() {
    let store = Store::start(&["unused"]).await;
    let mut make = tokio::process::Command::new(installed("DAYBOOK_TEST_PYTHON"));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/moto_lambda.py");
    make.args([script, &store.endpoint, ACCESS_KEY, SECRET_KEY]);
    let made = finished(make).await.json();
    let arn = made["arn"].as_str().unwrap();
    let ledger = ledger(
        &format!(
            "runtime = \"lambda\"\narn = \"{arn}\"\nendpoint = \"{}\"",
            store.endpoint
        ),
        &[],
    );
    // The key from where AWS's own tools look for it.
    let server = ledger
        .start_with(&[
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.as_ref()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.as_ref()),
        ])
        .await;
    let execution = run(&server, "plain").await;
    assert_eq!(execution["status"], "SUCCEEDED", "{execution:#}");
    // It answers with the event: the same that a function here is given.
    let event = &execution["output"]["Records"][0];
    assert_eq!(event["eventName"], "ObjectCreated:Put");
    assert_eq!(event["s3"]["object"]["key"], "plain");

    let revised = server.events(&["FunctionRevised"]).await;
    let revision = &revised[0]["data"];
    assert_eq!(revision["settings"]["runtime"], "lambda");
    assert_eq!(revision["settings"]["handler"], arn);
    // The digest is of what is stated of the code, which is kept.
    let digest = revision["sha256"].as_str().unwrap();
    let kept = find(&ledger.data_dir().join("blobs"), digest).expect("it is kept");
    let stated: Value = serde_json::from_slice(&std::fs::read(kept).unwrap()).unwrap();
    assert_eq!(stated["code_sha256"], made["sha256"]);
    assert_eq!(stated["arn"], arn);
}

#[tokio::test]
async fn what_cannot_hold_is_refused_by_name() {
    for (function, place, why) in [
        (
            "runtime = \"http\"\nurl = \"https://f.example/\"\npublish = \"on-success\"",
            "functions.far.publish",
            "does not pass the gateway",
        ),
        (
            "runtime = \"http\"\nurl = \"http://127.0.0.1:9/\"",
            "function far",
            "private_addresses = true",
        ),
    ] {
        let ledger = ledger(function, &[]);
        let mut command = tokio::process::Command::new(program());
        command
            .args(["config", "check", "--config"])
            .arg(ledger.config());
        let checked = finished(command).await;
        assert_eq!(checked.code, 3, "{}{}", checked.out, checked.err);
        let said = format!("{}{}", checked.out, checked.err);
        assert!(said.contains(place) && said.contains(why), "{said}");
    }
}

/// The file below the folder whose name has this in it.
fn find(folder: &std::path::Path, name: &str) -> Option<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    entries
        .flatten()
        .map(|entry| entry.path())
        .find_map(|path| {
            let named = path
                .file_name()
                .is_some_and(|it| it.to_string_lossy().contains(name));
            match path.is_dir() {
                true => find(&path, name),
                false => named.then_some(path),
            }
        })
}
