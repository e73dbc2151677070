//! Given events, when a command, then events.

use jiff::ToSpan;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::stored_object::ObjectVersion;
use crate::{CommandId, Event, ReconcileId};

fn at(seconds: i64) -> Context {
    let now = jiff::Timestamp::UNIX_EPOCH
        .checked_add(seconds.seconds())
        .unwrap();
    Context {
        now,
        seed: u64::MAX,
    }
}

fn worker(number: u128) -> WorkerId {
    WorkerId(Uuid::from_u128(number))
}

fn object() -> TriggerObject {
    TriggerObject {
        bucket: "inbox".parse().unwrap(),
        key: "a.txt".parse().unwrap(),
        version: ObjectVersion {
            version_id: Some("v1".to_owned()),
            ..Default::default()
        },
    }
}

fn machine(extra: Value) -> Value {
    let mut state = json!({
        "Type": "Task",
        "Resource": crate::asl::resource_of(&"upper".parse().unwrap()),
        "End": true,
    });
    for (name, value) in extra.as_object().unwrap() {
        state[name] = value.clone();
    }
    json!({ "StartAt": "Upper", "States": { "Upper": state } })
}

fn start(definition: Value) -> ExecutionCommand {
    ExecutionCommand::Start(StartExecution {
        execution: ExecutionId(Uuid::from_u128(1)),
        pipeline: "upper".parse().unwrap(),
        pipeline_revision: 1,
        definition,
        object: object(),
        cause: Cause::Trigger,
        input: json!({ "Records": [] }),
        actor: "pipeline:upper".to_owned(),
        shadow: None,
        chain: Chain::default(),
        loop_depth: None,
        claim: None,
    })
}

fn claim(worker: WorkerId, supersede: Option<WorkerId>) -> ExecutionCommand {
    let code = CodeRevision {
        revision: 1,
        sha256: "00".to_owned(),
    };
    ExecutionCommand::ClaimTask {
        task: 1,
        worker,
        code,
        supersede,
    }
}

fn outcome(attempt: u32, worker: WorkerId, outcome: TaskOutcome) -> ExecutionCommand {
    let (report, logs) = (AttemptReport::default(), String::new());
    ExecutionCommand::RecordOutcome {
        task: 1,
        attempt,
        worker,
        outcome,
        report,
        logs,
    }
}

fn failed(error: &str) -> TaskOutcome {
    TaskOutcome::Failed {
        error: error.to_owned(),
        cause: "{}".to_owned(),
    }
}

fn succeeded() -> TaskOutcome {
    TaskOutcome::Succeeded {
        output: json!("done"),
    }
}

fn committed() -> TaskOutcome {
    TaskOutcome::Committed {
        output: json!("done"),
    }
}

fn published(attempt: u32) -> ExecutionCommand {
    ExecutionCommand::RecordPublished { task: 1, attempt }
}

fn abort() -> ExecutionCommand {
    ExecutionCommand::Abort {
        actor: "cli:ada".to_owned(),
        reason: None,
    }
}

/// The state after commands that all must go through, each at its second.
fn given(commands: Vec<(i64, ExecutionCommand)>) -> Execution {
    let mut execution = Execution::default();
    for (second, command) in commands {
        let events = execution.decide(command, &at(second)).unwrap();
        execution = events
            .iter()
            .fold(execution, |state, event| state.evolve(event));
    }
    execution
}

fn types(events: &[ExecutionEvent]) -> Vec<&'static str> {
    events.iter().map(Event::event_type).collect()
}

#[test]
fn one_attempt_that_succeeds() {
    let begun = Execution::default()
        .decide(start(machine(json!({}))), &at(0))
        .unwrap();
    assert_eq!(
        types(&begun),
        ["ExecutionStarted", "TaskStateEntered", "TaskScheduled"]
    );
    let running = given(vec![
        (0, start(machine(json!({})))),
        (1, claim(worker(1), None)),
    ]);
    assert_eq!(running.status(), Some(Status::Running));
    let events = running
        .decide(outcome(1, worker(1), succeeded()), &at(2))
        .unwrap();
    assert_eq!(
        types(&events),
        ["TaskSucceeded", "TaskStateExited", "ExecutionSucceeded"]
    );
}

