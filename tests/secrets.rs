//! Secrets of the config are planted, told by a function in every way that it has, and looked for in
//! everything that is kept or shown.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::support::clients::{daybook, finished};
use crate::support::{ACCESS_KEY, Ledger, files_below, program, run};

const BY_FILE: &str = "planted-in-a-file-5d41402a";
const BY_VARIABLE: &str = "planted-in-a-variable-7d793037";
const OF_THE_OPERATOR: &str = "planted-for-the-operator-9f8e7d6c";
const UPSTREAM: &str = "planted-for-another-store-1b2a3c4d";
/// Of a function behind HTTP, of one at AWS, of who delivers notifications, of a collector.
const OF_OTHERS: [(&str, &str); 5] = [
    ("PLANTED_HEADER", "planted-in-a-header-0cc175b9"),
    ("PLANTED_LAMBDA", "planted-for-a-lambda-c0f1b6a8"),
    ("PLANTED_TOKEN", "planted-as-a-token-92eb5ffe"),
    ("PLANTED_B2", "planted-as-a-b2-secret-4a8a08f0"),
    ("PLANTED_OTLP", "planted-for-a-collector-8277e091"),
];

fn planted() -> impl Iterator<Item = &'static str> {
    let of_others = OF_OTHERS.iter().map(|(_, secret)| *secret);
    of_others.chain([BY_FILE, BY_VARIABLE, OF_THE_OPERATOR, UPSTREAM])
}

/// Prints its secrets, one of them in two pieces, and fails with the other in the message. Lengths
/// show that it has them.
const SCRIPT: &str = r#"#!/usr/bin/env python3
import http.client, json, os, sys, time
one, two = os.environ["BY_FILE"], os.environ["BY_VARIABLE"]
print("at the start", one, flush=True)
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    answer = api.getresponse()
    event, id = json.load(answer), answer.headers["Lambda-Runtime-Aws-Request-Id"]
    print("lengths", len(one), len(two))
    print("key", os.environ["AWS_SECRET_ACCESS_KEY"])
    sys.stdout.write("in pieces " + two[:9])
    sys.stdout.flush()
    time.sleep(0.2)
    print(two[9:], flush=True)
    failed = event["Records"][0]["s3"]["object"]["key"] == "fail"
    place = "error" if failed else "response"
    body = {"errorType": "Told", "errorMessage": "it is " + one, "stackTrace": [two]} if failed else len(one)
    api.request("POST", f"/2018-06-01/runtime/invocation/{id}/{place}", json.dumps(body))
    api.getresponse().read()
"#;

const CONFIG: &str = r#"
[buckets.inbox]
path = "inbox"
[buckets.away]
upstream = { bucket = "away", endpoint = "http://127.0.0.1:9", access_key = "AKAWAY", secret_key = { env = "PLANTED_UPSTREAM" } }

[pipelines.tell]
on = [{ bucket = "inbox" }]
run = "tell"

[functions.tell]
runtime = "provided"
code = "code"
secrets = { BY_FILE = { file = "planted" }, BY_VARIABLE = { env = "PLANTED" } }

[pipelines.elsewhere]
on = [{ bucket = "inbox", prefix = "well" }]
run = "behind"

[functions.behind]
runtime = "http"
url = "http://127.0.0.1:9/"
private_addresses = true
headers = { Authorization = { env = "PLANTED_HEADER" } }

[functions.at-aws]
runtime = "lambda"
arn = "arn:aws:lambda:eu-west-1:111122223333:function:f"
access_key = "AKLAMBDA"
secret_key = { env = "PLANTED_LAMBDA" }

[intake.sources.minio]
authentication = { bearer = { env = "PLANTED_TOKEN" } }

[intake.sources.b2]
authentication = "signed"
b2_secrets = [{ env = "PLANTED_B2" }]

[telemetry]
otlp_endpoint = "http://127.0.0.1:9"
otlp_headers = { Authorization = { env = "PLANTED_OTLP" } }

[s3.keys.operator]
access_key = "AKTEST"
secret_key = { env = "PLANTED_KEY" }
"#;

fn ledger() -> Ledger {
    let ledger = Ledger::new(CONFIG);
    ledger.write("planted", format!("{BY_FILE}\n"));
    ledger.write("code/bootstrap", SCRIPT);
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(ledger.path("code/bootstrap"), executable).unwrap();
    ledger
}

#[track_caller]
fn has_none(place: &str, content: impl AsRef<[u8]>) {
    let content = content.as_ref();
    for secret in planted() {
        let found = content
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        assert!(!found, "{place} tells {secret}");
    }
}

