//! What can happen to an object's key. These names and shapes are storage format.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ObjectState;
use super::memory::is_zero;
use crate::aggregate::events;
use crate::{BucketName, Chain, ExecutionId, FunctionName, ObjectKey, ShadowId};

events! {
    /// The events of the stream `object-{bucket}/{key}`.
    pub enum ObjectEvent {
        /// A version of the object arrived.
        ObjectCreated,
        /// The object is gone.
        ObjectRemoved,
        /// A delivery led to nothing, and why.
        NotificationDisregarded,
    }
}

/// A version of the object arrived.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObjectCreated {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// What arrived.
    pub version: ObjectVersion,
    /// How it was learnt.
    pub channel: Channel,
    /// The S3 event name without `s3:`, for example `ObjectCreated:Put`.
    pub event_name: String,
    /// Its place in the order of the key's writes, where the channel gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderMark>,
    /// The attempt that wrote it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub produced_by: Option<ProducedBy>,
    /// Whether it is what was there before: an attempt of the same execution had written the same
    /// content, a file was found again as it was, but without its stamp, or an older version is the
    /// newest again, since what came after it was deleted. Then nothing downstream starts anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
    /// Whether it changes nothing about which version is the object: it was recorded late, behind a
    /// newer write.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub older: bool,
    /// What the notification said, if one told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Told>,
    /// The state of the key after this event.
    pub state: ObjectState,
}

/// The object is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObjectRemoved {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The version that was removed, as far as it is known.
    pub version: ObjectVersion,
    /// How it was learnt.
    pub channel: Channel,
    /// The S3 event name without `s3:`, for example `ObjectRemoved:Delete`.
    pub event_name: String,
    /// Its place in the order of the key's writes, where the channel gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderMark>,
    /// The attempt that removed it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_by: Option<ProducedBy>,
    /// What the notification said, if one told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Told>,
    /// The state of the key after this event.
    pub state: ObjectState,
}

/// A delivery led to nothing, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NotificationDisregarded {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The verdict.
    pub verdict: Verdict,
    /// The reason in words, for the person who asks.
    pub why: String,
    /// What the delivery spoke of.
    pub version: ObjectVersion,
    /// How it came.
    pub channel: Channel,
    /// The reason in a word, see [`super::reasons`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the notification said, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Told>,
    /// How often the same event had been delivered again by then; 0 for the first verdict on it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub repeats: u64,
    /// The state of the key after this event.
    pub state: ObjectState,
}

/// What a notification said beside the object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The kind of the store, for example `aws:s3`.
    pub source: String,
    /// The event's name as it was sent, without a leading `s3:`.
    pub event_name: String,
    /// The account that the bucket's name belongs to, where names are not global.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The bucket's name at the store, where the ledger has another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// What puts the writes of a key in order, as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequencer: Option<String>,
    /// When it happened, by the store's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time: Option<Timestamp>,
    /// The region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Tells the event from every other of its channel: a digest of what the dialect says is its
    /// identity, the same whenever it is delivered.
    pub identity: Uuid,
}

/// One version of an object, as far as the channel tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ObjectVersion {
    /// The store's version id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// The entity tag, without quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// When the store last changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_at: Option<Timestamp>,
    /// The gateway's stamp: the same on every channel that can see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<Uuid>,
}

/// How the ledger learnt of something.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// The S3 gateway wrote it.
    Gateway,
    /// The folder was seen to change from outside the gateway.
    Watcher,
    /// A listing found it (at start, or a reconcile).
    Listing,
    /// A store's notification told, named by its source, for example `aws:s3`.
    Notification(String),
}

/// A place in the order of one key's writes. Marks of different authorities cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderMark {
    /// Who gives the order, for example `gateway` or `aws:s3`.
    pub authority: String,
    /// S3's sequencer: hexadecimal, compared after padding the shorter one with zeros on the right
    /// (S3 user guide, "Event message structure").
    pub sequencer: String,
}

/// The attempt that wrote or removed an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProducedBy {
    /// The execution.
    pub execution: ExecutionId,
    /// The function.
    pub function: FunctionName,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The shadow under which it wrote. Then nothing starts for the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowId>,
    /// What led to it, this execution's pipeline included.
    #[serde(default, skip_serializing_if = "Chain::is_empty")]
    pub chain: Chain,
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// This version was recorded before.
    Duplicate,
    /// A newer write to the key was recorded before.
    Stale,
    /// Nobody wants to know, by rule.
    Ignored,
}
