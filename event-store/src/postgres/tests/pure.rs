//! What needs no server: URLs, names, and the deciding of batches.

use proptest::prelude::*;

use super::super::batch::{Batch, Landed, Verdict};
use super::super::codec::{encode, escape, stream_name};
use super::super::url::{Trust, parse};
use crate::conformance::fixture::{append, exact};
use crate::{AppendError, Expected, Position, StreamVersion};

#[test]
fn what_urls_say() {
    let trust = |query: &str| {
        let parsed = parse(&format!("postgres://u:p@a:1,b:2/d{query}"));
        parsed.ok().map(|target| target.trust)
    };
    assert_eq!(trust(""), Some(Trust::Anyone));
    assert_eq!(
        trust("?connect_timeout=3&sslmode=require"),
        Some(Trust::Anyone)
    );
    assert_eq!(trust("?sslmode=verify-full"), Some(Trust::System));
    assert_eq!(
        trust("?sslmode=verify-full&sslrootcert=/my%20root.pem"),
        Some(Trust::File("/my root.pem".into()))
    );
    assert_eq!(trust("?sslmode=verify-ca"), None);
    assert_eq!(trust("?sslmode=require&sslrootcert=/root.pem"), None);
    assert_eq!(trust("?sslmode=require&sslmode=disable"), None);
    assert_eq!(trust("?unknown=1"), None);
    assert!(parse("host=a user=b").is_err());
    assert!(parse("esdb://a").is_err());
}

proptest! {
    #[test]
    fn names_come_back(name in ".*|[\\\\0\\x00]{0,9}") {
        let text = escape(&name).into_owned();
        prop_assert!(!text.contains('\0'));
        let found = stream_name(&text);
        prop_assert_eq!(found.as_str(), name);
    }
}

#[test]
fn a_name_that_no_index_takes_is_refused() {
    let name = "x".repeat(3_000);
    let refused = encode(append(&name, Expected::NoStream, 1..2));
    assert!(matches!(refused, Err(AppendError::Invalid(_))));
}

/// What becomes of appends, each written as its stream, expected version and count, when the
/// streams are found at these versions.
fn check(appends: &[(&str, Option<u64>, u64)], actual: &[i64], wanted: &[&str]) {
    let appends: Vec<_> = appends
        .iter()
        .map(|(stream, expected, count)| {
            let expected = expected.map_or(Expected::NoStream, exact);
            encode(append(stream, expected, 0..u128::from(*count))).unwrap()
        })
        .collect();
    let batch = Batch::compose(appends.iter());
    let landed = Landed {
        before: Position(100),
        actual: actual.to_vec(),
    };
    let (verdicts, _) = batch.settle(&landed);
    let number = |version: Option<StreamVersion>| version.map_or(-1, |version| version.0 as i64);
    let found: Vec<_> = verdicts
        .into_iter()
        .map(|verdict| match verdict {
            Verdict::Answer(Ok(appended)) => {
                format!("{} at {}", appended.version.0, appended.position)
            }
            Verdict::Answer(Err(AppendError::Conflict { actual, .. })) => {
                format!("conflict with {}", number(actual))
            }
            Verdict::Compare { first, last, .. } => format!("compare {} to {}", first.0, last.0),
            Verdict::Again => "again".into(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(found, wanted);
}

#[test]
fn streams_that_are_as_expected_are_appended_to() {
    let appends = [("a", None, 2), ("b", Some(4), 1), ("a", Some(1), 1)];
    check(&appends, &[-1, 4], &["1 at 102", "5 at 103", "2 at 104"]);
}

#[test]
fn a_stream_that_is_elsewhere_leaves_no_hole() {
    let appends = [("a", Some(3), 2), ("b", None, 1), ("c", None, 2)];
    check(
        &appends,
        &[7, -1, 0],
        &["compare 4 to 5", "0 at 101", "conflict with 0"],
    );
}

#[test]
fn what_does_not_go_on_waits_for_the_answer_and_so_does_what_follows() {
    // The second one conflicts, and only then is the third one right.
    let appends = [("a", None, 1), ("a", Some(1), 1), ("a", Some(0), 1)];
    check(&appends, &[-1], &["0 at 101", "conflict with 0", "again"]);
}

#[test]
fn after_a_wrong_first_the_next_may_be_right() {
    let appends = [("a", None, 1), ("a", Some(2), 1), ("a", Some(3), 1)];
    check(&appends, &[2], &["compare 0 to 0", "again", "again"]);
}
