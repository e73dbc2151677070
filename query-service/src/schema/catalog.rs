//! Pipelines, functions, replays and groups of failures.

use std::sync::Arc;

use async_graphql::connection::Connection;
use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use daybook_projections::{
    ExecutionFilter, ExecutionOrder, FailureRow, FunctionRow, PipelineRow, Reader, ReplayRow,
    RevisionRow,
};
use serde_json::Value;

use super::enums::ReplayStatus;
use super::execution::{Cost, ExecutionNode, find_execution};
use super::object::most;
use super::paging::{PageArgs, connect, cost};
use super::scalars::{DateTime, Long, Position};
use crate::state::{State, unavailable};

/// A pipeline: which objects it wants, and what it runs for them.
pub(crate) struct PipelineNode {
    pub(crate) row: PipelineRow,
    pub(crate) reader: Reader,
}

/// A pipeline: which objects it wants, and what it runs for them.
#[Object(name = "Pipeline")]
impl PipelineNode {
    /// Names it among all nodes.
    pub(crate) async fn id(&self) -> ID {
        ID(format!("pipeline:{}", self.row.name))
    }

    /// Its name.
    async fn name(&self) -> &str {
        &self.row.name
    }

    /// Its newest revision, from 1.
    async fn revision(&self) -> u32 {
        self.row.revision
    }

    /// SHA-256 over definition and triggers, in hexadecimal.
    async fn sha256(&self) -> &str {
        &self.row.sha256
    }

    /// The state machine that it runs, in the Amazon States Language.
    async fn definition(&self, ctx: &Context<'_>) -> Result<Value> {
        let value = serde_json::from_str(&self.row.definition).map_err(unavailable)?;
        ctx.data::<Arc<State>>()?.hydrated(value).await
    }

    /// Which objects it wants.
    async fn triggers(&self) -> Vec<Trigger> {
        serde_json::from_str(&self.row.triggers).unwrap_or_default()
    }

    /// Whether it takes no objects for now.
    async fn paused(&self) -> bool {
        self.row.paused
    }

    /// Whether it was taken out of the config.
    async fn retired(&self) -> bool {
        self.row.retired
    }

    /// Who made the newest revision.
    async fn actor(&self) -> &str {
        &self.row.actor
    }

    /// When the newest revision was made.
    async fn revised_at(&self) -> DateTime {
        DateTime::from_us(self.row.revised_at_us)
    }

    /// What its attempts cost in each of the last days (UTC), oldest first; days without a cost are
    /// left out. Shadows and repetitions cost as well.
    #[graphql(complexity = "5 * child_complexity")]
    async fn costs(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = 30, validator(minimum = 1, maximum = 366))] days: u32,
    ) -> Result<Vec<DailyCost>> {
        let now = (ctx.data::<Arc<State>>()?.config.clock)();
        let (name, now_us) = (&self.row.name, now.as_microsecond());
        let rows = self.reader.pipeline_costs(name, days, now_us).await;
        let day = |(start_us, row)| DailyCost {
            day: DateTime::from_us(start_us),
            cost: Cost::of(row),
        };
        Ok(rows.map_err(unavailable)?.into_iter().map(day).collect())
    }

    /// Its revisions, oldest first.
    #[graphql(complexity = "5 * child_complexity")]
    async fn revisions(&self) -> Result<Vec<Revision>> {
        let rows = self.reader.pipeline_revisions(&self.row.name).await;
        Ok(rows
            .map_err(unavailable)?
            .into_iter()
            .map(Revision::from)
            .collect())
    }
}

/// What a day cost.
#[derive(SimpleObject)]
pub(crate) struct DailyCost {
    /// When it begins, in UTC.
    day: DateTime,
    /// What it cost.
    cost: Cost,
}

/// Which objects a pipeline wants.
#[derive(serde::Deserialize, SimpleObject)]
pub(crate) struct Trigger {
    /// In this bucket.
    bucket: String,
    /// With keys that start so.
    prefix: Option<String>,
    /// With keys that end so.
    suffix: Option<String>,
}

/// A function: the code that runs.
pub(crate) struct FunctionNode {
    pub(crate) row: FunctionRow,
    pub(crate) reader: Reader,
}

/// A function: the code that runs.
#[Object(name = "Function")]
impl FunctionNode {
    /// Names it among all nodes.
    pub(crate) async fn id(&self) -> ID {
        ID(format!("function:{}", self.row.name))
    }

    /// Its name.
    async fn name(&self) -> &str {
        &self.row.name
    }

    /// The newest revision of its code, from 1.
    async fn revision(&self) -> u32 {
        self.row.revision
    }

    /// SHA-256 of its package, in hexadecimal.
    async fn sha256(&self) -> &str {
        &self.row.sha256
    }

    /// The size of its package in bytes.
    async fn package_bytes(&self) -> Long {
        Long(self.row.package_bytes)
    }

    /// The runtime, as the config names it.
    async fn runtime(&self) -> &str {
        &self.row.runtime
    }

    /// The handler, as the config names it.
    async fn handler(&self) -> &str {
        &self.row.handler
    }

    /// How long an attempt may take, in milliseconds.
    async fn timeout_ms(&self) -> Long {
        Long(self.row.timeout_ms)
    }

