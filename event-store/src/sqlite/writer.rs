//! The one writer: a thread that takes what waits in its queue into one transaction and answers
//! when the commit is on disk.
//!
//! ```text
//! append_each ─ encode ─> queue (bounded) ─> [ gather | insert | COMMIT | announce | answer ] ─> next
//! ```
//!
//! Invariants: nobody gets an `Ok` before `COMMIT` has returned. A commit or checkpoint that failed
//! is not tried again, since after a failed sync nobody knows what the disk holds: the writer
//! stops, and only a restart, which reads what is really there, goes on. What the writer remembers
//! of the tables is forgotten whenever a transaction is rolled back.

use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::{io, thread};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

use super::SqliteOptions;
use super::codec::EncodedAppend;
use super::tables::Tables;
use crate::{AppendError, Appended, Position, RecordedEvent};

/// What waits in the queue.
pub(super) enum Request {
    /// The work of one call.
    Work(Job),
    /// Finish what waits, then end.
    Close,
}

/// The work of one call, and where its results go.
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) reply: oneshot::Sender<Vec<AppendResult>>,
    /// Its share of the bytes that may wait.
    pub(super) _waiting: OwnedSemaphorePermit,
}

/// What is to be written.
pub(super) enum Work {
    /// Independent appends: a result for each.
    Append(Vec<EncodedAppend>),
    /// Events of another log, all or none: one result for all.
    Import(Vec<RecordedEvent>),
}

impl Work {
    fn results(&self) -> usize {
        match self {
            Work::Append(appends) => appends.len(),
            Work::Import(_) => 1,
        }
    }
}

pub(super) type AppendResult = Result<Appended, AppendError>;

/// Why the writer has stopped, once it has.
pub(super) type Stopped = Arc<OnceLock<String>>;

