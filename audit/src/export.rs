//! The manifest of an export: what was delivered, so that anybody can check later that nothing was
//! added, taken away, changed or put in another order.
//!
//! An export is a file of CloudEvents, one a line (`events.jsonl`), and its manifest
//! (`manifest.json`). Lines come from the query service; whoever writes them feeds each one to a
//! [`ManifestBuilder`]. [`verify`] needs nothing but the two files.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::merkle::TreeHasher;

/// What a manifest says of itself in `format`.
pub const FORMAT: &str = "daybook-export-jsonl";
/// The version of its shape.
pub const VERSION: u32 = 1;
/// The longest line that is read when verifying; no event is as long.
pub const MAX_LINE_BYTES: u64 = 256 * 1024 * 1024;

/// What was delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// Who asked for what, and when.
    #[serde(flatten)]
    pub about: About,
    /// How many events there are.
    pub count: u64,
    /// How many there are of each type.
    pub types: BTreeMap<String, u64>,
    /// The position of the first one.
    pub first_position: Option<u64>,
    /// The position of the last one.
    pub last_position: Option<u64>,
    /// When the first one was recorded.
    pub first_time: Option<Timestamp>,
    /// When the last one was recorded.
    pub last_time: Option<Timestamp>,
    /// The length of the file in bytes.
    pub bytes: u64,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// The Merkle tree hash (RFC 6962) whose leaves are the lines without their ends, in
    /// hexadecimal.
    pub root: String,
}

/// Who asked for what, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The id under which the ledger records the export.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export: Option<String>,
    /// Events recorded at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Events recorded before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Who made the export.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
}

/// A line that is not the next event of an export.
#[derive(Debug, Error)]
pub enum LineError {
    /// It is no JSON object with a position, a time and a type. The delivery is damaged: ask again.
    #[error("it is not an event")]
    NotAnEvent(#[source] serde_json::Error),
    /// It does not come after the line before it. The delivery is damaged: ask again.
    #[error("its position {found} does not come after {before}")]
    OutOfOrder {
        /// The position of the line before.
        before: u64,
        /// The position of this line.
        found: u64,
    },
}

/// What there was to verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many events.
    pub count: u64,
    /// SHA-256 of the file.
    pub sha256: String,
    /// The Merkle tree hash of its lines.
    pub root: String,
}

/// Why an export is not what its manifest says. It was altered or damaged: do not rely on it.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// The manifest is of another kind or a newer version. Use the program that made it.
    #[error("manifest has format {format:?} version {version}, not {FORMAT:?} version {VERSION}")]
    Unknown {
        /// Its format.
        format: String,
        /// Its version.
        version: u32,
    },
    /// The file cannot be read. Try again.
    #[error("file cannot be read")]
    Read(#[from] io::Error),
    /// A line is not what comes next.
    #[error("line {line} does not fit")]
    Line {
        /// Which one, from 1.
        line: u64,
        /// Why.
        #[source]
        source: LineError,
    },
    /// A line ends without a line feed, or is longer than any event.
    #[error("line {line} does not end as it should")]
    Unended {
        /// Which one, from 1.
        line: u64,
    },
    /// The first line that the manifest does not count, or that is missing.
    #[error("line {line} does not fit: the manifest counts {expected} lines")]
    Count {
        /// Which one, from 1: the first that is too much, or the first that is missing.
        line: u64,
        /// How many there should be.
        expected: u64,
    },
    /// All lines are there and in order, and something in them is not as it was.
    #[error("{what} is {found}, the manifest says {expected}")]
    Different {
        /// What differs.
        what: &'static str,
        /// As it is.
        found: String,
        /// As it should be.
        expected: String,
    },
}

/// Makes the manifest while the lines go by.
#[derive(Clone, Debug)]
pub struct ManifestBuilder {
    about: About,
    types: BTreeMap<String, u64>,
    first: Option<(u64, Timestamp)>,
    last: Option<(u64, Timestamp)>,
    bytes: u64,
    digest: Sha256,
    tree: TreeHasher,
}

/// What is read of a line.
#[derive(Deserialize)]
struct Line {
    position: u64,
    time: Timestamp,
    #[serde(rename = "type")]
    event_type: String,
}

