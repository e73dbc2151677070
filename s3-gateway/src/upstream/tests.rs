use std::collections::HashMap;

use daybook_domain::ObjectKey;
use s3s::dto::{ETag, EncodingType};
use s3s::{S3Error, S3ErrorCode};
use uuid::Uuid;

use super::convert;
use super::description::{Description, STAMP, take_stamp};
use super::listing::Text;
use super::order::Order;
use super::reading::{Pin, gone_if_pinned, ranges, whole_size};

#[test]
fn a_stamp_is_the_gateways_alone() {
    let (ours, theirs) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let metadata = HashMap::from([
        ("Daybook-Stamp".to_owned(), theirs.to_string()),
        ("a".to_owned(), "b".to_owned()),
    ]);
    let description = Description {
        metadata,
        ..Description::default()
    };
    let mut metadata = description.stamped(ours).metadata;
    assert_eq!(metadata[STAMP], ours.to_string());
    assert_eq!(take_stamp(&mut metadata), Some(ours));
    assert_eq!(metadata, HashMap::from([("a".to_owned(), "b".to_owned())]));
    let mut odd = HashMap::from([(STAMP.to_owned(), "no id".to_owned())]);
    assert_eq!(take_stamp(&mut odd), None);
    assert!(odd.is_empty());
}

#[test]
fn keys_are_read_as_stores_write_them() {
    let url = aws_sdk_s3::types::EncodingType::Url;
    let here = EncodingType::from_static(EncodingType::URL);
    let both = Text::new(Some(&url), Some(&here));
    assert_eq!(both.plain("a+b%2Bc%2Fd%C3%BC".to_owned()), "a b+c/dü");
    assert_eq!(both.again("a+b%2Bc%2Fd".to_owned()), "a%20b%2Bc/d");
    // A store that knows nothing of it writes keys as they are.
    let neither = Text::new(None, None);
    assert_eq!(neither.again("a+b%2B".to_owned()), "a+b%2B");
}

#[test]
fn etags_come_with_quotes_and_without() {
    for (text, value) in [
        ("\"abc\"", ETag::Strong("abc".to_owned())),
        ("abc", ETag::Strong("abc".to_owned())),
        ("W/\"abc\"", ETag::Weak("abc".to_owned())),
    ] {
        assert_eq!(convert::etag(Some(text)), Some(value));
        assert_eq!(convert::bare(Some(text)).as_deref(), Some("abc"));
    }
    assert_eq!(convert::etag(None), None);
}

#[test]
fn a_store_without_versions_names_none() {
    for (said, version) in [
        (None, None),
        (Some(""), None),
        (Some("null"), None),
        (Some("v1"), Some("v1")),
    ] {
        assert_eq!(convert::real_version(said).as_deref(), version);
    }
}

#[test]
fn the_size_is_that_of_the_whole_object() {
    assert_eq!(whole_size(None, Some(5)), Some(5));
    assert_eq!(whole_size(Some("bytes 1-2/10"), Some(2)), Some(10));
    assert_eq!(whole_size(Some("bytes 1-2/*"), Some(2)), None);
}

#[test]
fn the_bytes_of_a_read_are_those_of_the_answer() {
    let pairs = |said: Option<&str>| {
        let ranges = ranges(said)?.into_iter();
        Some(ranges.map(|range| (range.first, range.last)).collect())
    };
    for (said, read) in [
        (None, None),
        (Some("bytes 0-9/10"), None),
        (Some("bytes 1-9/10"), Some(vec![(1, 9)])),
        (Some("bytes 0-8/10"), Some(vec![(0, 8)])),
        (Some("bytes 0-8/*"), Some(vec![(0, 8)])),
    ] {
        assert_eq!(pairs(said), read, "{said:?}");
    }
}

#[test]
fn only_what_a_read_is_pinned_to_can_be_gone() {
    let by_version = Pin {
        version_id: Some("v1".to_owned()),
        etag: Some("abc".to_owned()),
    };
    let by_etag = Pin {
        version_id: None,
        etag: Some("abc".to_owned()),
    };
    let failed = S3ErrorCode::PreconditionFailed;
    for (pin, code, conditional, gone) in [
        (Some(&by_version), S3ErrorCode::NoSuchVersion, false, true),
        (Some(&by_version), S3ErrorCode::NoSuchKey, false, true),
        (Some(&by_version), failed.clone(), false, false),
        (Some(&by_etag), failed.clone(), false, true),
        (Some(&by_etag), failed.clone(), true, false),
        (Some(&by_etag), S3ErrorCode::AccessDenied, false, false),
        (None, S3ErrorCode::NoSuchKey, false, false),
    ] {
        let error = gone_if_pinned(S3Error::new(code.clone()), pin, conditional);
        let message = error.message().unwrap_or_default();
        assert_eq!(message.starts_with("ObjectVersionGone"), gone, "{code:?}");
    }
}

#[tokio::test]
async fn numbers_grow_and_writers_of_a_key_take_turns() {
    let order = Order::default();
    let key = ObjectKey::parse("k").unwrap();
    let turn = order.turn(&key).await;
    let mut last = 0;
    for _ in 0..1000 {
        let next = order.next(&turn);
        assert!(next > last);
        last = next;
    }
    let mut other = Box::pin(order.turn(&key));
    assert!(futures::poll!(&mut other).is_pending());
    drop(turn);
    let turn = other.await;
    assert!(order.next(&turn) > last);
}
