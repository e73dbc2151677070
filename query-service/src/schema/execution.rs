//! Executions with their steps and attempts.

use std::sync::Arc;

use async_graphql::connection::Connection;
use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use daybook_domain::ShadowId;
use daybook_projections::{
    AccessRow, AttemptRow, CostRow, ExecutionFilter, ExecutionRow, ObjectRow, Reader, StepRow,
};
use serde_json::Value;

use super::catalog::{PipelineNode, ReplayNode};
use super::enums::{AttemptStatus, CauseKind, ExecutionStatus, Lineage, OrderDirection};
use super::event::EventNode;
use super::object::{ObjectNode, events_of};
use super::paging::{PageArgs, cost};
use super::scalars::{DateTime, Long};
use crate::state::{State, unavailable};

/// One run of a pipeline for one cause.
#[derive(Clone)]
pub(crate) struct ExecutionNode {
    pub(crate) row: ExecutionRow,
    /// The model that it was read from: the live one, or one of an earlier time.
    pub(crate) reader: Reader,
    pub(crate) live: bool,
}

/// One run of a pipeline for one cause.
#[Object(name = "Execution")]
impl ExecutionNode {
    /// Its id.
    pub(crate) async fn id(&self) -> ID {
        ID(self.row.id.clone())
    }

    /// The pipeline.
    async fn pipeline(&self) -> Result<Option<PipelineNode>> {
        let row = self.reader.pipeline(&self.row.pipeline).await;
        let row = row.map_err(unavailable)?;
        Ok(row.map(|row| PipelineNode {
            row,
            reader: self.reader.clone(),
        }))
    }

    /// The pipeline's name.
    async fn pipeline_name(&self) -> &str {
        &self.row.pipeline
    }

    /// The pipeline's revision that runs, from 1.
    async fn pipeline_revision(&self) -> u32 {
        self.row.pipeline_revision
    }

    /// The object version that it runs for.
    async fn object(&self, ctx: &Context<'_>) -> Result<Option<ObjectNode>> {
        let Some(version) = self.row.object_version else {
            return Ok(None);
        };
        let row = if self.live {
            let state = ctx.data::<Arc<State>>()?;
            state.objects.load_one(version).await.map_err(unavailable)?
        } else {
            let row = self.reader.object_at(version).await;
            row.map_err(unavailable)?
        };
        Ok(row.map(|row| self.object_node(row)))
    }

    /// The bucket of the object that it runs for.
    async fn bucket(&self) -> &str {
        &self.row.bucket
    }

    /// The key of the object that it runs for.
    async fn key(&self) -> &str {
        &self.row.key
    }

    /// Which run of the pipeline for this object version it is, from 1.
    async fn generation(&self) -> u32 {
        self.row.generation
    }

    /// Where it stands.
    async fn status(&self) -> ExecutionStatus {
        ExecutionStatus::of(&self.row.status)
    }

    /// When its start was recorded.
    async fn started_at(&self) -> DateTime {
        DateTime::from_us(self.row.started_at_us)
    }

    /// When its end was recorded.
    async fn stopped_at(&self) -> Option<DateTime> {
        self.row.stopped_at_us.map(DateTime::from_us)
    }

    /// What it was started with.
    async fn input(&self, ctx: &Context<'_>) -> Result<Value> {
        let state = ctx.data::<Arc<State>>()?;
        state.field(self.row.position, "input").await
    }

    /// What it gave, once it succeeded.
    async fn output(&self, ctx: &Context<'_>) -> Result<Option<Value>> {
        let state = ctx.data::<Arc<State>>()?;
        match (self.row.stopped_position, self.row.error.is_none()) {
            (Some(position), true) => state.field(position, "output").await.map(Some),
            _ => Ok(None),
        }
    }

    /// The name of the error that ended it.
    async fn error(&self) -> Option<&str> {
        self.row.error.as_deref()
    }

    /// The details of the error that ended it.
    async fn cause(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        text(ctx, self.row.error_cause.as_deref()).await
    }

    /// Why it runs.
    async fn cause_kind(&self) -> CauseKind {
        CauseKind::of(&self.row.cause)
    }

