//! The one writer of this process: what waits is appended in one transaction, so batches grow with
//! the load.
//!
//! A transaction is one statement, so a process that is stopped or cut off cannot leave one open
//! and hold up the others. What became of an attempt whose answer got lost is found out by
//! appending the same again: the head row is locked until the lost one has ended either way, and
//! then the ids tell.

use std::collections::VecDeque;
use std::mem;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::batch::{Batch, Landed, Verdict, conflict};
use super::codec::system_time;
use super::error::{Remedy, describe, remedy};
use super::head::Head;
use super::options::PostgresOptions;
use super::queue::{Pending, Request};
use super::session::Connector;
use super::statements::{Range, WriterSession};
use super::wait::Backoff;
use crate::{AppendError, Appended, Position, StreamVersion};

/// Appends what is asked for until it is closed.
pub(super) struct Writer {
    connector: Connector,
    requests: mpsc::Receiver<Request>,
    head: Head,
    channel: String,
    options: PostgresOptions,
    session: Option<WriterSession>,
    waiting: Waiting,
}

impl Writer {
    pub(super) fn new(
        connector: Connector,
        requests: mpsc::Receiver<Request>,
        head: Head,
        channel: String,
        options: PostgresOptions,
    ) -> Self {
        Self {
            connector,
            requests,
            head,
            channel,
            options,
            session: None,
            waiting: Waiting::default(),
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            if self.waiting.queue.is_empty() {
                match self.requests.recv().await {
                    Some(request) => self.take(request),
                    None => return,
                }
            }
            // Those who were just answered may have more for this batch.
            tokio::task::yield_now().await;
            while !self.is_full()
                && let Ok(request) = self.requests.try_recv()
            {
                self.take(request);
            }
            let batch = self.waiting.pop_batch(&self.options);
            self.commit(batch).await;
        }
    }

    fn take(&mut self, request: Request) {
        match request {
            Request::Append(appends) => appends
                .into_iter()
                .for_each(|append| self.waiting.push(append)),
            // What waits is still received, then the end.
            Request::Close => self.requests.close(),
        }
    }

    fn is_full(&self) -> bool {
        let waiting = &self.waiting;
        waiting.events >= self.options.batch_events || waiting.bytes >= self.options.batch_bytes
    }

    /// Appends the batch, and answers all of it but what has to wait for the next.
    async fn commit(&mut self, mut members: Vec<Pending>) {
        let mut backoff = Backoff::default();
        while !members.is_empty() {
            let batch = Batch::compose(members.iter().map(|pending| &pending.append));
            match self.attempt(&batch).await {
                Ok(landed) => {
                    let (verdicts, end) = batch.settle(&landed);
                    if end > landed.before {
                        self.announce(end);
                    }
                    return self.carry_out(members, verdicts).await;
                }
                Err(failure) => members = failure.answer_impatient(members, &self.options),
            }
            if !members.is_empty() {
                backoff.wait().await;
            }
        }
    }

    async fn attempt(&mut self, batch: &Batch<'_>) -> Result<Landed, Failure> {
        let now = system_time((self.options.clock)());
        let bound = self.options.attempt_timeout;
        let session = self.session().await?;
        let done = timeout(bound, session.append(batch, now)).await;
        done.map_err(|_| Failure::silence())
            .and_then(|done| done.map_err(|error| Failure::of(&error)))
            .inspect_err(|failure| self.drop_session_after(failure))
    }

    /// The session, opened if there is none. Where it cannot be, nothing was written.
    async fn session(&mut self) -> Result<&WriterSession, Failure> {
        let usable = self.session.take().filter(|session| !session.is_closed());
        let session = match usable {
            Some(session) => session,
            None => {
                let opening = WriterSession::open(&self.connector);
                let opened = timeout(self.options.attempt_timeout, opening).await;
                opened
                    .map_err(|_| Failure::before_sending("no answer in time".into()))?
                    .map_err(|error| Failure::before_sending(describe(&error)))?
            }
        };
        Ok(self.session.insert(session))
    }

    fn drop_session_after(&mut self, failure: &Failure) {
        if matches!(failure.remedy, Remedy::Unknown | Remedy::RepeatElsewhere) {
            self.session = None;
        }
    }

    fn announce(&self, end: Position) {
        self.head.raise(end);
        if let Some(session) = &self.session {
            session.notify(&self.channel, end);
        }
    }

    async fn carry_out(&mut self, members: Vec<Pending>, verdicts: Vec<Verdict>) {
        let (mut again, mut compared) = (Vec::new(), Vec::new());
        for (pending, verdict) in members.into_iter().zip(verdicts) {
            match verdict {
                Verdict::Answer(result) => pending.answer(result),
                Verdict::Again => again.push(pending),
                Verdict::Compare {
                    first,
                    last,
                    actual,
                } => compared.push(Compared {
                    pending,
                    first,
                    last,
                    actual,
                }),
            }
        }
        again
            .into_iter()
            .rev()
            .for_each(|pending| self.waiting.push_front(pending));
        if !compared.is_empty() {
            self.compare(compared).await;
        }
    }

