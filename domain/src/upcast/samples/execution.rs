//! Samples of an execution's events.

use serde_json::json;

use super::{name, time, uuid};
use crate::execution::{
    AttemptReport, ByteRange, Cause, CodeRevision, ExecutionAborted, ExecutionEvent,
    ExecutionFailed, ExecutionStarted, ExecutionSucceeded, ExecutionTimedOut, ObjectAccess,
    RetryScheduled, TaskCommitted, TaskFailed, TaskInterrupted, TaskScheduled, TaskStarted,
    TaskStateEntered, TaskStateExited, TaskSucceeded, TaskTimedOut, TriggerObject,
};
use crate::stored_object::ObjectVersion;
use crate::{Chain, CommandId, ExecutionId, ReconcileId, ReplayId, WorkerId};

pub(super) fn samples() -> Vec<(&'static str, ExecutionEvent)> {
    let mut samples = starts();
    for (name, full) in [("full", true), ("bare", false)] {
        samples.extend([(name, scheduled(full).into()), (name, aborted(full).into())]);
    }
    for (name, full) in [("billed", true), ("bare", false)] {
        samples.extend([
            (name, committed(full).into()),
            (name, succeeded(full).into()),
            (name, failed(full).into()),
            (name, timed_out(full).into()),
            (name, interrupted(full).into()),
        ]);
    }
    samples.extend(plain().map(|event| ("full", event)));
    samples.extend(with_staged_writes().map(|event| ("staged-billed", event)));
    samples
}

/// The outcomes of attempts that wrote aside.
fn with_staged_writes() -> [ExecutionEvent; 5] {
    let mut report = report(true);
    report.written.iter_mut().for_each(|it| it.staged = true);
    let report = || report.clone();
    [
        TaskCommitted {
            report: report(),
            ..committed(true)
        }
        .into(),
        TaskSucceeded {
            report: report(),
            ..succeeded(true)
        }
        .into(),
        TaskFailed {
            report: report(),
            ..failed(true)
        }
        .into(),
        TaskTimedOut {
            report: report(),
            ..timed_out(true)
        }
        .into(),
        TaskInterrupted {
            report: report(),
            ..interrupted(true)
        }
        .into(),
    ]
}

fn starts() -> Vec<(&'static str, ExecutionEvent)> {
    let of = ExecutionId(uuid(2));
    let redrive = |reason| Cause::Redrive {
        of,
        command: CommandId(uuid(3)),
        reason,
    };
    let replay = Cause::Replay {
        of,
        replay: ReplayId(uuid(4)),
    };
    let revision = Cause::Revision {
        function: name("uppercase"),
        revision: 3,
        reconcile: ReconcileId(uuid(5)),
    };
    vec![
        ("revision-chained", started(revision, true).into()),
        ("chained", started(Cause::Trigger, true).into()),
        ("bare", started(Cause::Trigger, false).into()),
        (
            "redrive-chained",
            started(redrive(Some(text())), true).into(),
        ),
        ("redrive-bare", started(redrive(None), false).into()),
        ("replay-chained", started(replay, true).into()),
        (
            "shadow-chained",
            ExecutionStarted {
                shadow: Some(name("6f1c3b0e-7c53-4e5c-9c0f-2f5a8f0f9b11")),
                ..started(redrive(None), true)
            }
            .into(),
        ),
    ]
}

fn started(cause: Cause, full: bool) -> ExecutionStarted {
    ExecutionStarted {
        execution: ExecutionId(uuid(1)),
        pipeline: name("uppercase"),
        pipeline_revision: 3,
        definition: json!({ "StartAt": "Run", "States": { "Run": { "Type": "Task", "End": true } } }),
        object: TriggerObject {
            bucket: name("inbox"),
            key: name("a/b c.txt"),
            version: ObjectVersion {
                version_id: full.then(|| "v7".to_owned()),
                etag: full.then(|| "0cc175b9c0f1b6a831c399e269772661".to_owned()),
                size: full.then_some(17),
                modified_at: full.then(time),
                stamp: full.then(|| uuid(5)),
            },
        },
        cause,
        input: json!({ "Records": [{ "s3": { "bucket": { "name": "inbox" } } }] }),
        actor: "pipeline:uppercase".to_owned(),
        started_at: time(),
        timeout_seconds: full.then_some(60),
        shadow: None,
        chain: match full {
            true => Chain::default().and_then(&name("convert")),
            false => Chain::default(),
        },
    }
}

