//! What is wrong with a definition.

use thiserror::Error;

/// A definition that cannot run. Correct the document at the place named.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("at {place}: {problem}")]
pub struct AslError {
    /// A JSON pointer to the place.
    pub place: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl AslError {
    pub(super) fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            problem: problem.into(),
        }
    }
}
