//! The handlers of `examples`, unchanged, with AWS's own runtime clients, through a server that
//! serves the example's own config.

use std::path::Path;
use std::process::Command;

use daybook_s3_gateway::client::S3Client;
use serde_json::{Value, json};

use crate::support::clients::{Ran, finished, installed, link_node, link_python};
use crate::support::{Ledger, OPERATOR, Server, program};

/// A space, a plus sign and a letter beyond ASCII: each is written differently in the event.
const KEY: &str = "a folder/b+ü.txt";

#[tokio::test]
async fn node_with_sdk_3() {
    let ledger = example("node-sdk3");
    link_node(&ledger.path("function"));
    upper_cases(&ledger).await;
}

#[tokio::test]
async fn node_with_sdk_2_and_no_endpoint_in_the_code() {
    let ledger = example("node-sdk2");
    link_node(&ledger.path("function"));
    upper_cases(&ledger).await;
}

#[tokio::test]
async fn python_with_boto3() {
    let ledger = example("python-boto3");
    link_python(&ledger.path("function"));
    upper_cases(&ledger).await;
}

#[tokio::test]
async fn rust_with_lambda_runtime() {
    let ledger = example("rust-lambda");
    let built = installed("DAYBOOK_TEST_RUST_LAMBDA");
    let bootstrap = ledger.path("function/bootstrap");
    std::fs::create_dir_all(bootstrap.parent().unwrap()).unwrap();
    std::fs::copy(built, bootstrap).unwrap();
    upper_cases(&ledger).await;
}

#[tokio::test]
async fn what_a_handler_throws_is_recorded_with_its_type() {
    let ledger = Ledger::new(&format!(
        r#"{OPERATOR}
        [buckets.inbox]
        path = "inbox"
        [pipelines.node]
        on = [{{ bucket = "inbox" }}]
        run = "node"
        [pipelines.python]
        on = [{{ bucket = "inbox" }}]
        run = "python"
        [functions.node]
        runtime = "nodejs"
        code = "node"
        handler = "index.handler"
        [functions.python]
        runtime = "python"
        code = "python"
        handler = "handler.handler"
        "#
    ));
    ledger.write(
        "node/index.mjs",
        "class OutOfInk extends Error { constructor(m) { super(m); this.name = 'OutOfInk'; } }\n\
         export async function handler() {\n  throw new OutOfInk('no ink left for ü');\n}\n",
    );
    ledger.write(
        "python/handler.py",
        "class OutOfPaper(Exception):\n    pass\n\n\n\
         def handler(event, context):\n    raise OutOfPaper('no paper left for ü')\n",
    );
    link_node(&ledger.path("node"));
    link_python(&ledger.path("python"));
    let server = ledger.start().await;
    let client = server.client();
    client.put("inbox", "page", "".into()).await.unwrap();
    let object = server.settled("inbox", "page").await;
    assert_eq!(object["status"], "FAILED");
    let mut executions = object["executions"]["nodes"].as_array().unwrap().clone();
    executions.sort_by_key(|execution| execution["pipelineName"].to_string());
    for (execution, error, message, place) in [
        (&executions[0], "OutOfInk", "no ink left for ü", "index.mjs"),
        (
            &executions[1],
            "OutOfPaper",
            "no paper left for ü",
            "handler.py",
        ),
    ] {
        assert_eq!(execution["status"], "FAILED");
        assert_eq!(execution["error"], error);
        let cause = execution["cause"].as_str().unwrap();
        let cause: Value = serde_json::from_str(cause).expect("Lambda's error document");
        assert_eq!(cause["errorType"], error);
        assert_eq!(cause["errorMessage"], message);
        let stack = cause.to_string();
        assert!(stack.contains(place), "no stack trace: {cause}");
        assert_eq!(execution["attempts"][0]["error"], error);
    }
}

#[tokio::test]
async fn a_missing_client_is_named_with_its_remedy() {
    for (runtime, handler, file, remedies) in [
        (
            "nodejs",
            "index.handler",
            "index.mjs",
            [
                "aws-lambda-ric is not installed",
                "npm install aws-lambda-ric@",
            ],
        ),
        (
            "python",
            "handler.handler",
            "handler.py",
            [
                "awslambdaric is not installed",
                ".venv/bin/pip install awslambdaric",
            ],
        ),
        (
            "provided",
            "bootstrap",
            "readme",
            [
                "function forgetful",
                "there is no executable file bootstrap",
            ],
        ),
        (
            "nodejs",
            "elsewhere.handler",
            "index.mjs",
            ["elsewhere.handler", "needs a file elsewhere.mjs"],
        ),
    ] {
        let ledger = forgetful(runtime, handler);
        ledger.write(&format!("code/{file}"), "");
        if runtime == "python" {
            // An environment of its own, so that nothing that is installed elsewhere counts.
            let made = Command::new("python3")
                .args(["-m", "venv", "--without-pip"])
                .arg(ledger.path("code/.venv"))
                .status();
            assert!(made.unwrap().success());
        }
        let (code, said) = ledger.start_refused().await;
        assert_eq!(code, 1, "{said}");
        let checked = config_check(&ledger).await;
        assert_eq!(checked.code, 3, "{}", checked.err);
        for remedy in remedies {
            assert!(said.contains(remedy), "{remedy:?} is not said:\n{said}");
            assert!(checked.out.contains(remedy), "{}", checked.out);
        }
    }
}

