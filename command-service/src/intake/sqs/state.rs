//! What is known of the queues that are pulled from: for `/metrics`, and for the person who asks why
//! nothing comes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use metrics::{counter, gauge};
use serde::Serialize;

use super::client::{Attributes, SqsError};
use crate::clock;

/// One queue. Shared by its consumers.
#[derive(Debug)]
pub(super) struct QueueState {
    name: String,
    inner: Mutex<QueueStatus>,
}

/// How a queue is.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueStatus {
    /// Its name in the config.
    pub name: String,
    /// Its URL.
    pub url: String,
    /// What keeps it from being read, or its messages from being taken in; nothing while all is well.
    pub problem: Option<String>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// About how many messages wait; not known where that may not be asked.
    pub waiting: Option<u64>,
    /// Whether messages that are received too often go elsewhere; not known where that may not be asked.
    pub redrive: Option<bool>,
    /// How many messages came.
    pub received: u64,
    /// How many of them are on record, or need no record, and were deleted.
    pub deleted: u64,
    /// How many of them could not be read.
    pub unreadable: u64,
    /// How many requests failed.
    pub errors: u64,
}

impl QueueState {
    pub(super) fn new(name: &str, url: &str) -> Self {
        Self {
            name: name.to_owned(),
            inner: Mutex::new(QueueStatus {
                name: name.to_owned(),
                url: url.to_owned(),
                ..QueueStatus::default()
            }),
        }
    }

    pub(super) fn status(&self) -> QueueStatus {
        self.lock().clone()
    }

    /// Messages came.
    pub(super) fn received(&self, messages: usize) {
        self.lock().received += messages as u64;
        self.count("daybook_sqs_received_total", messages);
    }

    /// Messages were deleted.
    pub(super) fn deleted(&self, messages: usize) {
        self.lock().deleted += messages as u64;
        self.count("daybook_sqs_deleted_total", messages);
    }

    /// Messages could not be read.
    pub(super) fn unreadable(&self, messages: usize) {
        self.lock().unreadable += messages as u64;
        self.count("daybook_sqs_unreadable_total", messages);
    }

    /// A request failed. It is told when it is another problem than the last.
    pub(super) fn failed(&self, doing: &'static str, error: &SqsError) {
        let queue = self.name.clone();
        counter!("daybook_sqs_errors_total", "queue" => queue, "kind" => error.kind()).increment(1);
        self.lock().errors += 1;
        self.problem(&format!("{doing}: {error}"));
    }

    /// Something keeps messages from being taken in.
    pub(super) fn problem(&self, problem: &str) {
        let mut status = self.lock();
        if status.problem.as_deref() == Some(problem) {
            return;
        }
        if status.problem.is_none() {
            status.since = Some(clock::now());
        }
        status.problem = Some(problem.to_owned());
        drop(status);
        tracing::warn!(
            queue = self.name,
            problem,
            "a queue is in trouble; it is tried again"
        );
    }

    /// All went well.
    pub(super) fn well(&self) {
        let mut status = self.lock();
        if status.problem.take().is_some() {
            status.since = None;
            drop(status);
            tracing::info!(queue = self.name, "the queue is read again");
        }
    }

    /// What the queue says of itself.
    pub(super) fn is(&self, attributes: Attributes) {
        let mut status = self.lock();
        let first = status.redrive != Some(attributes.redrive);
        status.redrive = Some(attributes.redrive);
        status.waiting = attributes.waiting;
        drop(status);
        if let Some(waiting) = attributes.waiting {
            gauge!("daybook_sqs_waiting", "queue" => self.name.clone()).set(waiting as f64);
        }
        if first && !attributes.redrive {
            tracing::warn!(
                queue = self.name,
                "the queue has no redrive policy: messages that cannot be read are kept here and deleted \
                 after max_receives tries; give the queue a dead-letter queue"
            );
        }
    }

    /// Whether the queue has a redrive policy, if that is known.
    pub(super) fn redrive(&self) -> Option<bool> {
        self.lock().redrive
    }

    fn count(&self, figure: &'static str, messages: usize) {
        counter!(figure, "queue" => self.name.clone()).increment(messages as u64);
    }

    fn lock(&self) -> MutexGuard<'_, QueueStatus> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