#[test]
fn the_starter_may_claim_in_the_same_breath() {
    let ExecutionCommand::Start(mut begin) = start(machine(json!({}))) else {
        panic!()
    };
    let code = CodeRevision {
        revision: 1,
        sha256: "00".to_owned(),
    };
    begin.claim = Some(Claim {
        worker: worker(1),
        code,
    });
    let running = given(vec![(0, ExecutionCommand::Start(begin.clone()))]);
    assert_eq!(running.status(), Some(Status::Running));
    begin.claim.as_mut().unwrap().worker = worker(2);
    let again = running.decide(ExecutionCommand::Start(begin), &at(1));
    assert!(again.unwrap().is_empty());
    let events = running.decide(outcome(1, worker(1), succeeded()), &at(2));
    assert_eq!(types(&events.unwrap()).len(), 3);
}

#[test]
fn an_error_without_a_retrier_fails_the_execution() {
    let running = given(vec![
        (0, start(machine(json!({})))),
        (1, claim(worker(1), None)),
    ]);
    let events = running
        .decide(outcome(1, worker(1), failed("Boom")), &at(2))
        .unwrap();
    assert_eq!(types(&events), ["TaskFailed", "ExecutionFailed"]);
}

#[test]
fn retries_follow_the_definition() {
    let retry = json!({ "Retry": [
        { "ErrorEquals": ["Boom"], "IntervalSeconds": 2, "MaxAttempts": 2, "BackoffRate": 3.0 },
        { "ErrorEquals": ["States.ALL"], "MaxAttempts": 0 },
    ]});
    let mut execution = given(vec![
        (0, start(machine(retry))),
        (0, claim(worker(1), None)),
    ]);
    let mut dues = Vec::new();
    for attempt in 1..=2 {
        let command = outcome(attempt, worker(1), failed("Boom"));
        let events = execution.decide(command, &at(10)).unwrap();
        let ExecutionEvent::RetryScheduled(retry) = &events[1] else {
            panic!("{events:?}")
        };
        dues.push(retry.due.duration_since(at(10).now).as_secs());
        execution = events
            .iter()
            .fold(execution, |state, event| state.evolve(event));
        let early = execution
            .decide(claim(worker(1), None), &at(10))
            .unwrap_err();
        assert_eq!(early, ExecutionError::NotDue);
        let events = execution.decide(claim(worker(1), None), &at(30)).unwrap();
        assert_eq!(types(&events), ["TaskScheduled", "TaskStarted"]);
        execution = events
            .iter()
            .fold(execution, |state, event| state.evolve(event));
    }
    assert_eq!(dues, [2, 6]);
    let events = execution
        .decide(outcome(3, worker(1), failed("Boom")), &at(40))
        .unwrap();
    assert_eq!(types(&events), ["TaskFailed", "ExecutionFailed"]);
}

#[test]
fn a_time_out_is_an_error_like_others() {
    let retry = json!({
        "TimeoutSeconds": 5,
        "Retry": [{ "ErrorEquals": ["States.Timeout"] }],
    });
    let running = given(vec![
        (0, start(machine(retry))),
        (0, claim(worker(1), None)),
    ]);
    assert_eq!(running.task().unwrap().timeout_seconds, Some(5));
    let command = outcome(
        1,
        worker(1),
        TaskOutcome::TimedOut {
            cause: String::new(),
        },
    );
    let events = running.decide(command, &at(6)).unwrap();
    assert_eq!(types(&events), ["TaskTimedOut", "RetryScheduled"]);
}

