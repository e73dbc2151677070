use jiff::Timestamp;
use uuid::Uuid;

use super::{Next, Wanted, Written, next, settle};
use crate::eventstoredb::faults::{Actual, Fault};
use crate::{
    AppendError, Appended, EventMetadata, Expected, Position, RecordedEvent, StreamName,
    StreamVersion,
};

#[test]
fn what_follows_from_a_try() {
    let text = || "x".to_owned();
    let check = |answer: Result<(), Fault>, unclear, last, wanted: Next| {
        let shown = format!("{answer:?}, unclear {unclear}, last {last}");
        assert_eq!(next(answer, unclear, last), wanted, "{shown}");
    };
    let told = Actual::Told(Some(StreamVersion(3)));

    for last in [false, true] {
        check(Ok(()), false, last, Next::LookUp(Written::There));
        check(
            Err(Fault::WrongVersion(told)),
            true,
            last,
            Next::LookUp(Written::Elsewhere(told)),
        );
        for fault in [Fault::Invalid(text()), Fault::Refused(text())] {
            check(Err(fault.clone()), false, last, Next::Fail(fault));
        }
    }
    for fault in [
        Fault::NotDone(text()),
        Fault::NotLeader(text()),
        Fault::Unclear(text()),
    ] {
        check(Err(fault.clone()), true, false, Next::TryAgain);
        check(Err(fault.clone()), false, true, Next::Fail(fault));
    }
    // An earlier try may have been written.
    for fault in [
        Fault::NotDone(text()),
        Fault::NotLeader(text()),
        Fault::Refused(text()),
    ] {
        let unclear = Next::Fail(Fault::Unclear(text()));
        check(Err(fault), true, true, unclear);
    }
}

/// The version and position of each event found, from its id, or the version in the conflict.
fn check(ids: &[u128], found: &[(u128, u64)], wanted: Result<(u64, u64), Option<u64>>) {
    let append = Wanted {
        stream: StreamName::new("a"),
        expected: Expected::Exact(StreamVersion(4)),
        ids: ids.iter().copied().map(Uuid::from_u128).collect(),
    };
    let found: Vec<_> = found
        .iter()
        .map(|(id, version)| event(*id, *version))
        .collect();
    let answer = match settle(&append, &append.ids, Some(StreamVersion(9)), &found) {
        Ok(Appended { version, position }) => Ok((version.0, position.0)),
        Err(AppendError::Conflict { actual, .. }) => Err(actual.map(|actual| actual.0)),
        Err(error) => panic!("{error}"),
    };
    assert_eq!(answer, wanted, "{ids:?} among {found:?}");
}

#[test]
fn what_is_there_decides() {
    check(&[1], &[(1, 5)], Ok((5, 500)));
    check(&[1, 2], &[(1, 5), (2, 6)], Ok((6, 600)));
    check(&[1, 2], &[(2, 5), (1, 6)], Err(Some(9)));
    check(&[1, 2], &[(1, 5)], Err(Some(9)));
    check(&[1, 2], &[(1, 5), (3, 6)], Err(Some(9)));
    check(&[1], &[(2, 5)], Err(Some(9)));
    check(&[1], &[], Err(Some(9)));
}

fn event(id: u128, version: u64) -> RecordedEvent {
    RecordedEvent {
        position: Position(version * 100),
        stream: StreamName::new("a"),
        version: StreamVersion(version),
        event_id: Uuid::from_u128(id),
        event_type: "Happened".into(),
        schema_version: 1,
        recorded_at: Timestamp::UNIX_EPOCH,
        data: Default::default(),
        metadata: EventMetadata::default(),
        salt: [0; 16],
    }
}
