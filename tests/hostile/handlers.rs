//! Handlers that misbehave: each has its recorded error, and the server works on.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::{Ledger, OPERATOR};

/// The handler of these tests; it needs Python's standard library alone.
const ODD: &str = include_str!("odd.py");

/// A time-out that a handler on a busy machine keeps, and that the test of it can wait for.
const TIMEOUT: &str = "3s";

/// A ledger whose pipeline `odd` runs [`ODD`] for `.txt` in `inbox`. `more` are further lines of
/// the function's table, and tables after it; `runs` is how the pipeline names what it runs.
pub(super) fn odd_ledger(runs: &str, more: &str) -> Ledger {
    let config = format!(
        r#"
[buckets.inbox]
path = "inbox"

[pipelines.odd]
on = [{{ bucket = "inbox", suffix = ".txt" }}]
{runs}

[functions.odd]
runtime = "provided"
code = "odd"
{more}
{OPERATOR}"#
    );
    let ledger = Ledger::new(&config);
    ledger.write("odd/bootstrap", ODD);
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(ledger.path("odd/bootstrap"), executable).unwrap();
    ledger
}

#[tokio::test]
async fn each_misdeed_has_its_outcome_and_the_server_works_on() {
    let ledger = odd_ledger("run = \"odd\"", &format!("timeout = \"{TIMEOUT}\""));
    let server = ledger.start().await;
    let s3 = server.client();
    // What it does, how the attempt and the execution end, the error's name, and of its details.
    let misdeeds = [
        ("throw", "FAILED", "FAILED", "ValueError", "no good"),
        (
            "exit",
            "FAILED",
            "FAILED",
            "Runtime.ExitError",
            "exit status 7",
        ),
        (
            "hang",
            "TIMED_OUT",
            "FAILED",
            "States.Timeout",
            "timed out after 3.00 seconds",
        ),
        (
            "words",
            "FAILED",
            "FAILED",
            "Runtime.InvalidResponse",
            "JSON",
        ),
        (
            "huge",
            "FAILED",
            "FAILED",
            "Function.ResponseSizeTooLarge",
            "6291556",
        ),
        ("shout", "SUCCEEDED", "SUCCEEDED", "", ""),
        ("nothing-special", "SUCCEEDED", "SUCCEEDED", "", ""),
    ];
    for (key, ..) in misdeeds {
        let key = format!("{key}.txt");
        s3.put("inbox", &key, "x".into()).await.unwrap();
    }
    for (key, attempt, execution, error, cause) in misdeeds {
        let object = server.settled("inbox", &format!("{key}.txt")).await;
        check(&object, attempt, execution, error, cause);
    }
    let object = server.settled("inbox", "shout.txt").await;
    let logs = run_of(&object)["attempts"][0]["logs"].as_str().unwrap();
    assert!(logs.contains("the last line"), "{} bytes", logs.len());

    // The next object is as good as the first.
    s3.put("inbox", "afterwards.txt", "x".into()).await.unwrap();
    let object = server.settled("inbox", "afterwards.txt").await;
    check(&object, "SUCCEEDED", "SUCCEEDED", "", "");
    let (status, _) = server.stop().await;
    assert!(status.success());
}

/// The object's only run ended so, with one attempt; `cause` is a part of the details.
fn check(object: &Value, attempt: &str, execution: &str, error: &str, cause: &str) {
    let run = run_of(object);
    assert_eq!(run["status"], execution, "{object:#}");
    assert_eq!(
        run["error"].as_str().unwrap_or_default(),
        error,
        "{object:#}"
    );
    let details = run["cause"].as_str().unwrap_or_default();
    assert!(details.contains(cause), "{object:#}");
    let attempts = run["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 1, "{object:#}");
    assert_eq!(attempts[0]["status"], attempt, "{object:#}");
    assert_eq!(attempts[0]["error"], run["error"], "{object:#}");
    assert_eq!(object["status"], execution, "{object:#}");
}

/// The only run of an object.
pub(super) fn run_of(object: &Value) -> &Value {
    let runs = object["executions"]["nodes"].as_array().unwrap();
    assert_eq!(runs.len(), 1, "{object:#}");
    &runs[0]
}

#[tokio::test]
async fn a_program_that_never_gets_ready_has_its_outcome() {
    let ledger = odd_ledger("run = \"odd\"", "");
    ledger.write(
        "odd/bootstrap",
        "#!/bin/sh\necho before the end >&2\nexit 3\n",
    );
    let server = ledger.start().await;
    server
        .client()
        .put("inbox", "a.txt", "x".into())
        .await
        .unwrap();
    let object = server.settled("inbox", "a.txt").await;
    check(
        &object,
        "FAILED",
        "FAILED",
        "Runtime.InitError",
        "exit status 3",
    );
    let logs = run_of(&object)["attempts"][0]["logs"].as_str().unwrap();
    assert!(logs.starts_with("before the end\nINIT_REPORT "), "{logs}");
}

const RETRY: &str = r#"{
  "StartAt": "Try",
  "States": {
    "Try": {
      "Type": "Task",
      "Resource": "arn:aws:lambda:us-east-1:000000000000:function:odd",
      "Retry": [
        { "ErrorEquals": ["Flaky"], "IntervalSeconds": 1, "MaxAttempts": 4, "BackoffRate": 1.0 }
      ],
      "End": true
    }
  }
}"#;

#[tokio::test]
async fn what_fails_twice_is_tried_a_third_time() {
    let ledger = odd_ledger("definition = \"retry.asl.json\"", "");
    ledger.write("retry.asl.json", RETRY);
    let tries = ledger.path("tries");
    let config = std::fs::read_to_string(ledger.config()).unwrap();
    let environment = format!("environment = {{ TRIES = {tries:?} }}");
    let config = config.replace("code = \"odd\"", &format!("code = \"odd\"\n{environment}"));
    ledger.write("daybook.toml", config);
    let server = ledger.start().await;
    let s3 = server.client();
    s3.put("inbox", "flaky.txt", "x".into()).await.unwrap();
    let object = server.settled("inbox", "flaky.txt").await;
    let run = run_of(&object);
    assert_eq!(run["status"], "SUCCEEDED", "{object:#}");
    assert_eq!(run["output"], "at last", "{object:#}");
    let attempts = run["attempts"].as_array().unwrap().iter();
    let attempts: Vec<_> = attempts
        .map(|attempt| {
            let text = |name: &str| attempt[name].as_str().unwrap_or_default().to_owned();
            (
                attempt["attempt"].as_u64().unwrap(),
                text("status"),
                text("error"),
            )
        })
        .collect();
    let expected = [
        (1, "FAILED".to_owned(), "Flaky".to_owned()),
        (2, "FAILED".to_owned(), "Flaky".to_owned()),
        (3, "SUCCEEDED".to_owned(), String::new()),
    ];
    assert_eq!(attempts, expected, "{object:#}");
    assert_eq!(server.events(&["RetryScheduled"]).await.len(), 2);
    // An error that no retrier names is not tried again.
    s3.put("inbox", "throw.txt", "x".into()).await.unwrap();
    let object = server.settled("inbox", "throw.txt").await;
    check(&object, "FAILED", "FAILED", "ValueError", "no good");
}
