use daybook_domain::BucketName;

use super::*;
use crate::local::stamp::{Birth, Place};

const GENERATION: Uuid = Uuid::from_u128(0x1234_5678_9abc_def0_0fed_cba9_8765_4321);

pub(in crate::local::journal) fn stamp_of(key: &str, content: &[u8]) -> Stamp {
    Stamp {
        key: key.to_owned(),
        version_id: format!("version-of-{key}"),
        stamp: Uuid::from_u128(content.len() as u128),
        etag: "etag".to_owned(),
        size: content.len() as u64,
        mtime_ns: 1_700_000_000_123_456_789,
        sequence: 42,
        event_name: "ObjectCreated:Put".to_owned(),
        place: Place {
            bucket: BucketName::parse("inbox").unwrap(),
            folder: Birth {
                inode: 1,
                born_ns: None,
            },
            file: Birth {
                inode: 2,
                born_ns: Some(3),
            },
        },
        found: false,
        null_version: true,
        marker: false,
        headers: Default::default(),
        metadata: Default::default(),
        tags: Default::default(),
        checksums: Default::default(),
        upload: None,
        produced_by: None,
    }
}

fn frame(generation: Uuid, contents: &[&[u8]]) -> Vec<u8> {
    let mut frame = Frame::new();
    for content in contents {
        let key = format!("k{}", content.len());
        frame.push(&record(&stamp_of(&key, content), content).unwrap());
    }
    frame.finish(generation).unwrap()
}

/// A segment of such frames, with nothing behind them.
fn segment(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES as usize];
    for frame in frames {
        bytes.extend_from_slice(frame);
    }
    bytes
}

fn sizes(contents: &Contents) -> Vec<u64> {
    contents.records.iter().map(|it| it.stamp.size).collect()
}

#[test]
fn what_is_written_is_read() {
    let mut bytes = segment(&[
        frame(GENERATION, &[b"", b"a"]),
        frame(GENERATION, &[&[7; 300]]),
    ]);
    bytes.resize(bytes.len() + 1000, 0);
    let contents = read(&bytes, GENERATION);
    assert_eq!(contents.damage, None);
    assert_eq!(sizes(&contents), [0, 1, 300]);
    for record in contents.records {
        let expected = stamp_of(&record.stamp.key, &record.content);
        assert_eq!(record.stamp, expected);
    }
}

#[test]
fn a_torn_end_was_promised_to_nobody() {
    let first = segment(&[frame(GENERATION, &[b"a", b"bc"])]);
    let whole = segment(&[
        frame(GENERATION, &[b"a", b"bc"]),
        frame(GENERATION, &[b"def", b"ghij"]),
    ]);
    for length in 0..whole.len() {
        // Cut off, or never written behind that.
        let cut = whole[..length].to_vec();
        let mut unwritten = cut.clone();
        unwritten.resize(whole.len() + 100, 0);
        for bytes in [cut, unwritten] {
            let contents = read(&bytes, GENERATION);
            assert_eq!(contents.damage, None, "{length}");
            let expected: &[u64] = match length < first.len() {
                true => &[],
                false => &[1, 2],
            };
            assert_eq!(sizes(&contents), expected, "{length}");
        }
    }
    assert_eq!(sizes(&read(&whole, GENERATION)), [1, 2, 3, 4]);
}

#[test]
fn no_flipped_bit_goes_unnoticed() {
    let first = segment(&[frame(GENERATION, &[b"a", b"bc"])]).len();
    let second = first + frame(GENERATION, &[b"def"]).len();
    let mut bytes = segment(&[
        frame(GENERATION, &[b"a", b"bc"]),
        frame(GENERATION, &[b"def"]),
        frame(GENERATION, &[b"ghij"]),
    ]);
    for at in HEADER_BYTES as usize..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            let contents = read(&bytes, GENERATION);
            bytes[at] ^= 1 << bit;
            let (expected, damage): (&[u64], _) = match at {
                at if at < first => (&[3, 4], Some(HEADER_BYTES as usize)),
                at if at < second => (&[1, 2, 4], Some(first)),
                _ => (&[1, 2, 3], None),
            };
            let read = (sizes(&contents), contents.damage);
            assert_eq!(read, (expected.to_vec(), damage), "bit {bit} of {at}");
        }
    }
}

#[test]
fn records_of_an_earlier_use_are_not_read() {
    let before = Uuid::from_u128(99);
    let mut bytes = segment(&[frame(before, &[b"a"]), frame(before, &[b"bc"])]);
    assert_eq!(read(&bytes, GENERATION), Contents::default());
    // Written over from the start; the old frame that is left is still whole.
    let new = frame(GENERATION, &[b"x"]);
    let start = HEADER_BYTES as usize;
    bytes[start..start + new.len()].copy_from_slice(&new);
    let contents = read(&bytes, GENERATION);
    assert_eq!((sizes(&contents), contents.damage), (vec![1], None));
    assert_eq!(contents.records[0].content, b"x");
}

#[test]
fn a_header_is_right_or_nothing() {
    let header = Header {
        boot: Uuid::from_u128(1),
        generation: GENERATION,
        suspect: true,
        spot: Spot {
            device: 5,
            inode: 6,
            born_ns: -7,
        },
    };
    let mut bytes = header.encode();
    assert_eq!(Header::decode(&bytes), Ok(Some(header)));
    assert_eq!(Header::decode(&[]), Ok(None));
    assert_eq!(Header::decode(&[0; 4096]), Ok(None));
    for length in 1..bytes.len() {
        assert_eq!(Header::decode(&bytes[..length]), Err(Damaged), "{length}");
    }
    for at in 0..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            assert_eq!(Header::decode(&bytes), Err(Damaged), "bit {bit} of {at}");
            bytes[at] ^= 1 << bit;
        }
    }
}
