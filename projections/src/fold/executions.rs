//! Executions with their steps, attempts, lineage and failures.

use daybook_domain::execution::{
    AttemptReport, ByteRange, Cause, ExecutionEvent, ExecutionStarted, ObjectAccess, Status,
};
use daybook_event_store::RecordedEvent;
use rusqlite::{OptionalExtension, params};
use serde_json::Value;

use super::{Fold, Folded, at, int, pos};
use crate::decode::Prepared;

/// What is looked up of the execution that an event belongs to.
struct Known {
    row: i64,
    id: String,
    pipeline: String,
    status: String,
    object_version: Option<i64>,
    started_at: i64,
}

/// How an attempt ended.
struct Outcome<'a> {
    task: u32,
    attempt: u32,
    status: &'static str,
    error: Option<&'a str>,
    cause: Option<String>,
    report: &'a AttemptReport,
}

impl Fold<'_> {
    pub(super) fn execution(&mut self, prepared: &Prepared, event: &ExecutionEvent) -> Folded<()> {
        let recorded = &*prepared.recorded;
        if let ExecutionEvent::ExecutionStarted(event) = event {
            return self.execution_started(recorded, event);
        }
        let Some(known) = self.known(recorded)? else {
            return Ok(());
        };
        match event {
            ExecutionEvent::ExecutionStarted(_) => Ok(()),
            ExecutionEvent::TaskStateEntered(event) => self
                .run(
                    "INSERT INTO steps SELECT ?1, COUNT(*) + 1, ?2, ?3, ?4, ?5, NULL, NULL
                     FROM steps WHERE execution = ?1",
                    params![
                        known.row,
                        event.state,
                        event.function.as_str(),
                        at(recorded),
                        pos(recorded)
                    ],
                )
                .map(|_| ()),
            ExecutionEvent::TaskScheduled(event) => self
                .run(
                    "INSERT INTO attempts (execution, task, attempt, function, status,
                       scheduled_at, timeout_seconds)
                     VALUES (?1, ?2, ?3, ?4, 'SCHEDULED', ?5, ?6)
                     ON CONFLICT DO UPDATE SET status = 'SCHEDULED', scheduled_at = ?5,
                       timeout_seconds = ?6",
                    params![
                        known.row,
                        event.task,
                        event.attempt,
                        event.function.as_str(),
                        at(recorded),
                        event.timeout_seconds.map(int),
                    ],
                )
                .map(|_| ()),
            ExecutionEvent::TaskStarted(event) => {
                self.run(
                    "UPDATE attempts SET status = 'RUNNING', started_at = ?4, worker = ?5,
                       code_revision = ?6, code_sha256 = ?7
                     WHERE execution = ?1 AND task = ?2 AND attempt = ?3",
                    params![
                        known.row,
                        event.task,
                        event.attempt,
                        at(recorded),
                        event.worker.to_string(),
                        event.code.revision,
                        event.code.sha256,
                    ],
                )?;
                self.tally
                    .happened(recorded, &known.pipeline, "attempts", 1);
                self.set_status(&known, Status::Running)
            }
            // Its outcome comes when what it staged is published; until then it runs.
            ExecutionEvent::TaskCommitted(_) => Ok(()),
            ExecutionEvent::TaskSucceeded(event) => self.outcome(
                recorded,
                &known,
                Outcome {
                    task: event.task,
                    attempt: event.attempt,
                    status: "SUCCEEDED",
                    error: None,
                    cause: None,
                    report: &event.report,
                },
            ),
            ExecutionEvent::TaskFailed(event) => self.outcome(
                recorded,
                &known,
                Outcome {
                    task: event.task,
                    attempt: event.attempt,
                    status: "FAILED",
                    error: Some(&event.error),
                    cause: Some(prepared.text("cause", &event.cause)),
                    report: &event.report,
                },
            ),
            ExecutionEvent::TaskTimedOut(event) => self.outcome(
                recorded,
                &known,
                Outcome {
                    task: event.task,
                    attempt: event.attempt,
                    status: "TIMED_OUT",
                    error: Some("States.Timeout"),
                    cause: Some(prepared.text("cause", &event.cause)),
                    report: &event.report,
                },
            ),
            ExecutionEvent::TaskInterrupted(event) => self.outcome(
                recorded,
                &known,
                Outcome {
                    task: event.task,
                    attempt: event.attempt,
                    status: "INTERRUPTED",
                    error: None,
                    cause: Some(prepared.text("why", &event.why)),
                    report: &event.report,
                },
            ),
            ExecutionEvent::RetryScheduled(event) => self
                .run(
                    "INSERT INTO attempts (execution, task, attempt, function, status, due_at)
                     SELECT ?1, ?2, ?3, function, 'WAITING', ?4 FROM steps
                     WHERE execution = ?1 AND task = ?2
                     ON CONFLICT DO UPDATE SET status = 'WAITING', due_at = ?4",
                    params![
                        known.row,
                        event.task,
                        event.attempt,
                        event.due.as_microsecond()
                    ],
                )
                .map(|_| ()),
            ExecutionEvent::TaskStateExited(event) => self
                .run(
                    "UPDATE steps SET exited_at = ?3, exited_position = ?4
                     WHERE execution = ?1 AND state = ?2 AND exited_at IS NULL",
                    params![known.row, event.state, at(recorded), pos(recorded)],
                )
                .map(|_| ()),
            ExecutionEvent::ExecutionSucceeded(_) => {
                self.stopped(recorded, &known, Status::Succeeded, None)
            }
            ExecutionEvent::ExecutionFailed(event) => {
                let cause = prepared.text("cause", &event.cause);
                self.failed(recorded, &known, Status::Failed, &event.error, cause)
            }
            ExecutionEvent::ExecutionTimedOut(event) => {
                let cause = format!("it took longer than {} s as a whole", event.timeout_seconds);
                let cause = Value::from(cause).to_string();
                self.failed(recorded, &known, Status::TimedOut, "States.Timeout", cause)
            }
            ExecutionEvent::ExecutionAborted(event) => {
                let why = event.reason.as_deref().unwrap_or_default();
                let cause = prepared.text("reason", why);
                self.stopped(
                    recorded,
                    &known,
                    Status::Aborted,
                    Some(("Daybook.Aborted", cause, None)),
                )
            }
        }
    }

    fn execution_started(
        &mut self,
        recorded: &RecordedEvent,
        event: &ExecutionStarted,
    ) -> Folded<()> {
        let object = &event.object;
        let (bucket, key) = (object.bucket.as_str(), object.key.as_str());
        let identity = object.version.identity();
        let version: Option<i64> = self
            .tx
            .prepare_cached(
                "SELECT position FROM object_versions
                 WHERE bucket = ?1 AND key = ?2 AND identity = ?3 ORDER BY position DESC LIMIT 1",
            )?
            .query_row([bucket, key, &identity], |row| row.get(0))
            .optional()?;
        let pipeline = event.pipeline.as_str();
        let generation: i64 = self
            .tx
            .prepare_cached(
                "SELECT COUNT(*) + 1 FROM executions
                 WHERE bucket = ?1 AND key = ?2 AND identity = ?3 AND pipeline = ?4",
            )?
            .query_row([bucket, key, &identity, pipeline], |row| row.get(0))?;
        let (cause, of, replay, reason) = match &event.cause {
            Cause::Trigger => ("TRIGGER", None, None, None),
            Cause::Redrive { of, reason, .. } => ("REDRIVE", Some(of), None, reason.as_deref()),
            Cause::Replay { of, replay } => ("REPLAY", Some(of), Some(replay), None),
            Cause::Revision { .. } => ("REVISION", None, None, None),
        };
        self.run(
            "INSERT INTO executions (position, id, pipeline, pipeline_revision, bucket, key,
               identity, version_id, etag, size, object_version, generation, status, cause,
               redrive_of, replay, reason, actor, started_at, shadow)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
               ?18, ?19, ?20)",
            params![
                pos(recorded),
                event.execution.to_string(),
                pipeline,
                event.pipeline_revision,
                bucket,
                key,
                identity,
                object.version.version_id,
                object.version.etag,
                object.version.size.map(int),
                version,
                generation,
                Status::Pending.as_str(),
                cause,
                of.map(ToString::to_string),
                replay.map(ToString::to_string),
                reason,
                event.actor,
                at(recorded),
                event.shadow.as_ref().map(|shadow| shadow.as_str()),
            ],
        )?;
        self.tally
            .count("execution_status", Status::Pending.as_str(), 1);
        self.tally.count(
            "pipeline_status",
            &format!("{pipeline}/{}", Status::Pending.as_str()),
            1,
        );
        self.tally
            .happened(recorded, pipeline, "executions_started", 1);
        version.map_or(Ok(()), |version| self.refresh_object(version))
    }

    fn known(&self, recorded: &RecordedEvent) -> Folded<Option<Known>> {
        let stream = recorded.stream.as_str();
        let id = stream.strip_prefix("execution-").unwrap_or(stream);
        self.tx
            .prepare_cached(
                "SELECT position, id, pipeline, status, object_version, started_at
                 FROM executions WHERE id = ?1",
            )?
            .query_row([id], |row| {
                Ok(Known {
                    row: row.get(0)?,
                    id: row.get(1)?,
                    pipeline: row.get(2)?,
                    status: row.get(3)?,
                    object_version: row.get(4)?,
                    started_at: row.get(5)?,
                })
            })
            .optional()
    }

    /// What an attempt cost, whatever came of it and whatever it ran for: shadows and repetitions
    /// cost as well.
    fn cost(
        &mut self,
        recorded: &RecordedEvent,
        known: &Known,
        report: &AttemptReport,
    ) -> Folded<()> {
        let Some(billed_ms) = report.billed_ms.map(int) else {
            return Ok(());
        };
        let mib_ms = int(report.mib_ms());
        self.run(
            "UPDATE executions SET billed_ms = billed_ms + ?2, mib_ms = mib_ms + ?3
             WHERE position = ?1",
            params![known.row, billed_ms, mib_ms],
        )?;
        self.run(
            "INSERT INTO object_costs SELECT bucket, key, ?2, ?3 FROM executions WHERE position = ?1
             ON CONFLICT DO UPDATE SET billed_ms = billed_ms + ?2, mib_ms = mib_ms + ?3",
            params![known.row, billed_ms, mib_ms],
        )?;
        for (name, amount) in [("billed_ms", billed_ms), ("mib_ms", mib_ms)] {
            self.tally.happened(recorded, &known.pipeline, name, amount);
        }
        Ok(())
    }

    fn set_status(&mut self, known: &Known, status: Status) -> Folded<()> {
        let (before, after) = (&known.status, status.as_str());
        if before == after {
            return Ok(());
        }
        self.run(
            "UPDATE executions SET status = ?2 WHERE position = ?1",
            params![known.row, after],
        )?;
        for (name, change) in [(before.as_str(), -1), (after, 1)] {
            self.tally.count("execution_status", name, change);
            let name = format!("{}/{name}", known.pipeline);
            self.tally.count("pipeline_status", &name, change);
        }
        known
            .object_version
            .map_or(Ok(()), |version| self.refresh_object(version))
    }

    fn outcome(
        &mut self,
        recorded: &RecordedEvent,
        known: &Known,
        outcome: Outcome<'_>,
    ) -> Folded<()> {
        let report = outcome.report;
        self.run(
            "UPDATE attempts SET status = ?4, stopped_at = ?5, outcome_position = ?6,
               duration_ms = ?7, init_ms = ?8, max_memory_bytes = ?9, lineage_known = ?10,
               refused = ?11, error = ?12, error_cause = ?13, request_id = ?14, billed_ms = ?15,
               memory_bytes = ?16
             WHERE execution = ?1 AND task = ?2 AND attempt = ?3",
            params![
                known.row,
                outcome.task,
                outcome.attempt,
                outcome.status,
                at(recorded),
                pos(recorded),
                report.duration_ms.map(int),
                report.init_ms.map(int),
                report.max_memory_bytes.map(int),
                report.lineage_known,
                Value::from(report.refused.clone()).to_string(),
                outcome.error,
                outcome.cause,
                report.request_id.map(|id| id.to_string()),
                report.billed_ms.map(int),
                report.memory_bytes.map(int),
            ],
        )?;
        self.cost(recorded, known, report)?;
        for (kind, accesses) in [("read", &report.read), ("written", &report.written)] {
            for (ordinal, access) in accesses.iter().enumerate() {
                self.lineage(known.row, &outcome, kind, ordinal, access)?;
            }
        }
        if let Some(duration_ms) = report.duration_ms {
            self.tally
                .happened(recorded, &known.pipeline, "duration_ms", int(duration_ms));
        }
        Ok(())
    }

    fn lineage(
        &self,
        execution: i64,
        outcome: &Outcome<'_>,
        kind: &str,
        ordinal: usize,
        access: &ObjectAccess,
    ) -> Folded<()> {
        self.run(
            "INSERT INTO lineage VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,
               ?12)",
            params![
                execution,
                outcome.task,
                outcome.attempt,
                kind,
                int(ordinal as u64),
                access.bucket.as_str(),
                access.key.as_str(),
                access.version_id,
                access.etag,
                access.size.map(int),
                access.staged,
                access.ranges.as_deref().map(pairs),
            ],
        )
        .map(|_| ())
    }

    fn failed(
        &mut self,
        recorded: &RecordedEvent,
        known: &Known,
        status: Status,
        error: &str,
        cause: String,
    ) -> Folded<()> {
        let message = message_of(&cause);
        let parts = [known.pipeline.as_str(), error, &message];
        let fingerprint =
            uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, parts.join("\n").as_bytes());
        let fingerprint = fingerprint.to_string();
        self.run(
            "INSERT INTO failures VALUES (?1, ?2, ?3, ?4, 1, ?5, ?5, ?6, ?6, ?7)
             ON CONFLICT DO UPDATE SET count = count + 1, last_position = ?5, last_at = ?6,
               last_execution = ?7",
            params![
                fingerprint,
                known.pipeline,
                error,
                message,
                pos(recorded),
                at(recorded),
                known.id
            ],
        )?;
        self.stopped(
            recorded,
            known,
            status,
            Some((error, cause, Some(fingerprint))),
        )
    }

    fn stopped(
        &mut self,
        recorded: &RecordedEvent,
        known: &Known,
        status: Status,
        error: Option<(&str, String, Option<String>)>,
    ) -> Folded<()> {
        let (error, cause, fingerprint) = match error {
            Some((error, cause, fingerprint)) => (Some(error), Some(cause), fingerprint),
            None => (None, None, None),
        };
        self.run(
            "UPDATE executions SET stopped_at = ?2, stopped_position = ?3, error = ?4,
               error_cause = ?5, fingerprint = ?6 WHERE position = ?1",
            params![
                known.row,
                at(recorded),
                pos(recorded),
                error,
                cause,
                fingerprint
            ],
        )?;
        // What was still open ends with the execution.
        self.run(
            "UPDATE attempts SET status = 'ABORTED', stopped_at = ?2
             WHERE execution = ?1 AND status IN ('WAITING', 'SCHEDULED', 'RUNNING')",
            params![known.row, at(recorded)],
        )?;
        let name = match status {
            Status::Succeeded => "executions_succeeded",
            Status::TimedOut => "executions_timed_out",
            Status::Aborted => "executions_aborted",
            _ => "executions_failed",
        };
        self.tally.happened(recorded, &known.pipeline, name, 1);
        let elapsed_ms = (at(recorded) - known.started_at) / 1000;
        self.tally
            .happened(recorded, &known.pipeline, "elapsed_ms", elapsed_ms);
        self.set_status(known, status)
    }
}

