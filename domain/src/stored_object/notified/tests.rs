//! Given what was told, when a store tells again, then.

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::stored_object::tests::{after, context, created, notified, removed, types, version};
use crate::stored_object::{IgnoredBy, ObjectCommand, ProducedBy, RecordListed};
use crate::{Aggregate, Chain, ExecutionId};

/// A version of a bucket that keeps none: content alone tells it.
fn plain(content: u32) -> ObjectVersion {
    ObjectVersion {
        etag: Some(format!("etag{content}")),
        size: Some(3),
        ..ObjectVersion::default()
    }
}

fn with_id(content: u32, id: &str) -> ObjectVersion {
    ObjectVersion {
        version_id: Some(id.to_owned()),
        ..plain(content)
    }
}

/// A notification, to be varied.
fn told(version: ObjectVersion, sequencer: &str) -> RecordNotification {
    match notified(version, sequencer) {
        ObjectCommand::RecordNotification(told) => told,
        _ => unreachable!(),
    }
}

/// The same by another channel, which has an order of its own.
fn by(channel: &str, told: RecordNotification) -> RecordNotification {
    RecordNotification {
        channel: channel.to_owned(),
        order: told.order.clone().map(|order| OrderMark {
            authority: channel.to_owned(),
            ..order
        }),
        told: super::super::Told {
            identity: Uuid::new_v5(&told.told.identity, channel.as_bytes()),
            ..told.told.clone()
        },
        ..told
    }
}

fn gone(version: ObjectVersion, sequencer: &str) -> RecordNotification {
    let told = told(version, sequencer);
    RecordNotification {
        happened: Happened::Removed,
        event_name: "ObjectRemoved:Delete".to_owned(),
        told: super::super::Told {
            identity: Uuid::new_v5(&told.told.identity, b"removed"),
            ..told.told
        },
        ..told
    }
}

fn at_gateway(told: RecordNotification) -> RecordNotification {
    RecordNotification {
        rule: OrderRule::Gateway,
        ..told
    }
}

/// What is answered to each, in order.
fn verdicts(
    told: impl IntoIterator<Item = RecordNotification>,
) -> (StoredObject, Vec<Option<Verdict>>) {
    let mut object = StoredObject::default();
    let mut verdicts = Vec::new();
    for told in told {
        let command = ObjectCommand::RecordNotification(told.clone());
        let events = object.decide(command, &context()).unwrap();
        object = events.iter().fold(object, StoredObject::evolve);
        verdicts.push(match events.first() {
            Some(ObjectEvent::ObjectCreated(_)) => None,
            Some(ObjectEvent::ObjectRemoved(_)) => Some(Verdict::Ignored),
            Some(ObjectEvent::NotificationDisregarded(event)) => Some(event.verdict),
            None => object.answer_to_repetition(&told).verdict,
        });
    }
    (object, verdicts)
}

fn check(
    story: impl IntoIterator<Item = RecordNotification>,
    expect: &[Option<Verdict>],
) -> StoredObject {
    let (object, verdicts) = verdicts(story);
    assert_eq!(verdicts, expect);
    object
}

const ACCEPTED: Option<Verdict> = None;
const DUPLICATE: Option<Verdict> = Some(Verdict::Duplicate);
const STALE: Option<Verdict> = Some(Verdict::Stale);
const IGNORED: Option<Verdict> = Some(Verdict::Ignored);

#[test]
fn the_same_event_is_a_duplicate_and_recorded_at_powers_of_ten() {
    let event = told(plain(1), "10");
    check(
        [event.clone(), event.clone(), event.clone()],
        &[ACCEPTED, DUPLICATE, DUPLICATE],
    );
    let times = |repeats| {
        ObjectCommand::RecordNotification(RecordNotification {
            repeats,
            ..event.clone()
        })
    };
    let (_, third) = after([times(0), times(1), times(2)]);
    assert!(third.is_empty(), "{third:?}");
    let (_, tenth) = after([times(0), times(1), times(10)]);
    let [ObjectEvent::NotificationDisregarded(tenth)] = &tenth[..] else {
        panic!("{tenth:?}")
    };
    assert_eq!(tenth.repeats, 10);
}

/// So many seconds into the story, by the store's clock.
fn at(second: i64, told: RecordNotification) -> RecordNotification {
    RecordNotification {
        told: super::super::Told {
            event_time: Some(moment(second)),
            ..told.told
        },
        ..told
    }
}

