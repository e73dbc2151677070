use super::*;

const STORE_URL: &str = "postgres://daybook:planted-secret@db.example/ledger";

#[track_caller]
fn refused(store: &str, file: &str, why: &str) {
    let said = format!("{:#}", Config::of(store, file).unwrap_err());
    assert!(said.contains(why), "{said}");
    assert!(!said.contains("planted-secret"), "{said}");
}

#[test]
fn without_a_file_every_bucket_is_recorded() {
    let config = Config::of(STORE_URL, "").unwrap();
    assert!(!format!("{config:?}").contains("planted-secret"));
    let intake = config.intake();
    assert_eq!(intake.unknown, UnknownBuckets::Record);
    assert!(intake.buckets.is_empty());
}

#[test]
fn the_file_names_buckets_and_topics() {
    let file = r#"
        topics = ["arn:aws:sns:eu-central-1:123456789012:arrivals"]
        unknown_buckets = "ignore"
        [buckets.inbox]
        at_store = "company-raw"
        [buckets.drop]
        order = "gateway"
        [buckets.narrow]
        filter = { prefix = "in/", events = ["s3:ObjectCreated:*"] }
    "#;
    let config = Config::of(STORE_URL, file).unwrap();
    let intake = config.intake();
    assert_eq!(intake.unknown, UnknownBuckets::Ignore);
    let bucket = |name: &str, at_store: Option<&str>, order| KnownBucket {
        name: name.parse().unwrap(),
        at_store: at_store.map(str::to_owned),
        order,
        filters: Vec::new(),
    };
    let taken = NotificationFilter {
        prefix: Some("in/".to_owned()),
        suffix: None,
        events: vec!["ObjectCreated:*".to_owned()],
    };
    assert_eq!(
        intake.buckets,
        [
            bucket("drop", None, OrderRule::Gateway),
            bucket("inbox", Some("company-raw"), OrderRule::Notification),
            KnownBucket {
                filters: vec![taken],
                ..bucket("narrow", None, OrderRule::Notification)
            },
        ]
    );
    let sns = &intake.open.sns;
    assert_eq!(sns.topics.len(), 1);
    assert_eq!(sns.signatures, SnsSignatures::OverHttp);
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    refused("sqlite:/tmp/log", "", "has no disk that others see");
    refused("planted-secret", "", "not the URL of a log");
    refused(STORE_URL, "topic = []", "topic");
    refused(STORE_URL, "unknown_buckets = \"drop\"", "unknown_buckets");
    refused(STORE_URL, "[buckets.\"a/b\"]", "a/b");
    refused(STORE_URL, "[buckets.ab]\nfilter = {}", "it says nothing");
}
