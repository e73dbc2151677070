//! The intake over the memory log, with what S3 sends.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use daybook_domain::stored_object::{OrderRule, StoredObject};
use daybook_event_store::blobs::BlobStore;
use daybook_event_store::memory::MemoryEventLog;
use daybook_event_store::{EventLog, Position, RecordedEvent};
use daybook_intake::{CertificateError, Certificates};
use serde_json::json;

use super::*;
use crate::gated_log::{Gate, GatedLog};

/// Lines `name key sequencer etag` as the records of one message of S3.
fn message(lines: &str) -> String {
    let record = |line: &str| {
        let [name, key, sequencer, etag] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        json!({
            "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-west-1",
            "eventTime": "2026-03-04T10:11:12.345Z", "eventName": name,
            "s3": {
                "s3SchemaVersion": "1.0",
                "bucket": { "name": "ord", "arn": "arn:aws:s3:::ord" },
                "object": { "key": key, "size": 3, "eTag": etag, "sequencer": sequencer },
            },
        })
    };
    let records: Vec<_> = lines.lines().map(record).collect();
    json!({ "Records": records }).to_string()
}

struct Given {
    intake: Intake,
    log: Arc<dyn EventLog>,
    _dir: tempfile::TempDir,
}

fn given(config: IntakeConfig) -> Given {
    let dir = tempfile::tempdir().unwrap();
    let blobs = BlobStore::open(dir.path().to_str().unwrap()).unwrap();
    let log = MemoryEventLog::new();
    let ledger = Ledger::new(log.clone(), blobs, false);
    Given {
        intake: Intake::new(ledger, Arc::new(NoSns), config).unwrap(),
        log,
        _dir: dir,
    }
}

fn delivery(transport: Transport, lines: &str) -> Delivery {
    Delivery {
        transport,
        method: "POST".to_owned(),
        headers: Vec::new(),
        query: Vec::new(),
        body: Bytes::from(message(lines)),
    }
}

impl Given {
    async fn deliver(&self, body: &str) -> Delivered {
        let delivery = delivery(Transport::Http, body);
        self.intake.deliver(None, delivery).await
    }

    async fn verdicts(&self, body: &str) -> Vec<Answered> {
        let delivered = self.deliver(body).await;
        let records = delivered.records.iter();
        records.map(|record| record.verdict.unwrap()).collect()
    }

    async fn recorded(&self) -> Vec<RecordedEvent> {
        self.log.read_all(Position::START, 10_000).await.unwrap()
    }
}

#[tokio::test]
async fn each_record_gets_its_verdict_in_its_place() {
    let given = given(IntakeConfig::default());
    let body = "ObjectCreated:Put a 02 x\nObjectCreated:Put b 01 x\nObjectCreated:Put a 02 x\nObjectCreated:Put a 01 y\nObjectRemoved:Delete b 02 -\nObjectTagging:Put c 09 -";
    assert_eq!(
        given.verdicts(body).await,
        [
            Answered::Accepted,
            Answered::Accepted,
            Answered::Duplicate,
            Answered::Stale,
            Answered::Ignored,
            Answered::Ignored,
        ]
    );
    let events = given.recorded().await;
    let mut types: Vec<_> = events.iter().map(|it| it.event_type.to_string()).collect();
    types.sort();
    assert_eq!(
        types,
        [
            "NotificationDisregarded",
            "NotificationDisregarded",
            "NotificationDisregarded",
            "ObjectCreated",
            "ObjectCreated",
            "ObjectRemoved",
        ]
    );
    let ids: std::collections::HashSet<_> = events.iter().map(|it| it.event_id).collect();
    assert_eq!(ids.len(), events.len(), "each event has an id of its own");
    let actor = events[0].metadata.actor.as_deref();
    assert_eq!(actor, Some("notification:aws:s3"));
}

#[tokio::test]
async fn a_flood_of_repetitions_grows_the_log_by_its_logarithm() {
    let given = given(IntakeConfig::default());
    let body = "ObjectCreated:Put a 01 x";
    assert_eq!(given.verdicts(body).await, [Answered::Accepted]);
    for _ in 0..1_000 {
        assert_eq!(given.verdicts(body).await, [Answered::Duplicate]);
    }
    // The arrival, and the repetitions 1, 10, 100 and 1000.
    let events = given.recorded().await;
    assert_eq!(events.len(), 5);
    let last: serde_json::Value = serde_json::from_slice(&events[4].data).unwrap();
    assert_eq!(last["repeats"], 1_000);
    let ids: std::collections::HashSet<_> = events.iter().map(|it| it.event_id).collect();
    assert_eq!(ids.len(), 5);
}

