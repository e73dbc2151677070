//! The way to the writer: calls of `append_each` are encoded by the caller, wait in a bounded
//! queue, and collect one answer for each of their appends.

use std::time::Instant;

use tokio::sync::mpsc::{self, UnboundedSender};

use super::codec::{EncodedAppend, encode};
use crate::{Append, AppendError, Appended};

pub(super) type AppendResult = Result<Appended, AppendError>;

/// What the writer is asked.
pub(super) enum Request {
    /// The appends of one call.
    Append(Vec<Pending>),
    /// Finish what waits, and end.
    Close,
}

/// An append that waits for its answer.
pub(super) struct Pending {
    pub(super) append: EncodedAppend,
    /// Whether an attempt may have been committed whose answer got lost.
    pub(super) doubtful: bool,
    /// When it was asked for.
    pub(super) since: Instant,
    place: usize,
    answers: UnboundedSender<(usize, AppendResult)>,
}

impl Pending {
    /// Answers it.
    pub(super) fn answer(self, result: AppendResult) {
        // Whoever asked may have gone, then there is nobody to tell.
        let _ = self.answers.send((self.place, result));
    }
}

/// Sends one call to the writer and waits for its answers.
pub(super) async fn append_each(
    writer: &mpsc::Sender<Request>,
    appends: Vec<Append>,
) -> Vec<AppendResult> {
    let since = Instant::now();
    let (answers, mut answered) = mpsc::unbounded_channel();
    let mut results: Vec<AppendResult> = Vec::with_capacity(appends.len());
    let mut pending = Vec::with_capacity(appends.len());
    for (place, append) in appends.into_iter().enumerate() {
        match encode(append) {
            Ok(append) => {
                // Stands only if the writer ends without a word.
                let lost = "the writer has ended before it answered";
                results.push(Err(AppendError::Unknown(lost.into())));
                pending.push(Pending {
                    append,
                    doubtful: false,
                    since,
                    place,
                    answers: answers.clone(),
                });
            }
            Err(error) => results.push(Err(error)),
        }
    }
    drop(answers);
    if pending.is_empty() {
        return results;
    }
    if let Err(mpsc::error::SendError(Request::Append(refused))) =
        writer.send(Request::Append(pending)).await
    {
        let closed = AppendError::Unavailable("the log is closed".into());
        for pending in refused {
            pending.answer(Err(closed.clone()));
        }
    }
    while let Some((place, result)) = answered.recv().await {
        results[place] = result;
    }
    results
}
