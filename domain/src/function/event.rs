//! What can happen to a function. These names and shapes are storage format.

use serde::{Deserialize, Serialize};

use crate::FunctionName;
use crate::aggregate::events;

events! {
    /// The events of the stream `function-{name}`.
    pub enum FunctionEvent {
        /// Other code, or another way to run it, counts from now on.
        FunctionRevised,
    }
}

/// Other code, or another way to run it, counts from now on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FunctionRevised {
    /// The function.
    pub function: FunctionName,
    /// From 1.
    pub revision: u32,
    /// SHA-256 of the package, which the blob store keeps under it.
    pub sha256: String,
    /// The size of the package in bytes.
    pub package_bytes: u64,
    /// How the code is run.
    pub settings: FunctionSettings,
    /// Who changed it.
    pub actor: String,
}

/// How a function's code is run. Holds no secrets and no environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionSettings {
    /// The runtime, as the config names it.
    pub runtime: String,
    /// The handler, as the config names it.
    pub handler: String,
    /// How long an attempt may take, in milliseconds.
    pub timeout_ms: u64,
    /// The memory limit in bytes.
    pub memory_bytes: u64,
}
