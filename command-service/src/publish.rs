//! Makes the config known to the ledger: each function's and pipeline's revision, and the end of
//! those that are in the config no more.

use std::collections::BTreeSet;

use bytes::Bytes;
use daybook_domain::execution::CodeRevision;
use daybook_domain::function::{self, Function, FunctionCommand, FunctionError, FunctionSettings};
use daybook_domain::pipeline::{self, Pipeline, PipelineCommand, PipelineError, Trigger};
use daybook_domain::{CommandId, FunctionName, PipelineName};
use daybook_event_store::blobs::{BlobError, BlobRef};
use daybook_functions::{Fingerprint, FunctionHost, FunctionSpec, LoadError, Package};
use serde_json::Value;
use thiserror::Error;

use crate::clock;
use crate::commands::{CommandError, Ledger, Origin};
use crate::worklist::Worklist;

/// A pipeline as the config has it.
#[derive(Clone, Debug)]
pub struct PipelineConfig {
    /// Its name.
    pub name: PipelineName,
    /// Its state machine.
    pub definition: Value,
    /// Which objects it wants.
    pub triggers: Vec<Trigger>,
}

/// Why the config could not be made known.
#[derive(Debug, Error)]
pub enum PublishError {
    /// A function cannot run here. Do what the message says.
    #[error(transparent)]
    Function(#[from] LoadError),
    /// A function's package could not be kept. See to the blob store.
    #[error("the package of function {function} could not be kept")]
    Package {
        /// The function.
        function: String,
        /// Why.
        #[source]
        source: PackageError,
    },
    /// The ledger did not take a function.
    #[error("function {0} could not be recorded")]
    FunctionRefused(String, #[source] CommandError<FunctionError>),
    /// The ledger did not take a pipeline: its definition cannot run, or the ledger is unavailable.
    #[error("pipeline {0} could not be recorded")]
    PipelineRefused(String, #[source] CommandError<PipelineError>),
}

/// Why a package could not be kept.
#[derive(Debug, Error)]
pub enum PackageError {
    /// It could not be read.
    #[error("it could not be read")]
    Read(#[from] std::io::Error),
    /// Whether it is kept already could not be read from the ledger.
    #[error("its revisions could not be read")]
    Ledger(#[source] CommandError<FunctionError>),
    /// It could not be stored.
    #[error("it could not be stored")]
    Store(#[from] BlobError),
}

/// Makes functions and pipelines known, and retires the pipelines that are not among them. Returns
/// the functions that run here.
pub(crate) async fn publish(
    ledger: &Ledger,
    host: &FunctionHost,
    functions: Vec<FunctionSpec>,
    pipelines: Vec<PipelineConfig>,
    known: &Worklist,
    actor: &str,
) -> Result<Vec<Running>, PublishError> {
    let mut running = Vec::new();
    for spec in functions {
        let published = publish_function(ledger, host, spec, actor, None).await?;
        running.extend(published);
    }
    // What is there now and unused was left by an earlier process.
    host.sweep().await;
    let names: BTreeSet<_> = pipelines
        .iter()
        .map(|pipeline| pipeline.name.clone())
        .collect();
    for PipelineConfig {
        name,
        definition,
        triggers,
    } in pipelines
    {
        let actor_name = actor.to_owned();
        let command = PipelineCommand::Revise {
            pipeline: name.clone(),
            definition,
            triggers,
            actor: actor_name,
        };
        command_pipeline(ledger, &name, command, actor).await?;
    }
    for (name, pipeline) in &known.pipelines {
        if !names.contains(name) && !pipeline.retired {
            let command = PipelineCommand::Retire {
                actor: actor.to_owned(),
            };
            command_pipeline(ledger, name, command, actor).await?;
        }
    }
    Ok(running)
}

/// A function as it runs here.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    /// What the config says of it.
    pub spec: FunctionSpec,
    /// The revision that runs.
    pub code: CodeRevision,
    /// The SHA-256 that its folder gave when it was packed last: another one than that of `code`
    /// where another process has published since.
    pub folder_sha256: String,
    /// What its folder looked like when it was packed last; `None` for built-in functions.
    pub packed: Option<Fingerprint>,
}

/// Packs a function's code as it is now, records it where it is new, and runs it from then on.
/// `None` where its folder gives what it gave `before`.
pub(crate) async fn publish_function(
    ledger: &Ledger,
    host: &FunctionHost,
    spec: FunctionSpec,
    actor: &str,
    before: Option<&str>,
) -> Result<Option<Running>, PublishError> {
    let name = spec.name.clone();
    let packed = fingerprint_of(&spec).await;
    let (prepared, loaded) = host.prepare(spec.clone()).await?;
    if before == Some(loaded.sha256.as_str()) {
        return Ok(None);
    }
    let package = BlobRef {
        sha256: loaded.sha256,
        size: loaded.size,
        passing: false,
    };
    keep(ledger, &name, &package, loaded.package)
        .await
        .map_err(|source| PublishError::Package {
            function: name.to_string(),
            source,
        })?;
    let command = FunctionCommand::Revise {
        function: name.clone(),
        sha256: package.sha256.clone(),
        package_bytes: package.size,
        settings: settings_of(&spec),
        actor: actor.to_owned(),
    };
    let revised = ledger
        .execute::<Function>(&function::stream_of(&name), command, &origin(actor))
        .await
        .map_err(|error| PublishError::FunctionRefused(name.to_string(), error))?;
    // What it decided nothing new on is what it is; so this is the code of the command.
    let revision = revised.state.current.map_or(0, |current| current.revision);
    let code = CodeRevision {
        revision,
        sha256: package.sha256,
    };
    host.install(prepared, Some(code.clone()));
    Ok(Some(Running {
        spec,
        folder_sha256: code.sha256.clone(),
        code,
        packed,
    }))
}

fn settings_of(spec: &FunctionSpec) -> FunctionSettings {
    FunctionSettings {
        runtime: spec.runtime.as_str().to_owned(),
        handler: spec.handler.clone(),
        timeout_ms: u64::try_from(spec.timeout.as_millis()).unwrap_or(u64::MAX),
        memory_bytes: spec.memory_bytes,
    }
}

/// What a function's folder looks like now, if it has one that can be read.
pub(crate) async fn fingerprint_of(spec: &FunctionSpec) -> Option<Fingerprint> {
    if !spec.runtime.has_folder() {
        return None;
    }
    let folder = spec.code.clone();
    let look = move || daybook_functions::fingerprint(&folder).ok();
    tokio::task::spawn_blocking(look).await.ok().flatten()
}

/// Keeps a package in the blob store, unless a recorded revision says that it is kept.
async fn keep(
    ledger: &Ledger,
    function: &FunctionName,
    blob: &BlobRef,
    package: Package,
) -> Result<(), PackageError> {
    if matches!(package, Package::Executable(_)) {
        return Ok(());
    }
    let known: Option<Function> = ledger
        .load(&function::stream_of(function))
        .await
        .map_err(PackageError::Ledger)?;
    let recorded = known.and_then(|function| function.current);
    let same = recorded.is_some_and(|current| current.sha256 == blob.sha256);
    if same && ledger.blobs().has(blob).await? {
        return Ok(());
    }
    let bytes = match package {
        Package::Archive(archive) => Bytes::from(tokio::fs::read(archive.path()).await?),
        Package::Description(bytes) => bytes,
        Package::Executable(_) => return Ok(()),
    };
    ledger.blobs().put(bytes).await?;
    Ok(())
}

async fn command_pipeline(
    ledger: &Ledger,
    name: &PipelineName,
    command: PipelineCommand,
    actor: &str,
) -> Result<(), PublishError> {
    ledger
        .execute::<Pipeline>(&pipeline::stream_of(name), command, &origin(actor))
        .await
        .map(|_| ())
        .map_err(|error| PublishError::PipelineRefused(name.to_string(), error))
}

fn origin(actor: &str) -> Origin {
    let command = clock::random_id();
    Origin {
        command: CommandId(command),
        correlation: command.to_string(),
        causation: None,
        actor: actor.to_owned(),
        traceparent: None,
    }
}
