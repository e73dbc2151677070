//! What can be watched. All clients share the projector's one subscription to the log; each has a
//! bounded queue, and one that does not keep up is closed with the position that it got to.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Context, Error, ErrorExtensions, ID, Result};
use daybook_event_store::{Position as LogPosition, RecordedEvent};
use daybook_projections::{EventFilter, EventRow};
use futures::Stream;
use futures::stream::{self, StreamExt};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::enums::Window;
use super::event::{EventNode, EventWhere};
use super::execution::{ExecutionNode, ExecutionWhere};
use super::query::state;
use super::scalars::Position;
use super::statistics::{self, Statistics};
use crate::state::{State, unavailable};

/// How many events a client that catches up reads from the log at once.
const CATCH_UP_EVENTS: usize = 200;
/// The least time between two sets of figures.
const STATISTICS_INTERVAL: Duration = Duration::from_secs(1);

/// What can be watched.
pub(crate) struct Subscription;

/// What can be watched.
#[async_graphql::Subscription]
impl Subscription {
    /// Events as they are recorded; with `after` first all since that position.
    async fn events(
        &self,
        ctx: &Context<'_>,
        after: Option<Position>,
        #[graphql(name = "where")] filter: Option<EventWhere>,
    ) -> Result<impl Stream<Item = Result<EventNode>>> {
        let state = state(ctx)?.clone();
        let filter = EventFilter::try_from(filter.unwrap_or_default())?;
        let matching = recorded(state, after).filter_map(move |event| {
            let wanted = match event {
                Ok(event) if !filter.matches(&EventRow::from(&*event)) => None,
                Ok(event) => Some(Ok(EventNode::from(event))),
                Err(error) => Some(Err(error)),
            };
            std::future::ready(wanted)
        });
        Ok(matching)
    }

    /// An execution as it is, and again after each of its events.
    async fn execution(
        &self,
        ctx: &Context<'_>,
        id: ID,
    ) -> Result<impl Stream<Item = Result<ExecutionNode>>> {
        let state = state(ctx)?.clone();
        let live = recorded(state.clone(), None);
        let now = find(&state, &id).await?;
        let stream = format!("execution-{}", id.as_str());
        let changes = live.filter_map(move |event| {
            let (state, id) = (state.clone(), id.clone());
            let concerned = match event {
                Ok(event) if event.stream.as_str() != stream => Ok(false),
                Ok(_) => Ok(true),
                Err(error) => Err(error),
            };
            async move {
                match concerned {
                    Ok(true) => find(&state, &id).await.transpose(),
                    Ok(false) => None,
                    Err(error) => Some(Err(error)),
                }
            }
        });
        Ok(stream::iter(now.map(Ok)).chain(changes))
    }

    /// Executions, each again after each of its events.
    async fn executions(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "where")] filter: Option<ExecutionWhere>,
    ) -> Result<impl Stream<Item = Result<ExecutionNode>>> {
        let state = state(ctx)?.clone();
        let filter = filter.unwrap_or_default();
        let changes = recorded(state.clone(), None).filter_map(move |event| {
            let (state, filter) = (state.clone(), filter.clone());
            async move {
                let event = match event {
                    Ok(event) => event,
                    Err(error) => return Some(Err(error)),
                };
                let id = event.stream.as_str().strip_prefix("execution-")?;
                let found = find(&state, id).await.transpose()?;
                match found {
                    Ok(execution) if !filter.matches(&execution.row) => None,
                    found => Some(found),
                }
            }
        });
        Ok(changes)
    }

    /// The figures of the last hour: now, and again when something happened.
    async fn statistics(
        &self,
        ctx: &Context<'_>,
    ) -> Result<impl Stream<Item = Result<Statistics>>> {
        let state = state(ctx)?.clone();
        let mut status = state.projector.watch();
        status.mark_changed();
        Ok(stream::unfold(
            (state, status),
            |(state, mut status)| async move {
                status.changed().await.ok()?;
                let figures = statistics::of(&state, Window::Hour).await;
                tokio::time::sleep(STATISTICS_INTERVAL).await;
                Some((figures, (state, status)))
            },
        ))
    }
}

async fn find(state: &State, id: &str) -> Result<Option<ExecutionNode>> {
    let reader = state.projector.reader();
    let row = reader.execution(id).await.map_err(unavailable)?;
    Ok(row.map(|row| ExecutionNode {
        row,
        reader: reader.clone(),
        live: true,
    }))
}

/// Where a client is: behind, reading the log at its own pace, or live.
struct Watch {
    state: Arc<State>,
    at: LogPosition,
    live: broadcast::Receiver<Arc<RecordedEvent>>,
    /// Up to here the log is read; what comes later comes live.
    until: LogPosition,
    page: std::vec::IntoIter<RecordedEvent>,
    over: bool,
}

/// Every event after a position (by default from now on), once it is folded.
fn recorded(
    state: Arc<State>,
    after: Option<Position>,
) -> impl Stream<Item = Result<Arc<RecordedEvent>>> {
    // First listen, then see where that begins: nothing can fall in between.
    let live = state.projector.live();
    let until = state.projector.position();
    let watch = Watch {
        at: after.map_or(until, |position| LogPosition(position.0)),
        live,
        until,
        page: Vec::new().into_iter(),
        over: false,
        state,
    };
    stream::unfold(watch, |mut watch| async move {
        if watch.over {
            return None;
        }
        let event = watch.next().await?;
        watch.over = event.is_err();
        Some((event, watch))
    })
}

impl Watch {
    async fn next(&mut self) -> Option<Result<Arc<RecordedEvent>>> {
        loop {
            if let Some(event) = self.page.next() {
                self.at = event.position;
                return Some(Ok(Arc::new(event)));
            }
            if self.at < self.until {
                let page = self.state.log.read_all(self.at, CATCH_UP_EVENTS).await;
                let mut page = match page {
                    Ok(page) => page,
                    Err(error) => return Some(Err(unavailable(error))),
                };
                page.retain(|event| event.position <= self.until);
                if page.is_empty() {
                    self.at = self.until;
                    // Catching up may have taken longer than the queue holds: look again.
                    continue;
                }
                self.page = page.into_iter();
                continue;
            }
            match self.live.recv().await {
                Ok(event) if event.position <= self.at => {}
                Ok(event) => {
                    self.at = event.position;
                    return Some(Ok(event));
                }
                // A client that was still reading the log goes on doing so; one that was live did
                // not keep up.
                Err(RecvError::Lagged(_)) if self.catching_up() => {
                    self.live = self.state.projector.live();
                    self.until = self.state.projector.position();
                }
                Err(RecvError::Lagged(_)) => return Some(Err(self.too_slow())),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn catching_up(&self) -> bool {
        self.at <= self.until
    }

    fn too_slow(&self) -> Error {
        let at = self.at.0;
        Error::new(format!(
            "the client did not keep up; go on after position {at}"
        ))
        .extend_with(|_, extensions| {
            extensions.set("code", "LAGGED");
            extensions.set("position", at);
        })
    }
}
