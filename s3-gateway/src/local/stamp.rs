//! The stamp: everything about an object version that is not its bytes.
//!
//! It lies in an extended attribute of the data file itself, set before the file is renamed into
//! place, so that data and metadata change in one step. Where that cannot be (no support, too
//! large, not permitted) it lies in a file beside, whose name holds the data file's inode and
//! modification time. A stamp whose size or time differs from its file's says nothing: the file
//! was changed by somebody else and is another version. So is a file that came with the stamp of
//! another one.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use daybook_domain::BucketName;
use daybook_domain::stored_object::{ObjectVersion, OrderMark, ProducedBy};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use xattr::FileExt;

use super::key_path::{self, private};
use super::parts::PARTS;
use super::settings::NULL;
use super::temporaries::Temporaries;

const STAMP: &str = "user.daybook";
const RECORDED: &str = "user.daybook.recorded";
const REMOVAL: &str = "user.daybook.removal";
const REMOVAL_RECORDED: &str = "user.daybook.removal.recorded";
const RETURN: &str = "user.daybook.return";

/// Who gives the order of writes in a local bucket.
pub(crate) const AUTHORITY: &str = "gateway";

/// The place in the order of writes of what is staged: it gets one when it is published.
pub(crate) const NOT_YET: u64 = 0;

/// An object version without its bytes. Storage format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub(crate) key: String,
    pub(crate) version_id: String,
    pub(crate) stamp: Uuid,
    pub(crate) etag: String,
    pub(crate) size: u64,
    /// The data file's modification time, in nanoseconds since 1970.
    pub(crate) mtime_ns: i64,
    /// The place in the order of writes; see [`Stamp::order`].
    pub(crate) sequence: u64,
    pub(crate) event_name: String,
    /// The file that it was written to.
    pub(crate) place: Place,
    /// Whether the gateway did not write the bytes, but found them.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) found: bool,
    /// Whether it was written while the bucket had no versioning: S3's "null version".
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub(crate) null_version: bool,
    /// Whether it is a delete marker, whose file is empty.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) marker: bool,
    #[serde(default, skip_serializing_if = "Headers::is_empty")]
    pub(crate) headers: Headers,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) metadata: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tags: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Checksums::is_empty")]
    pub(crate) checksums: Checksums,
    /// The multipart upload that made it: a completion that is repeated finds itself done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) upload: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) produced_by: Option<ProducedBy>,
}

/// Which file a stamp was written to: a copy that took the attributes along (`cp -a`) is another
/// write, even at the same key. Storage format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) bucket: BucketName,
    /// The bucket's own folder. Where it is another one the bucket as a whole was copied or
    /// restored, and its files are still what they were.
    pub(crate) folder: Birth,
    pub(crate) file: Birth,
}

/// What tells a file from others, also from those that get its inode when it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Birth {
    pub(crate) inode: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) born_ns: Option<i64>,
}

impl Birth {
    pub(crate) fn of(meta: &Metadata) -> Self {
        let since = |born: SystemTime| born.duration_since(SystemTime::UNIX_EPOCH).ok();
        let born = meta.created().ok().and_then(since);
        Self {
            inode: meta.ino(),
            born_ns: born.and_then(|born| i64::try_from(born.as_nanos()).ok()),
        }
    }
}

/// The standard headers that an object keeps. Storage format.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Headers {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_disposition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cache_control: Option<String>,
    /// As an HTTP date, or as it came if it was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<String>,
    /// As S3 names it; none for the standard one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) storage_class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) website_redirect: Option<String>,
    /// The server-side encryption that was asked for, as S3 names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) encryption: Option<String>,
}

/// The checksums that came with an object, in base64. Storage format.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Checksums {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) crc32: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) crc32c: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) crc64nvme: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sha1: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<String>,
    /// Whether they are checksums of the parts' checksums.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) composite: bool,
}

