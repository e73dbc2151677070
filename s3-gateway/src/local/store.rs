//! One bucket in a local folder: finding objects, adopting files from outside, telling the ledger.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use daybook_domain::execution::ObjectAccess;
use daybook_domain::stored_object::{Channel, ObjectCommand, RecordCreated};
use daybook_domain::{BucketName, ObjectKey};
use uuid::Uuid;

use super::dir_syncs::DirSyncs;
use super::durable;
use super::file_lock::{self, FolderLock, Held, Slot};
use super::hidden::HiddenKeys;
use super::index::Index;
use super::index::rows::Row;
use super::journal::{Journal, JournalLimits};
use super::key_path::{PRIVATE, digest, hidden_path, plain_path, private};
use super::locks::{KeyGuard, KeyLocks};
use super::sequence::Sequence;
use super::settings::{NULL, SettingsCache, Versioning};
use super::stamp::{self, Birth, Checksums, Headers, Place, Stamp};
use super::temporaries::Temporaries;
use crate::error::StoreError;
use crate::ledger::ObjectLedger;

/// A bucket in a local folder.
pub(crate) struct Bucket {
    pub(crate) name: BucketName,
    pub(crate) root: PathBuf,
    /// The gateway's own folder in it.
    pub(super) folder: Birth,
    pub(crate) retain: Duration,
    pub(crate) created_at: SystemTime,
    pub(crate) ledger: Arc<dyn ObjectLedger>,
    pub(crate) sequence: Sequence,
    pub(crate) hidden: HiddenKeys,
    pub(super) index: Index,
    pub(super) settings: SettingsCache,
    /// Whether a removal may be missing from the ledger, so that the kept versions must be read.
    pub(crate) removals_open: AtomicBool,
    pub(crate) locks: Arc<KeyLocks>,
    /// How long a request waits for a key that another process has.
    patience: Duration,
    pub(crate) temporaries: Arc<Temporaries>,
    pub(super) dir_syncs: DirSyncs,
    pub(crate) journal: Journal,
    pub(crate) folder_lock: Arc<FolderLock>,
}

/// How a folder is shared with other processes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sharing {
    /// How long a request waits for a key that another process has.
    pub(crate) patience: Duration,
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

impl Bucket {
    pub(crate) fn new(
        name: BucketName,
        root: PathBuf,
        retain: Duration,
        ledger: Arc<dyn ObjectLedger>,
        folder_lock: Arc<FolderLock>,
        sharing: Option<Sharing>,
        journal: JournalLimits,
    ) -> io::Result<Self> {
        let created_at = root.metadata()?.created().unwrap_or(SystemTime::UNIX_EPOCH);
        let temporaries = Arc::new(Temporaries::open(&root, &folder_lock)?);
        let between = sharing.map(|_| Arc::clone(&folder_lock));
        let sequence = Sequence::open(&root, Arc::clone(&temporaries), between.clone())?;
        let folder = Birth::of(&root.join(PRIVATE).metadata()?);
        let index = Index::new(&root, &name, folder, Arc::clone(&folder_lock));
        let lock = Arc::clone(&folder_lock);
        let journal = Journal::new(&root, lock, sharing.is_some(), journal);
        Ok(Self {
            name,
            root,
            folder,
            index,
            settings: SettingsCache::default(),
            retain,
            created_at,
            ledger,
            sequence,
            hidden: HiddenKeys::default(),
            removals_open: AtomicBool::new(true),
            locks: Arc::new(KeyLocks::new(between)),
            patience: sharing.map_or(Duration::MAX, |sharing| sharing.patience),
            temporaries,
            dir_syncs: DirSyncs::default(),
            journal,
            folder_lock,
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
                let guard = self.lock(key).await?;
                let found = self.find(key).await?.ok_or(StoreError::NoSuchKey)?;
                let (found, stamp) = self.adopted(key, found, &guard).await?;
                Ok(Opened {
                    file: found.file,
                    stamp,
                })
            }
            (None, None) => {
                let (this, key) = (Arc::clone(self), key.clone());
                Err(blocking(move || Ok(this.absence(&key)?)).await?)
            }
            (
                Some(Found {
                    file,
                    stamp: Some(stamp),
                    ..
                }),
                Some(wanted),
            ) if stamp.is_called(wanted) => Ok(Opened { file, stamp }),
            (found, Some(wanted)) => {
                // A file from outside that nobody has looked at has no other name.
                let adopts = wanted == NULL && found.is_some_and(|found| found.stamp.is_none());
                if adopts {
                    let opened = Box::pin(self.open(key, None)).await?;
                    if opened.stamp.is_called(wanted) {
                        return Ok(opened);
                    }
                }
                let (this, key, wanted) = (Arc::clone(self), key.clone(), wanted.to_owned());
                blocking(move || this.open_other(&key, &wanted)).await
            }
        }
    }

