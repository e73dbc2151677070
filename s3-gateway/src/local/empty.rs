//! Whether there is anything in a bucket that keeps it from being removed.

use std::fs;
use std::io;
use std::path::Path;

use super::durable;
use super::key_path::{PRIVATE, private};
use super::store::Bucket;
use super::versions::Kind;

impl Bucket {
    /// Whether the bucket's folder, which lies at `root` at this moment, holds no object, and no
    /// version or marker that S3 knows of. Empty folders are none; anything else that lies there
    /// by hand counts.
    pub(crate) fn is_empty_at(&self, root: &Path) -> io::Result<bool> {
        Ok(durable::entries(&root.join(private("keys")))?.is_empty()
            && holds_nothing(root, true)?
            && lists_no_version(root)?)
    }
}

fn holds_nothing(dir: &Path, top: bool) -> io::Result<bool> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if top && entry.file_name() == PRIVATE {
            continue;
        }
        if !entry.file_type()?.is_dir() || !holds_nothing(&entry.path(), false)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What is only kept for `retain` does not count.
fn lists_no_version(root: &Path) -> io::Result<bool> {
    for folder in durable::entries(&root.join(private("versions")))? {
        let versions = durable::entries(&folder.path())?;
        let listed = |entry: &fs::DirEntry| Kind::of(&entry.path()) == Kind::Listed;
        if versions.iter().any(listed) {
            return Ok(false);
        }
    }
    Ok(true)
}
