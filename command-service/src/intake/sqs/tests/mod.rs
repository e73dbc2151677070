//! Consumers against a queue that speaks the protocol, over the memory log.

mod fake;

use std::sync::Arc;
use std::time::Duration;

use daybook_event_store::blobs::BlobStore;
use daybook_event_store::{EventLog, Position};
use daybook_functions::outbound::AwsAccess;
use serde_json::{Value, json};

use self::fake::FakeQueue;
use super::*;
use crate::commands::Ledger;
use crate::gated_log::{Gate, GatedLog};
use crate::intake::{IntakeConfig, NoSns, RejectedConfig, SourceConfig};

struct Given {
    queue: FakeQueue,
    log: Arc<GatedLog>,
    pullers: Pullers,
    intake: Intake,
    _dir: tempfile::TempDir,
}

/// A queue and one consumer of it, which has not begun.
async fn given(redrive: bool, change: impl FnOnce(&mut SqsQueue)) -> Given {
    given_within(redrive, change, |_| {}).await
}

/// The same with another intake.
async fn given_within(
    redrive: bool,
    change: impl FnOnce(&mut SqsQueue),
    change_intake: impl FnOnce(&mut IntakeConfig),
) -> Given {
    let queue = FakeQueue::start(redrive).await;
    let mut config = SqsQueue {
        name: "arrivals".to_owned(),
        url: queue.url(),
        endpoint: None,
        access: AwsAccess {
            region: "eu-central-1".to_owned(),
            profile: None,
            key: Some(("AKTEST".to_owned(), "planted-secret".to_owned())),
        },
        consumers: 1,
        batch: 10,
        wait: Duration::from_secs(20),
        visibility: Duration::from_secs(600),
        max_receives: 3,
        source: Some("stores".parse().unwrap()),
    };
    change(&mut config);
    assert!(!format!("{config:?}").contains("planted-secret"));
    let dir = tempfile::tempdir().unwrap();
    let blobs = BlobStore::open(dir.path().join("blobs").to_str().unwrap()).unwrap();
    let log = GatedLog::open();
    let ledger = Ledger::new(log.clone(), blobs, false);
    let mut intake = IntakeConfig {
        sources: [("stores".parse().unwrap(), SourceConfig::default())].into(),
        rejected: RejectedConfig {
            folder: Some(dir.path().join("rejected")),
            ..RejectedConfig::default()
        },
        ..IntakeConfig::default()
    };
    change_intake(&mut intake);
    Given {
        queue,
        log,
        pullers: Pullers::new(vec![config]).unwrap(),
        intake: Intake::new(ledger, Arc::new(NoSns), intake).unwrap(),
        _dir: dir,
    }
}

impl Given {
    fn begin(&mut self) {
        self.pullers.begin(&self.intake);
    }

    /// Begins, and waits until it is known that nobody else takes what cannot be read.
    async fn begin_without_redrive(&mut self) {
        self.begin();
        let queues = self.pullers.queues();
        self.queue
            .until("its attributes are known", |_| {
                queues.statuses()[0].redrive == Some(false)
            })
            .await;
    }

    fn status(&self) -> QueueStatus {
        self.pullers.queues().statuses().remove(0)
    }

    /// The bodies that are kept for inspection, newest first.
    fn kept(&self) -> Vec<String> {
        let listed = self.intake.rejected(100).into_iter();
        let whole = listed.filter_map(|it| self.intake.rejected_one(&it.id));
        whole.filter_map(|it| it.body).collect()
    }

    /// The keys that are on record, in the order of the log, and how often.
    async fn recorded(&self) -> Vec<String> {
        let events = self.log.read_all(Position::START, 1_000).await.unwrap();
        events
            .iter()
            .map(|event| event.stream.as_str().to_owned())
            .collect()
    }

    async fn stop(self) {
        self.pullers.stop(Duration::from_secs(60)).await;
    }
}

