//! One execution's next steps, beside the conductor: start it, claim its task, run the function,
//! record the outcome, and see to what it staged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use daybook_domain::execution::{
    AttemptReport, Cause, Claim, CodeRevision, Execution, ExecutionCommand, ExecutionError,
    ExecutionEvent, Phase, StartExecution, TaskOutcome, stream_of,
};
use daybook_domain::pipeline::Revision;
use daybook_domain::worker::{self, Worker, WorkerCommand};
use daybook_domain::{CommandId, ExecutionId, PipelineName, WorkerId};
use daybook_event_store::Position;
use daybook_functions::{FunctionHost, Invocation, Outcome, OutcomeResult, Slot};
use daybook_s3_gateway::{AttemptId, Gateway};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::figures;
use super::publishing::Publication;
use super::{Done, Lease};
use crate::arrival::{Arrival, ArrivalError};
use crate::clock;
use crate::commands::{CommandError, Executed, Ledger, Origin};
use crate::gateway::{Stories, Story};
use crate::trace::{self, TraceContext};

/// The first and the longest pause before an outcome is offered to the log again.
const RECORD_PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What all steps share.
pub(super) struct Tools {
    pub ledger: Ledger,
    pub gateway: Arc<Gateway>,
    pub host: Arc<FunctionHost>,
    pub worker: WorkerId,
    pub lease: Lease,
    pub claims: Arc<Claims>,
    pub region: String,
    /// How often a pipeline may run on what it wrote itself.
    pub loop_depth: u32,
    pub stories: Stories,
    pub done: mpsc::UnboundedSender<Done>,
}

/// How the claims of this process went.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    won: AtomicU64,
    lost: AtomicU64,
}

