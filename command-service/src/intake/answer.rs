//! What the one who delivers is told: a verdict for each record, and a response for the whole.

use std::time::Duration;

use bytes::Bytes;
use daybook_domain::stored_object::Verdict;
use daybook_event_store::Position;
use daybook_intake::{Handshake, Message, Notification, Rejection, Reply};
use serde::{Serialize, Serializer};

use super::admission::Overloaded;
use super::apply::Applied;

/// When to come again where the ledger cannot take anything.
const LEDGER_RETRY_AFTER: Duration = Duration::from_secs(2);

/// What became of a delivery.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// What became of its records, in their order.
    pub records: Vec<RecordAnswer>,
    /// What became of the transport's messages that they came in. One without records is done with.
    pub messages: Vec<MessageAnswer>,
    /// What to answer over HTTP.
    pub response: Response,
    /// Why not all of it could be settled, if it could not: it has to be delivered again.
    pub unavailable: Option<Unavailable>,
}

/// Why something could not be settled now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// The reason in words.
    pub why: String,
    /// When to come again.
    pub retry_after: Duration,
}

/// A message of a transport that batches: one may hold many records, or none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MessageRef {
    /// Its id at the transport, if it has one.
    pub id: Option<String>,
    /// What it is acknowledged with, if that is not its id.
    pub receipt: Option<String>,
    /// Its place in the batch, from 0.
    pub index: usize,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageAnswer {
    /// Which one.
    pub message: MessageRef,
    /// Whether all of its records are settled.
    pub settled: bool,
    /// Whether one of them was refused: it cannot be understood or believed, now or later.
    pub refused: bool,
}

/// An answer over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// The verdict on one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answered {
    /// It is recorded as a new version.
    Accepted,
    /// It is on record.
    Duplicate,
    /// Something newer is on record.
    Stale,
    /// It does not concern the arrival of an object.
    Ignored,
    /// It was a question about this endpoint.
    Handshake,
    /// It cannot be understood or believed.
    Error,
}

/// What became of one record.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordAnswer {
    /// The verdict; `None` where there is none yet, because the ledger could not take it.
    pub verdict: Option<Answered>,
    /// The reason in a word.
    pub reason: Option<String>,
    /// The reason in a sentence.
    pub detail: Option<String>,
    /// What the store said, if it could be read.
    #[serde(flatten, serialize_with = "said")]
    pub notification: Option<Box<Notification>>,
    /// Where in the log it is recorded.
    #[serde(serialize_with = "number")]
    pub position: Option<Position>,
    /// Whether it may be forgotten: it is on disk, or refused for good.
    #[serde(skip)]
    pub settled: bool,
    /// The message of the transport that it came in.
    #[serde(skip)]
    pub message: Option<MessageRef>,
}

/// The members that every record has.
#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct Said<'a> {
    source: Option<&'a str>,
    account: Option<&'a str>,
    bucket: Option<&'a str>,
    key: Option<&'a str>,
    version_id: Option<&'a str>,
    etag: Option<&'a str>,
    size: Option<u64>,
    sequencer: Option<&'a str>,
    event_time: Option<jiff::Timestamp>,
    event_name: Option<&'a str>,
    region: Option<&'a str>,
}

fn said<S: Serializer>(told: &Option<Box<Notification>>, serializer: S) -> Result<S::Ok, S::Error> {
    let said = match told {
        None => Said::default(),
        Some(told) => Said {
            source: Some(told.source.as_str()),
            account: told.account.as_deref(),
            bucket: Some(told.bucket.as_str()),
            key: Some(told.key.as_str()),
            version_id: told.version_id.as_deref(),
            etag: told.etag.as_deref(),
            size: told.size,
            sequencer: told.sequencer.as_deref(),
            event_time: told.event_time,
            event_name: Some(&told.event_name),
            region: told.region.as_deref(),
        },
    };
    said.serialize(serializer)
}

fn number<S: Serializer>(position: &Option<Position>, serializer: S) -> Result<S::Ok, S::Error> {
    position.map(|position| position.0).serialize(serializer)
}

impl RecordAnswer {
    pub(super) fn of_record(
        notification: Box<Notification>,
        message: Option<MessageRef>,
        applied: Applied,
    ) -> Self {
        let answer = Self {
            notification: Some(notification),
            ..Self::without_object(message)
        };
        match applied {
            Applied::Settled {
                answer: it,
                position,
            } => Self {
                verdict: Some(match it.verdict {
                    None => Answered::Accepted,
                    Some(Verdict::Duplicate) => Answered::Duplicate,
                    Some(Verdict::Stale) => Answered::Stale,
                    Some(Verdict::Ignored) => Answered::Ignored,
                }),
                reason: it.reason.map(str::to_owned),
                position,
                ..answer
            },
            Applied::Unavailable(why) => answer.unavailable(why),
        }
    }

    /// The same, saying in words why the config ignores it, if that is the verdict.
    pub(super) fn ignored_because(self, why: Option<String>) -> Self {
        match (self.verdict, why) {
            (Some(Answered::Ignored), Some(why)) => Self {
                detail: Some(why),
                ..self
            },
            _ => self,
        }
    }

    pub(super) fn of_unknown_bucket(
        notification: Box<Notification>,
        message: Option<MessageRef>,
    ) -> Self {
        let why = "no bucket of the config has this name, and unknown_buckets = \"ignore\"";
        Self {
            notification: Some(notification),
            ..Self::ignored("unknown-bucket", why.to_owned(), message)
        }
    }

