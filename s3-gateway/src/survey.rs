//! What is in a bucket, for whoever compares it with the ledger: all keys in the order of their
//! bytes, each with its versions, newest first.
//!
//! ```text
//!  local:    the bucket's index, page by page     ─┐
//!                                                  ├─> Survey ─> pages of whole keys
//!  upstream: ListObjectVersions or ListObjectsV2  ─┘
//! ```
//! Nothing of it is noted as read. What lies below `shadow/` is not part of the bucket for others,
//! and what is staged is in no listing.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;

use daybook_domain::stored_object::{ListedVersion, ObjectVersion, OrderMark, ProducedBy};
use daybook_domain::{BucketName, ObjectKey, SHADOWS};
use thiserror::Error;

use crate::buckets::Backend;
use crate::error::StoreError;
use crate::gateway::Gateway;
use crate::local::store::Bucket;
use crate::upstream::{Upstream, UpstreamPlace};

/// How many versions of a local bucket are read at once.
const LOCAL_PAGE: usize = 2_000;

/// Why a bucket, or a key of it, cannot be looked at.
#[derive(Debug, Error)]
pub enum SurveyError {
    /// This gateway has no such bucket. Check the name and the config.
    #[error("there is no bucket {0}")]
    NoSuchBucket(BucketName),
    /// The bucket cannot be read now. Try again later; if it stays so, the operator has to look.
    #[error("bucket {bucket} cannot be read")]
    Unavailable {
        /// The bucket.
        bucket: BucketName,
        /// What is in the way.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A key with its versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurveyedKey {
    /// The key.
    pub key: ObjectKey,
    /// Its versions, the newest first. None of them is `latest` where the key has no object now.
    pub versions: Vec<ListedVersion>,
}

/// What a bucket tells of one version beside what a listing shows.
#[derive(Clone, Debug, PartialEq)]
pub struct DescribedVersion {
    /// The version, with its stamp if it has one.
    pub version: ObjectVersion,
    /// Its place in the order of the key's writes, where the bucket tells one.
    pub order: Option<OrderMark>,
    /// The S3 event name of its write, where the bucket kept it.
    pub event_name: Option<String>,
    /// The attempt that wrote it, where the bucket kept that.
    pub produced_by: Option<ProducedBy>,
}

/// A walk over a bucket.
pub struct Survey {
    place: Place,
    prefix: String,
    /// The key that may go on on the next page.
    open: Option<SurveyedKey>,
    last: Option<String>,
}

enum Place {
    Local {
        bucket: Arc<Bucket>,
        /// The last version that was read.
        at: Option<(String, u64)>,
        done: bool,
    },
    Upstream {
        bucket: Arc<Upstream>,
        at: UpstreamPlace,
    },
}

/// A version or a delete marker on a page; keys in order, of each the newest first.
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) latest: bool,
    /// `None` for a delete marker.
    pub(crate) version: Option<(ObjectVersion, Option<OrderMark>)>,
}

impl Gateway {
    /// Whether there is such a bucket.
    pub fn has_bucket(&self, bucket: &BucketName) -> bool {
        self.buckets.get(bucket).is_some()
    }

    /// Whether a bucket is a folder, in which whoever writes has the key locked until the ledger has
    /// the write.
    pub fn is_local(&self, bucket: &BucketName) -> bool {
        matches!(self.buckets.get(bucket), Some(Backend::Local(_)))
    }

    /// Walks over the keys of a bucket that begin so and come after a key.
    pub fn survey(
        &self,
        bucket: &BucketName,
        prefix: &str,
        after: Option<&ObjectKey>,
    ) -> Result<Survey, SurveyError> {
        let after = after.map(|key| key.as_str().to_owned());
        let place = match self.backend(bucket)? {
            Backend::Local(bucket) => Place::Local {
                bucket,
                // No version comes behind this one of the key.
                at: after.clone().map(|key| (key, 0)),
                done: false,
            },
            Backend::Upstream(bucket) => Place::Upstream {
                bucket,
                at: UpstreamPlace::after(after.clone()),
            },
        };
        Ok(Survey {
            place,
            prefix: prefix.to_owned(),
            open: None,
            last: after,
        })
    }

    /// The versions that a key has at this moment. `None` while somebody writes to its file by hand,
    /// which is recorded when that is over.
    pub async fn look_at(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
    ) -> Result<Option<Vec<ListedVersion>>, SurveyError> {
        match self.backend(bucket)? {
            Backend::Local(local) => {
                let entries = local.entries_of(key).await;
                let entries = entries.map_err(|error| unavailable(bucket, error))?;
                Ok(entries.map(|entries| versions_of(key.as_str(), entries)))
            }
            Backend::Upstream(upstream) => {
                let entries = upstream.entries_of(key).await;
                let entries = entries.map_err(|error| unavailable(bucket, error))?;
                Ok(Some(versions_of(key.as_str(), entries)))
            }
        }
    }

    /// What the bucket tells of a version that was listed; `None` if it is gone since.
    pub async fn describe(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        listed: &ListedVersion,
    ) -> Result<Option<DescribedVersion>, SurveyError> {
        match self.backend(bucket)? {
            Backend::Local(local) => {
                let described = local.describe(key, listed).await;
                described.map_err(|error| unavailable(bucket, error))
            }
            Backend::Upstream(upstream) => {
                let described = upstream.describe(key, listed).await;
                described.map_err(|error| unavailable(bucket, error))
            }
        }
    }

