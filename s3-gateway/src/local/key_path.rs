//! Where a key's data lies within its bucket's folder.
//!
//! An ordinary key is a plain file at its own path, so that `cp` and `cat` work. Every other key,
//! and an ordinary one whose path is taken (`a` beside `a/b`), lies in `.daybook/keys` under the
//! SHA-256 of the key. No path that comes out of here leaves the folder.

use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

/// The gateway's own folder within a bucket's folder. Not reachable as a key's path.
pub(crate) const PRIVATE: &str = ".daybook";

/// The longest file name of the usual Linux file systems, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// The path, relative to the bucket's folder, of an ordinary key; `None` for any other key.
pub(crate) fn plain_path(key: &str) -> Option<PathBuf> {
    let ordinary = |name: &str| {
        !name.is_empty()
            && name != "."
            && name != ".."
            && name.len() <= MAX_NAME_BYTES
            && !name.chars().any(char::is_control)
            // A separator elsewhere; refusing it here keeps a copied folder safe.
            && !name.contains('\\')
    };
    let mut names = key.split('/').peekable();
    if names
        .peek()
        .is_none_or(|first| first.eq_ignore_ascii_case(PRIVATE))
        || !names.all(ordinary)
    {
        return None;
    }
    let path = PathBuf::from(key);
    // Belt and braces: whatever the rules above say, only named components may come out.
    path.components()
        .all(|c| matches!(c, Component::Normal(_)))
        .then_some(path)
}

/// The key of a plain file, from its path relative to the bucket's folder; `None` where no key
/// leads to this path.
pub(crate) fn key_of(path: &Path) -> Option<String> {
    let key = path.to_str()?;
    (key.len() <= 1024 && plain_path(key).as_deref() == Some(path)).then(|| key.to_owned())
}

/// The path of any key that cannot be a plain file.
pub(crate) fn hidden_path(key: &str) -> PathBuf {
    private("keys").join(digest(key))
}

/// The folder that holds the kept versions of a key.
pub(crate) fn versions_path(key: &str) -> PathBuf {
    private("versions").join(digest(key))
}

/// A folder of the gateway's own.
pub(crate) fn private(name: &str) -> PathBuf {
    Path::new(PRIVATE).join(name)
}

/// SHA-256 of the key, in hexadecimal.
pub(crate) fn digest(key: &str) -> String {
    hex::encode(Sha256::digest(key.as_bytes()))
}

#[cfg(test)]
mod tests;
