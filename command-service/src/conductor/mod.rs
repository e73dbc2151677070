//! The process manager: follows the log, and has done what is due.
//!
//! ```text
//!  log ── subscription ──> Worklist ──> queues ──> propose
//!                                                    │  one task for each execution in flight
//!   timers, freed slots, finished attempts ──────────┤
//!                                                    v
//!                        start ─> claim ─> FunctionHost::invoke ─> record the outcome
//!                                                                     └─> publish what it staged
//! ```
//!
//! All state lives in one task; the attempts run beside it and tell when they are over. An
//! execution is in flight at most once in a process, and stays so until the worklist has folded
//! what its last step recorded.
//!
//! Where several command services share the log, each proposes only what it owns (`peers.rs`), and
//! only while its lease counts (`lease.rs`).

mod attempt;
mod figures;
mod follow;
mod lease;
mod offering;
mod peers;
mod proposing;
mod publishing;
mod queues;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use daybook_domain::function::Function;
use daybook_domain::{ExecutionId, FunctionName, PipelineName, ReconcileId, ReplayId, WorkerId};
use daybook_event_store::{Position, ReadError, RecordedEvent};
use daybook_functions::FunctionHost;
use daybook_s3_gateway::Gateway;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::clock;
use crate::commands::Ledger;
use crate::gateway::Stories;
use crate::reconcile::{LiveReconciles, ReconcileLimits};
use crate::room::Room;
use crate::spans::Tracer;
use crate::worklist::{Change, FoldError, Worklist};
pub(crate) use attempt::Claims;
use follow::{READ_PAUSE, read, sleep_until, sleep_until_instant};
pub(crate) use lease::{Fence, Lease};
use peers::Peers;
use queues::{Queues, Starting};

/// How many executions are being started at once, beside those that have a slot.
const MAX_STARTS: usize = 64;

/// After how many events the worklist is written to disk; at least as many as it holds executions, so
/// that a long backlog is not written again and again.
const CHECKPOINT_EVERY: u64 = 20_000;

/// How long to wait before a time-out is offered to the log again.
const TIME_OUT_PAUSE: jiff::SignedDuration = jiff::SignedDuration::from_secs(5);

/// What the conductor needs.
pub(crate) struct ConductorConfig {
    pub ledger: Ledger,
    pub gateway: Arc<Gateway>,
    pub host: Arc<FunctionHost>,
    pub worker: WorkerId,
    pub lease: Lease,
    pub claims: Arc<Claims>,
    pub region: String,
    pub loop_depth: u32,
    pub stories: Stories,
    /// Where it tells how many wait for each function.
    pub room: Room,
    /// How far the reconciles are that run here.
    pub live: LiveReconciles,
    pub reconcile_limits: ReconcileLimits,
    pub tracer: Option<Tracer>,
    pub checkpoint: PathBuf,
    pub worklist: Worklist,
    /// What this worker can run, each function with the SHA-256 of its package.
    pub offered: watch::Receiver<BTreeMap<FunctionName, String>>,
    /// Where the functions go as the log has them.
    pub known: watch::Sender<BTreeMap<FunctionName, Function>>,
}

/// The process manager.
pub(crate) struct Conductor {
    config: ConductorConfig,
    worklist: Worklist,
    queues: Queues,
    /// What the first state of each pipeline calls, in which of its revisions.
    firsts: BTreeMap<PipelineName, (u32, Option<FunctionName>)>,
    peers: Peers,
    /// Executions that this process is busy with, and how to stop their attempt.
    in_flight: HashMap<ExecutionId, CancellationToken>,
    /// Those that are done here, once the worklist has folded this position.
    settling: BTreeMap<Position, Vec<ExecutionId>>,
    /// How many are being started without a slot.
    starts: usize,
    starting: Starting,
    replays: BTreeMap<ReplayId, CancellationToken>,
    reconciles: BTreeMap<ReconcileId, CancellationToken>,
    running: JoinSet<()>,
    done: mpsc::UnboundedSender<Done>,
    finished: mpsc::UnboundedReceiver<Done>,
    saved_at: Position,
}

/// Something that ran beside the conductor is over.
pub(crate) enum Done {
    /// An execution, after what was recorded at this position.
    Execution {
        id: ExecutionId,
        position: Position,
        /// Whether it counted as one of the starts.
        counted: bool,
    },
    /// An execution that was owed had been started before.
    AlreadyStarted(ExecutionId),
    /// The time-out of an execution could not be recorded.
    NotTimedOut(ExecutionId),
    /// A replay.
    Replay(ReplayId),
    /// A reconcile.
    Reconcile(ReconcileId),
}