fn scheduled(full: bool) -> TaskScheduled {
    TaskScheduled {
        state: "Run".to_owned(),
        task: 1,
        attempt: 2,
        function: name("uppercase"),
        timeout_seconds: full.then_some(30),
    }
}

fn committed(full: bool) -> TaskCommitted {
    TaskCommitted {
        task: 1,
        attempt: 2,
        output: json!({ "lines": 3 }),
        report: report(full),
        logs: logs(full),
    }
}

fn succeeded(full: bool) -> TaskSucceeded {
    TaskSucceeded {
        task: 1,
        attempt: 2,
        output: json!({ "lines": 3 }),
        report: report(full),
        logs: logs(full),
    }
}

fn failed(full: bool) -> TaskFailed {
    TaskFailed {
        task: 1,
        attempt: 2,
        error: "NotText".to_owned(),
        cause: r#"{"errorMessage":"not UTF-8"}"#.to_owned(),
        report: report(full),
        logs: logs(full),
    }
}

fn timed_out(full: bool) -> TaskTimedOut {
    TaskTimedOut {
        task: 1,
        attempt: 2,
        cause: "it took longer than 30 s".to_owned(),
        report: report(full),
        logs: logs(full),
    }
}

fn interrupted(full: bool) -> TaskInterrupted {
    TaskInterrupted {
        task: 1,
        attempt: 2,
        worker: WorkerId(uuid(6)),
        why: "the worker stopped".to_owned(),
        report: report(full),
    }
}

fn aborted(full: bool) -> ExecutionAborted {
    ExecutionAborted {
        actor: "cli:ada".to_owned(),
        reason: full.then(text),
    }
}

/// Those without an optional field.
fn plain() -> [ExecutionEvent; 7] {
    let code = CodeRevision {
        revision: 2,
        sha256: "5e".repeat(32),
    };
    [
        TaskStateEntered {
            state: "Run".to_owned(),
            function: name("uppercase"),
            input: json!({ "a": 1 }),
        }
        .into(),
        TaskStarted {
            task: 1,
            attempt: 2,
            worker: WorkerId(uuid(6)),
            code,
        }
        .into(),
        RetryScheduled {
            task: 1,
            attempt: 3,
            retrier: 0,
            due: time(),
        }
        .into(),
        TaskStateExited {
            state: "Run".to_owned(),
            output: json!(["a", 1.5, null]),
        }
        .into(),
        ExecutionSucceeded { output: json!(7) }.into(),
        ExecutionFailed {
            error: "NotText".to_owned(),
            cause: text(),
        }
        .into(),
        ExecutionTimedOut {
            timeout_seconds: 60,
        }
        .into(),
    ]
}

fn report(full: bool) -> AttemptReport {
    if !full {
        return AttemptReport::default();
    }
    let access = |full: bool| ObjectAccess {
        bucket: name("inbox"),
        key: name("a/b c.txt"),
        version_id: full.then(|| "v7".to_owned()),
        etag: full.then(|| "0cc175b9c0f1b6a831c399e269772661".to_owned()),
        size: full.then_some(17),
        staged: false,
        ranges: full.then(|| vec![ByteRange { first: 0, last: 9 }]),
    };
    AttemptReport {
        read: vec![access(true), access(false)],
        written: vec![access(true)],
        refused: vec!["write results/* is missing".to_owned()],
        lineage_known: true,
        duration_ms: Some(120),
        init_ms: Some(80),
        max_memory_bytes: Some(50_000_000),
        request_id: Some(uuid(7)),
        billed_ms: Some(200),
        memory_bytes: Some(256 << 20),
    }
}

fn logs(full: bool) -> String {
    if full { "one\ntwo\n" } else { "" }.to_owned()
}

fn text() -> String {
    "because".to_owned()
}
