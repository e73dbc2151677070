//! One bucket in a local folder: finding objects and making writes visible.
//!
//! A write goes: temporary file, stamp, fsync; then, with the key locked, the old version is
//! hard-linked among the kept ones, the new file renamed over it, the folder synced, the ledger
//! told, and the file marked as recorded. Only then does the client hear of it. At every moment
//! either the old or the new object is there; what the ledger was not told is unmarked, and a
//! rescan proposes it.

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use daybook_domain::execution::ObjectAccess;
use daybook_domain::stored_object::{Channel, ObjectCommand, RecordCreated};
use daybook_domain::{BucketName, ObjectKey};
use uuid::Uuid;

use super::conditions::WriteConditions;
use super::durable;
use super::key_path::{digest, hidden_path, plain_path, private, versions_path};
use super::locks::{KeyGuard, KeyLocks};
use super::receive::Received;
use super::sequence::Sequence;
use super::stamp::{self, Checksums, Headers, Stamp};
use crate::clock;
use crate::error::StoreError;
use crate::grants::Scope;
use crate::ledger::ObjectLedger;

/// A bucket in a local folder.
pub(crate) struct Bucket {
    pub(crate) name: BucketName,
    pub(crate) root: PathBuf,
    pub(crate) retain: Duration,
    pub(crate) created_at: SystemTime,
    pub(crate) ledger: Arc<dyn ObjectLedger>,
    pub(crate) sequence: Sequence,
    /// The keys that lie in `.daybook/keys`.
    pub(crate) hidden: Mutex<BTreeSet<String>>,
    /// Whether a removal may be missing from the ledger, so that the kept versions must be read.
    pub(crate) removals_open: AtomicBool,
    locks: Arc<KeyLocks>,
}

/// An object's file, open.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    pub(crate) meta: Metadata,
    /// `None` if the file was changed or put there from outside.
    pub(crate) stamp: Option<Stamp>,
}

/// An object version that can be read.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) file: File,
    pub(crate) stamp: Stamp,
}

/// A write that only has to be made visible.
pub(crate) struct Write {
    pub(crate) key: ObjectKey,
    pub(crate) received: Received,
    pub(crate) etag: String,
    pub(crate) headers: Headers,
    pub(crate) metadata: std::collections::BTreeMap<String, String>,
    pub(crate) checksums: Checksums,
    pub(crate) conditions: WriteConditions,
    pub(crate) event_name: &'static str,
    pub(crate) scope: Option<Arc<Scope>>,
}

impl Bucket {
    pub(crate) fn new(
        name: BucketName,
        root: PathBuf,
        retain: Duration,
        ledger: Arc<dyn ObjectLedger>,
    ) -> io::Result<Self> {
        let created_at = root.metadata()?.created().unwrap_or(SystemTime::UNIX_EPOCH);
        let sequence = Sequence::open(&root)?;
        Ok(Self {
            name,
            root,
            retain,
            created_at,
            ledger,
            sequence,
            hidden: Mutex::default(),
            removals_open: AtomicBool::new(true),
            locks: Arc::default(),
        })
    }

    /// Opens an object for reading: the current version, or a named one.
    pub(crate) async fn open(
        self: &Arc<Self>,
        key: &ObjectKey,
        version: Option<&str>,
    ) -> Result<Opened, StoreError> {
        let found = self.find(key).await?;
        match (found, version) {
            (
                Some(Found {
                    file,
                    stamp: Some(stamp),
                    ..
                }),
                None,
            ) => Ok(Opened { file, stamp }),
            (Some(_), None) => {
                let _guard = self.lock(key).await;
                let found = self.find(key).await?.ok_or(StoreError::NoSuchKey)?;
                let (found, stamp) = self.adopted(key, found).await?;
                Ok(Opened {
                    file: found.file,
                    stamp,
                })
            }
            (None, None) => Err(StoreError::NoSuchKey),
            (
                Some(Found {
                    file,
                    stamp: Some(stamp),
                    ..
                }),
                Some(wanted),
            ) if stamp.version_id == wanted => Ok(Opened { file, stamp }),
            (_, Some(wanted)) => {
                let (this, key, wanted) = (Arc::clone(self), key.clone(), wanted.to_owned());
                blocking(move || Ok(this.open_kept(&key, &wanted)?))
                    .await?
                    .ok_or(StoreError::NoSuchVersion)
            }
        }
    }

    /// Makes a write visible and has it recorded. Runs to its end even if the caller is dropped.
    pub(crate) async fn commit(self: &Arc<Self>, write: Write) -> Result<Stamp, StoreError> {
        let this = Arc::clone(self);
        let task = tokio::spawn(async move { this.commit_here(write).await });
        task.await.map_err(io::Error::other)?
    }

