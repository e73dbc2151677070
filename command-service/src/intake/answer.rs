//! What the one who delivers is told: a verdict for each record, and a response for the whole.

use std::time::Duration;

use bytes::Bytes;
use daybook_domain::stored_object::Verdict;
use daybook_event_store::Position;
use daybook_intake::Notification;
use serde::{Serialize, Serializer};

use super::admission::Overloaded;
use super::apply::Applied;
use super::reading::{Item, MessageRef};

/// When to come again where the ledger cannot take anything.
const LEDGER_RETRY_AFTER: Duration = Duration::from_secs(2);

/// What became of a delivery.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// What became of its records, in their order.
    pub records: Vec<RecordAnswer>,
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
    /// The status for the whole delivery, where all of it is refused.
    #[serde(skip)]
    pub status: Option<u16>,
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
        let (verdict, reason, detail, position, settled) = match applied {
            Applied::Settled { answer, position } => {
                let verdict = match answer.verdict {
                    None => Answered::Accepted,
                    Some(Verdict::Duplicate) => Answered::Duplicate,
                    Some(Verdict::Stale) => Answered::Stale,
                    Some(Verdict::Ignored) => Answered::Ignored,
                };
                (
                    Some(verdict),
                    answer.reason.map(str::to_owned),
                    None,
                    position,
                    true,
                )
            }
            Applied::Unavailable(why) => {
                (None, Some("unavailable".to_owned()), Some(why), None, false)
            }
        };
        Self {
            verdict,
            reason,
            detail,
            notification: Some(notification),
            position,
            settled,
            message,
            status: None,
        }
    }

    pub(super) fn of_unknown_bucket(
        notification: Box<Notification>,
        message: Option<MessageRef>,
    ) -> Self {
        Self {
            notification: Some(notification),
            ..Self::without_object(
                Answered::Ignored,
                Some("unknown-bucket".to_owned()),
                "no bucket of the config has this name, and unknown_buckets = \"ignore\""
                    .to_owned(),
                message,
            )
        }
    }

    /// What has no object.
    pub(super) fn of_item(item: Item) -> Self {
        match item {
            Item::Notification {
                notification,
                message,
            } => Self::of_unknown_bucket(notification, message),
            Item::Ignored {
                reason,
                why,
                message,
            } => Self::without_object(Answered::Ignored, Some(reason), why, message),
            Item::Handshake { why, message } => {
                Self::without_object(Answered::Handshake, None, why, message)
            }
            Item::Rejected { refusal, message } => Self {
                status: refusal.status,
                ..Self::without_object(Answered::Error, Some(refusal.reason), refusal.why, message)
            },
        }
    }

    fn without_object(
        verdict: Answered,
        reason: Option<String>,
        detail: String,
        message: Option<MessageRef>,
    ) -> Self {
        Self {
            verdict: Some(verdict),
            reason,
            detail: Some(detail),
            notification: None,
            position: None,
            settled: true,
            message,
            status: None,
        }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    records: &'a [RecordAnswer],
}

impl Delivered {
    pub(super) fn of(records: Vec<RecordAnswer>, answer: Option<Response>) -> Self {
        let unsettled = records.iter().find(|record| !record.settled);
        let unavailable = unsettled.map(|record| Unavailable {
            why: record.detail.clone().unwrap_or_default(),
            retry_after: LEDGER_RETRY_AFTER,
        });
        let response = match (&unavailable, answer) {
            (Some(unavailable), _) => {
                Response::json(503, &Body { records: &records }).after(unavailable.retry_after)
            }
            (None, Some(answer)) => answer,
            (None, None) => {
                let refused = records.iter().find_map(|record| record.status);
                Response::json(refused.unwrap_or(200), &Body { records: &records })
            }
        };
        Self {
            records,
            response,
            unavailable,
        }
    }

    /// Nothing was read of it: there is no room for it now.
    pub(super) fn turned_away(overloaded: Overloaded) -> Self {
        let why = "too many deliveries are under way".to_owned();
        let response = Response::json(429, &serde_json::json!({ "records": [], "detail": why }));
        Self {
            records: Vec::new(),
            response: response.after(overloaded.retry_after),
            unavailable: Some(Unavailable {
                why,
                retry_after: overloaded.retry_after,
            }),
        }
    }
}

impl Response {
    pub(super) fn json(status: u16, body: &impl Serialize) -> Self {
        // Plain structs with string keys: they always serialize.
        let body = serde_json::to_vec(body).unwrap_or_default();
        Self {
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.into(),
        }
    }

    fn after(mut self, pause: Duration) -> Self {
        let seconds = pause.as_secs().max(1).to_string();
        self.headers.push(("retry-after".to_owned(), seconds));
        self
    }
}
