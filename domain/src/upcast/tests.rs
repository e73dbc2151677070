//! The chain, shown by an aggregate whose events have a history.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::samples;
use super::*;
use crate::aggregate::events;

events! {
    /// The events of a run that was once told otherwise.
    enum RunEvent {
        /// It began. Called `RunStarted` up to version 2, with the seconds as a text in version 1.
        RunBegun = 3,
        /// It ended.
        RunEnded,
    }
    upcasters: &[
        Upcaster::new("RunStarted", 1, seconds_as_number),
        Upcaster::renaming("RunStarted", 2, "RunBegun", with_actor),
    ]
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RunBegun {
    timeout_seconds: u64,
    actor: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input: Option<Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct RunEnded {
    output: Value,
}

fn seconds_as_number(fields: &mut Fields) -> Result<(), String> {
    let text = fields.remove("timeout").ok_or("it has no timeout")?;
    let seconds: u64 = text
        .as_str()
        .and_then(|text| text.strip_suffix('s')?.parse().ok())
        .ok_or_else(|| format!("its timeout {text} is no number of seconds"))?;
    fields.insert("timeout_seconds".to_owned(), seconds.into());
    Ok(())
}

fn with_actor(fields: &mut Fields) -> Result<(), String> {
    fields.insert("actor".to_owned(), "unknown".into());
    Ok(())
}

fn begun(input: Option<Value>) -> RunEvent {
    RunBegun {
        timeout_seconds: 30,
        actor: "unknown".to_owned(),
        input,
    }
    .into()
}

#[track_caller]
fn check(stored: (&str, u32, Value), expected: &RunEvent) {
    let (event_type, version, body) = stored;
    let read = RunEvent::from_json(event_type, version, body).unwrap();
    assert_eq!(read, *expected);
}

#[track_caller]
fn refused(stored: (&str, u32, Value), says: &str) {
    let (event_type, version, body) = stored;
    let error = RunEvent::from_json(event_type, version, body).unwrap_err();
    assert_eq!(error.to_string(), says);
}

#[test]
fn each_version_reads_as_todays_event() {
    check(("RunStarted", 1, json!({ "timeout": "30s" })), &begun(None));
    check(
        ("RunStarted", 2, json!({ "timeout_seconds": 30 })),
        &begun(None),
    );
    let today = json!({ "timeout_seconds": 30, "actor": "unknown" });
    check(("RunBegun", 3, today), &begun(None));
    let ended = RunEnded { output: json!(1) }.into();
    check(("RunEnded", 1, json!({ "output": 1 })), &ended);
}

#[test]
fn an_event_says_its_own_version() {
    assert_eq!(RunEvent::TYPES, [("RunBegun", 3), ("RunEnded", 1)]);
    assert_eq!(begun(None).schema_version(), 3);
    assert_eq!(
        RunEvent::from(RunEnded { output: json!(1) }).schema_version(),
        1
    );
}

#[test]
fn a_reference_in_place_of_a_payload_goes_through() {
    let reference = json!({ "$blob": { "sha256": "ab", "size": 20_000 } });
    let stored = json!({ "timeout": "30s", "input": reference });
    check(("RunStarted", 1, stored), &begun(Some(reference)));
}

#[test]
fn what_no_chain_leads_from_is_refused_by_name() {
    refused(
        ("RunBegun", 4, json!({})),
        "event RunBegun has schema version 4, and this release knows versions up to 3: it was \
         written by a newer release; upgrade",
    );
    refused(
        ("RunStarted", 3, json!({})),
        "event RunStarted has schema version 3, and this release knows versions up to 2: it was \
         written by a newer release; upgrade",
    );
    refused(("RunPaused", 1, json!({})), "unknown event type RunPaused");
    refused(
        ("RunBegun", 2, json!({})),
        "event RunBegun of schema version 2 cannot be brought up to date: no release wrote this \
         version",
    );
    refused(
        ("RunStarted", 1, json!({ "timeout": "soon" })),
        "event RunStarted of schema version 1 cannot be brought up to date: its timeout \"soon\" \
         is no number of seconds",
    );
    refused(
        ("RunStarted", 2, json!([])),
        "event RunStarted of schema version 2 cannot be brought up to date: its body is not an \
         object",
    );
    refused(
        ("RunEnded", 1, json!({})),
        "event RunEnded has an unexpected shape",
    );
}

/// Every step leads somewhere, none is there twice, and every version before today's has one.
#[test]
fn the_histories_of_all_aggregates_lead_to_today() {
    lead_to_today("run", RunEvent::TYPES, RunEvent::UPCASTERS);
    for aggregate in samples::all() {
        lead_to_today(aggregate.kind, aggregate.types, aggregate.upcasters);
    }
}

fn lead_to_today(kind: &str, types: &[(&str, u32)], upcasters: &[Upcaster]) {
    let next = |(name, version): (&'static str, u32)| {
        let mut steps = upcasters
            .iter()
            .filter(move |step| (step.event_type, step.from_version) == (name, version));
        let step = steps.next().map(|step| (step.next_type, version + 1));
        assert!(
            steps.next().is_none(),
            "{kind}: {name} {version} has two upcasters"
        );
        step
    };
    for step in upcasters {
        let mut at = (step.event_type, step.from_version);
        assert!(
            !types.contains(&at),
            "{kind}: {at:?} is today's, and has an upcaster"
        );
        while !types.contains(&at) {
            at = next(at).unwrap_or_else(|| panic!("{kind}: nothing leads on from {at:?}"));
        }
    }
    for (name, version) in types {
        let before = upcasters.iter().filter(|step| step.next_type == *name);
        let newest = before.map(|step| step.from_version + 1).max();
        assert_eq!(
            newest.unwrap_or(1),
            *version,
            "{kind}: nothing leads to {name} {version}"
        );
    }
}

proptest! {
    #[test]
    fn todays_events_come_back_as_they_are(
        timeout_seconds: u64, actor: String, input in proptest::option::of(".*"),
    ) {
        let input = input.map(Value::from);
        let event: RunEvent = RunBegun { timeout_seconds, actor, input }.into();
        let body = event.to_json();
        let (name, same) = upcast::<RunEvent>("RunBegun", 3, body.clone()).unwrap();
        prop_assert_eq!((name, &same), ("RunBegun", &body));
        prop_assert_eq!(RunEvent::from_json(name, 3, same).unwrap(), event);
    }

    #[test]
    fn bringing_up_to_date_twice_is_doing_it_once(seconds: u32, version in 1..=2_u32) {
        let body = match version {
            1 => json!({ "timeout": format!("{seconds}s") }),
            _ => json!({ "timeout_seconds": seconds }),
        };
        let (name, once) = upcast::<RunEvent>("RunStarted", version, body).unwrap();
        let twice = upcast::<RunEvent>(name, 3, once.clone()).unwrap();
        prop_assert_eq!(twice, (name, once));
    }

    #[test]
    fn versions_of_the_future_are_refused(above in 1..=u32::MAX - 3) {
        for aggregate in samples::all() {
            for sample in aggregate.samples {
                let version = sample.schema_version.saturating_add(above);
                let read = samples::read(aggregate.kind, sample.event_type, version, sample.body);
                prop_assert!(read.unwrap_err().contains("written by a newer release; upgrade"));
            }
        }
    }
}
