//! What a listing shows against what was recorded, by every way in which a version can be known.

use jiff::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::stored_object::tests::notified;
use crate::stored_object::{ObjectCommand, RecordNotification, RecordRemoved, Told};
use crate::{Aggregate, Context, Event};

fn context() -> Context {
    Context {
        now: Timestamp::UNIX_EPOCH,
        seed: 7,
    }
}

fn version(number: u64) -> ObjectVersion {
    ObjectVersion {
        version_id: Some(format!("v{number}")),
        etag: Some(format!("etag{number}")),
        size: Some(number),
        modified_at: Timestamp::from_second(1_000 + number.cast_signed()).ok(),
        stamp: None,
    }
}

fn listed(version: ObjectVersion, latest: bool) -> ListedVersion {
    ListedVersion {
        version,
        latest,
        order: None,
    }
}

fn created(version: ObjectVersion, channel: Channel) -> RecordCreated {
    RecordCreated {
        bucket: BucketName::parse("inbox").unwrap(),
        key: ObjectKey::parse("a.txt").unwrap(),
        version,
        channel,
        event_name: "ObjectCreated:Put".to_owned(),
        order: None,
        produced_by: None,
    }
}

fn given(versions: impl IntoIterator<Item = ObjectVersion>) -> StoredObject {
    let recorded = versions.into_iter().map(|version| {
        let channel = Channel::Notification("aws:s3".to_owned());
        ObjectCommand::RecordCreated(created(version, channel))
    });
    recorded.fold(StoredObject::default(), |object, command| {
        done(object, command).0
    })
}

fn removed(object: StoredObject) -> StoredObject {
    let removal = RecordRemoved {
        bucket: BucketName::parse("inbox").unwrap(),
        key: ObjectKey::parse("a.txt").unwrap(),
        version: ObjectVersion::default(),
        channel: Channel::Gateway,
        event_name: "ObjectRemoved:Delete".to_owned(),
        order: None,
        removed_by: None,
    };
    done(object, ObjectCommand::RecordRemoved(removal)).0
}

fn done(object: StoredObject, command: ObjectCommand) -> (StoredObject, Vec<ObjectEvent>) {
    let events = object.decide(command, &context()).unwrap();
    let object = events
        .iter()
        .fold(object, |object, event| object.evolve(event));
    (object, events)
}

fn found(object: &StoredObject, listed: &ListedVersion) -> ObjectCommand {
    ObjectCommand::RecordListed(RecordListed {
        created: created(listed.version.clone(), Channel::Listing),
        latest: listed.latest,
        newest: object.state.object().cloned(),
    })
}

/// As a listing of a bucket without versions shows it.
fn without_id(version: ObjectVersion) -> ObjectVersion {
    ObjectVersion {
        version_id: None,
        ..version
    }
}

/// As a notification tells of it.
fn without_time(version: ObjectVersion) -> ObjectVersion {
    ObjectVersion {
        modified_at: None,
        ..version
    }
}

#[test]
fn the_same_version_is_known_by_whatever_both_sides_have() {
    let stamped = |number, stamp| ObjectVersion {
        stamp: Some(Uuid::from_u128(stamp)),
        ..version(number)
    };
    for (recorded, shown, same) in [
        (version(1), version(1), true),
        (without_time(version(1)), version(1), true),
        (version(1), version(2), false),
        (without_id(version(1)), without_id(version(1)), true),
        (
            without_time(without_id(version(1))),
            without_id(version(1)),
            true,
        ),
        (
            without_time(without_id(version(1))),
            without_id(version(2)),
            false,
        ),
        (stamped(1, 5), stamped(1, 5), true),
        (stamped(1, 5), stamped(1, 6), false),
        (stamped(1, 5), without_id(version(1)), true),
    ] {
        let object = given([recorded.clone()]);
        let differences = object.state.compare(&[listed(shown.clone(), true)], &[]);
        let wanted = if same {
            vec![]
        } else {
            vec![Difference::Changed(0)]
        };
        assert_eq!(differences, wanted, "{recorded:?} and {shown:?}");
    }
}

#[test]
fn times_are_as_exact_as_the_coarser_side() {
    let at = |ms| ObjectVersion {
        modified_at: Timestamp::from_millisecond(ms).ok(),
        ..without_id(version(1))
    };
    let object = given([at(5_000)]);
    for (ms, same) in [(5_000, true), (5_999, true), (6_000, false), (4_000, false)] {
        let differences = object.state.compare(&[listed(at(ms), true)], &[]);
        assert_eq!(differences.is_empty(), same, "{ms}");
    }
}

