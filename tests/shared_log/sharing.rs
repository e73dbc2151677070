//! The processes share the work, and the roles can be apart.

use daybook_event_store::testing::postgres::TestDatabase;
use futures::future::join_all;

use super::{WORKER, claims, quiet_log, told_claims, uppercase};
use crate::support::checks::{check_executions, check_log, complaints_of};
use crate::support::eventually;

const WORKERS: usize = 4;
const OBJECTS: usize = 200;

/// Objects are put at each of them in turn; each of them runs some, whoever took them in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_workers_share_what_comes_in_at_any_of_them() {
    let database = TestDatabase::create().await;
    let ledger = uppercase(&database);
    let names: Vec<String> = (0..WORKERS)
        .map(|worker| format!("worker-{worker}"))
        .collect();
    let workers = join_all(names.iter().map(|name| ledger.start_as(name, WORKER))).await;
    let query = ledger.start_as("query", "query").await;
    all_joined(&query).await;

    let clients: Vec<_> = workers.iter().map(|worker| worker.client()).collect();
    let puts = (0..OBJECTS).map(|number| {
        let s3 = clients[number % WORKERS].clone();
        async move {
            let (key, body) = (format!("object-{number}.txt"), format!("text {number}"));
            s3.put("inbox", &key, body.into()).await.unwrap();
        }
    });
    join_all(puts).await;
    let log = quiet_log(&query, OBJECTS).await;
    check_log(&log);
    assert_eq!(check_executions(&log).len(), OBJECTS);

    let shares = claims(&log);
    println!("{shares:?}");
    assert_eq!(shares.len(), WORKERS, "each of them has its share");
    let (mut won, mut lost) = (0, 0);
    for worker in workers {
        assert_eq!(complaints_of(&worker), Vec::<String>::new());
        let (status, said) = worker.stop().await;
        assert!(status.success(), "{status}");
        let (its_won, its_lost) = told_claims(&said);
        won += its_won;
        lost += its_lost;
    }
    println!("{won} claims won, {lost} lost");
    assert_eq!(won, OBJECTS as u64);
    assert!(
        lost * 20 < won,
        "owners do not collide: {lost} of {won} lost"
    );
}

async fn all_joined(query: &crate::support::Server) {
    eventually("all workers have joined", || async {
        let joined = query.events(&["WorkerJoined"]).await.len();
        (joined >= WORKERS).then_some(())
    })
    .await;
}

/// Commands go to the one kind, questions to the other.
#[tokio::test]
async fn each_side_answers_for_itself() {
    let database = TestDatabase::create().await;
    let ledger = uppercase(&database);
    let worker = ledger.start_as("worker", WORKER).await;
    let query = ledger.start_as("query", "query").await;
    for server in [&worker, &query] {
        assert_eq!(server.get("/livez").await.0, 200);
        eventually("it is ready", || async {
            (server.get("/readyz").await.0 == 200).then_some(())
        })
        .await;
    }
    assert_eq!(worker.get("/graphql").await.0, 404);
    assert_eq!(query.s3, "");
    worker
        .client()
        .put("inbox", "a.txt", "a".into())
        .await
        .unwrap();
    let object = query.settled("inbox", "a.txt").await;
    assert_eq!(object["status"], "SUCCEEDED");
}

/// Its files are its own.
#[tokio::test]
async fn two_processes_with_one_data_directory_are_refused() {
    let database = TestDatabase::create().await;
    let ledger = uppercase(&database);
    let _first = ledger.start().await;
    let (code, said) = ledger.start_refused().await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("another --data-dir"), "{said}");
}