impl Headers {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Checksums {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The one of an algorithm, as S3 names it.
    pub(crate) fn of(&self, algorithm: &str) -> Option<&String> {
        let sum = match algorithm {
            "CRC32" => &self.crc32,
            "CRC32C" => &self.crc32c,
            "CRC64NVME" => &self.crc64nvme,
            "SHA1" => &self.sha1,
            "SHA256" => &self.sha256,
            _ => &None,
        };
        sum.as_ref()
    }

    /// The algorithms as S3 names them.
    pub(crate) fn algorithms(&self) -> Vec<&'static str> {
        let all = [
            ("CRC32", &self.crc32),
            ("CRC32C", &self.crc32c),
            ("CRC64NVME", &self.crc64nvme),
            ("SHA1", &self.sha1),
            ("SHA256", &self.sha256),
        ];
        let there = all.into_iter().filter(|(_, sum)| sum.is_some());
        there.map(|(name, _)| name).collect()
    }
}

impl Stamp {
    /// The version as the domain knows it.
    pub(crate) fn version(&self) -> ObjectVersion {
        ObjectVersion {
            version_id: Some(self.version_id.clone()),
            etag: (!self.marker).then(|| self.etag.clone()),
            size: (!self.marker).then_some(self.size),
            modified_at: jiff::Timestamp::from_nanosecond(i128::from(self.mtime_ns)).ok(),
            stamp: Some(self.stamp),
        }
    }

    /// Its place in the order of the key's writes.
    pub(crate) fn order(&self) -> OrderMark {
        order_mark(self.sequence)
    }

    /// Whether it is kept aside, for nobody but its attempt to see.
    pub(crate) fn is_staged(&self) -> bool {
        self.sequence == NOT_YET
    }

    /// Whether this is the version that a client means by an id.
    pub(crate) fn is_called(&self, id: &str) -> bool {
        self.version_id == id || self.null_version && id == NULL
    }

    /// Whether the stamp speaks of this file as it is now.
    pub(crate) fn fits(&self, meta: &Metadata) -> bool {
        self.size == meta.len() && self.mtime_ns == mtime_ns(meta)
    }

    /// Whether it was written to this file, and not copied to it from another one.
    pub(crate) fn is_at(&self, here: &Place) -> bool {
        self.place.bucket == here.bucket
            && (self.place.folder != here.folder || self.place.file == here.file)
    }
}

/// The modification time in nanoseconds since 1970.
pub(crate) fn mtime_ns(meta: &Metadata) -> i64 {
    meta.mtime()
        .saturating_mul(1_000_000_000)
        .saturating_add(meta.mtime_nsec())
}

