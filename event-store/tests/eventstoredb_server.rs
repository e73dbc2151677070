//! The conformance suite against a real EventStoreDB or KurrentDB server, as one program that can
//! be carried to a machine that has one:
//!
//! ```sh
//! DAYBOOK_TEST_ESDB_URL='esdb://localhost:2113?tls=false' ./eventstoredb_server [FILTER]
//! ```
//!
//! It runs every case whose name contains the filter, each under a stream prefix of its own, since
//! a server's `$all` cannot be emptied. Without the variable it says that nothing was run. For test
//! runners it is one test.

#![allow(clippy::print_stdout, reason = "a program that reports what it did")]

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use daybook_event_store::EventLog;
use daybook_event_store::conformance::{Case, Harness, cases};
use daybook_event_store::eventstoredb::{EventStoreDbLog, EventStoreDbOptions};
use futures::FutureExt;
use uuid::Uuid;

/// The server's connection string.
const URL: &str = "DAYBOOK_TEST_ESDB_URL";

/// What a test runner sees of this program.
const TEST: &str = "conformance_on_a_server";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        if !arguments.iter().any(|argument| argument == "--ignored") {
            println!("{TEST}: test");
        }
        return ExitCode::SUCCESS;
    }
    let Ok(url) = std::env::var(URL) else {
        println!(
            "NOT RUN: {URL} names no EventStoreDB server, such as esdb://localhost:2113?tls=false"
        );
        return ExitCode::SUCCESS;
    };
    let filter = arguments
        .iter()
        .find(|argument| !argument.starts_with('-') && *argument != TEST);
    run(&url, filter.map_or("", String::as_str))
}

fn run(url: &str, filter: &str) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            println!("no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    if let Err(error) = runtime.block_on(connect(url, &prefix())) {
        println!("{error}");
        return ExitCode::FAILURE;
    }
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for case in cases() {
        if !case.name.contains(filter) {
            skipped += 1;
            continue;
        }
        let began = Instant::now();
        let ok = runtime.block_on(run_case(url, &case));
        let (word, count) = match ok {
            true => ("ok", &mut passed),
            false => ("FAILED", &mut failed),
        };
        *count += 1;
        println!(
            "{word:6} {:6.2}s  {}",
            began.elapsed().as_secs_f64(),
            case.name
        );
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// The panic of a case prints itself.
async fn run_case(url: &str, case: &Case) -> bool {
    let mut harness = ServerHarness {
        url: url.to_owned(),
        prefix: prefix(),
    };
    let run = AssertUnwindSafe((case.run)(&mut harness));
    run.catch_unwind().await.is_ok()
}

struct ServerHarness {
    url: String,
    prefix: String,
}

#[async_trait]
impl Harness for ServerHarness {
    async fn open(&mut self) -> Arc<dyn EventLog> {
        self.connect().await
    }

    async fn reopen(&mut self, log: Arc<dyn EventLog>) -> Option<Arc<dyn EventLog>> {
        log.close().await;
        Some(self.connect().await)
    }

    fn contiguous(&self) -> bool {
        false
    }
}

impl ServerHarness {
    async fn connect(&self) -> Arc<dyn EventLog> {
        match connect(&self.url, &self.prefix).await {
            Ok(log) => log,
            Err(error) => panic!("{error}"),
        }
    }
}

async fn connect(
    url: &str,
    prefix: &str,
) -> Result<Arc<EventStoreDbLog>, daybook_event_store::eventstoredb::ConnectError> {
    let options = EventStoreDbOptions {
        stream_prefix: prefix.to_owned(),
        ..EventStoreDbOptions::default()
    };
    EventStoreDbLog::connect(url, options).await
}

#[expect(
    clippy::disallowed_methods,
    reason = "the edge: a prefix that no earlier run has used"
)]
fn prefix() -> String {
    format!("conformance_{}-", Uuid::new_v4().simple())
}
