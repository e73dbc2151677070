//! The port through which the gateway has object events recorded; the floor above implements it.

use async_trait::async_trait;
use daybook_domain::stored_object::ObjectCommand;
use thiserror::Error;

/// Where what happens to objects is recorded.
#[async_trait]
pub trait ObjectLedger: Send + Sync + 'static {
    /// Records what the command says. Returns when it is in the log, on disk. Sending the same
    /// command again must lead to nothing new: after a crash the gateway does so.
    async fn record(&self, command: ObjectCommand) -> Result<(), LedgerError>;
}

/// Why nothing was recorded.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// The log cannot be reached or is overloaded. The gateway answers 503 and proposes the same
    /// command again later; the caller need not do anything else.
    #[error("the ledger is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The command was refused for good. The gateway answers 503 as well, and logs it: somebody
    /// has to look.
    #[error("the ledger refused the command")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
}
