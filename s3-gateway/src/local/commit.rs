//! Making a write visible.
//!
//! A write goes, with the key locked: temporary file (that of a large body is there already), stamp,
//! fsync; the old version is hard-linked among the kept ones, the new file renamed over it, the
//! folder synced, the row of the index written, the ledger told, and the file marked as recorded and
//! noted in the index as it is then. Only then does the client hear of it. At every moment either
//! the old or the new object is there; what the ledger was not told is unmarked, and a
//! rescan proposes it. Whoever finds a key unlocked finds no writer in the middle of this: either
//! it came to its end or its process did.
//!
//! A small object under a key that has none goes another way to the disk: instead of its own two
//! syncs it is put into the bucket's journal, by one sync for all who write at this moment, before
//! it is renamed. What that rests on is said in [`super::journal`].

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use daybook_domain::ObjectKey;
use daybook_domain::stored_object::{Channel, ObjectCommand};

use super::conditions::WriteConditions;
use super::durable;
use super::index::rows::{Row, ctime_ns};
use super::journal::Ticket;
use super::key_path::{digest, hidden_path, plain_path, versions_path};
use super::locks::KeyGuard;
use super::parts::{self, Parts};
use super::receive::{Filed, Received};
use super::settings::Versioning;
use super::stamp::{self, Checksums, Headers, Stamp};
use super::store::{Bucket, Found, blocking_with};
use super::vanished::LookedUp;
use super::versions::Kind;
use crate::clock;
use crate::error::StoreError;
use crate::grants::Scope;
use crate::trace;

/// A write that only has to be made visible.
pub(crate) struct Write {
    pub(crate) key: ObjectKey,
    pub(crate) received: Received,
    pub(crate) etag: String,
    pub(crate) headers: Headers,
    pub(crate) metadata: std::collections::BTreeMap<String, String>,
    pub(crate) tags: std::collections::BTreeMap<String, String>,
    pub(crate) checksums: Checksums,
    pub(crate) conditions: WriteConditions,
    pub(crate) event_name: &'static str,
    /// The multipart upload that it completes, which ends with it.
    pub(crate) upload: Option<String>,
    /// The parts that it was put together from.
    pub(crate) parts: Option<Parts>,
    pub(crate) scope: Option<Arc<Scope>>,
    /// The stamp of a staged version that is published: what is said above of what the object is
    /// does not count then.
    pub(crate) staged: Option<Stamp>,
}

/// A write whose object has its name, and of which nobody was told yet.
struct Installed {
    file: File,
    stamp: Stamp,
    /// Whether it lies at the place for keys that cannot be paths.
    hidden: bool,
    /// Whether its key had nothing, and nobody can have told of it before.
    first: bool,
}

/// How far a write got at once.
enum Begun {
    Installed(Box<Installed>),
    /// Its key has something, or should have.
    Taken(Box<Write>, LookedUp),
}

/// A version among the kept ones.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) path: PathBuf,
    /// Whether it was not there before.
    pub(crate) new: bool,
}

