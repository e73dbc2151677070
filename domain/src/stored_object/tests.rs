//! Given events, when a command, then events.

use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;
use crate::Event;

pub(super) fn context() -> Context {
    Context {
        now: jiff::Timestamp::UNIX_EPOCH,
        seed: 7,
    }
}

pub(super) fn version(stamp: u128) -> ObjectVersion {
    ObjectVersion {
        version_id: Some(format!("v{stamp}")),
        etag: Some(format!("etag{stamp}")),
        size: Some(3),
        modified_at: None,
        stamp: Some(Uuid::from_u128(stamp)),
    }
}

pub(super) fn created(version: ObjectVersion, channel: Channel) -> RecordCreated {
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

/// What S3 tells of a write.
pub(super) fn notified(version: ObjectVersion, sequencer: &str) -> ObjectCommand {
    let channel = "aws:s3".to_owned();
    let event_name = "ObjectCreated:Put".to_owned();
    let identity = format!(
        "{sequencer} {}",
        version.version_id.as_deref().unwrap_or("-")
    );
    ObjectCommand::RecordNotification(RecordNotification {
        bucket: BucketName::parse("inbox").unwrap(),
        key: ObjectKey::parse("a.txt").unwrap(),
        version,
        happened: Happened::Created,
        event_name: event_name.clone(),
        order: Some(OrderMark {
            authority: channel.clone(),
            sequencer: sequencer.to_owned(),
        }),
        told: Told {
            source: channel.clone(),
            event_name,
            account: None,
            bucket: None,
            sequencer: Some(sequencer.to_owned()),
            event_time: None,
            region: None,
            identity: Uuid::new_v5(&Uuid::nil(), identity.as_bytes()),
        },
        channel,
        rule: OrderRule::Notification,
        ignored: None,
        repeats: 0,
    })
}

pub(super) fn removed(order: Option<OrderMark>) -> ObjectCommand {
    ObjectCommand::RecordRemoved(RecordRemoved {
        bucket: BucketName::parse("inbox").unwrap(),
        key: ObjectKey::parse("a.txt").unwrap(),
        version: version(99),
        channel: Channel::Gateway,
        event_name: "ObjectRemoved:Delete".to_owned(),
        order,
        removed_by: None,
    })
}

/// Applies commands one after another; the events of the last one.
pub(super) fn after(
    commands: impl IntoIterator<Item = ObjectCommand>,
) -> (StoredObject, Vec<ObjectEvent>) {
    let mut object = StoredObject::default();
    let mut last = Vec::new();
    for command in commands {
        last = object.decide(command, &context()).unwrap();
        object = last
            .iter()
            .fold(object, |object, event| object.evolve(event));
    }
    (object, last)
}

pub(super) fn types(events: &[ObjectEvent]) -> Vec<&'static str> {
    events.iter().map(Event::event_type).collect()
}

#[test]
fn a_version_is_recorded_once_over_all_channels() {
    let gateway = ObjectCommand::RecordCreated(created(version(1), Channel::Gateway));
    for channel in [Channel::Gateway, Channel::Watcher, Channel::Listing] {
        let again = ObjectCommand::RecordCreated(created(version(1), channel));
        let (object, events) = after([gateway.clone(), again]);
        assert!(events.is_empty(), "{events:?}");
        assert_eq!(object.state.versions, 1);
    }
}

#[test]
fn a_version_that_reappears_is_there_and_starts_nothing() {
    let mark = |number: u32| {
        Some(OrderMark {
            authority: "gateway".to_owned(),
            sequencer: format!("{number:04x}"),
        })
    };
    let at = |stamp, number| RecordCreated {
        order: mark(number),
        ..created(version(stamp), Channel::Gateway)
    };
    let first = ObjectCommand::RecordCreated(at(1, 1));
    let back = ObjectCommand::RecordReappeared(at(1, 3));
    let (object, events) = after([first.clone(), removed(mark(2)), back.clone()]);
    let [ObjectEvent::ObjectCreated(event)] = &events[..] else {
        panic!("{events:?}")
    };
    assert!(event.repeated && object.state.present);
    assert_eq!(object.state.versions, 1);
    // Told again, told late, or seen by somebody who looks for himself, it is no news.
    for again in [
        back.clone(),
        ObjectCommand::RecordReappeared(at(1, 2)),
        ObjectCommand::RecordCreated(RecordCreated {
            order: mark(3),
            ..created(version(1), Channel::Listing)
        }),
    ] {
        let (_, events) = after([first.clone(), removed(mark(2)), back.clone(), again]);
        assert!(events.is_empty(), "{events:?}");
    }
    // It can go, and come back, once more.
    let gone = ObjectCommand::RecordRemoved(RecordRemoved {
        version: version(98),
        ..match removed(mark(4)) {
            ObjectCommand::RecordRemoved(removed) => removed,
            _ => unreachable!(),
        }
    });
    let back_again = ObjectCommand::RecordReappeared(at(1, 5));
    let story = [first, removed(mark(2)), back, gone, back_again];
    let (object, events) = after(story);
    assert_eq!(types(&events), ["ObjectCreated"]);
    assert!(object.state.present);
}