fn moment(second: i64) -> Timestamp {
    Timestamp::from_second(1_772_619_072 + second).unwrap()
}

/// A channel without an order.
fn unordered(number: u128, told: RecordNotification) -> RecordNotification {
    RecordNotification {
        channel: "cloudflare:r2".to_owned(),
        order: None,
        told: super::super::Told {
            sequencer: None,
            identity: Uuid::from_u128(number),
            ..told.told
        },
        ..told
    }
}

/// An object that a reconcile found, since nobody told of it.
fn found(second: i64, content: u32) -> StoredObject {
    let version = ObjectVersion {
        modified_at: Some(moment(second)),
        ..plain(content)
    };
    let told = told(version.clone(), "-");
    let listed = ObjectCommand::RecordListed(crate::stored_object::RecordListed {
        created: RecordCreated {
            bucket: told.bucket,
            key: told.key,
            version,
            channel: Channel::Listing,
            event_name: "ObjectCreated:Put".to_owned(),
            order: None,
            produced_by: None,
        },
        latest: true,
        newest: None,
    });
    let events = StoredObject::default().decide(listed, &context()).unwrap();
    events
        .iter()
        .fold(StoredObject::default(), StoredObject::evolve)
}

fn then(object: StoredObject, told: RecordNotification) -> (StoredObject, Vec<ObjectEvent>) {
    let command = ObjectCommand::RecordNotification(told);
    let events = object.decide(command, &context()).unwrap();
    let object = events.iter().fold(object, StoredObject::evolve);
    (object, events)
}

#[test]
fn the_late_word_of_what_a_reconcile_found_is_a_duplicate() {
    let (_, events) = then(found(0, 1), at(0, told(plain(1), "10")));
    assert_eq!(types(&events), ["NotificationDisregarded"]);
}

#[test]
fn the_same_content_again_is_a_write_of_its_own_after_a_removal_or_long_after() {
    let (object, events) = then(found(0, 1), at(30, gone(plain(1), "10")));
    assert_eq!(types(&events), ["ObjectRemoved"]);
    let (object, events) = then(object, at(60, told(plain(1), "20")));
    assert_eq!(types(&events), ["ObjectCreated"]);
    assert!(object.state.present);

    let (_, events) = then(found(0, 1), at(3_600, told(plain(1), "20")));
    assert_eq!(types(&events), ["ObjectCreated"]);
}

/// Events of before R2's channel had the account.
#[test]
fn what_a_channel_told_under_its_old_name_is_of_the_same_store() {
    let of_account = |number: u128, it: RecordNotification| RecordNotification {
        channel: "cloudflare:r2/acct".to_owned(),
        told: super::super::Told {
            account: Some("acct".to_owned()),
            identity: Uuid::from_u128(number),
            ..it.told
        },
        ..it
    };
    let old = unordered(1, told(plain(1), "-"));
    let again = of_account(2, old.clone());
    let object = check([old.clone(), again], &[ACCEPTED, DUPLICATE]);
    assert_eq!(object.state.versions, 1);
    let removal = of_account(3, at(9, unordered(3, gone(plain(1), "-"))));
    let (object, _) = verdicts([old, removal]);
    assert!(!object.state.present);
}

#[test]
fn times_tell_what_is_late_where_no_order_does() {
    // The channel has an order that cannot be compared, and the store keeps no versions: what was
    // overwritten cannot be read any more.
    let story = [
        at(5, told(plain(2), "20")),
        at(0, by("aws:s3/eventbridge", told(plain(1), "10"))),
    ];
    check(story, &[ACCEPTED, STALE]);
    // It has none at all: the write is recorded, and not taken for the object.
    let story = [
        at(5, unordered(2, told(plain(2), "-"))),
        at(0, unordered(1, told(plain(1), "-"))),
    ];
    let object = check(story, &[ACCEPTED, ACCEPTED]);
    let newest = object.state.object().unwrap();
    assert_eq!(newest.etag, plain(2).etag);
    // What is older than a removal is gone.
    let story = [
        at(5, unordered(2, gone(plain(1), "-"))),
        at(0, unordered(1, told(plain(1), "-"))),
    ];
    check(
        [at(3, unordered(3, told(plain(3), "-")))]
            .into_iter()
            .chain(story),
        &[ACCEPTED, IGNORED, STALE],
    );
    // It keeps versions: an older one is recorded, and not taken for the object.
    let story = [
        at(5, unordered(2, told(with_id(2, "v2"), "-"))),
        at(0, unordered(1, told(with_id(1, "v1"), "-"))),
    ];
    let object = check(story, &[ACCEPTED, ACCEPTED]);
    let newest = object.state.object().unwrap();
    assert_eq!(newest.version_id.as_deref(), Some("v2"));
    // An order of the channel has the word, whatever the times are.
    let story = [at(5, told(plain(1), "0A")), at(0, told(plain(2), "0B"))];
    check(story, &[ACCEPTED, ACCEPTED]);
}

