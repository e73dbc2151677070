//! The statements of the writer.

use std::borrow::Cow;
use std::time::SystemTime;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Statement};
use uuid::Uuid;

use super::batch::{Batch, Landed};
use super::codec::{escape, to_sql, version_to_sql};
use super::session::{Connector, Driven};
use crate::{Position, StreamName, StreamVersion};

/// A session with the writer's statements prepared.
pub(super) struct WriterSession {
    session: Driven,
    append: Statement,
    compare: Statement,
    notify: Statement,
}

const APPEND: &str = "SELECT before, actual \
    FROM append_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";

/// The events of a range of versions, for each of several streams.
const COMPARE: &str = "SELECT w.index, e.position, e.event_id \
    FROM unnest($1::text[], $2::bigint[], $3::bigint[]) \
        WITH ORDINALITY AS w(name, first, last, index) \
    JOIN events f ON f.stream = w.name \
    JOIN events e ON e.stream_id = f.stream_id AND e.version BETWEEN w.first AND w.last \
    ORDER BY w.index, e.version";

const NOTIFY: &str = "SELECT pg_notify($1, $2)";

/// Versions of a stream whose ids are asked for.
pub(super) struct Range<'a> {
    pub(super) stream: &'a StreamName,
    pub(super) first: StreamVersion,
    pub(super) last: StreamVersion,
}

impl WriterSession {
    pub(super) async fn open(connector: &Connector) -> Result<Self, Error> {
        let session = connector.driven().await?;
        let append = session.client.prepare(APPEND).await?;
        let compare = session.client.prepare(COMPARE).await?;
        let notify = session.client.prepare(NOTIFY).await?;
        Ok(Self {
            session,
            append,
            compare,
            notify,
        })
    }

    /// Whether the connection is known to be gone, before anything is sent.
    pub(super) fn is_closed(&self) -> bool {
        self.session.client.is_closed()
    }

    /// Sends the batch as one transaction of one statement: when this returns, it is committed.
    pub(super) async fn append(&self, batch: &Batch<'_>, now: SystemTime) -> Result<Landed, Error> {
        let columns = Columns::of(batch);
        let row = self
            .session
            .client
            .query_one(&self.append, &columns.parameters(&now))
            .await?;
        let before: i64 = row.try_get(0)?;
        Ok(Landed {
            before: Position(before.unsigned_abs()),
            actual: row.try_get(1)?,
        })
    }

    /// For each range the positions and ids of the events that are there.
    pub(super) async fn compare(
        &self,
        ranges: &[Range<'_>],
    ) -> Result<Vec<Vec<(Position, Uuid)>>, Error> {
        let names: Vec<_> = ranges
            .iter()
            .map(|range| escape(range.stream.as_str()))
            .collect();
        let first: Vec<_> = ranges.iter().map(|range| to_sql(range.first.0)).collect();
        let last: Vec<_> = ranges.iter().map(|range| to_sql(range.last.0)).collect();
        let parameters: [&(dyn ToSql + Sync); 3] = [&names, &first, &last];
        let mut found = vec![Vec::new(); ranges.len()];
        for row in self
            .session
            .client
            .query(&self.compare, &parameters)
            .await?
        {
            let index: i64 = row.try_get(0)?;
            let position: i64 = row.try_get(1)?;
            let of_range = usize::try_from(index - 1)
                .ok()
                .and_then(|index| found.get_mut(index));
            if let Some(of_range) = of_range {
                of_range.push((Position(position.unsigned_abs()), row.try_get(2)?));
            }
        }
        Ok(found)
    }

    /// Tells whoever listens where the log ends. It is sent at once, and nobody waits for it.
    pub(super) fn notify(&self, channel: &str, end: Position) {
        let end = end.to_string();
        let parameters: [&(dyn ToSql + Sync); 2] = [&channel, &end];
        let sending = self.session.client.execute(&self.notify, &parameters);
        // The first poll puts it on its way; without the rest its answer is thrown away.
        let _ = futures::FutureExt::now_or_never(sending);
    }
}

/// A batch as the arrays that the function takes.
struct Columns<'a> {
    names: Vec<Cow<'a, str>>,
    expected: Vec<i64>,
    first_places: Vec<i32>,
    stream_indices: Vec<i32>,
    versions: Vec<i64>,
    event_ids: Vec<Uuid>,
    event_types: Vec<Cow<'a, str>>,
    schema_versions: Vec<i64>,
    data: Vec<&'a [u8]>,
    metadata: Vec<Option<&'a str>>,
    salts: Vec<&'a [u8]>,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a Batch<'_>) -> Self {
        let streams = batch.streams.iter();
        let events = batch.events.iter();
        Self {
            names: streams
                .clone()
                .map(|part| escape(part.stream.as_str()))
                .collect(),
            expected: streams
                .clone()
                .map(|part| version_to_sql(part.expected))
                .collect(),
            first_places: streams.map(|part| counted(part.first_place)).collect(),
            stream_indices: events
                .clone()
                .map(|placed| counted(placed.stream))
                .collect(),
            versions: events
                .clone()
                .map(|placed| to_sql(placed.version.0))
                .collect(),
            event_ids: events.clone().map(|placed| placed.event.event_id).collect(),
            event_types: events
                .clone()
                .map(|placed| escape(&placed.event.event_type))
                .collect(),
            schema_versions: events
                .clone()
                .map(|placed| i64::from(placed.event.schema_version))
                .collect(),
            data: events
                .clone()
                .map(|placed| &placed.event.data[..])
                .collect(),
            metadata: events
                .clone()
                .map(|placed| placed.event.metadata.as_deref())
                .collect(),
            salts: events.map(|placed| &placed.event.salt[..]).collect(),
        }
    }

    fn parameters<'b>(&'b self, now: &'b SystemTime) -> [&'b (dyn ToSql + Sync); 12] {
        [
            now,
            &self.names,
            &self.expected,
            &self.first_places,
            &self.stream_indices,
            &self.versions,
            &self.event_ids,
            &self.event_types,
            &self.schema_versions,
            &self.data,
            &self.metadata,
            &self.salts,
        ]
    }
}

/// SQL counts from 1. A batch is bounded far below what this number holds.
fn counted(index: usize) -> i32 {
    i32::try_from(index + 1).unwrap_or(i32::MAX)
}
