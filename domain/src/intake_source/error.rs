//! Why a source refuses.

use thiserror::Error;

/// A source refuses nothing: what is not allowed is refused before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum IntakeSourceError {}