    fn open_other(&self, key: &ObjectKey, wanted: &str) -> Result<Opened, StoreError> {
        if let Some(opened) = self.open_kept(key, wanted)? {
            return Ok(opened);
        }
        // It may have become the object, or what is kept, in between.
        let found = self.find_now(key.as_str())?;
        if let Some(Found {
            file,
            stamp: Some(stamp),
            ..
        }) = found
            && stamp.is_called(wanted)
        {
            return Ok(Opened { file, stamp });
        }
        self.open_kept(key, wanted)?
            .ok_or(StoreError::NoSuchVersion)
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

    pub(crate) async fn record(
        &self,
        file: &File,
        stamp: &Stamp,
        channel: Channel,
    ) -> Result<(), StoreError> {
        let mut created = self.created(stamp, channel)?;
        let command = match stamp::read_return(&self.root, file, stamp) {
            None => ObjectCommand::RecordCreated(created),
            Some(sequence) => {
                created.event_name = "ObjectCreated:Reappeared".to_owned();
                created.order = Some(stamp::order_mark(sequence));
                ObjectCommand::RecordReappeared(created)
            }
        };
        self.ledger.record(command).await?;
        Ok(stamp::mark_recorded(&self.root, file, stamp)?)
    }

    /// What the ledger is told of a version.
    pub(super) fn created(
        &self,
        stamp: &Stamp,
        channel: Channel,
    ) -> Result<RecordCreated, StoreError> {
        let key = ObjectKey::parse(stamp.key.clone()).map_err(io::Error::other)?;
        Ok(RecordCreated {
            bucket: self.name.clone(),
            key,
            version: stamp.version(),
            channel,
            event_name: stamp.event_name.clone(),
            order: Some(stamp.order()),
            produced_by: stamp.produced_by.clone(),
        })
    }

    /// Locks a key against all other writers of the folder.
    pub(crate) async fn lock(&self, key: &ObjectKey) -> Result<Arc<KeyGuard>, StoreError> {
        self.lock_within(key, self.patience).await
    }

    /// The same with less patience.
    pub(crate) async fn lock_within(
        &self,
        key: &ObjectKey,
        patience: Duration,
    ) -> Result<Arc<KeyGuard>, StoreError> {
        let key = file_lock::Digest::of_key(key.as_str());
        Ok(Arc::new(self.locks.lock(key, patience).await?))
    }

    /// Takes the lead among the processes that serve the folder, unless one of them has it.
    pub(crate) fn try_lead(&self) -> io::Result<Option<Held>> {
        self.folder_lock.try_hold(Slot::Leader)
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
        match self.find_locked(key)? {
            Some(found) => Ok(Some(found)),
            // A write may have moved it from the one place to the other in between.
            None => self.find_plain(key, &digest(key)),
        }
    }

    /// The same where nobody writes it meanwhile.
    pub(super) fn find_locked(&self, key: &str) -> io::Result<Option<Found>> {
        let digest = digest(key);
        match self.find_plain(key, &digest)? {
            Some(found) => Ok(Some(found)),
            None => self.open_file(&digest, self.root.join(hidden_path(key))),
        }
    }

    fn find_plain(&self, key: &str, digest: &str) -> io::Result<Option<Found>> {
        let Some(relative) = plain_path(key).filter(|relative| self.reachable(relative)) else {
            return Ok(None);
        };
        let found = self.open_file(digest, self.root.join(relative))?;
        Ok(found.map(|mut found| {
            let here = self.place(&found.meta);
            found.stamp = found.stamp.filter(|stamp| stamp.is_at(&here));
            found
        }))
    }

    /// The file with a stamp: its own, or one made now for a file from outside.
    pub(crate) async fn adopted(
        self: &Arc<Self>,
        key: &ObjectKey,
        mut found: Found,
        guard: &Arc<KeyGuard>,
    ) -> Result<(Found, Stamp), StoreError> {
        if let Some(stamp) = found.stamp.take() {
            return Ok((found, stamp));
        }
        let (this, key) = (Arc::clone(self), key.clone());
        blocking_with(guard, move || this.adopt(&key, found)).await
    }

    fn adopt(&self, key: &ObjectKey, found: Found) -> Result<(Found, Stamp), StoreError> {
        let md5 = md5_of(&found.file)?;
        let meta = found.file.metadata()?;
        if meta.len() != found.meta.len() || stamp::mtime_ns(&meta) != stamp::mtime_ns(&found.meta)
        {
            return Err(StoreError::Changing);
        }
        let versioning = self.versioning()?;
        let etag = hex::encode(md5);
        let mtime_ns = stamp::mtime_ns(&meta);
        // With the place in the order, because a file that comes back as it was is another write.
        let sequence = self.sequence.next(0)?;
        let name = format!(
            "daybook:{}/{key}:{sequence}:{mtime_ns}:{}:{etag}",
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
            sequence,
            event_name: "ObjectCreated:Put".to_owned(),
            place: self.place(&meta),
            found: true,
            null_version: versioning != Versioning::Enabled,
            marker: false,
            headers: Headers::default(),
            metadata: Default::default(),
            tags: Default::default(),
            checksums: Checksums::default(),
            upload: None,
            produced_by: None,
        };
        stamp::write(&self.root, &self.temporaries, &found.file, &stamp)?;
        // Before the ledger hears of it: after a crash the same stamp has to be there again.
        found.file.sync_all()?;
        let retired = match versioning {
            Versioning::Suspended => self.retire_null(&stamp.key, stamp.sequence)?,
            _ => None,
        };
        let hidden = found.path == self.root.join(hidden_path(&stamp.key));
        self.note_written(Row::of(&stamp, hidden), None, retired);
        Ok((Found { meta, ..found }, stamp))
    }

    /// Where a stamp for this file of the bucket belongs.
    pub(crate) fn place(&self, meta: &Metadata) -> Place {
        Place {
            bucket: self.name.clone(),
            folder: self.folder,
            file: Birth::of(meta),
        }
    }

    /// The version as lineage knows it.
    pub(crate) fn access(&self, stamp: &Stamp) -> io::Result<ObjectAccess> {
        Ok(ObjectAccess {
            bucket: self.name.clone(),
            key: ObjectKey::parse(stamp.key.clone()).map_err(io::Error::other)?,
            version_id: Some(stamp.version_id.clone()),
            etag: Some(stamp.etag.clone()),
            size: Some(stamp.size),
            staged: stamp.is_staged(),
            ranges: None,
        })
    }

    /// Whether every folder above the path is a real one of this bucket.
    pub(super) fn reachable(&self, relative: &Path) -> bool {
        relative.ancestors().skip(1).all(|above| {
            above.as_os_str().is_empty()
                || self
                    .root
                    .join(above)
                    .symlink_metadata()
                    .is_ok_and(|meta| meta.is_dir())
        })
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

    /// A folder of the gateway's own within this bucket.
    pub(crate) fn private(&self, name: &str) -> PathBuf {
        self.root.join(private(name))
    }
}

/// Runs what waits for the disk where it stops nobody else.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

/// The same for what changes a key: it stays locked to the end of the work, also where nobody
/// waits for that any more.
pub(super) async fn blocking_with<T: Send + 'static>(
    guard: &Arc<KeyGuard>,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let guard = Arc::clone(guard);
    blocking(move || {
        let done = work();
        drop(guard);
        done
    })
    .await
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
