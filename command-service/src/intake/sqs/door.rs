//! From messages to the intake and back: what became of each of them.

use bytes::Bytes;
use daybook_intake::{Delivery, Transport};

use super::client::Message;
use crate::intake::{Answered, Delivered, Intake, SourceName};

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
    /// It, or a record of it, cannot be understood or believed, now or later.
    Unreadable,
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
        let delivered = self
            .intake
            .deliver(self.source.as_ref(), delivery(messages))
            .await;
        fates(&delivered, messages.len())
    }
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

fn fates(delivered: &Delivered, messages: usize) -> Vec<Fate> {
    let turned_away = delivered
        .unavailable
        .as_ref()
        .filter(|_| delivered.records.is_empty());
    if let Some(unavailable) = turned_away {
        return vec![Fate::Owed(unavailable.why.clone()); messages];
    }
    // A message that says nothing is done with.
    let mut fates = vec![Fate::Settled; messages];
    for record in &delivered.records {
        let fate = if !record.settled {
            let why = record.detail.clone().or_else(|| record.reason.clone());
            Fate::Owed(why.unwrap_or_default())
        } else if record.verdict == Some(Answered::Error) {
            Fate::Unreadable
        } else {
            continue;
        };
        match &record.message {
            Some(message) => {
                if let Some(of_message) = fates.get_mut(message.index) {
                    worsen(of_message, fate);
                }
            }
            // Said of the delivery as a whole.
            None => fates.iter_mut().for_each(|it| worsen(it, fate.clone())),
        }
    }
    fates
}

/// One record that is owed keeps its whole message; else one that cannot be read does.
fn worsen(fate: &mut Fate, with: Fate) {
    if !matches!(fate, Fate::Owed(_)) {
        *fate = with;
    }
}
