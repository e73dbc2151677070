//! Why a function refuses.

use thiserror::Error;

/// A function refuses nothing: each digest is a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FunctionError {}
