//! The projector: follows the log, folds it batch by batch and tells who waits or watches.
//!
//! It is the only one in the process that subscribes to the log. Live clients get the events from
//! it once they are folded, through one bounded queue; a client that does not keep up is told at
//! which position it fell out.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use daybook_domain::LedgerEvent;
use daybook_event_store::blobs::BlobStore;
use daybook_event_store::{EventLog, Position, ReadError, RecordedEvent, Subscription};
use rusqlite::Connection;
use thiserror::Error;
use tokio::sync::{Mutex, Notify, broadcast, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::background::Background;
use crate::decode::{DecodeFault, Prepared, prepare, read_whole};
use crate::fold::{FoldError, fold_batch};
use crate::model::{self, Checkpoint, OpenError};
use crate::pool::Reader;
use crate::writer::Writer;

/// The most events in one transaction: enough that its cost does not show, little enough that
/// readers see progress while catching up.
pub const BATCH_EVENTS: usize = 1000;
/// How many events a live client may be behind before it is closed.
pub const LIVE_QUEUE_EVENTS: usize = 4096;
/// Batches that are not full begin so far apart at least: where events come all the time, a
/// transaction then has many of them. One that comes alone is folded at once.
const LINGER: Duration = Duration::from_millis(20);
/// The same while many events come and nobody waits for them or watches: most of what a transaction
/// costs are the pages that it changes, and those of many events are the same.
const BUSY_LINGER: Duration = Duration::from_millis(100);
/// So many events in a batch are many.
const BUSY_EVENTS: usize = 20;
/// The pause before the log is asked again after it did not answer.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// What a projector needs to know.
#[derive(Clone, Debug)]
pub struct ProjectorConfig {
    /// The read model's file. A rebuild makes a second one beside it.
    pub path: PathBuf,
    /// The most events in one transaction.
    pub batch_events: usize,
    /// How far apart batches begin that are not full.
    pub linger: Duration,
    /// The same under load, unless somebody waits or watches.
    pub busy_linger: Duration,
    /// How many events a live client may be behind.
    pub live_queue_events: usize,
    /// How many queries run at once.
    pub readers: usize,
}

impl ProjectorConfig {
    /// The usual settings for a file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            batch_events: BATCH_EVENTS,
            linger: LINGER,
            busy_linger: BUSY_LINGER,
            live_queue_events: LIVE_QUEUE_EVENTS,
            readers: 4,
        }
    }
}

/// Where a projector stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectorStatus {
    /// The position of the last event folded.
    pub position: Position,
    /// What it is doing.
    pub state: ProjectorState,
}

/// What a projector is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProjectorState {
    /// It follows the log.
    Running,
    /// It stopped for good before an event that it cannot fold, or because its file failed. The
    /// text names the position, stream and type.
    Faulted(String),
    /// The process is stopping.
    Stopped,
}

/// Why waiting for a position ended without it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WaitError {
    /// It took too long. Try again, or ask without a position.
    #[error("read model is at position {current}, not yet at {wanted}")]
    TimedOut {
        /// What was waited for.
        wanted: Position,
        /// Where the read model is.
        current: Position,
    },
    /// The projector does not go on. Ask without a position, and have it looked at.
    #[error("read model stopped at position {current}: {why}")]
    Stopped {
        /// Where the read model is.
        current: Position,
        /// Why it does not go on.
        why: String,
    },
}

/// Keeps one read model up to date. Cheap to clone.
#[derive(Clone)]
pub struct Projector {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) blobs: BlobStore,
    pub(crate) config: ProjectorConfig,
    /// Held while a batch is folded, and by a rebuild while it compares and switches. `None`
    /// after a switch that failed half-way.
    pub(crate) writer: Mutex<Option<Writer>>,
    /// Where batches are folded.
    folding: Background,
    pub(crate) reader: Reader,
    status: watch::Sender<ProjectorStatus>,
    /// Somebody waits for what is not folded yet.
    awaited: Notify,
    live: broadcast::Sender<Arc<RecordedEvent>>,
}

