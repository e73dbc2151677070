//! What attempts write aside, until it is decided whether anybody is to see it.
//!
//! ```text
//!  write of the attempt ─> stage ─> .daybook/staged/EXECUTION.TASK.ATTEMPT/<sha256 of the key>
//!                                     │ seal, once the attempt is over: it survives anything
//!              it did not succeed ────┼──── it succeeded, and that is on record
//!                   discard           v
//!                                   publish: as an ordinary write each, under the key's lock
//! ```
//! A staged file has everything that an object has, its version id and stamp included, but no place
//! in the order of writes yet: it gets that when it is published. A removal is a staged file without
//! bytes whose event says so. One file a key: what is staged later takes its place.
//!
//! Publishing may be broken off at any moment and begun again, by anybody, also by two at once. An
//! object is linked into its place, not moved, and the staged name goes when the ledger has it; so
//! whoever comes later sees by the file itself how far it got.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use daybook_domain::ObjectKey;
use daybook_domain::stored_object::Channel;
use futures::{StreamExt, stream};
use s3s::S3ErrorCode;

use super::commit::Write;
use super::conditions::WriteConditions;
use super::durable;
use super::key_path::{digest, private};
use super::locks::KeyGuard;
use super::parts;
use super::receive::{Filed, Received, Sink, Temporary};
use super::removing::{DELETED, Removed};
use super::scan::ScanReport;
use super::stamp::{self, Stamp};
use super::store::{Bucket, Found, Opened, blocking, blocking_with};
use crate::clock;
use crate::error::StoreError;
use crate::grants::Scope;
use crate::ledger::{AttemptId, Fate};

/// The folder below the bucket's own.
const FOLDER: &str = "staged";

/// Objects of one attempt that are published at the same time.
const PUBLISHED_AT_ONCE: usize = 8;

/// What an invocation sees at a key at which it staged something.
pub(crate) enum View {
    Written(Box<Opened>),
    Removed,
}

impl Bucket {
    /// Keeps a write aside for an attempt. Everything else is as with a write that becomes visible:
    /// when this returns, it is durable.
    pub(super) async fn stage(
        self: Arc<Self>,
        write: Write,
        scope: Arc<Scope>,
        attempt: AttemptId,
    ) -> Result<Stamp, StoreError> {
        let key = write.key.clone();
        if !scope.may_stage(&self.name, &key) {
            return Err(StoreError::refused(
                S3ErrorCode::Custom("TooManyStagedObjects".into()),
                "one attempt may not write more objects, since they are published on success",
            ));
        }
        let guard = self.lock(&key).await?;
        if let Some(id) = &write.upload {
            // Another request may have completed it, or aborted it.
            self.upload(&key, id).await?;
        }
        let seen = self.seen(&key, &scope, attempt, &guard).await?;
        write.conditions.check(seen.as_ref())?;
        let upload = write.upload.clone();
        let this = Arc::clone(&self);
        let stamp = blocking_with(&guard, move || this.put_aside(write, &scope, attempt)).await?;
        if let Some(id) = upload
            && let Err(error) = self.remove_upload(&id).await
        {
            tracing::warn!(bucket = %self.name, %error, "a completed upload could not be removed");
        }
        Ok(stamp)
    }

    /// Keeps a removal aside for an attempt. Removing what it does not see changes nothing.
    pub(super) async fn stage_removal(
        self: Arc<Self>,
        key: ObjectKey,
        version: Option<String>,
        conditions: WriteConditions,
        scope: Arc<Scope>,
        attempt: AttemptId,
    ) -> Result<Removed, StoreError> {
        if version.is_some() {
            return Err(StoreError::refused(
                S3ErrorCode::NotImplemented,
                "where outputs are published on success, no single versions are removed",
            ));
        }
        let guard = self.lock(&key).await?;
        let Some(seen) = self.seen(&key, &scope, attempt, &guard).await? else {
            conditions.check(None)?;
            return Ok(Removed::default());
        };
        conditions.check(Some(&seen))?;
        let covers = self.find(&key).await?.is_some();
        let this = Arc::clone(&self);
        blocking_with(&guard, move || {
            if !covers {
                return this.take_back(&key, &scope, attempt);
            }
            let received = Sink::new(&this.temporaries, Default::default()).finish()?;
            let removal = Write {
                key,
                received,
                etag: String::new(),
                headers: Default::default(),
                metadata: Default::default(),
                tags: Default::default(),
                checksums: Default::default(),
                conditions: WriteConditions::default(),
                event_name: DELETED,
                upload: None,
                parts: None,
                scope: None,
                staged: None,
            };
            this.put_aside(removal, &scope, attempt).map(|_| ())
        })
        .await?;
        Ok(Removed::default())
    }

