//! The process manager: follows the log, and has done what is due.
//!
//! ```text
//!  log ── subscription ──> Worklist ──> queues ──> propose
//!                                                    │  one task for each execution in flight
//!   timers, freed slots, finished attempts ──────────┤
//!                                                    v
//!                        start ─> claim ─> FunctionHost::invoke ─> record the outcome
//! ```
//!
//! All state lives in one task; the attempts run beside it and tell when they are over. An
//! execution is in flight at most once in a process, and stays so until the worklist has folded
//! what its last step recorded.

mod attempt;
mod follow;
mod queues;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use daybook_domain::{ExecutionId, WorkerId};
use daybook_event_store::{Position, RecordedEvent};
use daybook_functions::{FunctionHost, Slot};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::clock;
use crate::commands::Ledger;
use crate::gateway::Stories;
use crate::replay;
use crate::worklist::{Change, FoldError, OpenPhase, Worklist};
use attempt::{Attempt, Start};
use follow::{READ_PAUSE, read, sleep_until};
use queues::Queues;

/// How many executions are being started at once, beside those that have a slot.
const MAX_STARTS: usize = 64;

/// After how many events the worklist is written to disk.
const CHECKPOINT_EVERY: u64 = 20_000;

/// How long to wait before a time-out is offered to the log again.
const TIME_OUT_PAUSE: jiff::SignedDuration = jiff::SignedDuration::from_secs(5);

/// What the conductor needs.
pub(crate) struct ConductorConfig {
    pub ledger: Ledger,
    pub host: Arc<FunctionHost>,
    pub worker: WorkerId,
    pub region: String,
    pub stories: Stories,
    pub checkpoint: PathBuf,
    pub worklist: Worklist,
}

/// The process manager.
pub(crate) struct Conductor {
    config: ConductorConfig,
    worklist: Worklist,
    queues: Queues,
    /// Executions that this process is busy with, and how to stop their attempt.
    in_flight: HashMap<ExecutionId, CancellationToken>,
    /// Those that are done here, once the worklist has folded this position.
    settling: BTreeMap<Position, Vec<ExecutionId>>,
    starts: usize,
    replays: BTreeMap<daybook_domain::ReplayId, CancellationToken>,
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
    Replay(daybook_domain::ReplayId),
}

