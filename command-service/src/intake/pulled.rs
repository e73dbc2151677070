//! What is kept of a queue's messages that are refused: each message for itself, not the batch that it
//! happened to come in; and once, though a queue delivers it until its redrive policy puts it aside. One
//! for which there was no room, or that newer ones drove out, is tried again when it comes again, and is
//! not deleted before.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use daybook_intake::{Decoded, Delivery, Rejection, Told, Transport};
use lru::LruCache;
use serde::Deserialize;

use super::rejected::Why;

/// The messages that were kept, and under which names.
pub(super) struct Pulled(Mutex<LruCache<String, String>>);

/// The part of a queue's answer that is of interest here.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch {
    messages: Vec<OfBatch>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfBatch {
    message_id: String,
    body: String,
}

/// A refused message that is to be kept.
pub(super) struct ToKeep {
    /// Its id at the queue.
    pub(super) id: String,
    /// The message alone.
    pub(super) delivery: Delivery,
    /// Why it was refused.
    pub(super) why: Why,
}

impl Pulled {
    /// Remembers of so many messages that they were kept.
    pub(super) fn new(remembered: usize) -> Self {
        let remembered = NonZeroUsize::new(remembered).unwrap_or(NonZeroUsize::MIN);
        Self(Mutex::new(LruCache::new(remembered)))
    }

    /// Takes note that a message is kept under a name.
    pub(super) fn note(&self, id: String, name: String) {
        self.lock().put(id, name);
    }

    /// Under which name a message was kept. That it is asked for keeps it known.
    pub(super) fn kept_as(&self, id: &str) -> Option<String> {
        self.lock().get(id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is still to be kept where the delivery is a queue's answer; `None` where it is something
/// else. `is_kept` says it of a message by its id.
pub(super) fn to_keep(
    delivery: &Delivery,
    decoded: &Decoded,
    is_kept: impl Fn(&str) -> bool,
) -> Option<Vec<ToKeep>> {
    if delivery.transport != Transport::Sqs {
        return None;
    }
    let batch: Batch = serde_json::from_slice(&delivery.body).ok()?;
    if decoded.messages.len() < batch.messages.len() {
        // Refused together, for their size perhaps: whoever pulls has each judged by itself.
        return Some(Vec::new());
    }
    let mut refused: BTreeMap<usize, Vec<&Rejection>> = BTreeMap::new();
    for item in &decoded.items {
        if let Told::Rejected(rejection) = &item.told {
            refused.entry(item.message).or_default().push(rejection);
        }
    }
    let mut messages = batch.messages.into_iter().map(Some).collect::<Vec<_>>();
    let alone = refused.into_iter().filter_map(|(index, rejections)| {
        let message = messages.get_mut(index)?.take()?;
        let first = rejections.first()?;
        if is_kept(&message.message_id) {
            return None;
        }
        let delivery = Delivery {
            headers: vec![("message-id".to_owned(), message.message_id.clone())],
            body: Bytes::from(message.body),
            ..delivery.clone()
        };
        let why = Why {
            reason: first.reason.as_str(),
            detail: first.to_string(),
            records: rejections.len(),
        };
        Some(ToKeep {
            id: message.message_id,
            delivery,
            why,
        })
    });
    Some(alone.collect())
}

#[cfg(test)]
mod tests;
