//! How one entity was at an earlier time: its streams are folded again, up to the last event
//! recorded by then, into a small model in memory. The same fold, so nothing can differ but time.

use std::collections::BTreeSet;
use std::sync::Arc;

use daybook_domain::{BucketName, ObjectKey, pipeline, stored_object};
use daybook_event_store::{Direction, ReadError, RecordedEvent, StreamName, StreamVersion};
use jiff::Timestamp;
use thiserror::Error;

use crate::decode::DecodeFault;
use crate::fold::{FoldError, fold_batch};
use crate::model;
use crate::pool::{ReadModelError, Reader};
use crate::projector::{Projector, blocking, prepare_all};

/// The most events that are folded again to answer one question.
pub const MAX_AS_OF_EVENTS: usize = 50_000;
const PAGE_EVENTS: usize = 500;

/// A part of the ledger as it was.
#[derive(Clone, Debug)]
pub struct AsOfModel {
    /// Reads it.
    pub reader: Reader,
    /// The position of the last event in it.
    pub position: u64,
}

/// Why it is not known how something was.
#[derive(Debug, Error)]
pub enum AsOfError {
    /// There is too much to fold. Ask for a single execution, or read the events.
    #[error("more than {MAX_AS_OF_EVENTS} events would have to be folded again")]
    TooMuch,
    /// An event cannot be read.
    #[error("log cannot be folded")]
    Decode(#[from] DecodeFault),
    /// The log does not answer. Try again later.
    #[error("log cannot be read")]
    Log(#[from] ReadError),
    /// The live model, which names the streams, cannot be read.
    #[error(transparent)]
    Model(#[from] ReadModelError),
    /// The small model cannot be made.
    #[error(transparent)]
    Fold(#[from] FoldError),
}

impl Projector {
    /// An object and what ran for it, read it or wrote it, as it was at a time.
    pub async fn object_as_of(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        time: Timestamp,
    ) -> Result<AsOfModel, AsOfError> {
        let mut streams = self.related(bucket.as_str(), key.as_str()).await?;
        streams.insert(stored_object::stream_of(bucket, key));
        self.fold_again(streams, time).await
    }

    /// An execution with its object, as it was at a time.
    pub async fn execution_as_of(
        &self,
        id: &str,
        time: Timestamp,
    ) -> Result<Option<AsOfModel>, AsOfError> {
        let Some(row) = self.reader().execution(id).await? else {
            return Ok(None);
        };
        let mut streams = self.related(&row.bucket, &row.key).await?;
        streams.insert(format!("object-{}/{}", row.bucket, row.key));
        streams.extend(row.replay.map(|replay| format!("replay-{replay}")));
        streams.extend(row.redrive_of.map(|id| format!("execution-{id}")));
        self.fold_again(streams, time).await.map(Some)
    }

    /// The streams of all pipelines and functions, and of the executions around a key.
    async fn related(&self, bucket: &str, key: &str) -> Result<BTreeSet<String>, AsOfError> {
        let reader = self.reader();
        let mut streams = BTreeSet::new();
        for row in reader.pipelines().await? {
            if let Ok(name) = row.name.parse() {
                streams.insert(pipeline::stream_of(&name));
            }
        }
        for row in reader.functions().await? {
            streams.insert(format!("function-{}", row.name));
        }
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        let ids: Vec<String> = reader
            .call(move |conn| {
                conn.prepare_cached(
                    "SELECT id FROM executions WHERE bucket = ?1 AND key = ?2
                     UNION SELECT e.id FROM lineage l JOIN executions e ON e.position = l.execution
                           WHERE l.bucket = ?1 AND l.key = ?2
                     UNION SELECT by_execution FROM object_versions
                           WHERE bucket = ?1 AND key = ?2 AND by_execution IS NOT NULL
                     LIMIT ?3",
                )?
                .query_map(
                    (bucket, key, crate::fold::int(MAX_AS_OF_EVENTS as u64)),
                    |row| row.get(0),
                )?
                .collect()
            })
            .await?;
        streams.extend(ids.into_iter().map(|id| format!("execution-{id}")));
        Ok(streams)
    }

    async fn fold_again(
        &self,
        streams: BTreeSet<String>,
        time: Timestamp,
    ) -> Result<AsOfModel, AsOfError> {
        let mut events = Vec::new();
        for stream in streams {
            self.read_until(&StreamName::new(stream), time, &mut events)
                .await?;
        }
        events.sort_by_key(|event| event.position);
        let position = events.last().map_or(0, |event| event.position.0);
        let (prepared, fault) = prepare_all(&events, &self.shared.blobs).await;
        if let Some(fault) = fault {
            return Err(fault.into());
        }
        let conn = blocking(move || {
            let mut conn = model::in_memory()?;
            fold_batch(&mut conn, &prepared)?;
            Ok::<_, FoldError>(conn)
        })
        .await?;
        Ok(AsOfModel {
            reader: Reader::over_memory(conn),
            position,
        })
    }

    async fn read_until(
        &self,
        stream: &StreamName,
        time: Timestamp,
        into: &mut Vec<Arc<RecordedEvent>>,
    ) -> Result<(), AsOfError> {
        let mut from = StreamVersion(0);
        loop {
            let page = self
                .shared
                .log
                .read_stream(stream, Some(from), Direction::Forward, PAGE_EVENTS)
                .await?;
            let full = page.len() == PAGE_EVENTS;
            let read = page.len();
            into.extend(
                page.into_iter()
                    .take_while(|event| event.recorded_at <= time)
                    .map(Arc::new),
            );
            if into.len() > MAX_AS_OF_EVENTS {
                return Err(AsOfError::TooMuch);
            }
            let past = into
                .last()
                .is_none_or(|last| last.version.0 + 1 != from.0 + read as u64);
            if !full || past {
                return Ok(());
            }
            from = StreamVersion(from.0 + read as u64);
        }
    }
}