impl Claims {
    /// How many attempts were claimed, and how many went to another worker meanwhile.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (
            self.won.load(Ordering::Relaxed),
            self.lost.load(Ordering::Relaxed),
        )
    }

    fn count(&self, won: bool) {
        let counter = if won { &self.won } else { &self.lost };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// An execution to start.
pub(super) struct Start {
    pub id: ExecutionId,
    pub pipeline: PipelineName,
    /// The position before that of its object's arrival.
    pub after: Position,
    pub revision: Revision,
    pub cancel: CancellationToken,
}

/// A due attempt.
pub(super) struct Attempt {
    pub id: ExecutionId,
    pub task: u32,
    pub code: CodeRevision,
    pub supersede: Option<WorkerId>,
    pub correlation: String,
    pub cancel: CancellationToken,
}

impl Start {
    /// Starts the execution and, where its function has a slot, claims its first attempt in the
    /// same append and runs it.
    pub(super) async fn run(self, tools: Tools, slot: Option<(Slot, CodeRevision)>) {
        let counted = slot.is_none();
        if tools.lease.hold().await.is_none() {
            return tools.give_up(self.id, counted).await;
        }
        let arrival = match self.arrival(&tools).await {
            Ok(arrival) => arrival,
            Err(error) => {
                tracing::error!(execution = %self.id, %error, "what it starts with cannot be read");
                tools.pause(&self.cancel).await;
                return tools.done(self.id, None, counted).await;
            }
        };
        let (slot, code) = slot.unzip();
        let recorded = self.record(&tools, &arrival, code.clone()).await;
        match (recorded, slot.zip(code)) {
            (Ok(started), Some((slot, code))) if started.position.is_some() => {
                let attempt = Attempt {
                    id: self.id,
                    task: started.state.task().map_or(1, |task| task.task),
                    code,
                    supersede: None,
                    correlation: arrival.correlation,
                    cancel: self.cancel,
                };
                attempt.perform(tools, slot, started, counted).await;
            }
            (Ok(started), _) => {
                // Where nothing was recorded, it had been started before.
                if started.position.is_none() {
                    tools.claims.count(false);
                    let _ = tools.done.send(Done::AlreadyStarted(self.id));
                }
                tools.done(self.id, started.position, counted).await;
            }
            (Err(error), _) => {
                tracing::error!(execution = %self.id, %error, "the execution could not be started");
                tools.pause(&self.cancel).await;
                tools.done(self.id, None, counted).await;
            }
        }
    }

    async fn arrival(&self, tools: &Tools) -> Result<Arrival, ArrivalError> {
        Arrival::read(tools.ledger.log(), tools.ledger.blobs(), self.after).await
    }

    async fn record(
        &self,
        tools: &Tools,
        arrival: &Arrival,
        code: Option<CodeRevision>,
    ) -> Result<Executed<Execution>, CommandError<ExecutionError>> {
        let worker = tools.worker;
        // A command of its own each time: the same ids again would look like a repetition of what
        // may have another revision, or two would hold the claim.
        let command = CommandId(clock::random_id());
        let start = StartExecution {
            execution: self.id,
            pipeline: self.pipeline.clone(),
            pipeline_revision: self.revision.revision,
            definition: self.revision.definition.clone(),
            input: arrival.input(&tools.region),
            object: arrival.object(),
            cause: Cause::Trigger,
            actor: format!("pipeline:{}", self.pipeline),
            shadow: None,
            chain: arrival.chain(),
            loop_depth: Some(tools.loop_depth),
            claim: code.map(|code| Claim { worker, code }),
        };
        let origin = Origin {
            command,
            correlation: arrival.correlation.clone(),
            causation: Some(arrival.event.clone()),
            actor: start.actor.clone(),
            traceparent: Some(trace::of_execution(&arrival.correlation, self.id).to_string()),
        };
        let command = ExecutionCommand::Start(start);
        let stream = stream_of(self.id);
        tools.ledger.execute_first(stream, command, origin).await
    }
}

impl Attempt {
    /// Claims the attempt, runs the function and records the outcome.
    pub(super) async fn run(self, tools: Tools, slot: Slot, counted: bool) {
        if tools.lease.hold().await.is_none() {
            return tools.give_up(self.id, counted).await;
        }
        match self.claim(&tools).await {
            Ok(claimed) => return self.perform(tools, slot, claimed, counted).await,
            Err(CommandError::Refused(error)) => {
                tools.claims.count(false);
                tracing::debug!(execution = %self.id, %error, "the attempt is not to be had");
            }
            Err(error) => {
                tracing::error!(execution = %self.id, %error, "the attempt could not be claimed");
                tools.pause(&self.cancel).await;
            }
        }
        tools.done(self.id, None, counted).await;
    }

    /// Gives up an attempt that this worker has claimed without knowing it: the answer to the claim
    /// was lost, or its task broke. It is due again at once.
    pub(super) async fn disown(self, tools: Tools, attempt: u32) {
        let why = "its worker did not learn that it had claimed it";
        let recorded = self.record(&tools, attempt, interrupted(why)).await;
        tools.discard(self.attempt_id(attempt)).await;
        let position = recorded.and_then(|recorded| recorded.position);
        tools.done(self.id, position, false).await;
    }

    /// Runs the function, if the claim got the attempt, and records the outcome.
    async fn perform(self, tools: Tools, slot: Slot, claimed: Executed<Execution>, counted: bool) {
        let mut position = claimed.position;
        let holds = self.holds(&claimed, tools.worker);
        tools.claims.count(holds);
        if holds {
            let attempt = claimed.state.task().map_or(1, |task| task.attempt);
            let context = trace::of_attempt(&self.correlation, self.id, self.task, attempt);
            let invocation = self.invocation(&claimed.state, context);
            let story = Story {
                correlation: self.correlation.clone(),
                attempt: context,
            };
            tools.stories.begin(self.id, story);
            self.bury(&tools, &claimed).await;
            let outcome = self.invoke(&tools, slot, invocation).await;
            if let Some(task) = claimed.state.task() {
                figures::attempted(&task.function, &outcome);
            }
            position = self.settle(&tools, attempt, outcome).await.max(position);
            tools.stories.end(self.id);
            tools.ledger.settled(&stream_of(self.id));
        }
        tools.done(self.id, position, counted).await;
    }

    /// Discards what an attempt staged that this one takes over from.
    async fn bury(&self, tools: &Tools, claimed: &Executed<Execution>) {
        for event in &claimed.events {
            if let ExecutionEvent::TaskInterrupted(event) = event {
                tools.discard(self.attempt_id(event.attempt)).await;
            }
        }
    }

    /// Records the outcome and sees to what the attempt staged: it is published if the attempt
    /// succeeded and that is on record, and discarded in any other case.
    async fn settle(&self, tools: &Tools, attempt: u32, outcome: Outcome) -> Option<Position> {
        if !outcome.staged {
            let recorded = self.record(tools, attempt, outcome).await;
            return recorded.and_then(|recorded| recorded.position);
        }
        let outcome = self.sealed(tools, attempt, outcome).await;
        let recorded = self.record(tools, attempt, outcome).await;
        let decided = recorded.as_ref().is_some_and(|recorded| {
            let task = recorded.state.task();
            task.is_some_and(|task| {
                task.attempt == attempt && matches!(task.phase, Phase::Committed { .. })
            })
        });
        let position = recorded.and_then(|recorded| recorded.position);
        if !decided {
            tools.discard(self.attempt_id(attempt)).await;
            return position;
        }
        let publication = Publication {
            attempt: self.attempt_id(attempt),
            correlation: self.correlation.clone(),
            cancel: self.cancel.clone(),
        };
        publication.perform(tools).await.max(position)
    }

    /// The outcome, once what was staged would survive anything: only then may its success be
    /// recorded.
    async fn sealed(&self, tools: &Tools, attempt: u32, outcome: Outcome) -> Outcome {
        if !matches!(outcome.result, OutcomeResult::Succeeded(_)) {
            return outcome;
        }
        match tools.gateway.seal(self.attempt_id(attempt)).await {
            Ok(()) => outcome,
            Err(error) => {
                tracing::error!(
                    execution = %self.id,
                    error = &error as &dyn std::error::Error,
                    "what an attempt staged is not safe; it begins anew"
                );
                let why = "what it staged could not be made durable".to_owned();
                Outcome {
                    result: OutcomeResult::Interrupted { why },
                    ..outcome
                }
            }
        }
    }

    fn attempt_id(&self, attempt: u32) -> AttemptId {
        AttemptId {
            execution: self.id,
            task: self.task,
            attempt,
        }
    }

    /// Runs the function, and kills it when the lease lapses meanwhile: from then on others may
    /// run it.
    async fn invoke(&self, tools: &Tools, slot: Slot, invocation: Invocation) -> Outcome {
        let Some(term) = tools.lease.hold().await else {
            return interrupted("the lease of its worker lapsed before it began");
        };
        let mut running = std::pin::pin!(tools.host.invoke(slot, invocation));
        let outcome = tokio::select! {
            outcome = &mut running => outcome,
            () = term.cancelled() => {
                self.cancel.cancel();
                running.await
            }
        };
        // What was refused to it from then on is no fault of its own.
        match outcome.result {
            OutcomeResult::Failed { .. } | OutcomeResult::TimedOut { .. }
                if !tools.lease.covers(&term) =>
            {
                Outcome {
                    result: interrupted("the lease of its worker lapsed").result,
                    ..outcome
                }
            }
            _ => outcome,
        }
    }

    async fn claim(
        &self,
        tools: &Tools,
    ) -> Result<Executed<Execution>, CommandError<ExecutionError>> {
        let command = ExecutionCommand::ClaimTask {
            task: self.task,
            worker: tools.worker,
            code: self.code.clone(),
            supersede: self.supersede,
        };
        // A claim is a command of its own each time: which attempt it got is for the stream to say.
        let origin = self.origin(tools, CommandId(clock::random_id()));
        tools
            .ledger
            .execute(&stream_of(self.id), command, &origin)
            .await
    }

    /// Whether this claim, and not an earlier one, got the attempt.
    fn holds(&self, claimed: &Executed<Execution>, worker: WorkerId) -> bool {
        let started = claimed
            .events
            .iter()
            .any(|event| matches!(event, ExecutionEvent::TaskStarted(_)));
        let phase = claimed.state.task().map(|task| task.phase);
        started && phase == Some(Phase::Running { worker })
    }

    fn invocation(&self, execution: &Execution, context: TraceContext) -> Invocation {
        let task = execution.task();
        let input = task.map(|task| task.input.to_string()).unwrap_or_default();
        Invocation {
            request_id: clock::random_id(),
            execution: self.id,
            task: self.task,
            attempt: task.map_or(1, |task| task.attempt),
            trigger: execution.object().cloned(),
            shadow: execution.shadow().cloned(),
            chain: execution.chain().cloned().unwrap_or_default(),
            payload: Bytes::from(input),
            timeout: task
                .and_then(|task| task.timeout_seconds)
                .map(Duration::from_secs),
            traceparent: Some(context.to_string()),
            cancel: self.cancel.clone(),
        }
    }

    /// Offers the outcome to the log until it is recorded or refused: the function has run, and
    /// what came of it must not be lost for want of patience.
    async fn record(
        &self,
        tools: &Tools,
        attempt: u32,
        outcome: Outcome,
    ) -> Option<Executed<Execution>> {
        let command = ExecutionCommand::RecordOutcome {
            task: self.task,
            attempt,
            worker: tools.worker,
            outcome: outcome_of(outcome.result, outcome.staged),
            report: outcome.report,
            logs: outcome.logs,
        };
        let id = command_id(
            self.id,
            &format!("outcome:{}:{attempt}:{}", self.task, tools.worker),
        );
        let origin = self.origin(tools, id);
        let (mut pause, longest) = RECORD_PAUSES;
        loop {
            let stream = stream_of(self.id);
            match tools
                .ledger
                .execute::<Execution>(&stream, command.clone(), &origin)
                .await
            {
                Ok(executed) => return Some(executed),
                Err(CommandError::Refused(error)) => {
                    tracing::info!(execution = %self.id, attempt, %error, "outcome dropped");
                    return None;
                }
                Err(error) => {
                    tracing::error!(execution = %self.id, attempt, %error, "outcome not yet recorded");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(longest);
                }
            }
        }
    }

    fn origin(&self, tools: &Tools, command: CommandId) -> Origin {
        Origin {
            command,
            correlation: self.correlation.clone(),
            causation: None,
            actor: format!("worker:{}", tools.worker),
            traceparent: Some(trace::of_execution(&self.correlation, self.id).to_string()),
        }
    }
}

/// Records that a worker did not renew its lease in time, unless it did meanwhile. Where the log
/// cannot take it, it is said again a while later.
pub(super) async fn expire(ledger: Ledger, worker: WorkerId, renewal: u64, observer: WorkerId) {
    let expire = WorkerCommand::Expire {
        worker,
        renewal,
        observer,
    };
    let origin = Origin {
        command: CommandId(clock::random_id()),
        correlation: worker.to_string(),
        causation: None,
        actor: format!("worker:{observer}"),
        traceparent: None,
    };
    let stream = worker::stream_of(worker);
    match ledger.execute::<Worker>(&stream, expire, &origin).await {
        Ok(_) => tracing::warn!(%worker, "a worker did not renew its lease and is held for gone"),
        Err(error) => tracing::debug!(%worker, %error, "the worker is not held for gone"),
    }
}

/// Records that the execution as a whole took too long. Its attempt is stopped when the conductor
/// folds that.
pub(super) async fn time_out(tools: Tools, id: ExecutionId, correlation: String) {
    let origin = Origin {
        command: command_id(id, "time-out"),
        correlation,
        causation: None,
        actor: "timer".to_owned(),
        traceparent: None,
    };
    let result = tools
        .ledger
        .execute::<Execution>(&stream_of(id), ExecutionCommand::TimeOut, &origin)
        .await;
    match result {
        Ok(_) => return,
        Err(CommandError::Refused(ExecutionError::Publishing)) => {
            tracing::debug!(execution = %id, "its outputs are published before it times out");
        }
        Err(error) => tracing::error!(execution = %id, %error, "time-out not yet recorded"),
    }
    let _ = tools.done.send(Done::NotTimedOut(id));
}

impl Tools {
    /// Tells the conductor. Where nothing was recorded, the worklist was behind the log: it has to
    /// fold what is there before it proposes this execution again.
    pub(super) async fn done(&self, id: ExecutionId, position: Option<Position>, counted: bool) {
        let position = match position {
            Some(position) => position,
            None => match self.ledger.log().head().await {
                Ok(head) => head,
                Err(error) => {
                    tracing::error!(%error, "the log cannot be read");
                    tokio::time::sleep(RECORD_PAUSES.1).await;
                    Position::START
                }
            },
        };
        // The conductor is gone only when the process ends.
        let _ = self.done.send(Done::Execution {
            id,
            position,
            counted,
        });
    }

    /// Without a lease nothing may be claimed; it is proposed again when the lease counts.
    async fn give_up(&self, id: ExecutionId, counted: bool) {
        tracing::debug!(execution = %id, "not claimed, since the lease of this worker does not count");
        self.done(id, None, counted).await;
    }

    /// Gives an unavailable log time, so that the next try is not at once.
    async fn pause(&self, cancel: &CancellationToken) {
        tokio::select! {
            () = tokio::time::sleep(RECORD_PAUSES.1) => {}
            () = cancel.cancelled() => {}
        }
    }
}

fn interrupted(why: &str) -> Outcome {
    Outcome {
        result: OutcomeResult::Interrupted {
            why: why.to_owned(),
        },
        report: AttemptReport::default(),
        staged: false,
        logs: String::new(),
    }
}

fn outcome_of(result: OutcomeResult, staged: bool) -> TaskOutcome {
    match result {
        OutcomeResult::Succeeded(output) if staged => TaskOutcome::Committed { output },
        OutcomeResult::Succeeded(output) => TaskOutcome::Succeeded { output },
        OutcomeResult::Failed { error, cause } => TaskOutcome::Failed { error, cause },
        OutcomeResult::TimedOut { cause } => TaskOutcome::TimedOut { cause },
        OutcomeResult::Interrupted { why } => TaskOutcome::Interrupted { why },
    }
}

/// The id of a command that follows from an execution: the same each time it is sent.
fn command_id(execution: ExecutionId, purpose: &str) -> CommandId {
    CommandId(Uuid::new_v5(&execution.0, purpose.as_bytes()))
}
