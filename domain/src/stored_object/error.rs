//! Why a stored object refuses.

use thiserror::Error;

/// A stored object refuses nothing: whatever a channel tells gets a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ObjectError {}
