//! A power failure, as far as one can be had without one: what the gateway's journal has goes from the
//! disk, in whole or in part, and the journal says that it is of an earlier run of the machine.
//!
//! The format is the one that `s3-gateway/src/local/journal/format.rs` describes.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde_json::Value;

const HEADER: usize = 4096;
const FRAME_HEAD: usize = 24;

/// Lets the power fail under the bucket in a folder, which nobody serves. Only objects below
/// `prefix` are hit, whose keys must be written once. Returns how many were.
pub(super) fn fail(bucket: &Path, prefix: &str) -> usize {
    let Ok(segments) = fs::read_dir(bucket.join(".daybook/journal")) else {
        return 0;
    };
    let mut hit = 0;
    for segment in segments {
        let path = segment.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        for stamp in stamps(&bytes) {
            let key = stamp["key"].as_str().unwrap();
            let path = bucket.join(key);
            if key.starts_with(prefix) && path.exists() {
                harm(&path, hit);
                hit += 1;
            }
        }
        bytes[16..32].fill(7);
        let sum = crc32(&bytes[12..72]);
        bytes[8..12].copy_from_slice(&sum.to_le_bytes());
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(&bytes[..HEADER], 0).unwrap();
    }
    hit
}

/// The stamps of the records in a segment.
fn stamps(segment: &[u8]) -> Vec<Value> {
    let number = |at: usize| {
        let bytes = segment[at..at + 4].try_into().unwrap();
        usize::try_from(u32::from_le_bytes(bytes)).unwrap()
    };
    let generation = &segment[32..48];
    let mut stamps = Vec::new();
    let mut at = HEADER;
    while at + FRAME_HEAD <= segment.len() && &segment[at + 8..at + 24] == generation {
        let end = at + FRAME_HEAD + number(at + 4);
        at += FRAME_HEAD;
        while at < end {
            let (stamp, content) = (number(at), number(at + 4));
            at += 8;
            stamps.push(serde_json::from_slice(&segment[at..at + stamp]).unwrap());
            at += stamp + content;
        }
    }
    stamps
}

/// Takes a file away, or its second half, or all that is in it.
fn harm(path: &Path, how: usize) {
    if how.is_multiple_of(3) {
        return fs::remove_file(path).unwrap();
    }
    let file = File::options().write(true).open(path).unwrap();
    let meta = file.metadata().unwrap();
    let left = if how % 3 == 1 { 0 } else { meta.len() / 2 };
    file.set_len(left).unwrap();
    // A name and a time may reach the disk before the bytes do.
    file.set_modified(meta.modified().unwrap()).unwrap();
}

/// CRC-32 as in ISO 3309, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg());
        }
    }
    !sum
}
