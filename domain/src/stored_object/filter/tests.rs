//! What a filter takes, and what it says of the rest.

use super::*;

fn filter(prefix: &str, suffix: &str, events: &[&str]) -> NotificationFilter {
    let text = |text: &str| Some(text.to_owned());
    let events = events.iter().map(|&event| event.to_owned()).collect();
    NotificationFilter::new(text(prefix), text(suffix), events).unwrap()
}

fn reason(filters: &[NotificationFilter], key: &str, event: &str) -> Option<&'static str> {
    let key = key.parse().unwrap();
    ignored_by(filters, &key, event).map(|by| by.reason)
}

#[test]
fn all_parts_of_a_filter_have_to_hold() {
    let filters = [filter("in/", ".csv", &["s3:ObjectCreated:*"])];
    for (key, event, expect) in [
        ("in/a.csv", "ObjectCreated:Put", None),
        ("in/a.csv", "ObjectCreated:", None),
        ("in/a.csv", "ObjectRemoved:Delete", Some("event-type")),
        ("out/a.csv", "ObjectCreated:Put", Some("prefix")),
        ("in/a.CSV", "ObjectCreated:Put", Some("suffix")),
        ("out/a.txt", "Object Created", Some("event-type")),
    ] {
        assert_eq!(reason(&filters, key, event), expect, "{key} {event}");
    }
}

#[test]
fn one_of_several_filters_is_enough_and_the_nearest_says_why() {
    assert_eq!(reason(&[], "any", "thing"), None);
    let filters = [filter("in/", "", &[]), filter("", ".csv", &["PutObject"])];
    assert_eq!(reason(&filters, "in/a.txt", "CopyObject"), None);
    assert_eq!(reason(&filters, "a.csv", "PutObject"), None);
    assert_eq!(reason(&filters, "a.csv", "CopyObject"), Some("prefix"));
    assert_eq!(reason(&filters, "a.txt", "PutObject"), Some("suffix"));
    let key = |key: &str| takes_key(&filters, &key.parse().unwrap());
    assert!(key("in/a.txt") && key("a.csv") && !key("a.txt"));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let events = |event: &str| NotificationFilter::new(None, None, vec![event.to_owned()]);
    for event in ["", "s3:", "*:Put", "Object*:*"] {
        assert_eq!(events(event), Err(InvalidFilter::Event(event.to_owned())));
    }
    assert!(events("*").is_ok());
    let nothing = NotificationFilter::new(Some(String::new()), None, Vec::new());
    assert_eq!(nothing, Err(InvalidFilter::Empty));
}