    /// What the invocation has at a key of what it staged; `None` where it staged nothing.
    pub(crate) async fn view(
        self: &Arc<Self>,
        key: &ObjectKey,
        scope: &Scope,
    ) -> Result<Option<View>, StoreError> {
        let Some(attempt) = scope.stages() else {
            return Ok(None);
        };
        match scope.staged(&self.name, key.as_str()) {
            None => Ok(None),
            Some(false) => Ok(Some(View::Removed)),
            Some(true) => {
                let (this, key) = (Arc::clone(self), key.clone());
                let opened = blocking(move || Ok(this.open_staged(key.as_str(), attempt)?));
                // It is gone where its attempt is over meanwhile.
                let opened = opened.await?.ok_or(StoreError::Fenced)?;
                Ok(Some(View::Written(Box::new(opened))))
            }
        }
    }

    /// A staged version.
    pub(crate) fn open_staged(&self, key: &str, attempt: AttemptId) -> io::Result<Option<Opened>> {
        let digest = digest(key);
        let found = self.open_file(&digest, self.staged_at(attempt).join(&digest))?;
        Ok(found.and_then(|Found { file, stamp, .. }| stamp.map(|stamp| Opened { file, stamp })))
    }

    /// What the invocation sees at a key, whether it staged that or not. The key has to be locked.
    async fn seen(
        self: &Arc<Self>,
        key: &ObjectKey,
        scope: &Scope,
        attempt: AttemptId,
        guard: &Arc<KeyGuard>,
    ) -> Result<Option<Stamp>, StoreError> {
        match scope.staged(&self.name, key.as_str()) {
            Some(false) => Ok(None),
            Some(true) => {
                let (this, key) = (Arc::clone(self), key.clone());
                let opened = blocking(move || Ok(this.open_staged(key.as_str(), attempt)?));
                Ok(opened.await?.map(|opened| opened.stamp))
            }
            None => match self.find(key).await? {
                Some(found) => Ok(Some(self.adopted(key, found, guard).await?.1)),
                None => Ok(None),
            },
        }
    }

    /// Stamps a file and moves it to where the attempt keeps what it staged. The key has to be
    /// locked.
    fn put_aside(
        &self,
        write: Write,
        scope: &Scope,
        attempt: AttemptId,
    ) -> Result<Stamp, StoreError> {
        // Before anything is touched; what counts is the check at the rename.
        if scope.pass().is_none() {
            return Err(StoreError::Fenced);
        }
        let size = write.received.size;
        let Filed {
            file, temporary, ..
        } = write.received.filed(&self.temporaries)?;
        file.set_modified(clock::now())?;
        let meta = file.metadata()?;
        let stamp = Stamp {
            key: write.key.to_string(),
            version_id: clock::ordered_id().simple().to_string(),
            stamp: clock::random_id(),
            etag: write.etag,
            size,
            mtime_ns: stamp::mtime_ns(&meta),
            sequence: stamp::NOT_YET,
            event_name: write.event_name.to_owned(),
            place: self.place(&meta),
            found: false,
            null_version: false,
            marker: false,
            headers: write.headers,
            metadata: write.metadata,
            tags: write.tags,
            checksums: write.checksums,
            upload: write.upload,
            produced_by: Some(scope.produced_by()),
        };
        stamp::write(&self.root, &self.temporaries, &file, &stamp)?;
        if let Some(parts) = &write.parts {
            parts::write(&self.root, &self.temporaries, &file, &stamp, parts)?;
        }
        file.sync_all()?;
        let folder = self.staged_at(attempt);
        durable::create_dirs(&self.root, &folder)?;
        let target = folder.join(digest(&stamp.key));
        let replaced = target.metadata().ok();
        {
            let pass = scope.pass();
            let pass = pass.ok_or(StoreError::Fenced).inspect_err(|_| {
                stamp::remove_sidecars(&self.root, &digest(&stamp.key), &meta);
            })?;
            fs::rename(&temporary.0, &target)?;
            let access = match is_removal(&stamp) {
                true => None,
                false => Some(self.access(&stamp)?),
            };
            pass.note_staged(&self.name, &stamp.key, access);
        }
        durable::sync_dir(&folder)?;
        if let Some(replaced) = replaced {
            stamp::remove_sidecars(&self.root, &digest(&stamp.key), &replaced);
        }
        Ok(stamp)
    }

