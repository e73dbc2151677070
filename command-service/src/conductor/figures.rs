//! The figures that the conductor keeps for `/metrics`. They count what this process did since it
//! started; what the ledger as a whole holds is for GraphQL to say.

use std::time::Duration;

use daybook_domain::FunctionName;
use daybook_functions::{Outcome, OutcomeResult};
use metrics::{counter, gauge, histogram};

use crate::worklist::Worklist;

/// An object arrived or an execution ended, and it is this worker's to count.
pub(super) fn over(event_type: &str) {
    let status = match event_type {
        "ObjectCreated" => return counter!("daybook_objects_total").increment(1),
        "ExecutionSucceeded" => "SUCCEEDED",
        "ExecutionFailed" => "FAILED",
        "ExecutionTimedOut" => "TIMED_OUT",
        _ => "ABORTED",
    };
    counter!("daybook_executions_total", "status" => status).increment(1);
}

/// What waits and runs in the whole ledger, as far as the log is folded here.
pub(super) fn backlog(worklist: &Worklist) {
    gauge!("daybook_worklist_position").set(worklist.position.0 as f64);
    gauge!("daybook_executions_owed").set(worklist.owed.len() as f64);
    gauge!("daybook_executions_open").set(worklist.tasks.len() as f64);
}

/// An attempt ran here.
pub(super) fn attempted(function: &FunctionName, outcome: &Outcome) {
    let function = function.as_str().to_owned();
    let result = match outcome.result {
        OutcomeResult::Succeeded(_) => "succeeded",
        OutcomeResult::Failed { .. } => "failed",
        OutcomeResult::TimedOut { .. } => "timed_out",
        OutcomeResult::Interrupted { .. } => "interrupted",
    };
    counter!("daybook_attempts_total", "function" => function.clone(), "result" => result)
        .increment(1);
    let report = &outcome.report;
    let seconds = |milliseconds| Duration::from_millis(milliseconds).as_secs_f64();
    if let Some(duration) = report.duration_ms {
        histogram!("daybook_attempt_seconds", "function" => function.clone())
            .record(seconds(duration));
    }
    if let Some(init) = report.init_ms {
        histogram!("daybook_init_seconds", "function" => function.clone()).record(seconds(init));
    }
    if let Some(bytes) = report.max_memory_bytes {
        gauge!("daybook_function_memory_bytes", "function" => function).set(bytes as f64);
    }
}
