//! The lines that AWS Lambda writes into a function's log around each invocation (Lambda operator
//! guide, "How CloudWatch structures logs"), and the same figures for the ledger.

use std::time::Duration;

use daybook_domain::execution::CodeRevision;
use uuid::Uuid;

use crate::invocation::{Outcome, OutcomeResult};
use crate::process::Process;
use crate::spec::FunctionSpec;

/// Before an invocation. The version is the code's revision, where the ledger has one.
pub(crate) fn start_line(id: Uuid, revision: Option<&CodeRevision>) -> String {
    match revision {
        Some(code) => format!("START RequestId: {id} Version: {}", code.revision),
        None => format!("START RequestId: {id} Version: $LATEST"),
    }
}

/// Ends the log of an invocation, and notes what it cost. Since August 2025 AWS bills a start to the
/// invocation that waited for it.
pub(crate) fn of_invocation(
    process: &mut Process,
    spec: &FunctionSpec,
    duration: Duration,
    result: &OutcomeResult,
    outcome: &mut Outcome,
) {
    let init = process.init.take();
    let billed_ms = billed_ms(init.unwrap_or_default() + duration);
    let report = &mut outcome.report;
    report.billed_ms = Some(billed_ms);
    report.memory_bytes = Some(spec.memory_bytes);
    let id = report.request_id.unwrap_or_default();
    if let OutcomeResult::TimedOut { cause } = result {
        process.logs.note(&message(cause));
    }
    process.logs.note(&format!("END RequestId: {id}"));
    let mut line = format!(
        "REPORT RequestId: {id}\tDuration: {:.2} ms\tBilled Duration: {billed_ms} ms\t\
         Memory Size: {} MB\t",
        millis(duration),
        mebibytes(spec.memory_bytes),
    );
    if let Some(bytes) = report.max_memory_bytes {
        line.push_str(&format!("Max Memory Used: {} MB\t", mebibytes(bytes)));
    }
    if let Some(init) = init {
        line.push_str(&format!("Init Duration: {:.2} ms\t", millis(init)));
    }
    line.push_str(&status(result));
    process.logs.note(&line);
    outcome.logs.push_str(&process.logs.take());
}

/// Ends the log of a process that did not become ready, and notes what that cost.
pub(crate) fn of_failed_start(
    process: &Process,
    spec: &FunctionSpec,
    result: &OutcomeResult,
    outcome: &mut Outcome,
) {
    let init = process.started.elapsed();
    outcome.report.billed_ms = Some(billed_ms(init));
    outcome.report.memory_bytes = Some(spec.memory_bytes);
    process.logs.note(&format!(
        "INIT_REPORT Init Duration: {:.2} ms\tPhase: init\t{}",
        millis(init),
        status(result)
    ));
    outcome.logs = process.logs.take();
}

/// As AWS Lambda ends the line of an invocation that did not go well.
fn status(result: &OutcomeResult) -> String {
    match result {
        OutcomeResult::Succeeded(_) => String::new(),
        // The name is the function's own text, and this is one line.
        OutcomeResult::Failed { error, .. } => {
            format!("Status: error\tError Type: {}", error.escape_debug())
        }
        OutcomeResult::TimedOut { .. } => "Status: timeout".to_owned(),
        OutcomeResult::Interrupted { .. } => "Status: interrupted".to_owned(),
    }
}

fn message(cause: &str) -> String {
    let document: Option<serde_json::Value> = serde_json::from_str(cause).ok();
    let message = document.as_ref().and_then(|it| it["errorMessage"].as_str());
    message.unwrap_or(cause).to_owned()
}

fn billed_ms(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn mebibytes(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_billed_is_rounded_up() {
        for (micros, billed) in [(0, 0), (1, 1), (1_000, 1), (1_001, 2), (12_345_678, 12_346)] {
            assert_eq!(billed_ms(Duration::from_micros(micros)), billed);
        }
    }
}
