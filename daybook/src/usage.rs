//! Mistakes in how the program was called that only show after its arguments were read.

use thiserror::Error;

/// A value that cannot be meant. The program says so and exits with 2.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub String);

/// Returns a [`UsageError`] with the message.
macro_rules! usage {
    ($($part:tt)*) => {
        return Err($crate::usage::UsageError(format!($($part)*)).into())
    };
}
pub(crate) use usage;