impl Kept {
    /// Takes back what was done in vain.
    pub(super) fn undo(&self) {
        if self.new {
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Makes sure that it outlives a power failure, unless a sweep found it past `retain` and
    /// removed it already.
    pub(crate) fn sync(&self) -> io::Result<()> {
        match durable::sync_parent(&self.path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            synced => synced,
        }
    }
}

impl Bucket {
    /// Makes a write visible and has it recorded; or keeps it aside, if that is how its invocation
    /// writes. Runs to its end even if the caller is dropped.
    pub(crate) async fn commit(self: &Arc<Self>, write: Write) -> Result<Stamp, StoreError> {
        let this = Arc::clone(self);
        let aside = write.scope.clone();
        let aside = aside.and_then(|scope| scope.stages().map(|attempt| (scope, attempt)));
        let task = tokio::spawn(trace::carried(async move {
            match aside {
                Some((scope, attempt)) => this.stage(write, scope, attempt).await,
                None => {
                    let mut write = write;
                    if let Some(scope) = &write.scope {
                        let conditions = std::mem::take(&mut write.conditions);
                        write.conditions = this.left_of(conditions, &write.key, scope).await?;
                    }
                    let guard = this.lock(&write.key).await?;
                    this.commit_locked(write, &guard).await
                }
            }
        }));
        task.await.map_err(io::Error::other)?
    }

    /// The same with the key locked, for whoever writes.
    pub(super) async fn commit_locked(
        self: &Arc<Self>,
        write: Write,
        guard: &Arc<KeyGuard>,
    ) -> Result<Stamp, StoreError> {
        let key = write.key.clone();
        if let Some(id) = &write.upload {
            // Another request may have completed it, or aborted it.
            self.upload(&key, id).await?;
        }
        let upload = write.upload.clone();
        let this = Arc::clone(self);
        let installed = match blocking_with(guard, move || this.begin(write)).await? {
            Begun::Installed(installed) => installed,
            Begun::Taken(write, looked) => Box::pin(self.replace(*write, looked, guard)).await?,
        };
        let created = self.created(&installed.stamp, Channel::Gateway)?;
        let created = ObjectCommand::RecordCreated(created);
        let told = match installed.first {
            true => self.ledger.record_first(created).await,
            false => self.ledger.record(created).await,
        };
        told?;
        let this = Arc::clone(self);
        let stamp = blocking_with(guard, move || this.note_recorded(*installed)).await?;
        if let Some(id) = upload
            && let Err(error) = self.remove_upload(&id).await
        {
            // The object is there; what is left of the upload goes when it is stale.
            tracing::warn!(bucket = %self.name, %error, "a completed upload could not be removed");
        }
        Ok(stamp)
    }

    /// Installs the write if its key, which has to be locked, has nothing.
    fn begin(&self, write: Write) -> Result<Begun, StoreError> {
        match self.look_up(write.key.as_str())? {
            LookedUp::Nothing => {
                write.conditions.check(None)?;
                Ok(Begun::Installed(Box::new(self.install(write, None)?)))
            }
            looked => Ok(Begun::Taken(Box::new(write), looked)),
        }
    }

    /// Installs the write, once it is seen to what its key has.
    async fn replace(
        self: &Arc<Self>,
        write: Write,
        looked: LookedUp,
        guard: &Arc<KeyGuard>,
    ) -> Result<Box<Installed>, StoreError> {
        let current = match self.found_or_missed(&write.key, looked, guard).await? {
            Some(found) => {
                let (found, stamp) = self.adopted(&write.key, found, guard).await?;
                write.conditions.check(Some(&stamp))?;
                // Before it is overwritten the ledger must know of it, or it never would.
                self.settle(&found, &stamp, &Channel::Listing).await?;
                Some((found, stamp))
            }
            None => {
                write.conditions.check(None)?;
                None
            }
        };
        let this = Arc::clone(self);
        blocking_with(guard, move || this.install(write, current).map(Box::new)).await
    }

    /// Marks a write that the ledger has, and notes in the index how its file is then, so that nobody
    /// needs to look at it again.
    fn note_recorded(&self, installed: Installed) -> Result<Stamp, StoreError> {
        let Installed {
            file,
            stamp,
            hidden,
            ..
        } = installed;
        stamp::mark_recorded(&self.root, &file, &stamp)?;
        let mut row = Row::of(&stamp, hidden);
        row.ctime_ns = ctime_ns(&file.metadata()?);
        self.note_written(row, None, None);
        Ok(stamp)
    }

    /// Stamps the file, keeps the old version, and renames. The key has to be locked.
    fn install(
        &self,
        write: Write,
        current: Option<(Found, Stamp)>,
    ) -> Result<Installed, StoreError> {
        let key = write.key.as_str();
        // Before anything is touched; what counts is the check at the rename.
        if write.scope.as_ref().is_some_and(|s| s.pass().is_none()) {
            return Err(StoreError::Fenced);
        }
        let size = write.received.size;
        let Filed {
            file,
            temporary,
            content,
        } = write.received.filed(&self.temporaries)?;
        let versioning = self.versioning()?;
        let after = current.as_ref().map_or(0, |(_, old)| old.sequence);
        let first = current.is_none() && write.staged.is_none();
        // A null version that is replaced goes before the ledger hears of the new one, which the
        // journal alone would not bring back.
        let may_be_journaled = first
            && versioning != Versioning::Suspended
            && write.parts.is_none()
            && write.upload.is_none();
        if write.staged.is_none() {
            file.set_modified(clock::now())?;
        }
        let meta = file.metadata()?;
        let sequence = self.sequence.next(after)?;
        let null_version = versioning != Versioning::Enabled;
        let stamp = match write.staged {
            Some(stamp) => Stamp {
                sequence,
                null_version,
                ..stamp
            },
            None => Stamp {
                key: key.to_owned(),
                version_id: clock::ordered_id().simple().to_string(),
                stamp: clock::random_id(),
                etag: write.etag,
                size,
                mtime_ns: stamp::mtime_ns(&meta),
                sequence,
                event_name: write.event_name.to_owned(),
                place: self.place(&meta),
                found: false,
                null_version,
                marker: false,
                headers: write.headers,
                metadata: write.metadata,
                tags: write.tags,
                checksums: write.checksums,
                upload: write.upload,
                produced_by: write.scope.as_ref().map(|scope| scope.produced_by()),
            },
        };
        let stamped = stamp::write(&self.root, &self.temporaries, &file, &stamp)?;
        if let Some(parts) = &write.parts {
            parts::write(&self.root, &self.temporaries, &file, &stamp, parts)?;
        }
        let plain = plain_path(key).map(|relative| self.root.join(relative));
        let plain = plain.filter(|target| self.can_hold(target));
        let ticket = match may_be_journaled && stamped {
            true => self.journaled(&file, content, &stamp)?,
            false => None,
        };
        if ticket.is_none() {
            file.sync_all()?;
        }
        let kept = match &current {
            Some((found, old)) => {
                let kind = Self::kind_of_replaced(versioning, old);
                Some(self.keep(&found.path, old, kind)?)
            }
            None => None,
        };
        let target = self.rename(&temporary.0, plain, key, &stamp, write.scope.as_deref());
        let target = match target {
            Ok(target) => target,
            Err(error) => {
                stamp::remove_sidecars(&self.root, &digest(key), &meta);
                if let Some(kept) = &kept {
                    kept.undo();
                }
                return Err(error);
            }
        };
        match ticket {
            // It has its name, so the next checkpoint takes it along, and finds most of it written.
            Some(ticket) => {
                drop(ticket);
                daybook_disk::begin_to_write(&file, 0, 0);
            }
            None => self.dir_syncs.sync_parent(&target)?,
        }
        if let Some((found, _)) = &current
            && found.path != target
        {
            // It lay at the key's other place; the kept version is all that should remain.
            fs::remove_file(&found.path)?;
            durable::sync_parent(&found.path)?;
        }
        let hidden = target == self.root.join(hidden_path(key));
        if !hidden {
            self.retire_hidden(key)?;
        }
        if let Some(kept) = &kept {
            kept.sync()?;
        }
        let retired = match versioning {
            Versioning::Suspended => self.retire_null(key, stamp.sequence)?,
            _ => None,
        };
        let listed =
            current.filter(|(_, old)| Self::kind_of_replaced(versioning, old) == Kind::Listed);
        let listed = listed.map(|(_, old)| Row::of(&old, false));
        self.note_written(Row::of(&stamp, hidden), listed, retired);
        Ok(Installed {
            file,
            stamp,
            hidden,
            first,
        })
    }

    /// Puts a stamped file into the journal, if it goes in there.
    fn journaled(
        &self,
        file: &File,
        content: Option<Vec<u8>>,
        stamp: &Stamp,
    ) -> io::Result<Option<Ticket>> {
        if !self.journal.takes(stamp.size) {
            return Ok(None);
        }
        let content = match content {
            Some(content) => content,
            None => {
                let mut content = vec![0; usize::try_from(stamp.size).map_err(io::Error::other)?];
                file.read_exact_at(&mut content, 0)?;
                content
            }
        };
        Ok(self.journal.append(stamp, &content))
    }

    /// The moment in which a write becomes visible. Where the plain path turns out to be taken,
    /// the object goes to the hidden one.
    fn rename(
        &self,
        from: &Path,
        plain: Option<PathBuf>,
        key: &str,
        stamp: &Stamp,
        scope: Option<&Scope>,
    ) -> Result<PathBuf, StoreError> {
        let pass = match scope {
            Some(scope) => Some(scope.pass().ok_or(StoreError::Fenced)?),
            None => None,
        };
        let renamed = plain.and_then(|plain| fs::rename(from, &plain).is_ok().then_some(plain));
        let target = match renamed {
            Some(target) => target,
            None => {
                let hidden = self.root.join(hidden_path(key));
                fs::rename(from, &hidden)?;
                hidden
            }
        };
        if let Some(pass) = pass {
            pass.note_written(self.access(stamp)?);
        }
        Ok(target)
    }

    /// Links a file among the kept versions of its key, which has to be locked: until the version
    /// is in it the folder is empty, and a sweep would remove it.
    pub(super) fn keep(&self, path: &Path, stamp: &Stamp, kind: Kind) -> io::Result<Kept> {
        let dir = self.root.join(versions_path(&stamp.key));
        durable::create_dirs(&self.root, &dir)?;
        // So that what is kept needs no journal.
        self.harden(path, stamp)?;
        let kept = self.version_path(&stamp.key, &stamp.version_id, kind);
        match fs::hard_link(path, &kept) {
            Ok(()) => Ok(Kept {
                path: kept,
                new: true,
            }),
            // The same version, from a moment before a crash.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(Kept {
                path: kept,
                new: false,
            }),
            Err(e) => Err(e),
        }
    }