    /// Answers those that may be repetitions. What is recorded does not change, so this needs no
    /// transaction.
    async fn compare(&mut self, mut compared: Vec<Compared>) {
        let mut backoff = Backoff::default();
        loop {
            let failure = match self.attempt_compare(&compared).await {
                Ok(found) => {
                    for (compared, found) in compared.into_iter().zip(found) {
                        let result = compared.judge(&found);
                        compared.pending.answer(result);
                    }
                    return;
                }
                Err(failure) => failure,
            };
            let (over, rest) = compared.into_iter().partition::<Vec<_>, _>(|compared| {
                failure.is_final(&compared.pending, &self.options)
            });
            for compared in over {
                let error = failure.error_of(&compared.pending);
                compared.pending.answer(Err(error));
            }
            if rest.is_empty() {
                return;
            }
            compared = rest;
            backoff.wait().await;
        }
    }

    async fn attempt_compare(
        &mut self,
        compared: &[Compared],
    ) -> Result<Vec<Vec<(Position, uuid::Uuid)>>, Failure> {
        let ranges: Vec<Range<'_>> = compared.iter().map(Compared::range).collect();
        let bound = self.options.attempt_timeout;
        let session = self.session().await?;
        let done = timeout(bound, session.compare(&ranges)).await;
        done.map_err(|_| Failure::silence())
            .and_then(|done| done.map_err(|error| Failure::of(&error)))
            .inspect_err(|failure| self.drop_session_after(failure))
    }
}

/// An append that is a repetition if the events of these versions have its ids.
struct Compared {
    pending: Pending,
    first: StreamVersion,
    last: StreamVersion,
    actual: Option<StreamVersion>,
}

impl Compared {
    fn range(&self) -> Range<'_> {
        Range {
            stream: &self.pending.append.stream,
            first: self.first,
            last: self.last,
        }
    }

    fn judge(&self, found: &[(Position, uuid::Uuid)]) -> Result<Appended, AppendError> {
        let append = &self.pending.append;
        let wanted = append.events.iter().map(|event| event.event_id);
        match found.last() {
            Some((position, _)) if wanted.eq(found.iter().map(|(_, id)| *id)) => Ok(Appended {
                version: self.last,
                position: *position,
            }),
            _ => Err(conflict(append, self.actual)),
        }
    }
}

/// Why an attempt did not succeed.
struct Failure {
    remedy: Remedy,
    why: String,
}

impl Failure {
    fn of(error: &tokio_postgres::Error) -> Self {
        Self {
            remedy: remedy(error),
            why: describe(error),
        }
    }

    fn before_sending(why: String) -> Self {
        Self {
            remedy: Remedy::RepeatElsewhere,
            why,
        }
    }

    fn silence() -> Self {
        Self {
            remedy: Remedy::Unknown,
            why: "no answer in time".into(),
        }
    }

    fn is_final(&self, pending: &Pending, options: &PostgresOptions) -> bool {
        self.remedy == Remedy::GiveUp || pending.since.elapsed() >= options.patience
    }

    fn error_of(&self, pending: &Pending) -> AppendError {
        let why = self.why.clone();
        if pending.doubtful {
            AppendError::Unknown(why)
        } else {
            AppendError::Unavailable(why)
        }
    }

    /// Answers those that have waited long enough, and returns those that try again.
    fn answer_impatient(&self, members: Vec<Pending>, options: &PostgresOptions) -> Vec<Pending> {
        tracing::warn!(why = self.why, appends = members.len(), "appends failed");
        let mut rest = Vec::new();
        for mut pending in members {
            pending.doubtful |= self.remedy == Remedy::Unknown;
            if !self.is_final(&pending, options) {
                rest.push(pending);
                continue;
            }
            let error = self.error_of(&pending);
            pending.answer(Err(error));
        }
        rest
    }
}

/// Appends that are not in a batch yet, and what they weigh.
#[derive(Default)]
struct Waiting {
    queue: VecDeque<Pending>,
    events: usize,
    bytes: usize,
}

impl Waiting {
    fn push(&mut self, pending: Pending) {
        self.events += pending.append.events.len();
        self.bytes += pending.append.bytes;
        self.queue.push_back(pending);
    }

    fn push_front(&mut self, pending: Pending) {
        self.events += pending.append.events.len();
        self.bytes += pending.append.bytes;
        self.queue.push_front(pending);
    }

    /// As many as one transaction takes, at least one.
    fn pop_batch(&mut self, options: &PostgresOptions) -> Vec<Pending> {
        let (mut events, mut bytes, mut count) = (0, 0, 0);
        for pending in &self.queue {
            events += pending.append.events.len();
            bytes += pending.append.bytes;
            let over = events > options.batch_events || bytes > options.batch_bytes;
            if over && count > 0 {
                events -= pending.append.events.len();
                bytes -= pending.append.bytes;
                break;
            }
            count += 1;
        }
        self.events -= events;
        self.bytes -= bytes;
        let rest = self.queue.split_off(count);
        mem::replace(&mut self.queue, rest).into()
    }
}