    /// Who or what asked for it.
    async fn actor(&self) -> &str {
        &self.row.actor
    }

    /// For a run whose outputs nobody is to notice: what the keys of all that it wrote begin with,
    /// in whichever bucket. Its outcome does not count for the status of its object.
    async fn shadow(&self) -> Option<String> {
        let shadow: ShadowId = self.row.shadow.as_deref()?.parse().ok()?;
        Some(shadow.prefix())
    }

    /// Why it was asked for, in the words of whoever asked.
    async fn reason(&self) -> Option<&str> {
        self.row.reason.as_deref()
    }

    /// The execution that it runs again, alone or in a replay.
    async fn redrive_of(&self, ctx: &Context<'_>) -> Result<Option<ExecutionNode>> {
        match &self.row.redrive_of {
            Some(id) => find_execution(ctx, &self.reader, self.live, id).await,
            None => Ok(None),
        }
    }

    /// The replay that chose it.
    async fn replay(&self) -> Result<Option<ReplayNode>> {
        let Some(id) = &self.row.replay else {
            return Ok(None);
        };
        let row = self.reader.replay(id).await.map_err(unavailable)?;
        Ok(row.map(|row| ReplayNode {
            row,
            reader: self.reader.clone(),
        }))
    }

    /// Its attempts, in order.
    #[graphql(complexity = "5 * child_complexity")]
    async fn attempts(&self) -> Result<Vec<AttemptNode>> {
        let rows = self.reader.attempts(self.row.position).await;
        let rows = rows.map_err(unavailable)?.into_iter();
        Ok(rows.map(|row| AttemptNode { row }).collect())
    }

    /// The states that it went through, in order.
    #[graphql(complexity = "5 * child_complexity")]
    async fn steps(&self) -> Result<Vec<StepNode>> {
        let rows = self.reader.steps(self.row.position).await;
        let rows = rows.map_err(unavailable)?.into_iter();
        Ok(rows.map(|row| StepNode { row }).collect())
    }

    /// Whether what its attempts read and wrote is known: not where a function ran elsewhere, at AWS
    /// Lambda or behind HTTP. Null before the first attempt ended.
    #[graphql(complexity = "5")]
    async fn lineage(&self) -> Result<Option<Lineage>> {
        let attempts = self.reader.attempts(self.row.position).await;
        let attempts = attempts.map_err(unavailable)?;
        let known: Vec<bool> = attempts.iter().filter_map(|it| it.lineage_known).collect();
        Ok(match known.as_slice() {
            [] => None,
            all if all.contains(&false) => Some(Lineage::Unknown),
            _ => Some(Lineage::Known),
        })
    }

    /// The objects that its attempts read, as far as lineage is known.
    #[graphql(complexity = "5 * child_complexity")]
    async fn read_objects(&self) -> Result<Vec<AccessNode>> {
        let rows = self.reader.objects_read(self.row.position).await;
        Ok(self.accesses(rows.map_err(unavailable)?))
    }

    /// What its attempts cost together, those that failed included.
    async fn cost(&self) -> Cost {
        Cost::of(self.row.cost)
    }

    /// The objects that its attempts wrote, as far as lineage is known.
    #[graphql(complexity = "5 * child_complexity")]
    async fn written_objects(&self) -> Result<Vec<AccessNode>> {
        let rows = self.reader.objects_written(self.row.position).await;
        Ok(self.accesses(rows.map_err(unavailable)?))
    }

    /// What attempts that did not succeed had staged: nobody ever saw it, and it is gone.
    #[graphql(complexity = "5 * child_complexity")]
    async fn unpublished_objects(&self) -> Result<Vec<AccessNode>> {
        let rows = self.reader.objects_unpublished(self.row.position).await;
        Ok(self.accesses(rows.map_err(unavailable)?))
    }

    /// Its events, the newest last.
    #[graphql(complexity = "cost(first, last) * child_complexity")]
    async fn events(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, EventNode>> {
        let stream = format!("execution-{}", self.row.id);
        let args = PageArgs {
            first,
            after,
            last,
            before,
        };
        events_of(ctx, &self.reader, stream, args).await
    }
}

impl ExecutionNode {
    fn object_node(&self, row: ObjectRow) -> ObjectNode {
        ObjectNode {
            row,
            reader: self.reader.clone(),
            live: self.live,
        }
    }

