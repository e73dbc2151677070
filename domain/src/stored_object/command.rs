//! What can be said about an object's key.

use super::{Channel, ObjectVersion, OrderMark, ProducedBy, RecordGone, RecordListed, Told};
use crate::{BucketName, ObjectKey};

/// The commands of a stored object.
#[derive(Clone, Debug, PartialEq)]
pub enum ObjectCommand {
    /// A version arrived.
    RecordCreated(RecordCreated),
    /// The object went away.
    RecordRemoved(RecordRemoved),
    /// A version that had been there before is the newest again, because what came after it was
    /// deleted. Nothing starts anew for it.
    RecordReappeared(RecordCreated),
    /// A listing shows a version that was not recorded.
    RecordListed(RecordListed),
    /// A listing does not show what was recorded.
    RecordGone(RecordGone),
    /// A store told of something.
    RecordNotification(RecordNotification),
}

/// A version arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordCreated {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// What arrived.
    pub version: ObjectVersion,
    /// How it was learnt.
    pub channel: Channel,
    /// The S3 event name without `s3:`.
    pub event_name: String,
    /// Its place in the order of the key's writes.
    pub order: Option<OrderMark>,
    /// The attempt that wrote it.
    pub produced_by: Option<ProducedBy>,
}

/// The object went away.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordRemoved {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The version that was removed, as far as it is known.
    pub version: ObjectVersion,
    /// How it was learnt.
    pub channel: Channel,
    /// The S3 event name without `s3:`.
    pub event_name: String,
    /// Its place in the order of the key's writes.
    pub order: Option<OrderMark>,
    /// The attempt that removed it.
    pub removed_by: Option<ProducedBy>,
}

/// A store told of something.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordNotification {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// What it speaks of.
    pub version: ObjectVersion,
    /// The channel: the authority of its order marks, or the store's kind where it has none.
    pub channel: String,
    /// What it means.
    pub happened: Happened,
    /// The event's name as it was sent, without a leading `s3:`.
    pub event_name: String,
    /// Its place in the order of the key's writes; its authority is the channel.
    pub order: Option<OrderMark>,
    /// What else it said.
    pub told: Told,
    /// Who puts the writes of the bucket in order.
    pub rule: OrderRule,
    /// The rule by which it is ignored, if it is by one.
    pub ignored: Option<IgnoredBy>,
    /// How often it has been delivered again, as far as is known.
    pub repeats: u64,
}

/// What a notification means for the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A version arrived.
    Created,
    /// The object, or a version of it, is gone or hidden.
    Removed,
    /// Neither.
    Other,
}

/// The one authority over the order of a bucket's writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderRule {
    /// The gateway, through which the writes go. What a store tells beside it is a write around the
    /// gateway; it removes only what the same channel told of before.
    Gateway,
    /// The notifications: the ledger sees the bucket through them.
    Notification,
}

/// A rule by which notifications are ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnoredBy {
    /// The rule in a word, one of [`super::reasons`].
    pub reason: &'static str,
    /// The rule in a sentence.
    pub why: String,
}
