//! Samples of a worker's events.

use std::collections::BTreeMap;

use super::{name, uuid};
use crate::WorkerId;
use crate::worker::{FunctionsOffered, LeaseRenewed, WorkerEvent, WorkerJoined, WorkerLeft};

pub(super) fn samples() -> Vec<(&'static str, WorkerEvent)> {
    let worker = WorkerId(uuid(1));
    vec![
        (
            "full",
            WorkerJoined {
                worker,
                host: "laptop".to_owned(),
                version: "0.1.0".to_owned(),
                lease_ms: None,
                functions: BTreeMap::new(),
            }
            .into(),
        ),
        (
            "leased",
            WorkerJoined {
                worker,
                host: "laptop".to_owned(),
                version: "0.1.0".to_owned(),
                lease_ms: Some(15_000),
                functions: BTreeMap::from([(name("uppercase"), "0b".repeat(32))]),
            }
            .into(),
        ),
        (
            "full",
            FunctionsOffered {
                worker,
                functions: BTreeMap::from([(name("uppercase"), "0c".repeat(32))]),
            }
            .into(),
        ),
        ("full", LeaseRenewed { worker, renewal: 2 }.into()),
        (
            "full",
            WorkerLeft {
                worker,
                why: "stopped".to_owned(),
            }
            .into(),
        ),
    ]
}