    /// Removes what an attempt staged at a key where there is nothing else to remove.
    fn take_back(
        &self,
        key: &ObjectKey,
        scope: &Scope,
        attempt: AttemptId,
    ) -> Result<(), StoreError> {
        let folder = self.staged_at(attempt);
        {
            let pass = scope.pass().ok_or(StoreError::Fenced)?;
            fs::remove_file(folder.join(digest(key.as_str())))?;
            pass.note_unstaged(&self.name, key.as_str());
        }
        Ok(durable::sync_dir(&folder)?)
    }

    /// Makes durable what an attempt staged, whose scope is closed. Returns whether there is a
    /// folder of it here.
    pub(crate) fn seal_staged(&self, attempt: AttemptId) -> io::Result<bool> {
        let folder = self.staged_at(attempt);
        if !folder.is_dir() {
            return Ok(false);
        }
        durable::sync_dir(&folder)?;
        durable::sync_parent(&folder)?;
        Ok(true)
    }

    /// Makes visible, and has recorded, what an attempt staged here. Returns whether there is a
    /// folder of it, which stays until [`Bucket::discard_staged`].
    pub(crate) async fn publish_staged(
        self: &Arc<Self>,
        attempt: AttemptId,
    ) -> Result<bool, StoreError> {
        let folder = self.staged_at(attempt);
        let there = folder.clone();
        let entries = blocking(move || match there.is_dir() {
            true => Ok(Some(durable::entries(&there)?)),
            false => Ok(None),
        });
        let Some(entries) = entries.await? else {
            return Ok(false);
        };
        // All of them, also where one fails: what is done needs not be done again.
        let published: Vec<Result<(), StoreError>> = stream::iter(entries)
            .map(|entry| {
                let this = Arc::clone(self);
                // To its end once it began, also where nobody waits for it any more.
                let task = tokio::spawn(Box::pin(this.publish_entry(entry.path())));
                async move { task.await.map_err(io::Error::other)? }
            })
            .buffer_unordered(PUBLISHED_AT_ONCE)
            .collect()
            .await;
        published.into_iter().collect::<Result<(), _>>()?;
        self.settle_removals(&mut ScanReport::default()).await?;
        blocking(move || match durable::sync_dir(&folder) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e.into()),
            _ => Ok(()),
        })
        .await?;
        Ok(true)
    }

    async fn publish_entry(self: Arc<Self>, path: PathBuf) -> Result<(), StoreError> {
        let Some(Stamp { key, .. }) = self.staged_file(&path).await?.map(|(_, stamp)| stamp) else {
            return Ok(());
        };
        let key = ObjectKey::parse(key).map_err(io::Error::other)?;
        let guard = self.lock(&key).await?;
        // Another process may have done it before the lock was to be had.
        let Some((found, stamp)) = self.staged_file(&path).await? else {
            return Ok(());
        };
        if is_removal(&stamp) {
            self.publish_removal(&key, found, stamp, &guard).await?;
        } else if !self.is_published(&found, &stamp)? {
            Box::pin(self.publish_object(key, found, stamp, &guard)).await?;
        }
        blocking_with(&guard, move || match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e.into()),
            _ => Ok(()),
        })
        .await
    }

    async fn staged_file(
        self: &Arc<Self>,
        path: &Path,
    ) -> Result<Option<(Found, Stamp)>, StoreError> {
        let (this, path) = (Arc::clone(self), path.to_owned());
        blocking(move || {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let found = this.open_file(&name, path.clone())?;
            Ok(match found {
                None => None,
                Some(mut found) => {
                    let nameless = || io::Error::other("a staged file names no object");
                    let stamp = found.stamp.take().ok_or_else(nameless)?;
                    Some((found, stamp))
                }
            })
        })
        .await
    }

    /// Whether it was published before, be it still there or not.
    fn is_published(&self, found: &Found, stamp: &Stamp) -> io::Result<bool> {
        Ok(
            stamp::is_recorded(&self.root, &found.file, &found.meta, stamp)
                || self.find_kept(&stamp.key, &stamp.version_id)?.is_some(),
        )
    }

    async fn publish_object(
        self: &Arc<Self>,
        key: ObjectKey,
        staged: Found,
        stamp: Stamp,
        guard: &Arc<KeyGuard>,
    ) -> Result<(), StoreError> {
        if let Some(current) = self.find(&key).await?
            && stamp::same_file(&current.meta, &staged.meta)
        {
            // One who did it came to an end before the ledger heard of it.
            let path = current.path.clone();
            blocking(move || Ok(durable::sync_parent(&path)?)).await?;
            let (current, stamp) = self.adopted(&key, current, guard).await?;
            self.settle(&current, &stamp, &Channel::Gateway).await?;
            return Ok(());
        }
        let this = Arc::clone(self);
        let write = blocking(move || {
            let linked = this.temporaries.link(&staged.path)?;
            Ok(Write {
                key,
                received: Received::in_file(staged.file, Temporary(linked), stamp.size),
                etag: String::new(),
                headers: Default::default(),
                metadata: Default::default(),
                tags: Default::default(),
                checksums: Default::default(),
                conditions: WriteConditions::default(),
                event_name: "",
                upload: None,
                parts: None,
                scope: None,
                staged: Some(stamp),
            })
        })
        .await?;
        self.commit_locked(write, guard).await?;
        Ok(())
    }

    /// Removes the object, unless somebody has written it since this removal got its place in the
    /// order.
    async fn publish_removal(
        self: &Arc<Self>,
        key: &ObjectKey,
        staged: Found,
        mut stamp: Stamp,
        guard: &Arc<KeyGuard>,
    ) -> Result<(), StoreError> {
        let current = match self.find(key).await? {
            Some(found) => Some(self.adopted(key, found, guard).await?),
            None => None,
        };
        if stamp.is_staged() {
            let after = current.as_ref().map_or(0, |(_, current)| current.sequence);
            let (this, file) = (Arc::clone(self), staged.file);
            stamp = blocking_with(guard, move || {
                stamp.sequence = this.sequence.next(after)?;
                this.write_stamp(&file, &stamp)?;
                Ok(stamp)
            })
            .await?;
        } else {
            // It may have been done, and not recorded.
            self.removals_open.store(true, Ordering::Release);
        }
        if current.is_some_and(|(_, current)| current.sequence < stamp.sequence) {
            let by = stamp.produced_by.map(|by| Arc::new(Scope::of(by)));
            self.remove_object(key, &WriteConditions::default(), by, guard)
                .await?;
        }
        Ok(())
    }

    fn write_stamp(&self, file: &File, stamp: &Stamp) -> io::Result<()> {
        stamp::write(&self.root, &self.temporaries, file, stamp)?;
        file.sync_all()
    }

    /// Removes what an attempt staged, published or not.
    pub(crate) fn discard_staged(&self, attempt: AttemptId) -> io::Result<()> {
        let folder = self.staged_at(attempt);
        for entry in durable::entries(&folder)? {
            let meta = entry.metadata()?;
            // With another name it is an object, or a kept version.
            if std::os::unix::fs::MetadataExt::nlink(&meta) == 1 {
                let digest = entry.file_name().to_string_lossy().into_owned();
                stamp::remove_sidecars(&self.root, &digest, &meta);
            }
        }
        match self.temporaries.remove_dir(&folder) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Removes what was staged by attempts that came to nothing. What is open, or still to be
    /// published, stays.
    pub(crate) async fn discard_decided(self: &Arc<Self>) -> Result<(), StoreError> {
        let this = Arc::clone(self);
        let entries = blocking(move || Ok(durable::entries(&this.private(FOLDER))?)).await?;
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(attempt) = name.parse::<AttemptId>() else {
                continue;
            };
            if self.ledger.fate(attempt).await? == Fate::Discard {
                let this = Arc::clone(self);
                blocking(move || Ok(this.discard_staged(attempt)?)).await?;
                tracing::debug!(bucket = %self.name, %attempt, "discarded what was staged");
            }
        }
        Ok(())
    }

    fn staged_at(&self, attempt: AttemptId) -> PathBuf {
        self.root.join(private(FOLDER)).join(attempt.to_string())
    }
}

/// Whether what is staged is the removal of an object.
fn is_removal(stamp: &Stamp) -> bool {
    stamp.event_name == DELETED
}
