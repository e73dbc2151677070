//! One record of a delivery in the form that all dialects come to.

use std::fmt;

use daybook_domain::stored_object::OrderMark;
use daybook_domain::{BucketName, ObjectKey};
use jiff::Timestamp;

/// What a store says about one object.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// The store's kind.
    pub source: Source,
    /// The account that the bucket's name belongs to, where names are not global (Azure, R2).
    pub account: Option<String>,
    /// The bucket, as the store calls it; a container at Azure.
    pub bucket: BucketName,
    /// The key, decoded.
    pub key: ObjectKey,
    /// The version's id. The text `null` is one.
    pub version_id: Option<String>,
    /// The entity tag, without quotes.
    pub etag: Option<String>,
    /// The size in bytes.
    pub size: Option<u64>,
    /// What the store gives to put writes of one key in order, as it was sent.
    pub sequencer: Option<String>,
    /// When it happened, by the store's clock.
    pub event_time: Option<Timestamp>,
    /// The event's name as it was sent, without a leading `s3:`.
    pub event_name: String,
    /// The region.
    pub region: Option<String>,
    /// What it means.
    pub change: Change,
    /// The source and the channel within which events are told apart and put in order: `aws:s3`,
    /// `aws:s3/eventbridge`, `azure:blob/ACCOUNT`. What one channel says is never compared with what
    /// another does.
    pub channel: String,
    /// The sequencer in the form in which marks of one authority, the channel, compare
    /// ([`OrderMark::compare`]).
    pub order: Option<OrderMark>,
    /// Tells this event from every other of its channel; the same whenever it is delivered again.
    pub identity: String,
}

/// What a notification means for the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// A version arrived.
    Created,
    /// The object, or a version of it, went away, or is hidden by a delete marker.
    Removed,
    /// Neither: its metadata changed, a copy came back from an archive, and the like.
    Other,
}

/// The kind of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Amazon S3.
    AwsS3,
    /// MinIO.
    Minio,
    /// The RADOS Gateway of Ceph.
    Ceph,
    /// Cloudflare R2.
    CloudflareR2,
    /// Backblaze B2.
    BackblazeB2,
    /// Google Cloud Storage.
    GoogleGcs,
    /// Azure Blob Storage.
    AzureBlob,
}

impl Source {
    /// The name in answers and in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AwsS3 => "aws:s3",
            Self::Minio => "minio:s3",
            Self::Ceph => "ceph:s3",
            Self::CloudflareR2 => "cloudflare:r2",
            Self::BackblazeB2 => "backblaze:b2",
            Self::GoogleGcs => "google:gcs",
            Self::AzureBlob => "azure:blob",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
