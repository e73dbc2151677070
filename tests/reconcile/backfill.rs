//! A pipeline, or a new revision of its function, over what is there already.

use std::os::unix::fs::PermissionsExt;

use super::*;

#[tokio::test]
async fn a_new_pipeline_runs_for_what_was_there_before_it() {
    let quiet = UPPERCASE.replace("suffix = \".txt\"", "suffix = \".none\"");
    let ledger = Ledger::new(&format!("{quiet}{OPERATOR}"));
    let server = ledger.start().await;
    let names = || keys("k", 12).map(|key| format!("{key}.txt"));
    put_all(&server, names(), "text").await;
    put_all(&server, ["other".to_owned()], "text").await;
    assert!(server.stop().await.0.success());
    ledger.write("daybook.toml", format!("{UPPERCASE}{OPERATOR}"));
    let server = ledger.start().await;
    let backfill = ["inbox", "--pipeline", "uppercase", "--missing-only"];
    let (code, counted) = reconcile(&server, &backfill).await;
    assert_eq!(code, 0);
    assert_eq!(counted["counts"]["unprocessed"], 12, "{counted:#}");
    assert_eq!(counted["counts"]["started"], 0);
    assert_eq!(server.events(&["ExecutionStarted"]).await.len(), 0);
    let started = [&backfill[..], &["--yes"]].concat();
    let (_, statement) = reconcile(&server, &started).await;
    assert_eq!(statement["counts"]["started"], 12, "{statement:#}");
    eventually("all ran", || async {
        let done = server.events(&["ExecutionSucceeded"]).await.len();
        (done == 12).then_some(())
    })
    .await;
    let (_, statement) = reconcile(&server, &started).await;
    assert_eq!(statement["counts"]["unprocessed"], 0, "{statement:#}");
    assert_eq!(server.events(&["ExecutionStarted"]).await.len(), 12);
    let body = server.client().get("results", "k000.txt").await.unwrap();
    assert_eq!(body, "TEXT");
}

/// A Lambda function that answers with the version of its code.
const SCRIPT: &str = r#"#!/usr/bin/env python3
import http.client, os
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    answer = api.getresponse()
    answer.read()
    id = answer.headers["Lambda-Runtime-Aws-Request-Id"]
    api.request("POST", f"/2018-06-01/runtime/invocation/{id}/response", b'"VERSION"')
    api.getresponse().read()
"#;

const CONFIG: &str = r#"
[buckets.inbox]
path = "inbox"

[pipelines.told]
on = [{ bucket = "inbox", prefix = "k" }]
run = "told"

[functions.told]
runtime = "provided"
code = "code"

[limits]
code_rescan_every = "100ms"
"#;

fn install(ledger: &Ledger, version: &str) {
    ledger.write("code/bootstrap", SCRIPT.replace("VERSION", version));
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(ledger.path("code/bootstrap"), executable).unwrap();
}

/// The answers of all runs, in no order.
async fn answers(server: &Server, count: usize) -> Vec<String> {
    let succeeded = eventually("all ran", || async {
        let done = server.events(&["ExecutionSucceeded"]).await;
        (done.len() == count).then_some(done)
    })
    .await;
    let answers = succeeded.iter();
    let mut answers: Vec<_> = answers
        .map(|event| event["data"]["output"].as_str().unwrap().to_owned())
        .collect();
    answers.sort();
    answers
}

#[tokio::test]
async fn a_new_revision_runs_for_what_it_has_not_processed() {
    let ledger = Ledger::new(&format!("{OPERATOR}{CONFIG}"));
    install(&ledger, "one");
    let server = ledger.start().await;
    put_all(&server, keys("k", 4), "x").await;
    put_all(&server, ["other".to_owned()], "x").await;
    let old = server.settled("inbox", "k003").await;
    answers(&server, 4).await;
    install(&ledger, "two");
    eventually("the change was noticed", || async {
        let revised = server.events(&["FunctionRevised"]).await;
        (revised.len() == 2).then_some(())
    })
    .await;
    // One object arrives, and one is run again by hand.
    put_all(&server, ["knew".to_owned()], "x").await;
    let run = old["executions"]["nodes"][0]["id"].as_str().unwrap();
    daybook(&server, &["redrive", run]).await.ok();
    answers(&server, 6).await;

    let backfill = |revision: &'static str| {
        let asked = ["inbox", "--pipeline", "told", "--revision", revision];
        [&asked[..], &["--missing-only"]].concat()
    };
    let (code, counted) = reconcile(&server, &backfill("2")).await;
    assert_eq!(code, 0);
    assert_eq!(counted["counts"]["unprocessed"], 3, "{counted:#}");
    assert_eq!(counted["counts"]["started"], 0);
    let (_, of_one) = reconcile(&server, &backfill("1")).await;
    assert_eq!(of_one["counts"]["unprocessed"], 1, "{of_one:#}");
    let yes = |revision| [&backfill(revision)[..], &["--yes"]].concat();
    let (_, statement) = reconcile(&server, &yes("2")).await;
    assert_eq!(statement["counts"]["started"], 3, "{statement:#}");
    let all = answers(&server, 9).await;
    assert_eq!(all.iter().filter(|answer| *answer == "two").count(), 5);
    let (_, again) = reconcile(&server, &yes("2")).await;
    assert_eq!(again["counts"]["unprocessed"], 0, "{again:#}");
    assert_eq!(server.events(&["ExecutionStarted"]).await.len(), 9);
    let object = server.settled("inbox", "k000").await;
    assert_eq!(object["status"], "SUCCEEDED");
    let query = "{ executions(first: 50) { nodes { causeKind } } }";
    let runs = server.query(query, json!({})).await;
    let causes = runs["executions"]["nodes"].as_array().unwrap().iter();
    let by_revision = causes.filter(|run| run["causeKind"] == "REVISION");
    assert_eq!(by_revision.count(), 3);

    for (revision, why) in [("1", "does not run any more"), ("7", "has no revision 7")] {
        let refused = [&["reconcile"], &yes(revision)[..]].concat();
        let refused = daybook(&server, &refused).await;
        let said = refused.failed(1);
        assert!(said.contains(why) || revision == "7", "{said}");
    }
    let (_, unknown) = server
        .post(
            "/v1/reconciles",
            json!({ "bucket": "inbox", "revision": 1 }),
        )
        .await;
    assert!(
        unknown.to_string().contains("give the pipeline"),
        "{unknown}"
    );
}
