//! From what is due to what is done: who owns it, which queue it waits in, and its turn.

use std::collections::BTreeSet;
use std::time::Instant;

use daybook_domain::{ExecutionId, FunctionName, PipelineName, ReconcileId, ReplayId, WorkerId};
use daybook_event_store::Position;
use daybook_functions::Slot;
use daybook_s3_gateway::AttemptId;
use tokio_util::sync::CancellationToken;

use super::attempt::{self, Attempt, Start};
use super::peers::owner;
use super::publishing::Publication;
use super::{Conductor, Done, MAX_STARTS, TIME_OUT_PAUSE};
use crate::clock;
use crate::reconcile;
use crate::replay;
use crate::worklist::OpenPhase;

impl Conductor {
    pub(super) fn enqueue_all(&mut self) {
        let owed = self.worklist.owed.iter();
        let mut owed: Vec<_> = owed.map(|(id, owed)| (owed.after, *id)).collect();
        owed.sort_unstable();
        let owed = owed.into_iter().map(|(_, id)| id);
        let ids: Vec<_> = owed.chain(self.worklist.tasks.keys().copied()).collect();
        for id in ids {
            self.enqueue(id);
        }
        let replays: Vec<_> = self.worklist.replays.keys().copied().collect();
        for id in replays {
            self.resume_replay(id);
        }
        self.resume_reconciles();
    }

    /// Puts an execution where it belongs: into the queue of its function, of the starts, or of
    /// the timers; or leaves it to the worker that owns it.
    pub(super) fn enqueue(&mut self, id: ExecutionId) {
        if self.in_flight.contains_key(&id) {
            if !self.worklist.owed.contains_key(&id) && !self.worklist.tasks.contains_key(&id) {
                return self.end(id);
            }
            // Its own task goes on with it; its deadline stays with the timers.
            self.watch_deadline(id);
            return self.assign(id, Some(self.config.worker));
        }
        if let Some(owed) = self.worklist.owed.get(&id) {
            let owner = self.owner_of_start(id, &owed.pipeline);
            self.assign(id, owner);
            if owner == Some(self.config.worker) {
                self.queues.push_start(id);
            }
            return;
        }
        self.watch_deadline(id);
        let Some(open) = self.worklist.tasks.get(&id) else {
            return self.end(id);
        };
        match open.phase {
            OpenPhase::Due => self.offer(id),
            OpenPhase::At(due) => {
                self.queues.push_timer(due, id);
                self.assign(id, None);
            }
            OpenPhase::Claimed(_) if self.worklist.abandoned_by(open).is_some() => self.offer(id),
            OpenPhase::Claimed(worker) if worker == self.config.worker => self.disown(id),
            OpenPhase::Claimed(worker) => self.assign(id, Some(worker)),
            OpenPhase::Publishing(worker) => self.publish(id, worker),
            OpenPhase::Entering => self.assign(id, None),
        }
    }

    /// Whatever this worker claimed is in flight; what is not, it does not know of.
    fn disown(&mut self, id: ExecutionId) {
        let Some(open) = self.worklist.tasks.get(&id) else {
            return;
        };
        let function = self.worklist.functions.get(&open.function);
        let Some(code) = function.and_then(|function| function.current.clone()) else {
            return;
        };
        let attempt = Attempt {
            id,
            task: open.task,
            code,
            supersede: None,
            correlation: open.correlation.clone(),
            cancel: CancellationToken::new(),
        };
        let ordinal = open.attempt;
        self.assign(id, Some(self.config.worker));
        self.in_flight.insert(id, attempt.cancel.clone());
        let work = attempt.disown(self.tools(), ordinal);
        self.run_beside(id, false, work);
    }

    /// Has published what was decided to be, if that is for this worker: it was busy with it in this
    /// life, or the one that was is gone.
    fn publish(&mut self, id: ExecutionId, worker: WorkerId) {
        let Some(open) = self.worklist.tasks.get(&id) else {
            return;
        };
        let publication = Publication {
            attempt: AttemptId {
                execution: id,
                task: open.task,
                attempt: open.attempt,
            },
            correlation: open.correlation.clone(),
            cancel: CancellationToken::new(),
        };
        let owner = match self.worklist.workers.contains_key(&worker) {
            true => Some(worker),
            false => self.owner_among_all(id.0),
        };
        self.assign(id, owner);
        if owner == Some(self.config.worker) {
            self.in_flight.insert(id, publication.cancel.clone());
            let work = publication.run(self.tools());
            self.run_beside(id, false, work);
        }
    }

    /// Puts a task that is due into the queue of its function, if it is for this worker.
    fn offer(&mut self, id: ExecutionId) {
        let Some(open) = self.worklist.tasks.get(&id) else {
            return;
        };
        let owner = self.owner_of_task(id, &open.function);
        let function = open.function.clone();
        self.assign(id, owner);
        if owner == Some(self.config.worker) {
            self.queues.push_task(function, id);
        }
    }

    fn assign(&mut self, id: ExecutionId, worker: Option<WorkerId>) {
        self.peers.assign(id.0, worker, Instant::now());
    }

