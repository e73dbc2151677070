//! Starts a pipeline for the objects that it wants and has never run for, or that a revision of its
//! function has not processed.
//!
//! The execution's id is the one that the object's arrival would have had, or follows from the
//! revision, so that it is started once whoever does it and however often.

use daybook_domain::execution::{
    Cause, Execution, ExecutionCommand, StartExecution, TriggerObject, id_of, stream_of,
};
use daybook_domain::pipeline::{self, Pipeline, Revision};
use daybook_domain::reconcile::{Counts, ReconcileStarted};
use daybook_domain::stored_object::{ObjectEvent, ObjectVersion};
use daybook_domain::{CommandId, FunctionName, ObjectKey, PipelineName};
use daybook_event_store::{Direction, StreamName};
use uuid::Uuid;

use super::known::each_event;
use super::revision::{Owed, WantedCode};
use super::settling::Settled;
use super::{Problem, Tools};
use crate::arrival::Arrival;
use crate::commands::{Ledger, Origin};
use crate::trace;

/// What is to run.
pub(super) struct Backfill {
    /// What the pipeline is now.
    pub pipeline: Revision,
    /// What it calls first.
    pub first: Option<FunctionName>,
    /// The code that is to have processed each object; `None` where any will do.
    pub code: Option<WantedCode>,
}

/// What a reconcile is to run, if it is to run anything.
pub(super) async fn asked_for(
    ledger: &Ledger,
    asked: &ReconcileStarted,
) -> Result<Option<Backfill>, Problem> {
    let Some(name) = &asked.pipeline else {
        return Ok(None);
    };
    let pipeline = revision_of(ledger, name).await?;
    let runs = !asked.dry_run;
    let code = match asked.revision {
        Some(revision) => Some(WantedCode::find(ledger, name, &pipeline, revision, runs).await?),
        None => None,
    };
    let first = pipeline.first_function();
    Ok(Some(Backfill {
        pipeline,
        first,
        code,
    }))
}

/// What a pipeline is now. One that takes no objects is not run for old ones either.
async fn revision_of(ledger: &Ledger, name: &PipelineName) -> Result<Revision, Problem> {
    let pipeline = ledger.load::<Pipeline>(&pipeline::stream_of(name)).await;
    let pipeline = pipeline.map_err(Problem::command)?;
    let pipeline = pipeline.unwrap_or_default();
    match pipeline.current {
        Some(revision) if !pipeline.retired && !pipeline.paused => Ok(revision),
        Some(_) if pipeline.retired => Err(Problem::Hopeless(format!(
            "pipeline {name} is not in the config any more"
        ))),
        Some(_) => Err(Problem::Hopeless(format!(
            "pipeline {name} is paused; resume it first"
        ))),
        None => Err(Problem::Hopeless(format!("there is no pipeline {name}"))),
    }
}

impl Tools {
    /// Starts the pipeline for an object, unless it ran for it or it is a dry run.
    pub(super) async fn backfill(
        &self,
        asked: &ReconcileStarted,
        backfill: &Backfill,
        key: &ObjectKey,
    ) -> Result<Settled, Problem> {
        let (Some(pipeline), Some(arrival)) = (&asked.pipeline, self.arrival(asked, key).await?)
        else {
            return Ok(Settled::default());
        };
        let object = arrival.object();
        let id = asked.reconcile;
        let owed = match &backfill.code {
            Some(code) => code.owed(&self.ledger, pipeline, &object, id).await?,
            None => self.owes_arrival(pipeline, &object).await?,
        };
        let cause = match (owed, &backfill.code) {
            (Owed::Nothing, _) => return Ok(Settled::default()),
            (Owed::Revision, Some(code)) => code.cause(id),
            (Owed::Arrival | Owed::Revision, _) => Cause::Trigger,
        };
        let mut counts = Counts {
            unprocessed: 1,
            ..Counts::default()
        };
        if !asked.dry_run {
            let revision = &backfill.pipeline;
            if let Some(function) = &backfill.first
                && self.room.wait(function).await
            {
                self.still(pipeline, revision).await?;
            }
            let start = self.start(asked, revision, pipeline, (object, cause), &arrival);
            counts.started = u64::from(start.await?);
        }
        Ok(Settled {
            counts,
            findings: Vec::new(),
        })
    }

