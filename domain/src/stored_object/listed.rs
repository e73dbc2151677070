//! What a bucket shows of a key, beside what the ledger has of it: how both are compared, and what
//! is recorded where they differ.
//!
//! A listing shows less than who wrote an object knew, and other things than a notification told.
//! So versions are the same by stamp, then by version id; without those by entity tag and size
//! together with the time, or, where one of the two has no time, if it is the newest one.

use jiff::SignedDuration;

use super::{
    Channel, ObjectCreated, ObjectEvent, ObjectRemoved, ObjectState, ObjectVersion, OrderMark,
    REMEMBERED_VERSIONS, RecordCreated, Remembered, StoredObject,
};
use crate::{BucketName, ObjectKey};

/// How far two times of one write may differ: some stores list times in milliseconds and tell whole
/// seconds elsewhere.
const COARSEST_TIME: SignedDuration = SignedDuration::from_secs(1);

/// How far the clocks of one store may be apart: that of its listings, and that of its notifications.
/// Ample for machines that keep time together.
const STORE_CLOCKS_AGREE_WITHIN: SignedDuration = SignedDuration::from_secs(10);

/// A version that a listing shows. Delete markers are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedVersion {
    /// What is shown of it.
    pub version: ObjectVersion,
    /// Whether it is what the key has now.
    pub latest: bool,
    /// Its place in the order of the key's writes, where the bucket tells one.
    pub order: Option<OrderMark>,
}

/// Where the ledger and the bucket differ about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The version at this place of the listing was never recorded.
    Missing(usize),
    /// The object has content that was never recorded, in the place of what was.
    Changed(usize),
    /// The version at this place is the object, and was recorded, but the ledger holds the object
    /// for gone.
    Returned(usize),
    /// The version at this place is the object, and was recorded, but the ledger holds another one
    /// for the object that is not in the bucket.
    Replaced(usize),
    /// The version at this place is the object, and was recorded, but the ledger holds another one
    /// for the object that is in the bucket as well.
    Reordered(usize),
    /// There is no object, and the ledger has one.
    Gone,
}

/// A version was found by a listing. It is recorded unless it was.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordListed {
    /// What was found. Its channel is the listing.
    pub created: RecordCreated,
    /// Whether the key has it now; if not, it changes nothing about which version is the object.
    pub latest: bool,
    /// What the ledger had for the object when they were compared. Where that is another one now,
    /// nothing is recorded: compare again.
    pub newest: Option<ObjectVersion>,
}

/// An object that the ledger has was not found by a listing.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordGone {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// What the ledger had for the object when they were compared. Where that is another one now,
    /// nothing is recorded: compare again.
    pub newest: ObjectVersion,
    /// The S3 event name without `s3:`.
    pub event_name: String,
}

impl ObjectState {
    /// The write that counts as the newest: a version, or a removal.
    pub fn newest(&self) -> Option<&Remembered> {
        self.recent.back()
    }

    /// The version that the ledger holds for the object, if it holds it to be there.
    pub fn object(&self) -> Option<&ObjectVersion> {
        self.object_remembered().map(|known| &known.version)
    }

    fn object_remembered(&self) -> Option<&Remembered> {
        self.newest().filter(|known| !known.removed && self.present)
    }

    /// Whether older versions may have been recorded that are not remembered. Then the stream has
    /// to be read to know them.
    pub fn has_forgotten(&self) -> bool {
        self.recent.len() >= REMEMBERED_VERSIONS
    }

    /// Whether the version is remembered as recorded.
    pub fn has_recorded(&self, listed: &ObjectVersion) -> bool {
        let object = self.object_remembered();
        let mut recorded = self.recent.iter().filter(|known| !known.removed);
        recorded.any(|known| {
            let newest = object.is_some_and(|object| std::ptr::eq(object, known));
            known.is_listed_as(listed, newest)
        })
    }

