//! `daybook redrive --shadow`: an execution runs again, and nothing changes but what lies below its
//! prefix.

use serde_json::json;

use super::{newest, run, script_ledger};
use crate::support::checks::{created, of_type};
use crate::support::clients::daybook;
use crate::support::{OPERATOR, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_run_leaves_everything_as_it_was() {
    let ledger = script_ledger("on-success", OPERATOR);
    let server = ledger.start().await;
    let s3 = server.client();
    s3.put("results", "gone.bin", "real".into()).await.unwrap();
    let steps = json!([
        ["list"],
        ["put", "a.txt", "mine"],
        ["get", "a.txt"],
        ["delete", "gone.bin"],
        ["get", "gone.bin"],
        ["list"],
        ["fail once"],
        ["put", "late.txt", "late"],
    ]);
    ledger.write("once", "");
    run(&server, "y.json", steps).await;
    let settled = server.settled("inbox", "y.json").await;
    assert_eq!(newest(&settled)["status"], "SUCCEEDED", "{settled:#}");
    server.settled("results", "a.txt").await;
    server.settled("results", "late.txt").await;
    let id = newest(&settled)["id"].as_str().unwrap().to_owned();
    s3.put("results", "gone.bin", "back".into()).await.unwrap();
    let before = eventually("the log has what was put back", || async {
        let log = server.events(&[]).await;
        let outputs = created(&log, "results").into_iter();
        let put = outputs.filter(|event| event["data"]["key"] == "gone.bin");
        (put.count() == 2).then_some(log)
    })
    .await;
    let downstream = of_type(&before, "ExecutionStarted").count();

    let said = daybook(&server, &["redrive", &id, "--shadow"]).await.ok();
    let prefix = said.trim().rsplit(' ').next().unwrap().to_owned();
    let shadow = prefix
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap()
        .to_owned();
    assert_eq!(prefix, format!("shadow/{shadow}/"), "{said}");
    let execution = eventually("the shadow is over", || async {
        let answer = server.query(EXECUTION, json!({ "id": shadow })).await;
        let execution = answer["execution"].clone();
        let status = execution["status"].as_str()?.to_owned();
        (!matches!(&*status, "PENDING" | "RUNNING")).then_some(execution)
    })
    .await;
    assert_eq!(execution["status"], "SUCCEEDED", "{execution:#}");
    assert_eq!(execution["shadow"], prefix);
    let own = json!([
        ["a.txt", "gone.bin", "late.txt"],
        200,
        "mine",
        204,
        404,
        ["a.txt", "late.txt"],
        "not again",
        200
    ]);
    assert_eq!(execution["output"], own);
    let written: Vec<_> = execution["writtenObjects"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    let keys: Vec<_> = written
        .iter()
        .map(|it| it["key"].as_str().unwrap())
        .collect();
    assert_eq!(
        keys,
        [format!("{prefix}a.txt"), format!("{prefix}late.txt")]
    );

    let apart = s3.get("results", &format!("{prefix}a.txt")).await.unwrap();
    assert_eq!(apart, "mine".as_bytes());
    assert_eq!(
        s3.get("results", "gone.bin").await.unwrap(),
        "back".as_bytes()
    );
    let after = server.events(&[]).await;
    let outside = |log: &[serde_json::Value]| {
        let all = created(log, "results").into_iter();
        let keys = all.map(|event| event["data"]["key"].as_str().unwrap().to_owned());
        keys.filter(|key| !key.starts_with("shadow/")).count()
    };
    assert_eq!(outside(&after), outside(&before));
    assert_eq!(
        of_type(&after, "ObjectRemoved").count(),
        of_type(&before, "ObjectRemoved").count()
    );
    assert_eq!(
        of_type(&after, "ExecutionStarted").count(),
        downstream + 1,
        "nothing follows"
    );
    let shown = daybook(&server, &["show", &shadow]).await.ok();
    assert!(shown.contains(&format!("goes below {prefix}")), "{shown}");
    let unmatched = server.settled("results", &format!("{prefix}a.txt")).await;
    assert_eq!(unmatched["status"], "UNMATCHED");
    let (status, report) = server.post("/v1/projections/all/rebuild", json!({})).await;
    assert_eq!(
        (status, &report["equal"]),
        (200, &json!(true)),
        "{report:#}"
    );
}

/// Of a shadow's failure its object hears as little as of its success.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_does_not_mend_its_object() {
    let ledger = script_ledger("immediately", OPERATOR);
    let server = ledger.start().await;
    run(
        &server,
        "x.json",
        json!([["put", "a.bin", "x"], ["get", "a.bin"], ["fail"]]),
    )
    .await;
    let object = server.settled("inbox", "x.json").await;
    assert_eq!(object["status"], "FAILED");
    let id = newest(&object)["id"].as_str().unwrap();
    // What it wrote before it failed is there, and says so.
    let variables = json!({ "bucket": "results", "key": "a.bin" });
    let written = server.query(PRODUCER, variables).await;
    assert_eq!(written["object"]["producedBy"]["attemptStatus"], "FAILED");
    let shown = daybook(&server, &["show", "s3://results/a.bin"]).await.ok();
    assert!(shown.contains(", which ended FAILED"), "{shown}");
    // Told to do something else, the same run succeeds.
    let script = super::SCRIPT.replace("raise RuntimeError(\"told to fail\")", "return \"mended\"");
    ledger.write("script/bootstrap", script);
    assert!(server.stop().await.0.success());
    let server = ledger.start().await;
    let path = format!("/v1/executions/{id}/redrive");
    let (status, answer) = server.post(&path, json!({ "shadow": true })).await;
    assert_eq!(status, 201, "{answer:#}");
    let shadow = answer["execution"].as_str().unwrap();
    assert_eq!(answer["shadow"], format!("shadow/{shadow}/"));
    eventually("the shadow succeeded", || async {
        let answer = server.query(EXECUTION, json!({ "id": shadow })).await;
        (answer["execution"]["status"] == "SUCCEEDED").then_some(())
    })
    .await;
    assert_eq!(server.settled("inbox", "x.json").await["status"], "FAILED");
    let (status, answer) = server.post(&path, json!({})).await;
    assert_eq!((status, &answer["shadow"]), (201, &json!(null)));
    eventually("a real one does mend it", || async {
        (server.settled("inbox", "x.json").await["status"] == "SUCCEEDED").then_some(())
    })
    .await;
}

const PRODUCER: &str = r"
query ($bucket: String!, $key: String!) {
  object(bucket: $bucket, key: $key) { producedBy { attemptStatus } }
}";

const EXECUTION: &str = r"
query ($id: ID!) {
  execution(id: $id) { status shadow output writtenObjects { key } }
}";
