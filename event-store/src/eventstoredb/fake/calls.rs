//! The calls that the fake answers.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::stream;
use futures::{Stream, StreamExt};
use tonic::codec::Streaming;
use tonic::{Request, Response, Status};

use super::messages::{
    AppendContent, AppendReq, AppendResp, AppendResult, ClusterInfo, Confirmation, EndPoint,
    Member, ReadContent, ReadCount, ReadOptions, ReadReq, ReadResp, ReadSource, StreamIdentifier,
    StreamNotFound, SupportedMethods,
};
use super::store::place;
use super::{State, Trouble};

/// The state of a member that leads, in the server's gossip.
const LEADER: i32 = 8;

pub(super) async fn features(
    state: Arc<State>,
    request: Request<()>,
) -> Result<Response<SupportedMethods>, Status> {
    state.note(request.metadata());
    Ok(Response::new(SupportedMethods {
        event_store_server_version: "24.10.0".into(),
    }))
}

pub(super) async fn gossip(
    state: Arc<State>,
    request: Request<()>,
) -> Result<Response<ClusterInfo>, Status> {
    state.note(request.metadata());
    let members = state.members.lock().unwrap().clone();
    let members = members
        .into_iter()
        .enumerate()
        .map(|(place, address)| Member {
            instance_id: None,
            state: if place == 0 { LEADER } else { 0 },
            is_alive: true,
            http_end_point: Some(EndPoint {
                address: address.ip().to_string(),
                port: address.port().into(),
            }),
        });
    let members = members.collect();
    Ok(Response::new(ClusterInfo { members }))
}

pub(super) async fn append(
    state: Arc<State>,
    request: Request<Streaming<AppendReq>>,
) -> Result<Response<AppendResp>, Status> {
    state.let_in(request.metadata())?;
    let mut messages = request.into_inner();
    let (mut options, mut events) = (None, Vec::new());
    while let Some(message) = messages.message().await? {
        match message.content {
            Some(AppendContent::Options(first)) => options = Some(first),
            Some(AppendContent::Proposed(event)) => events.push(event),
            None => return Err(Status::invalid_argument("an empty message")),
        }
    }
    let options = options.ok_or_else(|| Status::invalid_argument("no options"))?;
    let stream = name_of(options.stream_identifier);

    let (trouble, neighbour) = state.next_append();
    if let Some(Trouble::Refused(status)) = trouble {
        return Err(status);
    }
    let appended = state.store().append(&stream, options.expected, events)?;
    if neighbour {
        state.store().write_foreign("$neighbour");
    }
    state.tell();
    match trouble {
        Some(Trouble::AnswerLost(status)) => return Err(status),
        Some(Trouble::NoAnswer) => pending().await,
        _ => {}
    }
    let result = Some(match appended {
        Ok(success) => AppendResult::Success(success),
        Err(wrong) => AppendResult::WrongExpectedVersion(wrong),
    });
    Ok(Response::new(AppendResp { result }))
}

pub(super) type ReadStream = Pin<Box<dyn Stream<Item = Result<ReadResp, Status>> + Send>>;

pub(super) async fn read(
    state: Arc<State>,
    request: Request<ReadReq>,
) -> Result<Response<ReadStream>, Status> {
    state.let_in(request.metadata())?;
    let options = request.into_inner().options.unwrap_or_default();
    if matches!(options.count, Some(ReadCount::Subscription(()))) {
        return subscription(state, options).map(Response::new);
    }
    let contents = read_once(&state, options)?;
    let messages = contents.into_iter().map(message);
    Ok(Response::new(Box::pin(stream::iter(messages))))
}

fn read_once(state: &State, options: ReadOptions) -> Result<Vec<ReadContent>, Status> {
    let backwards = options.direction == 1;
    let Some(ReadCount::Count(count)) = options.count else {
        return Err(Status::invalid_argument("no count"));
    };
    let events = match options.source {
        Some(ReadSource::All(all)) => state.store().read_all(all.from, backwards, count)?,
        Some(ReadSource::Stream(stream)) => {
            let name = name_of(stream.stream_identifier.clone());
            let events = state
                .store()
                .read_stream(&name, stream.from, backwards, count);
            let Some(events) = events else {
                return Ok(vec![ReadContent::StreamNotFound(StreamNotFound {
                    stream_identifier: stream.stream_identifier,
                })]);
            };
            events
        }
        None => return Err(Status::invalid_argument("no source")),
    };
    Ok(events.into_iter().map(ReadContent::Event).collect())
}

/// Confirmation, what is there, the note that this was all, then what comes. A checkpoint follows
/// each event, at a position that is no event's.
fn subscription(state: Arc<State>, options: ReadOptions) -> Result<ReadStream, Status> {
    if state.deaf.load(Ordering::Relaxed) {
        return Err(Status::unavailable("Server Is Too Busy"));
    }
    let Some(ReadSource::All(all)) = options.source else {
        return Err(Status::unimplemented(
            "the fake has subscriptions to $all only",
        ));
    };
    let filter = options.filter.and_then(|filter| filter.stream_identifier);
    let prefixes = filter
        .ok_or_else(|| Status::unimplemented("no filter"))?
        .prefix;
    let next = state.store().index_after(all.from)?;
    let records = state.records.subscribe();
    let confirmation = ReadContent::Confirmation(Confirmation {
        subscription_id: "1".into(),
    });
    let first = stream::iter([message(confirmation)]);
    let rest = stream::unfold((next, false, records), move |(next, told, mut records)| {
        let (state, prefixes) = (state.clone(), prefixes.clone());
        async move {
            let mut told = told;
            loop {
                let found = state.store().next(next, &prefixes);
                if let Some((index, event)) = found {
                    let at = event
                        .event
                        .as_ref()
                        .map_or(0, |event| event.commit_position);
                    let contents = [
                        ReadContent::Event(event),
                        ReadContent::Checkpoint(place(at + 1)),
                    ];
                    return Some((
                        stream::iter(contents.map(message)),
                        (index + 1, told, records),
                    ));
                }
                if !told {
                    told = true;
                    let caught_up = message(ReadContent::CaughtUp(()));
                    let contents = [caught_up.clone(), caught_up];
                    return Some((stream::iter(contents), (next, told, records)));
                }
                records.changed().await.ok()?;
            }
        }
    });
    Ok(Box::pin(first.chain(rest.flatten())))
}

fn message(content: ReadContent) -> Result<ReadResp, Status> {
    let content = Some(content);
    Ok(ReadResp { content })
}

fn name_of(identifier: Option<StreamIdentifier>) -> String {
    let name = identifier.unwrap_or_default().stream_name;
    String::from_utf8(name.to_vec()).unwrap()
}
