//! S3 in all its wrappings.

use super::*;
use crate::{CertificateError, Certificates, SnsSettings, SnsSignatures};

/// A message of SNS as HTTP carries it.
fn sns(message: &str) -> Value {
    json!({
        "Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:eu-west-1:1:t",
        "Message": message, "Timestamp": "2026-03-04T11:59:00.000Z", "SignatureVersion": "2",
        "Signature": "AAAA", "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/a.pem"
    })
}

fn eventbridge(detail_type: &str) -> Value {
    json!({
        "version": "0", "id": "i", "detail-type": detail_type, "source": "aws.s3",
        "account": "1", "time": "2026-03-04T10:11:12Z", "region": "eu-west-1",
        "detail": {
            "bucket": { "name": "inbox" },
            "object": { "key": "a+b", "size": 3, "etag": "e", "sequencer": "0069A80BF0" },
            "reason": "PutObject"
        }
    })
}

#[test]
fn names_say_what_happened() {
    let names = [
        ("ObjectCreated:Put", "created"),
        ("s3:ObjectCreated:CompleteMultipartUpload", "created"),
        ("ObjectCreated:SomethingNew", "created"),
        ("ObjectRemoved:Delete", "removed"),
        ("ObjectRemoved:DeleteMarkerCreated", "removed"),
        ("LifecycleExpiration:Delete", "removed"),
        ("LifecycleExpiration:DeleteMarkerCreated", "removed"),
        ("ObjectRestore:Completed", "other"),
        ("ObjectTagging:Put", "other"),
        ("ObjectAcl:Put", "other"),
        ("LifecycleTransition", "other"),
        ("IntelligentTiering", "other"),
        ("Replication:OperationReplicatedAfterThreshold", "other"),
        ("ReducedRedundancyLostObject", "other"),
        ("NotObjectCreated:Put", "other"),
    ];
    for (name, expect) in names {
        check(&delivery(Transport::Lambda, s3_event(name)), &[expect]);
    }
}

#[test]
fn what_is_null_or_empty_is_not_there() {
    let mut event = s3_event("ObjectCreated:Put");
    let object = &mut event["Records"][0]["s3"]["object"];
    (object["versionId"], object["eTag"]) = (json!(""), json!(null));
    event["Records"][0]["awsRegion"] = json!("");
    let told = one(&delivery(Transport::Http, event));
    assert_eq!(
        (told.version_id, told.etag, told.region),
        (None, None, None)
    );
}

#[test]
fn minor_versions_may_grow() {
    for (version, expect) in [
        ("2.9", "created"),
        ("2.10", "created"),
        ("1.0", "unsupported-version"),
        ("20.1", "unsupported-version"),
    ] {
        let mut event = s3_event("ObjectCreated:Put");
        event["Records"][0]["eventVersion"] = json!(version);
        check(&delivery(Transport::Http, event), &[expect]);
    }
}

#[test]
fn each_event_has_an_identity_of_its_own() {
    let identity = |change: fn(&mut Value)| {
        let mut event = s3_event("ObjectCreated:Put");
        change(&mut event["Records"][0]);
        one(&delivery(Transport::Sqs, event)).identity
    };
    let same = identity(|_| {});
    assert_eq!(
        same,
        identity(|record| record["responseElements"] = json!({ "x": 1 }))
    );
    let others: [fn(&mut Value); 5] = [
        |record| record["eventName"] = json!("ObjectCreated:Copy"),
        |record| record["s3"]["object"]["sequencer"] = json!("0069A80BF1"),
        |record| record["s3"]["object"]["versionId"] = json!("null"),
        |record| record["s3"]["object"]["key"] = json!("c"),
        |record| record["eventSource"] = json!("ceph:s3"),
    ];
    for other in others {
        assert_ne!(same, identity(other));
    }
    let through_bridge = one(&delivery(Transport::Lambda, eventbridge("Object Created")));
    assert_ne!(same, through_bridge.identity);
    assert_eq!(
        through_bridge.order.unwrap().authority,
        "aws:s3/eventbridge"
    );
}

