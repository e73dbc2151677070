//! Objects and what is around them.

use std::sync::Arc;

use async_graphql::connection::Connection;
use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use daybook_projections::{
    EventFilter, ExecutionFilter, ExecutionOrder, NotificationRow, ObjectFilter, ObjectRow, Reader,
    StreamFilter, Touched,
};

use super::enums::{AttemptStatus, ObjectStatus, OrderDirection, Verdict};
use super::event::EventNode;
use super::execution::{Cost, ExecutionNode, find_execution};
use super::paging::{PageArgs, connect, cost};
use super::scalars::{DateTime, Long, Position};
use crate::state::{State, unavailable};

/// One version of an object.
pub(crate) struct ObjectNode {
    pub(crate) row: ObjectRow,
    /// The model that it was read from: the live one, or one of an earlier time.
    pub(crate) reader: Reader,
    pub(crate) live: bool,
}

/// One version of an object.
#[Object(name = "Object")]
impl ObjectNode {
    /// Names it among all nodes.
    pub(crate) async fn id(&self) -> ID {
        ID(format!("object:{}", self.row.position))
    }

    /// The bucket.
    async fn bucket(&self) -> &str {
        &self.row.bucket
    }

    /// The key.
    async fn key(&self) -> &str {
        &self.row.key
    }

    /// The store's version id.
    async fn version_id(&self) -> Option<&str> {
        self.row.version_id.as_deref()
    }

    /// The entity tag, without quotes.
    async fn etag(&self) -> Option<&str> {
        self.row.etag.as_deref()
    }

    /// What the attempts of all executions for its key cost together, for whatever version and
    /// reason.
    async fn cost(&self) -> Result<Cost> {
        let row = self.reader.object_cost(&self.row.bucket, &self.row.key);
        Ok(Cost::of(row.await.map_err(unavailable)?))
    }

    /// The size in bytes.
    async fn size(&self) -> Option<Long> {
        self.row.size.map(Long)
    }

    /// When the ledger recorded it.
    async fn created_at(&self) -> DateTime {
        DateTime::from_us(self.row.created_at_us)
    }

    /// When the store last changed it, where that is known.
    async fn modified_at(&self) -> Option<DateTime> {
        self.row.modified_at_us.map(DateTime::from_us)
    }

    /// When the ledger recorded its removal.
    async fn removed_at(&self) -> Option<DateTime> {
        self.row.removed_at_us.map(DateTime::from_us)
    }

    /// Whether it is what the key holds: the newest version, and not removed.
    async fn present(&self) -> bool {
        self.row.present
    }

    /// Whether it is the newest version of its key, removed or not.
    async fn newest(&self) -> bool {
        self.row.newest
    }

    /// How far it is.
    async fn status(&self) -> ObjectStatus {
        ObjectStatus::of(&self.row.status)
    }

    /// How the ledger learnt of it: gateway, watcher, listing, or the source of a notification.
    async fn channel(&self) -> &str {
        &self.row.channel
    }

    /// The S3 event name, without `s3:`.
    async fn event_name(&self) -> &str {
        &self.row.event_name
    }

    /// The position of the event that recorded it.
    async fn position(&self) -> Position {
        Position(self.row.position)
    }

    /// The attempt that wrote it, if one did.
    async fn produced_by(&self) -> Option<ProducedByNode> {
        let row = &self.row;
        Some(ProducedByNode {
            execution_id: row.by_execution.clone()?,
            function: row.by_function.clone()?,
            attempt: row.by_attempt?,
            reader: self.reader.clone(),
            live: self.live,
        })
    }