/// How the work of one life of a worker came to its end.
pub(crate) enum Ended {
    /// As it was told to.
    ByShutdown,
    /// The others hold this worker for gone. What it ran has ended; it has to join anew, and goes
    /// on from its worklist.
    ByLapse(Box<Worklist>),
}

/// Why the work cannot go on.
#[derive(Debug, Error)]
pub(crate) enum Stop {
    /// The log holds what this version cannot read.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// The log has lost what was read from it.
    #[error("the event log has lost events that were acted on")]
    Log(#[source] ReadError),
}

impl Conductor {
    pub(crate) fn new(mut config: ConductorConfig) -> Self {
        // One message for each execution in flight, so that the channel is bounded by those.
        let (done, finished) = mpsc::unbounded_channel();
        let worklist = std::mem::take(&mut config.worklist);
        let mut conductor = Self {
            saved_at: worklist.position,
            queues: Queues::default(),
            firsts: BTreeMap::new(),
            peers: Peers::new(config.worker),
            in_flight: HashMap::new(),
            settling: BTreeMap::new(),
            starts: 0,
            starting: Starting::default(),
            replays: BTreeMap::new(),
            reconciles: BTreeMap::new(),
            running: JoinSet::new(),
            done,
            finished,
            worklist,
            config,
        };
        let now = Instant::now();
        for worker in conductor.worklist.workers.keys() {
            conductor.peers.heard(*worker, now);
        }
        conductor.learn_firsts();
        conductor.enqueue_all();
        conductor.warn_of_missing_functions();
        conductor
    }

    /// Tasks whose function is not in the config wait until it comes back.
    fn warn_of_missing_functions(&self) {
        let known: BTreeSet<_> = self
            .config
            .host
            .status()
            .into_iter()
            .map(|status| status.function)
            .collect();
        let wanted: BTreeSet<_> = self
            .worklist
            .tasks
            .values()
            .map(|open| &open.function)
            .collect();
        for function in wanted {
            if !known.contains(function) {
                tracing::warn!(%function, "tasks wait for a function that is not in the config");
            }
        }
    }

