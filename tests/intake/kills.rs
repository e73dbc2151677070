//! `kill -9` while stores deliver: what was acknowledged is in the log, and what is delivered again
//! is known.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::{record, verdicts};
use crate::support::seeds::{Random, number, seed_of_now};
use crate::support::{Ledger, Server};

/// How many deliver at the same time.
const SENDERS: usize = 4;

/// The kill follows at most so long after the round began.
const KILL_WITHIN_MS: u64 = 400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_and_repeats_are_known() {
    let rounds = number("DAYBOOK_TEST_CRASH_ROUNDS", 6);
    let seed = number("DAYBOOK_TEST_SEED", seed_of_now());
    println!("DAYBOOK_TEST_SEED={seed} ({rounds} rounds)");
    let mut random = Random(seed);
    let ledger = Ledger::uppercase();
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    for round in 0..rounds {
        let server = ledger.start().await;
        let mut senders = tokio::task::JoinSet::new();
        for sender in 0..SENDERS {
            let url = format!("{}/v1/notifications", server.api);
            senders.spawn(send(url, round, sender, acknowledged.clone()));
        }
        let pause = 50 + random.below(KILL_WITHIN_MS);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        server.kill().await;
        while senders.join_next().await.is_some() {}
    }
    let server = ledger.start().await;
    let acknowledged = acknowledged.lock().unwrap().clone();
    assert!(!acknowledged.is_empty(), "something was acknowledged");
    let recorded = recorded(&server).await;
    for key in &acknowledged {
        assert!(
            recorded.contains(key),
            "{key} was acknowledged and is not in the log"
        );
    }
    // After the restart, each of them is a duplicate.
    for keys in acknowledged.iter().collect::<Vec<_>>().chunks(50) {
        let records: Vec<_> = keys.iter().map(|key| arrival(key)).collect();
        let (status, answer) = server
            .post("/v1/notifications", json!({ "Records": records }))
            .await;
        assert_eq!(status, 200);
        assert!(
            verdicts(&answer).iter().all(|it| *it == "duplicate"),
            "{answer:#}"
        );
    }
}

fn arrival(key: &str) -> Value {
    record("ObjectCreated:Put", "ord", key, "01", "x")
}

/// Delivers until the server is gone, and notes what was acknowledged.
async fn send(url: String, round: u64, sender: usize, acknowledged: Arc<Mutex<BTreeSet<String>>>) {
    let http = reqwest::Client::new();
    for batch in 0_u32.. {
        let keys: Vec<_> = (0..10)
            .map(|at| format!("r{round}-s{sender}-b{batch}-{at}"))
            .collect();
        let records: Vec<_> = keys.iter().map(|key| arrival(key)).collect();
        let request = http.post(&url).json(&json!({ "Records": records }));
        match request.send().await {
            Ok(response) if response.status() == 200 => {
                acknowledged.lock().unwrap().extend(keys);
            }
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

/// The keys of the arrivals in the log, each of which must be there once.
async fn recorded(server: &Server) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for event in server.events(&["ObjectCreated"]).await {
        let key = event["stream"].as_str().unwrap().replace("object-ord/", "");
        assert!(keys.insert(key.clone()), "{key} was recorded twice");
    }
    keys
}
