//! The intake: what stores tell becomes commands, and each record of a delivery gets its verdict.
//!
//! ```text
//!  HTTP, SQS, Lambda ─ Delivery ─> decode, authenticate ─ items ─> buckets ─> commands ─> apply ─> ledger
//!                                    │                                                      │
//!                                    └─ handshakes, ignored, rejected ─┐                    │ on disk
//!                                                                      v                    v
//!                                              Delivered { an answer for each record, the response }
//! ```
//! A record is *settled* when its event is on disk, or when it is refused for good: only then may
//! the one who delivers forget it. What cannot be settled now is answered so that it is delivered
//! again; what of the delivery was recorded already is a duplicate then.

mod admission;
mod answer;
mod apply;
mod buckets;
mod figures;
mod handshakes;
mod pulled;
mod rejected;
mod repeats;
mod sns;
pub mod sqs;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use daybook_domain::BucketName;
use daybook_intake::{
    Decoded, Delivery, Handshake, Item, Notification, Settings, Told, Transport, decode,
};
use daybook_s3_gateway::Gateway;
use thiserror::Error;

pub use admission::{AdmissionLimits, Admitted, Overloaded};
pub use answer::{
    Answered, Delivered, MessageAnswer, MessageRef, RecordAnswer, Response, Unavailable,
};
pub(crate) use apply::origin_of;
pub use buckets::{KnownBucket, UnknownBuckets};
pub use rejected::{RejectedConfig, RejectedDelivery};
pub use sns::{NoSns, Sns, SnsOverHttps};

use crate::clock;
use crate::commands::Ledger;
use admission::Admission;
use apply::{Applied, Record};
use buckets::{Buckets, Mapped};
use pulled::Pulled;
use rejected::{Rejected, Why};
use repeats::Repeats;
use sns::Confirmed;

/// Bodies from this size on are read beside the others, not between them: a large one takes as long
/// as thousands of small ones.
const LARGE_BODY_BYTES: usize = 256 << 10;

/// What an intake is started with.
#[derive(Clone, Debug)]
pub struct IntakeConfig {
    /// What is expected of deliveries that come for no configured source.
    pub open: Arc<Settings>,
    /// Whether such may come over HTTP.
    pub open_over_http: bool,
    /// What is expected of each source.
    pub sources: BTreeMap<SourceName, SourceConfig>,
    /// The buckets that the config names.
    pub buckets: Vec<KnownBucket>,
    /// What becomes of notifications of other buckets.
    pub unknown: UnknownBuckets,
    /// How much may be under way at once.
    pub limits: AdmissionLimits,
    /// How many keys are written at once for one delivery.
    pub keys_at_once: usize,
    /// Of how many events it is known how often they were delivered again.
    pub repeats_kept: usize,
    /// How long a notification waits for a write to the same key through the gateway.
    pub gateway_patience: Duration,
    /// What is kept of that which is refused.
    pub rejected: RejectedConfig,
}

/// What is expected of one source.
#[derive(Clone, Debug, Default)]
pub struct SourceConfig {
    /// What its deliveries have to show, and what they may speak of.
    pub settings: Arc<Settings>,
    /// Buckets of the ledger by the names that its stores give them.
    pub buckets: BTreeMap<String, BucketName>,
    /// Whether nothing of it may come over HTTP: it is for queues alone.
    pub queues_only: bool,
}