/// The longest message by which failures are told apart, in characters.
const MESSAGE_CHARS: usize = 200;

/// The gist of an error's details: the message of a Lambda error document or the first line, with
/// numbers and ids made alike so that the same fault on other objects groups together.
fn message_of(cause: &str) -> String {
    let cause = match serde_json::from_str(cause) {
        Ok(Value::String(text)) => text,
        _ => String::new(),
    };
    let message = serde_json::from_str::<Value>(&cause)
        .ok()
        .and_then(|document| Some(document.get("errorMessage")?.as_str()?.to_owned()))
        .unwrap_or(cause);
    let line = message.lines().next().unwrap_or_default();
    let mut gist = String::new();
    for word in line.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let bare = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let rest = &word[bare.len()..];
        if bare.chars().any(|c| c.is_ascii_digit()) {
            gist.push('#');
        } else {
            gist.push_str(bare);
        }
        gist.push_str(rest);
    }
    gist.chars().take(MESSAGE_CHARS).collect()
}

/// Byte ranges as the read model keeps them: JSON pairs of the first and the last byte.
fn pairs(ranges: &[ByteRange]) -> String {
    let pairs = ranges
        .iter()
        .map(|range| Value::from(vec![range.first, range.last]));
    pairs.collect::<Value>().to_string()
}
