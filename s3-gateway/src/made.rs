//! Buckets that operators make and remove over the API, below one folder of the data directory.
//!
//! ```text
//! DATA_DIR/buckets/
//!   reports/                    a bucket: its folder, as any other local bucket has
//!     .daybook/bucket.json      who made it and when
//!   .new-<id>/  .gone-<id>/     one that is being made or removed; nobody's after a crash
//! ```
//! A bucket appears and goes by one rename, so that after a crash it is there as a whole or not at
//! all. The folder is served by one process at a time, the one that holds the data directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use daybook_domain::BucketName;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::local::durable;
use crate::local::key_path::{PRIVATE, private};
use crate::local::store::Bucket;

/// The file in a bucket's own folder that says who made it.
const DEED: &str = "bucket.json";
const NEW: &str = ".new-";
const GONE: &str = ".gone-";

/// Who made a bucket, and when. Storage format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Deed {
    /// The name of the operator's key in the configuration.
    owner: String,
    created_at: SystemTime,
}

/// The folder of the buckets that were made over the API.
#[derive(Debug)]
pub(crate) struct MadeBuckets {
    root: PathBuf,
    /// How long they keep overwritten and deleted versions.
    pub(crate) retain: Duration,
    /// Whoever makes or removes one; the others wait.
    pub(crate) turn: tokio::sync::Mutex<()>,
}

impl MadeBuckets {
    /// Opens the folder, which is created if it is missing, and clears away what a crash left.
    pub(crate) fn open(root: &Path, retain: Duration) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let root = root.canonicalize()?;
        for entry in durable::entries(&root)? {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(NEW) || name.starts_with(GONE) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(Self {
            root,
            retain,
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// The buckets that are there, with their owners.
    pub(crate) fn list(&self) -> io::Result<Vec<(BucketName, Arc<str>)>> {
        let mut buckets = Vec::new();
        for entry in durable::entries(&self.root)? {
            let path = entry.path();
            let deed = path.join(private(DEED));
            let name = BucketName::parse(entry.file_name().to_string_lossy().into_owned());
            match (name, fs::read(&deed)) {
                (Ok(name), Ok(bytes)) => {
                    let deed: Deed = serde_json::from_slice(&bytes)?;
                    buckets.push((name, deed.owner.into()));
                }
                _ => {
                    tracing::warn!(path = %path.display(), "this is no bucket that the gateway made")
                }
            }
        }
        buckets.sort_unstable();
        Ok(buckets)
    }

    /// Where a bucket of this name is.
    pub(crate) fn path(&self, name: &BucketName) -> PathBuf {
        self.root.join(name.as_str())
    }

    /// Makes the folder of a bucket. `AlreadyExists` if there is one of the name.
    pub(crate) fn make(&self, name: &BucketName, owner: &str) -> io::Result<()> {
        let new = self.root.join(format!("{NEW}{}", clock::random_id()));
        let own = new.join(PRIVATE);
        fs::create_dir_all(&own)?;
        let deed = Deed {
            owner: owner.to_owned(),
            created_at: clock::now(),
        };
        let made = write_synced(&own.join(DEED), &serde_json::to_vec(&deed)?)
            .and_then(|()| durable::sync_dir(&own))
            .and_then(|()| durable::sync_dir(&new))
            .and_then(|()| rename_to_none(&new, &self.path(name)))
            .and_then(|()| durable::sync_dir(&self.root));
        if made.is_err() {
            let _ = fs::remove_dir_all(&new);
        }
        made
    }

    /// Takes the bucket's folder away, if there is nothing in it. The path that is returned can be
    /// removed at leisure; a crash before that is made good at the next start.
    pub(crate) fn take_away(&self, bucket: &Bucket) -> io::Result<Option<PathBuf>> {
        if !bucket.is_empty_at(&bucket.root)? {
            return Ok(None);
        }
        let gone = self.root.join(format!("{GONE}{}", clock::random_id()));
        rename_to_none(&bucket.root, &gone)?;
        // What was written between the look and the rename. Nothing more can be from now on: all
        // writes go by the bucket's path.
        if !bucket.is_empty_at(&gone)? {
            rename_to_none(&gone, &bucket.root)?;
            return Ok(None);
        }
        durable::sync_dir(&self.root)?;
        Ok(Some(gone))
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use io::Write;
    let mut file = fs::File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Renames where nothing has the name yet.
fn rename_to_none(from: &Path, to: &Path) -> io::Result<()> {
    Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
}
