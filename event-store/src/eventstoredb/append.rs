//! Appends: the call, what its answer means, and where the events ended up.
//!
//! The server knows repeats, too: where the expected version is behind the stream, it compares ids
//! place by place, as we do. But it does not say that it was one, so version and position are not
//! taken from its answer: they are read back, with the id, from where the events have to be. The
//! same look tells what became of an append whose answer was lost.

use eventstore::{AppendToStreamOptions, EventData, ExpectedRevision};
use futures::stream::{FuturesOrdered, StreamExt};
use uuid::Uuid;

use super::codec::encode_new;
use super::connection::{Connection, within};
use super::faults::{Actual, Fault};
use super::reader::Reader;
use crate::admission::{Plan, check_limits, plan};
use crate::{
    Append, AppendError, Appended, Direction, Expected, RecordedEvent, StreamName, StreamVersion,
};

/// An append as it is looked up: without the bodies.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) stream: StreamName,
    pub(super) expected: Expected,
    pub(super) ids: Vec<Uuid>,
}

/// What is known after the server was asked to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// The events are there; where, is to be read.
    There,
    /// The stream was elsewhere: it is a repeat or a conflict.
    Elsewhere(Actual),
}

/// What to do after one try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing more is to be written.
    LookUp(Written),
    /// Try again. The ids and the expected version keep a second try from adding anything twice.
    TryAgain,
    /// Give up.
    Fail(Fault),
}

/// Decides what follows from a try. `unclear` says that this or an earlier try may have been
/// written, `last` that there is no further try.
pub(super) fn next(answer: Result<(), Fault>, unclear: bool, last: bool) -> Next {
    match answer {
        Ok(()) => Next::LookUp(Written::There),
        Err(Fault::WrongVersion(actual)) => Next::LookUp(Written::Elsewhere(actual)),
        Err(fault) if fault.may_pass() && !last => Next::TryAgain,
        // It was not this try, but an earlier one may have been written.
        Err(Fault::NotDone(what) | Fault::NotLeader(what) | Fault::Refused(what)) if unclear => {
            Next::Fail(Fault::Unclear(what))
        }
        Err(fault) => Next::Fail(fault),
    }
}

/// The answer to an append from what the stream holds where its events, or the last of them, have to
/// be. `actual` is the newest version that is known of the stream.
pub(super) fn settle(
    wanted: &Wanted,
    ids: &[Uuid],
    actual: Option<StreamVersion>,
    found: &[RecordedEvent],
) -> Result<Appended, AppendError> {
    let same = found
        .iter()
        .map(|event| event.event_id)
        .eq(ids.iter().copied());
    match found.last() {
        Some(last) if same => Ok(Appended {
            version: last.version,
            position: last.position,
        }),
        _ => Err(AppendError::Conflict {
            stream: wanted.stream.clone(),
            expected: wanted.expected,
            actual,
        }),
    }
}

/// Appends one after the other, in their order; their places are looked up while the next ones are
/// written.
pub(super) async fn append_each(
    connection: &Connection,
    reader: &Reader,
    appends: Vec<Append>,
) -> Vec<Result<Appended, AppendError>> {
    let mut results = Vec::with_capacity(appends.len());
    let mut lookups = FuturesOrdered::new();
    for append in appends {
        let written = write(connection, reader, append).await;
        lookups.push_back(async move {
            match written {
                Ok((wanted, written)) => look_up(connection, reader, &wanted, written).await,
                Err(error) => Err(error),
            }
        });
        if lookups.len() >= connection.options().lookups {
            results.extend(lookups.next().await);
        }
    }
    results.extend(lookups.collect::<Vec<_>>().await);
    for appended in results.iter().flatten() {
        reader.appended(appended.position);
    }
    results
}

async fn write(
    connection: &Connection,
    reader: &Reader,
    append: Append,
) -> Result<(Wanted, Written), AppendError> {
    check_limits(&append)?;
    let wanted = Wanted {
        ids: append.events.iter().map(|event| event.event_id).collect(),
        stream: append.stream,
        expected: append.expected,
    };
    let events: Result<Vec<_>, _> = append.events.into_iter().map(encode_new).collect();
    let events = events.map_err(AppendError::Invalid)?;
    let written = write_events(connection, reader, &wanted, events).await;
    Ok((wanted, written.map_err(Fault::into_append_error)?))
}

