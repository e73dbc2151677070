//! The newest event of each of many streams, in the order of their names: what
//! [`EventLog::newest_of_streams`] gives, and how it is found where an engine has no better way.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::sorter::{SORTER_BYTES, Sorter};
use crate::{Direction, EventLog, Position, ReadError, RecordedEvent, StreamName, StreamVersion};

/// How many pages are read ahead of whoever takes them.
pub(crate) const PAGES_AHEAD: usize = 2;

/// How many events a page has at most.
pub(crate) const PAGE_EVENTS: usize = 512;

/// How many events are read at once while the log is folded.
const FOLD_PAGE: usize = 1_000;

/// Which streams are meant.
#[derive(Clone, Debug)]
pub struct StreamRange {
    /// What their names begin with.
    pub prefix: String,
    /// Only those whose names come after this one.
    pub after: Option<String>,
}

impl StreamRange {
    /// All streams whose names begin so.
    pub fn with_prefix(prefix: impl Into<String>) -> Self {
        Self {
            prefix: prefix.into(),
            after: None,
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        name.starts_with(&self.prefix) && self.after.as_deref().is_none_or(|after| name > after)
    }

    /// The least text after all names that begin so, if there is one.
    pub(crate) fn end(&self) -> Option<String> {
        let mut end = self.prefix.clone();
        while let Some(last) = end.pop() {
            // The order of characters is that of their bytes.
            if let Some(next) = (last..=char::MAX).nth(1) {
                end.push(next);
                return Some(end);
            }
        }
        None
    }
}

/// The newest event of each of some streams, as of one moment.
pub struct NewestOfStreams {
    head: Position,
    pages: mpsc::Receiver<Result<Vec<RecordedEvent>, ReadError>>,
}

impl NewestOfStreams {
    pub(crate) fn new(
        head: Position,
        pages: mpsc::Receiver<Result<Vec<RecordedEvent>, ReadError>>,
    ) -> Self {
        Self { head, pages }
    }

    /// The head of the log at that moment: nothing that came later is in it.
    pub fn head(&self) -> Position {
        self.head
    }

    /// The next events, in the byte order of their streams' names; `None` when there are no more.
    pub async fn next_page(&mut self) -> Result<Option<Vec<RecordedEvent>>, ReadError> {
        self.pages.recv().await.transpose()
    }
}

/// Reads the whole log, sorts the names of the streams, and then reads one event of each.
pub(crate) async fn by_fold<L: EventLog + ?Sized>(
    log: Arc<L>,
    range: StreamRange,
) -> Result<NewestOfStreams, ReadError> {
    let head = log.head().await?;
    let (sender, pages) = mpsc::channel(PAGES_AHEAD);
    tokio::spawn(async move {
        if let Err(error) = fold(&*log, &range, head, &sender).await {
            let _ = sender.send(Err(error)).await;
        }
    });
    Ok(NewestOfStreams::new(head, pages))
}

async fn fold<L: EventLog + ?Sized>(
    log: &L,
    range: &StreamRange,
    head: Position,
    pages: &mpsc::Sender<Result<Vec<RecordedEvent>, ReadError>>,
) -> Result<(), ReadError> {
    let mut names = Sorter::new(Path::new("."), SORTER_BYTES).keeping_last();
    let mut after = Position::START;
    while after < head && !pages.is_closed() {
        let page = log.read_all(after, FOLD_PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.position;
        for event in page.iter().filter(|event| event.position <= head) {
            let name = event.stream.as_str();
            if range.has(name) {
                let version = event.version.0.to_le_bytes();
                names.push(name.as_bytes(), &version).map_err(unsorted)?;
            }
        }
    }
    let mut page = Vec::with_capacity(PAGE_EVENTS);
    for record in names.finish().map_err(unsorted)? {
        let (name, version) = record.map_err(unsorted)?;
        page.push(read_one(log, name, &version).await?);
        if page.len() == PAGE_EVENTS && pages.send(Ok(std::mem::take(&mut page))).await.is_err() {
            return Ok(());
        }
    }
    if !page.is_empty() {
        let _ = pages.send(Ok(page)).await;
    }
    Ok(())
}

async fn read_one<L: EventLog + ?Sized>(
    log: &L,
    name: Vec<u8>,
    version: &[u8],
) -> Result<RecordedEvent, ReadError> {
    let lost = || ReadError::Damaged("a stream that was there is gone".into());
    let name = String::from_utf8(name).map_err(|_| lost())?;
    let version = u64::from_le_bytes(version.try_into().map_err(|_| lost())?);
    let (stream, version) = (StreamName::new(name), StreamVersion(version));
    let found = log.read_stream(&stream, Some(version), Direction::Backward, 1);
    found.await?.pop().ok_or_else(lost)
}

/// The temporary file cannot be used.
pub(crate) fn unsorted(error: io::Error) -> ReadError {
    ReadError::Unavailable(format!("a temporary file for sorting: {error}"))
}
