//! Reads a definition and refuses what cannot run, by name.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::retry::{self, Retrier};
use super::{AslError, Machine, State, TaskState};
use crate::FunctionName;

/// `TimeoutSeconds` must not exceed this (Amazon States Language, "Task state").
const MAX_SECONDS: u64 = 99_999_999;

pub(super) fn machine(definition: &Value) -> Result<Machine, AslError> {
    let document = object(definition, "")?;
    let place = "";
    known_fields(
        document,
        place,
        &[
            "Comment",
            "Version",
            "QueryLanguage",
            "StartAt",
            "TimeoutSeconds",
            "States",
        ],
    )?;
    let states_object = document
        .get("States")
        .ok_or_else(|| AslError::new("/", "the field States is missing"))
        .and_then(|states| object(states, "/States"))?;
    let mut states = BTreeMap::new();
    for (name, state) in states_object {
        states.insert(
            name.clone(),
            task(state, &format!("/States/{}", escape(name)))?,
        );
    }
    if states.len() > 1 {
        return Err(AslError::new(
            "/States",
            "this version runs machines of one Task state; use one, or one pipeline for each step",
        ));
    }
    let start_at = text(document, "StartAt", place)?
        .ok_or_else(|| AslError::new("/", "the field StartAt is missing"))?;
    if !states.contains_key(&start_at) {
        return Err(AslError::new(
            "/StartAt",
            format!("there is no state named {start_at:?} in States"),
        ));
    }
    Ok(Machine {
        start_at,
        timeout_seconds: seconds(document, "TimeoutSeconds", place)?,
        states,
    })
}

fn task(value: &Value, place: &str) -> Result<State, AslError> {
    let state = object(value, place)?;
    match text(state, "Type", place)?.as_deref() {
        Some("Task") => {}
        Some(other) => {
            return Err(AslError::new(
                format!("{place}/Type"),
                format!("states of type {other} do not run in this version; it runs Task"),
            ));
        }
        None => return Err(AslError::new(place, "the field Type is missing")),
    }
    known_fields(
        state,
        place,
        &[
            "Type",
            "Comment",
            "Resource",
            "TimeoutSeconds",
            "Retry",
            "End",
            "QueryLanguage",
        ],
    )?;
    if state.get("End") != Some(&Value::Bool(true)) {
        return Err(AslError::new(
            format!("{place}/End"),
            "a machine of one state needs \"End\": true",
        ));
    }
    let resource = text(state, "Resource", place)?
        .ok_or_else(|| AslError::new(place, "the field Resource is missing"))?;
    Ok(State::Task(TaskState {
        function: function_of(&resource, &format!("{place}/Resource"))?,
        timeout_seconds: seconds(state, "TimeoutSeconds", place)?,
        retry: retriers(state, place)?,
    }))
}

/// The function that a `Resource` names: a Lambda ARN, with or without a version at its end.
fn function_of(resource: &str, place: &str) -> Result<FunctionName, AslError> {
    let refused = || {
        AslError::new(
            place,
            format!(
                "{resource:?} does not run here; a Task calls a function of this ledger as \
                 arn:aws:lambda:REGION:ACCOUNT:function:NAME"
            ),
        )
    };
    let parts: Vec<&str> = resource.split(':').collect();
    match parts.as_slice() {
        [
            "arn",
            partition,
            "lambda",
            _region,
            _account,
            "function",
            name,
        ]
        | [
            "arn",
            partition,
            "lambda",
            _region,
            _account,
            "function",
            name,
            _,
        ] if partition.starts_with("aws") => {
            FunctionName::parse(*name).map_err(|error| AslError::new(place, error.to_string()))
        }
        _ => Err(refused()),
    }
}

fn retriers(state: &Map<String, Value>, place: &str) -> Result<Vec<Retrier>, AslError> {
    let place = format!("{place}/Retry");
    let Some(value) = state.get("Retry") else {
        return Ok(Vec::new());
    };
    let list = value
        .as_array()
        .ok_or_else(|| AslError::new(&place, "Retry must be an array"))?;
    let last = list.len().saturating_sub(1);
    list.iter()
        .enumerate()
        .map(|(index, value)| {
            let place = format!("{place}/{index}");
            retry::parse(object(value, &place)?, &place, index == last)
        })
        .collect()
}

pub(super) fn object<'a>(
    value: &'a Value,
    place: &str,
) -> Result<&'a Map<String, Value>, AslError> {
    value.as_object().ok_or_else(|| {
        AslError::new(
            if place.is_empty() { "/" } else { place },
            "a JSON object is expected here",
        )
    })
}

pub(super) fn known_fields(
    object: &Map<String, Value>,
    place: &str,
    known: &[&str],
) -> Result<(), AslError> {
    if let Some(language) = object.get("QueryLanguage")
        && language != "JSONPath"
    {
        return Err(AslError::new(
            format!("{place}/QueryLanguage"),
            "only JSONPath is understood in this version",
        ));
    }
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(AslError::new(
            format!("{place}/{}", escape(name)),
            format!(
                "the field {name} is not understood in this version; known here: {}",
                known.join(", ")
            ),
        )),
    }
}

fn text(object: &Map<String, Value>, name: &str, place: &str) -> Result<Option<String>, AslError> {
    match object.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(AslError::new(
            format!("{place}/{name}"),
            format!("{name} must be a string"),
        )),
    }
}

pub(super) fn seconds(
    object: &Map<String, Value>,
    name: &str,
    place: &str,
) -> Result<Option<u64>, AslError> {
    let Some(value) = object.get(name) else {
        return Ok(None);
    };
    match value.as_u64() {
        Some(seconds @ 1..=MAX_SECONDS) => Ok(Some(seconds)),
        _ => Err(AslError::new(
            format!("{place}/{name}"),
            format!("{name} must be a whole number from 1 to {MAX_SECONDS}"),
        )),
    }
}

/// A name as a part of a JSON pointer (RFC 6901, section 3).
fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
