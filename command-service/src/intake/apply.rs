//! From the records of one delivery to events: commands on the objects that they tell of.
//!
//! What a delivery holds of different keys is written at once, so that the log commits it together;
//! what it holds of one key goes in its order.

use std::collections::HashMap;

use daybook_domain::stored_object::{
    Answer, Happened, ObjectCommand, ObjectEvent, ObjectVersion, OrderMark, OrderRule,
    RecordNotification, StoredObject, Told, Verdict, reasons, stream_of,
};
use daybook_domain::{BucketName, CommandId, ObjectKey};
use daybook_event_store::Position;
use daybook_intake::{Change, Notification};
use futures::StreamExt;
use uuid::Uuid;

use super::SourceName;
use super::repeats::{Again, Repeats};
use crate::commands::{Executed, Ledger, Origin};

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
    ) -> Self {
        let actor = match source {
            Some(source) => format!("notification:{source}"),
            None => format!("notification:{}", told.source),
        };
        Self {
            stream: stream_of(&bucket, &told.key),
            command: command_of(told, bucket, rule),
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

/// Where the command of a notification comes from. Its id follows from the event and from how often
/// it came, so that a retry records nothing twice.
pub(crate) fn origin_of(command: &RecordNotification, actor: String) -> Origin {
    let event = command.told.identity;
    let id = match command.repeats {
        0 => event,
        times => Uuid::new_v5(&event, format!("repeat {times}").as_bytes()),
    };
    Origin {
        command: CommandId(id),
        correlation: event.to_string(),
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
    // In the order in which the keys come up.
    let mut keys: Vec<Vec<(usize, Record)>> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (place, mut record) in records.into_iter().enumerate() {
        match repeats.again(record.command.told.identity) {
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
        let key = *places.entry(record.stream.clone()).or_insert_with(|| {
            keys.push(Vec::new());
            keys.len() - 1
        });
        keys[key].push((place, record));
    }
    let each = keys.into_iter().map(|of_key| async move {
        let mut done = Vec::with_capacity(of_key.len());
        let mut broken: Option<String> = None;
        for (place, record) in of_key {
            let applied = match &broken {
                // What follows on the same key must not overtake it.
                Some(why) => Applied::Unavailable(why.clone()),
                None => apply_one(ledger, repeats, record).await,
            };
            if let Applied::Unavailable(why) = &applied {
                broken = Some(why.clone());
            }
            done.push((place, applied));
        }
        done
    });
    let mut each = futures::stream::iter(each).buffer_unordered(keys_at_once);
    while let Some(done) = each.next().await {
        for (place, applied) in done {
            results[place] = Some(applied);
        }
    }
    let lost = || Applied::Unavailable("the record was not applied".to_owned());
    results
        .into_iter()
        .map(|it| it.unwrap_or_else(lost))
        .collect()
}

async fn apply_one(ledger: &Ledger, repeats: &Repeats, record: Record) -> Applied {
    let Record {
        stream,
        command,
        actor,
    } = record;
    let origin = origin_of(&command, actor);
    let asked = ObjectCommand::RecordNotification(command.clone());
    let executed = ledger
        .execute::<StoredObject>(&stream, asked, &origin)
        .await;
    match executed {
        Ok(executed) => {
            let answer = answer_of(&command, &executed);
            let recorded = executed.state.recorded_repeats(&command);
            let again = answer_again(&command, &executed.state, &answer);
            repeats.note(command.told.identity, recorded, again);
            Applied::Settled {
                answer,
                position: executed.position,
            }
        }
        Err(error) => Applied::Unavailable(error_chain(&error)),
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
