//! Where the bytes of blobs are kept. A backend knows names and contents; that they belong
//! together is checked by [`BlobStore`](super::BlobStore).

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;

/// A content, or how long it is where it is not as long as it should be.
pub(crate) type Found = Result<Bytes, u64>;

/// Keeps contents by their digests. Errors say why it does not work now.
#[async_trait]
pub(crate) trait BlobBackend: Debug + Send + Sync + 'static {
    /// Keeps the content, in place of what may be there. When it returns, it is on disk.
    async fn put(&self, sha256: &str, content: Bytes) -> Result<(), String>;

    /// How long the content is; `None` where there is none.
    async fn size(&self, sha256: &str) -> Result<Option<u64>, String>;

    /// The content, if it has `size` bytes; `None` where there is none.
    async fn get(&self, sha256: &str, size: u64) -> Result<Option<Found>, String>;
}

/// A file for each, in a folder for each of the first two digits.
#[derive(Debug)]
pub(super) struct ObjectBlobs(pub(super) LocalFileSystem);

#[async_trait]
impl BlobBackend for ObjectBlobs {
    async fn put(&self, sha256: &str, content: Bytes) -> Result<(), String> {
        let put = self.0.put(&path(sha256), content.into()).await;
        put.map(|_| ()).map_err(|error| error.to_string())
    }

    async fn size(&self, sha256: &str) -> Result<Option<u64>, String> {
        match self.0.head(&path(sha256)).await {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn get(&self, sha256: &str, size: u64) -> Result<Option<Found>, String> {
        let found = match self.0.get(&path(sha256)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        if found.meta.size != size {
            return Ok(Some(Err(found.meta.size)));
        }
        let content = found.bytes().await;
        content
            .map(|content| Some(Ok(content)))
            .map_err(|error| error.to_string())
    }
}

fn path(sha256: &str) -> ObjectPath {
    ObjectPath::from_iter([&sha256[..2], sha256])
}
