//! Whether a revision of a function has processed an object: what each run of a pipeline says in its
//! own events.
//!
//! The runs that an arrival or a reconcile starts have ids that follow from the object. Those that
//! somebody asked for again have not, and are collected from the log before the comparison begins:
//! that is the one part of a reconcile whose memory grows, by about 100 bytes for each such run.

use std::collections::HashMap;

use daybook_domain::asl::Machine;
use daybook_domain::execution::{
    Cause, CodeRevision, ExecutionEvent, TriggerObject, id_of, stream_of,
};
use daybook_domain::function::{self, Function, FunctionEvent};
use daybook_domain::pipeline::Revision;
use daybook_domain::{Event, ExecutionId, FunctionName, PipelineName, ReconcileId};
use daybook_event_store::{Direction, Position, RecordedEvent, StreamName, StreamVersion};
use uuid::Uuid;

use super::Problem;
use crate::commands::Ledger;

/// How many events are read at once.
const PAGE: usize = 2_000;

/// Tells objects apart in memory.
const NAMESPACE: Uuid = Uuid::from_u128(0x77d1_0c5b_9e42_5f3a_8b6d_2c19_40ae_f3d5);

/// The code that is to have processed each object.
pub(super) struct WantedCode {
    pub function: FunctionName,
    code: CodeRevision,
    /// The runs that somebody asked for again, by object.
    asked_again: HashMap<Uuid, Vec<ExecutionId>>,
}

/// What is still to be done for an object.
#[derive(Debug, PartialEq)]
pub(super) enum Owed {
    Nothing,
    /// It has never run for it.
    Arrival,
    /// It ran, by other code.
    Revision,
}

impl WantedCode {
    /// A revision of the function that a pipeline runs now. One that is not the newest can be counted
    /// and not run: no worker has it.
    pub(super) async fn find(
        ledger: &Ledger,
        pipeline: &PipelineName,
        current: &Revision,
        revision: u32,
        runs: bool,
    ) -> Result<Self, Problem> {
        let machine = Machine::parse(&current.definition).map_err(Problem::damaged)?;
        let Some(function) = machine.functions().first().map(|&name| name.clone()) else {
            return Err(Problem::Hopeless(format!(
                "pipeline {pipeline} runs no function"
            )));
        };
        let stream = function::stream_of(&function);
        let newest = ledger.load::<Function>(&stream).await;
        let newest = newest.map_err(Problem::command)?;
        let newest = newest.and_then(|function| function.current);
        let code = match newest {
            Some(code) if code.revision == revision => Some(code),
            newest => {
                if let (true, Some(newest)) = (runs, newest) {
                    return Err(Problem::Hopeless(format!(
                        "revision {revision} of function {function} does not run any more: the newest \
                         is {}",
                        newest.revision
                    )));
                }
                older(ledger, &function, revision).await?
            }
        };
        let Some(code) = code else {
            return Err(Problem::Hopeless(format!(
                "function {function} has no revision {revision}"
            )));
        };
        Ok(Self {
            function,
            code,
            asked_again: asked_again(ledger, pipeline).await?,
        })
    }

    /// The cause of a run for what this code has not processed.
    pub(super) fn cause(&self, reconcile: ReconcileId) -> Cause {
        Cause::Revision {
            function: self.function.clone(),
            revision: self.code.revision,
            reconcile,
        }
    }

    /// What is still to be done for an object by this code. A run that is not over will have its next
    /// attempt on the newest code, and counts.
    pub(super) async fn owed(
        &self,
        ledger: &Ledger,
        pipeline: &PipelineName,
        object: &TriggerObject,
        reconcile: ReconcileId,
    ) -> Result<Owed, Problem> {
        let arrival = id_of(pipeline, object, &Cause::Trigger);
        let ours = id_of(pipeline, object, &self.cause(reconcile));
        match self.processed(ledger, arrival).await? {
            None => return Ok(Owed::Arrival),
            Some(true) => return Ok(Owed::Nothing),
            Some(false) => {}
        }
        // One that was started for this code is, whatever became of it.
        if self.processed(ledger, ours).await?.is_some() {
            return Ok(Owed::Nothing);
        }
        for again in self.asked_again.get(&name_of(object)).into_iter().flatten() {
            if self.processed(ledger, *again).await? == Some(true) {
                return Ok(Owed::Nothing);
            }
        }
        Ok(Owed::Revision)
    }