impl Projector {
    /// Opens the read model and begins to follow the log until `shutdown`. A file that does not
    /// belong to this log, or is ahead of it, is thrown away and made again.
    pub async fn start(
        log: Arc<dyn EventLog>,
        blobs: BlobStore,
        config: ProjectorConfig,
        shutdown: CancellationToken,
    ) -> Result<Self, OpenError> {
        let (conn, checkpoint) = open_for(&*log, &config).await?;
        let writer = model::writer(conn, &config.path)?;
        let position = Position(checkpoint.position);
        let shared = Arc::new(Shared {
            reader: Reader::over_file(config.path.clone(), config.readers),
            writer: Mutex::new(Some(writer)),
            folding: Background::start().map_err(OpenError::Thread)?,
            status: watch::Sender::new(ProjectorStatus {
                position,
                state: ProjectorState::Running,
            }),
            awaited: Notify::new(),
            live: broadcast::Sender::new(config.live_queue_events.max(1)),
            log,
            blobs,
            config,
        });
        let subscription = shared.log.clone().subscribe(position);
        tokio::spawn(run(shared.clone(), subscription, shutdown));
        Ok(Self { shared })
    }

    /// Reads the model.
    pub fn reader(&self) -> &Reader {
        &self.shared.reader
    }

    /// Where it stands now.
    pub fn status(&self) -> ProjectorStatus {
        self.shared.status.borrow().clone()
    }

    /// Shows each change of where it stands.
    pub fn watch(&self) -> watch::Receiver<ProjectorStatus> {
        self.shared.status.subscribe()
    }

    /// The position of the last event folded.
    pub fn position(&self) -> Position {
        self.shared.status.borrow().position
    }

    /// How many positions it is behind the log.
    pub async fn lag(&self) -> Result<u64, ReadError> {
        let head = self.shared.log.head().await?;
        Ok(head.0.saturating_sub(self.position().0))
    }

    /// Waits until an event is folded, at most for a time.
    pub async fn wait_for(&self, wanted: Position, at_most: Duration) -> Result<(), WaitError> {
        let mut status = self.shared.status.subscribe();
        if status.borrow().position < wanted {
            self.shared.awaited.notify_one();
        }
        let reached = status.wait_for(|status| {
            status.position >= wanted || status.state != ProjectorState::Running
        });
        let outcome = tokio::time::timeout(at_most, reached)
            .await
            .map(|found| found.map(|status| status.clone()));
        match outcome {
            Ok(Ok(status)) if status.position >= wanted => Ok(()),
            Ok(Ok(status)) => Err(WaitError::Stopped {
                current: status.position,
                why: match status.state {
                    ProjectorState::Faulted(why) => why,
                    _ => "the process is stopping".into(),
                },
            }),
            Ok(Err(_)) | Err(_) => Err(WaitError::TimedOut {
                wanted,
                current: self.position(),
            }),
        }
    }

    /// The events that are folded from now on. What was folded before has to be read from the log.
    pub fn live(&self) -> broadcast::Receiver<Arc<RecordedEvent>> {
        self.shared.live.subscribe()
    }
}

/// Opens the file, if it is of this log and not ahead of it, else makes an empty one.
async fn open_for(
    log: &dyn EventLog,
    config: &ProjectorConfig,
) -> Result<(Connection, Checkpoint), OpenError> {
    let (conn, checkpoint) = model::open(&config.path)?;
    if is_of(log, &checkpoint).await? {
        return Ok((conn, checkpoint));
    }
    tracing::warn!(
        path = %config.path.display(),
        position = checkpoint.position,
        "the read model is ahead of the log or of another one, and is made again from this one"
    );
    drop(conn);
    model::create(&config.path)
}

async fn is_of(log: &dyn EventLog, checkpoint: &Checkpoint) -> Result<bool, ReadError> {
    if checkpoint.position == 0 {
        return Ok(true);
    }
    let before = Position(checkpoint.position - 1);
    let found = log.read_all(before, 1).await?;
    Ok(found.first().is_some_and(|event| {
        event.position.0 == checkpoint.position && Some(event.event_id) == checkpoint.event_id
    }))
}

/// Why folding stopped.
#[derive(Debug, Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    Decode(#[from] DecodeFault),
    #[error(transparent)]
    Fold(#[from] FoldError),
    #[error(transparent)]
    Log(ReadError),
    #[error("read model is not open after a failed switch; restart")]
    NotOpen,
}

async fn run(shared: Arc<Shared>, mut subscription: Subscription, shutdown: CancellationToken) {
    let mut last = None;
    let state = loop {
        // Only waiting and reading are cut short: a transaction that was begun is ended, and the
        // file is at rest when the state says so.
        let step = shutdown.run_until_cancelled(async {
            if let Some((begun, events)) = last {
                linger(&shared, begun, events).await;
            }
            next(&shared, &mut subscription).await
        });
        let (batch, prepared, decode_fault) = match step.await {
            None => break ProjectorState::Stopped,
            Some(Err(fault)) => break faulted(&fault),
            Some(Ok(next)) => next,
        };
        last = Some((Instant::now(), batch.len()));
        if let Err(fault) = take(&shared, batch, prepared).await {
            break faulted(&fault);
        }
        if let Some(fault) = decode_fault {
            break faulted(&fault.into());
        }
    };
    shared.status.send_modify(|status| status.state = state);
}

