//! The keys that lie in `.daybook/keys`.
//!
//! What is there is read from the folder each time, since another process may have put it there.
//! Which key a file's name stands for never changes, so that much is remembered.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::durable;
use super::stamp;
use super::store::Bucket;

/// The keys by their digests, which are the names of the files.
#[derive(Debug, Default)]
pub(crate) struct HiddenKeys {
    known: Mutex<Arc<HashMap<String, String>>>,
}

impl Bucket {
    /// The hidden keys in order.
    pub(crate) fn hidden_keys(&self) -> io::Result<Vec<String>> {
        let before = Arc::clone(&self.known_hidden());
        let mut present = HashMap::new();
        for entry in durable::entries(&self.private("keys"))? {
            let digest = entry.file_name().to_string_lossy().into_owned();
            let key = match before.get(&digest) {
                Some(key) => Some(key.clone()),
                None => self.read_hidden_key(&digest)?,
            };
            if let Some(key) = key {
                present.insert(digest, key);
            }
        }
        let mut keys: Vec<String> = present.values().cloned().collect();
        keys.sort_unstable();
        *self.known_hidden() = Arc::new(present);
        Ok(keys)
    }

    fn read_hidden_key(&self, digest: &str) -> io::Result<Option<String>> {
        let path = self.private("keys").join(digest);
        let Some(found) = self.open_file(digest, path)? else {
            return Ok(None);
        };
        let key = stamp::read_key(&self.root, digest, &found.file, &found.meta);
        if key.is_none() {
            tracing::warn!(bucket = %self.name, path = %found.path.display(), "a file in .daybook/keys names no key");
        }
        Ok(key)
    }

    fn known_hidden(&self) -> MutexGuard<'_, Arc<HashMap<String, String>>> {
        self.hidden
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
