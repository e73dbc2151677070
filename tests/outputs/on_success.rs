//! `publish = "on-success"`: whoever sees that an attempt succeeded finds its outputs, and nobody
//! ever finds those of another one; across `kill -9` at any moment.
//!
//! A longer run: `DAYBOOK_TEST_CRASH_ROUNDS=50 DAYBOOK_TEST_CRASH_OBJECTS=1000`. Each run prints its
//! seed; `DAYBOOK_TEST_SEED` sets it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use daybook_event_store::testing::postgres::TestDatabase;
use daybook_s3_gateway::client::S3ClientError;
use serde_json::{Value, json};

use super::{newest, run, script_ledger};
use crate::support::checks::{
    TERMINAL, check_executions, check_log, complaints_of, created, of_type,
};
use crate::support::clients::daybook;
use crate::support::seeds::{Random, number, seed_of_now};
use crate::support::{Ledger, OPERATOR, Server, UPPERCASE, eventually, files_below};

/// Outputs of one attempt: so many that publishing them takes a while.
const MANY: usize = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_attempt_that_succeeds_has_outputs() {
    let ledger = script_ledger("on-success", OPERATOR);
    let server = ledger.start().await;
    let steps = json!([
        ["put", "a.txt", "one"],
        ["put", "b.txt", "two"],
        ["get", "a.txt"],
        ["list"],
        ["fail once"],
    ]);
    run(&server, "x.json", steps).await;
    let object = server.settled("inbox", "x.json").await;
    let run = newest(&object);
    assert_eq!(run["status"], "SUCCEEDED", "{object:#}");
    let own = json!([200, 200, "one", ["a.txt", "b.txt"], "not again"]);
    assert_eq!(run["output"], own, "it saw what it had written");
    for (key, text) in [("a.txt", "ONE"), ("b.txt", "TWO")] {
        server.settled("results", key).await;
        let archived = server.client().get("archive", key).await.unwrap();
        assert_eq!(archived, text.as_bytes());
    }

    let log = server.events(&[]).await;
    let outputs = created(&log, "results");
    assert_eq!(outputs.len(), 2, "one version of each");
    for event in &outputs {
        assert_eq!(event["data"]["produced_by"]["attempt"], 2, "{event:#}");
    }
    let downstream = of_type(&log, "ExecutionStarted");
    let downstream = downstream.filter(|event| event["data"]["pipeline"] == "second");
    assert_eq!(downstream.count(), 2, "each starts what follows once");
    let at = |name: &str| of_type(&log, name).next().unwrap()["position"].as_u64();
    let published = outputs.iter().map(|event| event["position"].as_u64());
    assert!(
        published
            .clone()
            .all(|position| position > at("TaskCommitted"))
    );
    assert!(
        published
            .clone()
            .all(|position| position < at("TaskSucceeded"))
    );

    let id = run["id"].as_str().unwrap();
    let lineage = server.query(LINEAGE, json!({ "id": id })).await;
    let keys = |field: &str| {
        let accesses = lineage["execution"][field].as_array().unwrap().clone();
        let of = |access: Value| (access["key"].clone(), access["attempt"].clone());
        accesses.into_iter().map(of).collect::<Vec<_>>()
    };
    let both = |attempt: u32| {
        vec![
            (json!("a.txt"), json!(attempt)),
            (json!("b.txt"), json!(attempt)),
        ]
    };
    assert_eq!(keys("writtenObjects"), both(2));
    assert_eq!(keys("unpublishedObjects"), both(1));
    let shown = daybook(&server, &["show", id]).await.ok();
    assert!(shown.contains("staged s3://results/a.txt"), "{shown}");
    assert!(shown.contains("outputs are being published"), "{shown}");
    assert!(shown.contains("wrote s3://results/a.txt"), "{shown}");
    let staged = files_below(&ledger.path("results/.daybook/staged"));
    assert!(staged.is_empty(), "{staged:?}");
    let (status, report) = server.post("/v1/projections/all/rebuild", json!({})).await;
    assert_eq!(
        (status, &report["equal"]),
        (200, &json!(true)),
        "{report:#}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_outputs_nothing_is_to_be_published() {
    let ledger = script_ledger("on-success", OPERATOR);
    let server = ledger.start().await;
    run(&server, "none.json", json!([["get", "absent"]])).await;
    let object = server.settled("inbox", "none.json").await;
    assert_eq!(newest(&object)["output"], json!([404]));
    run(
        &server,
        "fails.json",
        json!([["put", "a.txt", "one"], ["fail"]]),
    )
    .await;
    let object = server.settled("inbox", "fails.json").await;
    assert_eq!(newest(&object)["status"], "FAILED");
    let log = server.events(&[]).await;
    assert_eq!(of_type(&log, "TaskCommitted").count(), 0);
    assert!(created(&log, "results").is_empty());
    assert!(server.client().get("results", "a.txt").await.is_err());
}

/// Killed while it publishes, the next start goes on with that, and runs nothing again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_decided_is_published_after_a_kill() {
    let ledger = script_ledger("on-success", OPERATOR);
    let server = ledger.start().await;
    run(&server, "many.json", json!([["puts", "many/", MANY]])).await;
    decided(&server).await;
    server.kill().await;
    println!("{} were published before", outputs_in(&ledger));

    let server = ledger.start().await;
    let object = server.settled("inbox", "many.json").await;
    assert_eq!(newest(&object)["status"], "SUCCEEDED", "{object:#}");
    all_published_once(&ledger, &server).await;
}

