//! One invocation from its slot to its outcome: a warm or new process, the hand-over, and
//! whatever ends it first: the answer, the process's end, the time-out, or somebody's wish.
//!
//! The function's own time-out and that of the state which calls it both hold, and either is
//! [`OutcomeResult::TimedOut`], so `States.Timeout` to the state machine. AWS reports the function's
//! own as a failure of the Lambda service integration instead.

use std::sync::Arc;
use std::time::{Duration, Instant};

use daybook_domain::ExecutionId;
use daybook_domain::execution::AttemptReport;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::builtin_errors::{
    self as errors, answer_too_large, exceeded, exited, failed, reported, timed_out,
};
use crate::clock;
use crate::environment::trace_id;
use crate::host::{LiveAttempt, Shared};
use crate::invocation::{Invocation, Outcome, OutcomeResult};
use crate::launch::LaunchPlan;
use crate::pool::Slot;
use crate::process::Process;
use crate::report;
use crate::response;
use crate::runtime_api::PAYLOAD_LIMIT_BYTES;
use crate::session::{Delivery, Reply};
use crate::spec::FunctionSpec;
use crate::storage::{InvocationScope, StorageActivity};

/// How long a process may take after its answer until it asks for more; then it is replaced.
const SETTLE_LIMIT: Duration = Duration::from_secs(10);

const CLOSING: &str = "the host is shutting down";
const CANCELLED: &str = "the invocation was cancelled";

/// What an invocation begins with: nothing has happened yet.
pub(crate) fn beginning(invocation: &Invocation) -> Outcome {
    Outcome {
        result: OutcomeResult::interrupted(CLOSING),
        report: AttemptReport {
            lineage_known: true,
            request_id: Some(invocation.request_id),
            ..AttemptReport::default()
        },
        staged: false,
        logs: String::new(),
    }
}

/// Why the invocation may not begin at all.
pub(crate) fn refusal(shared: &Shared, invocation: &Invocation) -> Option<OutcomeResult> {
    if shared.closing.is_cancelled() {
        return Some(OutcomeResult::interrupted(CLOSING));
    }
    if invocation.cancel.is_cancelled() {
        return Some(OutcomeResult::interrupted(CANCELLED));
    }
    (invocation.payload.len() > PAYLOAD_LIMIT_BYTES).then(|| {
        let message =
            format!("the event has more than the {PAYLOAD_LIMIT_BYTES} bytes that are allowed");
        failed(errors::PAYLOAD_TOO_LARGE, message)
    })
}

/// How long an invocation may take: both the function's limit and the state's hold.
pub(crate) fn timeout(spec: &FunctionSpec, invocation: &Invocation) -> Duration {
    spec.timeout
        .min(invocation.timeout.unwrap_or(Duration::MAX))
}

/// Runs the invocation in a process.
pub(crate) async fn run(
    shared: &Arc<Shared>,
    slot: Slot,
    invocation: Invocation,
    plan: &LaunchPlan,
) -> Outcome {
    let mut outcome = beginning(&invocation);
    if let Some(result) = refusal(shared, &invocation) {
        outcome.result = result;
        return outcome;
    }
    loop {
        let (process, warm) = match slot.pool().take_idle() {
            Some(process) => {
                // What it wrote while idle belongs to nobody.
                drop(process.logs.take());
                process.set_busy(shared, true);
                (process, true)
            }
            None => match start(shared, &slot, plan, &invocation, &mut outcome).await {
                Ok(process) => (process, false),
                Err(result) => {
                    outcome.result = result;
                    return outcome;
                }
            },
        };
        match hand_over(shared, process, &slot, &invocation, &mut outcome).await {
            Handed::NeverTaken if warm => {}
            Handed::Done(Some(process)) => {
                let failed = matches!(outcome.result, OutcomeResult::Failed { .. });
                let failed = failed.then(|| error_name(&outcome.result));
                let settling = settle(Arc::clone(shared), slot, process, failed);
                shared.tracker.spawn(settling);
                return outcome;
            }
            Handed::Done(None) | Handed::NeverTaken => return outcome,
        }
    }
}