/// Messages: `create KEY` as S3 tells it, `test` as it tries a queue, or what nobody can read.
fn bodies(words: &[&str]) -> Vec<String> {
    let body = |word: &&str| match word.split_once(' ') {
        Some((_, key)) => json!({ "Records": [{
            "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-central-1",
            "eventTime": "2026-03-04T10:11:12.345Z", "eventName": "ObjectCreated:Put",
            "s3": {
                "s3SchemaVersion": "1.0",
                "bucket": { "name": "ord", "arn": "arn:aws:s3:::ord" },
                "object": { "key": key, "size": 3, "eTag": "e", "sequencer": "01" },
            },
        }] })
        .to_string(),
        None if *word == "test" => json!({
            "Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "ord",
            "Time": "2026-03-04T10:11:12.345Z", "RequestId": "r", "HostId": "h",
        })
        .to_string(),
        None => (*word).to_owned(),
    };
    words.iter().map(body).collect()
}

#[tokio::test]
async fn what_is_on_disk_is_deleted() {
    let mut given = given(true, |_| {}).await;
    given.queue.send(&bodies(&["create a", "test", "create b"]));
    given.begin();
    given
        .queue
        .until("all are deleted", |it| it.holds().is_empty())
        .await;
    let mut recorded = given.recorded().await;
    recorded.sort();
    assert_eq!(recorded, ["object-ord/a", "object-ord/b"]);

    let asked = given.queue.asked("ReceiveMessage").remove(0);
    let expected = json!({
        "QueueUrl": given.queue.url(), "MaxNumberOfMessages": 10, "WaitTimeSeconds": 20,
        "VisibilityTimeout": 600, "AttributeNames": ["ApproximateReceiveCount", "SentTimestamp"],
    });
    assert_eq!(asked.body, expected);
    let header = |name: &str| asked.headers[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "application/x-amz-json-1.0");
    let signature = header("authorization");
    assert!(
        signature.starts_with("AWS4-HMAC-SHA256 Credential=AKTEST/")
            && signature.contains("/eu-central-1/sqs/aws4_request")
            && signature.contains("x-amz-target"),
        "{signature}"
    );
    let deleted = given.queue.asked("DeleteMessageBatch");
    assert_eq!(deleted.len(), 1, "one request for all of a batch");
    let queues = given.pullers.queues();
    given.stop().await;
    let status = queues.statuses().remove(0);
    assert_eq!(
        (status.received, status.deleted, status.unreadable),
        (3, 3, 0)
    );
    assert_eq!(status.problem, None);
}