    fn accesses(&self, rows: Vec<AccessRow>) -> Vec<AccessNode> {
        let node = |row| AccessNode {
            row,
            reader: self.reader.clone(),
            live: self.live,
        };
        rows.into_iter().map(node).collect()
    }
}

/// An execution by its id, from the same model.
pub(super) async fn find_execution(
    ctx: &Context<'_>,
    reader: &Reader,
    live: bool,
    id: &str,
) -> Result<Option<ExecutionNode>> {
    let row = if live {
        let state = ctx.data::<Arc<State>>()?;
        let row = state.executions.load_one(id.to_owned()).await;
        row.map_err(unavailable)?
    } else {
        reader.execution(id).await.map_err(unavailable)?
    };
    Ok(row.map(|row| ExecutionNode {
        row,
        reader: reader.clone(),
        live,
    }))
}

async fn text(ctx: &Context<'_>, stored: Option<&str>) -> Result<Option<String>> {
    match stored {
        Some(stored) => ctx.data::<Arc<State>>()?.text(stored).await.map(Some),
        None => Ok(None),
    }
}

/// What attempts cost together.
#[derive(SimpleObject)]
pub(crate) struct Cost {
    /// What AWS Lambda would bill, in milliseconds.
    billed_ms: Long,
    /// The same times the memory of the functions, in gigabyte-seconds as AWS Lambda has them.
    gb_seconds: f64,
}

impl Cost {
    pub(super) fn of(row: CostRow) -> Self {
        Self {
            billed_ms: Long(row.billed_ms),
            gb_seconds: gb_seconds(row.mib_ms),
        }
    }
}

/// From MiB held for a millisecond to what AWS Lambda calls a gigabyte-second.
pub(super) fn gb_seconds(mib_ms: u64) -> f64 {
    mib_ms as f64 / (1024.0 * 1000.0)
}

/// One attempt of a task.
pub(crate) struct AttemptNode {
    row: AttemptRow,
}

/// One attempt of a task.
#[Object(name = "Attempt")]
impl AttemptNode {
    /// The task within the execution, from 1.
    async fn task(&self) -> u32 {
        self.row.task
    }

    /// The attempt, from 1.
    async fn attempt(&self) -> u32 {
        self.row.attempt
    }

    /// Where it stands.
    async fn status(&self) -> AttemptStatus {
        AttemptStatus::of(&self.row.status)
    }

    /// The function.
    async fn function_name(&self) -> &str {
        &self.row.function
    }

    /// The revision of the code that ran, from 1.
    async fn code_revision(&self) -> Option<u32> {
        self.row.code_revision
    }

    /// SHA-256 of the code that ran, in hexadecimal.
    async fn code_sha256(&self) -> Option<&str> {
        self.row.code_sha256.as_deref()
    }

    /// The worker that ran it.
    async fn worker(&self) -> Option<&str> {
        self.row.worker.as_deref()
    }

    /// When a retry is or was due.
    async fn due_at(&self) -> Option<DateTime> {
        self.row.due_at_us.map(DateTime::from_us)
    }

    /// When it was handed out.
    async fn scheduled_at(&self) -> Option<DateTime> {
        self.row.scheduled_at_us.map(DateTime::from_us)
    }

    /// When a worker claimed it.
    async fn started_at(&self) -> Option<DateTime> {
        self.row.started_at_us.map(DateTime::from_us)
    }

    /// When its outcome was recorded.
    async fn stopped_at(&self) -> Option<DateTime> {
        self.row.stopped_at_us.map(DateTime::from_us)
    }

    /// The limit on its duration in seconds, where the state machine sets one.
    async fn timeout_seconds(&self) -> Option<Long> {
        self.row.timeout_seconds.map(Long)
    }

    /// How long the function took, in milliseconds.
    async fn duration_ms(&self) -> Option<Long> {
        self.row.duration_ms.map(Long)
    }

    /// How long its process took to start, where this attempt waited for it; in milliseconds.
    async fn init_ms(&self) -> Option<Long> {
        self.row.init_ms.map(Long)
    }