impl ManifestBuilder {
    /// Begins a manifest.
    pub fn new(about: About) -> Self {
        Self {
            about,
            types: BTreeMap::new(),
            first: None,
            last: None,
            bytes: 0,
            digest: Sha256::new(),
            tree: TreeHasher::new(),
        }
    }

    /// Takes the next line, without its end. In the file it is followed by one line feed.
    pub fn add_line(&mut self, line: &[u8]) -> Result<(), LineError> {
        let parsed: Line = serde_json::from_slice(line).map_err(LineError::NotAnEvent)?;
        let (found, time) = (parsed.position, parsed.time);
        if let Some((before, _)) = self.last
            && found <= before
        {
            return Err(LineError::OutOfOrder { before, found });
        }
        self.first.get_or_insert((found, time));
        self.last = Some((found, time));
        *self.types.entry(parsed.event_type).or_default() += 1;
        self.bytes += line.len() as u64 + 1;
        self.digest.update(line);
        self.digest.update(b"\n");
        self.tree.push(line);
        Ok(())
    }

    /// How many lines it took.
    pub fn count(&self) -> u64 {
        self.tree.leaves()
    }

    /// The manifest over all lines.
    pub fn finish(self) -> Manifest {
        Manifest {
            format: FORMAT.to_owned(),
            version: VERSION,
            count: self.tree.leaves(),
            types: self.types,
            first_position: self.first.map(|first| first.0),
            last_position: self.last.map(|last| last.0),
            first_time: self.first.map(|first| first.1),
            last_time: self.last.map(|last| last.1),
            bytes: self.bytes,
            sha256: hex::encode(self.digest.finalize()),
            root: hex::encode(self.tree.root()),
            about: self.about,
        }
    }
}

/// Checks a file of events against its manifest, and names the first line that does not fit. A
/// line that is in its place but has another content is found by the digests, which cannot tell
/// which one it is.
pub fn verify(manifest: &Manifest, mut events: impl BufRead) -> Result<Verified, VerifyError> {
    if manifest.format != FORMAT || manifest.version != VERSION {
        return Err(VerifyError::Unknown {
            format: manifest.format.clone(),
            version: manifest.version,
        });
    }
    let mut builder = ManifestBuilder::new(manifest.about.clone());
    let mut text = Vec::new();
    loop {
        text.clear();
        let line = builder.count() + 1;
        if events
            .by_ref()
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut text)?
            == 0
        {
            break;
        }
        if text.pop() != Some(b'\n') {
            return Err(VerifyError::Unended { line });
        }
        if line > manifest.count {
            let expected = manifest.count;
            return Err(VerifyError::Count { line, expected });
        }
        builder
            .add_line(&text)
            .map_err(|source| VerifyError::Line { line, source })?;
    }
    if builder.count() < manifest.count {
        return Err(VerifyError::Count {
            line: builder.count() + 1,
            expected: manifest.count,
        });
    }
    same(manifest, builder.finish())
}

fn same(manifest: &Manifest, found: Manifest) -> Result<Verified, VerifyError> {
    let places = |manifest: &Manifest| {
        format!(
            "{:?} at {:?} to {:?} at {:?}",
            manifest.first_position,
            manifest.first_time,
            manifest.last_position,
            manifest.last_time
        )
    };
    for (what, found, expected) in [
        (
            "the range of positions and times",
            places(&found),
            places(manifest),
        ),
        (
            "the count by type",
            format!("{:?}", found.types),
            format!("{:?}", manifest.types),
        ),
        (
            "the length in bytes",
            found.bytes.to_string(),
            manifest.bytes.to_string(),
        ),
        ("the SHA-256", found.sha256.clone(), manifest.sha256.clone()),
        ("the root", found.root.clone(), manifest.root.clone()),
    ] {
        if found != expected {
            return Err(VerifyError::Different {
                what,
                found,
                expected,
            });
        }
    }
    Ok(Verified {
        count: found.count,
        sha256: found.sha256,
        root: found.root,
    })
}

#[cfg(test)]
mod tests;
