//! Delete markers: what a `DELETE` without a version puts on top of a key's versions.
//!
//! A marker is an empty file with a stamp among the kept versions, made durable before the object
//! is taken away. Of one that is newer than the object that is there, [`Bucket::mend_versions`]
//! knows that it did not come to that.

use std::fs::{self, File};
use std::sync::Arc;

use daybook_domain::ObjectKey;

use super::durable;
use super::index::rows::{self, Row};
use super::key_path::versions_path;
use super::removing::{Gone, Removed, fenced};
use super::settings::Versioning;
use super::stamp::{self, Checksums, Headers, Removal, Stamp};
use super::store::{Bucket, Found};
use super::versions::Kind;
use crate::clock;
use crate::error::StoreError;
use crate::grants::Scope;

const MARKED: &str = "ObjectRemoved:DeleteMarkerCreated";

impl Bucket {
    /// Puts a delete marker in the place of an object.
    pub(super) fn mark_deleted(
        &self,
        found: Found,
        stamp: &Stamp,
        versioning: Versioning,
        scope: Option<Arc<Scope>>,
    ) -> Result<(Gone, Removed), StoreError> {
        let (file, marker) =
            self.put_marker(&stamp.key, stamp.sequence, versioning, scope.as_deref())?;
        let path = self.version_path(&stamp.key, &marker.version_id, Kind::Listed);
        let kind = Self::kind_of_replaced(versioning, stamp);
        let kept = self.keep(&found.path, stamp, kind);
        let taken = kept.map_err(StoreError::from).and_then(|kept| {
            kept.sync()?;
            let taken = fenced(scope.as_deref(), || fs::remove_file(&found.path));
            taken.inspect_err(|_| kept.undo())
        });
        if let Err(error) = taken {
            let _ = fs::remove_file(path);
            return Err(error);
        }
        durable::sync_parent(&found.path)?;
        self.retire_hidden(&stamp.key)?;
        let mut retired = None;
        if versioning == Versioning::Suspended {
            retired = self.retire_null(&stamp.key, marker.sequence)?;
        }
        self.noted(self.index.write(|index| {
            rows::remove(index, &stamp.key)?;
            if let Some(retired) = &retired {
                rows::remove_version(index, retired)?;
            }
            if kind == Kind::Listed {
                rows::put_version(index, &Row::of(stamp, false))?;
            }
            rows::put_version(index, &Row::of(&marker, false))
        }));
        Ok(self.marked(file, marker, scope.as_deref()))
    }

    fn marked(&self, file: File, marker: Stamp, scope: Option<&Scope>) -> (Gone, Removed) {
        let removed = Removed {
            version_id: Some(self.shown_id(&marker.version_id, marker.null_version)),
            marker: true,
        };
        let removal = Removal {
            sequence: marker.sequence,
            event_name: MARKED.to_owned(),
            removed_by: scope.map(Scope::produced_by),
        };
        let gone = Gone {
            file,
            stamp: marker,
            removal,
        };
        (gone, removed)
    }

    /// Deletes what is not there: with versioning that makes a marker too. To the ledger nothing
    /// has changed.
    pub(super) fn mark_absent(
        &self,
        key: &ObjectKey,
        scope: Option<Arc<Scope>>,
    ) -> Result<Removed, StoreError> {
        let versioning = self.versioning()?;
        if versioning == Versioning::Never {
            return Ok(Removed::default());
        }
        let marker = self.mark(key.as_str(), 0, versioning, scope.as_deref())?;
        Ok(Removed {
            version_id: Some(self.shown_id(&marker.version_id, marker.null_version)),
            marker: true,
        })
    }

    /// Puts a marker where there is no object, of which the ledger need not hear. The key has to
    /// be locked.
    pub(super) fn mark(
        &self,
        key: &str,
        after: u64,
        versioning: Versioning,
        scope: Option<&Scope>,
    ) -> Result<Stamp, StoreError> {
        let newest = self.newest_kept(key)?.map_or(0, |row| row.sequence);
        let (file, marker) = self.put_marker(key, after.max(newest), versioning, scope)?;
        let mut retired = None;
        if versioning == Versioning::Suspended {
            retired = self.retire_null(key, marker.sequence)?;
        }
        stamp::mark_recorded(&self.root, &file, &marker)?;
        self.noted(self.index.write(|index| {
            if let Some(retired) = &retired {
                rows::remove_version(index, retired)?;
            }
            rows::put_version(index, &Row::of(&marker, false))
        }));
        Ok(marker)
    }

    /// Makes the file of a delete marker among the versions.
    fn put_marker(
        &self,
        key: &str,
        after: u64,
        versioning: Versioning,
        scope: Option<&Scope>,
    ) -> Result<(File, Stamp), StoreError> {
        if scope.is_some_and(|scope| scope.pass().is_none()) {
            return Err(StoreError::Fenced);
        }
        let dir = self.root.join(versions_path(key));
        durable::create_dirs(&self.root, &dir)?;
        let (file, temporary) = self.temporaries.create()?;
        file.set_modified(clock::now())?;
        let meta = file.metadata()?;
        let marker = Stamp {
            key: key.to_owned(),
            version_id: clock::ordered_id().simple().to_string(),
            stamp: clock::random_id(),
            etag: String::new(),
            size: 0,
            mtime_ns: stamp::mtime_ns(&meta),
            sequence: self.sequence.next(after)?,
            event_name: MARKED.to_owned(),
            place: self.place(&meta),
            found: false,
            null_version: versioning != Versioning::Enabled,
            marker: true,
            headers: Headers::default(),
            metadata: Default::default(),
            tags: Default::default(),
            checksums: Checksums::default(),
            upload: None,
            produced_by: scope.map(Scope::produced_by),
        };
        stamp::write(&self.root, &self.temporaries, &file, &marker)?;
        file.sync_all()?;
        let path = self.version_path(key, &marker.version_id, Kind::Listed);
        fs::rename(temporary, &path)?;
        durable::sync_dir(&dir)?;
        Ok((file, marker))
    }
}