#[test]
fn eventbridge_writes_keys_as_they_are() {
    let bridged = eventbridge("Object Created");
    let in_sns = sns(&bridged.to_string()).to_string();
    let in_queue =
        json!({ "Messages": [{ "MessageId": "1", "ReceiptHandle": "r", "Body": in_sns }] });
    for transport in [Transport::Http, Transport::Lambda, Transport::Sqs] {
        assert_eq!(one(&delivery(transport, &bridged)).key.as_str(), "a+b");
    }
    let told = one(&delivery(Transport::Sqs, in_queue));
    assert_eq!(
        (told.key.as_str(), told.event_name.as_str()),
        ("a+b", "Object Created")
    );
    check(
        &delivery(Transport::Http, eventbridge("Object Deleted")),
        &["removed"],
    );
    check(
        &delivery(Transport::Http, eventbridge("Object Tags Added")),
        &["other"],
    );
    let mut call = eventbridge("AWS API Call via CloudTrail");
    call["detail"] = json!({ "eventSource": "s3.amazonaws.com" });
    check(&delivery(Transport::Http, call), &["not-a-create"]);
}

#[test]
fn each_message_of_a_queue_stands_alone() {
    let event = s3_event("ObjectCreated:Put").to_string();
    let two = json!({ "Records": [s3_record("ObjectCreated:Put"), { "eventSource": "evil:s3" }] });
    let message = |id: &str, body: &str| json!({ "MessageId": id, "ReceiptHandle": format!("r{id}"), "Body": body });
    let answer = json!({ "Messages": [
        message("1", "no json"), message("2", &two.to_string()), 7,
        message("3", r#"{"Records":[]}"#), { "MessageId": "4" }, message("5", &event),
    ] });
    let decoded = read(&delivery(Transport::Sqs, answer));
    let expect = [
        "json-syntax",
        "created",
        "unknown-source",
        "wrong-type",
        "missing-field",
        "created",
    ];
    assert_eq!(words(&decoded), expect);
    let by: Vec<usize> = decoded.items.iter().map(|item| item.message).collect();
    assert_eq!(by, [0, 1, 1, 2, 4, 5]);
    let ids: Vec<_> = decoded
        .messages
        .iter()
        .map(|message| message.id.as_deref())
        .collect();
    assert_eq!(
        ids,
        [Some("1"), Some("2"), None, Some("3"), Some("4"), Some("5")]
    );
    assert_eq!(decoded.messages[1].receipt.as_deref(), Some("r2"));
}

#[test]
fn an_empty_answer_of_a_queue_is_no_error() {
    for answer in ["{}", r#"{"Messages":[]}"#, r#"{"Messages":null}"#] {
        let decoded = read(&delivery(Transport::Sqs, answer));
        assert_eq!(decoded, Decoded::default());
    }
}

#[test]
fn an_invocation_may_carry_messages_and_events() {
    let event = s3_event("ObjectCreated:Put");
    let sqs = |id: &str| {
        json!({
            "eventSource": "aws:sqs", "messageId": id, "receiptHandle": "r",
            "body": event.to_string()
        })
    };
    let mut in_sns = sns(&event.to_string());
    in_sns["SigningCertUrl"] = in_sns["SigningCertURL"].take();
    let records = json!({ "Records": [
        s3_record("ObjectCreated:Put"), sqs("1"), s3_record("ObjectRemoved:Delete"),
        { "EventSource": "aws:sns", "EventVersion": "1.0", "Sns": in_sns },
        { "EventSource": "aws:sns", "eventSource": "aws:sqs", "body": "{}", "Sns": {} },
        { "eventSource": "aws:dynamodb" },
    ] });
    let decoded = read(&delivery(Transport::Lambda, records));
    let expect = [
        "created",
        "created",
        "removed",
        "created",
        "inconsistent-envelope",
        "unknown-source",
    ];
    assert_eq!(words(&decoded), expect);
    let by: Vec<usize> = decoded.items.iter().map(|item| item.message).collect();
    assert_eq!(by, [0, 1, 0, 2, 3, 0]);
    assert!(decoded.checks.is_empty());
}

#[test]
fn nobody_can_pass_for_a_queue_or_for_sns_over_http() {
    let event = s3_event("ObjectCreated:Put").to_string();
    let sqs = json!({ "Records": [{ "eventSource": "aws:sqs", "messageId": "1", "body": event }] });
    check(&delivery(Transport::Http, sqs), &["unknown-source"]);
    let wrapped = json!({ "Records": [{ "EventSource": "aws:sns", "Sns": sns(&event) }] });
    check(&delivery(Transport::Http, wrapped), &["missing-field"]);
    let answer = json!({ "Messages": [{ "MessageId": "1", "Body": event }] });
    check(&delivery(Transport::Http, answer), &["unrecognised-shape"]);
    // SNS in SNS is nothing that AWS does.
    let twice = sns(&sns(&event).to_string()).to_string();
    check(&delivery(Transport::Sqs, twice), &["unrecognised-shape"]);
}

fn listening(topics: &[&str]) -> Settings {
    Settings {
        sns: SnsSettings {
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            ..SnsSettings::default()
        },
        ..Settings::default()
    }
}

#[track_caller]
fn check_sns(message: &Value, settings: &Settings, expect: &str) {
    let decoded = decode(&delivery(Transport::Http, message), settings, now());
    assert_eq!(words(&decoded), [expect], "{:?}", decoded.items);
}

#[test]
fn only_topics_that_are_listened_to_count() {
    let message = sns(&s3_event("ObjectCreated:Put").to_string());
    check_sns(&message, &listening(&[]), "sns-topic");
    check_sns(
        &message,
        &listening(&["arn:aws:sns:eu-west-1:1:other"]),
        "sns-topic",
    );
    check_sns(
        &message,
        &listening(&["arn:aws:sns:eu-west-1:1:t"]),
        "created",
    );
    check_sns(
        &message,
        &listening(&["arn:aws:sns:eu-west-1:1:*"]),
        "created",
    );
    check_sns(
        &message,
        &listening(&["arn:aws:sns:eu-west-1:2:*"]),
        "sns-topic",
    );
    // In a queue, who may send is the queue's to say, unless the config says more.
    let queued = delivery(Transport::Sqs, &message);
    assert_eq!(words(&decode(&queued, &listening(&[]), now())), ["created"]);
    assert_eq!(
        words(&decode(&queued, &listening(&["x"]), now())),
        ["sns-topic"]
    );
}

#[test]
fn old_messages_of_sns_and_those_of_the_future_are_refused() {
    let settings = listening(&["*"]);
    let times = [
        ("2026-03-04T11:59:00Z", "created"),
        ("2026-03-03T12:00:01Z", "created"),
        ("2026-03-03T11:59:00Z", "sns-timestamp"),
        ("2026-03-04T12:14:00Z", "created"),
        ("2026-03-04T12:16:00Z", "sns-timestamp"),
        ("yesterday", "time-invalid"),
    ];
    for (time, expect) in times {
        let mut message = sns(&s3_event("ObjectCreated:Put").to_string());
        message["Timestamp"] = json!(time);
        check_sns(&message, &settings, expect);
    }
}

#[test]
fn what_sns_says_of_itself_confirms_only_at_sns() {
    let settings = listening(&["arn:aws:sns:eu-west-1:1:t"]);
    let mut message = sns("You have chosen to subscribe");
    message["Type"] = json!("SubscriptionConfirmation");
    message["Token"] = json!("tok");
    message["SubscribeURL"] =
        json!("https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=tok");
    check_sns(&message, &settings, "handshake");
    check_sns(&message, &listening(&["other"]), "sns-topic");
    // A queue cannot confirm.
    check(&delivery(Transport::Sqs, &message), &["control-message"]);
    message["SubscribeURL"] = json!("https://evil.example/?Action=ConfirmSubscription&Token=tok");
    check_sns(&message, &settings, "sns-subscribe-url");
    message["Type"] = json!("UnsubscribeConfirmation");
    check_sns(&message, &settings, "control-message");
    message["Type"] = json!("Other");
    check_sns(&message, &settings, "unrecognised-shape");
    message["SignatureVersion"] = json!("3");
    check_sns(&message, &settings, "sns-signature");
}

#[test]
fn the_headers_of_sns_agree_with_its_message() {
    let message = sns(&s3_event("ObjectCreated:Put").to_string());
    let with = |headers: &[(&str, &str)], body: &Value| {
        let decoded = decode(
            &request(headers, body),
            &listening(&["arn:aws:sns:eu-west-1:1:t"]),
            now(),
        );
        words(&decoded)
    };
    let kind = "x-amz-sns-message-type";
    let topic = "x-amz-sns-topic-arn";
    assert_eq!(with(&[(kind, "Notification")], &message), ["created"]);
    assert_eq!(
        with(&[(kind, "SubscriptionConfirmation")], &message),
        ["inconsistent-envelope"]
    );
    assert_eq!(
        with(&[(topic, "arn:aws:sns:eu-west-1:1:u")], &message),
        ["inconsistent-envelope"]
    );
    // Raw: the event alone, and nothing is signed.
    let event = s3_event("ObjectCreated:Put");
    assert_eq!(
        with(&[(kind, "Notification")], &event),
        ["inconsistent-envelope"]
    );
    let raw = ("x-amz-sns-rawdelivery", "true");
    assert_eq!(with(&[(kind, "Notification"), raw], &event), ["created"]);
    assert_eq!(
        with(&[(kind, "Notification"), raw, (topic, "other")], &event),
        ["sns-topic"]
    );
}

struct Fetched(Result<Bytes, CertificateError>);

#[async_trait::async_trait]
impl Certificates for Fetched {
    async fn certificate(&self, url: &str) -> Result<Bytes, CertificateError> {
        assert_eq!(url, "https://sns.eu-west-1.amazonaws.com/a.pem");
        self.0.clone()
    }
}

#[tokio::test]
async fn a_failed_check_takes_the_place_of_its_message() {
    let settings = Settings {
        sns: SnsSettings {
            signatures: SnsSignatures::Everywhere,
            ..SnsSettings::default()
        },
        ..Settings::default()
    };
    let event = s3_event("ObjectCreated:Put").to_string();
    let answer = json!({ "Messages": [
        { "MessageId": "1", "Body": event },
        { "MessageId": "2", "Body": sns(&event).to_string() },
        { "MessageId": "3", "Body": sns(r#"{"Records":[]}"#).to_string() },
        { "MessageId": "4", "Body": event },
    ] });
    let decoded = decode(&delivery(Transport::Sqs, answer), &settings, now());
    assert_eq!(words(&decoded), ["created", "created", "created"]);
    assert_eq!(decoded.checks.len(), 2);
    let refused = Fetched(Err(CertificateError::Refused("gone".to_owned())));
    let broken = Fetched(Ok(Bytes::from_static(b"no certificate")));
    for certificates in [refused, broken] {
        let checked = decoded.clone().authenticate(&certificates).await.unwrap();
        assert_eq!(
            words(&checked),
            ["created", "sns-signature", "sns-signature", "created"]
        );
        let by: Vec<usize> = checked.items.iter().map(|item| item.message).collect();
        assert_eq!(by, [0, 1, 2, 3]);
        assert!(checked.checks.is_empty());
    }
    let later = Fetched(Err(CertificateError::Unavailable("no network".to_owned())));
    assert!(decoded.authenticate(&later).await.is_err());
}

#[test]
fn without_checks_the_certificate_is_still_at_sns() {
    let mut settings = listening(&["*"]);
    settings.sns.signatures = SnsSignatures::Nowhere;
    let mut message = sns(&s3_event("ObjectCreated:Put").to_string());
    let decoded = decode(&delivery(Transport::Http, &message), &settings, now());
    assert_eq!(
        (words(&decoded), decoded.checks.len()),
        (vec!["created".to_owned()], 0)
    );
    message["SigningCertURL"] = json!("https://evil.example/a.pem");
    check_sns(&message, &settings, "sns-cert-url");
}