    /// Compares with all that a listing shows of the key, the newest first. `older` are versions
    /// that were recorded and are not remembered, if there are such and they are known.
    pub fn compare(&self, listed: &[ListedVersion], older: &[ObjectVersion]) -> Vec<Difference> {
        let object = self.object_remembered();
        let is_object = |listed: &ListedVersion| {
            object.is_some_and(|object| object.is_listed_as(&listed.version, true))
        };
        let object_is_listed = listed.iter().any(is_object);
        let mut differences = Vec::new();
        for (place, version) in listed.iter().enumerate() {
            let mut older = older.iter();
            let recorded = self.has_recorded(&version.version)
                || older.any(|known| known.is_listed_as(&version.version, false));
            let replaces = version.latest && object.is_some() && !object_is_listed;
            match (recorded, replaces) {
                (false, false) => differences.push(Difference::Missing(place)),
                (false, true) => differences.push(Difference::Changed(place)),
                (true, true) => differences.push(Difference::Replaced(place)),
                (true, false) if version.latest && object.is_none() => {
                    differences.push(Difference::Returned(place));
                }
                (true, false) if version.latest && !is_object(version) => {
                    differences.push(Difference::Reordered(place));
                }
                (true, false) => {}
            }
        }
        if object.is_some() && !listed.iter().any(|listed| listed.latest) {
            differences.push(Difference::Gone);
        }
        differences
    }

    /// Remembers a version that is older than the newest write.
    pub(super) fn remember_older(&mut self, seen: Remembered) {
        self.make_room();
        let newest = self.recent.len().saturating_sub(1);
        self.recent.insert(newest, seen);
    }
}

impl Remembered {
    /// Whether a listing shows what is remembered here; `newest` is whether that is what the ledger
    /// holds for the object. Where only content tells, one that is much newer by the store's clock
    /// than what the store told of is another write of the same content.
    fn is_listed_as(&self, listed: &ObjectVersion, newest: bool) -> bool {
        if !self.version.is_listed_as(listed, newest) {
            return false;
        }
        let has_id = self.version.version_id.is_some() && listed.version_id.is_some();
        let has_stamp = self.version.stamp.is_some() && listed.stamp.is_some();
        if has_id || has_stamp || self.version.modified_at.is_some() {
            return true;
        }
        let told = self.told.iter().filter_map(|telling| telling.at).max();
        match (told, listed.modified_at) {
            (Some(told), Some(at)) => at.duration_since(told) <= STORE_CLOCKS_AGREE_WITHIN,
            _ => true,
        }
    }
}

impl ObjectVersion {
    /// Whether a listing shows this version, which was recorded; `newest` is whether it is what the
    /// ledger holds for the object.
    pub fn is_listed_as(&self, listed: &ObjectVersion, newest: bool) -> bool {
        if let (Some(a), Some(b)) = (self.stamp, listed.stamp) {
            return a == b;
        }
        if let (Some(a), Some(b)) = (&self.version_id, &listed.version_id) {
            return a == b;
        }
        let same_size = self.size == listed.size || self.size.is_none();
        let same_content = self.etag.is_some() && self.etag == listed.etag && same_size;
        match (self.modified_at, listed.modified_at) {
            (Some(a), Some(b)) => same_content && a.duration_since(b).abs() < COARSEST_TIME,
            _ => same_content && newest,
        }
    }
}

impl StoredObject {
    pub(super) fn decide_listed(&self, listed: RecordListed) -> Vec<ObjectEvent> {
        let RecordListed {
            created,
            latest,
            newest,
        } = listed;
        if self.state.has_recorded(&created.version) || self.state.object() != newest.as_ref() {
            return Vec::new();
        }
        let mut state = self.state.clone();
        state.versions += 1;
        let seen = Remembered {
            version: created.version.clone(),
            removed: false,
            execution: None,
            order: created.order.clone(),
            ..Remembered::default()
        };
        match latest {
            true => {
                state.present = true;
                state.remember(seen);
            }
            false => state.remember_older(seen),
        }
        vec![
            ObjectCreated {
                bucket: created.bucket,
                key: created.key,
                version: created.version,
                channel: Channel::Listing,
                event_name: created.event_name,
                order: created.order,
                produced_by: created.produced_by,
                repeated: false,
                older: !latest,
                told: None,
                state,
            }
            .into(),
        ]
    }

    pub(super) fn decide_gone(&self, gone: RecordGone) -> Vec<ObjectEvent> {
        if self.state.object() != Some(&gone.newest) {
            return Vec::new();
        }
        let mut state = self.state.clone();
        state.present = false;
        state.remember(Remembered {
            version: gone.newest.clone(),
            removed: true,
            execution: None,
            order: None,
            ..Remembered::default()
        });
        vec![
            ObjectRemoved {
                bucket: gone.bucket,
                key: gone.key,
                version: gone.newest,
                channel: Channel::Listing,
                event_name: gone.event_name,
                order: None,
                removed_by: None,
                told: None,
                state,
            }
            .into(),
        ]
    }
}

#[cfg(test)]
mod tests;
