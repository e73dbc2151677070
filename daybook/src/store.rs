//! Where the ledger is kept: the event log and the blobs, opened as the config says.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use daybook_event_store::EventLog;
use daybook_event_store::blobs::BlobStore;
use daybook_event_store::sqlite::SqliteOptions;

use crate::config::{BlobsAt, Config};
use crate::roles::Roles;

/// How often, and how long apart, a lock is looked at that another process holds.
const LOCK_LOOKS: u32 = 40;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// The parts of a ledger that are kept.
pub(crate) struct Store {
    pub log: Arc<dyn EventLog>,
    pub blobs: BlobStore,
    /// Held as long as this process uses the data directory.
    pub _locks: Vec<File>,
}

/// Opens the log and the blobs. It makes the data directory if it is missing.
pub(crate) async fn open(config: &Config, roles: Roles) -> Result<Store> {
    let data_dir = &config.data_dir;
    std::fs::create_dir_all(data_dir)
        .with_context(|| format!("data directory {} cannot be made", data_dir.display()))?;
    let locks = lock(data_dir, roles)?;
    let sqlite = SqliteOptions {
        cache_bytes: config.store_cache_bytes,
        ..SqliteOptions::default()
    };
    let log = daybook_event_store::open::open(&config.store, sqlite)
        .await
        .with_context(|| format!("the event log {} cannot be opened", config.store))?;
    let blobs = match &config.blobs {
        BlobsAt::Folder(folder) => open_folder(folder)?,
        BlobsAt::Log => log
            .blob_store()
            .context("this event log keeps no blobs; set blobs.url")?,
    };
    Ok(Store {
        log,
        blobs,
        _locks: locks,
    })
}

/// Keeps a second process with the same role out of the data directory: each side has files of its
/// own there, and may share it with the other.
fn lock(data_dir: &Path, roles: Roles) -> Result<Vec<File>> {
    let sides = [("command", roles.command), ("query", roles.query)];
    sides
        .into_iter()
        .filter(|(_, here)| *here)
        .map(|(side, _)| {
            let path = data_dir.join(format!("{side}.lock"));
            let file = File::options()
                .create(true)
                .write(true)
                .truncate(false)
                .open(&path)
                .with_context(|| format!("{} cannot be opened", path.display()))?;
            match locked(&file) {
                Ok(()) => Ok(file),
                Err(TryLockError::WouldBlock) => bail!(
                    "{} is in use by another process; stop that one, or give another --data-dir",
                    data_dir.display()
                ),
                Err(TryLockError::Error(error)) => {
                    Err(error).with_context(|| format!("{} cannot be locked", path.display()))
                }
            }
        })
        .collect()
}

/// Locks the file. What a killed process had just begun to start holds its files until it is a program
/// of its own, so a lock that is held is given a moment.
fn locked(file: &File) -> Result<(), TryLockError> {
    for _ in 0..LOCK_LOOKS {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            done => return done,
        }
    }
    file.try_lock()
}

fn open_folder(path: &Path) -> Result<BlobStore> {
    let url = path
        .to_str()
        .with_context(|| format!("{} is not UTF-8", path.display()))?;
    BlobStore::open(url).with_context(|| format!("the blob store {url} cannot be opened"))
}