#[test]
fn marks_of_different_authorities_are_not_compared() {
    let mut other = created(version(1), Channel::Gateway);
    other.order = Some(OrderMark {
        authority: "gateway".to_owned(),
        sequencer: "00".to_owned(),
    });
    let newer = notified(version(2), "FF");
    let (_, events) = after([newer, ObjectCommand::RecordCreated(other)]);
    assert_eq!(types(&events), ["ObjectCreated"]);
}

#[test]
fn sequencers_compare_as_padded_hexadecimal() {
    let mark = |text: &str| OrderMark {
        authority: "s3".to_owned(),
        sequencer: text.to_owned(),
    };
    let check = |a: &str, b: &str, expect: Ordering| {
        assert_eq!(mark(a).compare(&mark(b)), Some(expect), "{a} and {b}");
    };
    check("0055", "0056", Ordering::Less);
    check("0055AED6DCD90281E5", "0055aed6dcd90281e5", Ordering::Equal);
    check("00", "0001", Ordering::Less);
    check("1", "0FFF", Ordering::Greater);
    check("10", "1", Ordering::Equal);
}

#[test]
fn a_removed_object_may_come_again() {
    let create = |stamp| ObjectCommand::RecordCreated(created(version(stamp), Channel::Gateway));
    let (object, events) = after([create(1), removed(None)]);
    assert_eq!(types(&events), ["ObjectRemoved"]);
    assert!(!object.state.present);
    let (object, events) = after([create(1), removed(None), create(2)]);
    assert_eq!(types(&events), ["ObjectCreated"]);
    assert!(object.state.present);
}

#[test]
fn removing_what_is_not_there_is_nothing() {
    assert!(after([removed(None)]).1.is_empty());
}

#[test]
fn a_repeated_attempt_with_the_same_content_is_marked() {
    let by = |execution: u128, attempt| ProducedBy {
        execution: ExecutionId(Uuid::from_u128(execution)),
        function: "upper".parse().unwrap(),
        attempt,
        shadow: None,
        chain: crate::Chain::default(),
    };
    let write = |stamp, etag: &str, by: ProducedBy| {
        let mut version = version(stamp);
        version.etag = Some(etag.to_owned());
        let produced_by = Some(by);
        ObjectCommand::RecordCreated(RecordCreated {
            produced_by,
            ..created(version, Channel::Gateway)
        })
    };
    let repeated = |commands: [ObjectCommand; 2]| match &after(commands).1[0] {
        ObjectEvent::ObjectCreated(event) => event.repeated,
        other => panic!("{other:?}"),
    };
    assert!(repeated([write(1, "x", by(1, 1)), write(2, "x", by(1, 2))]));
    assert!(!repeated([
        write(1, "x", by(1, 1)),
        write(2, "y", by(1, 2))
    ]));
    assert!(!repeated([
        write(1, "x", by(1, 1)),
        write(2, "x", by(2, 1))
    ]));
}

/// A file that is found, with its place in the gateway's order.
fn found(version: ObjectVersion, sequence: u64) -> ObjectCommand {
    let order = Some(OrderMark {
        authority: "gateway".to_owned(),
        sequencer: format!("{sequence:016x}"),
    });
    let channel = Channel::Watcher;
    ObjectCommand::RecordCreated(RecordCreated {
        order,
        ..created(version, channel)
    })
}

fn removal(sequence: u64) -> ObjectCommand {
    removed(Some(OrderMark {
        authority: "gateway".to_owned(),
        sequencer: format!("{sequence:016x}"),
    }))
}

