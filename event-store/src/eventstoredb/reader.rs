//! Reads: of one stream, of all streams of the ledger, and the position of the newest event.
//!
//! The client cannot ask for a filtered page of `$all`, so what is not ours is dropped here. What
//! lies behind the newest event of ours is remembered, so that a busy neighbour is not read over
//! and over.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use eventstore::{Client, Error, ReadAllOptions, ReadStreamOptions, StreamPosition};

use super::codec::{decode, position};
use super::connection::{Connection, within};
use super::faults::Fault;
use super::names::Names;
use crate::{Direction, Position, RecordedEvent, StreamName, StreamVersion};

/// The first page of a read: it finds its way with few events.
pub(super) const FIRST_PAGE_EVENTS: usize = 32;

/// What is known of the end of `$all`.
#[derive(Clone, Copy, Debug, Default)]
struct End {
    /// The newest event of ours.
    head: Position,
    /// Up to here everything behind it belongs to others.
    known_to: Position,
}

pub(super) struct Reader {
    names: Names,
    end: Mutex<End>,
}

/// A page of `$all`.
#[derive(Default)]
struct Page {
    /// Those of its events that were wanted.
    wanted: Vec<eventstore::RecordedEvent>,
    first: Option<Position>,
    last: Option<Position>,
    /// How many events it had.
    count: usize,
}