/// The writer's side of everything.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) tables: Tables,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) head: watch::Sender<Position>,
    pub(super) stopped: Stopped,
    pub(super) options: SqliteOptions,
    /// Held as long as the writer lives.
    pub(super) _lock: std::fs::File,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn spawn(mut self) -> io::Result<JoinHandle<()>> {
        thread::Builder::new()
            .name("event-log-writer".into())
            .spawn(move || self.run())
    }

    fn run(&mut self) {
        while let Some(Request::Work(first)) = self.requests.blocking_recv() {
            let (jobs, closing) = self.gather(first);
            if let Err(why) = self.commit(jobs).and_then(|()| self.checkpoint()) {
                return self.stop(why);
            }
            if closing {
                break;
            }
        }
        self.finish();
    }

    /// Everything that waits, up to the limits of a batch; and whether it is the last one.
    fn gather(&mut self, first: Job) -> (Vec<Job>, bool) {
        let mut size = Size::default();
        size.add(&first);
        let mut jobs = vec![first];
        while size.events < self.options.batch_events && size.bytes < self.options.batch_bytes {
            match self.requests.try_recv() {
                Ok(Request::Work(job)) => {
                    size.add(&job);
                    jobs.push(job);
                }
                Ok(Request::Close) => return (jobs, true),
                Err(_) => break,
            }
        }
        (jobs, false)
    }

    /// Commits the jobs and answers them. The error is one after which nothing may be written.
    fn commit(&mut self, jobs: Vec<Job>) -> Result<(), String> {
        match self.insert(&jobs) {
            Ok(results) => {
                self.head.send_replace(self.tables.head());
                answer(jobs, results);
                Ok(())
            }
            Err(Failure::Insert(error)) => {
                tracing::error!(%error, "appends failed and were rolled back");
                let why = format!("nothing was written: {error}");
                fail(jobs, &AppendError::Unavailable(why));
                if is_fatal(&error) || !self.connection.is_autocommit() {
                    return Err(format!("an append failed: {error}"));
                }
                self.tables
                    .reload(&self.connection)
                    .map_err(|error| format!("the tables cannot be read: {error}"))
            }
            Err(Failure::Commit(error)) => {
                let why = format!("the commit failed ({error}); restart to see what is there");
                fail(jobs, &AppendError::Unknown(why));
                Err(format!("a commit failed: {error}"))
            }
        }
    }

    fn insert(&mut self, jobs: &[Job]) -> Result<Vec<Vec<AppendResult>>, Failure> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(Failure::Insert)?;
        let mut results = Vec::with_capacity(jobs.len());
        for job in jobs {
            let of_job = match &job.work {
                Work::Append(appends) => appends
                    .iter()
                    .map(|append| self.tables.append(&transaction, append))
                    .collect(),
                Work::Import(events) => self
                    .tables
                    .import(&transaction, events)
                    .map(|result| vec![result]),
            };
            results.push(of_job.map_err(Failure::Insert)?);
        }
        transaction.commit().map_err(Failure::Commit)?;
        Ok(results)
    }

    /// Moves the write-ahead log into the database when it is long enough. Readers go on
    /// meanwhile; what they still need stays for the next time.
    fn checkpoint(&self) -> Result<(), String> {
        let pages = self
            .checkpoint_with("NOOP")
            .map_err(|error| format!("the write-ahead log cannot be measured: {error}"))?;
        if pages < i64::from(self.options.checkpoint_pages) {
            return Ok(());
        }
        self.checkpoint_with("PASSIVE")
            .map(|_| ())
            .map_err(|error| format!("a checkpoint failed: {error}"))
    }

    /// The pages of the write-ahead log that are not yet in the database.
    fn checkpoint_with(&self, mode: &str) -> rusqlite::Result<i64> {
        self.connection
            .prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?
            .query_row([], |row| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?))
    }

    /// The orderly end: what waits is still written.
    fn finish(&mut self) {
        let _ = self.stopped.set("it is closed".into());
        self.requests.close();
        while let Some(request) = self.requests.blocking_recv() {
            let Request::Work(job) = request else {
                continue;
            };
            let (jobs, _) = self.gather(job);
            if let Err(why) = self.commit(jobs) {
                return self.stop(why);
            }
        }
        if let Err(error) = self.checkpoint_with("TRUNCATE") {
            // Nothing is lost: the next start finds the write-ahead log.
            tracing::warn!(%error, "no checkpoint at the end");
        }
    }

    /// The end after a failure: nothing more is written.
    fn stop(&mut self, why: String) {
        tracing::error!(why, "the event log has stopped, restart to recover");
        let why = format!("{why}; the log has stopped, restart to recover");
        let _ = self.stopped.set(why.clone());
        self.requests.close();
        while let Some(request) = self.requests.blocking_recv() {
            if let Request::Work(job) = request {
                fail(vec![job], &AppendError::Unavailable(why.clone()));
            }
        }
    }
}

enum Failure {
    /// Before the commit: all of it was rolled back.
    Insert(rusqlite::Error),
    /// In the commit: unknown.
    Commit(rusqlite::Error),
}

/// Whether the disk or the file is at fault. It must not be touched again then; anything else,
/// such as a lack of space, may pass.
fn is_fatal(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, SystemIoFailure};
    matches!(
        error.sqlite_error_code(),
        Some(DatabaseCorrupt | NotADatabase | SystemIoFailure)
    )
}

#[derive(Default)]
struct Size {
    events: usize,
    bytes: usize,
}

impl Size {
    fn add(&mut self, job: &Job) {
        match &job.work {
            Work::Append(appends) => {
                for append in appends {
                    self.events += append.events.len();
                    self.bytes += append.bytes;
                }
            }
            Work::Import(events) => self.events += events.len(),
        }
    }
}

// Whoever asked may have gone, then there is nobody to tell.
fn answer(jobs: Vec<Job>, results: Vec<Vec<AppendResult>>) {
    for (job, results) in jobs.into_iter().zip(results) {
        let _ = job.reply.send(results);
    }
}

fn fail(jobs: Vec<Job>, error: &AppendError) {
    for job in jobs {
        let results = vec![Err(error.clone()); job.work.results()];
        let _ = job.reply.send(results);
    }
}
