//! The newest event of each of many streams, page by page along the index of names.
//!
//! No transaction is held open over the pages: events only come, so that leaving out what is behind
//! the head of the first moment gives the log as it was then.

use tokio::sync::mpsc;

use super::codec::{COLUMNS, PageDecoder, damaged, escape, stream_name, to_sql};
use super::reader::Readers;
use crate::newest::{PAGE_EVENTS, PAGES_AHEAD};
use crate::{NewestOfStreams, Position, ReadError, RecordedEvent, StreamRange};

/// Begins to read, in a task of its own.
pub(super) async fn begin(
    readers: Readers,
    range: StreamRange,
) -> Result<NewestOfStreams, ReadError> {
    let head = readers.head().await?;
    let (sender, pages) = mpsc::channel(PAGES_AHEAD);
    tokio::spawn(async move {
        let mut after = range.after.clone();
        loop {
            let page = page(&readers, &range, after.as_deref(), head).await;
            let last = match &page {
                Ok(events) => events.last().map(|event| event.stream.to_string()),
                Err(_) => None,
            };
            let full = matches!(&page, Ok(events) if events.len() == PAGE_EVENTS);
            let empty = matches!(&page, Ok(events) if events.is_empty());
            if empty || sender.send(page).await.is_err() || !full {
                return;
            }
            after = last;
        }
    });
    Ok(NewestOfStreams::new(head, pages))
}

async fn page(
    readers: &Readers,
    range: &StreamRange,
    after: Option<&str>,
    head: Position,
) -> Result<Vec<RecordedEvent>, ReadError> {
    // A condition that may be absent would keep the index from being used.
    let (from, compare) = match after {
        Some(after) if after >= range.prefix.as_str() => (after, ">"),
        _ => (range.prefix.as_str(), ">="),
    };
    let end = match range.end() {
        Some(_) => "f.stream < $4",
        None => "$4::text IS NULL",
    };
    let sql = format!(
        "SELECT {COLUMNS}, f.stream FROM events f CROSS JOIN LATERAL ( \
             SELECT * FROM events n WHERE n.stream_id = f.stream_id AND n.position <= $2 \
             ORDER BY n.version DESC LIMIT 1) e \
         WHERE f.stream {compare} $1 AND f.position <= $2 AND {end} \
         ORDER BY f.stream LIMIT $3"
    );
    let (from, end) = (escape(from), range.end());
    let end = end.as_deref().map(escape);
    let limit = to_sql(PAGE_EVENTS as u64);
    let rows = readers
        .rows(&sql, &[&from, &to_sql(head.0), &limit, &end.as_deref()])
        .await?;
    let mut decoder = PageDecoder::default();
    let events = rows.iter().map(|row| {
        let name: &str = row.try_get(NAME).map_err(damaged)?;
        decoder.know(row.try_get(1).map_err(damaged)?, stream_name(name));
        decoder.decode(row)
    });
    events.collect()
}

/// The column behind [`COLUMNS`].
const NAME: usize = 11;
