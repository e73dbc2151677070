//! What a segment of the journal looks like on disk. Storage format; numbers are little-endian.
//!
//! ```text
//! header, at 0, padded with zeros to 4096 bytes
//!    0   8  "DAYBJRN1"
//!    8   4  CRC-32 of the 60 bytes behind it
//!   12   4  1 if its objects may not have reached the disk although the system said so, else 0
//!   16  16  the boot id of the machine that writes it
//!   32  16  the generation: drawn anew each time that the segment is used again
//!   48  24  device, inode and birth of the segment's own file: a copy of it has others
//! frames, one behind the other, each written and synced as a whole
//!    0   4  CRC-32 of all that is behind it
//!    4   4  the length of the records
//!    8  16  the generation
//!   24      records: length of the stamp (4), length of the content (4), stamp (JSON), content
//! ```
//! Behind the last frame there are zeros, or frames of an earlier generation.
//!
//! A frame is written when all frames before it are on disk, and its writers are told when it is. So
//! a damaged frame at the end was never promised to anybody. One that has a whole frame behind it
//! was, and that is said.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use uuid::Uuid;

use crate::local::stamp::Stamp;

pub(super) const HEADER_BYTES: u64 = 4096;
const MAGIC: &[u8; 8] = b"DAYBJRN1";
const HEADER_USED: usize = 72;

const FRAME_HEAD: usize = 24;
const RECORD_HEAD: usize = 8;

/// Whose a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) boot: Uuid,
    pub(super) generation: Uuid,
    pub(super) suspect: bool,
    pub(super) spot: Spot,
}

/// The very file that a segment lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) device: u64,
    pub(super) inode: u64,
    /// 0 where the file system does not tell.
    pub(super) born_ns: i64,
}

/// A header that says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damaged;

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_USED);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&u32::from(self.suspect).to_le_bytes());
        bytes.extend_from_slice(self.boot.as_bytes());
        bytes.extend_from_slice(self.generation.as_bytes());
        bytes.extend_from_slice(&self.spot.device.to_le_bytes());
        bytes.extend_from_slice(&self.spot.inode.to_le_bytes());
        bytes.extend_from_slice(&self.spot.born_ns.to_le_bytes());
        let sum = crc32fast::hash(&bytes[12..]);
        bytes[8..12].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// The one at the beginning of a file.
    pub(super) fn read(file: &File) -> io::Result<Result<Option<Self>, Damaged>> {
        let mut bytes = [0; HEADER_USED];
        let length = match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => HEADER_USED,
            // It was not made to its end.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => 0,
            Err(e) => return Err(e),
        };
        Ok(Self::decode(&bytes[..length]))
    }

    /// `None` if none was ever written there.
    pub(super) fn decode(bytes: &[u8]) -> Result<Option<Self>, Damaged> {
        let used = &bytes[..bytes.len().min(HEADER_USED)];
        if used.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        if used.len() < HEADER_USED || !used.starts_with(MAGIC) {
            return Err(Damaged);
        }
        let number = |at| u32_at(used, at).ok_or(Damaged);
        if number(8)? != crc32fast::hash(&used[12..]) {
            return Err(Damaged);
        }
        Ok(Some(Self {
            boot: uuid_at(used, 16).ok_or(Damaged)?,
            generation: uuid_at(used, 32).ok_or(Damaged)?,
            suspect: number(12)? != 0,
            spot: Spot {
                device: u64_at(used, 48).ok_or(Damaged)?,
                inode: u64_at(used, 56).ok_or(Damaged)?,
                born_ns: u64_at(used, 64).ok_or(Damaged)?.cast_signed(),
            },
        }))
    }
}

/// What several writers put into the journal by one write.
#[derive(Debug)]
pub(super) struct Frame(Vec<u8>);

impl Frame {
    pub(super) fn new() -> Self {
        Self(vec![0; FRAME_HEAD])
    }

    /// How long it is with one more record.
    pub(super) fn len_with(&self, record: &[u8]) -> u64 {
        (self.0.len() + record.len()) as u64
    }

    pub(super) fn len(&self) -> u64 {
        self.0.len() as u64
    }

    pub(super) fn push(&mut self, record: &[u8]) {
        self.0.extend_from_slice(record);
    }

