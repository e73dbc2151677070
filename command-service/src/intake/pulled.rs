//! What is kept of a queue's messages that are refused: each message for itself, not the batch that it
//! happened to come in; and once, though a queue delivers it until its redrive policy puts it aside.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use daybook_intake::{Decoded, Delivery, Rejection, Told, Transport};
use lru::LruCache;
use serde::Deserialize;

use super::rejected::Why;

/// Of how many messages it is known that they were kept.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not zero");

/// The messages that were kept.
pub(super) struct Pulled(Mutex<LruCache<String, ()>>);

impl Default for Pulled {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(REMEMBERED)))
    }
}

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

impl Pulled {
    /// What is to be kept where the delivery is a queue's answer; `None` where it is something else.
    pub(super) fn to_keep(
        &self,
        delivery: &Delivery,
        decoded: &Decoded,
    ) -> Option<Vec<(Delivery, Why)>> {
        if delivery.transport != Transport::Sqs {
            return None;
        }
        let batch: Batch = serde_json::from_slice(&delivery.body).ok()?;
        let mut refused: BTreeMap<usize, Vec<&Rejection>> = BTreeMap::new();
        for item in &decoded.items {
            if let Told::Rejected(rejection) = &item.told {
                refused.entry(item.message).or_default().push(rejection);
            }
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut messages = batch.messages.into_iter().map(Some).collect::<Vec<_>>();
        let alone = refused.into_iter().filter_map(|(index, rejections)| {
            let message = messages.get_mut(index)?.take()?;
            let first = rejections.first()?;
            if kept.put(message.message_id.clone(), ()).is_some() {
                return None;
            }
            let delivery = Delivery {
                headers: vec![("message-id".to_owned(), message.message_id)],
                body: Bytes::from(message.body),
                ..delivery.clone()
            };
            let why = Why {
                reason: first.reason.as_str(),
                detail: first.to_string(),
                records: rejections.len(),
            };
            Some((delivery, why))
        });
        Some(alone.collect())
    }
}

#[cfg(test)]
mod tests;