#[tokio::test]
async fn a_missing_interpreter_is_named_with_its_remedy() {
    for (runtime, handler, file, remedy) in [
        (
            "nodejs",
            "index.handler",
            "index.js",
            "apt-get install nodejs npm",
        ),
        (
            "python",
            "handler.handler",
            "handler.py",
            "apt-get install python3",
        ),
    ] {
        let ledger = forgetful(runtime, handler);
        ledger.write(&format!("code/{file}"), "");
        std::fs::create_dir(ledger.path("empty")).unwrap();
        let path = ledger.path("empty");
        let (code, said) = ledger.start_refused_with("PATH", &path).await;
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(remedy), "{remedy:?} is not said:\n{said}");
    }
}

async fn config_check(ledger: &Ledger) -> Ran {
    let mut command = tokio::process::Command::new(program());
    command.args(["config", "check", "--config"]);
    command.arg(ledger.config());
    finished(command).await
}

/// A ledger with the files of an example that git keeps.
fn example(name: &str) -> Ledger {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples")
        .join(name);
    let config = std::fs::read_to_string(folder.join("daybook.toml")).unwrap();
    let ledger = Ledger::new(&config);
    for entry in std::fs::read_dir(folder.join("function"))
        .into_iter()
        .flatten()
    {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_file() && name != "bootstrap" && !name.contains("lock") {
            ledger.write(&format!("function/{name}"), std::fs::read(&path).unwrap());
        }
    }
    ledger
}

/// Two objects, one after the other: what comes of them, and what the ledger says of it.
async fn upper_cases(ledger: &Ledger) {
    let server = ledger.start().await;
    // The key that the example's config names.
    let client = S3Client::new(
        &server.s3,
        "us-east-1",
        "AKOPERATOR",
        "daybook-example-secret",
    );
    for (key, text, expected) in [
        (KEY, "grüße\n", "GRÜSSE\n"),
        (
            "second.txt",
            "by the same process\n",
            "BY THE SAME PROCESS\n",
        ),
    ] {
        client.put("inbox", key, text.into()).await.unwrap();
        let object = server.settled("inbox", key).await;
        assert_eq!(object["status"], "SUCCEEDED", "{object:#}");
        assert_eq!(client.get("results", key).await.unwrap(), expected);

        let execution = &object["executions"]["nodes"][0];
        assert_eq!(
            execution["output"],
            json!({ "bucket": "results", "key": key })
        );
        let logs = execution["attempts"][0]["logs"].as_str().unwrap();
        assert!(logs.contains("upper-cased"), "{logs}");
        assert_lineage(&server, &object, execution, expected).await;
    }
}

/// What the execution read and wrote is known in both directions, though the handler says nothing.
async fn assert_lineage(server: &Server, object: &Value, execution: &Value, expected: &str) {
    let (key, id) = (&object["key"], &execution["id"]);
    let read = execution["readObjects"].as_array().unwrap();
    assert_eq!(read.len(), 1, "{execution:#}");
    for field in ["bucket", "key", "versionId", "etag", "size"] {
        assert_eq!(read[0][field], object[field], "{field}");
    }
    let written = execution["writtenObjects"].as_array().unwrap();
    assert_eq!(written.len(), 1, "{execution:#}");
    assert_eq!(written[0]["bucket"], "results");
    assert_eq!(written[0]["key"], *key);
    assert_eq!(written[0]["size"], expected.len());
    let told = server.query(LINEAGE, json!({ "key": key })).await;
    let of = json!({ "nodes": [{ "id": id }] });
    assert_eq!(told["source"]["inputsOf"], of);
    assert_eq!(told["result"]["outputsOf"], of);
    assert_eq!(told["result"]["producedBy"]["executionId"], *id);
    assert_eq!(told["result"]["versionId"], written[0]["versionId"]);
}

fn forgetful(runtime: &str, handler: &str) -> Ledger {
    Ledger::new(&format!(
        "{OPERATOR}
        [buckets.inbox]
        path = \"inbox\"
        [functions.forgetful]
        runtime = \"{runtime}\"
        code = \"code\"
        handler = \"{handler}\"
        "
    ))
}

const LINEAGE: &str = r#"
query ($key: String!) {
  source: object(bucket: "inbox", key: $key) { inputsOf(first: 10) { nodes { id } } }
  result: object(bucket: "results", key: $key) {
    versionId producedBy { executionId } outputsOf(first: 10) { nodes { id } }
  }
}"#;