#[tokio::test]
async fn another_process_goes_on_where_the_log_is() {
    let first = given(IntakeConfig::default());
    first.verdicts("ObjectCreated:Put a 01 x").await;
    first.verdicts("ObjectCreated:Put a 01 x").await;
    let blobs = BlobStore::open(first._dir.path().to_str().unwrap()).unwrap();
    let ledger = Ledger::new(first.log.clone(), blobs, false);
    let second = Intake::new(ledger, Arc::new(NoSns), IntakeConfig::default()).unwrap();
    for _ in 0..5 {
        let delivery = delivery(Transport::Sqs, "ObjectCreated:Put a 01 x");
        let delivered = second.deliver(None, delivery).await;
        assert_eq!(delivered.records[0].verdict, Some(Answered::Duplicate));
        assert!(delivered.records[0].settled);
    }
    assert_eq!(first.recorded().await.len(), 2);
}

#[tokio::test]
async fn what_does_not_fit_is_turned_away_and_leaves_nothing() {
    let limits = AdmissionLimits {
        bytes: 1_000,
        ..AdmissionLimits::default()
    };
    let given = given(IntakeConfig {
        limits,
        ..IntakeConfig::default()
    });
    let held = given
        .intake
        .0
        .admission
        .bytes(900, false)
        .await
        .ok()
        .unwrap();
    let delivered = given.deliver("ObjectCreated:Put a 01 x").await;
    assert_eq!(delivered.response.status, 429);
    let headers = &delivered.response.headers;
    assert!(headers.iter().any(|(name, _)| name == "retry-after"));
    assert!(delivered.unavailable.is_some());
    assert!(given.recorded().await.is_empty());
    drop(held);
    assert_eq!(
        given.verdicts("ObjectCreated:Put a 01 x").await,
        [Answered::Accepted]
    );
}

#[tokio::test]
async fn buckets_go_by_the_name_that_the_store_gives_them() {
    let known = |name: &str, at_store: Option<&str>| KnownBucket {
        name: name.parse().unwrap(),
        at_store: at_store.map(str::to_owned),
        order: OrderRule::Gateway,
        filters: Vec::new(),
    };
    let gcs: SourceName = "gcs".parse().unwrap();
    let renamed = [("ord".to_owned(), "landing".parse().unwrap())];
    let buckets = Buckets::new(
        vec![known("orders", Some("ord")), known("landing", None)],
        [(gcs.clone(), renamed.into())].into(),
        UnknownBuckets::Ignore,
    );
    let check = |source: Option<&SourceName>, there: &str, expect: Option<&str>| {
        let expect = match expect {
            Some(name) => Mapped::To(name.parse().unwrap(), OrderRule::Gateway),
            None => Mapped::Ignored,
        };
        assert_eq!(buckets.find(source, &there.parse().unwrap()), expect);
    };
    check(None, "ord", Some("orders"));
    check(None, "orders", Some("orders"));
    check(Some(&gcs), "ord", Some("landing"));
    check(None, "other", None);
}

#[tokio::test]
async fn outputs_of_shadows_are_ignored_where_the_gateway_records_them() {
    let known = |order| IntakeConfig {
        buckets: vec![KnownBucket {
            name: "ord".parse().unwrap(),
            at_store: None,
            order,
            filters: Vec::new(),
        }],
        ..IntakeConfig::default()
    };
    let beside = given(known(OrderRule::Gateway));
    let below = "ObjectCreated:Put shadow/1/a 01 x\nObjectCreated:Put shadow%2F1%2Fb 01 x\n\
                 ObjectRemoved:Delete shadow/1/c 01 -";
    // Again, for one that was delivered before is answered in the same way.
    for _ in 0..2 {
        let delivered = beside.deliver(below).await;
        assert_eq!(delivered.records.len(), 3);
        for record in &delivered.records {
            assert_eq!(record.verdict, Some(Answered::Ignored));
            assert_eq!(record.reason.as_deref(), Some("shadow"));
            let why = record.detail.as_deref().unwrap();
            assert!(why.contains("below shadow/"), "{why}");
        }
    }
    let events = beside.recorded().await;
    assert!(
        events
            .iter()
            .all(|it| &*it.event_type == "NotificationDisregarded"),
        "{events:?}"
    );
    // Only what lies below the folder of that name at the top.
    let elsewhere = "ObjectCreated:Put shadow 01 x\nObjectCreated:Put shadows/a 01 x\n\
                     ObjectCreated:Put in/shadow/a 01 x";
    assert_eq!(beside.verdicts(elsewhere).await, [Answered::Accepted; 3]);
    // Nobody runs aside in a bucket whose writes do not go through the gateway.
    let told = given(known(OrderRule::Notification));
    let verdicts = told.verdicts("ObjectCreated:Put shadow/1/a 01 x").await;
    assert_eq!(verdicts, [Answered::Accepted]);
}

