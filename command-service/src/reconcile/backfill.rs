//! Starts a pipeline for the objects that it wants and has never run for.
//!
//! The execution's id is the one that the object's arrival would have had, so that it is started once
//! whoever does it and however often.

use daybook_domain::execution::{
    Cause, Execution, ExecutionCommand, StartExecution, TriggerObject, id_of, stream_of,
};
use daybook_domain::pipeline::{self, Pipeline, Revision};
use daybook_domain::reconcile::{Counts, ReconcileStarted};
use daybook_domain::stored_object::{ObjectCreated, ObjectEvent, ObjectVersion};
use daybook_domain::{CommandId, ObjectKey, PipelineName};
use daybook_event_store::{Direction, StreamName};
use jiff::Timestamp;
use uuid::Uuid;

use super::known::each_event;
use super::settling::Settled;
use super::{Problem, Tools};
use crate::commands::{Ledger, Origin};
use crate::notification;
use crate::trace;

/// What a pipeline is now. One that takes no objects is not run for old ones either.
pub(super) async fn revision_of(ledger: &Ledger, name: &PipelineName) -> Result<Revision, Problem> {
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

/// The arrival of the version that is the object.
struct Arrival {
    created: ObjectCreated,
    at: Timestamp,
    event: Uuid,
}

impl Tools {
    /// Starts the pipeline for an object, unless it ran for it or it is a dry run.
    pub(super) async fn backfill(
        &self,
        asked: &ReconcileStarted,
        revision: &Revision,
        key: &ObjectKey,
    ) -> Result<Settled, Problem> {
        let (Some(pipeline), Some(arrival)) = (&asked.pipeline, self.arrival(asked, key).await?)
        else {
            return Ok(Settled::default());
        };
        let object = TriggerObject {
            bucket: asked.bucket.clone(),
            key: key.clone(),
            version: arrival.created.version.clone(),
        };
        let execution = id_of(pipeline, &object, &Cause::Trigger);
        let stream = StreamName::new(stream_of(execution));
        let log = self.ledger.log();
        let there = log.read_stream(&stream, None, Direction::Backward, 1);
        if !there.await?.is_empty() {
            return Ok(Settled::default());
        }
        let mut counts = Counts {
            unprocessed: 1,
            ..Counts::default()
        };
        if !asked.dry_run {
            let start = self.start(asked, revision, pipeline, object, arrival);
            counts.started = u64::from(start.await?);
        }
        Ok(Settled {
            counts,
            findings: Vec::new(),
        })
    }

    /// Returns whether it was this that started it.
    async fn start(
        &self,
        asked: &ReconcileStarted,
        revision: &Revision,
        pipeline: &PipelineName,
        object: TriggerObject,
        arrival: Arrival,
    ) -> Result<bool, Problem> {
        let id = asked.reconcile;
        let execution = id_of(pipeline, &object, &Cause::Trigger);
        let created = arrival.created;
        let sequencer = created.order.map(|order| order.sequencer);
        let chain = created.produced_by.map(|by| by.chain).unwrap_or_default();
        let actor = format!("reconcile:{id}");
        let start = StartExecution {
            execution,
            pipeline: pipeline.clone(),
            pipeline_revision: revision.revision,
            definition: revision.definition.clone(),
            input: notification::s3_event(
                &object,
                &created.event_name,
                arrival.at,
                sequencer.as_deref(),
                &self.region,
            ),
            object,
            cause: Cause::Trigger,
            actor: actor.clone(),
            shadow: None,
            chain,
            // Whoever asks for it means it.
            loop_depth: None,
            claim: None,
        };
        let correlation = arrival.event.to_string();
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
                    arrival = Some(Arrival {
                        created,
                        at: event.recorded.recorded_at,
                        event: event.recorded.event_id,
                    });
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
