//! Samples of a worker's events.

use super::uuid;
use crate::WorkerId;
use crate::worker::{WorkerEvent, WorkerJoined, WorkerLeft};

pub(super) fn samples() -> Vec<(&'static str, WorkerEvent)> {
    let worker = WorkerId(uuid(1));
    vec![
        (
            "full",
            WorkerJoined {
                worker,
                host: "laptop".to_owned(),
                version: "0.1.0".to_owned(),
            }
            .into(),
        ),
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
