//! A worker that stands still past its lease is taken for gone; when it goes on, it is too late.

use std::os::unix::fs::PermissionsExt;

use daybook_event_store::testing::postgres::TestDatabase;
use rustix::process::Signal;
use serde_json::Value;

use super::{WORKER, store, uppercase};
use crate::support::checks::{check_log, of_type};
use crate::support::{Ledger, Server, eventually};

/// The handler waits for a file before it answers.
const ODD: &str = include_str!("../hostile/odd.py");

/// `SIGSTOP`, past the lease, `SIGCONT`: the other one's outcome is the only one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_was_stopped_past_its_lease_records_nothing() {
    let database = TestDatabase::create().await;
    let ledger = waiting(&database);
    let workers = [
        ledger.start_as("a", WORKER).await,
        ledger.start_as("b", WORKER).await,
    ];
    let query = ledger.start_as("query", "query").await;
    both_joined(&query).await;

    workers[0]
        .client()
        .put("inbox", "wait.txt", "x".into())
        .await
        .unwrap();
    let claimed = started(&query, 1).await;
    let first = claimed[0].clone();
    let (owner, other) = match workers[0].workers().contains(&first) {
        true => (&workers[0], &workers[1]),
        false => (&workers[1], &workers[0]),
    };
    owner.signal(Signal::STOP);
    let claimed = started(&query, 2).await;
    assert!(other.workers().contains(&claimed[1]), "{claimed:?}");

    owner.signal(Signal::CONT);
    eventually("it begins another life", || async {
        (owner.workers().len() == 2).then_some(())
    })
    .await;
    ledger.write("told/release", "");
    let object = query.settled("inbox", "wait.txt").await;
    assert_eq!(object["status"], "SUCCEEDED");

    // Both work on, the one that was stopped among them.
    let second = owner.workers()[1].clone();
    for number in 0..40 {
        let key = format!("after-{number}.txt");
        owner.client().put("inbox", &key, "x".into()).await.unwrap();
    }
    for number in 0..40 {
        let object = query.settled("inbox", &format!("after-{number}.txt")).await;
        assert_eq!(object["status"], "SUCCEEDED");
    }
    let log = query.events(&[]).await;
    check_log(&log);
    assert!(of_type(&log, "TaskStarted").any(|event| event["data"]["worker"] == *second));
    one_outcome_each(&log);
    let left: Vec<_> = of_type(&log, "WorkerLeft").collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0]["data"]["worker"], *first);
}

/// It had nothing to do when it was stopped, and gets something meanwhile: the other one does that,
/// and when it goes on it learns that it was taken for gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_one_that_was_stopped_comes_back() {
    let database = TestDatabase::create().await;
    let ledger = uppercase(&database);
    let stopped = ledger.start_as("a", WORKER).await;
    let other = ledger.start_as("b", WORKER).await;
    let query = ledger.start_as("query", "query").await;
    both_joined(&query).await;

    stopped.signal(Signal::STOP);
    for number in 0..20 {
        let key = format!("object-{number}.txt");
        other.client().put("inbox", &key, "x".into()).await.unwrap();
    }
    for number in 0..20 {
        let object = query
            .settled("inbox", &format!("object-{number}.txt"))
            .await;
        assert_eq!(object["status"], "SUCCEEDED");
    }
    stopped.signal(Signal::CONT);
    eventually("it begins another life", || async {
        (stopped.workers().len() == 2).then_some(())
    })
    .await;
    drop(other);
    stopped
        .client()
        .put("inbox", "after.txt", "x".into())
        .await
        .unwrap();
    let object = query.settled("inbox", "after.txt").await;
    assert_eq!(object["status"], "SUCCEEDED");
}

async fn both_joined(query: &Server) {
    eventually("both have joined", || async {
        (query.events(&["WorkerJoined"]).await.len() == 2).then_some(())
    })
    .await;
}

/// The workers that claimed, in order, once there are so many claims.
async fn started(query: &Server, count: usize) -> Vec<String> {
    eventually(format!("{count} attempts were claimed"), || async {
        let events = query.events(&["TaskStarted"]).await;
        let workers = events.iter().map(|event| event["data"]["worker"].as_str());
        let workers: Option<Vec<_>> = workers.map(|worker| worker.map(str::to_owned)).collect();
        workers.filter(|workers| workers.len() >= count)
    })
    .await
}

fn one_outcome_each(log: &[Value]) {
    let runs = of_type(log, "ExecutionStarted").count();
    let ends = of_type(log, "ExecutionSucceeded").count();
    assert_eq!((runs, ends), (41, 41));
    assert_eq!(of_type(log, "TaskSucceeded").count(), 41);
    assert_eq!(of_type(log, "TaskInterrupted").count(), 1);
}

fn waiting(database: &TestDatabase) -> Ledger {
    let config = format!(
        r#"
[buckets.inbox]
path = "inbox"

[pipelines.odd]
on = [{{ bucket = "inbox", suffix = ".txt" }}]
run = "odd"

[functions.odd]
runtime = "provided"
code = "odd"
readable = ["told"]
environment = {{ RELEASE = "RELEASE-FILE" }}
timeout = "5m"
{}"#,
        store(database)
    );
    let ledger = Ledger::new(&config);
    // A folder that is there when the process starts, and that it may read.
    std::fs::create_dir(ledger.path("told")).unwrap();
    let release = ledger.path("told/release").display().to_string();
    ledger.write("daybook.toml", config.replace("RELEASE-FILE", &release));
    ledger.write("odd/bootstrap", ODD);
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(ledger.path("odd/bootstrap"), executable).unwrap();
    ledger
}