    /// The memory limit in bytes.
    async fn memory_bytes(&self) -> Long {
        Long(self.row.memory_bytes)
    }

    /// Who made the newest revision.
    async fn actor(&self) -> &str {
        &self.row.actor
    }

    /// When the newest revision was made.
    async fn revised_at(&self) -> DateTime {
        DateTime::from_us(self.row.revised_at_us)
    }

    /// Its revisions, oldest first.
    #[graphql(complexity = "5 * child_complexity")]
    async fn revisions(&self) -> Result<Vec<Revision>> {
        let rows = self.reader.function_revisions(&self.row.name).await;
        Ok(rows
            .map_err(unavailable)?
            .into_iter()
            .map(Revision::from)
            .collect())
    }
}

/// A revision of a pipeline or a function.
#[derive(SimpleObject)]
pub(crate) struct Revision {
    /// From 1.
    revision: u32,
    /// Its SHA-256, in hexadecimal.
    sha256: String,
    /// Who made it.
    actor: String,
    /// When.
    revised_at: DateTime,
}

impl From<RevisionRow> for Revision {
    fn from(row: RevisionRow) -> Self {
        Self {
            revision: row.revision,
            sha256: row.sha256,
            actor: row.actor,
            revised_at: DateTime::from_us(row.revised_at_us),
        }
    }
}

/// A bulk re-run.
pub(crate) struct ReplayNode {
    pub(crate) row: ReplayRow,
    pub(crate) reader: Reader,
}

/// A bulk re-run.
#[Object(name = "Replay")]
impl ReplayNode {
    /// Its id.
    pub(crate) async fn id(&self) -> ID {
        ID(self.row.id.clone())
    }

    /// The name of the pipeline whose executions it runs again.
    async fn pipeline_name(&self) -> &str {
        &self.row.pipeline
    }

    /// How the executions were chosen.
    async fn selection(&self) -> Value {
        serde_json::from_str(&self.row.selection).unwrap_or_default()
    }

    /// The position of the log at which they were chosen.
    async fn position(&self) -> Position {
        Position(self.row.at_position)
    }

    /// How many executions it runs again.
    async fn planned(&self) -> Long {
        Long(self.row.planned)
    }

    /// How many of them are started.
    async fn done(&self) -> Long {
        Long(self.row.done)
    }

    /// Where it stands.
    async fn status(&self) -> ReplayStatus {
        ReplayStatus::of(&self.row.phase)
    }

    /// Who asked.
    async fn actor(&self) -> &str {
        &self.row.actor
    }

    /// Why, in the asker's words.
    async fn reason(&self) -> Option<&str> {
        self.row.reason.as_deref()
    }

    /// When it began.
    async fn started_at(&self) -> DateTime {
        DateTime::from_us(self.row.started_at_us)
    }

    /// When it ended.
    async fn stopped_at(&self) -> Option<DateTime> {
        self.row.stopped_at_us.map(DateTime::from_us)
    }

    /// The executions that it started, the newest last.
    #[graphql(complexity = "cost(first, last) * child_complexity")]
    async fn executions(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, ExecutionNode>> {
        let order = "executions";
        let args = PageArgs {
            first,
            after,
            last,
            before,
        };
        let page = args.page(order, most(ctx)?)?;
        let filter = ExecutionFilter {
            replay: Some(self.row.id.clone()),
            ..ExecutionFilter::default()
        };
        let rows = self
            .reader
            .executions(filter, ExecutionOrder::Started, false, page)
            .await
            .map_err(unavailable)?;
        let reader = &self.reader;
        Ok(connect(rows, order, |row| ExecutionNode {
            row,
            reader: reader.clone(),
            live: true,
        }))
    }
}

/// Failures of one kind: the same pipeline, error and gist of its details.
pub(crate) struct FailureGroup {
    pub(crate) row: FailureRow,
    pub(crate) reader: Reader,
}

/// Failures of one kind: the same pipeline, error and gist of its details.
#[Object]
impl FailureGroup {
    /// Names the group; executions can be listed by it.
    async fn fingerprint(&self) -> ID {
        ID(self.row.fingerprint.clone())
    }

    /// The name of the pipeline.
    async fn pipeline_name(&self) -> &str {
        &self.row.pipeline
    }

    /// The error's name.
    async fn error(&self) -> &str {
        &self.row.error
    }

    /// The gist of its details; what differs from one to the next is written `#`.
    async fn message(&self) -> &str {
        &self.row.message
    }

    /// How often.
    async fn count(&self) -> Long {
        Long(self.row.count)
    }

    /// When first.
    async fn first_at(&self) -> DateTime {
        DateTime::from_us(self.row.first_at_us)
    }

    /// When last.
    async fn last_at(&self) -> DateTime {
        DateTime::from_us(self.row.last_at_us)
    }

    /// The execution that failed last.
    async fn last_execution(&self, ctx: &Context<'_>) -> Result<Option<ExecutionNode>> {
        find_execution(ctx, &self.reader, true, &self.row.last_execution).await
    }
}

/// Which groups of failures.
#[derive(Default, InputObject)]
pub(crate) struct FailureWhere {
    /// Of the pipeline of this name.
    pub(crate) pipeline: Option<String>,
}
