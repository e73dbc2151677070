//! The host with real processes.

mod clients;
mod escapes;
mod lifecycle;
mod limits;
mod outcomes;
mod protocol;