impl Reader {
    pub(super) fn new(names: Names) -> Reader {
        let end = Mutex::default();
        Reader { names, end }
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// As [`EventLog::read_stream`](crate::EventLog::read_stream).
    pub(super) async fn read_stream(
        &self,
        connection: &Connection,
        stream: &StreamName,
        from: Option<StreamVersion>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Fault> {
        // No stream has a name that is too long.
        let Ok(name) = self.names.encode(stream) else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        let mut next = first_place(from, direction);
        while let Some(position) = next
            && found.len() < limit
        {
            let events = (limit - found.len()).min(connection.options().page_events);
            let call = ReadStreamOptions::default().position(position);
            let call = match direction {
                Direction::Forward => call.forwards(),
                Direction::Backward => call.backwards(),
            };
            let call = connection.read_stream(call.max_count(events));
            let wait = connection.options().call_timeout;
            let page = connection.reading(|client| stream_page(client, &name, &call, wait));
            let page = match page.await {
                Err(Fault::NotFound) => break,
                page => page?,
            };
            next = match page.last() {
                Some(last) if page.len() == events => place_behind(last.revision, direction),
                _ => None,
            };
            found.extend(page);
        }
        self.decode(found)
    }

    /// As [`EventLog::read_all`](crate::EventLog::read_all).
    pub(super) async fn read_all(
        &self,
        connection: &Connection,
        after: Position,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Fault> {
        let mut head = self.end().head;
        if after >= head && limit > 0 {
            head = self.head(connection).await?;
        }
        let mut events = Vec::new();
        let mut from = after;
        while from < head && events.len() < limit {
            // One more than wanted, since the page begins with the event at its position.
            let wanted = (limit - events.len()).saturating_add(1);
            let page_events = wanted.clamp(FIRST_PAGE_EVENTS, connection.options().page_events);
            let page = self.page_from(connection, from, page_events).await?;
            let new = page.wanted.into_iter();
            events.extend(new.filter(|event| position(event) > from));
            match page.last {
                Some(last) if last > from => from = last,
                _ => break,
            }
        }
        events.truncate(limit);
        self.decode(events)
    }

    /// As [`EventLog::head`](crate::EventLog::head): backwards from the end of `$all` until there
    /// is an event of ours, or one that is known not to have any of ours behind it.
    pub(super) async fn head(&self, connection: &Connection) -> Result<Position, Fault> {
        let known = self.end();
        let mut from = StreamPosition::End;
        let mut end: Option<Position> = None;
        let mut page_events = FIRST_PAGE_EVENTS;
        let head = loop {
            let call = ReadAllOptions::default().position(from).backwards();
            let page = self.page(connection, call, page_events).await?;
            let (Some(first), Some(last)) = (page.first, page.last) else {
                break Position::START;
            };
            let end = *end.get_or_insert(first);
            if let Some(newest) = page.wanted.first() {
                break position(newest);
            }
            // A server that ends before what was seen was put back to an older state.
            if last <= known.known_to && end >= known.head {
                break known.head;
            }
            if page.count < page_events {
                break Position::START;
            }
            from = StreamPosition::Position(place(last));
            page_events = connection.options().page_events;
        };
        self.set_end(known, head, end.unwrap_or(head));
        Ok(head)
    }

    /// The streams in which the server keeps settings of ours, which may make it delete events.
    pub(super) async fn stream_settings(
        &self,
        connection: &Connection,
    ) -> Result<Vec<String>, Fault> {
        let metadata = format!("$${}", self.names.prefix());
        let settings = |stream: &str| stream.starts_with(&metadata);
        let events = connection.options().page_events;
        let mut found = Vec::new();
        let mut from = Position::START;
        loop {
            let call = ReadAllOptions::default().position(start(from)).forwards();
            let page = page_of(connection, call, events, &settings).await?;
            let new = page.wanted.into_iter();
            let new = new.filter(|event| position(event) > from);
            found.extend(new.map(|event| event.stream_id));
            match page.last {
                Some(last) if last > from => from = last,
                _ => return Ok(found),
            }
        }
    }

    /// A page that begins with the event at a position. Where the server cannot read there, since
    /// no event has this position, it begins with the first of all.
    async fn page_from(
        &self,
        connection: &Connection,
        from: Position,
        events: usize,
    ) -> Result<Page, Fault> {
        let call = ReadAllOptions::default().position(start(from)).forwards();
        match self.page(connection, call, events).await {
            Err(Fault::NoSuchPosition) => {}
            page => return page,
        }
        tracing::warn!(%from, "no event has this position, `$all` is read from its start");
        let mut at = Position::START;
        loop {
            let call = ReadAllOptions::default().position(start(at)).forwards();
            let page = self.page(connection, call, events).await?;
            match page.last {
                Some(last) if last <= from && last > at => at = last,
                _ => return Ok(page),
            }
        }
    }

    /// A page with the events of ours.
    async fn page(
        &self,
        connection: &Connection,
        call: ReadAllOptions,
        events: usize,
    ) -> Result<Page, Fault> {
        let ours = |stream: &str| self.names.is_ours(stream);
        page_of(connection, call, events, &ours).await
    }

    fn decode(&self, events: Vec<eventstore::RecordedEvent>) -> Result<Vec<RecordedEvent>, Fault> {
        let events = events.into_iter().map(|event| decode(&self.names, event));
        events.collect::<Result<_, _>>().map_err(Fault::Damaged)
    }

    /// Takes note of an event of ours that was appended here.
    pub(super) fn appended(&self, position: Position) {
        let mut end = self.lock();
        if position > end.head {
            end.head = position;
            end.known_to = end.known_to.max(position);
        }
    }

    fn end(&self) -> End {
        *self.lock()
    }

    /// Keeps what was found, unless somebody else has found more in the meantime.
    fn set_end(&self, known: End, head: Position, known_to: Position) {
        let mut end = self.lock();
        let went_back = known_to < known.head;
        if went_back || known_to >= end.known_to {
            *end = End { head, known_to };
        }
    }

    fn lock(&self) -> MutexGuard<'_, End> {
        // It is set as a whole, so it is whole even if poisoned.
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a read of a stream begins on the server; `None` where there cannot be anything.
fn first_place(from: Option<StreamVersion>, direction: Direction) -> Option<StreamPosition<u64>> {
    let within = from.map(|version| i64::try_from(version.0).is_ok());
    match (direction, from) {
        (Direction::Forward, None) => Some(StreamPosition::Start),
        (Direction::Forward, Some(_)) if within == Some(false) => None,
        (Direction::Backward, Some(_)) if within == Some(false) => Some(StreamPosition::End),
        (Direction::Backward, None) => Some(StreamPosition::End),
        (_, Some(version)) => Some(StreamPosition::Position(version.0)),
    }
}

/// Where the page after the one with this last event begins.
fn place_behind(version: u64, direction: Direction) -> Option<StreamPosition<u64>> {
    let next = match direction {
        Direction::Forward => version.checked_add(1),
        Direction::Backward => version.checked_sub(1),
    };
    next.map(StreamPosition::Position)
}

fn start(from: Position) -> StreamPosition<eventstore::Position> {
    match from {
        Position::START => StreamPosition::Start,
        from => StreamPosition::Position(place(from)),
    }
}

/// The place of an event that came through gRPC: both halves of the server's position are the same.
pub(super) fn place(position: Position) -> eventstore::Position {
    eventstore::Position {
        commit: position.0,
        prepare: position.0,
    }
}

async fn page_of(
    connection: &Connection,
    call: ReadAllOptions,
    events: usize,
    wanted: &(impl Fn(&str) -> bool + Sync),
) -> Result<Page, Fault> {
    let wait = connection.options().call_timeout;
    let call = connection.read_all(call.max_count(events));
    let page = connection.reading(|client| all_page(client, &call, wait, wanted));
    page.await
}

async fn stream_page(
    client: Client,
    name: &str,
    call: &ReadStreamOptions,
    wait: Duration,
) -> Result<Vec<eventstore::RecordedEvent>, Error> {
    let mut stream = within(wait, client.read_stream(name, call)).await?;
    let mut events = Vec::new();
    while let Some(event) = within(wait, stream.next()).await? {
        events.extend(event.event);
    }
    Ok(events)
}

/// A page of `$all` with the events of the wanted streams.
async fn all_page(
    client: Client,
    call: &ReadAllOptions,
    wait: Duration,
    wanted: impl Fn(&str) -> bool,
) -> Result<Page, Error> {
    let mut stream = within(wait, client.read_all(call)).await?;
    let mut page = Page::default();
    while let Some(event) = within(wait, stream.next()).await? {
        let Some(event) = event.event else { continue };
        let at = position(&event);
        page.first.get_or_insert(at);
        page.last = Some(at);
        page.count += 1;
        if wanted(&event.stream_id) {
            page.wanted.push(event);
        }
    }
    Ok(page)
}
