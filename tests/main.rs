//! The one integration test binary. Each module tests one promise of the whole system through its
//! outer interfaces; what is inside a crate is tested there.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests: a failure says where, and prints what helps to understand it"
)]

mod backlog;
mod cli;
mod clients;
mod crash;
mod graphql;
mod handlers;
mod hostile;
mod intake;
mod lambda;
mod layering;
mod lineage;
mod outputs;
mod queues;
mod reconcile;
mod remote;
mod revisions;
mod s3_cases;
mod sandbox;
mod secrets;
mod shared_log;
mod support;
mod telemetry;
mod upstream;