    async fn commit_here(self: Arc<Self>, write: Write) -> Result<Stamp, StoreError> {
        let key = write.key.clone();
        let _guard = self.lock(&key).await;
        let current = match self.find(&key).await? {
            Some(found) => {
                let (found, stamp) = self.adopted(&key, found).await?;
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
        let this = Arc::clone(&self);
        let (file, stamp) = blocking(move || this.install(write, current)).await?;
        self.record(&file, &stamp, Channel::Gateway).await?;
        Ok(stamp)
    }

    /// Has the ledger told of a version, unless it is known to have it.
    pub(crate) async fn settle(
        &self,
        found: &Found,
        stamp: &Stamp,
        channel: &Channel,
    ) -> Result<bool, StoreError> {
        if stamp::is_recorded(&self.root, &found.file, &found.meta, stamp) {
            return Ok(false);
        }
        self.record(&found.file, stamp, channel.clone()).await?;
        Ok(true)
    }

    async fn record(&self, file: &File, stamp: &Stamp, channel: Channel) -> Result<(), StoreError> {
        let key = ObjectKey::parse(stamp.key.clone()).map_err(io::Error::other)?;
        let created = RecordCreated {
            bucket: self.name.clone(),
            key,
            version: stamp.version(),
            channel,
            event_name: stamp.event_name.clone(),
            order: Some(stamp.order()),
            produced_by: stamp.produced_by.clone(),
        };
        self.ledger
            .record(ObjectCommand::RecordCreated(created))
            .await?;
        Ok(stamp::mark_recorded(&self.root, file, stamp)?)
    }

    pub(crate) async fn lock(&self, key: &ObjectKey) -> KeyGuard {
        self.locks.lock(key.as_str()).await
    }

    /// The object's file, wherever it lies.
    pub(crate) async fn find(
        self: &Arc<Self>,
        key: &ObjectKey,
    ) -> Result<Option<Found>, StoreError> {
        let (this, key) = (Arc::clone(self), key.clone());
        blocking(move || Ok(this.find_now(key.as_str())?)).await
    }

    pub(crate) fn find_now(&self, key: &str) -> io::Result<Option<Found>> {
        let digest = digest(key);
        if let Some(relative) = plain_path(key)
            && self.reachable(&relative)
            && let Some(found) = self.open_file(&digest, self.root.join(relative))?
        {
            return Ok(Some(found));
        }
        if !self.hidden().contains(key) {
            return Ok(None);
        }
        self.open_file(&digest, self.root.join(hidden_path(key)))
    }

    /// The file with a stamp: its own, or one made now for a file from outside.
    /// The key has to be locked.
    pub(crate) async fn adopted(
        self: &Arc<Self>,
        key: &ObjectKey,
        mut found: Found,
    ) -> Result<(Found, Stamp), StoreError> {
        if let Some(stamp) = found.stamp.take() {
            return Ok((found, stamp));
        }
        let (this, key) = (Arc::clone(self), key.clone());
        blocking(move || this.adopt(&key, found)).await
    }

    fn adopt(&self, key: &ObjectKey, found: Found) -> Result<(Found, Stamp), StoreError> {
        let md5 = md5_of(&found.file)?;
        let meta = found.file.metadata()?;
        if meta.len() != found.meta.len() || stamp::mtime_ns(&meta) != stamp::mtime_ns(&found.meta)
        {
            return Err(StoreError::Changing);
        }
        let etag = hex::encode(md5);
        let mtime_ns = stamp::mtime_ns(&meta);
        // From the file alone, so that a stamp that was lost comes out the same again.
        let name = format!(
            "daybook:{}/{key}:{mtime_ns}:{}:{etag}",
            self.name,
            meta.len()
        );
        let id = Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes());
        let stamp = Stamp {
            key: key.to_string(),
            version_id: id.simple().to_string(),
            stamp: id,
            etag,
            size: meta.len(),
            mtime_ns,
            sequence: self.sequence.next()?,
            event_name: "ObjectCreated:Put".to_owned(),
            found: true,
            headers: Headers::default(),
            metadata: Default::default(),
            checksums: Checksums::default(),
            produced_by: None,
        };
        stamp::write(&self.root, &found.file, &stamp)?;
        Ok((Found { meta, ..found }, stamp))
    }

    /// Stamps the file, keeps the old version, and renames. The key has to be locked.
    fn install(
        &self,
        write: Write,
        current: Option<(Found, Stamp)>,
    ) -> Result<(File, Stamp), StoreError> {
        let Received {
            file,
            temporary,
            size,
            ..
        } = write.received;
        let key = write.key.as_str();
        // Before anything is touched; what counts is the check at the rename.
        if write.scope.as_ref().is_some_and(|s| s.pass().is_none()) {
            return Err(StoreError::Fenced);
        }
        file.set_modified(clock::now())?;
        let meta = file.metadata()?;
        let stamp = Stamp {
            key: key.to_owned(),
            version_id: clock::ordered_id().simple().to_string(),
            stamp: clock::random_id(),
            etag: write.etag,
            size,
            mtime_ns: stamp::mtime_ns(&meta),
            sequence: self.sequence.next()?,
            event_name: write.event_name.to_owned(),
            found: false,
            headers: write.headers,
            metadata: write.metadata,
            checksums: write.checksums,
            produced_by: write.scope.as_ref().map(|scope| scope.produced_by()),
        };
        stamp::write(&self.root, &file, &stamp)?;
        file.sync_all()?;
        let plain = plain_path(key).map(|relative| self.root.join(relative));
        let plain = plain.filter(|target| self.can_hold(target));
        let kept = match &current {
            Some((found, old)) => Some(self.keep(&found.path, old)?),
            None => None,
        };
        let target = self.rename(&temporary.0, plain, key, &stamp, write.scope.as_deref());
        let target = match target {
            Ok(target) => target,
            Err(error) => {
                stamp::remove_sidecars(&self.root, &digest(key), &meta);
                if let Some(Kept { path, new: true }) = &kept {
                    let _ = fs::remove_file(path);
                }
                return Err(error);
            }
        };
        durable::sync_parent(&target)?;
        if let Some((found, _)) = current
            && found.path != target
        {
            // It lay at the key's other place; the kept version is all that should remain.
            fs::remove_file(&found.path)?;
            durable::sync_parent(&found.path)?;
        }
        if target != self.root.join(hidden_path(key)) {
            self.retire_hidden(key)?;
        }
        if let Some(kept) = kept {
            durable::sync_parent(&kept.path)?;
        }
        Ok((file, stamp))
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
                self.hidden().insert(key.to_owned());
                hidden
            }
        };
        if let Some(pass) = pass {
            pass.note_written(self.access(stamp)?);
        }
        Ok(target)
    }

    /// The version as lineage knows it.
    pub(crate) fn access(&self, stamp: &Stamp) -> io::Result<ObjectAccess> {
        Ok(ObjectAccess {
            bucket: self.name.clone(),
            key: ObjectKey::parse(stamp.key.clone()).map_err(io::Error::other)?,
            version_id: Some(stamp.version_id.clone()),
            etag: Some(stamp.etag.clone()),
            size: Some(stamp.size),
        })
    }

    /// Links a file among the kept versions of its key.
    pub(crate) fn keep(&self, path: &Path, stamp: &Stamp) -> io::Result<Kept> {
        let dir = self.root.join(versions_path(&stamp.key));
        durable::create_dirs(&self.root, &dir)?;
        let kept = dir.join(&stamp.version_id);
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
        if !self.hidden().contains(key) {
            return Ok(());
        }
        let path = self.root.join(hidden_path(key));
        if let Some(found) = self.open_file(&digest(key), path)? {
            if let Some(stamp) = &found.stamp {
                self.keep(&found.path, stamp)?;
            }
            fs::remove_file(&found.path)?;
            durable::sync_parent(&found.path)?;
        }
        self.hidden().remove(key);
        Ok(())
    }

    /// Whether every folder above the path is a real one of this bucket.
    fn reachable(&self, relative: &Path) -> bool {
        relative.ancestors().skip(1).all(|above| {
            above.as_os_str().is_empty()
                || self
                    .root
                    .join(above)
                    .symlink_metadata()
                    .is_ok_and(|meta| meta.is_dir())
        })
    }

    /// Whether a file can be renamed to the path. Creates the folders above it.
    fn can_hold(&self, target: &Path) -> bool {
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

    pub(crate) fn open_file(&self, digest: &str, path: PathBuf) -> io::Result<Option<Found>> {
        use io::ErrorKind::{NotADirectory, NotFound};
        let file = match durable::open_regular(&path) {
            Ok(file) => file,
            Err(e) if matches!(e.kind(), NotFound | NotADirectory) => return Ok(None),
            // ELOOP: a symbolic link, which is not followed. ENAMETOOLONG: no such file can be.
            Err(e) if e.raw_os_error().is_some_and(is_loop_or_name) => return Ok(None),
            Err(e) => return Err(e),
        };
        let meta = file.metadata()?;
        let stamp = stamp::read(&self.root, digest, &file, &meta);
        Ok(Some(Found {
            path,
            file,
            meta,
            stamp,
        }))
    }

    pub(crate) fn hidden(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.hidden.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A folder of the gateway's own within this bucket.
    pub(crate) fn private(&self, name: &str) -> PathBuf {
        self.root.join(private(name))
    }
}

/// A version among the kept ones.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) path: PathBuf,
    /// Whether it was not there before.
    pub(crate) new: bool,
}

/// Runs what waits for the disk where it stops nobody else.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

fn md5_of(file: &File) -> io::Result<[u8; 16]> {
    use md5::Digest;
    use std::os::unix::fs::FileExt;
    let mut md5 = md5::Md5::new();
    let mut buffer = vec![0; 256 << 10];
    let mut at = 0;
    loop {
        match file.read_at(&mut buffer, at)? {
            0 => return Ok(md5.finalize().into()),
            n => {
                md5.update(&buffer[..n]);
                at += n as u64;
            }
        }
    }
}

fn is_loop_or_name(code: i32) -> bool {
    use rustix::io::Errno;
    [Errno::LOOP, Errno::NAMETOOLONG]
        .iter()
        .any(|e| e.raw_os_error() == code)
}
