//! Which of a store's notifications a bucket is about, in the terms of S3's own notification filters:
//! the beginning and the end of the key, and the kinds of events.
//!
//! It comes from the config. A reconcile carries it in its first event, so that its statement says
//! what it left out.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::command::IgnoredBy;
use super::notified::reasons;
use crate::ObjectKey;

/// What stands for any rest, at the end of an event's name.
const ANY_REST: char = '*';

/// What S3 puts before the names of its events, in configurations and not in notifications.
const S3_PREFIX: &str = "s3:";

/// One filter: a notification has to be as all of it says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationFilter {
    /// How keys begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// How keys end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    /// The names of the events, as the store writes them without a leading `s3:`; a `*` at the end
    /// stands for any rest. None are all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
}

/// A filter that cannot be meant. Correct it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidFilter {
    /// Give it a prefix, a suffix or events, or leave it out.
    #[error("it says nothing; give it a prefix, a suffix or events, or leave it out")]
    Empty,
    /// Write a name of an event, with a `*` at its end for any rest.
    #[error("{0:?} is no event; write a name as the store does, with a * at the end for any rest")]
    Event(String),
}

impl NotificationFilter {
    /// A filter, as a config has it.
    pub fn new(
        prefix: Option<String>,
        suffix: Option<String>,
        events: Vec<String>,
    ) -> Result<Self, InvalidFilter> {
        let some = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        if !some(&prefix) && !some(&suffix) && events.is_empty() {
            return Err(InvalidFilter::Empty);
        }
        let mut names = Vec::with_capacity(events.len());
        for event in events {
            let name = event.strip_prefix(S3_PREFIX).unwrap_or(&event);
            let stem = name.strip_suffix(ANY_REST).unwrap_or(name);
            if name.is_empty() || stem.contains(ANY_REST) {
                return Err(InvalidFilter::Event(event));
            }
            names.push(name.to_owned());
        }
        Ok(Self {
            prefix: prefix.filter(|prefix| !prefix.is_empty()),
            suffix: suffix.filter(|suffix| !suffix.is_empty()),
            events: names,
        })
    }

    fn takes_event(&self, event_name: &str) -> bool {
        let mut events = self.events.iter();
        self.events.is_empty()
            || events.any(|event| match event.strip_suffix(ANY_REST) {
                Some(stem) => event_name.starts_with(stem),
                None => event == event_name,
            })
    }

    fn takes_beginning(&self, key: &str) -> bool {
        self.prefix.as_ref().is_none_or(|it| key.starts_with(it))
    }

    fn takes_end(&self, key: &str) -> bool {
        self.suffix.as_ref().is_none_or(|it| key.ends_with(it))
    }

    /// How many of its parts let a notification through, in the order in which they are asked, and
    /// what the first one says that does not.
    fn refusal(&self, key: &str, event_name: &str) -> Option<(u8, IgnoredBy)> {
        if !self.takes_event(event_name) {
            let why =
                format!("{event_name} is not among the events that the bucket's filter takes");
            return Some((0, ignored(reasons::EVENT_TYPE, why)));
        }
        let refused = |end: &str, text: &Option<String>| {
            let text = text.as_deref().unwrap_or_default();
            format!("its key does not {end} with {text:?}, as the bucket's filter asks")
        };
        if !self.takes_beginning(key) {
            let why = refused("begin", &self.prefix);
            return Some((1, ignored(reasons::PREFIX, why)));
        }
        if !self.takes_end(key) {
            return Some((2, ignored(reasons::SUFFIX, refused("end", &self.suffix))));
        }
        None
    }
}

fn ignored(reason: &'static str, why: String) -> IgnoredBy {
    IgnoredBy { reason, why }
}

/// By which rule a notification is ignored, if no filter takes it. Without any filter all are taken.
/// Where there are several, the one that it came nearest to says why.
pub fn ignored_by(
    filters: &[NotificationFilter],
    key: &ObjectKey,
    event_name: &str,
) -> Option<IgnoredBy> {
    let mut nearest: Option<(u8, IgnoredBy)> = None;
    for filter in filters {
        let (passed, by) = filter.refusal(key.as_str(), event_name)?;
        if nearest.as_ref().is_none_or(|(most, _)| passed > *most) {
            nearest = Some((passed, by));
        }
    }
    nearest.map(|(_, by)| by)
}

/// Whether notifications of a key may be taken, whatever their event is.
pub fn takes_key(filters: &[NotificationFilter], key: &ObjectKey) -> bool {
    let key = key.as_str();
    let mut filters_left = filters.iter();
    filters.is_empty()
        || filters_left.any(|filter| filter.takes_beginning(key) && filter.takes_end(key))
}

#[cfg(test)]
mod tests;
