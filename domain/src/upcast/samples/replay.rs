//! Samples of a replay's events.

use super::{name, time, uuid};
use crate::execution::Status;
use crate::replay::{
    ReplayCancelled, ReplayCompleted, ReplayEvent, ReplayProgressed, ReplayStarted, Selection,
};
use crate::{ExecutionId, ReplayId};

pub(super) fn samples() -> Vec<(&'static str, ReplayEvent)> {
    let started = |selection, reason| ReplayStarted {
        replay: ReplayId(uuid(1)),
        selection,
        position: 42,
        plan: vec![ExecutionId(uuid(2)), ExecutionId(uuid(3))],
        actor: "cli:ada".to_owned(),
        reason,
    };
    let full = Selection {
        pipeline: name("uppercase"),
        status: Some(Status::TimedOut),
        since: Some(time()),
        until: Some(time()),
    };
    let bare = Selection {
        pipeline: name("uppercase"),
        status: None,
        since: None,
        until: None,
    };
    vec![
        ("full", started(full, Some("it is fixed".to_owned())).into()),
        ("bare", started(bare, None).into()),
        ("full", ReplayProgressed { done: 1 }.into()),
        ("full", ReplayCompleted { started: 2 }.into()),
        (
            "full",
            ReplayCancelled {
                actor: "cli:ada".to_owned(),
            }
            .into(),
        ),
    ]
}
