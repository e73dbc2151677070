//! From messages to the intake and back: what became of each of them.

use std::slice;

use bytes::Bytes;
use daybook_intake::{Delivery, Transport};
use serde::Deserialize;

use super::client::Message;
use crate::intake::{Delivered, Intake, SourceName};

/// The way of a queue's messages into the ledger.
pub(super) struct Door {
    intake: Intake,
    source: Option<SourceName>,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Each of its records is on disk, or needs no record. It may be deleted.
    Settled,
    /// It, or a record of it, cannot be understood or believed, now or later. Whether it is kept for
    /// inspection: one that is not may not be deleted yet.
    Unreadable { kept: bool },
    /// The ledger could not take it now; why.
    Owed(String),
}

impl Door {
    pub(super) fn new(intake: Intake, source: Option<SourceName>) -> Self {
        Self { intake, source }
    }

    /// Has messages taken in together, so that their events share a commit. One fate for each, in their
    /// order.
    pub(super) async fn take(&self, messages: &[Message]) -> Vec<Fate> {
        let delivered = self.deliver(messages).await;
        let as_a_whole =
            delivered.unavailable.is_none() && delivered.messages.len() < messages.len();
        if !as_a_whole {
            return self.fates(&delivered, messages);
        }
        // Refused together, for their size perhaps: each for itself, then.
        let mut each = Vec::with_capacity(messages.len());
        for message in messages {
            let delivered = self.deliver(slice::from_ref(message)).await;
            each.extend(self.fates(&delivered, slice::from_ref(message)));
        }
        each
    }

    async fn deliver(&self, messages: &[Message]) -> Delivered {
        let delivery = delivery(messages);
        self.intake.deliver(self.source.as_ref(), delivery).await
    }

    fn fates(&self, delivered: &Delivered, messages: &[Message]) -> Vec<Fate> {
        fates(delivered, messages, |id| self.intake.has_kept(id))
    }
}

/// What the queue calls a message, whether it can be read or not.
fn id_of(message: &Message) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        #[serde(rename = "MessageId")]
        id: String,
    }
    let named: Named = serde_json::from_str(message.raw.get()).ok()?;
    Some(named.id)
}

/// The messages as the queue's answer, each as it came.
fn delivery(messages: &[Message]) -> Delivery {
    let each: Vec<&str> = messages.iter().map(|message| message.raw.get()).collect();
    Delivery {
        transport: Transport::Sqs,
        method: "POST".to_owned(),
        headers: Vec::new(),
        query: Vec::new(),
        body: Bytes::from(format!("{{\"Messages\":[{}]}}", each.join(","))),
    }
}

fn fates(delivered: &Delivered, messages: &[Message], is_kept: impl Fn(&str) -> bool) -> Vec<Fate> {
    let why = delivered.unavailable.as_ref().map(|it| it.why.clone());
    let owed = || {
        Fate::Owed(
            why.clone()
                .unwrap_or_else(|| "it was not taken in".to_owned()),
        )
    };
    // What nothing is said of was not looked at.
    let mut fates: Vec<Option<Fate>> = vec![None; messages.len()];
    for answer in &delivered.messages {
        let at = answer.message.index;
        if let (Some(fate), Some(message)) = (fates.get_mut(at), messages.get(at)) {
            *fate = Some(match (answer.settled, answer.refused) {
                (false, _) => owed(),
                (true, true) => Fate::Unreadable {
                    kept: id_of(message).is_some_and(|id| is_kept(&id)),
                },
                (true, false) => Fate::Settled,
            });
        }
    }
    let each = fates.into_iter();
    each.map(|fate| fate.unwrap_or_else(owed)).collect()
}