    /// Its bytes, for a segment of this generation.
    pub(super) fn finish(mut self, generation: Uuid) -> io::Result<Vec<u8>> {
        let length = u32::try_from(self.0.len() - FRAME_HEAD).map_err(io::Error::other)?;
        self.0[4..8].copy_from_slice(&length.to_le_bytes());
        self.0[8..24].copy_from_slice(generation.as_bytes());
        let sum = crc32fast::hash(&self.0[4..]);
        self.0[..4].copy_from_slice(&sum.to_le_bytes());
        Ok(self.0)
    }
}

/// One write: all that is needed to make the object anew.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    pub(super) stamp: Stamp,
    pub(super) content: Vec<u8>,
}

/// The bytes of one record.
pub(super) fn record(stamp: &Stamp, content: &[u8]) -> io::Result<Vec<u8>> {
    let stamp = serde_json::to_vec(stamp)?;
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(io::Error::other);
    let mut bytes = Vec::with_capacity(RECORD_HEAD + stamp.len() + content.len());
    bytes.extend_from_slice(&length(&stamp)?.to_le_bytes());
    bytes.extend_from_slice(&length(content)?.to_le_bytes());
    bytes.extend_from_slice(&stamp);
    bytes.extend_from_slice(content);
    Ok(bytes)
}

/// What is in a segment.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Contents {
    pub(super) records: Vec<Record>,
    /// Where something cannot be read that was promised to somebody.
    pub(super) damage: Option<usize>,
}

enum At {
    Frame(Vec<Record>, usize),
    /// Its checksum is right, but what it holds makes no sense.
    Strange(usize),
    Nothing,
}

/// Reads the frames of one generation from a whole segment.
pub(super) fn read(segment: &[u8], generation: Uuid) -> Contents {
    let mut contents = Contents::default();
    let mut at = HEADER_BYTES as usize;
    loop {
        match frame_at(segment, at, generation) {
            At::Frame(records, next) => {
                contents.records.extend(records);
                at = next;
            }
            At::Strange(next) => {
                contents.damage.get_or_insert(at);
                at = next;
            }
            At::Nothing => match frame_behind(segment, at, generation) {
                Some(next) => {
                    contents.damage.get_or_insert(at);
                    at = next;
                }
                None => return contents,
            },
        }
    }
}

fn frame_at(segment: &[u8], at: usize, generation: Uuid) -> At {
    let frame = segment.get(at..).unwrap_or_default();
    let Some(length) = u32_at(frame, 4) else {
        return At::Nothing;
    };
    let end = FRAME_HEAD.saturating_add(length as usize);
    let Some(frame) = frame.get(..end) else {
        return At::Nothing;
    };
    if uuid_at(frame, 8) != Some(generation)
        || u32_at(frame, 0) != Some(crc32fast::hash(&frame[4..]))
    {
        return At::Nothing;
    }
    match records(&frame[FRAME_HEAD..]) {
        Some(records) => At::Frame(records, at + end),
        None => At::Strange(at + end),
    }
}

fn records(mut bytes: &[u8]) -> Option<Vec<Record>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let (stamp, content) = (u32_at(bytes, 0)? as usize, u32_at(bytes, 4)? as usize);
        let rest = &bytes[RECORD_HEAD..];
        let (stamp, rest) = rest.split_at_checked(stamp)?;
        let (content, rest) = rest.split_at_checked(content)?;
        let stamp: Stamp = serde_json::from_slice(stamp).ok()?;
        if stamp.size != content.len() as u64 {
            return None;
        }
        records.push(Record {
            stamp,
            content: content.to_vec(),
        });
        bytes = rest;
    }
    Some(records)
}

/// The next whole frame of the generation behind a place where there is none.
fn frame_behind(segment: &[u8], at: usize, generation: Uuid) -> Option<usize> {
    let needle = generation.as_bytes();
    let mut from = at.saturating_add(9);
    while let Some(rest) = segment.get(from..) {
        let found = from
            + rest
                .windows(needle.len())
                .position(|bytes| bytes == needle)?;
        if !matches!(frame_at(segment, found - 8, generation), At::Nothing) {
            return Some(found - 8);
        }
        from = found + 1;
    }
    None
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn uuid_at(bytes: &[u8], at: usize) -> Option<Uuid> {
    Some(Uuid::from_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests;
