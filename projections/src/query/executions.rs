//! Executions with their steps, attempts and lineage; failures in groups.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Conditions, Listing, Page, Paged, maybe_unsigned, unsigned};
use crate::fold::HOUR_US;
use crate::pool::{ReadModelError, Reader};

const DAY_US: i64 = 24 * HOUR_US;

/// One run of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutionRow {
    /// The position of its `ExecutionStarted`, which holds the input.
    pub position: u64,
    /// The id.
    pub id: String,
    /// The pipeline.
    pub pipeline: String,
    /// Its revision.
    pub pipeline_revision: u32,
    /// The bucket of the object that it runs for.
    pub bucket: String,
    /// The key of the object that it runs for.
    pub key: String,
    /// The version id of the object that it runs for.
    pub version_id: Option<String>,
    /// The entity tag of the object that it runs for.
    pub etag: Option<String>,
    /// The size in bytes of the object that it runs for.
    pub size: Option<u64>,
    /// The object version in the read model, if the ledger has it.
    pub object_version: Option<u64>,
    /// The ordinal among the runs of the pipeline for this object version, from 1.
    pub generation: u32,
    /// Its status by name.
    pub status: String,
    /// Why it runs: `TRIGGER`, `REDRIVE`, `REPLAY` or `REVISION`.
    pub cause: String,
    /// The execution that it runs again.
    pub redrive_of: Option<String>,
    /// The replay that chose it.
    pub replay: Option<String>,
    /// Why, in the words of whoever asked.
    pub reason: Option<String>,
    /// Who or what asked.
    pub actor: String,
    /// The shadow under which it writes, if it does.
    pub shadow: Option<String>,
    /// When its start was recorded, in microseconds.
    pub started_at_us: i64,
    /// When its end was recorded, in microseconds.
    pub stopped_at_us: Option<i64>,
    /// The position of its last event, which holds the output.
    pub stopped_position: Option<u64>,
    /// The error's name.
    pub error: Option<String>,
    /// The error's details as JSON: a text or a reference into the blob store.
    pub error_cause: Option<String>,
    /// What its attempts cost together.
    pub cost: CostRow,
}

/// What attempts cost together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CostRow {
    /// What AWS Lambda would bill, in milliseconds.
    pub billed_ms: u64,
    /// The same times the memory of the functions in MiB.
    pub mib_ms: u64,
}

/// A state that an execution was in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRow {
    /// The task within the execution, from 1.
    pub task: u32,
    /// The state's name.
    pub state: String,
    /// The function that it calls.
    pub function: String,
    /// When it was entered, in microseconds.
    pub entered_at_us: i64,
    /// The position of the event that holds its input.
    pub entered_position: u64,
    /// When it was left, in microseconds.
    pub exited_at_us: Option<i64>,
    /// The position of the event that holds its output.
    pub exited_position: Option<u64>,
}

/// One attempt of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRow {
    /// The task, from 1.
    pub task: u32,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The function.
    pub function: String,
    /// Its status by name.
    pub status: String,
    /// When it is or was due, for a retry; in microseconds.
    pub due_at_us: Option<i64>,
    /// When it was handed out, in microseconds.
    pub scheduled_at_us: Option<i64>,
    /// When a worker claimed it, in microseconds.
    pub started_at_us: Option<i64>,
    /// When its outcome was recorded, in microseconds.
    pub stopped_at_us: Option<i64>,
    /// The position of its outcome, which holds the logs.
    pub outcome_position: Option<u64>,
    /// The revision of the code that ran.
    pub code_revision: Option<u32>,
    /// SHA-256 of the code that ran.
    pub code_sha256: Option<String>,
    /// The worker that ran it.
    pub worker: Option<String>,
    /// The limit on its duration, in seconds.
    pub timeout_seconds: Option<u64>,
    /// How long the function took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// How long its process took to start, in milliseconds.
    pub init_ms: Option<u64>,
    /// The memory high-water mark, in bytes.
    pub max_memory_bytes: Option<u64>,
    /// The id under which the function knew it.
    pub request_id: Option<String>,
    /// What AWS Lambda would bill, in milliseconds.
    pub billed_ms: Option<u64>,
    /// The function's memory at that time, in bytes.
    pub memory_bytes: Option<u64>,
    /// Whether what it read and wrote is known.
    pub lineage_known: Option<bool>,
    /// What the gateway refused it, as a JSON array.
    pub refused: Option<String>,
    /// The error's name.
    pub error: Option<String>,
    /// The error's details as JSON: a text or a reference into the blob store.
    pub error_cause: Option<String>,
}

