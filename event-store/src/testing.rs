//! Servers and databases for tests, in this crate and in others (feature `testing`).

#![allow(
    clippy::unwrap_used,
    reason = "it is for tests, a panic is how they fail"
)]

pub mod postgres;
