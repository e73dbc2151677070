//! What AWS is answered.
//!
//! A queue is told which of its messages are to come again ("partial batch response" of the Lambda
//! developer guide, with `ReportBatchItemFailures`): those that could not be recorded, and those that
//! cannot be read, which its redrive policy puts aside. Other sources take no such answer: where
//! something could not be recorded the invocation fails, and AWS invokes again; what cannot be read
//! fails nothing, since it would fail for ever.

use daybook_command_service::intake::{Answered, Delivered, RecordAnswer};
use serde_json::{Value, json};

/// What stands in each event of a queue.
pub(crate) const QUEUE: &str = "\"aws:sqs\"";

/// The answer, or why all of the event has to come again. `of_queue` is whether it may be of a queue:
/// one that cannot be read as a whole names no messages, and AWS would delete them all.
pub(crate) fn of(delivered: &Delivered, of_queue: bool) -> Result<Value, String> {
    let unavailable = delivered.unavailable.as_ref().map(|it| it.why.clone());
    // Only messages of queues have ids.
    let ids = delivered.messages.iter();
    let from_queue = ids.clone().any(|answer| answer.message.id.is_some());
    if !from_queue {
        let refused = delivered.response.status >= 400;
        return match unavailable {
            Some(why) => Err(why),
            None if of_queue && refused => {
                Err("the event of the queue cannot be read as a whole".to_owned())
            }
            None => Ok(json!({ "records": delivered.records })),
        };
    }
    let again = ids.filter(|answer| !answer.settled || answer.refused);
    let failures: Vec<Value> = again
        .filter_map(|answer| answer.message.id.as_ref())
        .map(|id| json!({ "itemIdentifier": id }))
        .collect();
    match unavailable {
        // Said as a failure, so that it is seen, and AWS slows down.
        Some(why) if failures.len() == delivered.messages.len() => Err(why),
        _ => Ok(json!({ "batchItemFailures": failures })),
    }
}

/// Writes down what is out of the ordinary.
pub(crate) fn log(record: &RecordAnswer) {
    let (reason, detail) = (record.reason.as_deref(), record.detail.as_deref());
    let message = record.message.as_ref().and_then(|it| it.id.as_deref());
    match record.verdict {
        Some(Answered::Error) => {
            tracing::warn!(
                reason,
                detail,
                message,
                "a record cannot be understood or believed"
            );
        }
        None => tracing::error!(detail, message, "a record could not be recorded"),
        Some(verdict) => {
            let told = record.notification.as_ref();
            tracing::debug!(
                ?verdict,
                reason,
                bucket = told.map(|told| told.bucket.as_str()),
                key = told.map(|told| told.key.as_str()),
                "a record"
            );
        }
    }
}

#[cfg(test)]
mod tests;
