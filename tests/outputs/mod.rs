//! When what a function writes becomes visible, and to whom.

mod on_success;
mod shadow;

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::{Ledger, Server};

/// The handler of these tests; it needs Python's standard library alone.
const SCRIPT: &str = include_str!("script.py");

/// A ledger whose pipeline `script` runs [`SCRIPT`] for `.json` in `inbox`, twice if it fails, and
/// whose pipeline `second` runs the built-in `uppercase` for what comes into `results`, but not for
/// what is below `many/`. `publish` is how the script's outputs become visible, `more` are further
/// tables.
fn script_ledger(publish: &str, more: &str) -> Ledger {
    let config = format!(
        r#"
[buckets.inbox]
path = "inbox"
[buckets.results]
path = "results"
[buckets.archive]
path = "archive"

[pipelines.script]
on = [{{ bucket = "inbox", suffix = ".json" }}]
definition = "script.asl.json"

[pipelines.second]
on = [{{ bucket = "results", suffix = ".txt" }}]
run = "uppercase"

[functions.script]
runtime = "provided"
code = "script"
environment = {{ ONCE = "ONCE-FILE" }}
sandbox = "off"                         # it writes that file
read = ["inbox/*", "results/*"]
write = ["results/*"]
publish = "{publish}"
timeout = "5m"

[functions.uppercase]
runtime = "builtin"
handler = "uppercase"
environment = {{ RESULTS_BUCKET = "archive" }}
write = ["archive/*"]
{more}"#
    );
    let ledger = Ledger::new(&config);
    let once = ledger.path("once").display().to_string();
    ledger.write("daybook.toml", config.replace("ONCE-FILE", &once));
    ledger.write("script.asl.json", MACHINE);
    ledger.write("script/bootstrap", SCRIPT);
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(ledger.path("script/bootstrap"), executable).unwrap();
    ledger
}

const MACHINE: &str = r#"{
  "StartAt": "Script",
  "States": { "Script": {
    "Type": "Task", "End": true,
    "Resource": "arn:aws:lambda:us-east-1:000000000000:function:script",
    "Retry": [{ "ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 1 }]
  } }
}"#;

/// Has the script run for an object with these steps.
async fn run(server: &Server, key: &str, steps: Value) {
    let s3 = server.client();
    s3.put("inbox", key, steps.to_string().into())
        .await
        .unwrap();
}

/// The newest run for an object.
fn newest(object: &Value) -> &Value {
    let runs = object["executions"]["nodes"].as_array().unwrap();
    runs.last().expect("it has a run")
}