#[tokio::test]
async fn planted_secrets_are_nowhere_to_be_found() {
    let ledger = ledger();
    let mut variables: Vec<(&str, &OsStr)> = vec![
        ("PLANTED", BY_VARIABLE.as_ref()),
        ("PLANTED_KEY", OF_THE_OPERATOR.as_ref()),
        ("PLANTED_UPSTREAM", UPSTREAM.as_ref()),
        ("DAYBOOK_LOG", "trace".as_ref()),
    ];
    variables.extend(OF_OTHERS.map(|(name, secret)| (name, secret.as_ref())));
    let server = ledger.start_with(&variables).await;
    let s3 = daybook_s3_gateway::client::S3Client::new(
        &server.s3,
        "us-east-1",
        ACCESS_KEY,
        OF_THE_OPERATOR,
    );
    let mut ids = Vec::new();
    for key in ["well", "fail"] {
        s3.put("inbox", key, "x".into()).await.unwrap();
        let object = server.settled("inbox", key).await;
        has_none("GraphQL", object.to_string());
        let mut told = object["executions"]["nodes"].as_array().unwrap().iter();
        let told = told.find(|told| told["pipelineName"] == "tell").unwrap();
        let logs = told["attempts"][0]["logs"].as_str().unwrap();
        assert!(logs.contains(&format!("lengths {} {}", BY_FILE.len(), BY_VARIABLE.len())));
        assert!(logs.contains("in pieces ***BY_VARIABLE***\n"), "{logs}");
        assert!(logs.contains("key ***AWS_SECRET_ACCESS_KEY***\n"), "{logs}");
        if key == "well" {
            assert!(logs.contains("at the start ***BY_FILE***\n"), "{logs}");
        } else {
            let cause = told["attempts"][0]["cause"].as_str().unwrap();
            assert!(cause.contains("it is ***BY_FILE***"), "{cause}");
            assert!(cause.contains("***BY_VARIABLE***"), "{cause}");
        }
        ids.push(told["id"].as_str().unwrap().to_owned());
    }
    // One that may deliver, and one that may not; what both send is refused, and kept.
    for token in [OF_OTHERS[2].1, "another"] {
        let url = format!(
            "{}/v1/notifications/minio?token={}",
            server.api, OF_OTHERS[2].1
        );
        let request = reqwest::Client::new().post(url).bearer_auth(token);
        let answer = request.body("{ no JSON").send().await.unwrap();
        assert!(answer.status().is_client_error(), "{answer:?}");
        has_none("the answer to a delivery", answer.text().await.unwrap());
    }
    let (_, rejected) = server.get("/v1/notifications/rejected").await;
    assert!(rejected.contains("json-syntax"), "{rejected}");
    has_none("what was rejected", rejected);
    let config = ledger.config().display().to_string();
    let mut shown = tokio::process::Command::new(program());
    shown
        .args(["config", "show", "--config", &config])
        .envs(variables.iter().copied());
    let shown = finished(shown).await.ok();
    assert!(shown.contains("AKLAMBDA"), "{shown}");
    has_none("config show", shown);
    has_none("the trail", json!(server.events(&[]).await).to_string());
    for arguments in [
        vec!["show", &ids[1]],
        vec!["logs", &ids[1]],
        vec!["show", "s3://inbox/fail"],
        vec!["events", "--output", "json", "--limit", "200"],
        vec!["functions", "--output", "json"],
        vec!["intake", "rejected", "--output", "json"],
        vec!["status"],
    ] {
        let told = daybook(&server, &arguments).await;
        has_none(&format!("{arguments:?}"), told.ok());
    }
    for path in ["/v1/functions", "/metrics", "/readyz"] {
        has_none(path, server.get(path).await.1);
    }
    let (status, log) = server.stop().await;
    assert!(status.success(), "{log}");
    has_none("the log of the server", log);
    for file in files_below(&ledger.data_dir()) {
        let content = std::fs::read(ledger.data_dir().join(&file)).unwrap_or_default();
        has_none(&file.display().to_string(), content);
    }
}

#[tokio::test]
async fn a_config_that_cannot_be_read_does_not_tell_what_it_holds() {
    let ledger = ledger();
    let config = ledger.config().display().to_string();
    ledger.write(
        "daybook.toml",
        CONFIG.replace(
            "{ env = \"PLANTED\" }",
            &format!("\"{BY_VARIABLE}\", X = 7"),
        ),
    );
    for command in ["check", "show"] {
        let output = run(&["config", command, "--config", &config]).await;
        assert!(!output.status.success());
        has_none(command, output.stdout);
        has_none(command, output.stderr);
    }
}
