use std::cmp::Ordering;

use super::*;

#[track_caller]
fn check(older: Option<OrderMark>, newer: Option<OrderMark>) {
    let (older, newer) = (older.unwrap(), newer.unwrap());
    assert_eq!(
        newer.compare(&older),
        Some(Ordering::Greater),
        "{older:?} {newer:?}"
    );
    assert_eq!(older.compare(&newer), Some(Ordering::Less));
}

#[test]
fn a_shorter_sequencer_of_s3_may_be_the_newer_one() {
    let of = |sequencer| hexadecimal("aws:s3", Some(sequencer));
    check(of("0055AED6DCD90281E5"), of("0062B9D834"));
    check(of("0062b9d834"), of("0062B9D835"));
}

#[test]
fn what_is_not_hexadecimal_has_no_order() {
    assert_eq!(hexadecimal("aws:s3", Some("00G1")), None);
    assert_eq!(hexadecimal("aws:s3", None), None);
}

#[test]
fn ceph_writes_its_times_little_end_first() {
    let of = |sequencer| little_endian("ceph:s3", Some(sequencer));
    check(of("FF05A86905000000"), of("0006A86905000000"));
    check(of("4005A86901000000"), of("4005A86900000001"));
    // The sample of Ceph's documentation, of 2019-11-22T13:47:35.124724Z.
    let sample = of("F7E6D75DC742D108").unwrap();
    assert_eq!(
        sample.sequencer,
        format!("{:08x}{:08x}", 1_574_430_455, 0x08d1_42c7)
    );
    assert_eq!(of("F7E6D75D"), None);
    assert_eq!(of("F7E6D75DC742D1080"), None);
}

#[test]
fn generations_are_numbers() {
    let of = |number| generation("google:gcs", number);
    check(of("999"), of("1772619072345678"));
    check(of("9223372036854775807"), of("18446744073709551615"));
    assert_eq!(of("-1"), None);
}

#[test]
fn azure_compares_texts() {
    let of = |sequencer| text("azure:blob/a", Some(sequencer));
    check(of("0493A"), of("0493B"));
    check(of("B"), of("a"));
    check(of("0493"), of("04931"));
}

#[test]
fn channels_are_not_compared() {
    let (a, b) = (
        hexadecimal("aws:s3", Some("01")),
        hexadecimal("aws:s3/eventbridge", Some("02")),
    );
    assert_eq!(a.unwrap().compare(&b.unwrap()), None);
}