#[test]
fn what_is_older_than_its_channel_has_told_is_stale() {
    let object = check(
        [told(plain(2), "0B"), told(plain(1), "0A")],
        &[ACCEPTED, STALE],
    );
    assert_eq!(object.state.versions, 1);
    // The shorter one is padded on the right.
    check(
        [
            told(plain(1), "0055AED6DCD90281E5"),
            told(plain(2), "0062B9D834"),
        ],
        &[ACCEPTED; 2],
    );
    // What led to nothing stays what it was.
    let late = told(plain(1), "0A");
    check(
        [told(plain(2), "0B"), late.clone(), late],
        &[ACCEPTED, STALE, STALE],
    );
}

#[test]
fn orders_of_two_authorities_do_not_touch_each_other() {
    let eventbridge = |told| by("aws:s3/eventbridge", told);
    let object = check(
        [
            told(plain(1), "30"),
            eventbridge(told(plain(2), "10")),
            told(plain(3), "20"),
            eventbridge(told(plain(4), "05")),
            eventbridge(told(plain(5), "11")),
        ],
        &[ACCEPTED, ACCEPTED, STALE, STALE, ACCEPTED],
    );
    assert_eq!(object.state.mark_of("aws:s3").unwrap().sequencer, "30");
    assert_eq!(
        object
            .state
            .mark_of("aws:s3/eventbridge")
            .unwrap()
            .sequencer,
        "11"
    );
}

#[test]
fn one_write_through_several_channels_is_one_version() {
    let gateway = ObjectCommand::RecordCreated(created(version(1), Channel::Gateway));
    let seen = ObjectVersion {
        stamp: None,
        ..version(1)
    };
    let direct = ObjectCommand::RecordNotification(told(seen.clone(), "10"));
    let bridge = ObjectCommand::RecordNotification(by("aws:s3/eventbridge", told(seen, "77")));
    let story = [gateway, direct.clone(), bridge.clone()];
    for (last, recorded) in [(1, 1), (2, 1)] {
        let (object, events) = after(story[..=last].to_vec());
        assert_eq!(types(&events), ["NotificationDisregarded"]);
        assert_eq!(object.state.versions, recorded);
        assert_eq!(object.state.recent[0].told.len(), last);
    }
}

#[test]
fn equal_content_is_no_identity() {
    // New ids: new versions.
    check(
        [told(with_id(1, "v1"), "10"), told(with_id(1, "v2"), "20")],
        &[ACCEPTED; 2],
    );
    // No ids: this channel has told of that version already.
    check([told(plain(1), "10"), told(plain(1), "20")], &[ACCEPTED; 2]);
    // The id of all that is written without versions.
    check(
        [
            told(with_id(1, "null"), "10"),
            told(with_id(1, "null"), "20"),
        ],
        &[ACCEPTED; 2],
    );
    // Content without a size says too little.
    let without_size = |channel: &str, sequencer| {
        by(
            channel,
            told(
                ObjectVersion {
                    size: None,
                    ..plain(1)
                },
                sequencer,
            ),
        )
    };
    check(
        [
            without_size("aws:s3/a", "10"),
            without_size("aws:s3/b", "10"),
        ],
        &[ACCEPTED; 2],
    );
}

#[test]
fn two_stores_with_a_bucket_of_one_name_are_not_taken_for_one() {
    let minio = |told| by("minio:s3", told);
    let object = check(
        [
            told(plain(1), "10"),
            minio(told(plain(1), "10")),
            minio(gone(plain(1), "20")),
        ],
        &[ACCEPTED, ACCEPTED, IGNORED],
    );
    assert_eq!(object.state.versions, 2);
    assert!(!object.state.present, "what MinIO told of last is gone");
    let object = check(
        [told(plain(1), "10"), minio(gone(plain(1), "20"))],
        &[ACCEPTED, IGNORED],
    );
    assert!(object.state.present, "another store's removal");
    let account = |account: &str, content| {
        let told = by(&format!("azure:blob/{account}"), told(plain(content), "-"));
        RecordNotification {
            order: None,
            told: super::super::Told {
                account: Some(account.to_owned()),
                ..told.told.clone()
            },
            ..told
        }
    };
    check(
        [account("a", 1), account("b", 1), account("a", 1)],
        &[ACCEPTED, ACCEPTED, DUPLICATE],
    );
}

