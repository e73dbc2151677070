//! What must hold of a whole log, whatever happened while it was written.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::Server;

/// The events that end an execution.
pub(crate) const TERMINAL: [&str; 4] = [
    "ExecutionSucceeded",
    "ExecutionFailed",
    "ExecutionTimedOut",
    "ExecutionAborted",
];

/// What a server says when it cannot do what it should.
pub(crate) fn complaints_of(server: &Server) -> Vec<String> {
    let log = server.log();
    let complaints = log.lines().filter(|line| line.contains("ERROR"));
    complaints.map(str::to_owned).collect()
}

/// Positions have no gap, and time does not go back.
pub(crate) fn check_log(log: &[Value]) {
    let mut last_at = "";
    for (event, position) in log.iter().zip(1_u64..) {
        assert_eq!(event["position"], position, "positions have no gap");
        let at = event["recordedAt"].as_str().unwrap();
        assert!(at >= last_at, "time goes back at {position}");
        last_at = at;
    }
}

/// Each recorded version has one execution, with one end; which is success. The result is each
/// version's `(key, etag)` with the executions' streams.
pub(crate) fn check_executions(log: &[Value]) -> BTreeMap<(String, String), String> {
    let mut ends: HashMap<&str, Vec<&str>> = HashMap::new();
    for event in log {
        let name = event["type"].as_str().unwrap();
        if TERMINAL.contains(&name) {
            let stream = event["stream"].as_str().unwrap();
            ends.entry(stream).or_default().push(name);
        }
    }
    let mut runs = BTreeMap::new();
    for event in of_type(log, "ExecutionStarted") {
        let stream = event["stream"].as_str().unwrap();
        let object = &event["data"]["object"];
        let key = object["key"].as_str().unwrap().to_owned();
        let etag = object["version"]["etag"].as_str().unwrap().to_owned();
        if ends[stream] != ["ExecutionSucceeded"] {
            let story = log.iter().filter(|event| event["stream"] == stream);
            let story: Vec<_> = story.map(ToString::to_string).collect();
            panic!("{key} did not succeed once:\n{}", story.join("\n"));
        }
        let other = runs.insert((key, etag), stream.to_owned());
        assert_eq!(other, None, "two runs for {object}");
    }
    for event in created(log, "inbox") {
        let (key, etag) = version_of(event);
        assert!(
            runs.contains_key(&(key.to_owned(), etag.to_owned())),
            "no run for {key}"
        );
    }
    assert_eq!(runs.len(), ends.len(), "each end belongs to a run");
    runs
}

/// The events of a type.
pub(crate) fn of_type<'a>(log: &'a [Value], name: &str) -> impl Iterator<Item = &'a Value> {
    log.iter().filter(move |event| event["type"] == name)
}

/// The objects that were recorded in a bucket.
pub(crate) fn created<'a>(log: &'a [Value], bucket: &str) -> Vec<&'a Value> {
    of_type(log, "ObjectCreated")
        .filter(|event| event["data"]["bucket"] == bucket)
        .collect()
}

/// Key and ETag of a recorded version.
pub(crate) fn version_of(event: &Value) -> (&str, &str) {
    let data = &event["data"];
    let etag = data["version"]["etag"].as_str();
    (data["key"].as_str().unwrap(), etag.expect("an etag"))
}