    pub(super) fn ignored(reason: &str, what: String, message: Option<MessageRef>) -> Self {
        Self {
            verdict: Some(Answered::Ignored),
            reason: Some(reason.to_owned()),
            detail: Some(what),
            ..Self::without_object(message)
        }
    }

    pub(super) fn of_rejection(rejection: &Rejection, message: Option<MessageRef>) -> Self {
        Self {
            verdict: Some(Answered::Error),
            reason: Some(rejection.reason.as_str().to_owned()),
            detail: Some(rejection.to_string()),
            ..Self::without_object(message)
        }
    }

    /// A handshake; `failed` where what it asks for could not be done now.
    pub(super) fn of_handshake(
        handshake: &Handshake,
        failed: Option<String>,
        message: Option<MessageRef>,
    ) -> Self {
        let answer = Self::without_object(message);
        let detail = match handshake {
            Handshake::Reply(_) => "answered".to_owned(),
            Handshake::Confirm { topic, .. } => format!("confirmed the subscription to {topic}"),
        };
        match failed {
            Some(why) => answer.unavailable(why),
            None => Self {
                verdict: Some(Answered::Handshake),
                detail: Some(detail),
                ..answer
            },
        }
    }

    fn unavailable(self, why: String) -> Self {
        Self {
            reason: Some("unavailable".to_owned()),
            detail: Some(why),
            settled: false,
            ..self
        }
    }

    fn without_object(message: Option<MessageRef>) -> Self {
        Self {
            verdict: None,
            reason: None,
            detail: None,
            notification: None,
            position: None,
            settled: true,
            message,
        }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    records: &'a [RecordAnswer],
}

impl Delivered {
    /// `refused` is the status where the delivery is refused as a whole, `reply` what a handshake
    /// wants to be answered.
    pub(super) fn of(
        records: Vec<RecordAnswer>,
        messages: &[Message],
        refused: Option<u16>,
        reply: Option<&Reply>,
    ) -> Self {
        let unsettled = records.iter().find(|record| !record.settled);
        let unavailable = unsettled.map(|record| Unavailable {
            why: record.detail.clone().unwrap_or_default(),
            retry_after: LEDGER_RETRY_AFTER,
        });
        let body = Body { records: &records };
        let response = match (&unavailable, reply) {
            (Some(unavailable), _) => Response::json(503, &body).after(unavailable.retry_after),
            (None, Some(reply)) => Response::from(reply),
            (None, None) => Response::json(refused.unwrap_or(200), &body),
        };
        let mut messages: Vec<MessageAnswer> = (0..messages.len())
            .map(|index| MessageAnswer {
                message: MessageRef::at(messages, index),
                settled: true,
                refused: false,
            })
            .collect();
        for record in &records {
            let at = record.message.as_ref().map(|message| message.index);
            if let Some(message) = at.and_then(|at| messages.get_mut(at)) {
                message.settled &= record.settled;
                message.refused |= record.verdict == Some(Answered::Error);
            }
        }
        Self {
            records,
            messages,
            response,
            unavailable,
        }
    }

    /// Nothing was read of it: there is no room for it now.
    pub(super) fn turned_away(overloaded: Overloaded) -> Self {
        let why = "too many deliveries are under way".to_owned();
        Self::later(429, why, overloaded.retry_after)
    }

    /// Nothing of it is done: what it takes to read it is not to be had now.
    pub(super) fn unreadable_now(why: String) -> Self {
        Self::later(503, why, LEDGER_RETRY_AFTER)
    }

    fn later(status: u16, why: String, retry_after: Duration) -> Self {
        let body = serde_json::json!({ "records": [], "detail": why });
        Self {
            records: Vec::new(),
            messages: Vec::new(),
            response: Response::json(status, &body).after(retry_after),
            unavailable: Some(Unavailable { why, retry_after }),
        }
    }

    /// There is no such source.
    pub(super) fn to_nobody(source: &str) -> Self {
        let why = format!(
            "there is no path for source {source}; add [intake.sources.{source}] with an authentication"
        );
        let body = serde_json::json!({ "records": [], "detail": why });
        Self {
            records: Vec::new(),
            messages: Vec::new(),
            response: Response::json(404, &body),
            unavailable: None,
        }
    }
}

impl MessageRef {
    pub(super) fn at(messages: &[Message], index: usize) -> Self {
        let message = messages.get(index).cloned().unwrap_or_default();
        Self {
            id: message.id,
            receipt: message.receipt,
            index,
        }
    }
}

impl From<&Reply> for Response {
    fn from(reply: &Reply) -> Self {
        let headers = reply.headers.iter();
        Self {
            status: Reply::STATUS,
            headers: headers
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
            body: reply.body.clone(),
        }
    }
}

impl Response {
    pub(crate) fn json(status: u16, body: &impl Serialize) -> Self {
        // Plain structs with string keys: they always serialize.
        let body = serde_json::to_vec(body).unwrap_or_default();
        Self {
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.into(),
        }
    }

    pub(crate) fn after(mut self, pause: Duration) -> Self {
        let seconds = pause.as_secs().max(1).to_string();
        self.headers.push(("retry-after".to_owned(), seconds));
        self
    }
}