/// Whether two names are of one file.
pub(crate) fn same_file(a: &Metadata, b: &Metadata) -> bool {
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// Reads the stamp of an open file; `digest` is the digest of its key. `None` if none fits.
pub(crate) fn read(root: &Path, digest: &str, file: &File, meta: &Metadata) -> Option<Stamp> {
    let fitting = |bytes: Vec<u8>| {
        let stamp: Stamp = serde_json::from_slice(&bytes).ok()?;
        // The key is compared too: a stamped file that was copied or moved by hand (`cp -a`
        // keeps attributes and times) is another object. Whether it is the very file is asked
        // where people may put files, see `Stamp::is_at`.
        (stamp.fits(meta) && key_path::digest(&stamp.key) == digest).then_some(stamp)
    };
    let attribute = file.get_xattr(STAMP).ok().flatten();
    attribute
        .and_then(fitting)
        .or_else(|| fitting(fs::read(sidecar(root, digest, meta)).ok()?))
}

/// The key that the stamp of an open file names, be the stamp still right or not.
pub(crate) fn read_key(root: &Path, digest: &str, file: &File, meta: &Metadata) -> Option<String> {
    let named = |bytes: Vec<u8>| {
        let stamp: Stamp = serde_json::from_slice(&bytes).ok()?;
        (key_path::digest(&stamp.key) == digest).then_some(stamp.key)
    };
    let attribute = file.get_xattr(STAMP).ok().flatten();
    attribute
        .and_then(named)
        .or_else(|| named(fs::read(sidecar(root, digest, meta)).ok()?))
}

/// The stamp that is on an open file itself, be it still right or not.
pub(crate) fn read_attribute(file: &File) -> Option<Stamp> {
    serde_json::from_slice(&file.get_xattr(STAMP).ok()??).ok()
}

/// Writes the stamp of a file; durable once the file is synced (a file beside is synced here).
/// Returns whether it is on the file itself.
pub(crate) fn write(
    root: &Path,
    temporaries: &Temporaries,
    file: &File,
    stamp: &Stamp,
) -> io::Result<bool> {
    let bytes = serde_json::to_vec(stamp)?;
    if file.set_xattr(STAMP, &bytes).is_ok() {
        return Ok(true);
    }
    // A stamp from before that could not be replaced does not fit any more and does no harm.
    let path = sidecar(root, &key_path::digest(&stamp.key), &file.metadata()?);
    temporaries.write_file(&path, &bytes)?;
    Ok(false)
}

/// Replaces the stamp of a file by another one for the same version, in one step; durable once the
/// file is synced.
pub(crate) fn rewrite(
    root: &Path,
    temporaries: &Temporaries,
    file: &File,
    stamp: &Stamp,
) -> io::Result<()> {
    let bytes = serde_json::to_vec(stamp)?;
    if file.set_xattr(STAMP, &bytes).is_ok() {
        return Ok(());
    }
    let path = sidecar(root, &key_path::digest(&stamp.key), &file.metadata()?);
    temporaries.write_file(&path, &bytes)?;
    // The attribute is what counts while it is there.
    match file.get_xattr(STAMP) {
        Ok(Some(_)) => file.remove_xattr(STAMP),
        _ => Ok(()),
    }
}

/// Whether the ledger is known to have this version.
pub(crate) fn is_recorded(root: &Path, file: &File, meta: &Metadata, stamp: &Stamp) -> bool {
    has_mark(root, RECORDED, file, meta, stamp)
}

/// Notes that the ledger has this version. Not synced: if it is lost, the ledger is told again
/// and decides nothing new.
pub(crate) fn mark_recorded(root: &Path, file: &File, stamp: &Stamp) -> io::Result<()> {
    mark(root, RECORDED, file, stamp)
}

/// Writes on a kept version that it is about to be the object again, with its new place in the
/// order, and that the ledger does not know.
pub(crate) fn write_return(
    root: &Path,
    temporaries: &Temporaries,
    file: &File,
    stamp: &Stamp,
    sequence: u64,
) -> io::Result<()> {
    let bytes = sequence.to_be_bytes();
    let (digest, meta) = (key_path::digest(&stamp.key), file.metadata()?);
    if file.set_xattr(RETURN, &bytes).is_err() {
        temporaries.write_file(&beside(root, RETURN, &digest, &meta), &bytes)?;
    }
    let _ = file.remove_xattr(RECORDED);
    let _ = fs::remove_file(beside(root, RECORDED, &digest, &meta));
    Ok(())
}

/// The place in the order that a version got when it came back, if it did.
pub(crate) fn read_return(root: &Path, file: &File, stamp: &Stamp) -> Option<u64> {
    let attribute = file.get_xattr(RETURN).ok().flatten();
    let bytes = attribute.or_else(|| {
        let meta = file.metadata().ok()?;
        fs::read(beside(root, RETURN, &key_path::digest(&stamp.key), &meta)).ok()
    });
    Some(u64::from_be_bytes(bytes?.try_into().ok()?))
}

/// Writes why and when an object is being removed, onto its file, before it goes.
pub(crate) fn write_removal(
    root: &Path,
    temporaries: &Temporaries,
    file: &File,
    stamp: &Stamp,
    removal: &Removal,
) -> io::Result<()> {
    let bytes = serde_json::to_vec(removal)?;
    if file.set_xattr(REMOVAL, &bytes).is_ok() {
        return Ok(());
    }
    let path = beside(
        root,
        REMOVAL,
        &key_path::digest(&stamp.key),
        &file.metadata()?,
    );
    temporaries.write_file(&path, &bytes)
}

/// Takes back [`write_removal`] for an object that stays after all.
pub(crate) fn clear_removal(root: &Path, file: &File, stamp: &Stamp) {
    let _ = file.remove_xattr(REMOVAL);
    if let Ok(meta) = file.metadata() {
        let _ = fs::remove_file(beside(root, REMOVAL, &key_path::digest(&stamp.key), &meta));
    }
}

/// The removal of a kept version that the ledger is not known to have.
pub(crate) fn pending_removal(
    root: &Path,
    file: &File,
    meta: &Metadata,
    stamp: &Stamp,
) -> Option<Removal> {
    let attribute = file.get_xattr(REMOVAL).ok().flatten();
    let path = || beside(root, REMOVAL, &key_path::digest(&stamp.key), meta);
    let bytes = attribute.or_else(|| fs::read(path()).ok())?;
    let removal = serde_json::from_slice(&bytes).ok()?;
    (!has_mark(root, REMOVAL_RECORDED, file, meta, stamp)).then_some(removal)
}

/// Notes that the ledger has the removal.
pub(crate) fn mark_removal_recorded(root: &Path, file: &File, stamp: &Stamp) -> io::Result<()> {
    mark(root, REMOVAL_RECORDED, file, stamp)
}

/// Removes what lies beside a file that is about to go.
pub(crate) fn remove_sidecars(root: &Path, digest: &str, meta: &Metadata) {
    // They bind to one inode and time, so a leftover is never taken for another file's.
    for name in [STAMP, RECORDED, REMOVAL, REMOVAL_RECORDED, RETURN, PARTS] {
        let _ = fs::remove_file(beside(root, name, digest, meta));
    }
}

/// The removal of an object. Storage format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Removal {
    pub(crate) sequence: u64,
    pub(crate) event_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) removed_by: Option<ProducedBy>,
}