/// An object version that an attempt touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRow {
    /// The task.
    pub task: u32,
    /// The attempt.
    pub attempt: u32,
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The version id.
    pub version_id: Option<String>,
    /// The entity tag.
    pub etag: Option<String>,
    /// The size in bytes.
    pub size: Option<u64>,
    /// The first and the last byte of each range that was read; `None` for the whole.
    pub ranges: Option<Vec<(u64, u64)>>,
}

/// Failures of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureRow {
    /// Names the group.
    pub fingerprint: String,
    /// The pipeline.
    pub pipeline: String,
    /// The error's name.
    pub error: String,
    /// The gist of its details.
    pub message: String,
    /// How often.
    pub count: u64,
    /// When first, in microseconds.
    pub first_at_us: i64,
    /// When last, in microseconds.
    pub last_at_us: i64,
    /// The execution that failed last.
    pub last_execution: String,
}

/// Which executions to list. Times in microseconds.
#[derive(Clone, Debug, Default)]
pub struct ExecutionFilter {
    /// With one of these status.
    pub status: Vec<String>,
    /// Of this pipeline.
    pub pipeline: Option<String>,
    /// For an object in this bucket.
    pub bucket: Option<String>,
    /// For an object with this key.
    pub key: Option<String>,
    /// For this object version, by the position of its `ObjectCreated`.
    pub object_version: Option<u64>,
    /// Started at this time or later.
    pub started_after_us: Option<i64>,
    /// Started before this time.
    pub started_before_us: Option<i64>,
    /// Chosen by this replay.
    pub replay: Option<String>,
    /// That run this execution again.
    pub redrive_of: Option<String>,
    /// That failed in this way.
    pub fingerprint: Option<String>,
    /// That read this object version, as far as lineage is known.
    pub read: Option<Touched>,
    /// That wrote this object version.
    pub wrote: Option<Touched>,
}

/// An object version as lineage names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) version_id: Option<String>,
    pub(crate) etag: Option<String>,
    pub(crate) by_execution: Option<String>,
}

impl From<&super::ObjectRow> for Touched {
    fn from(row: &super::ObjectRow) -> Self {
        Self {
            bucket: row.bucket.clone(),
            key: row.key.clone(),
            version_id: row.version_id.clone(),
            etag: row.etag.clone(),
            by_execution: row.by_execution.clone(),
        }
    }
}

/// In which order to list executions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecutionOrder {
    /// By start.
    Started,
    /// By end; those that go on count as the latest.
    Stopped,
}

impl Reader {
    /// An execution by its id.
    pub async fn execution(&self, id: &str) -> Result<Option<ExecutionRow>, ReadModelError> {
        Ok(self.executions_by_id(vec![id.to_owned()]).await?.pop())
    }

    /// Executions by their ids, in any order.
    pub async fn executions_by_id(
        &self,
        ids: Vec<String>,
    ) -> Result<Vec<ExecutionRow>, ReadModelError> {
        self.call(move |conn| {
            let mut statement = conn.prepare_cached("SELECT * FROM executions WHERE id = ?1")?;
            let mut rows = Vec::with_capacity(ids.len());
            for id in ids {
                rows.extend(statement.query_row([id], execution_row).optional()?);
            }
            Ok(rows)
        })
        .await
    }

    /// Executions.
    pub async fn executions(
        &self,
        filter: ExecutionFilter,
        order: ExecutionOrder,
        descending: bool,
        page: Page,
    ) -> Result<Paged<ExecutionRow>, ReadModelError> {
        self.call(move |conn| list(conn, filter, order, descending, &page))
            .await
    }

    /// The states that an execution went through.
    pub async fn steps(&self, execution: u64) -> Result<Vec<StepRow>, ReadModelError> {
        self.all(
            "SELECT * FROM steps WHERE execution = ?1 ORDER BY task",
            execution,
            step_row,
        )
        .await
    }