    /// The bytes of an object as it is now, in a file of their own; `None` if there is no object.
    pub async fn fetch(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
    ) -> Result<Option<File>, SurveyError> {
        match self.backend(bucket)? {
            Backend::Local(local) => match local.open(key, None).await {
                Ok(opened) => Ok(Some(opened.file)),
                Err(StoreError::NoSuchKey | StoreError::Deleted(_)) => Ok(None),
                Err(error) => Err(unavailable(bucket, error)),
            },
            Backend::Upstream(upstream) => {
                let fetched = upstream.fetch(key).await;
                fetched.map_err(|error| unavailable(bucket, error))
            }
        }
    }

    /// The name of a bucket of another store there; `None` for a folder.
    pub fn name_at_store(&self, bucket: &BucketName) -> Option<String> {
        match self.buckets.get(bucket)? {
            Backend::Local(_) => None,
            Backend::Upstream(upstream) => Some(upstream.name_there().to_owned()),
        }
    }

    /// Has everything recorded that was put into a bucket's folder, or taken out of it, by hand.
    /// There is nothing to do for buckets of other stores.
    pub async fn settle_by_hand(&self, bucket: &BucketName) -> Result<(), SurveyError> {
        if let Backend::Local(local) = self.backend(bucket)? {
            let settled = self.rescan_bucket(&local).await;
            settled.map_err(|error| unavailable(bucket, error))?;
        }
        Ok(())
    }

    fn backend(&self, bucket: &BucketName) -> Result<Backend, SurveyError> {
        let backend = self.buckets.get(bucket);
        backend.ok_or_else(|| SurveyError::NoSuchBucket(bucket.clone()))
    }
}

impl Survey {
    /// The next keys; `None` when there are no more. A page may be empty.
    pub async fn next_page(&mut self) -> Result<Option<Vec<SurveyedKey>>, SurveyError> {
        let Some(entries) = self.entries().await? else {
            return Ok(self.open.take().map(|key| vec![key]));
        };
        let mut keys = Vec::new();
        for entry in entries {
            // No key is below the prefix of the shadows for others.
            if entry.key.starts_with(SHADOWS) {
                continue;
            }
            self.add(entry, &mut keys)?;
        }
        Ok(Some(keys))
    }

    fn add(&mut self, entry: Entry, done: &mut Vec<SurveyedKey>) -> Result<(), SurveyError> {
        let goes_on = self
            .open
            .as_ref()
            .is_some_and(|open| open.key.as_str() == entry.key);
        if !goes_on {
            if self.last.as_ref().is_some_and(|last| *last >= entry.key) {
                return Err(self.out_of_order(&entry.key));
            }
            self.last = Some(entry.key.clone());
            done.extend(self.open.take());
            let Ok(key) = ObjectKey::parse(entry.key) else {
                return Ok(());
            };
            self.open = Some(SurveyedKey {
                key,
                versions: Vec::new(),
            });
        }
        if let (Some(open), Some((version, order))) = (&mut self.open, entry.version) {
            open.versions.push(ListedVersion {
                version,
                latest: entry.latest,
                order,
            });
        }
        Ok(())
    }

    async fn entries(&mut self) -> Result<Option<Vec<Entry>>, SurveyError> {
        match &mut self.place {
            Place::Local { done: true, .. } => Ok(None),
            Place::Local { bucket, at, done } => {
                let page = bucket.entries(&self.prefix, at.take(), LOCAL_PAGE).await;
                let (entries, next) = page.map_err(|error| unavailable(&bucket.name, error))?;
                *done = next.is_none();
                *at = next;
                Ok(Some(entries))
            }
            Place::Upstream { bucket, at } => {
                let page = bucket.entries(&self.prefix, at).await;
                page.map_err(|error| unavailable(&bucket.name, error))
            }
        }
    }

    fn out_of_order(&self, key: &str) -> SurveyError {
        let bucket = match &self.place {
            Place::Local { bucket, .. } => &bucket.name,
            Place::Upstream { bucket, .. } => &bucket.name,
        };
        let last = self.last.as_deref().unwrap_or_default();
        unavailable(
            bucket,
            format!("it lists {key:?} after {last:?}, which is not the order of their bytes"),
        )
    }
}

/// The versions among the entries of one key.
fn versions_of(key: &str, entries: impl IntoIterator<Item = Entry>) -> Vec<ListedVersion> {
    let entries = entries.into_iter().filter(|entry| entry.key == key);
    let versions = entries.filter_map(|entry| {
        let (version, order) = entry.version?;
        Some(ListedVersion {
            version,
            latest: entry.latest,
            order,
        })
    });
    versions.collect()
}

/// Puts the versions and the delete markers of a page into one order: of a key, what is the latest
/// comes first.
pub(crate) fn in_order(versions: Vec<Entry>, markers: Vec<Entry>) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(versions.len() + markers.len());
    let (mut versions, mut markers) = (VecDeque::from(versions), VecDeque::from(markers));
    loop {
        let marker_first = match (versions.front(), markers.front()) {
            (None, None) => return entries,
            (Some(_), None) => false,
            (None, Some(_)) => true,
            (Some(version), Some(marker)) => {
                (&marker.key, !marker.latest) < (&version.key, !version.latest)
            }
        };
        let next = match marker_first {
            true => markers.pop_front(),
            false => versions.pop_front(),
        };
        entries.extend(next);
    }
}

fn unavailable(
    bucket: &BucketName,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> SurveyError {
    SurveyError::Unavailable {
        bucket: bucket.clone(),
        source: source.into(),
    }
}
