//! The ledger itself: where the log and what is derived from it stand.

use async_graphql::{Enum, ID, Result, SimpleObject};
use daybook_projections::{PROJECTIONS, ProjectorState};

use super::scalars::{Long, Position};
use crate::state::{State, unavailable};

/// The ledger: its log and what is derived from it.
#[derive(SimpleObject)]
pub(crate) struct Ledger {
    /// The ledger's id, if it has one.
    id: Option<ID>,
    /// The position of the newest event of the log.
    position: Position,
    /// What is derived from the log.
    projections: Vec<Projection>,
    /// The signed checkpoint of the log; null as long as no service signs one.
    checkpoint: Option<String>,
    /// Whether proofs can be had.
    proofs: Option<bool>,
}

/// Something derived from the log.
#[derive(SimpleObject)]
pub(crate) struct Projection {
    /// Its name.
    name: String,
    /// The position up to which it is derived.
    position: Position,
    /// How many positions it is behind the log.
    lag: Long,
    /// What it is doing.
    state: ProjectionState,
    /// Why it stopped, if it did.
    error: Option<String>,
}

/// What a projection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum ProjectionState {
    /// It has everything.
    Live,
    /// It is behind and catches up.
    CatchingUp,
    /// It stopped before an event that it cannot read.
    Faulted,
    /// The process is stopping.
    Stopped,
}

pub(super) async fn of(state: &State) -> Result<Ledger> {
    let head = state.log.head().await.map_err(unavailable)?;
    let status = state.projector.status();
    let lag = head.0.saturating_sub(status.position.0);
    let (doing, error) = match status.state {
        ProjectorState::Running if lag == 0 => (ProjectionState::Live, None),
        ProjectorState::Running => (ProjectionState::CatchingUp, None),
        ProjectorState::Faulted(why) => (ProjectionState::Faulted, Some(why)),
        ProjectorState::Stopped => (ProjectionState::Stopped, None),
    };
    let projections = PROJECTIONS.iter().map(|(name, _)| Projection {
        name: (*name).to_owned(),
        position: Position(status.position.0),
        lag: Long(lag),
        state: doing,
        error: error.clone(),
    });
    Ok(Ledger {
        id: state.config.ledger_id.clone().map(ID),
        position: Position(head.0),
        projections: projections.collect(),
        checkpoint: None,
        proofs: None,
    })
}
