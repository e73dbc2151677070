//! A delivery that was kept in a file: the cases of a corpus, and what somebody wants to have
//! decoded again.
//!
//! ```json
//! { "transport": { "kind": "push", "method": "POST", "headers": {}, "query": {} },
//!   "body": "…" }
//! ```
//!
//! The kind is `push`, `pull-response`, `lambda-invoke` or `pull-stream`. The body is a text, or
//! `body_base64`, or `body_gen`: pieces of `{"lit": TEXT}` and `{"repeat": TEXT, "n": COUNT}`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::{Delivery, Transport};

/// The longest body that pieces may make.
const MAX_BODY: usize = 1 << 30;

/// A delivery that was kept, those that came before it, and whatever else the file says.
#[derive(Clone, Debug)]
pub struct Case {
    /// The delivery.
    pub delivery: Delivery,
    /// What came before it, in order.
    pub prior: Vec<Delivery>,
    /// The whole file.
    pub file: Value,
}

/// A file that keeps no delivery.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadCase {
    /// It is something else: perhaps the body itself.
    #[error("it is no kept delivery: it has not the members transport and body")]
    NotOne,
    /// It should be one, and this is wrong with it.
    #[error("the kept delivery cannot be read: {0}")]
    Broken(String),
}

impl Case {
    /// Reads a file.
    pub fn read(bytes: &[u8]) -> Result<Self, BadCase> {
        let file: Value = serde_json::from_slice(bytes).map_err(|_| BadCase::NotOne)?;
        let transport = file.get("transport").filter(|it| it.is_object());
        let Some(transport) = transport else {
            return Err(BadCase::NotOne);
        };
        // A request may have no body: a question with OPTIONS.
        if !has_body(&file) && transport.get("kind").is_none() {
            return Err(BadCase::NotOne);
        }
        let prior = match file.get("prior") {
            None | Some(Value::Null) => Vec::new(),
            Some(prior) => {
                let prior = prior
                    .as_array()
                    .ok_or_else(|| broken("prior is no array"))?;
                prior.iter().map(delivery).collect::<Result<_, _>>()?
            }
        };
        Ok(Self {
            delivery: delivery(&file)?,
            prior,
            file,
        })
    }
}

const BODIES: [&str; 3] = ["body", "body_base64", "body_gen"];

fn has_body(kept: &Value) -> bool {
    let mut bodies = BODIES.iter().filter_map(|name| kept.get(name));
    bodies.any(|body| !body.is_null())
}

fn delivery(kept: &Value) -> Result<Delivery, BadCase> {
    let transport = &kept["transport"];
    let kind = match transport["kind"].as_str() {
        Some("push") => Transport::Http,
        Some("pull-response") => Transport::Sqs,
        Some("lambda-invoke") => Transport::Lambda,
        Some("pull-stream") => Transport::Stream,
        other => return Err(broken(&format!("the transport {other:?} is not known"))),
    };
    Ok(Delivery {
        transport: kind,
        method: transport["method"].as_str().unwrap_or("POST").to_owned(),
        headers: pairs(transport, "headers")?
            .into_iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .collect(),
        query: pairs(transport, "query")?,
        body: body(kept)?,
    })
}

fn pairs(transport: &Value, name: &str) -> Result<Vec<(String, String)>, BadCase> {
    let empty = Map::new();
    let members = match &transport[name] {
        Value::Null => &empty,
        Value::Object(members) => members,
        _ => return Err(broken(&format!("{name} is no object"))),
    };
    let text = |(name, value): (&String, &Value)| match value {
        Value::String(text) => Ok((name.clone(), text.clone())),
        Value::Number(number) => Ok((name.clone(), number.to_string())),
        _ => Err(broken(&format!("{name} is no text"))),
    };
    members.iter().map(text).collect()
}

fn body(kept: &Value) -> Result<Bytes, BadCase> {
    if let Some(text) = kept["body"].as_str() {
        return Ok(Bytes::copy_from_slice(text.as_bytes()));
    }
    if let Some(base64) = kept["body_base64"].as_str() {
        let bytes = STANDARD.decode(base64);
        return bytes
            .map(Bytes::from)
            .map_err(|_| broken("body_base64 is not base64"));
    }
    if !has_body(kept) {
        return Ok(Bytes::new());
    }
    let Some(pieces) = kept["body_gen"].as_array() else {
        return Err(broken("its body is neither a text nor a list of pieces"));
    };
    let mut body = String::new();
    for piece in pieces {
        let (text, times) = match (
            piece["lit"].as_str(),
            piece["repeat"].as_str(),
            piece["n"].as_u64(),
        ) {
            (Some(text), None, None) => (text, 1),
            (None, Some(text), Some(times)) => (text, usize::try_from(times).unwrap_or(usize::MAX)),
            _ => {
                return Err(broken(
                    "a piece of body_gen is neither lit nor repeat with n",
                ));
            }
        };
        let length = text.len().saturating_mul(times).saturating_add(body.len());
        if length > MAX_BODY {
            return Err(broken("body_gen makes a body that is too long"));
        }
        body.push_str(&text.repeat(times));
    }
    Ok(Bytes::from(body))
}

fn broken(why: &str) -> BadCase {
    BadCase::Broken(why.to_owned())
}

#[cfg(test)]
mod tests;
