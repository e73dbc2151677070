use daybook_domain::stored_object::{ObjectEvent, OrderMark, RecordCreated, RecordRemoved};
use daybook_domain::{Aggregate, Context};

use super::*;

fn version(stamp: u128) -> ObjectVersion {
    ObjectVersion {
        version_id: Some(format!("v{stamp}")),
        stamp: Some(Uuid::from_u128(stamp)),
        ..ObjectVersion::default()
    }
}

fn created(stamp: u128, sequence: u64) -> ObjectCommand {
    ObjectCommand::RecordCreated(RecordCreated {
        bucket: BucketName::parse("inbox").unwrap(),
        key: ObjectKey::parse("k").unwrap(),
        version: version(stamp),
        channel: Channel::Gateway,
        event_name: "ObjectCreated:Put".to_owned(),
        order: Some(order(sequence)),
        produced_by: None,
    })
}

fn removed(stamp: u128, sequence: u64) -> ObjectCommand {
    ObjectCommand::RecordRemoved(RecordRemoved {
        bucket: BucketName::parse("inbox").unwrap(),
        key: ObjectKey::parse("k").unwrap(),
        version: version(stamp),
        channel: Channel::Gateway,
        event_name: "ObjectRemoved:Delete".to_owned(),
        order: Some(order(sequence)),
        removed_by: None,
    })
}

fn order(sequence: u64) -> OrderMark {
    OrderMark {
        authority: "gateway".to_owned(),
        sequencer: format!("{sequence:016x}"),
    }
}

fn after(commands: Vec<ObjectCommand>) -> StoredObject {
    let context = Context {
        now: jiff::Timestamp::UNIX_EPOCH,
        seed: 7,
    };
    let mut object = StoredObject::default();
    for command in commands {
        let events: Vec<ObjectEvent> = object.decide(command, &context).unwrap();
        object = events.iter().fold(object, StoredObject::evolve);
    }
    object
}

#[test]
fn only_the_newest_write_stands() {
    use Standing::{Current, Past, Unknown};
    let check = |commands: Vec<ObjectCommand>, expected: [Standing; 3]| {
        let object = after(commands);
        let standings = [1, 2, 3].map(|stamp| standing_of(Some(&object), &version(stamp)));
        assert_eq!(standings, expected);
    };
    assert_eq!(standing_of(None, &version(1)), Unknown);
    check(vec![], [Unknown; 3]);
    check(vec![created(1, 1)], [Current, Unknown, Unknown]);
    check(vec![created(1, 1), created(2, 2)], [Past, Current, Unknown]);
    check(vec![created(1, 1), removed(1, 2)], [Past, Unknown, Unknown]);
    // Told again, as after a crash.
    check(
        vec![created(1, 1), removed(1, 2), created(1, 1)],
        [Past, Unknown, Unknown],
    );
    check(
        vec![created(1, 1), removed(1, 2), created(2, 3)],
        [Past, Current, Unknown],
    );
    let mut again = created(1, 4);
    if let ObjectCommand::RecordCreated(created) = again {
        again = ObjectCommand::RecordReappeared(created);
    }
    check(
        vec![created(1, 1), created(2, 2), removed(2, 3), again],
        [Current, Past, Unknown],
    );
}