/// Waits until the next batch may begin, after one of so many events.
async fn linger(shared: &Shared, begun: Instant, events: usize) {
    let config = &shared.config;
    if events >= config.batch_events {
        return;
    }
    tokio::time::sleep_until(begun + config.linger).await;
    if events >= BUSY_EVENTS && shared.live.receiver_count() == 0 {
        let longer = tokio::time::sleep_until(begun + config.busy_linger);
        tokio::select! {
            () = longer => {}
            () = shared.awaited.notified() => {}
        }
    }
}

fn faulted(fault: &Fault) -> ProjectorState {
    let why = in_full(fault);
    tracing::error!(error = why, "the read model stopped");
    ProjectorState::Faulted(why)
}

type Next = (
    Arc<[Arc<RecordedEvent>]>,
    Vec<Prepared>,
    Option<DecodeFault>,
);

/// Waits for the next events and reads them, up to the first one that cannot be read.
async fn next(shared: &Shared, subscription: &mut Subscription) -> Result<Next, Fault> {
    loop {
        let batch = match subscription.next_batch(shared.config.batch_events).await {
            Ok(batch) => batch,
            Err(ReadError::Unavailable(why)) => {
                tracing::warn!(why, "the log does not answer; asking again");
                tokio::time::sleep(RETRY_PAUSE).await;
                continue;
            }
            Err(damaged) => return Err(Fault::Log(damaged)),
        };
        let batch: Arc<[_]> = batch.into_iter().map(Arc::new).collect();
        let events = Arc::clone(&batch);
        let read = move || events.iter().map(|event| read_whole(event)).collect();
        let read = shared.folding.run(read).await;
        let (prepared, fault) = prepare_each(&batch, read, &shared.blobs).await;
        return Ok((batch, prepared, fault));
    }
}

/// Folds a batch, then tells who waits or watches.
async fn take(
    shared: &Arc<Shared>,
    batch: Arc<[Arc<RecordedEvent>]>,
    prepared: Vec<Prepared>,
) -> Result<(), Fault> {
    let folded = prepared.len();
    let mut guard = shared.writer.lock().await;
    let mut writer = guard.take().ok_or(Fault::NotOpen)?;
    let fold = move || {
        let result = fold_batch(&mut writer.conn, &prepared)
            .and_then(|()| writer.committed().map_err(FoldError::Storage));
        (writer, result)
    };
    let (writer, result) = shared.folding.run(fold).await;
    *guard = Some(writer);
    drop(guard);
    result?;
    if let Some(last) = batch[..folded].last() {
        let position = last.position;
        shared
            .status
            .send_modify(|status| status.position = position);
    }
    for event in &batch[..folded] {
        // It fails when nobody listens, which is no fault.
        let _ = shared.live.send(Arc::clone(event));
    }
    Ok(())
}

/// Reads events until one cannot be read. While the blob store does not answer it waits.
pub(crate) async fn prepare_all(
    batch: &[Arc<RecordedEvent>],
    blobs: &BlobStore,
) -> (Vec<Prepared>, Option<DecodeFault>) {
    let read = batch.iter().map(|event| read_whole(event)).collect();
    prepare_each(batch, read, blobs).await
}

/// The same of events that were read as far as they could be without the blob store.
async fn prepare_each(
    batch: &[Arc<RecordedEvent>],
    read: Vec<Option<LedgerEvent>>,
    blobs: &BlobStore,
) -> (Vec<Prepared>, Option<DecodeFault>) {
    let mut prepared = Vec::with_capacity(batch.len());
    for (event, mut read) in batch.iter().zip(read) {
        loop {
            match prepare(event.clone(), read.take(), blobs).await {
                Ok(event) => prepared.push(event),
                Err(fault) if fault.transient => {
                    tracing::warn!(
                        why = fault.why,
                        "the blob store does not answer; asking again"
                    );
                    tokio::time::sleep(RETRY_PAUSE).await;
                    continue;
                }
                Err(fault) => return (prepared, Some(fault)),
            }
            break;
        }
    }
    (prepared, None)
}

/// Runs on a thread that may block. The connection is handed in and out: if this task is dropped
/// meanwhile the work goes on to its end, so a transaction is never cut by a shutdown.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that is shutting down cancels blocking work.
            Err(_) => std::future::pending().await,
        },
    }
}

pub(crate) fn in_full(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", in_full(source)),
        None => error.to_string(),
    }
}