#[test]
fn a_channel_claims_a_version_once() {
    let bridge = |sequencer| by("aws:s3/eventbridge", told(plain(1), sequencer));
    check(
        [
            told(plain(1), "10"),
            told(plain(1), "20"),
            bridge("05"),
            bridge("06"),
            bridge("07"),
        ],
        &[ACCEPTED, ACCEPTED, DUPLICATE, DUPLICATE, ACCEPTED],
    );
}

#[test]
fn each_write_without_an_id_has_an_identity_of_its_own() {
    let identities = |ids: [Option<&str>; 2]| {
        let story = ids.map(|id| match id {
            Some(id) => with_id(1, id),
            None => plain(1),
        });
        let [first, second] = story;
        let (object, _) = verdicts([told(first, "10"), told(second, "20")]);
        let recent = object.state.recent.iter();
        recent
            .map(|known| known.version.identity())
            .collect::<Vec<_>>()
    };
    for ids in [[None, None], [Some("null"), Some("null")]] {
        let identities = identities(ids);
        assert_ne!(identities[0], identities[1]);
    }
    assert_eq!(
        identities([Some("v1"), Some("v2")]),
        ["version:v1", "version:v2"]
    );
}

#[test]
fn a_removal_is_ignored_and_known() {
    let object = check(
        [told(plain(1), "10"), gone(plain(1), "20")],
        &[ACCEPTED, IGNORED],
    );
    assert!(!object.state.present);
    let again = gone(plain(1), "20");
    let story = [
        told(plain(1), "10"),
        again.clone(),
        again,
        told(plain(2), "30"),
    ];
    assert!(
        check(story, &[ACCEPTED, IGNORED, IGNORED, ACCEPTED])
            .state
            .present
    );
}

#[test]
fn a_removal_that_comes_first_is_remembered_for_order() {
    let story = [
        gone(ObjectVersion::default(), "20"),
        told(plain(1), "10"),
        told(plain(2), "30"),
    ];
    check(story, &[IGNORED, STALE, ACCEPTED]);
    // Of one version, it says nothing of others.
    let story = [
        gone(with_id(1, "v1"), "20"),
        told(with_id(2, "v2"), "10"),
        told(with_id(1, "v1"), "05"),
    ];
    let object = check(story, &[IGNORED, ACCEPTED, STALE]);
    assert!(object.state.present);
}

#[test]
fn a_late_removal_takes_nothing_away() {
    let story = [
        told(plain(1), "10"),
        told(plain(2), "30"),
        gone(plain(1), "20"),
    ];
    assert!(check(story, &[ACCEPTED, ACCEPTED, IGNORED]).state.present);
    // Through another channel the times tell.
    let at = |second, told: RecordNotification| RecordNotification {
        told: super::super::Told {
            event_time: Timestamp::from_second(second).ok(),
            ..told.told.clone()
        },
        ..told
    };
    let story = [
        at(5, told(plain(1), "10")),
        at(4, by("aws:s3/b", gone(plain(9), "01"))),
    ];
    assert!(check(story, &[ACCEPTED, IGNORED]).state.present);
    let story = [
        at(5, told(plain(1), "10")),
        at(6, by("aws:s3/b", gone(plain(9), "01"))),
    ];
    assert!(!check(story, &[ACCEPTED, IGNORED]).state.present);
}

#[test]
fn removing_an_old_version_leaves_the_object() {
    let v1 = || told(with_id(1, "v1"), "10");
    let v2 = || told(with_id(2, "v2"), "20");
    let story = [v1(), v2(), gone(with_id(1, "v1"), "30")];
    assert!(check(story, &[ACCEPTED, ACCEPTED, IGNORED]).state.present);
    let story = [v1(), v2(), gone(with_id(2, "v2"), "30")];
    assert!(!check(story, &[ACCEPTED, ACCEPTED, IGNORED]).state.present);
    // A marker has an id of its own and hides whatever is newest.
    let marker = RecordNotification {
        event_name: "ObjectRemoved:DeleteMarkerCreated".to_owned(),
        ..gone(with_id(9, "m1"), "30")
    };
    let story = [v1(), v2(), marker];
    assert!(!check(story, &[ACCEPTED, ACCEPTED, IGNORED]).state.present);
}

