//! The shape of `daybook.toml`. Unknown keys are errors: a misspelt limit must not be silently the
//! default.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use daybook_domain::pipeline::Trigger;
use daybook_domain::{BucketName, FunctionName, PipelineName};
use serde::Deserialize;

use super::filters::FilterTables;
use super::intake::IntakeTable;
use super::reconciles::ReconcileTable;
use super::secret::Secret;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfigFile {
    #[serde(default)]
    pub buckets: BTreeMap<BucketName, BucketTable>,
    #[serde(default)]
    pub functions: BTreeMap<FunctionName, FunctionTable>,
    #[serde(default)]
    pub pipelines: BTreeMap<PipelineName, PipelineTable>,
    #[serde(default)]
    pub store: StoreTable,
    #[serde(default)]
    pub blobs: BlobsTable,
    #[serde(default)]
    pub s3: S3Table,
    #[serde(default)]
    pub limits: LimitsTable,
    #[serde(default)]
    pub runtimes: RuntimesTable,
    #[serde(default)]
    pub telemetry: TelemetryTable,
    #[serde(default)]
    pub intake: IntakeTable,
    #[serde(default)]
    pub reconcile: ReconcileTable,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BucketTable {
    pub path: Option<PathBuf>,
    pub retain: Option<String>,
    pub upstream: Option<UpstreamTable>,
    #[serde(default)]
    pub notified: bool,
    pub order: Option<String>,
    pub filter: Option<FilterTables>,
    pub reconcile: Option<ScheduleTable>,
}

/// When a bucket is compared with the ledger by itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScheduleTable {
    pub every: String,
    #[serde(default)]
    pub dry_run: bool,
    pub rate: Option<u32>,
}

/// A bucket of another store.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UpstreamTable {
    pub bucket: String,
    pub region: Option<String>,
    pub endpoint: Option<String>,
    pub path_style: Option<bool>,
    #[serde(default = "yes")]
    pub checksums: bool,
    pub profile: Option<String>,
    pub access_key: Option<Secret>,
    pub secret_key: Option<Secret>,
}

fn yes() -> bool {
    true
}

fn days_30() -> String {
    "30d".to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FunctionTable {
    pub runtime: String,
    pub code: Option<PathBuf>,
    pub handler: Option<String>,
    pub timeout: Option<String>,
    pub init_timeout: Option<String>,
    pub idle_timeout: Option<String>,
    pub concurrency: Option<usize>,
    pub queue: Option<usize>,
    pub memory: Option<ByteSize>,
    pub cpu: Option<f64>,
    pub processes: Option<u64>,
    pub open_files: Option<u64>,
    pub tmp_size: Option<ByteSize>,
    pub max_invocations: Option<u64>,
    pub max_memory_growth: Option<ByteSize>,
    pub sandbox: Option<String>,
    pub connect: Option<Vec<u16>>,
    #[serde(default)]
    pub listen: Vec<u16>,
    #[serde(default)]
    pub readable: Vec<PathBuf>,
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    #[serde(default)]
    pub secrets: BTreeMap<String, Secret>,
    pub read: Option<Vec<String>>,
    pub write: Option<Vec<String>>,
    pub publish: Option<String>,
    // Of those that run elsewhere.
    pub arn: Option<String>,
    pub endpoint: Option<String>,
    pub profile: Option<String>,
    pub access_key: Option<Secret>,
    pub secret_key: Option<Secret>,
    pub url: Option<String>,
    pub headers: Option<BTreeMap<String, Secret>>,
    pub mode: Option<String>,
    pub private_addresses: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PipelineTable {
    pub on: Vec<Trigger>,
    pub run: Option<FunctionName>,
    pub definition: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoreTable {
    /// It may hold a password.
    pub url: Option<Secret>,
    pub cache_size: Option<ByteSize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BlobsTable {
    pub url: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct S3Table {
    #[serde(default)]
    pub create_buckets: bool,
    #[serde(default = "days_30")]
    pub created_retain: String,
    pub region: Option<String>,
    #[serde(default)]
    pub keys: BTreeMap<String, KeyTable>,
}

impl Default for S3Table {
    fn default() -> Self {
        Self {
            create_buckets: false,
            created_retain: days_30(),
            region: None,
            keys: BTreeMap::new(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyTable {
    pub access_key: String,
    pub secret_key: Secret,
    #[serde(default = "everything")]
    pub read: Vec<String>,
    #[serde(default = "everything")]
    pub write: Vec<String>,
}

fn everything() -> Vec<String> {
    vec!["*".to_owned()]
}

/// The bounds that an operator may move. Those that are not here are constants of the formats.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsTable {
    pub shutdown_grace: Option<String>,
    pub code_rescan_every: Option<String>,
    pub max_package_size: Option<ByteSize>,
    pub log_size: Option<ByteSize>,
    pub log_lines: Option<usize>,
    pub log_retain: Option<String>,
    pub worker_lease: Option<String>,
    pub loop_depth: Option<u32>,
    pub max_put_size: Option<ByteSize>,
    pub journaled_size: Option<ByteSize>,
    pub journal_flush_every: Option<String>,
    pub max_connections: Option<usize>,
    pub max_staged: Option<usize>,
    pub list_unseen: Option<usize>,
    pub upload_retain: Option<String>,
    pub settle_after: Option<String>,
    pub rescan_every: Option<String>,
    pub sweep_every: Option<String>,
    pub remote_connect_timeout: Option<String>,
    pub upstream_connect_timeout: Option<String>,
    pub upstream_read_timeout: Option<String>,
    pub upstream_finish_timeout: Option<String>,
    pub upstream_attempts: Option<u32>,
    pub upstream_replay_size: Option<ByteSize>,
    pub upstream_part_size: Option<ByteSize>,
}

/// What holds for all functions: where runtime interface clients are, beside each function's own
/// folder, and whether there is a sandbox.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuntimesTable {
    #[serde(default)]
    pub client_dirs: Vec<PathBuf>,
    pub sandbox: Option<String>,
}

impl ConfigFile {
    /// The files that secrets are read from.
    pub(super) fn secret_files(&self, folder: &Path) -> Vec<PathBuf> {
        let functions = self.functions.values();
        let functions = functions.flat_map(|function| {
            let headers = function.headers.iter().flat_map(BTreeMap::values);
            let keys = function.access_key.iter().chain(&function.secret_key);
            function.secrets.values().chain(headers).chain(keys)
        });
        let keys = self.s3.keys.values().map(|key| &key.secret_key);
        let upstream = self
            .buckets
            .values()
            .filter_map(|bucket| bucket.upstream.as_ref());
        let upstream = upstream.flat_map(|upstream| [&upstream.access_key, &upstream.secret_key]);
        let all = functions
            .chain(keys)
            .chain(upstream.flatten())
            .chain(&self.store.url)
            .chain(self.telemetry.otlp_headers.values())
            .chain(self.intake.secrets());
        all.filter_map(|secret| secret.file(folder)).collect()
    }
}

/// Where traces go.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TelemetryTable {
    pub otlp_endpoint: Option<String>,
    #[serde(default)]
    pub otlp_headers: BTreeMap<String, Secret>,
    pub service_name: Option<String>,
}
