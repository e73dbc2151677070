//! What can be said about an object's key.

use super::{Channel, ObjectVersion, OrderMark, ProducedBy, RecordGone, RecordListed};
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
    /// A delivery is ignored by rule.
    RecordIgnored {
        /// The bucket.
        bucket: BucketName,
        /// The key.
        key: ObjectKey,
        /// What the delivery spoke of.
        version: ObjectVersion,
        /// How it came.
        channel: Channel,
        /// The rule in words.
        why: String,
    },
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
