//! The intake: what stores tell becomes commands, and each record of a delivery gets its verdict.
//!
//! ```text
//!  HTTP, SQS, Lambda ─ Delivery ─> Reader ─ items ─> buckets ─> commands ─> apply ─> the ledger
//!                                    │                                        │
//!                                    └─ handshakes, ignored, rejected ─┐      │ on disk
//!                                                                      v      v
//!                                            Delivered { an answer for each record, the response }
//! ```
//! A record is *settled* when its event is on disk, or when it is refused for good: only then may
//! the one who delivers forget it. What cannot be settled now is answered so that it is delivered
//! again; what of the delivery was recorded already is a duplicate then.

mod admission;
mod answer;
mod apply;
mod buckets;
mod reading;
mod repeats;
pub mod sqs;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use daybook_domain::BucketName;
use daybook_intake::{Delivery, Notification, Transport};
use thiserror::Error;

pub use admission::{AdmissionLimits, Overloaded};
pub use answer::{Answered, Delivered, RecordAnswer, Response, Unavailable};
pub(crate) use apply::origin_of;
pub use buckets::{KnownBucket, UnknownBuckets};
pub use reading::{Item, MessageRef, Reader, Reading, Refusal};

use crate::commands::Ledger;
use admission::Admission;
use apply::{Applied, Record};
use buckets::{Buckets, Mapped};
use repeats::Repeats;

/// What an intake is started with.
pub struct IntakeConfig {
    /// The buckets that the config names.
    pub buckets: Vec<KnownBucket>,
    /// The names that a source's stores give to buckets of the config.
    pub renamed: BTreeMap<SourceName, BTreeMap<String, BucketName>>,
    /// What becomes of notifications of other buckets.
    pub unknown: UnknownBuckets,
    /// How much may be under way at once.
    pub limits: AdmissionLimits,
    /// How many keys are written at once for one delivery.
    pub keys_at_once: usize,
    /// Of how many events it is known how often they were delivered again.
    pub repeats_kept: usize,
}

impl Default for IntakeConfig {
    fn default() -> Self {
        Self {
            buckets: Vec::new(),
            renamed: BTreeMap::new(),
            unknown: UnknownBuckets::Record,
            limits: AdmissionLimits::default(),
            keys_at_once: 64,
            repeats_kept: 100_000,
        }
    }
}

/// The name that a config gives to one who delivers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceName(Arc<str>);

/// A text that is no name of a source: those have 1 to 64 letters, digits, hyphens or underscores.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no name of a source; it has 1 to 64 letters, digits, hyphens or underscores")]
pub struct InvalidSourceName(String);

impl SourceName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SourceName {
    type Err = InvalidSourceName;

    fn from_str(text: &str) -> Result<Self, InvalidSourceName> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        match (1..=64).contains(&text.len()) && text.chars().all(plain) {
            true => Ok(Self(text.into())),
            false => Err(InvalidSourceName(text.to_owned())),
        }
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The intake of one process. Cheap to clone.
#[derive(Clone)]
pub struct Intake(Arc<Rooms>);

struct Rooms {
    ledger: Ledger,
    reader: Arc<dyn Reader>,
    buckets: Buckets,
    admission: Admission,
    repeats: Repeats,
    keys_at_once: usize,
}

impl Intake {
    /// An intake over a ledger.
    pub fn new(ledger: Ledger, reader: Arc<dyn Reader>, config: IntakeConfig) -> Self {
        Self(Arc::new(Rooms {
            ledger,
            reader,
            buckets: Buckets::new(config.buckets, config.renamed, config.unknown),
            admission: Admission::new(config.limits),
            repeats: Repeats::new(config.repeats_kept),
            keys_at_once: config.keys_at_once.max(1),
        }))
    }

    /// Takes in a delivery: when it returns, each record that it calls settled is on disk, or
    /// refused for good.
    ///
    /// A request over HTTP is turned away when too much is under way; from a queue it waits.
    pub async fn deliver(&self, source: Option<&SourceName>, delivery: Delivery) -> Delivered {
        let bytes = delivery.body.len();
        let waits = delivery.transport != Transport::Http;
        let admitted = match self.0.admission.bytes(bytes, waits).await {
            Ok(admitted) => admitted,
            Err(overloaded) => return Delivered::turned_away(overloaded),
        };
        let reading = self.0.reader.read(source, &delivery).await;
        let records = reading.items.iter().filter(|item| item.is_notification());
        let delivered = match self.0.admission.records(records.count(), waits).await {
            Ok(under_way) => {
                let delivered = self.settle(source, reading).await;
                drop(under_way);
                delivered
            }
            Err(overloaded) => Delivered::turned_away(overloaded),
        };
        drop(admitted);
        delivered
    }

    async fn settle(&self, source: Option<&SourceName>, reading: Reading) -> Delivered {
        let mut answers: Vec<Option<RecordAnswer>> = Vec::with_capacity(reading.items.len());
        let mut records = Vec::new();
        let mut places = Vec::new();
        for (place, item) in reading.items.into_iter().enumerate() {
            match item {
                Item::Notification {
                    notification,
                    message,
                } => match self.record_of(source, &notification) {
                    Some(record) => {
                        records.push(record);
                        places.push((place, notification, message));
                        answers.push(None);
                    }
                    None => {
                        answers.push(Some(RecordAnswer::of_unknown_bucket(notification, message)))
                    }
                },
                other => answers.push(Some(RecordAnswer::of_item(other))),
            }
        }
        let applied = self.apply(records).await;
        for ((place, notification, message), applied) in places.into_iter().zip(applied) {
            answers[place] = Some(RecordAnswer::of_record(notification, message, applied));
        }
        let answers = answers.into_iter().flatten().collect();
        Delivered::of(answers, reading.answer)
    }

    /// The command for a notification; `None` where its bucket is nobody's.
    fn record_of(&self, source: Option<&SourceName>, told: &Notification) -> Option<Record> {
        match self.0.buckets.find(source, &told.bucket) {
            Mapped::To(bucket, rule) => Some(Record::new(source, told, bucket, rule)),
            Mapped::Ignored => None,
        }
    }

    /// Applies all records of a delivery: those of one key in their order, those of different keys
    /// at once. One result for each, in their order.
    async fn apply(&self, records: Vec<Record>) -> Vec<Applied> {
        let rooms = &self.0;
        apply::apply(&rooms.ledger, &rooms.repeats, rooms.keys_at_once, records).await
    }
}