/// Starts a process and waits until it is ready.
async fn start(
    shared: &Arc<Shared>,
    slot: &Slot,
    plan: &LaunchPlan,
    invocation: &Invocation,
    outcome: &mut Outcome,
) -> Result<Process, OutcomeResult> {
    let pool = slot.pool();
    let (spec, id) = (&pool.spec, invocation.request_id);
    let begun = Instant::now();
    let mut process = match Process::start(shared, spec, plan).await {
        Ok(process) => process,
        Err(error) => {
            let program = plan.program.display();
            let result = failed(
                errors::INVALID_ENTRYPOINT,
                format!("RequestId: {id} Error: cannot start {program}: {error}"),
            );
            pool.start_failed(begun, error_name(&result));
            return Err(result);
        }
    };
    let result = tokio::select! {
        biased;
        ready = process.session.initialized() => match ready {
            Ok(()) => {
                outcome.report.init_ms = Some(millis(process.started.elapsed()));
                process.init = Some(process.started.elapsed());
                return Ok(process);
            }
            Err(report) => {
                reported(&report.body, report.header_type.as_deref(), errors::INIT_ERROR)
            }
        },
        status = process.exited() => not_ready(&process, plan, id, &status),
        () = tokio::time::sleep(spec.init_timeout) => failed(
            errors::INIT_TIMEOUT,
            format!(
                "RequestId: {id} Error: the runtime was not ready after {:.2} seconds",
                spec.init_timeout.as_secs_f64()
            ),
        ),
        why = stopped(shared, invocation) => OutcomeResult::interrupted(why),
    };
    outcome.report.max_memory_bytes = process.max_memory_bytes();
    process.kill();
    let result = result.masked(&process.masks);
    report::of_failed_start(&process, spec, &result, outcome);
    if !matches!(result, OutcomeResult::Interrupted { .. }) {
        pool.start_failed(begun, error_name(&result));
    }
    Err(result)
}

/// Why a process ended before it was ready.
fn not_ready(process: &Process, plan: &LaunchPlan, id: Uuid, status: &str) -> OutcomeResult {
    if process.could_not_run(status) {
        let program = plan.program.display();
        let message = format!("RequestId: {id} Error: cannot start {program}: the log says why");
        return failed(errors::INVALID_ENTRYPOINT, message);
    }
    ended(process, errors::INIT_ERROR, id, status)
}

/// Why a process ended.
fn ended(process: &Process, error: &str, id: Uuid, status: &str) -> OutcomeResult {
    match process.excess() {
        Some(excess) => exceeded(id, excess),
        None => exited(error, id, status),
    }
}

enum Handed {
    /// There is an outcome, and the process, if it can go on.
    Done(Option<Box<Process>>),
    /// The process ended before it took the invocation.
    NeverTaken,
}

/// Hands the invocation to a process that is ready, and waits for what comes of it.
async fn hand_over(
    shared: &Arc<Shared>,
    mut process: Process,
    slot: &Slot,
    invocation: &Invocation,
    outcome: &mut Outcome,
) -> Handed {
    let (spec, id) = (&slot.pool().spec, invocation.request_id);
    let timeout = timeout(spec, invocation);
    let (reply, mut replied) = oneshot::channel();
    let scope = Scope::begin(shared, &process, slot, invocation);
    let _live = Live::begin(shared, &process, invocation);
    let revision = slot.pool().revision.get();
    process.logs.note(&report::start_line(id, revision));
    let begun = Instant::now();
    let delivery = Delivery {
        request_id: id,
        deadline_ms: deadline_ms(timeout),
        trace_id: trace_id(invocation.traceparent.as_deref(), id),
        traceparent: invocation.traceparent.clone(),
        payload: invocation.payload.clone(),
        reply,
    };
    process.session.deliver(delivery);

    let (result, goes_on) = tokio::select! {
        biased;
        Ok(reply) = &mut replied => (answered(reply), true),
        status = process.exited() => match replied.try_recv() {
            Ok(reply) => {
                let result = answered(reply).masked(&process.masks);
                if let OutcomeResult::Failed { .. } = result {
                    slot.pool().crashed(process.started, error_name(&result));
                }
                (result, false)
            }
            Err(_) => {
                let ended = ended(&process, errors::end(&status), id, &status);
                slot.pool().crashed(process.started, error_name(&ended));
                if process.session.withdraw() {
                    drop(scope);
                    outcome.result = ended;
                    return Handed::NeverTaken;
                }
                (ended, false)
            }
        },
        () = tokio::time::sleep(timeout) => (timed_out(id, timeout.as_secs_f64()), false),
        why = stopped(shared, invocation) => (OutcomeResult::interrupted(why), false),
    };

    if let OutcomeResult::Succeeded(_) = result {
        slot.pool().works();
    }
    let duration = begun.elapsed();
    outcome.report.duration_ms = Some(millis(duration));
    // Before anything else: from here on what the process still tries is refused.
    let activity = scope.end();
    outcome.report.max_memory_bytes = process.max_memory_bytes();
    if goes_on {
        process.answered();
    } else {
        process.kill();
    }
    let result = result.masked(&process.masks);
    report::of_invocation(&mut process, spec, duration, &result, outcome);
    outcome.report.read = activity.read;
    outcome.report.written = activity.written;
    outcome.staged = activity.staged;
    outcome.report.refused = activity.refused;
    // Lists that were cut off say what was touched, but not that nothing else was.
    outcome.report.lineage_known &= !activity.truncated;
    outcome.result = result;
    Handed::Done(goes_on.then(|| Box::new(process)))
}