#[tokio::test]
async fn what_was_not_deleted_is_tried_again_and_what_is_gone_is_not() {
    let mut given = given(true, |_| {}).await;
    given
        .queue
        .send(&bodies(&["create a", "create b", "create c"]));
    given.queue.fail(
        "DeleteMessageBatch",
        200,
        json!({ "Failed": [
            { "Id": "0", "Code": "InternalError", "SenderFault": false },
            { "Id": "2", "Code": "ReceiptHandleIsInvalid", "SenderFault": true },
        ] }),
    );
    given.begin();
    given
        .queue
        .until("it is asked again", |it| {
            it.asked("DeleteMessageBatch").len() == 2
        })
        .await;
    let again = &given.queue.asked("DeleteMessageBatch")[1].body["Entries"];
    assert_eq!(*again, json!([{ "Id": "0", "ReceiptHandle": "m0:1" }]));
    given.stop().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_left_to_the_redrive_policy() {
    let mut given = given(true, |_| {}).await;
    given
        .queue
        .send(&bodies(&["create a", "rubbish", "create b"]));
    given.begin();
    given
        .queue
        .until("it came three times", |it| {
            it.asked("ChangeMessageVisibilityBatch").len() == 3
        })
        .await;
    assert_eq!(given.queue.holds(), ["m1"]);
    let hidden: Vec<Value> = given
        .queue
        .asked("ChangeMessageVisibilityBatch")
        .iter()
        .map(|asked| asked.body["Entries"][0]["VisibilityTimeout"].clone())
        .collect();
    assert_eq!(hidden, [1, 2, 4], "longer each time");
    let status = given.status();
    assert_eq!((status.unreadable, status.redrive), (3, Some(true)));
    given.stop().await;
}

#[tokio::test]
async fn without_a_redrive_policy_it_is_deleted_in_the_end() {
    let mut given = given(false, |queue| queue.max_receives = 2).await;
    given.queue.send(&bodies(&["rubbish"]));
    given.begin();
    given
        .queue
        .until("it is deleted", |it| it.holds().is_empty())
        .await;
    assert_eq!(given.queue.asked("ChangeMessageVisibilityBatch").len(), 1);
    let status = given.status();
    assert_eq!((status.unreadable, status.redrive), (2, Some(false)));
    assert_eq!(given.kept(), ["rubbish"]);
    given.stop().await;
}

#[tokio::test]
async fn what_there_is_no_room_to_keep_stays_in_the_queue() {
    let full: [fn(&mut IntakeConfig); 3] = [
        |intake| intake.rejected.a_second = 0,
        |intake| intake.rejected.most = 0,
        |intake| intake.rejected.most_bytes = 0,
    ];
    for full in full {
        let impatient = |queue: &mut SqsQueue| queue.max_receives = 1;
        let mut given = given_within(false, impatient, full).await;
        given.begin_without_redrive().await;
        given.queue.send(&bodies(&["rubbish", "create a"]));
        given
            .queue
            .until("it came more often than it may", |it| {
                it.asked("ChangeMessageVisibilityBatch").len() >= 2
            })
            .await;
        assert_eq!(
            (given.queue.holds(), given.kept().len()),
            (vec!["m0".to_owned()], 0)
        );
        assert_eq!(given.recorded().await, ["object-ord/a"]);
        given.stop().await;
    }
}

#[tokio::test]
async fn what_newer_ones_drove_out_is_kept_anew_before_it_is_deleted() {
    let impatient = |queue: &mut SqsQueue| queue.max_receives = 2;
    let mut given = given_within(false, impatient, |intake| intake.rejected.most = 1).await;
    given.begin_without_redrive().await;
    given.queue.send(&bodies(&["rubbish", "nonsense"]));
    given
        .queue
        .until("both are deleted", |it| it.holds().is_empty())
        .await;
    // Both came twice. The second time the one that is kept anew drives the other out, which comes for
    // a third time, then.
    assert_eq!(given.status().unreadable, 5);
    assert_eq!(given.queue.asked("DeleteMessageBatch").len(), 2);
    assert_eq!(given.kept().len(), 1, "the bound holds");
    given.stop().await;
}

#[tokio::test]
async fn what_is_too_much_together_is_judged_one_by_one() {
    let mut given = given_within(
        false,
        |queue| queue.max_receives = 1,
        |intake| {
            let mut settings = daybook_intake::Settings::default();
            settings.limits.max_items = 1;
            let source = SourceConfig {
                settings: Arc::new(settings),
                ..SourceConfig::default()
            };
            intake.sources = [("stores".parse().unwrap(), source)].into();
        },
    )
    .await;
    let [a, b] = &bodies(&["create a", "create b"])[..] else {
        panic!("two messages")
    };
    let mut both: Value = serde_json::from_str(a).unwrap();
    let other: Value = serde_json::from_str(b).unwrap();
    let records = both["Records"].as_array_mut().unwrap();
    records.push(other["Records"][0].clone());
    given.queue.send(&[a.clone(), both.to_string()]);
    given.begin();
    given
        .queue
        .until("both are deleted", |it| it.holds().is_empty())
        .await;
    assert_eq!(given.recorded().await, ["object-ord/a"]);
    assert_eq!(given.kept(), [both.to_string()], "the sound one is not");
    given.stop().await;
}

#[tokio::test]
async fn while_the_log_is_away_messages_stay_hidden_and_are_not_received_again() {
    let mut given = given(true, |queue| queue.visibility = Duration::from_secs(2)).await;
    given.log.set(Gate::Away);
    given.queue.send(&bodies(&["create a", "create b"]));
    given.begin();
    // Twice: for longer than they were hidden at first.
    given
        .queue
        .until("they are hidden again and again", |it| {
            it.asked("ChangeMessageVisibilityBatch").len() >= 2
        })
        .await;
    let hidden = &given.queue.asked("ChangeMessageVisibilityBatch")[0].body["Entries"];
    assert_eq!(hidden.as_array().unwrap().len(), 2);
    assert_eq!(hidden[0]["VisibilityTimeout"], 2);
    assert_eq!(given.queue.holds(), ["m0", "m1"]);
    let problem = given.status().problem.unwrap();
    assert!(
        problem.contains("recording") && problem.contains("away"),
        "{problem}"
    );
    given.log.set(Gate::Open);
    given
        .queue
        .until("they are deleted", |it| it.holds().is_empty())
        .await;
    assert_eq!(given.recorded().await.len(), 2);
    assert_eq!(given.status().received, 2, "each was received once");
    given
        .queue
        .until("nothing is wrong any more", |_| {
            given.status().problem.is_none()
        })
        .await;
    given.stop().await;
}

#[tokio::test]
async fn who_stops_gives_back_what_it_owes() {
    let mut given = given(true, |_| {}).await;
    given.log.set(Gate::Away);
    given.queue.send(&bodies(&["create a"]));
    given.begin();
    let queue = given.queue.clone();
    let queues = given.pullers.queues();
    queue
        .until("it is known that the log is away", |_| {
            queues.statuses()[0].problem.is_some()
        })
        .await;
    given.stop().await;
    let given_back = queue.asked("ChangeMessageVisibilityBatch");
    assert_eq!(
        given_back.last().unwrap().body["Entries"][0]["VisibilityTimeout"],
        0
    );
    assert_eq!(queue.holds(), ["m0"]);
}

#[tokio::test]
async fn each_trouble_is_told_and_passes_by_itself() {
    let mut given = given(true, |_| {}).await;
    let gone = json!({ "__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "m" });
    let slower = json!({ "__type": "com.amazonaws.sqs#RequestThrottled", "message": "m" });
    let over = json!({ "__type": "ExpiredTokenException", "message": "the token is over" });
    given.queue.fail("ReceiveMessage", 400, gone);
    given.queue.fail("ReceiveMessage", 403, slower);
    given.queue.fail("ReceiveMessage", 400, over);
    given.queue.fail("ReceiveMessage", 500, json!({}));
    given.begin();
    let queues = given.pullers.queues();
    for told in [
        "make it, or correct its url",
        "go slower",
        "the token is over",
        "ServiceException",
    ] {
        given
            .queue
            .until(told, |_| {
                let problem = queues.statuses().remove(0).problem;
                problem.is_some_and(|problem| problem.contains(told))
            })
            .await;
    }
    given.queue.send(&bodies(&["create a"]));
    given
        .queue
        .until("it is deleted", |it| it.holds().is_empty())
        .await;
    let status = given.status();
    assert_eq!((status.errors, status.problem), (4, None));
    given.stop().await;
}

#[tokio::test]
async fn what_is_too_large_together_is_received_one_by_one() {
    let mut given = given(true, |_| {}).await;
    given.queue.send(&bodies(&["create a", "create b"]));
    let large = "x".repeat(daybook_functions::RESPONSE_LIMIT_BYTES);
    given.queue.fail("ReceiveMessage", 200, json!(large));
    given.begin();
    given
        .queue
        .until("they are deleted", |it| it.holds().is_empty())
        .await;
    let asked = given.queue.asked("ReceiveMessage");
    let most: Vec<_> = asked
        .iter()
        .map(|it| it.body["MaxNumberOfMessages"].as_u64())
        .collect();
    assert_eq!(most[..3], [Some(10), Some(1), Some(10)]);
    given.stop().await;
}

#[test]
fn the_region_is_read_from_the_url() {
    for (url, region) in [
        (
            "https://sqs.eu-central-1.amazonaws.com/1/q",
            Some("eu-central-1"),
        ),
        (
            "https://sqs.cn-north-1.amazonaws.com.cn/1/q",
            Some("cn-north-1"),
        ),
        ("https://sqs.eu-west-1.api.aws/1/q", Some("eu-west-1")),
        (
            "https://vpce-1-a.sqs.us-east-2.vpce.amazonaws.com/1/q",
            Some("us-east-2"),
        ),
        (
            "https://eu-west-1.queue.amazonaws.com/1/q",
            Some("eu-west-1"),
        ),
        ("https://queue.amazonaws.com/1/q", Some("us-east-1")),
        ("http://127.0.0.1:5000/1/q", None),
        ("https://sqs.eu-west-1.amazonaws.com.example/1/q", None),
    ] {
        assert_eq!(region_of(url).as_deref(), region, "{url}");
    }
}