/// The worker that published is killed; another one on the same log and folders goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_decided_is_published_by_whoever_takes_over() {
    let database = TestDatabase::create().await;
    let store = format!("[store]\nurl = \"{}\"\n", database.url());
    let limits = "[limits]\nworker_lease = \"3s\"\n";
    let ledger = script_ledger("on-success", &format!("{OPERATOR}\n{store}\n{limits}"));
    let query = ledger.start_as("query", "query").await;
    let first = ledger.start_as("first", "command,functions").await;
    run(&first, "many.json", json!([["puts", "many/", MANY]])).await;
    eventually("it runs", || async {
        (!query.events(&["TaskStarted"]).await.is_empty()).then_some(())
    })
    .await;
    let second = ledger.start_as("second", "command,functions").await;
    decided(&query).await;
    first.kill().await;
    println!("{} were published before", outputs_in(&ledger));

    let object = query.settled("inbox", "many.json").await;
    assert_eq!(newest(&object)["status"], "SUCCEEDED", "{object:#}");
    all_published_once(&ledger, &query).await;
    assert_eq!(complaints_of(&second), Vec::<String>::new());
}

/// Kills at random moments, under load: in the end each run has the outputs of the one attempt that
/// succeeded, and nothing of any other was ever to be seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_at_any_moment_leave_the_outputs_of_successes_alone() {
    let rounds = number("DAYBOOK_TEST_CRASH_ROUNDS", 6);
    let objects = number("DAYBOOK_TEST_CRASH_OBJECTS", 150).div_ceil(rounds);
    let seed = number("DAYBOOK_TEST_SEED", seed_of_now());
    println!("DAYBOOK_TEST_SEED={seed} ({rounds} rounds of {objects} objects)");
    let mut random = Random(seed);
    let on_success = "write = [\"results/*\"]\npublish = \"on-success\"";
    let config = UPPERCASE.replace("write = [\"results/*\"]", on_success);
    let ledger = Ledger::new(&format!("{config}{OPERATOR}"));
    for round in 0..rounds {
        let server = ledger.start().await;
        let puts = (0..objects).map(|object| {
            let s3 = server.client();
            tokio::spawn(async move {
                let key = format!("round-{round}/object-{object}.txt");
                let text = format!("text {object} of {round}");
                match s3.put("inbox", &key, text.into()).await {
                    Ok(()) | Err(S3ClientError::Transport { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            })
        });
        let puts: Vec<_> = puts.collect();
        tokio::time::sleep(Duration::from_millis(random.below(1_500))).await;
        server.kill().await;
        for put in puts {
            put.await.unwrap();
        }
    }
    let server = ledger.start().await;
    eventually("all that arrived was processed", || async {
        let arrived = created(&server.events(&["ObjectCreated"]).await, "inbox").len();
        let ended = server.events(&TERMINAL).await.len();
        (ended >= arrived).then_some(())
    })
    .await;
    let log = server.events(&[]).await;
    println!(
        "{} runs, {} attempts interrupted, {} outcomes decided first",
        of_type(&log, "ExecutionSucceeded").count(),
        of_type(&log, "TaskInterrupted").count(),
        of_type(&log, "TaskCommitted").count(),
    );
    check_log(&log);
    check_executions(&log);
    let (mut decided, mut succeeded) = (BTreeMap::new(), BTreeMap::new());
    for event in &log {
        let outcomes = match event["type"].as_str().unwrap() {
            "TaskCommitted" => &mut decided,
            "TaskSucceeded" => &mut succeeded,
            _ => continue,
        };
        let execution = event["stream"].as_str().unwrap().replace("execution-", "");
        let outcome = (&event["data"]["attempt"], event["position"].as_u64());
        assert_eq!(outcomes.insert(execution, outcome), None, "{event:#}");
    }
    for event in created(&log, "results") {
        let (by, position) = (&event["data"]["produced_by"], event["position"].as_u64());
        let execution = by["execution"].as_str().unwrap();
        let (attempt, decided_at) = decided[execution];
        assert_eq!(
            by["attempt"], *attempt,
            "an attempt that came to nothing: {event:#}"
        );
        assert!(
            position > decided_at && position < succeeded[execution].1,
            "{event:#}"
        );
    }
    let outputs = created(&log, "results");
    let keys: BTreeSet<_> = outputs
        .iter()
        .map(|it| it["data"]["key"].as_str())
        .collect();
    assert_eq!(
        (keys.len(), outputs.len()),
        (succeeded.len(), succeeded.len())
    );
    for key in keys.into_iter().flatten() {
        let text = server.client().get("inbox", key).await.unwrap();
        let result = server.client().get("results", key).await.unwrap();
        assert_eq!(result, text.to_ascii_uppercase(), "{key}");
    }
    server.stop().await;
    // What nobody came round to removing is removed at the next start.
    let server = ledger.start().await;
    eventually("nothing is left aside", || async {
        files_below(&ledger.path("results/.daybook/staged"))
            .is_empty()
            .then_some(())
    })
    .await;
    assert_eq!(complaints_of(&server), Vec::<String>::new());
}

async fn decided(server: &Server) {
    eventually("its success is on record", || async {
        (!server.events(&["TaskCommitted"]).await.is_empty()).then_some(())
    })
    .await;
}

fn outputs_in(ledger: &Ledger) -> usize {
    files_below(&ledger.path("results/many")).len()
}

async fn all_published_once(ledger: &Ledger, server: &Server) {
    let log = server.events(&[]).await;
    assert_eq!(of_type(&log, "TaskStarted").count(), 1, "it ran once");
    assert_eq!(of_type(&log, "TaskSucceeded").count(), 1);
    assert_eq!(created(&log, "results").len(), MANY);
    assert_eq!(outputs_in(ledger), MANY);
    eventually("nothing is left aside", || async {
        files_below(&ledger.path("results/.daybook/staged"))
            .is_empty()
            .then_some(())
    })
    .await;
}

const LINEAGE: &str = r"
query ($id: ID!) {
  execution(id: $id) {
    writtenObjects { key attempt }
    unpublishedObjects { key attempt }
  }
}";
