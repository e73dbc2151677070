//! Runs one execution again: a new execution on today's revisions, linked to the old one.

use daybook_domain::asl::Machine;
use daybook_domain::execution::{
    Cause, Execution, ExecutionCommand, ExecutionError, ExecutionEvent, ExecutionStarted,
    StartExecution, id_of, stream_of,
};
use daybook_domain::function::{self, Function};
use daybook_domain::pipeline::{self, Pipeline};
use daybook_domain::{CommandId, Event, ExecutionId, FunctionName, ShadowId};
use daybook_event_store::{Direction, Position, StreamName};
use daybook_functions::Runtime;
use serde_json::Value;
use thiserror::Error;
use uuid::Uuid;

use crate::commands::{CommandError, Ledger, Origin};

/// Why an execution cannot be run again.
#[derive(Debug, Error)]
pub(crate) enum RedriveError {
    /// There is no such execution. Check the id.
    #[error("there is no execution {0}")]
    Unknown(ExecutionId),
    /// It is not over. Wait for its outcome.
    #[error("execution {0} is not over; only one with an outcome can be run again")]
    NotOver(ExecutionId),
    /// Its pipeline is in the config no more. Put it back.
    #[error("pipeline {0} is not in the config any more")]
    Retired(String),
    /// A shadow was asked for, and a function of the pipeline runs elsewhere.
    #[error(
        "function {function} has runtime {runtime} and does not pass the gateway, so that what it \
         writes cannot go aside; run it again without shadow, if it may write"
    )]
    Remote {
        /// The function.
        function: FunctionName,
        /// How it runs.
        runtime: String,
    },
    /// The ledger cannot take it. Try again later.
    #[error("the ledger could not take it")]
    Ledger(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A new execution.
pub(crate) struct Redriven {
    pub execution: ExecutionId,
    /// The shadow under which it writes, if it does.
    pub shadow: Option<ShadowId>,
    /// The function that it calls first.
    pub function: Option<FunctionName>,
    pub position: Option<Position>,
}

/// Starts a new execution for the same object version and input, which writes as the first one did,
/// or under a shadow of its own. The same command id starts the same one.
pub(crate) async fn redrive(
    ledger: &Ledger,
    of: ExecutionId,
    cause: Cause,
    as_shadow: bool,
    command: CommandId,
    actor: &str,
) -> Result<Redriven, RedriveError> {
    let (old, correlation) = first_event(ledger, of).await?;
    let state: Option<Execution> = ledger.load(&stream_of(of)).await.map_err(unavailable)?;
    if !state
        .and_then(|state| state.status())
        .is_some_and(|status| status.is_terminal())
    {
        return Err(RedriveError::NotOver(of));
    }
    let pipeline: Option<Pipeline> = ledger
        .load(&pipeline::stream_of(&old.pipeline))
        .await
        .map_err(unavailable)?;
    let revision = pipeline
        .filter(|pipeline| !pipeline.retired)
        .and_then(|pipeline| pipeline.current)
        .ok_or_else(|| RedriveError::Retired(old.pipeline.to_string()))?;
    if as_shadow {
        check_shadow(ledger, &revision.definition).await?;
    }
    let function = revision.first_function();
    let execution = id_of(&old.pipeline, &old.object, &cause);
    let shadow = as_shadow.then(|| ShadowId::from(execution));
    let start = StartExecution {
        execution,
        pipeline: old.pipeline,
        pipeline_revision: revision.revision,
        definition: revision.definition,
        object: old.object,
        cause,
        input: old.input,
        actor: actor.to_owned(),
        shadow,
        chain: old.chain,
        // Whoever asks for it means it: one more round of a loop, then.
        loop_depth: None,
        claim: None,
    };
    let origin = Origin {
        command: CommandId(Uuid::new_v5(&command.0, execution.0.as_bytes())),
        correlation: correlation.unwrap_or_else(|| execution.to_string()),
        causation: Some(command.to_string()),
        actor: actor.to_owned(),
        traceparent: None,
    };
    let command = ExecutionCommand::Start(start);
    let executed = ledger
        .execute::<Execution>(&stream_of(execution), command, &origin)
        .await
        .map_err(|error: CommandError<ExecutionError>| unavailable(error))?;
    Ok(Redriven {
        execution,
        function,
        shadow: executed.state.shadow().cloned(),
        position: executed.position,
    })
}

/// Refuses a shadow whose writes nobody could lead aside.
async fn check_shadow(ledger: &Ledger, definition: &Value) -> Result<(), RedriveError> {
    // A definition that does not parse fails when it is started, and says why there.
    let Ok(machine) = Machine::parse(definition) else {
        return Ok(());
    };
    for name in machine.functions() {
        let stream = function::stream_of(name);
        let function: Option<Function> = ledger.load(&stream).await.map_err(unavailable)?;
        let settings = function.and_then(|it| it.settings);
        let Some(settings) = settings else { continue };
        let runtime: Result<Runtime, _> = settings.runtime.parse();
        if runtime.is_ok_and(Runtime::is_remote) {
            return Err(RedriveError::Remote {
                function: name.clone(),
                runtime: settings.runtime,
            });
        }
    }
    Ok(())
}

/// How the old execution began, and the story that it belongs to.
async fn first_event(
    ledger: &Ledger,
    execution: ExecutionId,
) -> Result<(ExecutionStarted, Option<String>), RedriveError> {
    let stream = StreamName::new(stream_of(execution));
    let page = ledger
        .log()
        .read_stream(&stream, None, Direction::Forward, 1)
        .await
        .map_err(unavailable)?;
    let first = page
        .into_iter()
        .next()
        .ok_or(RedriveError::Unknown(execution))?;
    let body = serde_json::from_slice(&first.data).map_err(unavailable)?;
    let body = ledger.blobs().hydrate(body).await.map_err(unavailable)?;
    match ExecutionEvent::from_json(&first.event_type, first.schema_version, body) {
        Ok(ExecutionEvent::ExecutionStarted(started)) => {
            Ok((started, first.metadata.correlation_id))
        }
        Ok(_) => Err(RedriveError::Unknown(execution)),
        Err(error) => Err(unavailable(error)),
    }
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> RedriveError {
    RedriveError::Ledger(Box::new(error))
}
