//! The fields at the root of a query.

use std::sync::Arc;

use async_graphql::connection::Connection;
use async_graphql::{Context, Error, ID, Interface, Object, Result};
use daybook_event_store::Position as LogPosition;
use daybook_projections::{EventFilter, ObjectRow, Reader};

use super::catalog::{FailureGroup, FailureWhere, FunctionNode, PipelineNode, ReplayNode};
use super::enums::{OrderDirection, Window};
use super::event::{EventNode, EventWhere};
use super::execution::{
    ExecutionNode, ExecutionOrder, ExecutionOrderField, ExecutionWhere, find_execution,
};
use super::ledger::{self, Ledger};
use super::object::{
    Notification, ObjectNode, ObjectOrder, ObjectOrderField, ObjectWhere, most, notifications_of,
};
use super::paging::{PageArgs, connect, cost};
use super::reconcile::{Completeness, ReconcileNode};
use super::scalars::{DateTime, Position};
use super::statistics::{self, Statistics};
use crate::state::{State, unavailable};

/// Anything that has an id.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID", desc = "Names it among all nodes."))]
pub(crate) enum Node {
    /// An object version.
    Object(ObjectNode),
    /// An execution.
    Execution(ExecutionNode),
    /// A pipeline.
    Pipeline(PipelineNode),
    /// A function.
    Function(FunctionNode),
    /// A replay.
    Replay(ReplayNode),
    /// An event.
    Event(EventNode),
}

/// What can be asked.
pub(crate) struct Query;