    /// What the attempts of all executions for an object's key cost together.
    pub async fn object_cost(&self, bucket: &str, key: &str) -> Result<CostRow, ReadModelError> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        let cost = self
            .call(move |conn| {
                conn.prepare_cached("SELECT * FROM object_costs WHERE bucket = ?1 AND key = ?2")?
                    .query_row([bucket, key], cost_row)
                    .optional()
            })
            .await?;
        Ok(cost.unwrap_or_default())
    }

    /// What the attempts of a pipeline cost in each of the days (UTC) before `until_us`, with when
    /// the day began, in microseconds; days without a cost are left out.
    pub async fn pipeline_costs(
        &self,
        pipeline: &str,
        days: u32,
        until_us: i64,
    ) -> Result<Vec<(i64, CostRow)>, ReadModelError> {
        let pipeline = pipeline.to_owned();
        let since_us = until_us.div_euclid(DAY_US) * DAY_US - i64::from(days.max(1) - 1) * DAY_US;
        self.call(move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT start / ?1 * ?1 AS day,
                   SUM(iif(name = 'billed_ms', value, 0)) AS billed_ms,
                   SUM(iif(name = 'mib_ms', value, 0)) AS mib_ms
                 FROM series
                 WHERE width = ?2 AND start >= ?3 AND pipeline = ?4
                   AND name IN ('billed_ms', 'mib_ms')
                 GROUP BY day ORDER BY day",
            )?;
            let rows = statement
                .query_map(params![DAY_US, HOUR_US, since_us, pipeline], |row| {
                    Ok((row.get("day")?, cost_row(row)?))
                })?;
            rows.collect()
        })
        .await
    }

    /// The attempts of an execution.
    pub async fn attempts(&self, execution: u64) -> Result<Vec<AttemptRow>, ReadModelError> {
        self.all(
            "SELECT * FROM attempts WHERE execution = ?1 ORDER BY task, attempt",
            execution,
            attempt_row,
        )
        .await
    }

    /// What an execution's attempts read.
    pub async fn objects_read(&self, execution: u64) -> Result<Vec<AccessRow>, ReadModelError> {
        self.all(
            "SELECT * FROM lineage WHERE execution = ?1 AND kind = 'read'
             ORDER BY task, attempt, ordinal",
            execution,
            access_row,
        )
        .await
    }

    /// What an execution's attempts wrote for others to see.
    pub async fn objects_written(&self, execution: u64) -> Result<Vec<AccessRow>, ReadModelError> {
        self.all(
            "SELECT * FROM lineage WHERE execution = ?1 AND kind = 'written' AND NOT staged
             ORDER BY task, attempt, ordinal",
            execution,
            access_row,
        )
        .await
    }

    /// What those of an execution's attempts staged that did not succeed: nobody ever saw it.
    pub async fn objects_unpublished(
        &self,
        execution: u64,
    ) -> Result<Vec<AccessRow>, ReadModelError> {
        self.all(
            "SELECT * FROM lineage WHERE execution = ?1 AND kind = 'written' AND staged
             ORDER BY task, attempt, ordinal",
            execution,
            access_row,
        )
        .await
    }

    /// Failures in groups, the newest kind last.
    pub async fn failures(
        &self,
        pipeline: Option<String>,
        descending: bool,
        page: Page,
    ) -> Result<Paged<FailureRow>, ReadModelError> {
        let mut conditions = Conditions::default();
        conditions.maybe("pipeline = ?", pipeline);
        let listing = Listing {
            columns: "*",
            from: "failures",
            position: "last_position",
            key: None,
            descending,
        };
        self.call(move |conn| listing.read(conn, conditions, &page, failure_row))
            .await
    }

    async fn all<T: Send + 'static>(
        &self,
        sql: &'static str,
        execution: u64,
        read_row: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, ReadModelError> {
        self.call(move |conn| {
            conn.prepare_cached(sql)?
                .query_map([crate::fold::int(execution)], read_row)?
                .collect()
        })
        .await
    }
}

fn list(
    conn: &Connection,
    filter: ExecutionFilter,
    order: ExecutionOrder,
    descending: bool,
    page: &Page,
) -> rusqlite::Result<Paged<ExecutionRow>> {
    let mut conditions = Conditions::default();
    conditions.one_of("status", &filter.status);
    conditions.maybe("pipeline = ?", filter.pipeline);
    conditions.maybe("bucket = ?", filter.bucket);
    conditions.maybe("key = ?", filter.key);
    conditions.maybe(
        "object_version = ?",
        filter.object_version.map(crate::fold::int),
    );
    conditions.maybe("started_at >= ?", filter.started_after_us);
    conditions.maybe("started_at < ?", filter.started_before_us);
    conditions.maybe("replay = ?", filter.replay);
    conditions.maybe("redrive_of = ?", filter.redrive_of);
    conditions.maybe("fingerprint = ?", filter.fingerprint);
    if let Some(object) = filter.read {
        touched(&mut conditions, object, "read");
    }
    if let Some(object) = filter.wrote {
        touched(&mut conditions, object, "written");
    }
    let listing = Listing {
        columns: "*",
        from: "executions",
        position: "position",
        key: match order {
            ExecutionOrder::Started => None,
            ExecutionOrder::Stopped => Some("coalesce(stopped_at, 9223372036854775807)"),
        },
        descending,
    };
    listing.read(conn, conditions, page, execution_row)
}

