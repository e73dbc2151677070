use daybook_intake::{Settings, decode};
use serde_json::json;

use super::*;

fn left(pulled: &Pulled, transport: Transport, body: String) -> Option<Vec<ToKeep>> {
    let delivery = Delivery {
        transport,
        method: "POST".to_owned(),
        headers: Vec::new(),
        query: Vec::new(),
        body: Bytes::from(body),
    };
    let now = "2026-03-04T10:11:12Z".parse().unwrap();
    let decoded = decode(&delivery, &Settings::default(), now);
    to_keep(&delivery, &decoded, |id| pulled.kept_as(id).is_some())
}

fn batch(bodies: &[(&str, &str)]) -> String {
    let messages = bodies.iter().map(|(id, body)| {
        json!({ "MessageId": id, "ReceiptHandle": "r", "MD5OfBody": "0", "Body": body })
    });
    json!({ "Messages": messages.collect::<Vec<_>>() }).to_string()
}

#[test]
fn each_refused_message_is_kept_for_itself_and_once() {
    let pulled = Pulled::new(10);
    let test = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2026-03-04T10:11:12.000Z","Bucket":"b"}"#;
    let body = batch(&[("m1", "{rubbish"), ("m2", test), ("m3", "<xml/>")]);
    let kept = left(&pulled, Transport::Sqs, body.clone()).unwrap();
    let bodies: Vec<_> = kept.iter().map(|it| it.delivery.body.clone()).collect();
    assert_eq!(bodies, ["{rubbish", "<xml/>"]);
    assert_eq!(
        kept[0].delivery.headers,
        [("message-id".to_owned(), "m1".to_owned())]
    );
    let why = &kept[0].why;
    assert_eq!((why.reason, why.records), ("json-syntax", 1));
    // There was no room for it: it is not kept, and is tried again.
    assert!(pulled.kept_as("m1").is_none());
    assert_eq!(
        left(&pulled, Transport::Sqs, body.clone()).unwrap().len(),
        2
    );
    for message in kept {
        let name = format!("name-of-{}", message.id);
        pulled.note(message.id, name);
    }
    assert_eq!(pulled.kept_as("m1").as_deref(), Some("name-of-m1"));
    assert!(pulled.kept_as("m2").is_none());
    assert!(left(&pulled, Transport::Sqs, body).unwrap().is_empty());
    // The same text in another message is another case.
    let other = batch(&[("m4", "{rubbish")]);
    assert_eq!(left(&pulled, Transport::Sqs, other).unwrap().len(), 1);
}

#[test]
fn what_is_no_answer_of_a_queue_is_kept_as_it_came() {
    let pulled = Pulled::new(10);
    assert!(left(&pulled, Transport::Sqs, "{rubbish".to_owned()).is_none());
    let body = batch(&[("m1", "{rubbish")]);
    assert!(left(&pulled, Transport::Http, body).is_none());
}

#[test]
fn of_a_batch_that_is_refused_together_none_is_kept() {
    let delivery = Delivery {
        transport: Transport::Sqs,
        method: "POST".to_owned(),
        headers: Vec::new(),
        query: Vec::new(),
        body: Bytes::from(batch(&[("m1", "{}"), ("m2", "{}")])),
    };
    let mut settings = Settings::default();
    settings.limits.max_body = 10;
    let decoded = decode(&delivery, &settings, jiff::Timestamp::UNIX_EPOCH);
    assert_eq!(decoded.items.len(), 1, "the batch is too large");
    let kept = to_keep(&delivery, &decoded, |_| false).unwrap();
    assert!(kept.is_empty(), "each comes again by itself");
}