    /// Who claims a task: one that can run what the function is now. `None` while nobody can.
    fn owner_of_task(&self, id: ExecutionId, function: &FunctionName) -> Option<WorkerId> {
        owner(id.0, self.worklist.offering(function))
    }

    /// Who starts an execution: who will claim its first task, so that both are one append.
    fn owner_of_start(&self, id: ExecutionId, name: &PipelineName) -> Option<WorkerId> {
        let pipeline = self.worklist.pipelines.get(name)?;
        if pipeline.paused || pipeline.retired || pipeline.current.is_none() {
            return None;
        }
        let (_, first) = self.firsts.get(name)?;
        first
            .as_ref()
            .and_then(|function| self.owner_of_task(id, function))
            .or_else(|| self.owner_among_all(id.0))
    }

    /// Reads the definitions of pipelines that have a new revision.
    pub(super) fn learn_firsts(&mut self) {
        let mut changed = false;
        for (name, pipeline) in &self.worklist.pipelines {
            let Some(current) = &pipeline.current else {
                continue;
            };
            let known = self.firsts.get(name);
            if known.is_none_or(|(revision, _)| *revision != current.revision) {
                let first = current.first_function();
                self.firsts.insert(name.clone(), (current.revision, first));
                changed = true;
            }
        }
        if changed {
            self.queues.unhold();
        }
    }

    fn owner_among_all(&self, item: uuid::Uuid) -> Option<WorkerId> {
        owner(item, self.worklist.workers.keys().copied())
    }