    /// The memory high-water mark of its process, in bytes.
    async fn max_memory_bytes(&self) -> Option<Long> {
        self.row.max_memory_bytes.map(Long)
    }

    /// The id under which the function knew it, as its log lines name it; null before it ended.
    async fn request_id(&self) -> Option<&str> {
        self.row.request_id.as_deref()
    }

    /// What AWS Lambda would bill: start and run, rounded up to a millisecond.
    async fn billed_ms(&self) -> Option<Long> {
        self.row.billed_ms.map(Long)
    }

    /// The function's memory at that time, in MiB.
    async fn memory_mb(&self) -> Option<Long> {
        self.row.memory_bytes.map(|bytes| Long(bytes >> 20))
    }

    /// What was billed times the memory, in gigabyte-seconds as AWS Lambda has them.
    async fn gb_seconds(&self) -> Option<f64> {
        let mib = self.row.memory_bytes? >> 20;
        Some(gb_seconds(self.row.billed_ms?.saturating_mul(mib)))
    }

    /// Whether what it read and wrote is known; null before it ended.
    async fn lineage_known(&self) -> Option<bool> {
        self.row.lineage_known
    }

    /// What the gateway refused it.
    async fn refused(&self) -> Vec<String> {
        let refused = self.row.refused.as_deref().unwrap_or("[]");
        serde_json::from_str(refused).unwrap_or_default()
    }

    /// The error's name.
    async fn error(&self) -> Option<&str> {
        self.row.error.as_deref()
    }

    /// The error's details, or why it was interrupted.
    async fn cause(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        text(ctx, self.row.error_cause.as_deref()).await
    }

    /// What it wrote to standard output and error; null before it ended.
    async fn logs(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        let Some(position) = self.row.outcome_position else {
            return Ok(None);
        };
        let state = ctx.data::<Arc<State>>()?;
        Ok(match state.field(position, "logs").await? {
            Value::String(logs) => Some(logs),
            _ => Some(String::new()),
        })
    }
}

/// A state that an execution was in.
pub(crate) struct StepNode {
    row: StepRow,
}

/// A state that an execution was in.
#[Object(name = "Step")]
impl StepNode {
    /// The state's name.
    async fn name(&self) -> &str {
        &self.row.state
    }

    /// The task within the execution, from 1.
    async fn task(&self) -> u32 {
        self.row.task
    }

    /// The function that it calls.
    async fn function_name(&self) -> &str {
        &self.row.function
    }

    /// When it was entered.
    async fn entered_at(&self) -> DateTime {
        DateTime::from_us(self.row.entered_at_us)
    }

    /// When it was left.
    async fn exited_at(&self) -> Option<DateTime> {
        self.row.exited_at_us.map(DateTime::from_us)
    }

    /// What came in.
    async fn input(&self, ctx: &Context<'_>) -> Result<Value> {
        let state = ctx.data::<Arc<State>>()?;
        state.field(self.row.entered_position, "input").await
    }

    /// What went on from it.
    async fn output(&self, ctx: &Context<'_>) -> Result<Option<Value>> {
        match self.row.exited_position {
            Some(position) => {
                let state = ctx.data::<Arc<State>>()?;
                state.field(position, "output").await.map(Some)
            }
            None => Ok(None),
        }
    }
}

/// An object version that an attempt touched.
pub(crate) struct AccessNode {
    row: AccessRow,
    reader: Reader,
    live: bool,
}

/// An object version that an attempt touched.
#[Object(name = "ObjectAccess")]
impl AccessNode {
    /// The task.
    async fn task(&self) -> u32 {
        self.row.task
    }

    /// The attempt.
    async fn attempt(&self) -> u32 {
        self.row.attempt
    }

    /// The bucket.
    async fn bucket(&self) -> &str {
        &self.row.bucket
    }

    /// The key.
    async fn key(&self) -> &str {
        &self.row.key
    }

    /// The version id.
    async fn version_id(&self) -> Option<&str> {
        self.row.version_id.as_deref()
    }

    /// The entity tag, without quotes.
    async fn etag(&self) -> Option<&str> {
        self.row.etag.as_deref()
    }

