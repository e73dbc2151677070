//! What the client's errors mean for an append or a read: whether something may have been written,
//! whether trying again helps, and what a person can do about it. Pure.

use eventstore::{CurrentRevision, Error};

use crate::{AppendError, ReadError, StreamVersion};

/// What an error of the client means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The stream is elsewhere, as far as the server says so.
    WrongVersion(Actual),
    /// It was not done; another try may help.
    NotDone(String),
    /// It was not done, since the node is not the leader. The client turns to the leader by itself.
    NotLeader(String),
    /// It was not done, and trying again does not help before somebody has acted.
    Refused(String),
    /// It may have been done.
    Unclear(String),
    /// What was asked for is wrong in itself.
    Invalid(String),
    /// What is there cannot be what a ledger put there.
    Damaged(String),
    /// There is no such stream.
    NotFound,
    /// The server cannot read at the position asked for.
    NoSuchPosition,
}

/// The version of a stream that a refused append was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Actual {
    /// This one; `None` where the stream does not exist.
    Told(Option<StreamVersion>),
    /// The server did not say.
    Untold,
}

/// Codes of gRPC that the client passes on.
mod code {
    pub(super) const INVALID_ARGUMENT: i32 = 3;
    pub(super) const RESOURCE_EXHAUSTED: i32 = 8;
    pub(super) const FAILED_PRECONDITION: i32 = 9;
    pub(super) const OUT_OF_RANGE: i32 = 11;
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::WrongExpectedVersion { current, .. } => {
                Fault::WrongVersion(Actual::Told(match current {
                    CurrentRevision::Current(version) => Some(StreamVersion(version)),
                    CurrentRevision::NoStream => None,
                }))
            }
            Error::NotLeaderException(leader) => Fault::NotLeader(format!(
                "the node is not the leader, which is {}:{}",
                leader.host, leader.port
            )),
            Error::ConnectionClosed => Fault::NotDone(
                "the client's connection has ended; if it never begins, look at tlsCaFile and \
                 whether the machine has root certificates"
                    .into(),
            ),
            Error::GrpcConnectionError(error) => Fault::NotDone(format!(
                "no connection to the server: {error} (is it up, does its port speak TLS or, \
                 with tls=false, not, and is its certificate signed by what tlsCaFile or the \
                 machine trusts?)"
            )),
            Error::InitializationError(what) => Fault::Refused(what),
            Error::AccessDenied => Fault::Refused(
                "the server denied access: the user in the URL needs to read $all, and to read \
                 and write the streams with the ledger's prefix"
                    .into(),
            ),
            Error::UnsupportedFeature => Fault::Refused(
                "the server does not know the call: EventStoreDB 20.6 or later is needed".into(),
            ),
            Error::ResourceNotFound => Fault::NotFound,
            Error::ResourceDeleted => Fault::Damaged("the stream was deleted on the server".into()),
            Error::DeadlineExceeded => Fault::Unclear("it took too long".into()),
            Error::ServerError(status) => server_error(status),
            Error::Grpc { code, message } => grpc(i32::from(code), message),
            other => Fault::Unclear(other.to_string()),
        }
    }
}

/// Statuses that the client does not tell apart; it hands over their text.
fn server_error(status: String) -> Fault {
    let says = |text: &str| status.contains(text);
    // Older servers call it an error like any other.
    if says("InvalidPosition") || says("ReadAllResult: Error") {
        return Fault::NoSuchPosition;
    }
    let never_began = ["Server Is Not Ready", "Server Is Too Busy", "(Connect)"];
    if never_began.into_iter().any(says) {
        return Fault::NotDone(status);
    }
    Fault::Unclear(status)
}

fn grpc(code: i32, message: String) -> Fault {
    match code {
        code::FAILED_PRECONDITION if message.contains("WrongExpectedVersion") => {
            Fault::WrongVersion(Actual::Untold)
        }
        code::INVALID_ARGUMENT if message.contains("Maximum Append Size") => {
            Fault::Invalid(format!(
                "{message} (start the server with MaxAppendSize 4194304, since Daybook's own \
                 limit does not count what the server counts)"
            ))
        }
        code::INVALID_ARGUMENT | code::OUT_OF_RANGE if message.contains("osition") => {
            Fault::NoSuchPosition
        }
        // The server has had too much of the connection, for example of calls that were given up.
        code::RESOURCE_EXHAUSTED if message.starts_with("h2 ") => Fault::Unclear(message),
        code::INVALID_ARGUMENT | code::RESOURCE_EXHAUSTED | code::FAILED_PRECONDITION => {
            Fault::Invalid(message)
        }
        _ => Fault::Unclear(message),
    }
}

impl Fault {
    /// Whether another try may go better.
    pub(super) fn may_pass(&self) -> bool {
        matches!(
            self,
            Fault::NotDone(_) | Fault::NotLeader(_) | Fault::Unclear(_)
        )
    }

    /// Whether the connection may be at fault, so that a new one may reach a better node. The
    /// client itself only turns to a leader that it is told of by name, and never recovers from a
    /// connection that did not come about.
    pub(super) fn wants_new_connection(&self) -> bool {
        matches!(self, Fault::NotDone(_) | Fault::Unclear(_))
    }

    /// The same for whoever wanted to read.
    pub(super) fn into_read_error(self) -> ReadError {
        match self {
            Fault::Damaged(what) => ReadError::Damaged(what),
            other => ReadError::Unavailable(other.text()),
        }
    }

    /// The same for whoever wanted to append.
    pub(super) fn into_append_error(self) -> AppendError {
        match self {
            Fault::Unclear(what) => AppendError::Unknown(what),
            Fault::Invalid(what) | Fault::Damaged(what) => AppendError::Invalid(what),
            other => AppendError::Unavailable(other.text()),
        }
    }

    fn text(self) -> String {
        match self {
            Fault::NotDone(what)
            | Fault::NotLeader(what)
            | Fault::Refused(what)
            | Fault::Unclear(what)
            | Fault::Invalid(what)
            | Fault::Damaged(what) => what,
            Fault::WrongVersion(_) => "the stream is at another version".into(),
            Fault::NotFound => "there is no such stream".into(),
            Fault::NoSuchPosition => "the server cannot read at this position".into(),
        }
    }
}

#[cfg(test)]
mod tests;
