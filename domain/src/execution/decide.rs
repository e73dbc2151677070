//! What each command leads to.

use jiff::SignedDuration;
use serde_json::Value;

use super::{
    AttemptKey, AttemptReport, CodeRevision, Execution, ExecutionAborted, ExecutionCommand,
    ExecutionError, ExecutionEvent, ExecutionFailed, ExecutionStarted, ExecutionSucceeded,
    ExecutionTimedOut, LOOP_DETECTED, MAX_EVENTS, MAX_INTERRUPTIONS, MAX_STATE_BYTES, Phase,
    RetryScheduled, StartExecution, Task, TaskCommitted, TaskFailed, TaskInterrupted, TaskOutcome,
    TaskScheduled, TaskStarted, TaskStateEntered, TaskStateExited, TaskSucceeded, TaskTimedOut,
};
use crate::asl::{Machine, State};
use crate::{Chain, Context, PipelineName, WorkerId};

/// The most events that another attempt may add before the execution can end.
const EVENTS_OF_AN_ATTEMPT: u32 = 7;

type Decision = Result<Vec<ExecutionEvent>, ExecutionError>;

pub(super) fn decide(
    execution: &Execution,
    command: ExecutionCommand,
    context: &Context,
) -> Decision {
    if let ExecutionCommand::Start(start) = command {
        return match execution.started {
            None => begin(start, context),
            Some(_) => Ok(Vec::new()),
        };
    }
    let Some(status) = execution.status else {
        return Err(ExecutionError::NotStarted);
    };
    match command {
        ExecutionCommand::RecordOutcome {
            task,
            attempt,
            worker,
            outcome,
            report,
            logs,
        } => {
            let key = AttemptKey {
                task,
                attempt,
                worker,
            };
            if execution.last_outcome == Some(key) {
                return Ok(Vec::new());
            }
            if status.is_terminal() {
                return Err(ExecutionError::Superseded);
            }
            record(execution, key, outcome, report, logs, context)
        }
        ExecutionCommand::RecordPublished { task, attempt } => publish(execution, task, attempt),
        // Ending what has ended is what was asked for.
        ExecutionCommand::TimeOut | ExecutionCommand::Abort { .. } if status.is_terminal() => {
            Ok(Vec::new())
        }
        _ if status.is_terminal() => Err(ExecutionError::Over),
        ExecutionCommand::ClaimTask {
            task,
            worker,
            code,
            supersede,
        } => claim(execution, task, worker, code, supersede, context),
        ExecutionCommand::TimeOut => time_out(execution, context),
        ExecutionCommand::Abort { .. } if is_committed(execution) => {
            Err(ExecutionError::Publishing)
        }
        ExecutionCommand::Abort { actor, reason } => {
            Ok(vec![ExecutionAborted { actor, reason }.into()])
        }
        ExecutionCommand::Start(_) => Ok(Vec::new()),
    }
}

fn begin(start: StartExecution, context: &Context) -> Decision {
    let machine = Machine::parse(&start.definition).map_err(ExecutionError::Definition)?;
    let state = machine.start_at.clone();
    let Some(State::Task(task)) = machine.states.get(&state) else {
        return Err(ExecutionError::NotStarted);
    };
    let (function, timeout_seconds) = (task.function.clone(), task.timeout_seconds);
    let (input, claim) = (start.input.clone(), start.claim);
    let looped = start
        .loop_depth
        .and_then(|depth| looped(&start.pipeline, &start.chain, depth));
    let started = ExecutionStarted {
        execution: start.execution,
        pipeline: start.pipeline,
        pipeline_revision: start.pipeline_revision,
        definition: start.definition,
        object: start.object,
        cause: start.cause,
        input: start.input,
        actor: start.actor,
        started_at: context.now,
        timeout_seconds: machine.timeout_seconds,
        chain: start.chain,
        shadow: start.shadow,
    };
    if let Some(failed) = looped {
        return Ok(vec![started.into(), failed.into()]);
    }
    let mut events = vec![
        started.into(),
        TaskStateEntered {
            state: state.clone(),
            function: function.clone(),
            input,
        }
        .into(),
        TaskScheduled {
            state,
            task: 1,
            attempt: 1,
            function,
            timeout_seconds,
        }
        .into(),
    ];
    events.extend(claim.map(|claim| {
        TaskStarted {
            task: 1,
            attempt: 1,
            worker: claim.worker,
            code: claim.code,
        }
        .into()
    }));
    Ok(events)
}

