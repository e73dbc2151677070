//! Generated sequences of writes at a store, and how the store tells of them: each up to five times,
//! one in ten not at all, and in an order in which an event comes up to a thousand others too late.

use daybook_domain::stored_object::ObjectVersion;
use daybook_domain::{BucketName, ObjectKey};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::shelf::Shelf;

/// How many deliveries may overtake one.
const WINDOW: u64 = 1_000;

/// Pseudo-random numbers (Steele, Lea and Flood, "Fast splittable pseudorandom number generators").
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// The kinds of stores, with the bucket of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// An order and no versions.
    S3,
    /// An order and versions.
    S3Versioned,
    /// Neither.
    R2,
    /// Versions, and no order.
    B2,
}

impl Kind {
    pub(super) const ALL: [Kind; 4] = [Kind::S3, Kind::S3Versioned, Kind::R2, Kind::B2];

    pub(super) fn bucket(self) -> BucketName {
        let name = match self {
            Kind::S3 => "plain",
            Kind::S3Versioned => "versioned",
            Kind::R2 => "arrtwo",
            Kind::B2 => "beetwo",
        };
        name.parse().unwrap()
    }

    fn keeps_versions(self) -> bool {
        matches!(self, Kind::S3Versioned | Kind::B2)
    }
}

/// What happened at a store, at a time of its own.
#[derive(Clone, Debug)]
pub(super) struct Happened {
    pub(super) kind: Kind,
    pub(super) key: ObjectKey,
    pub(super) at: Timestamp,
    /// What was written; `None` for a removal, or a marker.
    pub(super) written: Option<ObjectVersion>,
    number: u64,
}

/// Some sequences of writes, side by side.
pub(super) fn happen(random: &mut Random, sequences: u64) -> (Vec<Happened>, Shelf) {
    let mut open: Vec<(Kind, ObjectKey, u64)> = (0..sequences)
        .map(|number| {
            let kind = Kind::ALL[random.below(4) as usize];
            let folder = ["in", "out"][random.below(2) as usize];
            let key = format!("{folder}/k{number:06}").parse().unwrap();
            // Now and then more than is remembered of a key.
            let writes = match random.below(40) {
                0 => 20 + random.below(20),
                _ => 1 + random.below(6),
            };
            (kind, key, writes)
        })
        .collect();
    let (mut all, mut shelf, mut number) = (Vec::new(), Shelf::default(), 0);
    while !open.is_empty() {
        let place = random.below(open.len() as u64) as usize;
        let (kind, key, left) = &mut open[place];
        *left -= 1;
        number += 1;
        // Content that is written again is far enough away from itself.
        let at = Timestamp::from_second(1_772_619_072 + 15 * number).unwrap();
        let version = ObjectVersion {
            version_id: kind.keeps_versions().then(|| format!("v{number}")),
            etag: (*kind != Kind::B2).then(|| format!("e{}", random.below(3))),
            size: Some(3),
            modified_at: Some(at),
            stamp: None,
        };
        let written = (random.below(7) > 0).then_some(version);
        let keys = shelf.0.entry(kind.bucket()).or_default();
        let stack = keys.entry(key.clone()).or_default();
        if !kind.keeps_versions() {
            stack.clear();
        }
        if written.is_some() || kind.keeps_versions() {
            stack.insert(0, written.clone());
        }
        all.push(Happened {
            kind: *kind,
            key: key.clone(),
            at,
            written,
            number: number.unsigned_abs(),
        });
        if *left == 0 {
            open.swap_remove(place);
        }
    }
    (all, shelf)
}

/// In which order what happened is delivered: places in the list, each as often as it comes.
pub(super) fn deliveries(random: &mut Random, happened: usize) -> Vec<usize> {
    let mut deliveries: Vec<(u64, usize)> = Vec::new();
    let mut at = 0;
    for place in 0..happened {
        if random.below(10) == 0 {
            continue;
        }
        for _ in 0..=random.below(5) {
            at += 1;
            deliveries.push((at + random.below(WINDOW), place));
        }
    }
    deliveries.sort_unstable();
    deliveries.into_iter().map(|(_, place)| place).collect()
}

/// The documents that tell of some of it: one for each dialect.
pub(super) fn documents(told: &[&Happened]) -> Vec<Value> {
    let of = |kinds: &[Kind]| -> Vec<&&Happened> {
        let told = told.iter();
        told.filter(|it| kinds.contains(&it.kind)).collect()
    };
    let s3: Vec<_> = of(&[Kind::S3, Kind::S3Versioned])
        .into_iter()
        .map(|it| of_s3(it))
        .collect();
    let b2: Vec<_> = of(&[Kind::B2]).into_iter().map(|it| of_b2(it)).collect();
    let mut documents: Vec<_> = of(&[Kind::R2]).into_iter().map(|it| of_r2(it)).collect();
    if !s3.is_empty() {
        documents.push(json!({ "Records": s3 }));
    }
    if !b2.is_empty() {
        documents.push(json!({ "events": b2 }));
    }
    documents
}

fn of_s3(it: &Happened) -> Value {
    let name = match (&it.written, it.kind) {
        (Some(_), _) => "ObjectCreated:Put",
        (None, Kind::S3Versioned) => "ObjectRemoved:DeleteMarkerCreated",
        (None, _) => "ObjectRemoved:Delete",
    };
    let mut object = json!({ "key": it.key.as_str(), "sequencer": format!("{:016X}", it.number) });
    if let Some(version) = &it.written {
        object["size"] = version.size.into();
        object["eTag"] = version.etag.clone().into();
    }
    if it.kind == Kind::S3Versioned {
        object["versionId"] = format!("v{}", it.number).into();
    }
    json!({
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-west-1",
        "eventTime": it.at.to_string(), "eventName": name,
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": { "name": it.kind.bucket(), "arn": format!("arn:aws:s3:::{}", it.kind.bucket()) },
            "object": object,
        },
    })
}

fn of_r2(it: &Happened) -> Value {
    let mut object = json!({ "key": it.key.as_str() });
    if let Some(version) = &it.written {
        object["size"] = version.size.into();
        object["eTag"] = version.etag.clone().into();
    }
    let action = match it.written {
        Some(_) => "PutObject",
        None => "DeleteObject",
    };
    json!({
        "account": "0123", "action": action, "bucket": it.kind.bucket(), "object": object,
        "eventTime": it.at.to_string(),
    })
}

fn of_b2(it: &Happened) -> Value {
    let name = match it.written {
        Some(_) => "b2:ObjectCreated:Upload",
        None => "b2:HideMarkerCreated:Hide",
    };
    json!({
        "accountId": "0123", "bucketId": "b1", "bucketName": it.kind.bucket(),
        "eventId": format!("e{}", it.number), "eventTimestamp": it.at.as_millisecond(),
        "eventType": name, "eventVersion": 1, "matchedRuleName": "all",
        "objectName": it.key.as_str(), "objectSize": it.written.as_ref().and_then(|it| it.size),
        "objectVersionId": format!("v{}", it.number),
    })
}