#[test]
fn what_comes_back_after_something_else_is_a_new_write() {
    let (first, other) = (found(version(1), 1), found(version(2), 2));
    let (object, events) = after([first.clone(), other, found(version(1), 3)]);
    assert_eq!(types(&events), ["ObjectCreated"]);
    assert_eq!(object.state.versions, 3);
    let (_, events) = after([first.clone(), removal(2), found(version(1), 3)]);
    assert_eq!(types(&events), ["ObjectCreated"]);
    // What is there, or is proposed once more as it was, is none.
    let (_, events) = after([first.clone(), found(version(1), 3)]);
    assert!(events.is_empty(), "{events:?}");
    let (_, events) = after([first.clone(), found(version(2), 2), first.clone()]);
    assert!(events.is_empty(), "{events:?}");
    let (_, events) = after([first.clone(), removal(2), first]);
    assert!(events.is_empty(), "{events:?}");
}

#[test]
fn a_file_that_lost_its_stamp_is_recorded_and_starts_nothing() {
    let looks = |stamp, etag: &str| ObjectVersion {
        etag: Some(etag.to_owned()),
        modified_at: Some(jiff::Timestamp::UNIX_EPOCH),
        ..version(stamp)
    };
    let repeated = |commands: Vec<ObjectCommand>| match &after(commands).1[..] {
        [ObjectEvent::ObjectCreated(event)] => event.repeated,
        other => panic!("{other:?}"),
    };
    let first = found(looks(1, "x"), 1);
    assert!(repeated(vec![first.clone(), found(looks(2, "x"), 2)]));
    assert!(!repeated(vec![first.clone(), found(looks(2, "y"), 2)]));
    // Not what is there, although it was before.
    assert!(!repeated(vec![
        first.clone(),
        removal(2),
        found(looks(3, "x"), 3)
    ]));
    let between = found(looks(2, "y"), 2);
    assert!(!repeated(vec![
        first.clone(),
        between,
        found(looks(3, "x"), 3)
    ]));
    // A write through the gateway is always one.
    let written = ObjectCommand::RecordCreated(created(looks(2, "x"), Channel::Gateway));
    assert!(!repeated(vec![first, written]));
}

#[test]
fn the_state_stays_small() {
    let commands = (0..1000)
        .map(|stamp| ObjectCommand::RecordCreated(created(version(stamp), Channel::Gateway)));
    let (object, _) = after(commands);
    assert_eq!(object.state.recent.len(), REMEMBERED_VERSIONS);
    assert_eq!(object.state.versions, 1000);
}

proptest! {
    /// A delivery handled twice decides nothing new, whatever came before it.
    #[test]
    fn a_retry_decides_nothing_new(
        deliveries in prop::collection::vec((0..6_u128, 0..5_u8, 0..40_u8), 1..12),
    ) {
        let command = |(stamp, channel, sequencer): (u128, u8, u8)| match channel {
            0 => ObjectCommand::RecordCreated(created(version(stamp), Channel::Gateway)),
            1 => ObjectCommand::RecordCreated(created(version(stamp), Channel::Listing)),
            2 => found(version(stamp), sequencer.into()),
            3 => removal(sequencer.into()),
            _ => notified(version(stamp), &format!("{sequencer:02x}")),
        };
        let commands: Vec<_> = deliveries.into_iter().map(command).collect();
        let last = commands.last().cloned().unwrap();
        let (object, _) = after(commands);
        let again = object.decide(last.clone(), &context()).unwrap();
        let news = again
            .iter()
            .any(|event| !matches!(event, ObjectEvent::NotificationDisregarded(_)));
        prop_assert!(!news, "{again:?}");
        // At most the verdict on the repetition, and that once.
        let object = again.iter().fold(object, |object, event| object.evolve(event));
        let third = object.decide(last, &context()).unwrap();
        prop_assert!(third.is_empty(), "{third:?}");
    }

    /// An event read back from its stored form is the event.
    #[test]
    fn events_survive_storage(stamp in any::<u128>()) {
        let (_, events) =
            after([ObjectCommand::RecordCreated(created(version(stamp), Channel::Watcher))]);
        for event in events {
            let back = ObjectEvent::from_json(event.event_type(), 1, event.to_json()).unwrap();
            prop_assert_eq!(back, event);
        }
    }
}

#[test]
fn the_name_of_a_stream_tells_the_object() {
    for key in ["k", "a/b", "/", "a//b/", "../k", "-"] {
        let object = (
            BucketName::parse("in.box-1").unwrap(),
            ObjectKey::parse(key).unwrap(),
        );
        assert_eq!(object_of(&stream_of(&object.0, &object.1)), Some(object));
    }
    for other in [
        "object-inbox",
        "object-inbox/",
        "object-/k",
        "object-a b/k",
        "pipeline-a/b",
    ] {
        assert_eq!(object_of(other), None, "{other}");
    }
}
