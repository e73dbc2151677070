//! From the records of one delivery to events: commands on the objects that they tell of.
//!
//! What a delivery holds of different keys goes to the log together and shares its commit;
//! what it holds of one key goes in its order.

use std::collections::{HashMap, HashSet};

use daybook_domain::stored_object::{
    Answer, Happened, IgnoredBy, ObjectCommand, ObjectEvent, ObjectVersion, OrderMark, OrderRule,
    RecordNotification, StoredObject, Told, Verdict, reasons, stream_of,
};
use daybook_domain::{BucketName, CommandId, ObjectKey};
use daybook_event_store::Position;
use daybook_intake::{Change, Notification};
use uuid::Uuid;

use super::SourceName;
use super::repeats::{Again, Repeats};
use crate::clock;
use crate::commands::{Executed, Ledger, Origin, Proposal};

/// The namespace of the identities of notifications.
const NAMESPACE: Uuid = Uuid::from_u128(0x3b9c_51a4_2f7e_5d02_9a66_70d1_c4e8_8f13);

/// One record, ready to be applied.
#[derive(Clone, Debug)]
pub(super) struct Record {
    stream: String,
    command: RecordNotification,
    actor: String,
}

/// What became of a record.
#[derive(Clone, Debug)]
pub(super) enum Applied {
    /// It is settled.
    Settled {
        answer: Answer,
        /// Where it is recorded; nothing where it is on record from before.
        position: Option<Position>,
    },
    /// The ledger could not take it now; the reason.
    Unavailable(String),
}

impl Record {
    pub(super) fn new(
        source: Option<&SourceName>,
        told: &Notification,
        bucket: BucketName,
        rule: OrderRule,
        ignored: Option<IgnoredBy>,
    ) -> Self {
        let actor = match source {
            Some(source) => format!("notification:{source}"),
            None => format!("notification:{}", told.source),
        };
        Self {
            stream: stream_of(&bucket, &told.key),
            command: RecordNotification {
                ignored,
                ..command_of(told, bucket, rule)
            },
            actor,
        }
    }
}

impl Record {
    /// The key, where writes to it go through the gateway.
    pub(super) fn written_by_gateway(&self) -> Option<(&BucketName, &ObjectKey)> {
        let command = &self.command;
        (command.rule == OrderRule::Gateway).then_some((&command.bucket, &command.key))
    }
}

impl Record {
    /// Why the config ignores it, in words, if it does.
    pub(super) fn ignored_because(&self) -> Option<&str> {
        self.command.ignored.as_ref().map(|by| by.why.as_str())
    }

    /// What its repetitions are counted by: two sources may lead the same event to two buckets.
    fn counted_as(&self) -> Uuid {
        Uuid::new_v5(&self.command.told.identity, self.stream.as_bytes())
    }
}

fn command_of(told: &Notification, bucket: BucketName, rule: OrderRule) -> RecordNotification {
    let channel = told.channel.clone();
    let (happened, kind) = match told.change {
        Change::Created => (Happened::Created, "created"),
        Change::Removed => (Happened::Removed, "removed"),
        Change::Other => (Happened::Other, "other"),
    };
    // Lengths first, so that no two different lists of parts read the same.
    let name = format!(
        "{}:{channel}{}:{kind}{}",
        channel.len(),
        kind.len(),
        told.identity
    );
    let at_store = (told.bucket != bucket).then(|| told.bucket.to_string());
    RecordNotification {
        bucket,
        key: told.key.clone(),
        version: ObjectVersion {
            version_id: told.version_id.clone(),
            etag: told.etag.clone(),
            size: told.size,
            modified_at: None,
            stamp: None,
        },
        channel,
        happened,
        event_name: told.event_name.clone(),
        order: told.order.clone().map(|order| OrderMark { ..order }),
        told: Told {
            source: told.source.as_str().to_owned(),
            event_name: told.event_name.clone(),
            account: told.account.clone(),
            bucket: at_store,
            sequencer: told.sequencer.clone(),
            event_time: told.event_time,
            region: told.region.clone(),
            identity: Uuid::new_v5(&NAMESPACE, name.as_bytes()),
        },
        rule,
        ignored: None,
        repeats: 0,
    }
}

/// Where the command of a notification comes from. Its id is new each time: whether the event is on
/// record is for the object itself to say, which knows its newest events. Its story begins here.
pub(crate) fn origin_of(actor: String) -> Origin {
    Origin {
        command: CommandId(clock::random_id()),
        correlation: clock::ordered_id().to_string(),
        causation: None,
        actor,
        traceparent: None,
    }
}