/// How an execution ends whose pipeline has led to itself too often.
fn looped(pipeline: &PipelineName, chain: &Chain, depth: u32) -> Option<ExecutionFailed> {
    let times = chain.times(pipeline);
    if times < depth {
        return None;
    }
    let others: Vec<&str> = chain
        .repeated()
        .filter(|other| *other != pipeline)
        .map(PipelineName::as_str)
        .collect();
    let through = match others.is_empty() {
        true => String::new(),
        false => format!(" (through {})", others.join(", ")),
    };
    Some(ExecutionFailed {
        error: LOOP_DETECTED.to_owned(),
        cause: format!(
            "pipeline {pipeline} has run {times} times on what it wrote itself{through}, so it was \
             not run again. Let it write where it is not triggered, or narrow its trigger by a \
             prefix or suffix"
        ),
    })
}

fn claim(
    execution: &Execution,
    ordinal: u32,
    worker: WorkerId,
    code: CodeRevision,
    supersede: Option<WorkerId>,
    context: &Context,
) -> Decision {
    let task = current(execution, ordinal).ok_or(ExecutionError::NotDue)?;
    let started = |attempt| TaskStarted {
        task: ordinal,
        attempt,
        worker,
        code: code.clone(),
    };
    match task.phase {
        Phase::Scheduled => Ok(vec![started(task.attempt).into()]),
        Phase::WaitingForRetry { due } if due <= context.now => Ok(vec![
            scheduled(task, task.attempt).into(),
            started(task.attempt).into(),
        ]),
        Phase::Running { worker: owner } if owner == worker => Ok(Vec::new()),
        Phase::Running { worker: owner } if supersede == Some(owner) => {
            let why = format!("worker {owner} is gone; worker {worker} takes over");
            let mut events = interrupt(execution, task, owner, why, AttemptReport::default());
            if may_go_on(execution) {
                events.push(started(task.attempt + 1).into());
            }
            Ok(events)
        }
        Phase::Running { worker: owner } => Err(ExecutionError::Claimed(owner)),
        Phase::Committed { .. } => Err(ExecutionError::Publishing),
        Phase::WaitingForRetry { .. } | Phase::Over => Err(ExecutionError::NotDue),
    }
}

fn record(
    execution: &Execution,
    key: AttemptKey,
    outcome: TaskOutcome,
    report: AttemptReport,
    logs: String,
    context: &Context,
) -> Decision {
    let worker = key.worker;
    let task = current(execution, key.task)
        .filter(|task| task.attempt == key.attempt)
        .ok_or(ExecutionError::Superseded)?;
    match task.phase {
        Phase::Running { worker: owner } if owner == worker => {}
        // The outcome that was decided, told once more.
        Phase::Committed { worker: owner } if owner == worker => return Ok(Vec::new()),
        _ => return Err(ExecutionError::Superseded),
    }
    let (ordinal, attempt) = (key.task, key.attempt);
    match outcome {
        TaskOutcome::Succeeded { output } | TaskOutcome::Committed { output }
            if size_of(&output) > MAX_STATE_BYTES =>
        {
            let error = "States.DataLimitExceeded".to_owned();
            // The wording is that of AWS Step Functions.
            let cause = format!(
                "The state/task '{}' returned a result with a size exceeding the maximum number \
                 of bytes service limit.",
                task.state
            );
            fail(execution, task, error, cause, report, logs, context)
        }
        TaskOutcome::Succeeded { output } => Ok(succeed(
            task,
            TaskSucceeded {
                task: ordinal,
                attempt,
                output,
                report,
                logs,
            },
        )),
        TaskOutcome::Committed { output } => Ok(vec![
            TaskCommitted {
                task: ordinal,
                attempt,
                output,
                report,
                logs,
            }
            .into(),
        ]),
        TaskOutcome::Failed { error, cause } => {
            fail(execution, task, error, cause, report, logs, context)
        }
        TaskOutcome::TimedOut { cause } => {
            let timed_out = TaskTimedOut {
                task: ordinal,
                attempt,
                cause: cause.clone(),
                report,
                logs,
            };
            let next = after_error(execution, task, "States.Timeout".to_owned(), cause, context)?;
            Ok(vec![timed_out.into(), next])
        }
        TaskOutcome::Interrupted { why } => Ok(interrupt(execution, task, key.worker, why, report)),
    }
}

/// What was decided with `TaskCommitted` is done: the task goes on as if it had just succeeded.
fn publish(execution: &Execution, ordinal: u32, attempt: u32) -> Decision {
    let task = current(execution, ordinal).filter(|task| task.attempt == attempt);
    if let Some((task, committed)) = task.and_then(|task| Some((task, task.committed.clone()?))) {
        let succeeded = TaskSucceeded {
            task: ordinal,
            attempt,
            output: committed.output,
            report: committed.report.published(),
            logs: committed.logs,
        };
        return Ok(succeed(task, succeeded));
    }
    // Another one that published said so before.
    match execution.last_outcome {
        Some(last) if (last.task, last.attempt) == (ordinal, attempt) => Ok(Vec::new()),
        _ => Err(ExecutionError::Superseded),
    }
}

