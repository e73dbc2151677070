//! What can happen to a reconcile. These names and shapes are storage format.

use serde::{Deserialize, Serialize};

use crate::aggregate::events;
use crate::stored_object::{NotificationFilter, ObjectVersion};
use crate::{BucketName, ObjectKey, PipelineName, ReconcileId};

events! {
    /// The events of the stream `reconcile-{id}`.
    pub enum ReconcileEvent {
        /// Somebody asked for it.
        ReconcileStarted,
        /// The keys up to one are done.
        ReconcileProgressed,
        /// Somebody wants it to stand still for now.
        ReconcilePaused,
        /// It goes on.
        ReconcileResumed,
        /// Terminal: all is done.
        ReconcileCompleted,
        /// Terminal: it cannot be done.
        ReconcileFailed,
        /// Terminal: somebody stopped it.
        ReconcileCancelled,
    }
}

/// Somebody asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconcileStarted {
    /// The id.
    pub reconcile: ReconcileId,
    /// The bucket.
    pub bucket: BucketName,
    /// What the keys begin with; empty for the whole bucket.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// Whether it only looks, and records nothing about objects.
    pub dry_run: bool,
    /// Where it learns what is in the bucket.
    pub source: Source,
    /// The log position when it was asked for.
    pub position: u64,
    /// A pipeline that is to run for the objects that it has never run for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<PipelineName>,
    /// The revision of that pipeline's function which is to have processed each object; `None` where
    /// any run will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// Which notifications of the bucket are taken. Keys that no filter takes, and that the ledger
    /// holds no object of, are not missing. None take all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<NotificationFilter>,
    /// How many keys a second it may look at; `None` is as fast as it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// Who asked.
    pub actor: String,
    /// Why, in the asker's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Where a reconcile learns what is in a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Source {
    /// From the bucket's own listing.
    Listing,
    /// From an S3 Inventory report.
    Inventory {
        /// Its `manifest.json`: a path, or `s3://BUCKET/KEY` in a bucket of the config.
        manifest: String,
    },
}

/// The keys up to one are done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconcileProgressed {
    /// The last key that is done.
    pub key: ObjectKey,
    /// What was counted since the beginning.
    pub counts: Counts,
    /// What was found since the last progress.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// All is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconcileCompleted {
    /// What was counted.
    pub counts: Counts,
    /// What was found since the last progress.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Where the log ended then.
    pub position: u64,
}

/// It cannot be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconcileFailed {
    /// What is in the way.
    pub why: String,
}

/// Somebody wants it to stand still for now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconcilePaused {
    /// Who.
    pub actor: String,
}

/// It goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconcileResumed {
    /// Who.
    pub actor: String,
}

/// Somebody stopped it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconcileCancelled {
    /// Who.
    pub actor: String,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Keys that the bucket or the ledger has an object of.
    pub keys: u64,
    /// Versions that the bucket shows.
    pub versions: u64,
    /// Versions of those that were recorded before.
    pub accounted: u64,
    /// Versions, or objects, that are in the bucket and not in the ledger.
    pub missing: u64,
    /// Objects that are in the ledger and not in the bucket.
    pub gone: u64,
    /// Objects that have other content than was recorded.
    pub changed: u64,
    /// How many of the missing, gone and changed ones were recorded by this reconcile.
    pub recorded: u64,
    /// Versions that are in the bucket and not in the ledger, because the bucket's filters take no
    /// notifications of their keys.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub filtered: u64,
    /// Keys that could not be compared, since somebody was writing them all the time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unsettled: u64,
    /// Objects that the pipeline wants and has never run for, or not with the revision.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unprocessed: u64,
    /// How many of those it was started for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub started: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A difference between the bucket and the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Of which kind.
    pub kind: FindingKind,
    /// The key.
    pub key: ObjectKey,
    /// What is in the bucket, or, if it is gone, what the ledger has.
    pub version: ObjectVersion,
    /// Whether this reconcile has recorded it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recorded: bool,
}

/// Of which kind a difference is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// In the bucket, not in the ledger.
    Missing,
    /// In the ledger, not in the bucket.
    Gone,
    /// Other content than recorded.
    Changed,
    /// Somebody was writing it all the time: it could not be compared, and has no version here.
    Unsettled,
}

impl FindingKind {
    /// The kind as a word.
    pub fn as_str(self) -> &'static str {
        match self {
            FindingKind::Missing => "missing",
            FindingKind::Gone => "gone",
            FindingKind::Changed => "changed",
            FindingKind::Unsettled => "unsettled",
        }
    }
}
