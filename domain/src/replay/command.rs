//! What a replay can be asked to do.

use super::Selection;
use crate::{ExecutionId, ReplayId};

/// The commands of a replay.
#[derive(Clone, Debug, PartialEq)]
pub enum ReplayCommand {
    /// Begin, with what was chosen.
    Start {
        /// The id.
        replay: ReplayId,
        /// How it was chosen.
        selection: Selection,
        /// The log position at which it was chosen.
        position: u64,
        /// What was chosen.
        plan: Vec<ExecutionId>,
        /// Who asked.
        actor: String,
        /// Why, in the asker's words.
        reason: Option<String>,
    },
    /// So many of the plan are started.
    Progress {
        /// How many, counted from the start of the plan.
        done: u64,
    },
    /// Start no more.
    Cancel {
        /// Who.
        actor: String,
    },
}