impl Default for IntakeConfig {
    fn default() -> Self {
        Self {
            open: Arc::default(),
            open_over_http: true,
            sources: BTreeMap::new(),
            buckets: Vec::new(),
            unknown: UnknownBuckets::Record,
            limits: AdmissionLimits::default(),
            keys_at_once: 64,
            repeats_kept: 100_000,
            gateway_patience: Duration::from_secs(15),
            rejected: RejectedConfig::default(),
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
    gateway: Option<Arc<Gateway>>,
    sns: Arc<dyn Sns>,
    open: Arc<Settings>,
    open_over_http: bool,
    sources: BTreeMap<SourceName, Expected>,
    buckets: Buckets,
    admission: Admission,
    repeats: Repeats,
    rejected: Rejected,
    pulled: Pulled,
    confirmed: Confirmed,
    keys_at_once: usize,
    gateway_patience: Duration,
}

/// What is expected of a source.
struct Expected {
    settings: Arc<Settings>,
    queues_only: bool,
}

impl Intake {
    /// An intake over a ledger. Fails where the folder for what is rejected cannot be used.
    pub fn new(ledger: Ledger, sns: Arc<dyn Sns>, config: IntakeConfig) -> io::Result<Self> {
        Self::over(ledger, sns, config, None)
    }

    /// An intake beside a gateway that writes to the buckets which it is told of.
    pub(crate) fn beside(
        gateway: Arc<Gateway>,
        ledger: Ledger,
        sns: Arc<dyn Sns>,
        config: IntakeConfig,
    ) -> io::Result<Self> {
        Self::over(ledger, sns, config, Some(gateway))
    }

    fn over(
        ledger: Ledger,
        sns: Arc<dyn Sns>,
        config: IntakeConfig,
        gateway: Option<Arc<Gateway>>,
    ) -> io::Result<Self> {
        let (mut sources, mut renamed) = (BTreeMap::new(), BTreeMap::new());
        for (name, source) in config.sources {
            renamed.insert(name.clone(), source.buckets);
            let expected = Expected {
                settings: source.settings,
                queues_only: source.queues_only,
            };
            sources.insert(name, expected);
        }
        Ok(Self(Arc::new(Rooms {
            ledger,
            gateway,
            sns,
            open: config.open,
            open_over_http: config.open_over_http,
            sources,
            buckets: Buckets::new(config.buckets, renamed, config.unknown),
            admission: Admission::new(config.limits),
            repeats: Repeats::new(config.repeats_kept),
            pulled: Pulled::new(config.rejected.messages_remembered),
            rejected: Rejected::open(config.rejected)?,
            confirmed: Confirmed::default(),
            keys_at_once: config.keys_at_once.max(1),
            gateway_patience: config.gateway_patience,
        })))
    }

    /// Takes in a delivery: when it returns, each record that it calls settled is on disk, or
    /// refused for good.
    ///
    /// A request over HTTP is turned away when too much is under way; whoever pulls waits.
    pub async fn deliver(&self, source: Option<&SourceName>, delivery: Delivery) -> Delivered {
        let waits = delivery.transport != Transport::Http;
        let room = self.0.admission.bytes(delivery.body.len(), waits).await;
        match room {
            Ok(room) => self.deliver_within(source, delivery, room).await,
            Err(overloaded) => turned_away(overloaded),
        }
    }

    /// Room for the bytes of a delivery that is still to be read; it may grow.
    pub(crate) fn room(&self, bytes: usize) -> Result<Admitted, Overloaded> {
        self.0.admission.try_bytes(bytes)
    }

    /// The same as [`Intake::deliver`] for a delivery that has its room.
    pub(crate) async fn deliver_within(
        &self,
        source: Option<&SourceName>,
        delivery: Delivery,
        room: Admitted,
    ) -> Delivered {
        let Some(settings) = self.settings_of(source, delivery.transport) else {
            return Delivered::to_nobody(source.map_or("without a name", SourceName::as_str));
        };
        let waits = delivery.transport != Transport::Http;
        let decoded = read(&delivery, settings).await;
        let decoded = match decoded.authenticate(&*self.0.sns).await {
            Ok(decoded) => decoded,
            Err(error) => return Delivered::unreadable_now(error.to_string()),
        };
        let told = decoded.items.iter();
        let records = told.filter(|it| matches!(it.told, Told::Notification(_)));
        let under_way = match self.0.admission.records(records.count(), waits).await {
            Ok(under_way) => under_way,
            Err(overloaded) => return turned_away(overloaded),
        };
        self.keep_rejected(source, &delivery, &decoded);
        // Apart from the caller's future, which would be large with it.
        let delivered = Box::pin(self.settle(source, &delivery, decoded)).await;
        figures::delivered(source, &delivered);
        drop((under_way, room));
        delivered
    }

    /// The newest deliveries that were rejected, newest first.
    pub(crate) fn rejected(&self, most: usize) -> Vec<RejectedDelivery> {
        self.0.rejected.list(most)
    }

    /// One of them.
    pub(crate) fn rejected_one(&self, id: &str) -> Option<RejectedDelivery> {
        self.0.rejected.show(id)
    }

    fn settings_of(
        &self,
        source: Option<&SourceName>,
        transport: Transport,
    ) -> Option<Arc<Settings>> {
        let over_http = transport == Transport::Http;
        match source {
            None => (!over_http || self.0.open_over_http).then(|| self.0.open.clone()),
            Some(source) => {
                let expected = self.0.sources.get(source)?;
                (!over_http || !expected.queues_only).then(|| expected.settings.clone())
            }
        }
    }

    fn keep_rejected(&self, source: Option<&SourceName>, delivery: &Delivery, decoded: &Decoded) {
        let items = decoded.items.iter();
        let rejections: Vec<_> = items
            .filter_map(|item| match &item.told {
                Told::Rejected(rejection) => Some(rejection),
                _ => None,
            })
            .collect();
        for rejection in &rejections {
            figures::rejected(source, rejection.reason.as_str());
        }
        if rejections.is_empty() {
            return;
        }
        if let Some(alone) = pulled::to_keep(delivery, decoded, |id| self.has_kept(id)) {
            let rejected = &self.0.rejected;
            for message in alone {
                if let Some(name) = rejected.keep(source, &message.delivery, &message.why) {
                    self.0.pulled.note(message.id, name);
                }
            }
        } else if let Some(first) = rejections.first() {
            let why = Why {
                reason: first.reason.as_str(),
                detail: first.to_string(),
                records: rejections.len(),
            };
            // Whoever sent it was told so; what there is no room for is counted.
            let _ = self.0.rejected.keep(source, delivery, &why);
        }
    }

    /// Whether a message of a queue that was refused is kept for inspection, still now.
    pub(crate) fn has_kept(&self, message: &str) -> bool {
        let name = self.0.pulled.kept_as(message);
        name.is_some_and(|name| self.0.rejected.holds(&name))
    }

    /// Counts and keeps a delivery that is refused before it is read.
    pub(crate) fn refused(
        &self,
        source: Option<&SourceName>,
        delivery: &Delivery,
        reason: &'static str,
        detail: &str,
    ) {
        figures::rejected(source, reason);
        let why = Why {
            reason,
            detail: detail.to_owned(),
            records: 0,
        };
        let _ = self.0.rejected.keep(source, delivery, &why);
    }

    async fn settle(
        &self,
        source: Option<&SourceName>,
        delivery: &Delivery,
        decoded: Decoded,
    ) -> Delivered {
        let refused = refused_as_a_whole(&decoded.items);
        let mut reply = None;
        let mut answers: Vec<Option<RecordAnswer>> = Vec::with_capacity(decoded.items.len());
        let (mut records, mut places) = (Vec::new(), Vec::new());
        for (place, Item { message, told }) in decoded.items.into_iter().enumerate() {
            let message = Some(MessageRef::at(&decoded.messages, message));
            answers.push(match told {
                Told::Notification(notification) => match self.record_of(source, &notification) {
                    Some(record) => {
                        let ignored = record.ignored_because().map(str::to_owned);
                        records.push(record);
                        places.push((place, notification, message, ignored));
                        None
                    }
                    None => Some(RecordAnswer::of_unknown_bucket(notification, message)),
                },
                Told::Ignored { reason, what } => {
                    Some(RecordAnswer::ignored(reason.as_str(), what, message))
                }
                Told::Rejected(rejection) => Some(RecordAnswer::of_rejection(&rejection, message)),
                Told::Handshake(handshake) => {
                    let failed = self.shake(source, &handshake, delivery).await.err();
                    let answer = RecordAnswer::of_handshake(&handshake, failed, message);
                    if let Handshake::Reply(wanted) = handshake {
                        reply = Some(wanted);
                    }
                    Some(answer)
                }
            });
        }
        let applied = self.apply(records).await;
        for ((place, notification, message, why), applied) in places.into_iter().zip(applied) {
            let answer = RecordAnswer::of_record(notification, message, applied);
            answers[place] = Some(answer.ignored_because(why));
        }
        let answers = answers.into_iter().flatten().collect();
        Delivered::of(answers, &decoded.messages, refused, reply.as_ref())
    }

    /// The command for a notification; `None` where its bucket is nobody's.
    fn record_of(&self, source: Option<&SourceName>, told: &Notification) -> Option<Record> {
        match self.0.buckets.find(source, &told.bucket) {
            Mapped::To(bucket, rule) => {
                let ignored = self
                    .0
                    .buckets
                    .ignored_by(&bucket, &told.key, &told.event_name);
                Some(Record::new(source, told, bucket, rule, ignored))
            }
            Mapped::Ignored => None,
        }
    }

    /// Applies all records of a delivery: those of one key in their order, those of different keys
    /// at once. One result for each, in their order.
    async fn apply(&self, records: Vec<Record>) -> Vec<Applied> {
        let rooms = &self.0;
        if let Some(gateway) = &rooms.gateway {
            // Who is told of a write that is not recorded yet would take it for somebody else's.
            let quiet = records.iter().filter_map(Record::written_by_gateway);
            let quiet = async {
                for (bucket, key) in quiet {
                    gateway.quiet(bucket, key).await;
                }
            };
            if tokio::time::timeout(rooms.gateway_patience, quiet)
                .await
                .is_err()
            {
                tracing::warn!(
                    "a write through the gateway takes long; its notification goes first"
                );
            }
        }
        apply::apply(&rooms.ledger, &rooms.repeats, rooms.keys_at_once, records).await
    }
}

/// There is no room.
pub(crate) fn turned_away(overloaded: Overloaded) -> Delivered {
    figures::turned_away();
    Delivered::turned_away(overloaded)
}

/// Reads a delivery, a large one beside the others.
async fn read(delivery: &Delivery, settings: Arc<Settings>) -> Decoded {
    let now = clock::now();
    if delivery.body.len() < LARGE_BODY_BYTES {
        return decode(delivery, &settings, now);
    }
    let (beside, expected) = (delivery.clone(), settings.clone());
    let read = tokio::task::spawn_blocking(move || decode(&beside, &expected, now)).await;
    match read {
        Ok(decoded) => decoded,
        // The runtime ends, or it panicked: here the panic is this request's own.
        Err(_) => decode(delivery, &settings, now),
    }
}

/// The status of a delivery that is refused as a whole: it says nothing but that.
fn refused_as_a_whole(items: &[Item]) -> Option<u16> {
    match items {
        [
            Item {
                told: Told::Rejected(rejection),
                ..
            },
        ] => Some(rejection.reason.status()),
        _ => None,
    }
}