fn succeed(task: &Task, succeeded: TaskSucceeded) -> Vec<ExecutionEvent> {
    let output = succeeded.output.clone();
    vec![
        succeeded.into(),
        TaskStateExited {
            state: task.state.clone(),
            output: output.clone(),
        }
        .into(),
        ExecutionSucceeded { output }.into(),
    ]
}

fn fail(
    execution: &Execution,
    task: &Task,
    error: String,
    cause: String,
    report: AttemptReport,
    logs: String,
    context: &Context,
) -> Decision {
    let failed = TaskFailed {
        task: task.task,
        attempt: task.attempt,
        error: error.clone(),
        cause: cause.clone(),
        report,
        logs,
    };
    let next = after_error(execution, task, error, cause, context)?;
    Ok(vec![failed.into(), next])
}

/// What follows an error: the first retrier that matches and has attempts left schedules another
/// one; otherwise the execution fails with the error.
fn after_error(
    execution: &Execution,
    task: &Task,
    error: String,
    cause: String,
    context: &Context,
) -> Result<ExecutionEvent, ExecutionError> {
    let machine = machine_of(execution)?;
    let Some(State::Task(state)) = machine.states.get(&task.state) else {
        return Ok(ExecutionFailed { error, cause }.into());
    };
    let retrier = state
        .retry
        .iter()
        .enumerate()
        .find(|(_, retrier)| retrier.matches(&error));
    let Some((index, retrier)) = retrier else {
        return Ok(ExecutionFailed { error, cause }.into());
    };
    let used = task.retries.get(&index).copied().unwrap_or(0);
    if used >= retrier.max_attempts {
        return Ok(ExecutionFailed { error, cause }.into());
    }
    if execution.events + EVENTS_OF_AN_ATTEMPT > MAX_EVENTS {
        let error = "States.Runtime".to_owned();
        let cause = format!("the execution reached the limit of {MAX_EVENTS} events");
        return Ok(ExecutionFailed { error, cause }.into());
    }
    let delay_ms = retrier.delay_ms(used + 1, context.fraction());
    let delay = SignedDuration::from_millis(i64::try_from(delay_ms).unwrap_or(i64::MAX));
    let due = context
        .now
        .checked_add(delay)
        .unwrap_or(jiff::Timestamp::MAX);
    Ok(RetryScheduled {
        task: task.task,
        attempt: task.attempt + 1,
        retrier: index,
        due,
    }
    .into())
}

/// An attempt that ended through no fault of its own is due again at once, and does not count
/// against `Retry`.
fn interrupt(
    execution: &Execution,
    task: &Task,
    worker: WorkerId,
    why: String,
    report: AttemptReport,
) -> Vec<ExecutionEvent> {
    let interrupted = TaskInterrupted {
        task: task.task,
        attempt: task.attempt,
        worker,
        why,
        report,
    };
    let next = if may_go_on(execution) {
        scheduled(task, task.attempt + 1).into()
    } else {
        let error = "Daybook.Interrupted".to_owned();
        let cause = format!("interrupted {MAX_INTERRUPTIONS} times; see its attempts");
        ExecutionFailed { error, cause }.into()
    };
    vec![interrupted.into(), next]
}

fn may_go_on(execution: &Execution) -> bool {
    execution.interruptions + 1 < MAX_INTERRUPTIONS
}

fn is_committed(execution: &Execution) -> bool {
    let phase = execution.task.as_ref().map(|task| task.phase);
    matches!(phase, Some(Phase::Committed { .. }))
}

fn time_out(execution: &Execution, context: &Context) -> Decision {
    if is_committed(execution) {
        return Err(ExecutionError::Publishing);
    }
    let deadline = execution
        .started
        .as_ref()
        .and_then(|started| started.deadline);
    match deadline {
        Some((deadline, timeout_seconds)) if deadline <= context.now => {
            Ok(vec![ExecutionTimedOut { timeout_seconds }.into()])
        }
        _ => Err(ExecutionError::NotDue),
    }
}

fn current(execution: &Execution, ordinal: u32) -> Option<&Task> {
    execution.task.as_ref().filter(|task| task.task == ordinal)
}

fn scheduled(task: &Task, attempt: u32) -> TaskScheduled {
    TaskScheduled {
        state: task.state.clone(),
        task: task.task,
        attempt,
        function: task.function.clone(),
        timeout_seconds: task.timeout_seconds,
    }
}

fn machine_of(execution: &Execution) -> Result<Machine, ExecutionError> {
    let started = execution
        .started
        .as_ref()
        .ok_or(ExecutionError::NotStarted)?;
    Machine::parse(&started.definition).map_err(ExecutionError::Definition)
}

fn size_of(value: &Value) -> usize {
    value.to_string().len()
}
