//! The blob store: what is too big for the log, kept by its SHA-256.
//!
//! A blob is durable before the event that names it is appended, so an event never points at
//! nothing. The name is the content's digest: putting the same twice is putting it once, and what
//! comes back is checked against its name. [`BlobStore::offload`] and [`BlobStore::hydrate`] move
//! the big fields of an event's body out and in again.

mod backend;
mod body;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use self::backend::ObjectBlobs;
pub(crate) use self::backend::{BlobBackend, Found};
pub use self::body::{INLINE_LIMIT_BYTES, Passing, REMOVED};

/// Names a blob.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BlobRef {
    /// The SHA-256 of the content, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// The length of the content in bytes.
    pub size: u64,
    /// Whether it is kept for a time only, see [`BlobStore::remove`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub passing: bool,
}

/// Why a blob cannot be kept or had.
#[derive(Clone, Debug, Error)]
pub enum BlobError {
    /// The store cannot be opened there. Check the configured URL and the rights on the folder.
    #[error("cannot keep blobs in {url}: {why}")]
    Location {
        /// The URL or folder.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// This is no reference to a blob. Whoever wrote it is to be corrected.
    #[error("not a reference to a blob: {0}")]
    Reference(String),
    /// The store does not have it. Restore it from a backup.
    #[error("blob {sha256} is missing")]
    Missing {
        /// Its name.
        sha256: String,
    },
    /// The time for which it was to be kept is over.
    #[error("blob {sha256} was removed when its time was over")]
    Removed {
        /// Its name.
        sha256: String,
    },
    /// What the store has under this name is something else. Restore it from a backup, or put the
    /// right content again.
    #[error("blob {sha256} is damaged: {why}")]
    Damaged {
        /// Its name.
        sha256: String,
        /// What is wrong with it.
        why: String,
    },
    /// The store does not work now. Try again later.
    #[error("blob store unavailable: {0}")]
    Unavailable(String),
}

/// Keeps blobs in a folder, or in the database of a log. Cheap to clone.
#[derive(Clone, Debug)]
pub struct BlobStore {
    backend: Arc<dyn BlobBackend>,
}

impl BlobStore {
    /// Opens the store at a folder, given as a path or a `file://` URL, and makes the folder if it
    /// does not exist. It blocks for a moment.
    pub fn open(url: &str) -> Result<Self, BlobError> {
        let location = |why: String| BlobError::Location {
            url: url.to_owned(),
            why,
        };
        let folder = folder(url).map_err(location)?;
        prepare(&folder).map_err(|error| location(error.to_string()))?;
        let store = LocalFileSystem::new_with_prefix(&folder)
            .map_err(|error| location(error.to_string()))?
            .with_fsync(true);
        Ok(Self::kept_in(ObjectBlobs(store)))
    }

    pub(crate) fn kept_in(backend: impl BlobBackend) -> Self {
        Self {
            backend: Arc::new(backend),
        }
    }

    /// Keeps the content. When it returns, the content is on disk. It is written even if it is
    /// there: the one that is there may not be on disk yet, or be damaged.
    pub async fn put(&self, content: impl Into<Bytes>) -> Result<BlobRef, BlobError> {
        self.keep(content.into(), false).await
    }

    async fn keep(&self, content: Bytes, passing: bool) -> Result<BlobRef, BlobError> {
        let blob = BlobRef {
            sha256: digest(content.clone()).await?,
            size: content.len() as u64,
            passing,
        };
        let put = self.backend.put(&blob.sha256, content).await;
        put.map_err(BlobError::Unavailable)?;
        Ok(blob)
    }

    /// Ends the time of a blob that is kept for a time only: its place stays, so that it is known from
    /// one that is lost. What is kept for good is left as it is.
    pub async fn remove(&self, blob: &BlobRef) -> Result<(), BlobError> {
        if !blob.passing {
            return Err(BlobError::Reference(format!(
                "{} is kept for good",
                blob.sha256
            )));
        }
        match self.backend.size(&blob.sha256).await {
            Ok(None | Some(0)) => Ok(()),
            Ok(Some(_)) => {
                let put = self.backend.put(&blob.sha256, Bytes::new()).await;
                put.map_err(BlobError::Unavailable)
            }
            Err(why) => Err(BlobError::Unavailable(why)),
        }
    }

    /// Whether a blob of this name and size is there, or was until its time was over. Says nothing of whether it is on disk yet: only
    /// a blob that a recorded event names is known to be.
    pub async fn has(&self, blob: &BlobRef) -> Result<bool, BlobError> {
        let found = self.backend.size(&blob.sha256).await;
        let found = found.map_err(BlobError::Unavailable)?;
        Ok(found == Some(blob.size) || blob.passing && found == Some(0))
    }

    /// The content, which is what the reference says, or an error.
    pub async fn get(&self, blob: &BlobRef) -> Result<Bytes, BlobError> {
        let sha256 = &blob.sha256;
        if !is_digest(sha256) {
            return Err(BlobError::Reference(sha256.clone()));
        }
        let damaged = |why: String| BlobError::Damaged {
            sha256: sha256.clone(),
            why,
        };
        let content = self.backend.get(sha256, blob.size).await;
        let content =
            content
                .map_err(BlobError::Unavailable)?
                .ok_or_else(|| BlobError::Missing {
                    sha256: sha256.clone(),
                })?;
        let content = content.map_err(|found| match found {
            0 if blob.passing => BlobError::Removed {
                sha256: sha256.clone(),
            },
            _ => damaged(format!("it has {found} bytes, not {}", blob.size)),
        })?;
        let found = digest(content.clone()).await?;
        if found != *sha256 {
            return Err(damaged(format!("its content has the digest {found}")));
        }
        Ok(content)
    }
}

/// Content longer than this is hashed where it may block.
const HASH_INLINE_BYTES: usize = 256 * 1024;

async fn digest(content: Bytes) -> Result<String, BlobError> {
    if content.len() <= HASH_INLINE_BYTES {
        return Ok(hex::encode(Sha256::digest(&content)));
    }
    tokio::task::spawn_blocking(move || hex::encode(Sha256::digest(&content)))
        .await
        .map_err(|error| BlobError::Unavailable(error.to_string()))
}

fn is_digest(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn folder(url: &str) -> Result<PathBuf, String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Ok(PathBuf::from(url));
    };
    if scheme != "file" {
        return Err(format!(
            "this build knows folders and file:// only, not {scheme}://"
        ));
    }
    let rest = rest.strip_prefix("localhost").unwrap_or(rest);
    if !rest.starts_with('/') {
        return Err("a file:// URL has an absolute path, as in file:///var/lib/daybook".into());
    }
    percent_encoding::percent_decode_str(rest)
        .decode_utf8()
        .map(|path| PathBuf::from(&*path))
        .map_err(|error| error.to_string())
}

/// Makes all folders that blobs will need, durably. The store could make them when needed, but
/// then a blob could be acknowledged in a folder that another task has made and not yet synced.
fn prepare(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for prefix in 0..=u8::MAX {
        match fs::create_dir(folder.join(hex::encode([prefix]))) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    for made in folder.canonicalize()?.ancestors().take(SYNCED_ANCESTORS) {
        // A folder that may be passed but not read was not made here.
        match File::open(made) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => break,
            opened => opened?.sync_all()?,
        }
    }
    Ok(())
}

/// How many folders upwards may be new: `data/blobs` and what holds it.
const SYNCED_ANCESTORS: usize = 3;

#[cfg(test)]
mod tests;