#[test]
fn a_generation_that_was_removed_does_not_arrive() {
    let generation = |told: RecordNotification, id: &str| RecordNotification {
        version: with_id(1, id),
        ..told
    };
    // Version and sequencer are one number.
    let story = [
        generation(gone(plain(1), "5"), "5"),
        generation(told(plain(1), "5"), "5"),
    ];
    check(story, &[IGNORED, STALE]);
    let story = [
        generation(told(plain(1), "5"), "5"),
        generation(gone(plain(1), "5"), "5"),
        generation(told(plain(1), "5"), "5"),
    ];
    assert!(!check(story, &[ACCEPTED, IGNORED, DUPLICATE]).state.present);
}

#[test]
fn the_gateway_rules_where_writes_go_through_it() {
    let around = at_gateway(told(plain(2), "10"));
    let write = ObjectCommand::RecordCreated(created(version(1), Channel::Gateway));
    let command = ObjectCommand::RecordNotification;
    // What it does not know was written around it.
    let (object, events) = after([write.clone(), command(around.clone())]);
    assert_eq!(types(&events), ["ObjectCreated"]);
    assert_eq!(object.state.versions, 2);
    assert!(object.state.mark_of("gateway").is_none());
    // A removal counts if the same channel told of what is there.
    let removal = at_gateway(gone(ObjectVersion::default(), "20"));
    let (object, _) = after([write.clone(), command(removal.clone())]);
    assert!(object.state.present);
    let (object, _) = after([write, command(around), command(removal)]);
    assert!(!object.state.present);
}

#[test]
fn a_notification_may_be_faster_than_the_gateway() {
    let at = context().now;
    let first = RecordNotification {
        told: super::super::Told {
            event_time: Some(at),
            ..told(plain(1), "10").told
        },
        ..at_gateway(told(plain(1), "10"))
    };
    let by = ProducedBy {
        execution: ExecutionId(Uuid::from_u128(5)),
        function: "upper".parse().unwrap(),
        attempt: 1,
        shadow: None,
        chain: Chain::default(),
    };
    let write = RecordCreated {
        version: ObjectVersion {
            stamp: Some(Uuid::from_u128(7)),
            ..plain(1)
        },
        produced_by: Some(by),
        ..created(version(1), Channel::Gateway)
    };
    let write = ObjectCommand::RecordCreated(write);
    let first = ObjectCommand::RecordNotification(first);
    let (object, events) = after([first.clone(), write.clone()]);
    assert_eq!(types(&events), ["NotificationDisregarded"]);
    assert_eq!(object.state.versions, 1);
    assert_eq!(
        object.state.recent[0].version.stamp,
        Some(Uuid::from_u128(7))
    );
    // Proposed again, after a crash, it is no news; and the next write of the same is one.
    let (_, events) = after([first.clone(), write.clone(), write.clone()]);
    assert!(events.is_empty(), "{events:?}");
    let next = RecordCreated {
        version: ObjectVersion {
            stamp: Some(Uuid::from_u128(8)),
            ..plain(1)
        },
        ..created(version(1), Channel::Gateway)
    };
    let (_, events) = after([first, write, ObjectCommand::RecordCreated(next)]);
    assert_eq!(types(&events), ["ObjectCreated"]);
}

/// By a rule of the config.
fn filtered(told: RecordNotification) -> RecordNotification {
    RecordNotification {
        ignored: Some(IgnoredBy {
            reason: reasons::PREFIX,
            why: "nobody wants what is below tmp/".to_owned(),
        }),
        ..told
    }
}

