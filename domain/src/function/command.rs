//! What a function can be asked to do.

use super::event::FunctionSettings;
use crate::FunctionName;

/// The commands of a function.
#[derive(Clone, Debug, PartialEq)]
pub enum FunctionCommand {
    /// Run this code from now on.
    Revise {
        /// The function.
        function: FunctionName,
        /// SHA-256 of the package.
        sha256: String,
        /// The size of the package in bytes.
        package_bytes: u64,
        /// How the code is run.
        settings: FunctionSettings,
        /// Who changed it.
        actor: String,
    },
}