impl Conductor {
    pub(crate) fn new(mut config: ConductorConfig) -> Self {
        // One message for each execution in flight, so that the channel is bounded by those.
        let (done, finished) = mpsc::unbounded_channel();
        let worklist = std::mem::take(&mut config.worklist);
        let mut conductor = Self {
            saved_at: worklist.position,
            queues: Queues::default(),
            in_flight: HashMap::new(),
            settling: BTreeMap::new(),
            starts: 0,
            replays: BTreeMap::new(),
            running: JoinSet::new(),
            done,
            finished,
            worklist,
            config,
        };
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

    /// Works until the shutdown, then lets what runs come to its end: the host decides how long
    /// that takes.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> Result<(), FoldError> {
        let (batches, mut events) = mpsc::channel(1);
        let subscription = self
            .config
            .ledger
            .log()
            .clone()
            .subscribe(self.worklist.position);
        let _reader = AbortOnDropHandle::new(tokio::spawn(read(subscription, batches)));
        loop {
            self.propose();
            let timer = sleep_until(self.queues.next_timer());
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(done) = self.finished.recv() => {
                    self.finish(done);
                    while let Ok(done) = self.finished.try_recv() {
                        self.finish(done);
                    }
                }
                Some(batch) = events.recv() => self.fold(&batch).await?,
                () = self.config.host.slot_freed() => {}
                () = timer => self.fire_timers(),
            }
            while let Some(ended) = self.running.try_join_next() {
                if let Err(error) = ended {
                    tracing::error!(%error, "an execution's task broke; the next start takes it up");
                }
            }
        }
        for replay in self.replays.values() {
            replay.cancel();
        }
        while self.running.join_next().await.is_some() {}
        self.save().await;
        Ok(())
    }

    async fn fold(&mut self, batch: &[RecordedEvent]) -> Result<(), FoldError> {
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
                    Err(error) => return Err(error),
                }
            }
        }
        self.settle();
        for change in changes {
            match change {
                Change::Execution(id) => self.enqueue(id),
                Change::WorkerLeft(_) => self.enqueue_all(),
                Change::Replay(id) => self.resume_replay(id),
            }
        }
        if self.worklist.position.0 >= self.saved_at.0 + CHECKPOINT_EVERY {
            self.save().await;
        }
        Ok(())
    }

    async fn save(&mut self) {
        // A checkpoint that could not be written costs time at the next start, nothing else.
        if let Err(error) = self.worklist.save(&self.config.checkpoint).await {
            tracing::warn!(%error, "the worklist's checkpoint could not be written");
        }
        self.saved_at = self.worklist.position;
    }

    fn enqueue_all(&mut self) {
        let owed = self.worklist.owed.keys().copied();
        let ids: Vec<_> = owed.chain(self.worklist.tasks.keys().copied()).collect();
        for id in ids {
            self.enqueue(id);
        }
        let replays: Vec<_> = self.worklist.replays.keys().copied().collect();
        for id in replays {
            self.resume_replay(id);
        }
    }

    /// Puts an execution where it belongs: into the queue of its function, of the starts, or of
    /// the timers.
    fn enqueue(&mut self, id: ExecutionId) {
        let (owed, open) = (self.worklist.owed.get(&id), self.worklist.tasks.get(&id));
        if owed.is_none() && open.is_none() {
            self.end(id);
            return;
        }
        if self.in_flight.contains_key(&id) {
            // Its own task goes on with it; its deadline stays with the timers.
            self.watch_deadline(id);
            return;
        }
        if let Some(owed) = owed {
            let pipeline = self.worklist.pipelines.get(&owed.pipeline);
            if pipeline.is_some_and(|pipeline| !pipeline.paused && !pipeline.retired) {
                self.queues.push_start(id);
            }
            return;
        }
        self.watch_deadline(id);
        let Some(open) = self.worklist.tasks.get(&id) else {
            return;
        };
        match open.phase {
            OpenPhase::Due => self.queues.push_task(open.function.clone(), id),
            OpenPhase::At(due) => self.queues.push_timer(due, id),
            OpenPhase::Claimed(_) if self.worklist.abandoned_by(open).is_some() => {
                self.queues.push_task(open.function.clone(), id);
            }
            OpenPhase::Claimed(_) | OpenPhase::Entering => {}
        }
    }

    /// The execution is over. An attempt that still runs was overtaken by a time-out or an abort.
    fn end(&mut self, id: ExecutionId) {
        self.queues.forget_deadline(id);
        if let Some(running) = self.in_flight.get(&id) {
            running.cancel();
        }
    }

    fn watch_deadline(&mut self, id: ExecutionId) {
        let deadline = self.worklist.tasks.get(&id).and_then(|open| open.deadline);
        if let Some(deadline) = deadline {
            self.queues.push_deadline(deadline, id);
        }
    }

    fn fire_timers(&mut self) {
        let now = clock::now();
        for id in self.queues.due_timers(now) {
            let Some(open) = self.worklist.tasks.get(&id) else {
                continue;
            };
            if open.deadline.is_some_and(|deadline| deadline <= now) {
                self.time_out(id);
            } else if matches!(open.phase, OpenPhase::At(due) if due <= now)
                && !self.in_flight.contains_key(&id)
            {
                self.queues.push_task(open.function.clone(), id);
            }
        }
    }

    /// The execution as a whole took too long.
    fn time_out(&mut self, id: ExecutionId) {
        let correlation = self
            .worklist
            .tasks
            .get(&id)
            .map(|open| open.correlation.clone())
            .unwrap_or_default();
        let tools = self.tools();
        self.running
            .spawn(attempt::time_out(tools, id, correlation));
    }

    fn propose(&mut self) {
        let host = self.config.host.clone();
        while let Some((id, slot)) = self.queues.next_task(|function| host.reserve(function)) {
            self.claim(id, slot);
        }
        while self.starts < MAX_STARTS {
            let Some(id) = self.queues.next_start() else {
                break;
            };
            self.start(id);
        }
    }

    fn claim(&mut self, id: ExecutionId, slot: Slot) {
        let Some(open) = self.worklist.tasks.get(&id) else {
            return;
        };
        let supersede = self.worklist.abandoned_by(open);
        let due = match open.phase {
            OpenPhase::Due => true,
            OpenPhase::At(due) => due <= clock::now(),
            OpenPhase::Claimed(_) => supersede.is_some(),
            OpenPhase::Entering => false,
        };
        let code = self
            .worklist
            .functions
            .get(&open.function)
            .and_then(|it| it.current.clone());
        let (true, Some(code), false) = (due, code, self.in_flight.contains_key(&id)) else {
            return;
        };
        let attempt = Attempt {
            id,
            task: open.task,
            code,
            supersede,
            correlation: open.correlation.clone(),
            cancel: CancellationToken::new(),
        };
        self.in_flight.insert(id, attempt.cancel.clone());
        self.running.spawn(attempt.run(self.tools(), slot, false));
    }

    fn start(&mut self, id: ExecutionId) {
        let Some(owed) = self.worklist.owed.get(&id) else {
            return;
        };
        let pipeline = self.worklist.pipelines.get(&owed.pipeline);
        let revision = pipeline.and_then(|pipeline| pipeline.current.clone());
        let (Some(revision), false) = (revision, self.in_flight.contains_key(&id)) else {
            return;
        };
        // Whoever waits longer for the function goes first.
        let code = attempt::first_function(&revision)
            .filter(|function| !self.queues.waits_for(function))
            .and_then(|function| {
                let current = self.worklist.functions.get(&function)?.current.clone()?;
                let slot = self.config.host.reserve(&function)?;
                Some((slot, current))
            });
        let start = Start {
            id,
            owed: owed.clone(),
            revision,
            cancel: CancellationToken::new(),
        };
        self.in_flight.insert(id, start.cancel.clone());
        // One that has a slot is bounded by the slots.
        self.starts += usize::from(code.is_none());
        self.running.spawn(start.run(self.tools(), code));
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
            Done::Replay(id) => {
                self.replays.remove(&id);
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
                self.in_flight.remove(&id);
                self.enqueue(id);
            }
        }
    }

    fn resume_replay(&mut self, id: daybook_domain::ReplayId) {
        match (
            self.worklist.replays.contains_key(&id),
            self.replays.get(&id),
        ) {
            (true, None) => {
                let cancel = CancellationToken::new();
                self.replays.insert(id, cancel.clone());
                let (ledger, done) = (self.config.ledger.clone(), self.done.clone());
                self.running.spawn(async move {
                    replay::drive(ledger, id, cancel).await;
                    let _ = done.send(Done::Replay(id));
                });
            }
            (false, Some(running)) => running.cancel(),
            _ => {}
        }
    }

    fn tools(&self) -> attempt::Tools {
        attempt::Tools {
            ledger: self.config.ledger.clone(),
            host: self.config.host.clone(),
            worker: self.config.worker,
            region: self.config.region.clone(),
            stories: self.config.stories.clone(),
            done: self.done.clone(),
        }
    }
}