    /// Whether an attempt of a run was made by this code, or may still be; `None` where there is no
    /// such run.
    async fn processed(&self, ledger: &Ledger, run: ExecutionId) -> Result<Option<bool>, Problem> {
        let stream = StreamName::new(stream_of(run));
        let (mut from, mut there, mut over) = (None, false, false);
        loop {
            let page = ledger
                .log()
                .read_stream(&stream, from, Direction::Forward, PAGE)
                .await?;
            for event in &page {
                there = true;
                match &*event.event_type {
                    "TaskStarted" => {
                        if let ExecutionEvent::TaskStarted(it) = decode(ledger, event).await?
                            && it.code == self.code
                        {
                            return Ok(Some(true));
                        }
                    }
                    "ExecutionSucceeded" | "ExecutionFailed" | "ExecutionTimedOut"
                    | "ExecutionAborted" => over = true,
                    _ => {}
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => from = Some(StreamVersion(last.version.0 + 1)),
                _ => return Ok(there.then_some(!over)),
            }
        }
    }
}

/// An older revision of a function.
async fn older(
    ledger: &Ledger,
    function: &FunctionName,
    revision: u32,
) -> Result<Option<CodeRevision>, Problem> {
    let stream = StreamName::new(function::stream_of(function));
    let mut from = None;
    loop {
        let page = ledger
            .log()
            .read_stream(&stream, from, Direction::Forward, PAGE)
            .await?;
        for event in &page {
            let FunctionEvent::FunctionRevised(it) = decode(ledger, event).await?;
            if it.revision == revision {
                let sha256 = it.sha256;
                return Ok(Some(CodeRevision { revision, sha256 }));
            }
        }
        match page.last() {
            Some(last) if page.len() == PAGE => from = Some(StreamVersion(last.version.0 + 1)),
            _ => return Ok(None),
        }
    }
}

/// The runs of a pipeline whose ids do not follow from the object alone. Shadows do not count.
async fn asked_again(
    ledger: &Ledger,
    pipeline: &PipelineName,
) -> Result<HashMap<Uuid, Vec<ExecutionId>>, Problem> {
    let head = ledger.log().head().await?;
    let (mut found, mut after) = (HashMap::<Uuid, Vec<ExecutionId>>::new(), Position::START);
    while after < head {
        let page = ledger.log().read_all(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.position;
        for event in &page {
            if &*event.event_type != "ExecutionStarted" {
                continue;
            }
            let ExecutionEvent::ExecutionStarted(it) = decode(ledger, event).await? else {
                continue;
            };
            let again = matches!(it.cause, Cause::Redrive { .. } | Cause::Replay { .. });
            if again && it.pipeline == *pipeline && it.shadow.is_none() {
                let runs = found.entry(name_of(&it.object)).or_default();
                runs.push(it.execution);
            }
        }
    }
    Ok(found)
}

fn name_of(object: &TriggerObject) -> Uuid {
    let (bucket, key) = (object.bucket.as_str(), object.key.as_str());
    let identity = object.version.identity();
    // Buckets have no slash, and lengths tell the rest apart.
    let name = format!("{bucket}/{}:{key}{identity}", key.len());
    Uuid::new_v5(&NAMESPACE, name.as_bytes())
}

async fn decode<E: Event>(ledger: &Ledger, event: &RecordedEvent) -> Result<E, Problem> {
    let body = serde_json::from_slice(&event.data).map_err(Problem::damaged)?;
    let body = ledger.blobs().hydrate(body).await;
    let body = body.map_err(Problem::unavailable)?;
    E::from_json(&event.event_type, event.schema_version, body).map_err(Problem::damaged)
}