    /// The execution is over. An attempt that still runs was overtaken by a time-out or an abort.
    fn end(&mut self, id: ExecutionId) {
        self.assign(id, None);
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

    pub(super) fn fire_timers(&mut self) {
        let now = clock::now();
        for id in self.queues.due_timers(now) {
            let Some(open) = self.worklist.tasks.get(&id) else {
                continue;
            };
            let due = matches!(open.phase, OpenPhase::At(due) if due <= now);
            match open.deadline {
                Some(deadline) if deadline <= now => self.time_out(id, deadline, now),
                _ if due && !self.in_flight.contains_key(&id) => self.offer(id),
                _ => {}
            }
        }
    }

    /// The execution as a whole took too long. That is for its owner to record, and a while later
    /// for everybody.
    fn time_out(&mut self, id: ExecutionId, deadline: jiff::Timestamp, now: jiff::Timestamp) {
        let waited = now.duration_since(deadline);
        if waited < TIME_OUT_PAUSE && self.owner_among_all(id.0) != Some(self.config.worker) {
            let later = now.checked_add(TIME_OUT_PAUSE);
            let later = later.unwrap_or(jiff::Timestamp::MAX);
            return self.queues.push_timer(later, id);
        }
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

    pub(super) fn propose(&mut self) {
        while let Some((id, slot)) = self.next_claim() {
            self.claim(id, slot);
        }
        while self.starts < MAX_STARTS {
            let Some(id) = self.next_start() else {
                break;
            };
            self.start(id);
        }
        let waiting = self.worklist.waiting().iter();
        let waiting = waiting.map(|(function, n)| (function, n + self.starting.count(function)));
        self.config.room.tell(waiting);
    }

    /// An execution that is owed, and whose function has a slot, or room in its queue.
    fn next_start(&mut self) -> Option<ExecutionId> {
        let (worklist, firsts) = (&self.worklist, &self.firsts);
        let function_of = |id| {
            let owed = worklist.owed.get(&id)?;
            firsts.get(&owed.pipeline)?.1.clone()
        };
        let host = &self.config.host;
        let is_full = |function: &FunctionName, waits_here: bool| {
            // What others let wait does not hold up what can run here.
            if !waits_here && host.has_slot(function) {
                return false;
            }
            let waiting = worklist
                .waiting()
                .get(function)
                .copied()
                .unwrap_or_default();
            waiting + self.starting.count(function) >= self.config.room.limit(function)
        };
        self.queues.next_start(function_of, is_full)
    }

    /// A task and a slot that runs what the log says that its function is: an attempt names the code
    /// that it runs on.
    fn next_claim(&mut self) -> Option<(ExecutionId, Slot)> {
        let (host, functions) = (&self.config.host, &self.worklist.functions);
        self.queues.next_task(|function| {
            let current = functions.get(function)?.current.as_ref()?;
            host.reserve_revision(function, current)
        })
    }

    fn claim(&mut self, id: ExecutionId, slot: Slot) {
        let Some(open) = self.worklist.tasks.get(&id) else {
            return;
        };
        let supersede = self.worklist.abandoned_by(open);
        let due = match open.phase {
            OpenPhase::Due => true,
            // The clock was set back since its timer fired.
            OpenPhase::At(due) if due > clock::now() => return self.queues.push_timer(due, id),
            OpenPhase::At(_) => true,
            OpenPhase::Claimed(_) => supersede.is_some(),
            OpenPhase::Publishing(_) | OpenPhase::Entering => false,
        };
        // It may have gone to another worker while it waited here.
        let mine = self.owner_of_task(id, &open.function) == Some(self.config.worker);
        let code = self
            .worklist
            .functions
            .get(&open.function)
            .and_then(|it| it.current.clone());
        let (true, Some(code), false) = (due && mine, code, self.in_flight.contains_key(&id))
        else {
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
        let work = attempt.run(self.tools(), slot, false);
        self.run_beside(id, false, work);
    }

    fn start(&mut self, id: ExecutionId) {
        let Some(owed) = self.worklist.owed.get(&id) else {
            return;
        };
        let owed = owed.clone();
        let mine = self.owner_of_start(id, &owed.pipeline) == Some(self.config.worker);
        let pipeline = self.worklist.pipelines.get(&owed.pipeline);
        let revision = pipeline.and_then(|pipeline| pipeline.current.clone());
        let (Some(revision), true, false) = (revision, mine, self.in_flight.contains_key(&id))
        else {
            return;
        };
        // Whoever waits longer for the function goes first.
        let first = self.firsts.get(&owed.pipeline);
        let first = first.and_then(|(_, function)| function.clone());
        let code = first
            .as_ref()
            .filter(|function| !self.queues.waits_for(function))
            .filter(|function| self.owner_of_task(id, function) == Some(self.config.worker))
            .and_then(|function| {
                let current = self.worklist.functions.get(function)?.current.clone()?;
                let slot = self.config.host.reserve_revision(function, &current)?;
                Some((slot, current))
            });
        let start = Start {
            id,
            pipeline: owed.pipeline,
            after: owed.after,
            revision,
            cancel: CancellationToken::new(),
        };
        self.in_flight.insert(id, start.cancel.clone());
        // One that has a slot is bounded by the slots.
        let counted = code.is_none();
        if let (true, Some(function)) = (counted, first) {
            self.starting.begin(id, function);
        }
        self.starts += usize::from(counted);
        let work = start.run(self.tools(), code);
        self.run_beside(id, counted, work);
    }

    /// Runs an execution's next steps beside the conductor. If they break, it is free again: what
    /// it had claimed by then is disowned.
    fn run_beside(
        &mut self,
        id: ExecutionId,
        counted: bool,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let done = self.done.clone();
        self.running.spawn(async move {
            if let Err(error) = tokio::spawn(work).await {
                tracing::error!(execution = %id, %error, "an execution's task broke");
                let position = Position::START;
                let _ = done.send(Done::Execution {
                    id,
                    position,
                    counted,
                });
            }
        });
    }

    /// Goes on with a replay that is for this worker, and leaves one that is not, or is over.
    pub(super) fn resume_replay(&mut self, id: ReplayId) {
        let owner = match self.worklist.replays.contains_key(&id) {
            true => self.owner_among_all(id.0),
            false => None,
        };
        self.peers.assign(id.0, owner, Instant::now());
        let mine = owner == Some(self.config.worker);
        match self.replays.get(&id) {
            None if mine => {
                let cancel = CancellationToken::new();
                self.replays.insert(id, cancel.clone());
                let (ledger, done) = (self.config.ledger.clone(), self.done.clone());
                let room = self.config.room.clone();
                self.running.spawn(async move {
                    replay::drive(ledger, room, id, cancel).await;
                    let _ = done.send(Done::Replay(id));
                });
            }
            Some(running) if !mine => running.cancel(),
            _ => {}
        }
    }

    /// Goes on with the reconciles that are for this worker and have their turn, and leaves those
    /// that are not, or are over.
    pub(super) fn resume_reconciles(&mut self) {
        let in_turn: BTreeSet<_> = self.worklist.reconciles_in_turn().collect();
        let open = self.worklist.reconciles.keys();
        let all: BTreeSet<_> = open.chain(self.reconciles.keys()).copied().collect();
        for id in all {
            let owner = match in_turn.contains(&id) {
                true => self.owner_among_all(id.0),
                false => None,
            };
            self.peers.assign(id.0, owner, Instant::now());
            let mine = owner == Some(self.config.worker);
            match self.reconciles.get(&id) {
                None if mine => self.drive_reconcile(id),
                Some(running) if !mine => running.cancel(),
                _ => {}
            }
        }
    }

    fn drive_reconcile(&mut self, id: ReconcileId) {
        let cancel = CancellationToken::new();
        self.reconciles.insert(id, cancel.clone());
        let tools = reconcile::Tools {
            ledger: self.config.ledger.clone(),
            buckets: self.config.gateway.clone(),
            live: self.config.live.clone(),
            room: self.config.room.clone(),
            region: self.config.region.clone(),
            limits: self.config.reconcile_limits,
        };
        let done = self.done.clone();
        self.running.spawn(async move {
            reconcile::drive(tools, id, cancel).await;
            let _ = done.send(Done::Reconcile(id));
        });
    }

    fn tools(&self) -> attempt::Tools {
        attempt::Tools {
            ledger: self.config.ledger.clone(),
            gateway: self.config.gateway.clone(),
            host: self.config.host.clone(),
            worker: self.config.worker,
            lease: self.config.lease.clone(),
            claims: self.config.claims.clone(),
            region: self.config.region.clone(),
            loop_depth: self.config.loop_depth,
            stories: self.config.stories.clone(),
            done: self.done.clone(),
        }
    }
}