#[test]
fn only_one_worker_has_an_attempt() {
    let running = given(vec![
        (0, start(machine(json!({})))),
        (1, claim(worker(1), None)),
    ]);
    let error = running.decide(claim(worker(2), None), &at(2)).unwrap_err();
    assert_eq!(error, ExecutionError::Claimed(worker(1)));
    let error = running
        .decide(claim(worker(2), Some(worker(3))), &at(2))
        .unwrap_err();
    assert_eq!(error, ExecutionError::Claimed(worker(1)));
    assert!(
        running
            .decide(claim(worker(1), None), &at(2))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_superseded_attempt_comes_too_late() {
    let taken_over = given(vec![
        (0, start(machine(json!({})))),
        (1, claim(worker(1), None)),
        (2, claim(worker(2), Some(worker(1)))),
    ]);
    assert_eq!(taken_over.task().unwrap().attempt, 2);
    let late = taken_over
        .decide(outcome(1, worker(1), failed("Boom")), &at(3))
        .unwrap_err();
    assert_eq!(late, ExecutionError::Superseded);
    let events = taken_over
        .decide(outcome(2, worker(2), succeeded()), &at(3))
        .unwrap();
    assert_eq!(types(&events).last(), Some(&"ExecutionSucceeded"));
}

#[test]
fn an_interruption_does_not_use_up_retries_but_has_an_end() {
    let mut execution = given(vec![(0, start(machine(json!({}))))]);
    for _ in 1..MAX_INTERRUPTIONS {
        let attempt = execution.task().unwrap().attempt;
        let stopped = TaskOutcome::Interrupted {
            why: "stopped".to_owned(),
        };
        for command in [claim(worker(1), None), outcome(attempt, worker(1), stopped)] {
            let events = execution.decide(command, &at(1)).unwrap();
            execution = events
                .iter()
                .fold(execution, |state, event| state.evolve(event));
        }
        assert_eq!(execution.task().unwrap().phase, Phase::Scheduled);
    }
    let attempt = execution.task().unwrap().attempt;
    let events = execution.decide(claim(worker(1), None), &at(1)).unwrap();
    let execution = events
        .iter()
        .fold(execution, |state, event| state.evolve(event));
    let stopped = TaskOutcome::Interrupted {
        why: "stopped".to_owned(),
    };
    let events = execution
        .decide(outcome(attempt, worker(1), stopped), &at(1))
        .unwrap();
    assert_eq!(types(&events), ["TaskInterrupted", "ExecutionFailed"]);
}

#[test]
fn an_answer_over_the_limit_is_refused() {
    let running = given(vec![
        (0, start(machine(json!({})))),
        (1, claim(worker(1), None)),
    ]);
    let output = json!("x".repeat(MAX_STATE_BYTES));
    let events = running
        .decide(
            outcome(1, worker(1), TaskOutcome::Succeeded { output }),
            &at(2),
        )
        .unwrap();
    let ExecutionEvent::TaskFailed(event) = &events[0] else {
        panic!("{events:?}")
    };
    assert_eq!(event.error, "States.DataLimitExceeded");
}

#[test]
fn the_whole_execution_may_time_out() {
    let mut definition = machine(json!({}));
    definition["TimeoutSeconds"] = json!(10);
    let running = given(vec![(0, start(definition)), (1, claim(worker(1), None))]);
    let early = running
        .decide(ExecutionCommand::TimeOut, &at(9))
        .unwrap_err();
    assert_eq!(early, ExecutionError::NotDue);
    let events = running.decide(ExecutionCommand::TimeOut, &at(10)).unwrap();
    assert_eq!(types(&events), ["ExecutionTimedOut"]);
}

#[test]
fn what_is_over_stays_over() {
    let aborted = given(vec![
        (0, start(machine(json!({})))),
        (1, claim(worker(1), None)),
        (2, abort()),
    ]);
    assert_eq!(aborted.status(), Some(Status::Aborted));
    assert!(aborted.decide(abort(), &at(3)).unwrap().is_empty());
    let late = aborted
        .decide(outcome(1, worker(1), succeeded()), &at(3))
        .unwrap_err();
    assert_eq!(late, ExecutionError::Superseded);
    let claimed = aborted.decide(claim(worker(2), None), &at(3)).unwrap_err();
    assert_eq!(claimed, ExecutionError::Over);
}

#[test]
fn staged_outputs_are_decided_first_and_succeed_once_published() {
    let running = given(vec![
        (0, start(machine(json!({})))),
        (1, claim(worker(1), None)),
    ]);
    let access = ObjectAccess {
        bucket: "results".parse().unwrap(),
        key: "a.txt".parse().unwrap(),
        version_id: Some("v9".to_owned()),
        etag: None,
        size: None,
        ranges: None,
        staged: true,
    };
    let command = ExecutionCommand::RecordOutcome {
        task: 1,
        attempt: 1,
        worker: worker(1),
        outcome: committed(),
        report: AttemptReport {
            written: vec![access],
            ..AttemptReport::default()
        },
        logs: "said".to_owned(),
    };
    let events = running.decide(command, &at(2)).unwrap();
    assert_eq!(types(&events), ["TaskCommitted"]);
    let decided = events.iter().fold(running, |state, it| state.evolve(it));
    assert_eq!(decided.status(), Some(Status::Running));

    // Another worker than the one that ran it may publish.
    let events = decided.decide(published(1), &at(3)).unwrap();
    assert_eq!(
        types(&events),
        ["TaskSucceeded", "TaskStateExited", "ExecutionSucceeded"]
    );
    let ExecutionEvent::TaskSucceeded(succeeded) = &events[0] else {
        panic!("{events:?}")
    };
    assert_eq!(
        (&*succeeded.logs, &succeeded.output),
        ("said", &json!("done"))
    );
    assert!(!succeeded.report.written[0].staged);
    let over = events.iter().fold(decided, |state, it| state.evolve(it));
    assert_eq!(over.status(), Some(Status::Succeeded));
    assert!(over.decide(published(1), &at(4)).unwrap().is_empty());
    let again = over.decide(outcome(1, worker(1), committed()), &at(4));
    assert!(again.unwrap().is_empty());
}

#[test]
fn what_is_decided_is_not_undone_while_it_is_published() {
    let mut definition = machine(json!({}));
    definition["TimeoutSeconds"] = json!(10);
    let mut commands = vec![
        (0, start(definition)),
        (1, claim(worker(1), None)),
        (2, outcome(1, worker(1), committed())),
    ];
    let decided = given(commands.clone());
    for refused in [
        abort(),
        ExecutionCommand::TimeOut,
        claim(worker(1), None),
        claim(worker(2), Some(worker(1))),
    ] {
        let error = decided.decide(refused, &at(20)).unwrap_err();
        assert_eq!(error, ExecutionError::Publishing);
    }
    let failing = decided.decide(outcome(1, worker(1), failed("Boom")), &at(20));
    assert!(failing.unwrap().is_empty(), "it was told of before");
    commands.push((20, published(1)));
    let over = given(commands);
    assert_eq!(over.status(), Some(Status::Succeeded));
    assert!(
        over.decide(ExecutionCommand::TimeOut, &at(21))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn only_what_was_decided_is_published() {
    let running = given(vec![
        (0, start(machine(json!({})))),
        (1, claim(worker(1), None)),
    ]);
    let superseded = Err(ExecutionError::Superseded);
    assert_eq!(running.decide(published(1), &at(2)), superseded);
    let taken_over = given(vec![
        (0, start(machine(json!({})))),
        (1, claim(worker(1), None)),
        (2, claim(worker(2), Some(worker(1)))),
    ]);
    let late = outcome(1, worker(1), committed());
    assert_eq!(taken_over.decide(late, &at(3)), superseded);
    assert_eq!(taken_over.decide(published(1), &at(3)), superseded);
    let output = json!("x".repeat(MAX_STATE_BYTES));
    let too_large = outcome(1, worker(1), TaskOutcome::Committed { output });
    let events = running.decide(too_large, &at(2)).unwrap();
    assert_eq!(types(&events), ["TaskFailed", "ExecutionFailed"]);
}

#[test]
fn a_shadow_is_known_from_the_start() {
    let ExecutionCommand::Start(mut begin) = start(machine(json!({}))) else {
        panic!()
    };
    let shadow = ShadowId::from(begin.execution);
    assert_eq!(shadow.prefix(), format!("shadow/{}/", begin.execution));
    begin.shadow = Some(shadow.clone());
    let execution = given(vec![(0, ExecutionCommand::Start(begin))]);
    assert_eq!(execution.shadow(), Some(&shadow));
    let key = "a/b.txt".parse().unwrap();
    let redirected = shadow.redirect(&key).unwrap();
    assert_eq!(redirected.as_str(), format!("{}a/b.txt", shadow.prefix()));
    let too_long = "k".repeat(1024).parse().unwrap();
    assert!(shadow.redirect(&too_long).is_err());
}

#[test]
fn ids_follow_from_pipeline_object_and_cause() {
    let pipeline: PipelineName = "upper".parse().unwrap();
    let redrive = |command: u128| Cause::Redrive {
        of: ExecutionId(Uuid::nil()),
        command: CommandId(Uuid::from_u128(command)),
        reason: None,
    };
    let id = |cause: &Cause| id_of(&pipeline, &object(), cause);
    assert_eq!(id(&Cause::Trigger), id(&Cause::Trigger));
    assert_ne!(id(&Cause::Trigger), id(&redrive(1)));
    assert_ne!(id(&redrive(1)), id(&redrive(2)));
    let revision = |revision: u32, reconcile: u128| Cause::Revision {
        function: "upper".parse().unwrap(),
        revision,
        reconcile: ReconcileId(Uuid::from_u128(reconcile)),
    };
    assert_eq!(id(&revision(2, 1)), id(&revision(2, 9)));
    assert_ne!(id(&revision(2, 1)), id(&revision(3, 1)));
    let mut other = object();
    other.version.version_id = Some("v2".to_owned());
    assert_ne!(
        id(&Cause::Trigger),
        id_of(&pipeline, &other, &Cause::Trigger)
    );
}

const TERMINAL: [&str; 4] = [
    "ExecutionSucceeded",
    "ExecutionFailed",
    "ExecutionTimedOut",
    "ExecutionAborted",
];

proptest! {
    /// A command handled twice decides nothing new, or is refused; and there is never more than
    /// one terminal event, whatever two workers do. What was decided to be published succeeds,
    /// whatever else was asked meanwhile.
    #[test]
    fn a_retry_decides_nothing_new(steps in prop::collection::vec((0..11_u8, 1..3_u128), 1..25)) {
        let retry = json!({ "Retry": [{ "ErrorEquals": ["States.ALL"], "MaxAttempts": 2 }] });
        let mut definition = machine(retry);
        definition["TimeoutSeconds"] = json!(2_000);
        let begin = start(definition);
        let mut execution = given(vec![(0, begin.clone())]);
        let (mut terminal, mut decided) = (0, false);
        for (second, (step, by)) in steps.into_iter().enumerate() {
            let attempt = execution.task().map_or(1, |task| task.attempt);
            let other = worker(3 - by);
            let command = match step {
                0 => begin.clone(),
                1 => claim(worker(by), None),
                2 => claim(worker(by), Some(other)),
                3 => outcome(attempt, worker(by), failed("Boom")),
                4 => outcome(attempt, worker(by), succeeded()),
                5 => {
                    let why = "stopped".to_owned();
                    outcome(attempt, worker(by), TaskOutcome::Interrupted { why })
                }
                6 => outcome(attempt, worker(by), TaskOutcome::TimedOut { cause: String::new() }),
                7 => outcome(attempt, worker(by), committed()),
                8 => published(attempt),
                9 => ExecutionCommand::TimeOut,
                _ => abort(),
            };
            let context = at(i64::try_from(second).unwrap() * 100);
            let Ok(events) = execution.decide(command.clone(), &context) else { continue };
            terminal += types(&events)
                .iter()
                .filter(|name| TERMINAL.contains(name))
                .count();
            decided |= types(&events).contains(&"TaskCommitted");
            execution = events.iter().fold(execution, |state, event| state.evolve(event));
            if let Ok(again) = execution.decide(command, &context) {
                prop_assert!(again.is_empty(), "{again:?}");
            }
        }
        prop_assert!(terminal <= 1);
        if decided {
            let status = execution.status().unwrap();
            prop_assert!(matches!(status, Status::Running | Status::Succeeded), "{status:?}");
        }
        prop_assert_eq!(terminal == 1, execution.status().unwrap().is_terminal());
    }
}

/// A pipeline that ran so often on what it wrote, the last time started by the worklist.
fn start_after(rounds: u32, through: &[&str]) -> StartExecution {
    let ExecutionCommand::Start(mut begin) = start(machine(json!({}))) else {
        panic!()
    };
    for _ in 0..rounds {
        begin.chain = begin.chain.and_then(&begin.pipeline);
        for other in through {
            begin.chain = begin.chain.and_then(&other.parse().unwrap());
        }
    }
    begin.loop_depth = Some(3);
    begin
}

#[test]
fn a_pipeline_that_comes_back_to_itself_is_stopped_and_named() {
    let third = ExecutionCommand::Start(start_after(2, &[]));
    let running = Execution::default().decide(third, &at(0)).unwrap();
    assert_eq!(types(&running).len(), 3);

    let fourth = ExecutionCommand::Start(start_after(3, &["lower"]));
    let stopped = Execution::default().decide(fourth, &at(0)).unwrap();
    assert_eq!(types(&stopped), ["ExecutionStarted", "ExecutionFailed"]);
    let ExecutionEvent::ExecutionFailed(failed) = &stopped[1] else {
        panic!("{stopped:?}");
    };
    assert_eq!(failed.error, LOOP_DETECTED);
    let named = "pipeline upper has run 3 times on what it wrote itself (through lower)";
    assert!(failed.cause.starts_with(named), "{}", failed.cause);
}

#[test]
fn a_person_may_run_a_stopped_loop_one_round_further() {
    let mut begin = start_after(3, &[]);
    begin.loop_depth = None;
    let running = given(vec![(0, ExecutionCommand::Start(begin))]);
    assert_eq!(running.status(), Some(Status::Pending));
    let upper = "upper".parse().unwrap();
    assert_eq!(running.chain().unwrap().times(&upper), 4);
}

#[test]
fn a_long_way_through_different_pipelines_is_no_loop() {
    let mut begin = start_after(0, &[]);
    for n in 0..50 {
        begin.chain = begin.chain.and_then(&format!("step{n}").parse().unwrap());
    }
    let running = given(vec![(0, ExecutionCommand::Start(begin))]);
    assert_eq!(running.status(), Some(Status::Pending));
}