/// Waits until a process that answered, perhaps with an error, asks for more, and only then gives its
/// slot back.
async fn settle(
    shared: Arc<Shared>,
    slot: Slot,
    mut process: Box<Process>,
    failed: Option<String>,
) {
    let pool = slot.pool();
    tokio::select! {
        () = process.session.ready() => {
            pool.works();
            match process.worn_out(&pool.spec) {
                None => {
                    process.set_busy(&shared, false);
                    pool.put_idle(*process);
                }
                Some(why) => tracing::info!(
                    function = %pool.spec.name,
                    why,
                    "a function's process is replaced"
                ),
            }
        }
        status = process.exited() => {
            // Clients tell of what nobody caught before they end.
            if let Some(error) = failed {
                pool.crashed(process.started, error);
            }
            tracing::warn!(
                function = %pool.spec.name,
                status,
                "a function's process ended after its answer instead of asking for more"
            );
        }
        () = tokio::time::sleep(SETTLE_LIMIT) => tracing::warn!(
            function = %pool.spec.name,
            "a function's process is replaced: after its answer it did not ask for more"
        ),
        () = shared.closing.cancelled() => {}
    }
}

fn answered(reply: Reply) -> OutcomeResult {
    match reply {
        Reply::Response(body) if body.trim_ascii().is_empty() => {
            OutcomeResult::Succeeded(serde_json::Value::Null)
        }
        Reply::Response(body) => match serde_json::from_slice(&body) {
            Ok(value) => OutcomeResult::Succeeded(value),
            Err(error) => failed(
                errors::INVALID_RESPONSE,
                format!("the response is not JSON: {error}"),
            ),
        },
        Reply::Value(value) => OutcomeResult::Succeeded(value),
        Reply::Streamed(body) => match response::value_of_stream(&body) {
            Some(value) => OutcomeResult::Succeeded(value),
            None => failed(
                errors::INVALID_RESPONSE,
                "the streamed response is neither JSON nor text",
            ),
        },
        Reply::Truncated => failed(
            errors::TRUNCATED_RESPONSE,
            "the connection ended before the response did",
        ),
        Reply::TooLarge => answer_too_large(),
        Reply::Error(report) => reported(
            &report.body,
            report.header_type.as_deref(),
            errors::FUNCTION_UNKNOWN,
        ),
    }
}

/// Waits until somebody wants the invocation to end; why, in words.
pub(crate) async fn stopped(shared: &Shared, invocation: &Invocation) -> &'static str {
    tokio::select! {
        () = invocation.cancel.cancelled() => CANCELLED,
        () = shared.killing.cancelled() => "the host shut down",
    }
}

fn error_name(result: &OutcomeResult) -> String {
    match result {
        OutcomeResult::Failed { error, .. } => error.clone(),
        _ => String::new(),
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What the function is told; the host itself goes by the monotonic clock.
fn deadline_ms(timeout: Duration) -> i64 {
    let timeout_ms = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
    clock::now_ms().saturating_add(timeout_ms)
}

/// The time during which the logs of an attempt can be followed. Ends when it is dropped.
struct Live<'a> {
    shared: &'a Shared,
    execution: ExecutionId,
}

impl<'a> Live<'a> {
    fn begin(shared: &'a Shared, process: &Process, invocation: &Invocation) -> Self {
        let live = LiveAttempt {
            task: invocation.task,
            attempt: invocation.attempt,
            logs: Arc::clone(&process.logs),
        };
        let execution = invocation.execution;
        shared.live().insert(execution, live);
        Self { shared, execution }
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        self.shared.live().remove(&self.execution);
    }
}

/// The time during which a process's credentials act for an attempt. Ends when it is dropped.
struct Scope {
    storage: Arc<dyn crate::StorageAccess>,
    access_key: String,
    open: bool,
}

impl Scope {
    fn begin(shared: &Shared, process: &Process, slot: &Slot, invocation: &Invocation) -> Self {
        let scope = InvocationScope {
            execution: invocation.execution,
            task: invocation.task,
            attempt: invocation.attempt,
            function: slot.pool().spec.name.clone(),
            trigger: invocation.trigger.clone(),
            shadow: invocation.shadow.clone(),
            chain: invocation.chain.clone(),
        };
        let access_key = process.access_key().to_owned();
        shared.storage.begin(&access_key, scope);
        Self {
            storage: Arc::clone(&shared.storage),
            access_key,
            open: true,
        }
    }

    fn end(mut self) -> StorageActivity {
        self.open = false;
        self.storage.end(&self.access_key)
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        if self.open {
            self.storage.end(&self.access_key);
        }
    }
}