    /// Removes what a key has at its hidden place, where a plain file has taken over, so that it
    /// does not come back when that one goes.
    pub(crate) fn retire_hidden(&self, key: &str) -> io::Result<()> {
        let path = self.root.join(hidden_path(key));
        if let Some(found) = self.open_file(&digest(key), path)? {
            if let Some(stamp) = &found.stamp {
                self.keep(&found.path, stamp, Kind::Retained)?;
            }
            fs::remove_file(&found.path)?;
            durable::sync_parent(&found.path)?;
        }
        Ok(())
    }

    /// Whether a file can be renamed to the path. Creates the folders above it.
    pub(super) fn can_hold(&self, target: &Path) -> bool {
        let Some(parent) = target.parent() else {
            return false;
        };
        let relative = target.strip_prefix(&self.root).unwrap_or(target);
        let above = relative
            .ancestors()
            .skip(1)
            .filter(|a| !a.as_os_str().is_empty());
        let passable =
            above
                .map(|a| self.root.join(a))
                .all(|above| match above.symlink_metadata() {
                    Ok(meta) => meta.is_dir(),
                    Err(e) => e.kind() == io::ErrorKind::NotFound,
                });
        passable
            && durable::create_dirs(&self.root, parent).is_ok()
            && match target.symlink_metadata() {
                // An empty folder is no object; it only stands in the way.
                Ok(meta) if meta.is_dir() => fs::remove_dir(target).is_ok(),
                Ok(meta) => meta.is_file(),
                Err(e) => e.kind() == io::ErrorKind::NotFound,
            }
    }
}
