//! Several processes on one PostgreSQL log: they share the work, and whatever happens to one of
//! them, nothing is lost and nothing has two outcomes.

mod kills;
mod lapse;
mod sharing;

use std::collections::BTreeMap;

use daybook_event_store::testing::postgres::TestDatabase;
use serde_json::Value;

use crate::support::checks::{TERMINAL, created, of_type};
use crate::support::{Ledger, OPERATOR, Server, UPPERCASE, eventually};

/// The roles of a process that takes in objects and runs functions.
const WORKER: &str = "command,functions";

/// A lease short enough to wait for.
const LEASE: &str = "3s";

/// The tables of a config whose ledger is in this database.
fn store(database: &TestDatabase) -> String {
    format!(
        "{OPERATOR}\n[store]\nurl = \"{}\"\n\n[limits]\nworker_lease = \"{LEASE}\"\n",
        database.url()
    )
}

/// `inbox`, `results` and the built-in `uppercase`, in this database.
fn uppercase(database: &TestDatabase) -> Ledger {
    Ledger::new(&format!("{UPPERCASE}{}", store(database)))
}

/// The whole log, once each of so many versions in `inbox` has a run that ended.
async fn quiet_log(query: &Server, versions: usize) -> Vec<Value> {
    eventually("all that arrived was processed", || async {
        let arrived = created(&query.events(&["ObjectCreated"]).await, "inbox").len();
        let ended = query.events(&TERMINAL).await.len();
        (arrived >= versions && ended >= arrived).then_some(())
    })
    .await;
    query.events(&[]).await
}

/// How many attempts each worker has claimed.
fn claims(log: &[Value]) -> BTreeMap<String, usize> {
    let mut claims = BTreeMap::new();
    for event in of_type(log, "TaskStarted") {
        let worker = event["data"]["worker"].as_str().unwrap().to_owned();
        *claims.entry(worker).or_default() += 1;
    }
    claims
}

/// What a process that was stopped in order says of its claims: won and lost.
fn told_claims(said: &str) -> (u64, u64) {
    let line = said
        .lines()
        .find_map(|line| line.strip_prefix("attempts claimed: "))
        .unwrap_or_else(|| panic!("it says nothing of its claims:\n{said}"));
    let (won, lost) = line.split_once(", lost to other workers: ").unwrap();
    (won.parse().unwrap(), lost.parse().unwrap())
}