/// Asks the server to append, again and again within bounds where that may help.
pub(super) async fn write_events(
    connection: &Connection,
    reader: &Reader,
    wanted: &Wanted,
    events: Vec<EventData>,
) -> Result<Written, Fault> {
    let name = reader.names().encode(&wanted.stream);
    let name = name.map_err(Fault::Invalid)?;
    let expected = match wanted.expected {
        Expected::NoStream => ExpectedRevision::NoStream,
        Expected::Exact(version) => ExpectedRevision::Exact(version.0),
    };
    let call = AppendToStreamOptions::default().expected_revision(expected);
    let call = connection.append(call);
    let (mut tries, mut unclear) = (0, false);
    loop {
        let answer = connection.once(|client| {
            let (name, events, call) = (name.as_str(), events.clone(), call.clone());
            async move {
                let limit = connection.options().call_timeout;
                within(limit, client.append_to_stream(name, &call, events)).await
            }
        });
        let answer = answer.await.map(drop);
        unclear |= matches!(answer, Err(Fault::Unclear(_)));
        let last = tries + 1 >= connection.options().attempts;
        match next(answer, unclear, last) {
            Next::LookUp(written) => return Ok(written),
            Next::Fail(fault) => return Err(fault),
            Next::TryAgain => tracing::debug!(stream = %wanted.stream, "an append is tried again"),
        }
        tokio::time::sleep(connection.delay(tries)).await;
        tries += 1;
    }
}

/// Reads where the events are, or have to be if this is a repeat.
async fn look_up(
    connection: &Connection,
    reader: &Reader,
    wanted: &Wanted,
    written: Written,
) -> Result<Appended, AppendError> {
    let actual = match written {
        Written::There => return look_up_last(connection, reader, wanted).await,
        Written::Elsewhere(Actual::Told(actual)) => actual,
        Written::Elsewhere(Actual::Untold) => newest(connection, reader, &wanted.stream)
            .await
            .map_err(unread)?,
    };
    let found = match plan(wanted.expected, actual, wanted.ids.len()) {
        Plan::CompareIds { first, .. } => {
            let (from, count) = (Some(first), wanted.ids.len());
            let direction = Direction::Forward;
            let read = reader.read_stream(connection, &wanted.stream, from, direction, count);
            read.await.map_err(unread)?
        }
        Plan::Append | Plan::Conflict => Vec::new(),
    };
    settle(wanted, &wanted.ids, actual, &found)
}

/// Reads the last event of an append that the server took. It takes all of them or none, and has
/// compared the ids of a repeat, so the last one tells for all.
async fn look_up_last(
    connection: &Connection,
    reader: &Reader,
    wanted: &Wanted,
) -> Result<Appended, AppendError> {
    let count = wanted.ids.len();
    let last = StreamVersion(wanted.expected.next_version().0 + count as u64 - 1);
    let read = reader.read_stream(
        connection,
        &wanted.stream,
        Some(last),
        Direction::Forward,
        1,
    );
    let found = read.await.map_err(unread)?;
    let id = wanted
        .ids
        .get(count.saturating_sub(1)..)
        .unwrap_or_default();
    settle(wanted, id, None, &found).map_err(|_| {
        AppendError::Unknown(format!(
            "the server took the append, but stream {} does not show its events",
            wanted.stream
        ))
    })
}

/// The stream's newest version.
pub(super) async fn newest(
    connection: &Connection,
    reader: &Reader,
    stream: &StreamName,
) -> Result<Option<StreamVersion>, Fault> {
    let read = reader.read_stream(connection, stream, None, Direction::Backward, 1);
    Ok(read.await?.first().map(|event| event.version))
}

/// The server has answered, but where the events are could not be read.
fn unread(fault: Fault) -> AppendError {
    AppendError::Unknown(fault.into_read_error().to_string())
}

#[cfg(test)]
mod tests;