/// A place in the order of writes: 16 digits, so that padding changes nothing.
pub(crate) fn order_mark(sequence: u64) -> OrderMark {
    OrderMark {
        authority: AUTHORITY.to_owned(),
        sequencer: format!("{sequence:016x}"),
    }
}

fn has_mark(root: &Path, name: &str, file: &File, meta: &Metadata, stamp: &Stamp) -> bool {
    let names = |bytes: Vec<u8>| bytes == stamp.stamp.as_bytes();
    let path = || beside(root, name, &key_path::digest(&stamp.key), meta);
    file.get_xattr(name).ok().flatten().is_some_and(names) || fs::read(path()).is_ok_and(names)
}

fn mark(root: &Path, name: &str, file: &File, stamp: &Stamp) -> io::Result<()> {
    if file.set_xattr(name, stamp.stamp.as_bytes()).is_ok() {
        return Ok(());
    }
    let path = beside(root, name, &key_path::digest(&stamp.key), &file.metadata()?);
    fs::write(path, stamp.stamp.as_bytes())
}

fn sidecar(root: &Path, digest: &str, meta: &Metadata) -> PathBuf {
    beside(root, STAMP, digest, meta)
}

/// The file that stands in for an attribute of a data file.
pub(super) fn beside(root: &Path, attribute: &str, digest: &str, meta: &Metadata) -> PathBuf {
    let name = format!("{digest}-{}-{}.{attribute}", meta.ino(), mtime_ns(meta));
    root.join(private("meta")).join(name)
}

fn is_false(value: &bool) -> bool {
    !*value
}

fn is_true(value: &bool) -> bool {
    *value
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests;