#[test]
fn what_is_ignored_by_a_rule_says_which() {
    let ignored = filtered(told(plain(1), "10"));
    let (object, events) = after([ObjectCommand::RecordNotification(ignored.clone())]);
    let [ObjectEvent::NotificationDisregarded(event)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(
        (event.verdict, event.reason.as_deref()),
        (Verdict::Ignored, Some("prefix"))
    );
    assert!(!object.state.present);
    let again = object.answer_to_repetition(&ignored);
    assert_eq!(
        (again.verdict, again.reason),
        (Some(Verdict::Ignored), Some("prefix"))
    );
}

#[test]
fn another_rule_judges_a_delivery_anew() {
    let event = told(plain(1), "10");
    // The filter was too narrow, and the event is sent once more.
    let object = check(
        [
            filtered(event.clone()),
            filtered(event.clone()),
            event.clone(),
            event.clone(),
            // What was taken is known, whatever the filter says now.
            filtered(event),
        ],
        &[IGNORED, IGNORED, ACCEPTED, DUPLICATE, DUPLICATE],
    );
    assert_eq!(object.state.versions, 1);
    // A removal that is ignored says nothing about the object.
    let object = check(
        [
            filtered(gone(plain(1), "20")),
            told(plain(1), "10"),
            filtered(gone(with_id(2, "v2"), "30")),
            told(with_id(2, "v2"), "25"),
        ],
        &[IGNORED, ACCEPTED, IGNORED, ACCEPTED],
    );
    assert!(object.state.present);
}

/// A channel that says nothing of the order, as those of R2 and B2.
fn without_order(told: RecordNotification) -> RecordNotification {
    RecordNotification {
        order: None,
        ..by("cloudflare:r2", told)
    }
}

/// Write number so many, half a second after the one before.
fn write(number: u32, version: ObjectVersion) -> RecordNotification {
    let told = told(version, &format!("{number:08x}"));
    let time = moment(0) + jiff::SignedDuration::from_millis(500 * i64::from(number));
    RecordNotification {
        told: super::super::Told {
            event_time: Some(time),
            ..told.told
        },
        ..told
    }
}

/// After more writes than are remembered, a first delivery of any of them once more is no version,
/// whether the store gives versions or not, and whatever the order of deliveries was.
#[test]
fn what_is_forgotten_is_not_recorded_a_second_time() {
    let plainly: Vec<_> = (0..40).map(|n| without_order(write(n, plain(n)))).collect();
    let with_ids = |n: u32| without_order(write(n, with_id(n, &format!("v{n}"))));
    let with_ids: Vec<_> = (0..40).map(with_ids).collect();
    let equal: Vec<_> = (0..40).map(|n| without_order(write(n, plain(1)))).collect();
    let mut shuffled = with_ids.clone();
    shuffled.sort_by_key(|it| it.told.identity);
    for story in [plainly, with_ids, equal, shuffled] {
        let (object, first) = verdicts(story.clone());
        let accepted = first.iter().filter(|verdict| verdict.is_none()).count() as u64;
        assert_eq!(object.state.versions, accepted);
        let again = story.iter().cloned().chain(story.iter().rev().cloned());
        let (after, _) = verdicts(story.iter().cloned().chain(again));
        assert_eq!(after.state.versions, accepted);
        // The next write is news all the same.
        let next = without_order(write(41, with_id(41, "v41")));
        let (next, _) = verdicts(story.into_iter().chain([next]));
        assert_eq!(next.state.versions, accepted + 1);
    }
}

/// The gateway wrote more than is remembered before the store told of the first write.
#[test]
fn what_the_gateway_wrote_long_before_it_is_told_of_is_not_a_second_version() {
    let written = |n: u32| {
        let told = write(n, plain(n));
        let version = ObjectVersion {
            stamp: Some(Uuid::from_u128(u128::from(n))),
            modified_at: told.told.event_time,
            ..plain(n)
        };
        ObjectCommand::RecordCreated(RecordCreated {
            order: Some(OrderMark {
                authority: "gateway".to_owned(),
                sequencer: format!("{n:08x}"),
            }),
            ..created(version, Channel::Gateway)
        })
    };
    let (object, _) = after((0..40).map(written));
    assert_eq!(object.state.versions, 40);
    let channels: [fn(RecordNotification) -> RecordNotification; 2] = [without_order, |told| told];
    for channel in channels {
        let mut object = object.clone();
        for n in 0..40 {
            let told = at_gateway(channel(write(n, plain(n))));
            let events = object.decide(ObjectCommand::RecordNotification(told), &context());
            object = events.unwrap().iter().fold(object, StoredObject::evolve);
        }
        assert_eq!(object.state.versions, 40);
        // Nobody else's write, either, where it came later.
        let around = at_gateway(channel(write(400, plain(400))));
        let around = object.decide(ObjectCommand::RecordNotification(around), &context());
        assert_eq!(types(&around.unwrap()), ["ObjectCreated"]);
    }
}

/// The newest event of a channel, while other channels told of more than is remembered since.
#[test]
fn a_repetition_of_a_channels_newest_event_is_no_news_after_others_told_of_much() {
    let first = told(plain(1), "10");
    let others = (2..40).map(|n| by("aws:s3/eventbridge", told(plain(n), &format!("{n:04x}"))));
    let story = [first.clone()].into_iter().chain(others).chain([first]);
    let (object, verdicts) = verdicts(story);
    assert_eq!(verdicts.last(), Some(&STALE));
    assert_eq!(object.state.versions, 39);
}

/// What only a listing knows of, written so many seconds into the story.
fn found_by_listing(object: StoredObject, second: i64, version: ObjectVersion) -> StoredObject {
    let version = ObjectVersion {
        modified_at: Some(moment(second)),
        ..version
    };
    let listed = ObjectCommand::RecordListed(RecordListed {
        latest: true,
        newest: object.state.object().cloned(),
        created: created(version, Channel::Listing),
    });
    let events = object.decide(listed, &context()).unwrap();
    assert_eq!(types(&events), ["ObjectCreated"]);
    events.iter().fold(object, StoredObject::evolve)
}

/// A reconcile found the newest write, and what is told afterwards is from before it: by no mark, since
/// a listing gives none, but by the store's own time.
#[test]
fn what_is_told_after_a_listing_and_older_than_it_is_no_news() {
    let late_write = at(30, told(plain(1), "30"));
    let late_removal = at(40, gone(plain(1), "40"));
    let own = at(60, told(plain(1), "60"));
    for orderless in [false, true] {
        let channel = |told: RecordNotification| match orderless {
            true => without_order(told),
            false => told,
        };
        let (object, _) = verdicts([channel(at(10, told(plain(7), "10")))]);
        let mut object = found_by_listing(object, 60, plain(1));
        for (told, expect) in [
            (&late_removal, IGNORED),
            // The same content as what was found, and not that write.
            (&late_write, STALE),
            (&own, DUPLICATE),
            (&late_write, STALE),
        ] {
            let command = ObjectCommand::RecordNotification(channel(told.clone()));
            let events = object.decide(command, &context()).unwrap();
            object = events.iter().fold(object, StoredObject::evolve);
            if let [ObjectEvent::NotificationDisregarded(event)] = &events[..] {
                assert_eq!(Some(event.verdict), expect, "{event:?}");
            } else {
                assert!(events.is_empty(), "{events:?}");
            }
        }
        assert!(object.state.present);
        assert_eq!(object.state.versions, 2);
    }
}

#[test]
fn what_is_remembered_is_bounded() {
    let story = (0..500_u32).flat_map(|number| {
        let sequencer = format!("{number:08x}");
        let late = format!("{:08x}", number / 2);
        [
            told(plain(number), &sequencer),
            told(plain(number + 1_000), &late),
        ]
    });
    let mut channels: Vec<_> = (0..40)
        .map(|number| by(&format!("aws:s3/{number}"), told(with_id(1, "v1"), "01")))
        .collect();
    channels.extend(story);
    let (object, _) = verdicts(channels);
    let state = &object.state;
    assert_eq!(state.recent.len(), super::super::REMEMBERED_VERSIONS);
    assert_eq!(
        state.disregarded.len(),
        super::super::REMEMBERED_DISREGARDED
    );
    assert_eq!(state.others.len(), super::super::OTHER_MARKS);
    let told = state.recent.iter().map(|known| known.told.len()).max();
    assert!(told <= Some(super::super::REMEMBERED_TELLINGS));
}

/// What happens at a store: writes and removals of one key, each with its place in the order.
#[derive(Clone, Copy, Debug)]
enum Act {
    Write(u32),
    Remove,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (0..3_u32).prop_map(Act::Write),
        1 => Just(Act::Remove),
    ];
    prop::collection::vec(act, 1..12)
}

