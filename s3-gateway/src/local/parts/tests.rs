use std::time::SystemTime;

use super::*;
use crate::local::stamp::Checksums;

fn part(number: u32, size: u64, sum: Option<&str>) -> Part {
    Part::for_tests(
        number,
        size,
        SystemTime::UNIX_EPOCH,
        Checksums {
            crc32: sum.map(str::to_owned),
            ..Checksums::default()
        },
    )
}

#[test]
fn ten_thousand_equal_parts_take_little_room() {
    let parts: Vec<Part> = (1..=10_000)
        .map(|number| part(number, if number == 10_000 { 7 } else { 5 << 20 }, None))
        .collect();
    let parts = Parts::new(&parts, None);
    let stored = serde_json::to_vec(&parts).unwrap();
    assert!(stored.len() < 200, "{} bytes", stored.len());
    assert_eq!(parts.len(), 10_000);
    let last = parts.all().last().unwrap();
    assert_eq!(
        (last.number, last.start, last.size),
        (10_000, 9_999 * (5 << 20), 7)
    );
}

#[test]
fn parts_keep_their_numbers_and_places() {
    let given = [
        part(2, 10, Some("a")),
        part(3, 10, Some("b")),
        part(7, 5, Some("c")),
    ];
    let parts = Parts::new(&given, Some("CRC32"));
    let stored = serde_json::to_vec(&parts).unwrap();
    assert_eq!(parts, serde_json::from_slice(&stored).unwrap());
    let all: Vec<_> = parts
        .all()
        .map(|part| (part.number, part.start, part.size, part.sum.unwrap()))
        .collect();
    let sum = |text: &str| text.to_owned();
    assert_eq!(
        all,
        [
            (2, 0, 10, sum("a")),
            (3, 10, 10, sum("b")),
            (7, 20, 5, sum("c"))
        ]
    );
}

#[test]
fn sums_are_there_for_all_parts_or_for_none() {
    let parts = Parts::new(&[part(1, 1, Some("a")), part(2, 1, None)], Some("CRC32"));
    assert_eq!(parts.algorithm, None);
    assert!(parts.all().all(|part| part.sum.is_none()));
}
