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

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

use super::SqliteOptions;
use super::checkpoints::Checkpoints;
use super::codec::EncodedAppend;
use super::statements::Statements;
use super::tables::Tables;
use super::tail::Tail;
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
    pub(super) reply: oneshot::Sender<Reply>,
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

/// The results, and the work that is done, so that its memory is given back where it came from.
pub(super) type Reply = (Vec<AppendResult>, Work);

pub(super) type AppendResult = Result<Appended, AppendError>;

/// Why the writer has stopped, once it has.
pub(super) type Stopped = Arc<OnceLock<String>>;

/// The writer's side of everything.
pub(super) struct Writer {
    pub(super) checkpoints: Checkpoints,
    pub(super) tables: Tables,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) tail: Tail,
    pub(super) head: watch::Sender<Position>,
    pub(super) stopped: Stopped,
    pub(super) options: SqliteOptions,
    /// Held as long as the writer lives.
    pub(super) _lock: std::fs::File,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn spawn(mut self, connection: Connection) -> io::Result<JoinHandle<()>> {
        thread::Builder::new()
            .name("event-log-writer".into())
            .spawn(move || match Statements::prepare(&connection) {
                Ok(mut database) => self.run(&mut database),
                Err(error) => self.stop(format!("the statements cannot be prepared: {error}")),
            })
    }

    fn run(&mut self, database: &mut Statements<'_>) {
        while let Some(Request::Work(first)) = self.requests.blocking_recv() {
            let (jobs, closing) = self.gather(first);
            if let Err(why) = self.commit(database, jobs) {
                return self.stop(why);
            }
            if let Err(error) = self.checkpoints.make_if_due(database.connection()) {
                return self.stop(format!("a checkpoint failed: {error}"));
            }
            if closing {
                break;
            }
        }
        self.finish(database);
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
    fn commit(&mut self, database: &mut Statements<'_>, jobs: Vec<Job>) -> Result<(), String> {
        match self.insert(database, &jobs) {
            Ok(results) => {
                self.tail.extend(self.tables.committed());
                self.head.send_replace(self.tables.head());
                answer(jobs, results);
                Ok(())
            }
            Err(Failure::Insert(error)) => {
                tracing::error!(%error, "appends failed and were rolled back");
                let rolled_back = database.roll_back();
                let why = format!("nothing was written: {error}");
                fail(jobs, &AppendError::Unavailable(why));
                if is_fatal(&error) || rolled_back.is_err() {
                    return Err(format!("an append failed: {error}"));
                }
                self.tables
                    .reload(database.connection())
                    .map_err(|error| format!("the tables cannot be read: {error}"))
            }
            Err(Failure::Commit(error)) => {
                // Nothing was told of it yet, and what it was, the next start finds out.
                let _ = database.roll_back();
                let why = format!("the commit failed ({error}); restart to see what is there");
                fail(jobs, &AppendError::Unknown(why));
                Err(format!("a commit failed: {error}"))
            }
        }
    }

    fn insert(
        &mut self,
        database: &mut Statements<'_>,
        jobs: &[Job],
    ) -> Result<Vec<Vec<AppendResult>>, Failure> {
        let results = self.insert_all(database, jobs).map_err(Failure::Insert)?;
        database.commit().map_err(Failure::Commit)?;
        Ok(results)
    }

    fn insert_all(
        &mut self,
        database: &mut Statements<'_>,
        jobs: &[Job],
    ) -> rusqlite::Result<Vec<Vec<AppendResult>>> {
        database.begin()?;
        let mut results = Vec::with_capacity(jobs.len());
        for job in jobs {
            results.push(match &job.work {
                Work::Append(appends) => appends
                    .iter()
                    .map(|append| self.tables.append(database, append))
                    .collect::<rusqlite::Result<_>>()?,
                Work::Import(events) => vec![self.tables.import(database, events)?],
            });
        }
        self.tables.finish(database)?;
        Ok(results)
    }

    /// The orderly end: what waits is still written.
    fn finish(&mut self, database: &mut Statements<'_>) {
        let _ = self.stopped.set("it is closed".into());
        self.requests.close();
        while let Some(request) = self.requests.blocking_recv() {
            let Request::Work(job) = request else {
                continue;
            };
            let (jobs, _) = self.gather(job);
            if let Err(why) = self.commit(database, jobs) {
                return self.stop(why);
            }
        }
        if let Err(error) = self.checkpoints.finish(database.connection()) {
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
        let _ = job.reply.send((results, job.work));
    }
}

fn fail(jobs: Vec<Job>, error: &AppendError) {
    for job in jobs {
        let results = vec![Err(error.clone()); job.work.results()];
        let _ = job.reply.send((results, job.work));
    }
}
