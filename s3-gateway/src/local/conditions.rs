//! Conditions on requests (RFC 9110, section 13; S3 user guide, "Conditional requests").

use s3s::dto::{ETag, ETagCondition, Timestamp};

use super::stamp::Stamp;
use crate::error::StoreError;

/// What must hold of the current object for a write to happen. Checked with the key locked.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteConditions {
    pub(crate) if_match: Option<ETagCondition>,
    pub(crate) if_none_match: Option<ETagCondition>,
}

impl WriteConditions {
    pub(crate) fn is_empty(&self) -> bool {
        self.if_match.is_none() && self.if_none_match.is_none()
    }

    pub(crate) fn check(&self, current: Option<&Stamp>) -> Result<(), StoreError> {
        if let Some(condition) = &self.if_match {
            let current = current.ok_or(StoreError::NoSuchKey)?;
            if !holds(condition, current) {
                return Err(StoreError::PreconditionFailed);
            }
        }
        match (&self.if_none_match, current) {
            (Some(condition), Some(current)) if holds(condition, current) => {
                Err(StoreError::PreconditionFailed)
            }
            _ => Ok(()),
        }
    }
}

/// What must hold of an object for a read to be answered with it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadConditions {
    pub(crate) if_match: Option<ETagCondition>,
    pub(crate) if_none_match: Option<ETagCondition>,
    pub(crate) if_modified_since: Option<Timestamp>,
    pub(crate) if_unmodified_since: Option<Timestamp>,
}

impl ReadConditions {
    /// Checks in the order of RFC 9110, section 13.2.2. `failed` is what a false
    /// `If-None-Match` leads to: 304 for a read, 412 for a copy.
    pub(crate) fn check(
        &self,
        stamp: &Stamp,
        failed: fn() -> StoreError,
    ) -> Result<(), StoreError> {
        let modified = modified_at(stamp);
        match (&self.if_match, &self.if_unmodified_since) {
            (Some(condition), _) if !holds(condition, stamp) => {
                return Err(StoreError::PreconditionFailed);
            }
            (None, Some(since)) if modified > *since => return Err(StoreError::PreconditionFailed),
            _ => {}
        }
        match (&self.if_none_match, &self.if_modified_since) {
            (Some(condition), _) if holds(condition, stamp) => Err(failed()),
            (None, Some(since)) if modified <= *since => Err(failed()),
            _ => Ok(()),
        }
    }
}

/// The modification time as HTTP tells it: in whole seconds.
pub(crate) fn modified_at(stamp: &Stamp) -> Timestamp {
    let seconds = u64::try_from(stamp.mtime_ns / 1_000_000_000).unwrap_or(0);
    Timestamp::from(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds))
}

fn holds(condition: &ETagCondition, stamp: &Stamp) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(ETag::Strong(value) | ETag::Weak(value)) => *value == stamp.etag,
    }
}
