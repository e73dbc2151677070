//! What is set for a bucket over the API: `.daybook/bucket.json`.
//!
//! Each write looks whether the file is another one than it read before, so that what one process
//! sets holds for the next request at all processes that share the folder.

use std::fs;
use std::io;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::index::rows::ctime_ns;
use super::stamp::Birth;
use super::store::Bucket;

/// Whether overwritten and deleted objects stay versions of their key (S3 user guide, "Using
/// versioning in S3 buckets").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Versioning {
    /// It never was switched on.
    #[default]
    Never,
    /// Each write makes a version, each delete a marker.
    Enabled,
    /// Writes and deletes replace the null version; the other versions stay.
    Suspended,
}

/// Storage format. What it does not know it keeps.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Settings {
    #[serde(default)]
    versioning: Versioning,
    #[serde(flatten)]
    others: serde_json::Map<String, serde_json::Value>,
}

/// What was read last, and from which file.
#[derive(Debug, Default)]
pub(super) struct SettingsCache(Mutex<Option<(Birth, i64, Versioning)>>);

impl Bucket {
    /// Blocks on the disk for a moment.
    pub(crate) fn versioning(&self) -> io::Result<Versioning> {
        let path = self.private("bucket.json");
        let meta = match path.symlink_metadata() {
            Ok(meta) => meta,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Versioning::Never),
            Err(e) => return Err(e),
        };
        let file = (Birth::of(&meta), ctime_ns(&meta));
        let mut cache = self
            .settings
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((birth, changed, versioning)) = *cache
            && (birth, changed) == file
        {
            return Ok(versioning);
        }
        // If it is replaced in between, the next one reads it again.
        let settings: Settings = serde_json::from_slice(&fs::read(&path)?)?;
        *cache = Some((file.0, file.1, settings.versioning));
        Ok(settings.versioning)
    }

    /// Holds for every request that begins after this, and outlives a power failure.
    pub(crate) fn set_versioning(&self, versioning: Versioning) -> io::Result<()> {
        let path = self.private("bucket.json");
        let mut settings: Settings = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Settings::default(),
            Err(e) => return Err(e),
        };
        settings.versioning = versioning;
        let bytes = serde_json::to_vec(&settings)?;
        self.temporaries.write_file(&path, &bytes)
    }

    /// The id of a version as S3 tells it. In a bucket that never had versioning it is our own.
    pub(crate) fn shown_id(&self, version_id: &str, null_version: bool) -> String {
        let versioned = !matches!(self.versioning(), Ok(Versioning::Never));
        match versioned && null_version {
            true => NULL.to_owned(),
            false => version_id.to_owned(),
        }
    }
}

/// How S3 calls what was written without versioning.
pub(crate) const NULL: &str = "null";
