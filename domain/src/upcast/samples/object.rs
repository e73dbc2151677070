//! Samples of an object's events.

use super::{name, time, uuid};
use crate::stored_object::{
    Channel, Forgotten, NotificationDisregarded, ObjectCreated, ObjectEvent, ObjectRemoved,
    ObjectState, ObjectVersion, OrderMark, ProducedBy, Remembered, Telling, Told, Verdict,
};
use crate::{Chain, ExecutionId};

pub(super) fn samples() -> Vec<(&'static str, ObjectEvent)> {
    let mut samples = vec![
        ("forgotten", created(true).into()),
        ("bare", created(false).into()),
        (
            "shadow-forgotten",
            ObjectCreated {
                produced_by: Some(in_shadow()),
                ..created(true)
            }
            .into(),
        ),
        ("forgotten", removed(true).into()),
        (
            "shadow-forgotten",
            ObjectRemoved {
                removed_by: Some(in_shadow()),
                ..removed(true)
            }
            .into(),
        ),
        ("bare", removed(false).into()),
    ];
    for (name, verdict, channel) in [
        ("forgotten", Verdict::Duplicate, Channel::Gateway),
        ("forgotten-stale", Verdict::Stale, Channel::Watcher),
        ("forgotten-ignored", Verdict::Ignored, Channel::Listing),
    ] {
        samples.push((name, disregarded(verdict, channel, true).into()));
    }
    let bare = disregarded(Verdict::Duplicate, Channel::Gateway, false);
    samples.push(("bare", bare.into()));
    samples
}

fn created(full: bool) -> ObjectCreated {
    ObjectCreated {
        bucket: name("inbox"),
        key: name("a/b c.txt"),
        version: version(full),
        channel: Channel::Notification("aws:s3".to_owned()),
        event_name: "ObjectCreated:Put".to_owned(),
        order: full.then(order),
        produced_by: full.then(producer),
        repeated: full,
        older: full,
        told: full.then(told),
        state: state(full),
    }
}

fn removed(full: bool) -> ObjectRemoved {
    ObjectRemoved {
        bucket: name("inbox"),
        key: name("a/b c.txt"),
        version: version(full),
        channel: Channel::Gateway,
        event_name: "ObjectRemoved:Delete".to_owned(),
        order: full.then(order),
        removed_by: full.then(producer),
        told: full.then(told),
        state: state(full),
    }
}

fn disregarded(verdict: Verdict, channel: Channel, full: bool) -> NotificationDisregarded {
    NotificationDisregarded {
        bucket: name("inbox"),
        key: name("a/b c.txt"),
        verdict,
        why: "it was recorded before".to_owned(),
        version: version(full),
        channel,
        reason: full.then(|| "repeated-delivery".to_owned()),
        told: full.then(told),
        repeats: if full { 10 } else { 0 },
        state: state(full),
    }
}

fn version(full: bool) -> ObjectVersion {
    ObjectVersion {
        version_id: full.then(|| "v7".to_owned()),
        etag: full.then(|| "0cc175b9c0f1b6a831c399e269772661".to_owned()),
        size: full.then_some(17),
        modified_at: full.then(time),
        stamp: full.then(|| uuid(1)),
    }
}

fn state(full: bool) -> ObjectState {
    ObjectState {
        present: full,
        versions: 1,
        highest: full.then(order),
        others: if full { vec![order()] } else { Vec::new() },
        recent: [Remembered {
            version: version(full),
            removed: full,
            execution: full.then(|| ExecutionId(uuid(2))),
            order: full.then(order),
            verdict_given: full,
            told: if full { vec![telling()] } else { Vec::new() },
        }]
        .into(),
        disregarded: full.then(telling).into_iter().collect(),
        forgotten: full.then(|| Forgotten {
            until: time(),
            told_by: vec!["azure:blob".to_owned()],
        }),
    }
}

fn order() -> OrderMark {
    OrderMark {
        authority: "gateway".to_owned(),
        sequencer: "0055AED6DCD90281E5".to_owned(),
    }
}

fn told() -> Told {
    Told {
        source: "azure:blob".to_owned(),
        event_name: "Microsoft.Storage.BlobCreated".to_owned(),
        account: Some("ledgerlanding".to_owned()),
        bucket: Some("landing".to_owned()),
        sequencer: Some("00000000000004420000000000028963".to_owned()),
        event_time: Some(time()),
        region: Some("eu-west-1".to_owned()),
        identity: uuid(3),
    }
}

fn telling() -> Telling {
    Telling {
        channel: "azure:blob".to_owned(),
        event: uuid(3),
        sequencer: Some("0055AED6DCD90281E5".to_owned()),
        at: Some(time()),
        removed_version: Some("v7".to_owned()),
        repeats: 10,
        filtered: true,
    }
}

fn producer() -> ProducedBy {
    ProducedBy {
        execution: ExecutionId(uuid(2)),
        function: name("uppercase"),
        attempt: 3,
        chain: Chain::default().and_then(&name("uppercase")),
        shadow: None,
    }
}

fn in_shadow() -> ProducedBy {
    ProducedBy {
        shadow: Some(name("6f1c3b0e-7c53-4e5c-9c0f-2f5a8f0f9b11")),
        ..producer()
    }
}
