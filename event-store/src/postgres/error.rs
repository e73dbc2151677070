//! What errors of the database mean: whether something may have been written, and whether trying
//! again can help.

use std::error::Error as _;

use thiserror::Error;
use tokio_postgres::error::{DbError, Severity, SqlState};

/// Why a log cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The URL or an option is wrong. Correct it.
    #[error("PostgreSQL cannot be used as configured: {0}")]
    Config(String),
    /// The database cannot be reached or refuses the session. Check that it runs, and the rights.
    #[error("PostgreSQL cannot be reached: {0}")]
    Connect(String),
    /// The schema cannot be made or brought up to date, or is newer than this program.
    #[error("the schema {schema} does not fit: {why}")]
    Schema {
        /// Its name.
        schema: String,
        /// What is wrong.
        why: String,
    },
}

/// What to do after a failed statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// It was rolled back; the same session can try again.
    Repeat,
    /// It was rolled back, but this session will not do: there may be a better server.
    RepeatElsewhere,
    /// The session has ended, and what it was doing may have been committed.
    Unknown,
    /// It was rolled back, and would be again.
    GiveUp,
}

/// Classifies an error of a statement that committed by itself.
pub(super) fn remedy(error: &tokio_postgres::Error) -> Remedy {
    let Some(error) = error.as_db_error() else {
        return Remedy::Unknown;
    };
    if error.parsed_severity() != Some(Severity::Error) {
        // The session was ended, perhaps while it waited for a standby with the commit on disk.
        return Remedy::Unknown;
    }
    remedy_of_code(error.code())
}

fn remedy_of_code(code: &SqlState) -> Remedy {
    const REPEATABLE: [SqlState; 7] = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::QUERY_CANCELED,
        SqlState::DISK_FULL,
        SqlState::OUT_OF_MEMORY,
        SqlState::TOO_MANY_CONNECTIONS,
    ];
    // A primary that became a standby keeps its sessions; one that lost its function does not.
    if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        return Remedy::RepeatElsewhere;
    }
    if REPEATABLE.contains(code) {
        return Remedy::Repeat;
    }
    Remedy::GiveUp
}

/// The error with what caused it: the library's own text says little.
pub(super) fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => describe_db(error),
        None => match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}

fn describe_db(error: &DbError) -> String {
    format!("{} ({})", error.message(), error.code().code())
}