    /// The size in bytes.
    async fn size(&self) -> Option<Long> {
        self.row.size.map(Long)
    }

    /// The bytes that were read, in order and apart from each other; null where it was read as a
    /// whole or written, empty where only its metadata was read.
    async fn ranges(&self) -> Option<Vec<ByteRange>> {
        let ranges = self.row.ranges.as_ref()?.iter();
        let range = |(first, last): &(u64, u64)| ByteRange {
            first: Long(*first),
            last: Long(*last),
        };
        Some(ranges.map(range).collect())
    }

    /// The object version, if the ledger has it.
    async fn object(&self) -> Result<Option<ObjectNode>> {
        let row = &self.row;
        let found = self
            .reader
            .object(&row.bucket, &row.key, row.version_id.as_deref())
            .await
            .map_err(unavailable)?;
        Ok(found.map(|row| ObjectNode {
            row,
            reader: self.reader.clone(),
            live: self.live,
        }))
    }
}

/// A range of bytes, both ends included.
#[derive(SimpleObject)]
struct ByteRange {
    /// The offset of the first byte, from 0.
    first: Long,
    /// The offset of the last byte.
    last: Long,
}

/// Which executions.
#[derive(Clone, Default, InputObject)]
pub(crate) struct ExecutionWhere {
    /// In one of these status.
    status: Option<Vec<ExecutionStatus>>,
    /// Of the pipeline of this name.
    pipeline: Option<String>,
    /// For an object in this bucket.
    bucket: Option<String>,
    /// For an object with this key.
    key: Option<String>,
    /// Started at this time or later.
    started_after: Option<DateTime>,
    /// Started before this time.
    started_before: Option<DateTime>,
    /// Chosen by the replay of this id.
    replay: Option<ID>,
    /// That run the execution of this id again.
    redrive_of: Option<ID>,
    /// That failed as this group of failures did.
    fingerprint: Option<ID>,
}

impl ExecutionWhere {
    /// Whether it is one of them.
    pub(crate) fn matches(&self, row: &ExecutionRow) -> bool {
        let status = ExecutionStatus::of(&row.status);
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        let is_id = |wanted: &Option<ID>, found: &Option<String>| {
            wanted
                .as_ref()
                .is_none_or(|wanted| Some(wanted.as_str()) == found.as_deref())
        };
        self.status
            .as_ref()
            .is_none_or(|wanted| wanted.contains(&status))
            && is(&self.pipeline, &row.pipeline)
            && is(&self.bucket, &row.bucket)
            && is(&self.key, &row.key)
            && is_id(&self.replay, &row.replay)
            && is_id(&self.redrive_of, &row.redrive_of)
            && self
                .started_after
                .is_none_or(|time| row.started_at_us >= time.as_us())
            && self
                .started_before
                .is_none_or(|time| row.started_at_us < time.as_us())
    }
}

impl From<ExecutionWhere> for ExecutionFilter {
    fn from(wanted: ExecutionWhere) -> Self {
        let status = wanted.status.unwrap_or_default().into_iter();
        Self {
            status: status.map(|status| status.name().to_owned()).collect(),
            pipeline: wanted.pipeline,
            bucket: wanted.bucket,
            key: wanted.key,
            started_after_us: wanted.started_after.map(DateTime::as_us),
            started_before_us: wanted.started_before.map(DateTime::as_us),
            replay: wanted.replay.map(|id| id.0),
            redrive_of: wanted.redrive_of.map(|id| id.0),
            fingerprint: wanted.fingerprint.map(|id| id.0),
            ..ExecutionFilter::default()
        }
    }
}

/// By what executions are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum ExecutionOrderField {
    /// When they started.
    StartedAt,
    /// When they ended; those that go on count as the latest.
    StoppedAt,
}

/// In which order executions are listed; by default the newest first.
#[derive(InputObject)]
pub(crate) struct ExecutionOrder {
    /// By what.
    #[graphql(default_with = "ExecutionOrderField::StartedAt")]
    pub(crate) field: ExecutionOrderField,
    /// In which direction.
    #[graphql(default_with = "OrderDirection::Asc")]
    pub(crate) direction: OrderDirection,
}
