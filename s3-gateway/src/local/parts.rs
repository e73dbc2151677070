//! The parts that an object was put together from, kept beside its stamp: few requests ask for
//! them, so they are read only then. Equal parts in a row are one entry, so that the usual ten
//! thousand parts of one size take no more room than ten.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use xattr::FileExt;

use super::key_path;
use super::multipart::Part;
use super::stamp::{self, Stamp};
use super::temporaries::Temporaries;

/// The attribute that holds them, where it can.
pub(super) const PARTS: &str = "user.daybook.parts";

/// The parts of an object, by number. Storage format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Parts {
    runs: Vec<Run>,
    /// The algorithm of the sums, as S3 names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) algorithm: Option<String>,
    /// The checksum of each part in base64; none where a part came without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sums: Vec<String>,
}

/// Parts that follow upon each other and have the same size. Storage format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    first: u32,
    count: u32,
    size: u64,
}

/// One of the parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OnePart {
    pub(crate) number: u32,
    /// Where it begins in the object.
    pub(crate) start: u64,
    pub(crate) size: u64,
    pub(crate) sum: Option<String>,
}

impl Parts {
    /// Of an upload whose checksums are of this algorithm.
    pub(crate) fn new(parts: &[Part], algorithm: Option<&str>) -> Self {
        let mut runs: Vec<Run> = Vec::new();
        for part in parts {
            match runs.last_mut() {
                Some(run) if run.size == part.size && run.first + run.count == part.number => {
                    run.count += 1;
                }
                _ => runs.push(Run {
                    first: part.number,
                    count: 1,
                    size: part.size,
                }),
            }
        }
        let sum = |part: &Part| part.checksums.of(algorithm?).cloned();
        let sums: Option<Vec<String>> = parts.iter().map(sum).collect();
        Self {
            runs,
            algorithm: sums
                .is_some()
                .then(|| algorithm.map(str::to_owned))
                .flatten(),
            sums: sums.unwrap_or_default(),
        }
    }

    pub(crate) fn len(&self) -> u32 {
        self.runs.iter().map(|run| run.count).sum()
    }

    /// All of them, by number.
    pub(crate) fn all(&self) -> impl Iterator<Item = OnePart> {
        let sizes = self
            .runs
            .iter()
            .flat_map(|run| (0..run.count).map(|at| (run.first + at, run.size)));
        let mut next = 0;
        sizes.enumerate().map(move |(at, (number, size))| {
            let start = next;
            next += size;
            OnePart {
                number,
                start,
                size,
                sum: self.sums.get(at).cloned(),
            }
        })
    }
}

/// Writes the parts of a file that is about to become an object with this stamp; durable once the
/// file is synced (a file beside is synced here).
pub(super) fn write(
    root: &Path,
    temporaries: &Temporaries,
    file: &File,
    stamp: &Stamp,
    parts: &Parts,
) -> io::Result<()> {
    let bytes = serde_json::to_vec(parts)?;
    if file.set_xattr(PARTS, &bytes).is_ok() {
        return Ok(());
    }
    let digest = key_path::digest(&stamp.key);
    let path = stamp::beside(root, PARTS, &digest, &file.metadata()?);
    temporaries.write_file(&path, &bytes)
}

/// The parts of an object; `None` for one that was written whole, or before they were kept.
pub(crate) fn read(root: &Path, file: &File, stamp: &Stamp) -> io::Result<Option<Parts>> {
    // The ETag of an object in parts tells their number.
    if !stamp.etag.contains('-') {
        return Ok(None);
    }
    let bytes = match file.get_xattr(PARTS).ok().flatten() {
        Some(bytes) => bytes,
        None => {
            let digest = key_path::digest(&stamp.key);
            match fs::read(stamp::beside(root, PARTS, &digest, &file.metadata()?)) {
                Ok(bytes) => bytes,
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(e) => return Err(e),
            }
        }
    };
    Ok(Some(serde_json::from_slice(&bytes)?))
}

#[cfg(test)]
mod tests;