    /// Fails where a pipeline is not what it was before a wait, so that it is asked for anew what is to run.
    async fn still(&self, name: &PipelineName, revision: &Revision) -> Result<(), Problem> {
        let now = revision_of(&self.ledger, name).await?;
        match now.revision == revision.revision {
            true => Ok(()),
            false => Err(Problem::unavailable(format!(
                "pipeline {name} has another revision now"
            ))),
        }
    }

    /// Whether the pipeline has never run for an object.
    async fn owes_arrival(
        &self,
        pipeline: &PipelineName,
        object: &TriggerObject,
    ) -> Result<Owed, Problem> {
        let execution = id_of(pipeline, object, &Cause::Trigger);
        let stream = StreamName::new(stream_of(execution));
        let log = self.ledger.log();
        let there = log.read_stream(&stream, None, Direction::Backward, 1);
        Ok(match there.await?.is_empty() {
            true => Owed::Arrival,
            false => Owed::Nothing,
        })
    }

    /// Returns whether it was this that started it.
    async fn start(
        &self,
        asked: &ReconcileStarted,
        revision: &Revision,
        pipeline: &PipelineName,
        (object, cause): (TriggerObject, Cause),
        arrival: &Arrival,
    ) -> Result<bool, Problem> {
        let id = asked.reconcile;
        let execution = id_of(pipeline, &object, &cause);
        let actor = format!("reconcile:{id}");
        let start = StartExecution {
            execution,
            pipeline: pipeline.clone(),
            pipeline_revision: revision.revision,
            definition: revision.definition.clone(),
            input: arrival.input(&self.region),
            object,
            cause,
            actor: actor.clone(),
            shadow: None,
            chain: arrival.chain(),
            // Whoever asks for it means it.
            loop_depth: None,
            claim: None,
        };
        let correlation = arrival.event.clone();
        let origin = Origin {
            command: CommandId(Uuid::new_v5(&execution.0, id.0.as_bytes())),
            traceparent: Some(trace::of_execution(&correlation, execution).to_string()),
            correlation,
            causation: Some(id.to_string()),
            actor,
        };
        let command = ExecutionCommand::Start(start);
        let executed = self.execute::<Execution>(stream_of(execution), command, origin);
        let executed = executed.await.map_err(Problem::command)?;
        Ok(executed.position.is_some())
    }

    /// How the object that the ledger holds for the newest arrived. Nothing runs for what a shadow
    /// wrote.
    async fn arrival(
        &self,
        asked: &ReconcileStarted,
        key: &ObjectKey,
    ) -> Result<Option<Arrival>, Problem> {
        let mut wanted: Option<Option<ObjectVersion>> = None;
        let mut arrival = None;
        each_event(&self.ledger, &asked.bucket, key, |event| {
            let state = match &event.event {
                ObjectEvent::ObjectCreated(event) => &event.state,
                ObjectEvent::ObjectRemoved(event) => &event.state,
                ObjectEvent::NotificationDisregarded(event) => &event.state,
            };
            let wanted = wanted.get_or_insert_with(|| state.object().cloned());
            let Some(version) = wanted else {
                return false;
            };
            match event.event {
                // One that came back started nothing then; its arrival is further down.
                ObjectEvent::ObjectCreated(created)
                    if created.version.identity() == version.identity() =>
                {
                    let goes_on = created.repeated;
                    arrival = Some(Arrival::of(created, &event.recorded));
                    goes_on
                }
                _ => true,
            }
        })
        .await?;
        Ok(arrival.filter(|arrival: &Arrival| {
            let by = arrival.created.produced_by.as_ref();
            by.is_none_or(|by| by.shadow.is_none())
        }))
    }
}
