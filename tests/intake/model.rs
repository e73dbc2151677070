//! Deliveries as stores make them (each up to five times, one in ten lost, out of order) against a
//! simple model: a version is accepted once, and only before something newer of its key; every
//! acceptance runs once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{record, verdicts};
use crate::support::seeds::{Random, number, seed_of_now};
use crate::support::{Ledger, OPERATOR, UPPERCASE, eventually};

/// How far an event may come after one that happened later.
const WINDOW: u64 = 40;

/// What happened at the store, in its order.
#[derive(Clone, Debug)]
struct Happened {
    key: String,
    sequencer: u64,
    removed: bool,
}

#[tokio::test]
async fn a_store_that_repeats_loses_and_reorders_is_understood() {
    let seed = number("DAYBOOK_TEST_SEED", seed_of_now());
    let writes = number("DAYBOOK_TEST_INTAKE_WRITES", 400);
    println!("DAYBOOK_TEST_SEED={seed} ({writes} writes)");
    let mut random = Random(seed);
    let happened: Vec<_> = (0..writes)
        .map(|sequencer| Happened {
            key: format!("k{}.csv", random.below(60)),
            sequencer,
            removed: random.below(8) == 0,
        })
        .collect();
    let mut deliveries = Vec::new();
    for (at, _) in happened.iter().enumerate() {
        if random.below(10) == 0 {
            continue;
        }
        for _ in 0..=random.below(5) {
            deliveries.push((at as u64 + random.below(WINDOW), at));
        }
    }
    deliveries.sort();

    let ledger = Ledger::new(&format!("{UPPERCASE}{OPERATOR}"));
    let server = ledger.start().await;
    let mut highest = BTreeMap::<&str, u64>::new();
    let mut accepted = BTreeSet::new();
    for batch in deliveries.chunks(10) {
        let records: Vec<_> = batch.iter().map(|(_, at)| told(&happened[*at])).collect();
        let body = json!({ "Records": records });
        let (status, answer) = server.post("/v1/notifications", body).await;
        assert_eq!(status, 200, "{answer:#}");
        for ((_, at), verdict) in batch.iter().zip(verdicts(&answer)) {
            let event = &happened[*at];
            let newest = highest.get(event.key.as_str()).copied();
            let expect = match event.removed {
                true => "ignored",
                false if accepted.contains(at) => "duplicate",
                false if newest.is_some_and(|newest| newest > event.sequencer) => "stale",
                false => {
                    accepted.insert(*at);
                    "accepted"
                }
            };
            assert_eq!(verdict, expect, "{event:?} after {newest:?}");
            let newest = newest.unwrap_or(0).max(event.sequencer);
            highest.insert(&event.key, newest);
        }
    }
    let created = server.events(&["ObjectCreated"]).await;
    assert_eq!(created.len(), accepted.len());
    let delivered: BTreeSet<_> = deliveries.iter().map(|(_, at)| *at).collect();
    for (key, newest) in highest {
        let event = delivered
            .iter()
            .map(|at| &happened[*at])
            .find(|event| event.key == key && event.sequencer == newest)
            .unwrap();
        let present = eventually(format!("{key} is in the read model"), || async {
            let query = "query($k: String!) { object(bucket: \"ord\", key: $k) { present } }";
            let answer = server.query(query, json!({ "k": key })).await;
            // A key of which only removals came is no object.
            match &answer["object"] {
                Value::Null => event.removed.then_some(false),
                object => object["present"]
                    .as_bool()
                    .filter(|it| *it != event.removed),
            }
        })
        .await;
        assert_eq!(present, !event.removed);
    }
}

fn told(event: &Happened) -> Value {
    let name = match event.removed {
        true => "ObjectRemoved:Delete",
        false => "ObjectCreated:Put",
    };
    let sequencer = format!("{:016x}", event.sequencer + 1);
    // The same content again and again is no reason to take two writes for one.
    let etag = format!("e{}", event.sequencer % 3);
    record(name, "ord", &event.key, &sequencer, &etag)
}
