//! `kill -9` of workers that share a log, at random moments: nothing that was acknowledged is
//! missing, and each run has one outcome.
//!
//! A longer run: `DAYBOOK_TEST_SHARED_ROUNDS=30`. Each run prints its seed; `DAYBOOK_TEST_SEED`
//! sets it.

use std::collections::BTreeMap;
use std::time::Duration;

use daybook_event_store::testing::postgres::TestDatabase;
use daybook_s3_gateway::client::S3ClientError;
use futures::future::join_all;

use super::{WORKER, quiet_log, uppercase};
use crate::support::checks::{check_executions, check_log, of_type};
use crate::support::seeds::{Random, number, seed_of_now};
use crate::support::{Server, eventually};

const WORKERS: usize = 3;
const OBJECTS_A_ROUND: u64 = 40;
/// The kill follows at most so long after the objects of its round were let go.
const KILL_WITHIN_MS: u64 = 600;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_any_of_them_loses_nothing() {
    let rounds = number("DAYBOOK_TEST_SHARED_ROUNDS", 4);
    let seed = number("DAYBOOK_TEST_SEED", seed_of_now());
    println!("DAYBOOK_TEST_SEED={seed} ({rounds} rounds)");
    let mut random = Random(seed);
    let database = TestDatabase::create().await;
    let ledger = uppercase(&database);
    let query = ledger.start_as("query", "query").await;
    let mut workers: BTreeMap<usize, Server> = BTreeMap::new();
    for worker in 0..WORKERS {
        workers.insert(worker, ledger.start_as(&format!("w{worker}"), WORKER).await);
    }

    let mut acknowledged = Vec::new();
    for round in 0..rounds {
        let clients: Vec<_> = workers.values().map(Server::client).collect();
        let puts = (0..OBJECTS_A_ROUND).map(|object| {
            let s3 = clients[usize::try_from(object).unwrap() % clients.len()].clone();
            tokio::spawn(async move {
                let key = format!("round-{round}/object-{object}.txt");
                match s3.put("inbox", &key, format!("text of {key}").into()).await {
                    Ok(()) => Some(key),
                    Err(S3ClientError::Transport { .. }) => None,
                    Err(error) => panic!("{error}"),
                }
            })
        });
        let puts: Vec<_> = puts.collect();
        tokio::time::sleep(Duration::from_millis(random.below(KILL_WITHIN_MS))).await;
        let victim = usize::try_from(random.below(WORKERS as u64)).unwrap();
        workers.remove(&victim).unwrap().kill().await;
        for put in join_all(puts).await {
            acknowledged.extend(put.unwrap());
        }
        let again = ledger.start_as(&format!("w{victim}"), WORKER).await;
        workers.insert(victim, again);
    }

    let log = quiet_log(&query, acknowledged.len()).await;
    check_log(&log);
    let runs = check_executions(&log);
    println!(
        "{} acknowledged, {} runs, {} attempts interrupted, {} workers taken for gone",
        acknowledged.len(),
        runs.len(),
        of_type(&log, "TaskInterrupted").count(),
        of_type(&log, "WorkerLeft").count(),
    );
    for key in &acknowledged {
        assert!(runs.keys().any(|(run, _)| run == key), "{key} has no run");
    }
    let s3 = workers[&0].client();
    for (key, _) in runs.keys() {
        let result = s3.get("results", key).await.unwrap();
        assert_eq!(result, format!("TEXT OF {}", key.to_uppercase()).as_bytes());
    }
    for (_, worker) in workers {
        let (status, _) = worker.stop().await;
        assert!(status.success(), "{status}");
    }
    eventually("no function outlives its host", || async {
        ledger.function_processes().is_empty().then_some(())
    })
    .await;
}
