//! Definitions in, machines or the place of the error out.

use serde_json::{Value, json};

use super::*;

fn task(extra: Value) -> Value {
    let mut state = json!({
        "Type": "Task",
        "Resource": "arn:aws:lambda:eu-west-1:123456789012:function:upper",
        "End": true,
    });
    for (name, value) in extra.as_object().unwrap() {
        state[name] = value.clone();
    }
    json!({ "StartAt": "Upper", "States": { "Upper": state } })
}

fn refused(definition: &Value, place: &str, says: &str) {
    let error = Machine::parse(definition).unwrap_err();
    assert_eq!(error.place, place, "{error}");
    assert!(error.problem.contains(says), "{error}");
}

#[test]
fn a_function_becomes_a_machine_of_one_task() {
    let function: FunctionName = "upper".parse().unwrap();
    let machine = Machine::parse(&Machine::of_function(&function)).unwrap();
    assert_eq!(machine.functions(), [&function]);
    assert_eq!(machine.start_at, "upper");
}

#[test]
fn retry_has_the_defaults_of_the_language() {
    let definition = task(json!({ "Retry": [{ "ErrorEquals": ["A"] }] }));
    let machine = Machine::parse(&definition).unwrap();
    let State::Task(state) = &machine.states["Upper"];
    let retrier = &state.retry[0];
    assert_eq!((retrier.interval_seconds, retrier.max_attempts), (1, 3));
    assert_eq!(retrier.backoff_rate, 2.0);
    assert_eq!(retrier.jitter, JitterStrategy::None);
}

#[test]
fn delays_grow_up_to_their_bound_and_jitter_within_them() {
    let mut retrier = Retrier {
        error_equals: vec!["States.ALL".to_owned()],
        interval_seconds: 3,
        max_attempts: 9,
        backoff_rate: 2.0,
        max_delay_seconds: Some(10),
        jitter: JitterStrategy::None,
    };
    let delays: Vec<_> = (1..=4).map(|retry| retrier.delay_ms(retry, 0.5)).collect();
    assert_eq!(delays, [3_000, 6_000, 10_000, 10_000]);
    retrier.jitter = JitterStrategy::Full;
    assert_eq!(retrier.delay_ms(2, 0.5), 3_000);
    retrier.max_delay_seconds = None;
    retrier.jitter = JitterStrategy::None;
    assert!(retrier.delay_ms(u64::MAX, 0.0) > 0);
}

#[test]
fn errors_match_as_step_functions_says() {
    let check = |equals: &str, error: &str, expect: bool| {
        let definition = task(json!({ "Retry": [{ "ErrorEquals": [equals] }] }));
        let machine = Machine::parse(&definition).unwrap();
        let State::Task(state) = &machine.states["Upper"];
        assert_eq!(state.retry[0].matches(error), expect, "{equals} on {error}");
    };
    check("States.ALL", "Boom", true);
    check("States.ALL", "States.Timeout", true);
    check("States.ALL", "States.DataLimitExceeded", false);
    check("States.ALL", "States.Runtime", false);
    check("States.TaskFailed", "Boom", true);
    check("States.TaskFailed", "States.Timeout", false);
    check("Boom", "Boom", true);
    check("Boom", "Bo", false);
}

#[test]
fn what_cannot_run_is_refused_by_name() {
    refused(&json!([]), "/", "object");
    refused(&json!({ "StartAt": "A" }), "/", "States");
    refused(
        &json!({ "StartAt": "A", "States": { "A": { "Type": "Map" } } }),
        "/States/A/Type",
        "Map",
    );
    refused(
        &json!({ "StartAt": "a/b", "States": { "a/b": {} } }),
        "/States/a~1b",
        "Type",
    );
    let mut elsewhere = task(json!({}));
    elsewhere["StartAt"] = json!("Other");
    refused(&elsewhere, "/StartAt", "Other");
    refused(
        &task(json!({ "Catch": [] })),
        "/States/Upper/Catch",
        "Catch",
    );
    refused(&task(json!({ "End": false })), "/States/Upper/End", "End");
    refused(
        &task(json!({ "TimeoutSeconds": 0 })),
        "/States/Upper/TimeoutSeconds",
        "whole number",
    );
    refused(
        &task(json!({ "Resource": "arn:aws:states:::dynamodb:putItem" })),
        "/States/Upper/Resource",
        "dynamodb",
    );
    refused(
        &task(json!({ "QueryLanguage": "JSONata" })),
        "/States/Upper/QueryLanguage",
        "JSONPath",
    );
    let retry = |retrier: Value| task(json!({ "Retry": [retrier] }));
    refused(
        &retry(json!({})),
        "/States/Upper/Retry/0/ErrorEquals",
        "array",
    );
    refused(
        &retry(json!({ "ErrorEquals": ["A"], "BackoffRate": 0.5 })),
        "/States/Upper/Retry/0/BackoffRate",
        "1.0",
    );
    refused(
        &retry(json!({ "ErrorEquals": ["A"], "MaxDelaySeconds": 1 })),
        "/States/Upper/Retry/0/MaxDelaySeconds",
        "greater",
    );
    refused(
        &task(json!({ "Retry": [{ "ErrorEquals": ["States.ALL"] }, { "ErrorEquals": ["A"] }] })),
        "/States/Upper/Retry/0/ErrorEquals",
        "last",
    );
}
