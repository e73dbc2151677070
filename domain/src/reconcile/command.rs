//! What a reconcile can be asked to do.

use super::{Counts, Finding, ReconcileStarted};
use crate::ObjectKey;

/// The commands of a reconcile.
#[derive(Clone, Debug, PartialEq)]
pub enum ReconcileCommand {
    /// Begin.
    Start(ReconcileStarted),
    /// All keys up to this one are done.
    Progress {
        /// The key.
        key: ObjectKey,
        /// What was counted since the beginning.
        counts: Counts,
        /// What was found since the last progress.
        findings: Vec<Finding>,
    },
    /// All is done.
    Complete {
        /// What was counted since the beginning.
        counts: Counts,
        /// What was found since the last progress.
        findings: Vec<Finding>,
        /// Where the log ended then.
        position: u64,
    },
    /// It cannot be done.
    Fail {
        /// What is in the way, and what to do about it.
        why: String,
    },
    /// Stand still for now.
    Pause {
        /// Who.
        actor: String,
    },
    /// Go on.
    Resume {
        /// Who.
        actor: String,
    },
    /// Go no further.
    Cancel {
        /// Who.
        actor: String,
    },
}
