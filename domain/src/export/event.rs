//! What can happen to an export. These names and shapes are storage format.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ExportId;
use crate::aggregate::events;

events! {
    /// The events of the stream `export-{id}`.
    pub enum ExportEvent {
        /// Somebody asked for a part of the ledger.
        ExportStarted,
        /// It was delivered.
        ExportCompleted,
    }
}

/// Somebody asked for a part of the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExportStarted {
    /// The id.
    pub export: ExportId,
    /// Which part.
    pub range: ExportRange,
    /// In which format, for example `jsonl`.
    pub format: String,
    /// Who asked.
    pub actor: String,
    /// Why, in the asker's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A part of the ledger: the events after one position up to another, and within a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportRange {
    /// After this position (exclusive).
    pub after: u64,
    /// Up to this position (inclusive): the head when it was asked for.
    pub up_to: u64,
    /// Recorded at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Recorded before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// It was delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportCompleted {
    /// How many events.
    pub events: u64,
    /// SHA-256 of the delivered lines, in hexadecimal.
    pub sha256: String,
    /// Who completed it.
    pub actor: String,
}