#[test]
fn without_ids_and_times_only_the_newest_is_the_same() {
    let bare = |number| without_time(without_id(version(number)));
    let object = given([bare(1), bare(2)]);
    let shown = |number| [listed(without_id(version(number)), true)];
    assert!(object.state.compare(&shown(2), &[]).is_empty());
    assert_eq!(
        object.state.compare(&shown(1), &[]),
        [Difference::Changed(0)]
    );
    let object = removed(object);
    assert_eq!(
        object.state.compare(&shown(2), &[]),
        [Difference::Missing(0)]
    );
}

#[test]
fn what_differs_is_told_by_kind() {
    let one = given([version(1)]);
    let check = |object: &StoredObject, shown: &[ListedVersion], wanted: &[Difference]| {
        assert_eq!(object.state.compare(shown, &[]), wanted, "{shown:?}");
    };
    check(&StoredObject::default(), &[], &[]);
    check(&one, &[], &[Difference::Gone]);
    // A delete marker hides it.
    check(&one, &[listed(version(1), false)], &[Difference::Gone]);
    check(
        &one,
        &[listed(version(2), true), listed(version(1), false)],
        &[Difference::Missing(0)],
    );
    check(&one, &[listed(version(2), true)], &[Difference::Changed(0)]);
    let two = given([version(1), version(2)]);
    check(
        &two,
        &[listed(version(1), true)],
        &[Difference::Replaced(0)],
    );
    check(
        &removed(two),
        &[listed(version(2), true), listed(version(1), false)],
        &[Difference::Returned(0)],
    );
}

#[test]
fn a_version_that_the_state_forgot_is_known_from_the_stream() {
    let object = given((1..=20).map(version));
    assert!(object.state.has_forgotten());
    let shown: Vec<_> = (1..=20)
        .rev()
        .map(|number| listed(version(number), number == 20))
        .collect();
    let missing: Vec<_> = (16..20).map(Difference::Missing).collect();
    assert_eq!(object.state.compare(&shown, &[]), missing);
    let older: Vec<_> = (1..=20).map(version).collect();
    assert!(object.state.compare(&shown, &older).is_empty());
}

/// All versions are on record, and another one is the object.
#[test]
fn another_order_than_that_of_the_bucket_is_a_change() {
    let object = given([version(1), version(2)]);
    let shown = [listed(version(1), true), listed(version(2), false)];
    let found = object.state.compare(&shown, &[]);
    assert_eq!(found, [Difference::Reordered(0)]);
    let reappeared = ObjectCommand::RecordReappeared(RecordCreated {
        event_name: "ObjectCreated:Reappeared".to_owned(),
        ..created(version(1), Channel::Listing)
    });
    let (object, events) = done(object, reappeared);
    let [ObjectEvent::ObjectCreated(event)] = &events[..] else {
        panic!("{events:?}")
    };
    assert!(event.repeated, "nothing starts anew");
    assert_eq!(object.state.object(), Some(&version(1)));
    assert_eq!(object.state.compare(&shown, &[]), []);
}

/// What a store told of, at this second.
fn told_at(second: i64, version: ObjectVersion) -> StoredObject {
    let ObjectCommand::RecordNotification(told) = notified(version, "10") else {
        unreachable!()
    };
    let told = RecordNotification {
        told: Told {
            event_time: Timestamp::from_second(second).ok(),
            ..told.told
        },
        ..told
    };
    let command = ObjectCommand::RecordNotification(told);
    done(StoredObject::default(), command).0
}

/// The same content once more, of which nobody told: both times are the store's own.
#[test]
fn equal_content_that_is_much_newer_than_what_was_told_is_another_write() {
    let plain = |second| ObjectVersion {
        modified_at: Timestamp::from_second(second).ok(),
        ..without_id(version(1))
    };
    for (told, listed_at, expect) in [
        (1_000, 1_000, None),
        // An upload in parts has the time at which it began.
        (5_000, 1_000, None),
        (1_000, 1_008, None),
        (1_000, 1_100, Some(Difference::Changed(0))),
    ] {
        let object = told_at(told, without_time(plain(0)));
        let shown = listed(plain(listed_at), true);
        let differences = object.state.compare(std::slice::from_ref(&shown), &[]);
        assert_eq!(differences.first().copied(), expect, "{told} {listed_at}");
        if expect.is_some() {
            let (object, events) = done(object.clone(), found(&object, &shown));
            assert_eq!(events.len(), 1);
            assert_eq!(object.state.compare(&[shown], &[]), []);
        }
    }
}