/// What can be asked.
#[Object]
impl Query {
    /// One object: its newest version or the one named; now, as it was at a time, or no earlier
    /// than at a position (to read one's own writes).
    #[allow(
        clippy::too_many_arguments,
        reason = "the field's arguments are fixed by the design"
    )]
    async fn object(
        &self,
        ctx: &Context<'_>,
        bucket: String,
        key: String,
        version_id: Option<String>,
        as_of: Option<DateTime>,
        min_position: Option<Position>,
    ) -> Result<Option<ObjectNode>> {
        let state = state(ctx)?;
        wait_for(state, min_position).await?;
        let (reader, live) = match as_of {
            None => (state.projector.reader().clone(), true),
            Some(time) => {
                let (Ok(bucket), Ok(key)) = (bucket.parse(), key.parse()) else {
                    return Ok(None);
                };
                let model = state.projector.object_as_of(&bucket, &key, time.0).await;
                (model.map_err(unavailable)?.reader, false)
            }
        };
        let row = reader.object(&bucket, &key, version_id.as_deref()).await;
        let row = row.map_err(unavailable)?;
        Ok(row.map(|row| ObjectNode { row, reader, live }))
    }

    /// The newest version of each key; the newest first unless ordered otherwise.
    #[graphql(complexity = "cost(first, last) * child_complexity")]
    #[allow(
        clippy::too_many_arguments,
        reason = "the field's arguments are fixed by the design"
    )]
    async fn objects(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
        #[graphql(name = "where")] filter: Option<ObjectWhere>,
        order_by: Option<ObjectOrder>,
    ) -> Result<Connection<String, ObjectNode>> {
        use daybook_projections::ObjectOrder as Order;
        let (field, descending) = match order_by {
            Some(order) => (order.field, order.direction == OrderDirection::Desc),
            None => (ObjectOrderField::CreatedAt, true),
        };
        let (order, name) = match field {
            ObjectOrderField::CreatedAt => (Order::Created, "objects"),
            ObjectOrderField::Key => (Order::Key, "objects.key"),
            ObjectOrderField::Size => (Order::Size, "objects.size"),
        };
        let args = PageArgs {
            first,
            after,
            last,
            before,
        };
        let page = args.page(name, most(ctx)?)?;
        let reader = state(ctx)?.projector.reader();
        let filter = filter.unwrap_or_default().into();
        let rows = reader.objects(filter, order, descending, page).await;
        Ok(connect(rows.map_err(unavailable)?, name, |row| {
            live_object(reader, row)
        }))
    }

    /// One execution, now or as it was at a time.
    async fn execution(
        &self,
        ctx: &Context<'_>,
        id: ID,
        as_of: Option<DateTime>,
        min_position: Option<Position>,
    ) -> Result<Option<ExecutionNode>> {
        let state = state(ctx)?;
        wait_for(state, min_position).await?;
        let Some(time) = as_of else {
            return find_execution(ctx, state.projector.reader(), true, &id).await;
        };
        let model = state.projector.execution_as_of(&id, time.0).await;
        match model.map_err(unavailable)? {
            Some(model) => find_execution(ctx, &model.reader, false, &id).await,
            None => Ok(None),
        }
    }

    /// Executions; the newest first unless ordered otherwise.
    #[graphql(complexity = "cost(first, last) * child_complexity")]
    #[allow(
        clippy::too_many_arguments,
        reason = "the field's arguments are fixed by the design"
    )]
    async fn executions(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
        #[graphql(name = "where")] filter: Option<ExecutionWhere>,
        order_by: Option<ExecutionOrder>,
    ) -> Result<Connection<String, ExecutionNode>> {
        use daybook_projections::ExecutionOrder as Order;
        let (field, descending) = match order_by {
            Some(order) => (order.field, order.direction == OrderDirection::Desc),
            None => (ExecutionOrderField::StartedAt, true),
        };
        let (order, name) = match field {
            ExecutionOrderField::StartedAt => (Order::Started, "executions"),
            ExecutionOrderField::StoppedAt => (Order::Stopped, "executions.stopped"),
        };
        let args = PageArgs {
            first,
            after,
            last,
            before,
        };
        let page = args.page(name, most(ctx)?)?;
        let reader = state(ctx)?.projector.reader();
        let filter = filter.unwrap_or_default().into();
        let rows = reader.executions(filter, order, descending, page).await;
        Ok(connect(rows.map_err(unavailable)?, name, |row| {
            ExecutionNode {
                row,
                reader: reader.clone(),
                live: true,
            }
        }))
    }

    /// All pipelines, by name.
    #[graphql(complexity = "10 * child_complexity")]
    async fn pipelines(&self, ctx: &Context<'_>) -> Result<Vec<PipelineNode>> {
        let reader = state(ctx)?.projector.reader();
        let rows = reader.pipelines().await.map_err(unavailable)?;
        let node = |row| PipelineNode {
            row,
            reader: reader.clone(),
        };
        Ok(rows.into_iter().map(node).collect())
    }

    /// One pipeline.
    async fn pipeline(&self, ctx: &Context<'_>, name: String) -> Result<Option<PipelineNode>> {
        let reader = state(ctx)?.projector.reader();
        let row = reader.pipeline(&name).await.map_err(unavailable)?;
        Ok(row.map(|row| PipelineNode {
            row,
            reader: reader.clone(),
        }))
    }

    /// All functions, by name.
    #[graphql(complexity = "10 * child_complexity")]
    async fn functions(&self, ctx: &Context<'_>) -> Result<Vec<FunctionNode>> {
        let reader = state(ctx)?.projector.reader();
        let rows = reader.functions().await.map_err(unavailable)?;
        let node = |row| FunctionNode {
            row,
            reader: reader.clone(),
        };
        Ok(rows.into_iter().map(node).collect())
    }

    /// One function.
    async fn function(&self, ctx: &Context<'_>, name: String) -> Result<Option<FunctionNode>> {
        let reader = state(ctx)?.projector.reader();
        let row = reader.function(&name).await.map_err(unavailable)?;
        Ok(row.map(|row| FunctionNode {
            row,
            reader: reader.clone(),
        }))
    }

    /// Bulk re-runs, the newest first.
    #[graphql(complexity = "cost(first, last) * child_complexity")]
    async fn replays(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, ReplayNode>> {
        let args = PageArgs {
            first,
            after,
            last,
            before,
        };
        let page = args.page("replays", most(ctx)?)?;
        let reader = state(ctx)?.projector.reader();
        let rows = reader.replays(page).await.map_err(unavailable)?;
        Ok(connect(rows, "replays", |row| ReplayNode {
            row,
            reader: reader.clone(),
        }))
    }

    /// One bulk re-run.
    async fn replay(&self, ctx: &Context<'_>, id: ID) -> Result<Option<ReplayNode>> {
        let reader = state(ctx)?.projector.reader();
        let row = reader.replay(&id).await.map_err(unavailable)?;
        Ok(row.map(|row| ReplayNode {
            row,
            reader: reader.clone(),
        }))
    }

    /// Comparisons of buckets with the ledger, the newest first.
    #[graphql(complexity = "cost(first, last) * child_complexity")]
    async fn reconciles(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, ReconcileNode>> {
        let args = PageArgs {
            first,
            after,
            last,
            before,
        };
        let page = args.page("reconciles", most(ctx)?)?;
        let reader = state(ctx)?.projector.reader();
        let rows = reader.reconciles(page).await.map_err(unavailable)?;
        Ok(connect(rows, "reconciles", |row| ReconcileNode { row }))
    }

    /// One comparison of a bucket with the ledger.
    async fn reconcile(&self, ctx: &Context<'_>, id: ID) -> Result<Option<ReconcileNode>> {
        let reader = state(ctx)?.projector.reader();
        let row = reader.reconcile(&id).await.map_err(unavailable)?;
        Ok(row.map(|row| ReconcileNode { row }))
    }

    /// What became of the objects of a bucket, or of those whose keys begin so; no earlier than at a
    /// position.
    async fn completeness(
        &self,
        ctx: &Context<'_>,
        bucket: String,
        prefix: Option<String>,
        min_position: Option<Position>,
    ) -> Result<Completeness> {
        let state = state(ctx)?;
        wait_for(state, min_position).await?;
        let prefix = prefix.unwrap_or_default();
        let reader = state.projector.reader();
        let row = reader.completeness(&bucket, &prefix).await;
        Ok(row.map_err(unavailable)?.into())
    }

    /// What stores told of a key, and what became of it, the newest first; also of a key that never
    /// became an object, since all that was told of it was ignored.
    #[graphql(complexity = "cost(first, last) * child_complexity")]
    #[expect(clippy::too_many_arguments, reason = "the arguments of the field")]
    async fn notifications(
        &self,
        ctx: &Context<'_>,
        bucket: String,
        key: String,
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
        let reader = state(ctx)?.projector.reader();
        notifications_of(ctx, reader, &bucket, &key, page).await
    }

    /// The audit trail: every event, oldest first. `last` gives the newest ones.
    #[graphql(complexity = "cost(first, last) * child_complexity")]
    async fn events(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
        #[graphql(name = "where")] filter: Option<EventWhere>,
    ) -> Result<Connection<String, EventNode>> {
        let args = PageArgs {
            first,
            after,
            last,
            before,
        };
        let page = args.page("events", most(ctx)?)?;
        let filter = EventFilter::try_from(filter.unwrap_or_default())?;
        let reader = state(ctx)?.projector.reader();
        let rows = reader.events(filter, page).await.map_err(unavailable)?;
        Ok(connect(rows, "events", EventNode::from))
    }

    /// Failures in groups, the most recent first.
    #[graphql(complexity = "cost(first, last) * child_complexity")]
    async fn failures(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
        #[graphql(name = "where")] filter: Option<FailureWhere>,
    ) -> Result<Connection<String, FailureGroup>> {
        let args = PageArgs {
            first,
            after,
            last,
            before,
        };
        let page = args.page("failures", most(ctx)?)?;
        let reader = state(ctx)?.projector.reader();
        let pipeline = filter.unwrap_or_default().pipeline;
        let rows = reader.failures(pipeline, true, page).await;
        Ok(connect(rows.map_err(unavailable)?, "failures", |row| {
            FailureGroup {
                row,
                reader: reader.clone(),
            }
        }))
    }

    /// Figures of a time up to now.
    async fn statistics(&self, ctx: &Context<'_>, window: Window) -> Result<Statistics> {
        statistics::of(state(ctx)?, window).await
    }

    /// The ledger itself.
    async fn ledger(&self, ctx: &Context<'_>) -> Result<Ledger> {
        ledger::of(state(ctx)?).await
    }

    /// Anything by its id.
    async fn node(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Node>> {
        let state = state(ctx)?;
        let reader = state.projector.reader();
        let Some((kind, name)) = id.split_once(':') else {
            if let Some(execution) = find_execution(ctx, reader, true, &id).await? {
                return Ok(Some(Node::Execution(execution)));
            }
            return Ok(self.replay(ctx, id).await?.map(Node::Replay));
        };
        Ok(match (kind, name.parse::<u64>()) {
            ("pipeline", _) => self.pipeline(ctx, name.into()).await?.map(Node::Pipeline),
            ("function", _) => self.function(ctx, name.into()).await?.map(Node::Function),
            ("object", Ok(position)) => {
                let row = state
                    .objects
                    .load_one(position)
                    .await
                    .map_err(unavailable)?;
                row.map(|row| Node::Object(live_object(reader, row)))
            }
            ("event", Ok(position)) => {
                let row = reader.event(position).await.map_err(unavailable)?;
                row.map(|row| Node::Event(row.into()))
            }
            _ => None,
        })
    }
}

pub(super) fn state<'a>(ctx: &Context<'a>) -> Result<&'a Arc<State>> {
    ctx.data::<Arc<State>>()
}

fn live_object(reader: &Reader, row: ObjectRow) -> ObjectNode {
    ObjectNode {
        row,
        reader: reader.clone(),
        live: true,
    }
}

async fn wait_for(state: &State, position: Option<Position>) -> Result<()> {
    let Some(Position(wanted)) = position else {
        return Ok(());
    };
    let at_most = state.config.min_position_timeout;
    state
        .projector
        .wait_for(LogPosition(wanted), at_most)
        .await
        .map_err(|error| Error::new(error.to_string()))
}
