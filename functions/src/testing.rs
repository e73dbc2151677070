//! Shared by this crate's tests.