/// Lineage is by version id where both sides know it, else by entity tag.
fn touched(conditions: &mut Conditions, object: Touched, kind: &str) {
    let by_execution = match kind {
        "written" => object.by_execution,
        _ => None,
    };
    conditions.add(
        "(position IN (SELECT execution FROM lineage WHERE bucket = ? AND key = ? AND kind = ? AND NOT staged
            AND CASE WHEN version_id IS NOT NULL AND ? IS NOT NULL THEN version_id = ?
                     ELSE etag IS ? END)
          OR id = ?)",
        [
            object.bucket.into(),
            object.key.into(),
            kind.to_owned().into(),
            object.version_id.clone().into(),
            object.version_id.into(),
            object.etag.into(),
            by_execution.into(),
        ],
    );
}

fn execution_row(row: &Row<'_>) -> rusqlite::Result<ExecutionRow> {
    Ok(ExecutionRow {
        position: unsigned(row, "position")?,
        id: row.get("id")?,
        pipeline: row.get("pipeline")?,
        pipeline_revision: row.get("pipeline_revision")?,
        bucket: row.get("bucket")?,
        key: row.get("key")?,
        version_id: row.get("version_id")?,
        etag: row.get("etag")?,
        size: maybe_unsigned(row, "size")?,
        object_version: maybe_unsigned(row, "object_version")?,
        generation: row.get("generation")?,
        status: row.get("status")?,
        cause: row.get("cause")?,
        redrive_of: row.get("redrive_of")?,
        replay: row.get("replay")?,
        reason: row.get("reason")?,
        actor: row.get("actor")?,
        shadow: row.get("shadow")?,
        started_at_us: row.get("started_at")?,
        stopped_at_us: row.get("stopped_at")?,
        stopped_position: maybe_unsigned(row, "stopped_position")?,
        error: row.get("error")?,
        error_cause: row.get("error_cause")?,
        cost: cost_row(row)?,
    })
}

fn cost_row(row: &Row<'_>) -> rusqlite::Result<CostRow> {
    Ok(CostRow {
        billed_ms: unsigned(row, "billed_ms")?,
        mib_ms: unsigned(row, "mib_ms")?,
    })
}

fn step_row(row: &Row<'_>) -> rusqlite::Result<StepRow> {
    Ok(StepRow {
        task: row.get("task")?,
        state: row.get("state")?,
        function: row.get("function")?,
        entered_at_us: row.get("entered_at")?,
        entered_position: unsigned(row, "entered_position")?,
        exited_at_us: row.get("exited_at")?,
        exited_position: maybe_unsigned(row, "exited_position")?,
    })
}

fn attempt_row(row: &Row<'_>) -> rusqlite::Result<AttemptRow> {
    Ok(AttemptRow {
        task: row.get("task")?,
        attempt: row.get("attempt")?,
        function: row.get("function")?,
        status: row.get("status")?,
        due_at_us: row.get("due_at")?,
        scheduled_at_us: row.get("scheduled_at")?,
        started_at_us: row.get("started_at")?,
        stopped_at_us: row.get("stopped_at")?,
        outcome_position: maybe_unsigned(row, "outcome_position")?,
        code_revision: row.get("code_revision")?,
        code_sha256: row.get("code_sha256")?,
        worker: row.get("worker")?,
        timeout_seconds: maybe_unsigned(row, "timeout_seconds")?,
        duration_ms: maybe_unsigned(row, "duration_ms")?,
        request_id: row.get("request_id")?,
        billed_ms: maybe_unsigned(row, "billed_ms")?,
        memory_bytes: maybe_unsigned(row, "memory_bytes")?,
        init_ms: maybe_unsigned(row, "init_ms")?,
        max_memory_bytes: maybe_unsigned(row, "max_memory_bytes")?,
        lineage_known: row.get("lineage_known")?,
        refused: row.get("refused")?,
        error: row.get("error")?,
        error_cause: row.get("error_cause")?,
    })
}

fn access_row(row: &Row<'_>) -> rusqlite::Result<AccessRow> {
    Ok(AccessRow {
        task: row.get("task")?,
        attempt: row.get("attempt")?,
        bucket: row.get("bucket")?,
        key: row.get("key")?,
        version_id: row.get("version_id")?,
        etag: row.get("etag")?,
        size: maybe_unsigned(row, "size")?,
        ranges: ranges(row)?,
    })
}

fn ranges(row: &Row<'_>) -> rusqlite::Result<Option<Vec<(u64, u64)>>> {
    let text: Option<String> = row.get("ranges")?;
    let parsed = text.map(|text| serde_json::from_str(&text));
    parsed
        .transpose()
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error)))
}

fn failure_row(row: &Row<'_>) -> rusqlite::Result<FailureRow> {
    Ok(FailureRow {
        fingerprint: row.get("fingerprint")?,
        pipeline: row.get("pipeline")?,
        error: row.get("error")?,
        message: row.get("message")?,
        count: unsigned(row, "count")?,
        first_at_us: row.get("first_at")?,
        last_at_us: row.get("last_at")?,
        last_execution: row.get("last_execution")?,
    })
}