#[test]
fn an_older_version_changes_nothing_about_the_object() {
    let object = given([version(3)]);
    let late = listed(version(1), false);
    let (object, events) = done(object.clone(), found(&object, &late));
    let [ObjectEvent::ObjectCreated(event)] = &events[..] else {
        panic!("{events:?}");
    };
    assert!(event.older && !event.repeated);
    assert_eq!(object.state.object(), Some(&version(3)));
    assert_eq!(object.state.versions, 2);
    assert!(done(object.clone(), found(&object, &late)).1.is_empty());
    // Its notification comes after all.
    let (object, events) = done(object, notified(version(1), "01"));
    assert_eq!(events[0].event_type(), "NotificationDisregarded");
    assert_eq!(object.state.object(), Some(&version(3)));
}

#[test]
fn a_version_whose_notification_was_stale_is_recorded_by_the_listing() {
    let marked = |number: u64, sequencer: &str| notified(without_time(version(number)), sequencer);
    let (object, _) = done(StoredObject::default(), marked(2, "0B"));
    let (object, events) = done(object, marked(1, "0A"));
    assert_eq!(events[0].event_type(), "NotificationDisregarded");
    let shown = [listed(version(2), true), listed(version(1), false)];
    assert_eq!(object.state.compare(&shown, &[]), [Difference::Missing(1)]);
    let (object, events) = done(object.clone(), found(&object, &shown[1]));
    assert_eq!(events[0].event_type(), "ObjectCreated");
    assert!(object.state.compare(&shown, &[]).is_empty());
}

#[test]
fn what_changed_since_it_was_compared_is_left_alone() {
    let before = given([version(1)]);
    let stale = found(&before, &listed(version(2), true));
    let gone = ObjectCommand::RecordGone(RecordGone {
        bucket: BucketName::parse("inbox").unwrap(),
        key: ObjectKey::parse("a.txt").unwrap(),
        newest: version(1),
        event_name: "ObjectRemoved:Delete".to_owned(),
    });
    let now = given([version(1), version(3)]);
    assert!(done(now.clone(), stale).1.is_empty());
    assert!(done(now, gone.clone()).1.is_empty());
    let (object, events) = done(before, gone.clone());
    assert_eq!(events[0].event_type(), "ObjectRemoved");
    assert_eq!(object.state.object(), None);
    assert!(done(object, gone).1.is_empty());
}

proptest! {
    /// Whatever was recorded, in whatever order: once the differences are recorded, oldest first,
    /// there are none, and each version was created once.
    #[test]
    fn after_recording_the_differences_there_are_none(
        recorded in prop::collection::vec(1u64..9, 0..12),
        shown in prop::collection::btree_set(1u64..9, 0..8),
        hidden: bool,
        ids: bool,
        times: bool,
    ) {
        let as_told = |number| match times {
            true => version(number),
            false => without_time(version(number)),
        };
        let mut object = given(recorded.into_iter().map(as_told));
        // A bucket without versions shows one at most.
        let count = if ids { shown.len() } else { 1 };
        let shown: Vec<_> = shown
            .into_iter()
            .rev()
            .take(count)
            .enumerate()
            .map(|(place, number)| listed(
                if ids { version(number) } else { without_id(version(number)) },
                place == 0 && !hidden,
            ))
            .filter(|listed| ids || listed.latest)
            .collect();
        let mut created_times = vec![0; shown.len()];
        for difference in object.state.compare(&shown, &[]).into_iter().rev() {
            let command = match difference {
                Difference::Missing(place) | Difference::Changed(place) => {
                    created_times[place] += 1;
                    found(&object, &shown[place])
                }
                Difference::Returned(place)
                | Difference::Replaced(place)
                | Difference::Reordered(place) => {
                    ObjectCommand::RecordReappeared(created(
                        shown[place].version.clone(),
                        Channel::Listing,
                    ))
                }
                Difference::Gone => ObjectCommand::RecordGone(RecordGone {
                    bucket: BucketName::parse("inbox").unwrap(),
                    key: ObjectKey::parse("a.txt").unwrap(),
                    newest: object.state.object().cloned().unwrap(),
                    event_name: "ObjectRemoved:Delete".to_owned(),
                }),
            };
            let (after, events) = done(object, command);
            prop_assert_eq!(events.len(), 1, "{:?}", difference);
            object = after;
        }
        prop_assert_eq!(object.state.compare(&shown, &[]), vec![]);
        prop_assert!(created_times.iter().all(|times| *times <= 1));
    }
}
