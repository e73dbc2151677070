//! The host with real processes.

mod clients;
mod lifecycle;
mod outcomes;
mod protocol;