    /// The runs for this version, the newest last.
    #[graphql(complexity = "cost(first, last) * child_complexity")]
    async fn executions(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, ExecutionNode>> {
        let args = PageArgs {
            first,
            after,
            last,
            before,
        };
        let filter = ExecutionFilter {
            object_version: Some(self.row.position),
            ..ExecutionFilter::default()
        };
        self.runs(ctx, args, filter).await
    }

    /// The runs that read this version, as far as lineage is known, the newest last.
    #[graphql(complexity = "cost(first, last) * child_complexity")]
    async fn inputs_of(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, ExecutionNode>> {
        let args = PageArgs {
            first,
            after,
            last,
            before,
        };
        let filter = ExecutionFilter {
            read: Some(Touched::from(&self.row)),
            ..ExecutionFilter::default()
        };
        self.runs(ctx, args, filter).await
    }

    /// The runs that wrote this version, the newest last.
    #[graphql(complexity = "cost(first, last) * child_complexity")]
    async fn outputs_of(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, ExecutionNode>> {
        let args = PageArgs {
            first,
            after,
            last,
            before,
        };
        let filter = ExecutionFilter {
            wrote: Some(Touched::from(&self.row)),
            ..ExecutionFilter::default()
        };
        self.runs(ctx, args, filter).await
    }

    /// The events of its key, the newest last.
    #[graphql(complexity = "cost(first, last) * child_complexity")]
    async fn events(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, EventNode>> {
        let stream = format!("object-{}/{}", self.row.bucket, self.row.key);
        let args = PageArgs {
            first,
            after,
            last,
            before,
        };
        events_of(ctx, &self.reader, stream, args).await
    }

    /// All versions of its key, the newest last.
    #[graphql(complexity = "cost(first, last) * child_complexity")]
    async fn versions(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, ObjectNode>> {
        let order = "versions";
        let page = PageArgs {
            first,
            after,
            last,
            before,
        };
        let page = page.page(order, most(ctx)?)?;
        let (bucket, key) = (&self.row.bucket, &self.row.key);
        let rows = self.reader.object_versions(bucket, key, page).await;
        let (reader, live) = (&self.reader, self.live);
        Ok(connect(rows.map_err(unavailable)?, order, |row| {
            ObjectNode {
                row,
                reader: reader.clone(),
                live,
            }
        }))
    }

    /// What stores told of its key, and what became of it; the newest first. Repetitions of one
    /// event are counted, and on record when they reach 1, 10, 100 and so on.
    #[graphql(complexity = "cost(first, last) * child_complexity")]
    async fn notifications(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, Notification>> {
        let page = PageArgs {
            first,
            after,
            last,
            before,
        };
        notifications_of(ctx, &self.reader, &self.row.bucket, &self.row.key, page).await
    }
}

/// What stores told of a key, the newest first.
pub(crate) async fn notifications_of(
    ctx: &Context<'_>,
    reader: &Reader,
    bucket: &str,
    key: &str,
    page: PageArgs,
) -> Result<Connection<String, Notification>> {
    let order = "notifications";
    let page = page.page(order, most(ctx)?)?;
    let rows = reader.notifications(bucket, key, page).await;
    Ok(connect(
        rows.map_err(unavailable)?,
        order,
        Notification::from,
    ))
}

impl ObjectNode {
    async fn runs(
        &self,
        ctx: &Context<'_>,
        args: PageArgs,
        filter: ExecutionFilter,
    ) -> Result<Connection<String, ExecutionNode>> {
        let order = "executions";
        let page = args.page(order, most(ctx)?)?;
        let rows = self
            .reader
            .executions(filter, ExecutionOrder::Started, false, page)
            .await
            .map_err(unavailable)?;
        let (reader, live) = (&self.reader, self.live);
        Ok(connect(rows, order, |row| ExecutionNode {
            row,
            reader: reader.clone(),
            live,
        }))
    }
}

/// The most rows of a page.
pub(super) fn most(ctx: &Context<'_>) -> Result<usize> {
    Ok(ctx.data::<Arc<State>>()?.config.max_page)
}

/// The events of one stream.
pub(super) async fn events_of(
    ctx: &Context<'_>,
    reader: &Reader,
    stream: String,
    args: PageArgs,
) -> Result<Connection<String, EventNode>> {
    let order = "events";
    let page = args.page(order, most(ctx)?)?;
    let filter = EventFilter {
        stream: Some(StreamFilter::Exact(stream)),
        ..EventFilter::default()
    };
    let rows = reader.events(filter, page).await.map_err(unavailable)?;
    Ok(connect(rows, order, EventNode::from))
}

/// The attempt that wrote an object.
pub(crate) struct ProducedByNode {
    execution_id: String,
    function: String,
    attempt: u32,
    reader: Reader,
    live: bool,
}

/// The attempt that wrote an object.
#[Object(name = "ProducedBy")]
impl ProducedByNode {
    /// The execution's id.
    async fn execution_id(&self) -> ID {
        ID(self.execution_id.clone())
    }

    /// The execution.
    async fn execution(&self, ctx: &Context<'_>) -> Result<Option<ExecutionNode>> {
        find_execution(ctx, &self.reader, self.live, &self.execution_id).await
    }

    /// The function.
    async fn function_name(&self) -> &str {
        &self.function
    }

    /// The attempt, from 1.
    async fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Where the attempt stands: what one wrote that failed later is there all the same, unless its
    /// outputs are published on success.
    async fn attempt_status(&self) -> Result<Option<AttemptStatus>> {
        let execution = self.reader.execution(&self.execution_id).await;
        let Some(execution) = execution.map_err(unavailable)? else {
            return Ok(None);
        };
        let attempts = self.reader.attempts(execution.position).await;
        let mut attempts = attempts.map_err(unavailable)?.into_iter();
        let last = attempts.rfind(|it| it.attempt == self.attempt);
        Ok(last.map(|it| AttemptStatus::of(&it.status)))
    }
}

/// What a store told of a key, and what became of it.
#[derive(SimpleObject)]
pub(crate) struct Notification {
    /// The position of its event.
    position: Position,
    /// What became of it.
    verdict: Verdict,
    /// The reason in a word, where there is one.
    reason: Option<String>,
    /// The reason in words.
    why: String,
    /// The kind of the store, for example `aws:s3`.
    source: String,
    /// How it came: marks of different channels are never put in order.
    channel: String,
    /// The event's name as the store has it, without `s3:`.
    event_name: Option<String>,
    /// When it happened, by the store's clock.
    event_time: Option<DateTime>,
    /// What puts the writes of a key in order, as the store sent it.
    sequencer: Option<String>,
    /// The region.
    region: Option<String>,
    /// The version that it spoke of.
    version_id: Option<String>,
    /// The entity tag that it spoke of.
    etag: Option<String>,
    /// The size that it spoke of, in bytes.
    size: Option<Long>,
    /// How often the same event had been delivered again by then.
    repeats: Long,
    /// When it was recorded.
    recorded_at: DateTime,
}

impl From<NotificationRow> for Notification {
    fn from(row: NotificationRow) -> Self {
        Self {
            position: Position(row.position),
            verdict: Verdict::of(&row.verdict),
            reason: row.reason,
            why: row.why,
            source: row.source,
            channel: row.channel,
            event_name: row.event_name,
            event_time: row.event_time_us.map(DateTime::from_us),
            sequencer: row.sequencer,
            region: row.region,
            version_id: row.version_id,
            etag: row.etag,
            size: row.size.map(Long),
            repeats: Long(row.repeats),
            recorded_at: DateTime::from_us(row.recorded_at_us),
        }
    }
}

/// Which objects. Without `present` those that were removed are listed too.
#[derive(Default, InputObject)]
pub(crate) struct ObjectWhere {
    /// In this bucket.
    bucket: Option<String>,
    /// With this key.
    key: Option<String>,
    /// With keys that start so.
    prefix: Option<String>,
    /// In one of these status.
    status: Option<Vec<ObjectStatus>>,
    /// With this entity tag, without quotes.
    etag: Option<String>,
    /// Recorded at this time or later.
    created_after: Option<DateTime>,
    /// Recorded before this time.
    created_before: Option<DateTime>,
    /// True: only what is there; false: only what was removed.
    present: Option<bool>,
}

impl From<ObjectWhere> for ObjectFilter {
    fn from(wanted: ObjectWhere) -> Self {
        let status = wanted.status.unwrap_or_default().into_iter();
        Self {
            bucket: wanted.bucket,
            key: wanted.key,
            prefix: wanted.prefix,
            status: status.map(|status| status.name().to_owned()).collect(),
            etag: wanted.etag,
            created_after_us: wanted.created_after.map(DateTime::as_us),
            created_before_us: wanted.created_before.map(DateTime::as_us),
            present: wanted.present,
        }
    }
}

/// By what objects are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum ObjectOrderField {
    /// When they were recorded.
    CreatedAt,
    /// Their key, byte by byte.
    Key,
    /// Their size.
    Size,
}

/// In which order objects are listed; by default the newest first.
#[derive(InputObject)]
pub(crate) struct ObjectOrder {
    /// By what.
    #[graphql(default_with = "ObjectOrderField::CreatedAt")]
    pub(crate) field: ObjectOrderField,
    /// In which direction.
    #[graphql(default_with = "OrderDirection::Asc")]
    pub(crate) direction: OrderDirection,
}
