//! Telling the ledger what a store has taken, and the scope what was read and written.

use std::sync::Arc;

use daybook_domain::ObjectKey;
use daybook_domain::execution::{ByteRange, ObjectAccess};
use daybook_domain::stored_object::{
    Channel, ObjectCommand, ObjectVersion, RecordCreated, RecordRemoved,
};
use s3s::S3Result;
use uuid::Uuid;

use super::convert::recorded_time;
use super::description::Seen;
use super::order::Turn;
use super::{Upstream, convert};
use crate::error::StoreError;
use crate::grants::{Principal, Scope};
use crate::local::stamp::order_mark;

/// A write that the store has taken.
#[derive(Debug)]
pub(super) struct Landed {
    pub(super) key: ObjectKey,
    /// What the object was stamped with, if the gateway began the write.
    pub(super) stamp: Option<Uuid>,
    pub(super) etag: Option<String>,
    pub(super) version_id: Option<String>,
    pub(super) size: Option<u64>,
    pub(super) event_name: &'static str,
}

impl Upstream {
    /// Has a write recorded. Until that is done the client hears of nothing.
    ///
    /// It is recorded also where the invocation has come to its end since the store had the last
    /// byte, as that attempt's write.
    pub(super) async fn record(
        &self,
        landed: Landed,
        scope: Option<&Arc<Scope>>,
        turn: &Turn,
    ) -> S3Result<()> {
        let version = self.identified(&landed).await;
        let access = self.access(&landed.key, &version);
        let created = RecordCreated {
            bucket: self.name.clone(),
            key: landed.key,
            version,
            channel: Channel::Gateway,
            event_name: landed.event_name.to_owned(),
            order: Some(order_mark(self.order.next(turn))),
            produced_by: scope.map(|scope| scope.produced_by()),
        };
        if let Some(pass) = scope.and_then(|scope| scope.pass()) {
            pass.note_written(access);
        }
        let recorded = self
            .ledger
            .record(ObjectCommand::RecordCreated(created))
            .await;
        Ok(recorded.map_err(StoreError::from)?)
    }

    /// Has it recorded that an object is gone.
    pub(super) async fn record_removal(
        &self,
        key: ObjectKey,
        seen: Option<&Seen>,
        event_name: &str,
        scope: Option<&Arc<Scope>>,
        turn: &Turn,
    ) -> S3Result<()> {
        let removed = RecordRemoved {
            bucket: self.name.clone(),
            key,
            version: seen.map(version).unwrap_or_default(),
            channel: Channel::Gateway,
            event_name: event_name.to_owned(),
            order: Some(order_mark(self.order.next(turn))),
            removed_by: scope.map(|scope| scope.produced_by()),
        };
        let recorded = self
            .ledger
            .record(ObjectCommand::RecordRemoved(removed))
            .await;
        Ok(recorded.map_err(StoreError::from)?)
    }

    /// Notes a read, of these bytes or of all. Who is not there any more gets no answer either.
    pub(super) fn note_read(
        &self,
        who: &Principal,
        key: &ObjectKey,
        version: &ObjectVersion,
        ranges: Option<Vec<ByteRange>>,
    ) -> S3Result<()> {
        super::open(who.scope.as_ref())?;
        who.note_read(ObjectAccess {
            ranges,
            ..self.access(key, version)
        });
        Ok(())
    }

    /// What the store knows of an object at this moment.
    pub(super) async fn look(
        &self,
        key: &ObjectKey,
        version: Option<&str>,
    ) -> S3Result<Option<Seen>> {
        let request = self.client().await.head_object();
        let asked = request
            .bucket(self.there())
            .key(key.as_str())
            .set_version_id(version.map(str::to_owned))
            .send();
        match Box::pin(asked).await {
            Ok(said) => Ok(Some(Seen::of(said))),
            Err(error) => {
                let status = error.raw_response().map(|answer| answer.status().as_u16());
                // 405: the newest version is a delete marker, or the named one is.
                if matches!(status, Some(404 | 405)) {
                    return Ok(None);
                }
                Err(self.failed(error, s3s::S3ErrorCode::NoSuchKey))
            }
        }
    }

    /// The version that a write made. Where the store keeps no versions it has to be asked for the
    /// time, which is part of the identity there; it may answer with somebody else's write.
    async fn identified(&self, landed: &Landed) -> ObjectVersion {
        let mut known = ObjectVersion {
            version_id: landed.version_id.clone(),
            etag: landed.etag.clone(),
            size: landed.size,
            modified_at: None,
            stamp: landed.stamp,
        };
        if known.version_id.is_some() && known.size.is_some() && known.stamp.is_some() {
            return known;
        }
        match self.look(&landed.key, landed.version_id.as_deref()).await {
            Ok(Some(seen)) if seen.etag == known.etag => {
                let same_write = known.stamp.is_none() || seen.stamp == known.stamp;
                if same_write {
                    known.modified_at = seen.modified.and_then(recorded_time);
                    known.stamp = known.stamp.or(seen.stamp);
                }
                known.size = known.size.or(seen.size);
            }
            Ok(_) => tracing::debug!(bucket = %self.name, "an object was replaced right away"),
            Err(error) => {
                tracing::debug!(bucket = %self.name, %error, "a write is recorded without its time");
            }
        }
        known
    }

    fn access(&self, key: &ObjectKey, version: &ObjectVersion) -> ObjectAccess {
        ObjectAccess {
            bucket: self.name.clone(),
            key: key.clone(),
            version_id: version.version_id.clone(),
            etag: version.etag.clone(),
            size: version.size,
            ranges: None,
            staged: false,
        }
    }
}

/// The version that was seen, as the ledger knows it.
pub(super) fn version(seen: &Seen) -> ObjectVersion {
    ObjectVersion {
        version_id: seen.version_id.clone(),
        etag: seen.etag.clone(),
        size: seen.size,
        modified_at: seen.modified.and_then(convert::recorded_time),
        stamp: seen.stamp,
    }
}
