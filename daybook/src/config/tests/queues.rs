//! Queues that are pulled from.

use std::time::Duration;

use super::*;

const URL: &str = "https://sqs.eu-central-1.amazonaws.com/123456789012/arrivals";

fn queue(more: &str) -> String {
    format!("{SOUND}[intake.queues.arrivals]\nurl = \"{URL}\"\n{more}\n")
}

#[test]
fn a_url_is_enough() {
    let config = load(&queue("")).unwrap();
    let [queue] = &config.intake.queues[..] else {
        panic!("one queue");
    };
    assert_eq!((queue.name.as_str(), queue.url.as_str()), ("arrivals", URL));
    assert_eq!(queue.access.region, "eu-central-1");
    assert_eq!(
        (queue.consumers, queue.batch, queue.max_receives),
        (2, 10, 10)
    );
    assert_eq!(queue.wait, Duration::from_secs(20));
    assert_eq!(queue.visibility, Duration::from_secs(60));
    assert!(queue.source.is_none() && queue.endpoint.is_none());
    let shown = show(&config)["intake"]["queues"]["arrivals"].clone();
    let expected = serde_json::json!({
        "url": URL, "region": "eu-central-1", "endpoint": null, "profile": null,
        "access_key": null, "consumers": 2, "batch": 10, "wait": "20s", "visibility": "1m",
        "max_receives": 10, "source": null,
    });
    assert_eq!(shown, expected);
}

#[test]
fn all_of_it_can_be_said_and_no_secret_is_shown() {
    let config = load(&queue(
        "region = \"eu-west-1\"\nendpoint = \"http://127.0.0.1:9\"\naccess_key = \"AK\"\n\
         secret_key = { file = \"secret\" }\nconsumers = 3\nbatch = 1\nwait = \"0s\"\n\
         visibility = \"12h\"\nmax_receives = 2\nsource = \"stores\"\n\
         [intake.sources.stores]\ntopics = [\"arn:aws:sns:eu-west-1:1:t\"]",
    ));
    let config = config.unwrap();
    let queue = &config.intake.queues[0];
    assert_eq!(queue.access.region, "eu-west-1");
    let key = Some(("AK".to_owned(), "from-a-file".to_owned()));
    assert_eq!(queue.access.key, key);
    assert_eq!(queue.source.as_ref().unwrap().as_str(), "stores");
    let shown = show(&config).to_string();
    assert!(!shown.contains("from-a-file") && shown.contains("\"AK\""));
    assert!(!format!("{config:?}").contains("from-a-file"));
    assert!(
        config
            .secret_files
            .iter()
            .any(|file| file.ends_with("secret"))
    );
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let at = |key: &str| format!("intake.queues.arrivals.{key}");
    check(&queue("batch = 11"), &at("batch"), "too many");
    check(&queue("batch = 0"), &at("batch"), "too few");
    check(&queue("consumers = 65"), &at("consumers"), "too many");
    check(&queue("max_receives = 0"), &at("max_receives"), "too few");
    check(&queue("wait = \"21s\""), &at("wait"), "from 0 to 20");
    check(
        &queue("visibility = \"1500ms\""),
        &at("visibility"),
        "whole seconds",
    );
    check(
        &queue("visibility = \"13h\""),
        &at("visibility"),
        "to 43200",
    );
    check(
        &queue("source = \"stores\""),
        &at("source"),
        "[intake.sources.stores]",
    );
    check(
        &queue("endpoint = \"sqs\""),
        &at("endpoint"),
        "https://HOST",
    );
    check(
        &queue("access_key = \"AK\""),
        "intake.queues.arrivals",
        "belong together",
    );
    for url in [
        "arrivals",
        "https://host",
        "https://u:p@host/1/q",
        "ftp://host/1/q",
    ] {
        let text = queue("").replace(URL, url);
        check(&text, &at("url"), "give the queue's URL");
    }
    let again = format!("{}[intake.queues.again]\nurl = \"{URL}\"\n", queue(""));
    check(&again, "intake.queues.arrivals.url", "consumers = N");
    let odd = format!("{SOUND}[intake.queues.\"a b\"]\nurl = \"{URL}\"\n");
    check(&odd, "intake.queues.a b", "letters, digits");
}