    /// Works until the shutdown, or until the others hold this worker for gone; then lets what runs
    /// come to its end: the host decides how long that takes.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> Result<Ended, Stop> {
        let (batches, mut events) = mpsc::channel(1);
        let subscription = self
            .config
            .ledger
            .log()
            .clone()
            .subscribe(self.worklist.position);
        let _reader = AbortOnDropHandle::new(tokio::spawn(read(subscription, batches)));
        // Kept to the very end: what runs may finish only while the lease counts.
        let mut lease = AbortOnDropHandle::new(self.keep_lease());
        let _offering = AbortOnDropHandle::new(self.keep_offering());
        self.tell_functions();
        let lapsed = loop {
            self.fire_timers();
            self.expire_overdue();
            self.propose();
            self.config.lease.want(self.wants_lease());
            let timer = sleep_until(self.queues.next_timer());
            let peers =
                sleep_until_instant(self.peers.next_due(&self.worklist.workers, Instant::now()));
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break false,
                _ = &mut lease => break true,
                Some(done) = self.finished.recv() => {
                    self.finish(done);
                    while let Ok(done) = self.finished.try_recv() {
                        self.finish(done);
                    }
                }
                Some(batch) = events.recv() => self.fold(&batch.map_err(Stop::Log)?).await?,
                () = self.config.host.slot_freed() => {}
                () = timer => {}
                () = peers => {}
            }
            while self.running.try_join_next().is_some() {}
        };
        for driven in self.replays.values().chain(self.reconciles.values()) {
            driven.cancel();
        }
        if lapsed {
            self.in_flight.values().for_each(CancellationToken::cancel);
        }
        while self.running.join_next().await.is_some() {}
        self.save().await;
        Ok(match lapsed {
            true => Ended::ByLapse(Box::new(self.worklist)),
            false => Ended::ByShutdown,
        })
    }

    /// Whether the lease has to be renewed: there is work, or the log holds this worker for gone,
    /// which the renewal's refusal ends.
    fn wants_lease(&self) -> bool {
        self.peers.is_burdened()
            || !self.in_flight.is_empty()
            || !self.worklist.workers.contains_key(&self.config.worker)
    }

    fn keep_lease(&self) -> tokio::task::JoinHandle<()> {
        let (lease, ledger) = (self.config.lease.clone(), self.config.ledger.clone());
        let worker = self.config.worker;
        tokio::spawn(async move { lease.keep(&ledger, worker).await })
    }

    async fn fold(&mut self, batch: &[RecordedEvent]) -> Result<(), Stop> {
        let blobs = self.config.ledger.blobs().clone();
        let mut changes = Vec::new();
        for event in batch {
            loop {
                match self.worklist.fold(event, &blobs).await {
                    Ok(change) => break changes.extend(change),
                    Err(error) if error.is_transient() => {
                        tracing::error!(%error, "the log cannot be followed now; trying again");
                        tokio::time::sleep(READ_PAUSE).await;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            self.tell(event);
        }
        self.learn_firsts();
        self.settle();
        figures::backlog(&self.worklist);
        let (mut reassigned, mut reconciled) = (false, false);
        for change in changes {
            match change {
                Change::Execution(id) => self.enqueue(id),
                Change::WorkerSeen(worker) => self.peers.heard(worker, Instant::now()),
                Change::Reassigned => reassigned = true,
                Change::Replay(id) => self.resume_replay(id),
                Change::Reconcile => reconciled = true,
            }
        }
        if reassigned {
            self.tell_functions();
            self.enqueue_all();
            self.peers.retain(&self.worklist.workers);
        } else if reconciled {
            self.resume_reconciles();
        }
        let every = CHECKPOINT_EVERY.max(self.worklist.executions() as u64);
        if self.worklist.position.0 >= self.saved_at.0 + every {
            self.save().await;
        }
        Ok(())
    }

    /// Tells of what is over with this event, if it is this worker's to tell.
    fn tell(&self, event: &RecordedEvent) {
        let Some(item) = Tracer::item(event) else {
            return;
        };
        let workers = self.worklist.workers.keys().copied();
        if peers::owner(item, workers) != Some(self.config.worker) {
            return;
        }
        figures::over(&event.event_type);
        if let Some(tracer) = &self.config.tracer {
            tracer.tell(event);
        }
    }

    /// Says of the workers that did not renew their lease in time that they are gone.
    fn expire_overdue(&mut self) {
        let observer = self.config.worker;
        for (worker, renewal) in self.peers.overdue(&self.worklist.workers, Instant::now()) {
            let ledger = self.config.ledger.clone();
            self.running
                .spawn(attempt::expire(ledger, worker, renewal, observer));
        }
    }

    async fn save(&mut self) {
        // A checkpoint that could not be written costs time at the next start, nothing else.
        if let Err(error) = self.worklist.save(&self.config.checkpoint).await {
            tracing::warn!(%error, "the worklist's checkpoint could not be written");
        }
        self.saved_at = self.worklist.position;
    }

    fn finish(&mut self, done: Done) {
        match done {
            Done::Execution {
                id,
                position,
                counted,
            } => {
                if counted {
                    self.starts -= 1;
                }
                self.settling.entry(position).or_default().push(id);
                self.settle();
            }
            Done::AlreadyStarted(id) => {
                self.worklist.owed.remove(&id);
            }
            Done::NotTimedOut(id) => {
                let again = clock::now().checked_add(TIME_OUT_PAUSE);
                self.queues
                    .push_timer(again.unwrap_or(jiff::Timestamp::MAX), id);
            }
            Done::Reconcile(id) => {
                let left = self.reconciles.remove(&id);
                // It may be this worker's again.
                if left.is_some_and(|cancel| cancel.is_cancelled()) {
                    self.resume_reconciles();
                }
            }
            Done::Replay(id) => {
                let left = self.replays.remove(&id);
                // It may be this worker's again.
                if left.is_some_and(|cancel| cancel.is_cancelled()) {
                    self.resume_replay(id);
                }
            }
        }
    }

    /// What is done here and folded is free again, and goes where it belongs now.
    fn settle(&mut self) {
        while let Some(entry) = self.settling.first_entry() {
            if *entry.key() > self.worklist.position {
                break;
            }
            for id in entry.remove() {
                self.starting.end(id);
                self.in_flight.remove(&id);
                self.enqueue(id);
            }
        }
    }
}
