//! What the program tells about itself: figures at `/metrics`, traces to an OpenTelemetry collector.
//!
//! ```text
//!  gateway, conductor ── metrics::counter! … ──> the recorder here ──> GET /metrics
//!  command service ── SpanSink ──> otlp.rs ──> collector
//! ```
//! Nothing here is part of the ledger: figures begin anew with each process, spans may be dropped.

mod otlp;
mod scrape;

use std::sync::OnceLock;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

pub(crate) use otlp::{Otlp, OtlpConfig};
pub(crate) use scrape::{Scraped, metrics};

/// Upper bounds of the buckets of durations, in seconds.
const SECONDS: [f64; 15] = [
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0,
];

/// The recorder of this process; the first call installs it.
fn recorder() -> Option<&'static PrometheusHandle> {
    static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    RECORDER.get_or_init(install).as_ref()
}

fn install() -> Option<PrometheusHandle> {
    let builder = PrometheusBuilder::new();
    let seconds = Matcher::Suffix("_seconds".to_owned());
    let installed = builder
        .set_buckets_for_metric(seconds, &SECONDS)
        .map_err(|error| error.to_string())
        .and_then(|builder| {
            builder
                .install_recorder()
                .map_err(|error| error.to_string())
        });
    match installed {
        Ok(handle) => {
            describe();
            Some(handle)
        }
        Err(error) => {
            tracing::warn!(error, "no figures are kept for /metrics");
            None
        }
    }
}

/// Begins to keep figures.
pub(crate) fn start() {
    recorder();
}

/// What each figure means, as `/metrics` tells it.
fn describe() {
    for (name, meaning) in [
        (
            "daybook_s3_requests_total",
            "Requests that the S3 gateway answered",
        ),
        (
            "daybook_objects_total",
            "Object versions that arrived, of those this worker counts",
        ),
        (
            "daybook_executions_total",
            "Executions that ended, of those this worker counts",
        ),
        (
            "daybook_attempts_total",
            "Attempts that ran in this process, by function and result",
        ),
        (
            "daybook_sqs_received_total",
            "Messages that came from a queue, each time that they came",
        ),
        (
            "daybook_sqs_deleted_total",
            "Messages of a queue that were deleted, since they are settled",
        ),
        (
            "daybook_sqs_unreadable_total",
            "Messages of a queue that could not be read, each time that they came",
        ),
        (
            "daybook_sqs_errors_total",
            "Requests to a queue that failed, by kind",
        ),
        (
            "daybook_spans_dropped_total",
            "Spans that were not exported, since too many waited",
        ),
        (
            "process_cpu_seconds_total",
            "Processor time of this process",
        ),
    ] {
        describe_counter!(name, meaning);
    }
    for (name, meaning) in [
        (
            "daybook_s3_request_seconds",
            "From a request's head to the head of its answer",
        ),
        (
            "daybook_attempt_seconds",
            "From the hand-over to a function to its answer",
        ),
        (
            "daybook_init_seconds",
            "From the start of a function's process to its first poll",
        ),
    ] {
        describe_histogram!(name, Unit::Seconds, meaning);
    }
    for (name, meaning) in [
        ("daybook_log_position", "The head of the event log"),
        (
            "daybook_worklist_position",
            "Up to where the worklist has followed the log",
        ),
        (
            "daybook_projection_position",
            "Up to where the read models have followed the log",
        ),
        (
            "daybook_executions_owed",
            "Executions that are to start: their object is there",
        ),
        ("daybook_executions_open", "Executions that are not over"),
        (
            "daybook_sqs_waiting",
            "About how many messages wait in a queue",
        ),
        (
            "daybook_function_memory_bytes",
            "The most memory of a function's last process",
        ),
        (
            "daybook_function_processes",
            "Processes of a function, by what they do",
        ),
        (
            "daybook_function_concurrency",
            "Processes that a function may have",
        ),
        (
            "daybook_function_waiting",
            "Executions of the ledger that have begun and wait for the function",
        ),
        (
            "daybook_function_queue",
            "Executions that may wait for the function",
        ),
        (
            "daybook_function_failed_starts",
            "Failed starts and crashes in a row",
        ),
        (
            "process_resident_memory_bytes",
            "Resident memory of this process",
        ),
        ("process_open_fds", "Open files of this process"),
        ("process_threads", "Threads of this process"),
        ("daybook_build_info", "The version that runs"),
    ] {
        describe_gauge!(name, meaning);
    }
}
