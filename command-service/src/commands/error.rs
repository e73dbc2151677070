//! Why a command did not go through.

use cqrs_es::AggregateError;
use daybook_domain::DecodeError;
use daybook_event_store::blobs::BlobError;
use daybook_event_store::{AppendError, ReadError};
use thiserror::Error;

/// Why a command did not go through. Nothing of it is recorded.
#[derive(Debug, Error)]
pub enum CommandError<E: std::error::Error> {
    /// The aggregate refuses. Tell the asker.
    #[error(transparent)]
    Refused(E),
    /// The stream is written to by so many that this one never got its turn. Try again later.
    #[error("stream {0} is written to by too many at once")]
    Contended(String),
    /// The log or the blob store cannot take it now. Try again later, under the same command id.
    #[error("ledger unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What is stored cannot be read. Stop and have it looked at.
    #[error("ledger damaged")]
    Damaged(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl<E: std::error::Error> CommandError<E> {
    pub(super) fn incomplete() -> Self {
        CommandError::Unavailable("the command ended without a result".into())
    }
}

impl<E: std::error::Error> From<AggregateError<E>> for CommandError<E> {
    fn from(error: AggregateError<E>) -> Self {
        match error {
            AggregateError::UserError(error) => CommandError::Refused(error),
            AggregateError::AggregateConflict => {
                CommandError::Unavailable("the stream changed meanwhile".into())
            }
            AggregateError::DeserializationError(error) => CommandError::Damaged(error),
            AggregateError::DatabaseConnectionError(error)
            | AggregateError::UnexpectedError(error) => CommandError::Unavailable(error),
        }
    }
}

pub(super) fn on_append<E: std::error::Error>(error: AppendError) -> AggregateError<E> {
    match error {
        AppendError::Conflict { .. } => AggregateError::AggregateConflict,
        error => AggregateError::DatabaseConnectionError(Box::new(error)),
    }
}

pub(super) fn on_read<E: std::error::Error>(error: ReadError) -> AggregateError<E> {
    match error {
        ReadError::Damaged(_) => AggregateError::DeserializationError(Box::new(error)),
        ReadError::Unavailable(_) | ReadError::Ahead { .. } => {
            AggregateError::DatabaseConnectionError(Box::new(error))
        }
    }
}

pub(super) fn on_blob<E: std::error::Error>(error: BlobError) -> AggregateError<E> {
    AggregateError::DatabaseConnectionError(Box::new(error))
}

pub(super) fn on_decode<E: std::error::Error>(error: DecodeError) -> AggregateError<E> {
    AggregateError::DeserializationError(Box::new(error))
}

pub(super) fn on_json<E: std::error::Error>(error: serde_json::Error) -> AggregateError<E> {
    AggregateError::DeserializationError(Box::new(error))
}
