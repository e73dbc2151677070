//! The config: read from `daybook.toml`, checked as a whole before anything starts.
//!
//! ```text
//!  daybook.toml ─ toml ─> file::ConfigFile ─ check ─> Config ─> serve, demo, config check|show
//! ```
//! An error names the place in the file and what to do.

mod buckets;
mod check;
mod file;
mod filters;
mod folders;
mod intake;
mod limits;
mod queues;
mod reconciles;
mod remote;
mod secret;
mod show;
mod syntax;
mod telemetry;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use daybook_command_service::{PipelineConfig, ReconcileLimits, ReconcileSchedule};
use daybook_domain::{BucketName, FunctionName};
use daybook_event_store::open::LogUrl;
use daybook_functions::{FunctionSpec, SandboxMode};
use daybook_s3_gateway::{BucketConfig, CreatedBuckets, Limits, OperatorKey, Policy};
use thiserror::Error;

use crate::telemetry::OtlpConfig;

pub(crate) use intake::IntakeSettings;
pub(crate) use show::show;

/// The name of the data directory beside the config, where `--data-dir` does not say otherwise.
const DATA_DIR: &str = "daybook-data";

/// A config that can run.
#[derive(Debug)]
pub(crate) struct Config {
    pub buckets: BTreeMap<BucketName, BucketConfig>,
    /// The buckets that are compared with the ledger by themselves.
    pub reconciles: BTreeMap<BucketName, ReconcileSchedule>,
    /// The bounds of reconciles.
    pub reconcile_limits: ReconcileLimits,
    /// Where operators may make buckets over S3.
    pub created: Option<CreatedBuckets>,
    pub functions: Vec<FunctionSpec>,
    pub policies: BTreeMap<FunctionName, Policy>,
    /// The functions whose outputs become visible when their attempt succeeds.
    pub on_success: BTreeSet<FunctionName>,
    pub pipelines: Vec<PipelineConfig>,
    pub keys: Vec<OperatorKey>,
    pub region: String,
    pub gateway_limits: Limits,
    pub data_dir: PathBuf,
    pub store: LogUrl,
    /// Pages of a SQLite log that its writer keeps in memory.
    pub store_cache_bytes: u32,
    pub blobs: BlobsAt,
    pub shutdown_grace: Duration,
    /// How often the folders with code are looked at for changes.
    pub code_rescan: Duration,
    /// What the files of one package may have together.
    pub max_package_bytes: u64,
    /// What is kept of one attempt's output, in bytes and in lines.
    pub log_bytes: usize,
    /// See `log_bytes`.
    pub log_lines: usize,
    /// How long the big logs of attempts are kept.
    pub log_retain: Duration,
    /// How long a worker's word counts where several share the log.
    pub worker_lease: Duration,
    /// How often a pipeline may run on what it wrote itself.
    pub loop_depth: u32,
    /// Folders in which runtime clients are looked for beside a function's own.
    pub client_dirs: Vec<PathBuf>,
    /// Where traces go.
    pub otlp: Option<OtlpConfig>,
    /// How long a connection to a remote function may take.
    pub remote_connect_timeout: Duration,
    /// Whether functions that do not say so themselves run in a sandbox.
    pub sandbox: SandboxMode,
    /// What other stores tell.
    pub intake: IntakeSettings,
    /// Where this was read.
    pub file: PathBuf,
    /// The files that hold its secrets.
    pub secret_files: Vec<PathBuf>,
}

/// Where blobs are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BlobsAt {
    /// In a folder.
    Folder(PathBuf),
    /// In the database of the event log.
    Log,
}

impl Config {
    /// Whether other processes may append to the event log.
    pub(crate) fn shares_log(&self) -> bool {
        !matches!(self.store, LogUrl::Sqlite(_))
    }
}

/// What is wrong with a config. Correct the file at the place named.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    #[error("config {path} cannot be read")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("config {path} is not understood: {message}")]
    Syntax { path: PathBuf, message: String },
    #[error("{place} in {path}: {problem}")]
    Invalid {
        path: PathBuf,
        place: String,
        problem: String,
    },
}

impl Config {
    /// Reads and checks a config. Relative paths in it start at its folder.
    pub(crate) fn load(path: &Path, data_dir: Option<&Path>) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let file: file::ConfigFile =
            toml::from_str(&text).map_err(|error| ConfigError::Syntax {
                path: path.to_owned(),
                message: syntax::message(&text, error),
            })?;
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let folder = folder.canonicalize().map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        check::check(file, path, &folder, data_dir)
    }
}

#[cfg(test)]
mod tests;