#[tokio::test]
async fn the_answer_has_every_member() {
    let given = given(IntakeConfig::default());
    let delivered = given.deliver("ObjectCreated:Put a 01 x").await;
    let body: serde_json::Value = serde_json::from_slice(&delivered.response.body).unwrap();
    assert_eq!(delivered.response.status, 200);
    assert_eq!(
        body["records"][0],
        serde_json::json!({
            "verdict": "accepted", "reason": null, "detail": null,
            "source": "aws:s3", "account": null, "bucket": "ord", "key": "a", "versionId": null,
            "etag": "x", "size": 3, "sequencer": "01", "eventTime": "2026-03-04T10:11:12.345Z",
            "eventName": "ObjectCreated:Put", "region": "eu-west-1", "position": 1,
        })
    );
}

#[tokio::test]
async fn the_state_after_a_delivery_is_the_objects() {
    let given = given(IntakeConfig::default());
    given
        .verdicts("ObjectCreated:Put a 01 x\nObjectCreated:Put a 02 y")
        .await;
    let object: Option<StoredObject> = given.intake.0.ledger.load("object-ord/a").await.unwrap();
    let state = object.unwrap().state;
    assert_eq!((state.versions, state.present), (2, true));
}

#[tokio::test]
async fn what_the_log_does_not_take_is_not_acknowledged_and_comes_again() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = BlobStore::open(dir.path().to_str().unwrap()).unwrap();
    let log = GatedLog::open();
    let ledger = Ledger::new(log.clone(), blobs, false);
    let intake = Intake::new(ledger, Arc::new(NoSns), IntakeConfig::default()).unwrap();
    let lines = "ObjectCreated:Put a 01 x\nObjectCreated:Put a 02 y\nObjectCreated:Put b 01 x";
    let deliver = || intake.deliver(None, delivery(Transport::Http, lines));
    log.set(Gate::Away);
    let delivered = deliver().await;
    assert_eq!(delivered.response.status, 503);
    assert!(delivered.records.iter().all(|record| !record.settled));
    assert!(delivered.messages.iter().all(|message| !message.settled));
    let headers = &delivered.response.headers;
    assert!(headers.iter().any(|(name, _)| name == "retry-after"));
    log.set(Gate::Open);
    let delivered = deliver().await;
    assert_eq!(delivered.response.status, 200);
    let accepted = Some(Answered::Accepted);
    assert!(
        delivered
            .records
            .iter()
            .all(|record| record.verdict == accepted)
    );
}

/// SNS that is asked, and may not answer.
#[derive(Default)]
struct Asked {
    times: AtomicUsize,
    away: AtomicBool,
}

#[async_trait]
impl Certificates for Asked {
    async fn certificate(&self, _: &str) -> Result<Bytes, CertificateError> {
        Err(CertificateError::Refused("there is none".to_owned()))
    }
}

#[async_trait]
impl Sns for Asked {
    async fn confirm(&self, _: &str) -> Result<(), String> {
        self.times.fetch_add(1, Ordering::Relaxed);
        match self.away.load(Ordering::Relaxed) {
            true => Err("it is away".to_owned()),
            false => Ok(()),
        }
    }
}

#[tokio::test]
async fn a_subscription_is_confirmed_once_for_each_token() {
    let (sns, confirmed) = (Asked::default(), Confirmed::default());
    sns.away.store(true, Ordering::Relaxed);
    assert!(confirmed.confirm(&sns, "https://x", "t1").await.is_err());
    sns.away.store(false, Ordering::Relaxed);
    for token in ["t1", "t1", "t2", "t1"] {
        confirmed.confirm(&sns, "https://x", token).await.unwrap();
    }
    // The one that failed, and one for each token.
    assert_eq!(sns.times.load(Ordering::Relaxed), 3);
}
