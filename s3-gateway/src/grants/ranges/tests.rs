use daybook_domain::{BucketName, ObjectKey};

use super::*;

fn range(first: u64, last: u64) -> ByteRange {
    ByteRange { first, last }
}

/// Of an object of 1,000 bytes, what each request read.
fn after(requests: &[Option<&[(u64, u64)]>]) -> Option<Vec<(u64, u64)>> {
    let ranges = |request: &Option<&[(u64, u64)]>| {
        request.map(|ranges| ranges.iter().map(|r| range(r.0, r.1)).collect())
    };
    let mut access = ObjectAccess {
        staged: false,
        bucket: BucketName::parse("inbox").unwrap(),
        key: ObjectKey::parse("a").unwrap(),
        version_id: None,
        etag: None,
        size: Some(1000),
        ranges: ranges(&requests[0]),
    };
    for request in &requests[1..] {
        add(&mut access, ranges(request));
    }
    let pairs = |ranges: Vec<ByteRange>| ranges.iter().map(|r| (r.first, r.last)).collect();
    access.ranges.map(pairs)
}

#[test]
fn ranges_are_kept_in_order_and_joined_where_they_touch() {
    let read = after(&[
        Some(&[(500, 599)]),
        Some(&[(0, 99)]),
        Some(&[(100, 149)]),
        Some(&[(120, 199)]),
    ]);
    assert_eq!(read, Some(vec![(0, 199), (500, 599)]));
}

#[test]
fn all_bytes_in_parts_are_the_whole() {
    assert_eq!(after(&[Some(&[(0, 499)]), Some(&[(500, 999)])]), None);
    let all_but_one = after(&[Some(&[(0, 499)]), Some(&[(500, 998)])]);
    assert_eq!(all_but_one, Some(vec![(0, 998)]));
}

#[test]
fn the_whole_stays_the_whole_and_metadata_adds_nothing() {
    assert_eq!(after(&[None, Some(&[(0, 9)])]), None);
    assert_eq!(after(&[Some(&[(0, 9)]), None]), None);
    assert_eq!(after(&[Some(&[]), Some(&[])]), Some(vec![]));
    assert_eq!(after(&[Some(&[]), Some(&[(3, 4)])]), Some(vec![(3, 4)]));
}

#[test]
fn of_too_many_the_closest_become_one() {
    let many: Vec<(u64, u64)> = (0..=MAX_RANGES as u64)
        .map(|n| (n * 9, n * 9 + 1))
        .collect();
    let mut requests: Vec<Option<&[(u64, u64)]>> = many.chunks(1).map(Some).collect();
    let near: &[(u64, u64)] = &[(4, 4)];
    requests.push(Some(near));
    let read = after(&requests).unwrap();
    assert_eq!(read.len(), MAX_RANGES);
    // Every byte that was read is within one of them.
    for (first, last) in many {
        assert!(read.iter().any(|r| r.0 <= first && last <= r.1));
    }
}