/// Applies all records of a delivery; one result for each, in their order.
pub(super) async fn apply(
    ledger: &Ledger,
    repeats: &Repeats,
    keys_at_once: usize,
    records: Vec<Record>,
) -> Vec<Applied> {
    let mut results: Vec<Option<Applied>> = records.iter().map(|_| None).collect();
    let mut waiting = Vec::with_capacity(records.len());
    for (place, mut record) in records.into_iter().enumerate() {
        match repeats.again(record.counted_as()) {
            Again::Counted(answer) => {
                results[place] = Some(Applied::Settled {
                    answer,
                    position: None,
                });
                continue;
            }
            Again::Due(times) => record.command.repeats = times,
            Again::Unknown => {}
        }
        waiting.push((place, record));
    }
    let mut broken: HashMap<String, String> = HashMap::new();
    while !waiting.is_empty() {
        // What is of one key goes one after the other, each in a round of its own.
        let (mut keys, mut round, mut later) = (HashSet::new(), Vec::new(), Vec::new());
        for (place, record) in waiting {
            match broken.get(&record.stream) {
                // What follows on the same key must not overtake it.
                Some(why) => results[place] = Some(Applied::Unavailable(why.clone())),
                None if round.len() < keys_at_once && keys.insert(record.stream.clone()) => {
                    round.push((place, record));
                }
                None => {
                    keys.insert(record.stream.clone());
                    later.push((place, record));
                }
            }
        }
        waiting = later;
        for (place, stream, applied) in apply_round(ledger, repeats, round).await {
            if let Applied::Unavailable(why) = &applied {
                broken.insert(stream, why.clone());
            }
            results[place] = Some(applied);
        }
    }
    let lost = || Applied::Unavailable("the record was not applied".to_owned());
    results
        .into_iter()
        .map(|it| it.unwrap_or_else(lost))
        .collect()
}

/// At most one record of each key.
async fn apply_round(
    ledger: &Ledger,
    repeats: &Repeats,
    round: Vec<(usize, Record)>,
) -> Vec<(usize, String, Applied)> {
    let proposals = round.iter().map(|(_, record)| Proposal {
        stream: record.stream.clone(),
        command: ObjectCommand::RecordNotification(record.command.clone()),
        origin: origin_of(record.actor.clone()),
    });
    let executed = ledger
        .execute_each::<StoredObject>(proposals.collect())
        .await;
    let done = round.into_iter().zip(executed);
    done.map(|((place, record), executed)| {
        let applied = match executed {
            Ok(executed) => settled(repeats, &record, &executed),
            Err(error) => Applied::Unavailable(error_chain(&error)),
        };
        (place, record.stream, applied)
    })
    .collect()
}

fn settled(repeats: &Repeats, record: &Record, executed: &Executed<StoredObject>) -> Applied {
    let command = &record.command;
    let answer = answer_of(command, executed);
    let recorded = executed.state.recorded_repeats(command);
    let again = answer_again(command, &executed.state, &answer);
    repeats.note(record.counted_as(), recorded, again);
    Applied::Settled {
        answer,
        position: executed.position,
    }
}

/// What was decided, in the words of an answer.
fn answer_of(command: &RecordNotification, executed: &Executed<StoredObject>) -> Answer {
    match executed.events.first() {
        Some(ObjectEvent::ObjectCreated(_)) => Answer {
            verdict: None,
            reason: None,
        },
        Some(ObjectEvent::ObjectRemoved(_)) => Answer {
            verdict: Some(Verdict::Ignored),
            reason: Some(reasons::NOT_A_CREATE),
        },
        Some(ObjectEvent::NotificationDisregarded(event)) => {
            let repeated = executed.state.answer_to_repetition(command);
            Answer {
                verdict: Some(event.verdict),
                reason: reasons::known(event.reason.as_deref()).or(repeated.reason),
            }
        }
        None => executed.state.answer_to_repetition(command),
    }
}

/// What to answer when the same event is delivered again.
fn answer_again(command: &RecordNotification, state: &StoredObject, first: &Answer) -> Answer {
    match first.verdict {
        None | Some(Verdict::Duplicate) => state.answer_to_repetition(command),
        Some(_) => first.clone(),
    }
}

pub(super) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