/// The notification of the act at a place, with or without version ids.
fn telling_of(acts: &[Act], place: usize, ids: bool) -> RecordNotification {
    let sequencer = format!("{place:04x}");
    let id = format!("v{place}");
    match acts[place] {
        Act::Write(content) if ids => told(with_id(content, &id), &sequencer),
        Act::Write(content) => told(plain(content), &sequencer),
        Act::Remove => RecordNotification {
            event_name: "ObjectRemoved:DeleteMarkerCreated".to_owned(),
            ..gone(
                ObjectVersion {
                    version_id: ids.then_some(id),
                    ..ObjectVersion::default()
                },
                &sequencer,
            )
        },
    }
}

proptest! {
    /// One channel, delivered in any order, some lost, each up to five times: a version is accepted
    /// if and only if it came before everything newer, once; and at the end the object is there
    /// as the newest that was delivered says.
    #[test]
    fn deliveries_of_one_channel_follow_the_simple_model(
        acts in acts(),
        ids: bool,
        picks in prop::collection::vec(any::<prop::sample::Index>(), 1..60),
    ) {
        let places: Vec<usize> = picks.iter().map(|pick| pick.index(acts.len())).collect();
        let story = places.iter().map(|place| telling_of(&acts, *place, ids));
        let (object, verdicts) = verdicts(story);
        let mut highest: Option<usize> = None;
        let mut accepted = BTreeMap::new();
        for (place, verdict) in places.iter().zip(&verdicts) {
            let expect = match acts[*place] {
                Act::Remove => IGNORED,
                Act::Write(_) if accepted.contains_key(place) => DUPLICATE,
                Act::Write(_) if highest.is_some_and(|highest| *place < highest) => STALE,
                Act::Write(_) => {
                    accepted.insert(*place, ());
                    ACCEPTED
                }
            };
            prop_assert_eq!(*verdict, expect, "act {} of {:?}, delivered as {:?}", place, acts, places);
            highest = highest.max(Some(*place));
        }
        prop_assert_eq!(object.state.versions, accepted.len() as u64);
        let newest = highest.map(|place| acts[place]);
        prop_assert_eq!(object.state.present, matches!(newest, Some(Act::Write(_))));
    }

    /// Two channels tell of the same writes, each in its own order of delivery and with its own
    /// sequencers: with version ids each write is one version at most, and one that both told of
    /// is accepted once.
    #[test]
    fn two_channels_make_no_second_version(
        contents in prop::collection::vec(0..2_u32, 1..8),
        picks in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 1..40),
    ) {
        let acts: Vec<_> = contents.into_iter().map(Act::Write).collect();
        let story: Vec<_> = picks
            .iter()
            .map(|(pick, bridge)| {
                let place = pick.index(acts.len());
                let told = telling_of(&acts, place, true);
                (place, if *bridge { by("aws:s3/eventbridge", told) } else { told })
            })
            .collect();
        let (object, verdicts) = verdicts(story.iter().map(|(_, told)| told.clone()));
        let mut accepted = BTreeMap::<usize, u32>::new();
        for ((place, _), verdict) in story.iter().zip(verdicts) {
            if verdict == ACCEPTED {
                *accepted.entry(*place).or_default() += 1;
            }
        }
        prop_assert!(accepted.values().all(|times| *times == 1), "{accepted:?}");
        prop_assert_eq!(object.state.versions, accepted.len() as u64);
    }

    /// A notification handled again decides nothing but, once, the verdict on the repetition.
    #[test]
    fn a_retry_decides_nothing_new(
        acts in acts(),
        ids: bool,
        gateway: bool,
        picks in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 1..20),
    ) {
        let commands = picks.iter().map(|(pick, bridge)| {
            let told = telling_of(&acts, pick.index(acts.len()), ids);
            let told = if *bridge { by("aws:s3/eventbridge", told) } else { told };
            ObjectCommand::RecordNotification(if gateway { at_gateway(told) } else { told })
        });
        let commands: Vec<_> = commands.collect();
        let last = commands.last().cloned().unwrap();
        let (object, _) = after(commands);
        let again = object.decide(last.clone(), &context()).unwrap();
        let news = again
            .iter()
            .any(|event| !matches!(event, ObjectEvent::NotificationDisregarded(_)));
        prop_assert!(!news, "{again:?}");
        let object = again.iter().fold(object, StoredObject::evolve);
        prop_assert!(object.decide(last, &context()).unwrap().is_empty());
    }
}

#[test]
fn the_gateways_own_removal_is_told_of_and_changes_nothing() {
    let write = ObjectCommand::RecordCreated(created(version(1), Channel::Gateway));
    let told = at_gateway(gone(ObjectVersion::default(), "20"));
    let (object, events) = after([
        write,
        removed(None),
        ObjectCommand::RecordNotification(told),
    ]);
    assert_eq!(types(&events), ["NotificationDisregarded"]);
    assert!(!object.state.present);
}
