//! From the file's shape to a config that can run: each value parsed, each name resolved.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use daybook_command_service::PipelineConfig;
use daybook_command_service::intake::KnownBucket;
use daybook_domain::asl::Machine;
use daybook_domain::{BucketName, FunctionName, PipelineName};
use daybook_event_store::open::LogUrl;
use daybook_event_store::sqlite::SqliteOptions;
use daybook_functions::{FunctionSpec, HostOptions, LOG_LIMIT_BYTES, LOG_LIMIT_LINES, Runtime};
use daybook_s3_gateway::{BucketConfig, CreatedBuckets, Limits, OperatorKey, Policy};

use super::file::{ConfigFile, FunctionTable, KeyTable, LimitsTable, PipelineTable};
use super::secret::Secret;
use super::{BlobsAt, Config, ConfigError, DATA_DIR, buckets, folders, intake, limits, remote};

/// Where buckets go in the data directory that operators make over S3.
const CREATED_BUCKETS: &str = "buckets";

/// How long running invocations have to finish when the process is told to stop.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(25);

/// How long a worker's word counts for the others on the log. Long enough for a restart of the
/// database, short enough for people to wait for when a machine dies.
const WORKER_LEASE: Duration = Duration::from_secs(15);
/// How often a pipeline may run on its own output: about as often as AWS Lambda lets a function
/// (Lambda developer guide, "Use Lambda recursive loop detection").
const LOOP_DEPTH: u32 = 16;

/// How often the folders with code are looked at: soon enough for somebody who edits them, seldom
/// enough for a folder with many thousands of files.
const CODE_RESCAN: Duration = Duration::from_secs(2);

/// A log that holds less would lose the lines around an attempt; each process holds one in memory.
const LEAST_LOG_BYTES: usize = 4 << 10;
const MOST_LOG_BYTES: usize = 16 << 20;
const LEAST_LOG_LINES: usize = 10;

/// How long the big logs of attempts are kept.
const LOG_RETAIN: Duration = Duration::from_secs(90 * 24 * 3600);

const SHORTEST_LEASE: Duration = Duration::from_secs(1);

pub(super) fn check(
    file: ConfigFile,
    path: &Path,
    folder: &Path,
    data_dir: Option<&Path>,
) -> Result<Config, ConfigError> {
    let place = Place { path, folder };
    let secret_files = file.secret_files(folder);
    let mut tables = file.buckets;
    let reconciles = buckets::schedules(&place, &tables)?;
    let known = intake::buckets(&place, &mut tables)?;
    let buckets = buckets::check(&place, tables)?;
    let pipelines = file
        .pipelines
        .into_iter()
        .map(|(name, table)| pipeline(&place, name, table, &known, &file.functions))
        .collect::<Result<Vec<_>, _>>()?;
    let mut functions = Vec::new();
    let (mut policies, mut on_success) = (BTreeMap::new(), BTreeSet::new());
    for (name, table) in &file.functions {
        if let Some(spec) = remote::check(&place, name, table)? {
            functions.push(spec);
            continue;
        }
        let policy = policy(&place, name, table, &pipelines, &buckets)?;
        if publishes_on_success(&place, name, table, &policy, &buckets)? {
            on_success.insert(name.clone());
        }
        policies.insert(name.clone(), policy);
        functions.push(function(&place, name, table)?);
    }
    let mut keys: Vec<OperatorKey> = Vec::new();
    for (name, table) in file.s3.keys {
        let key = key(&place, name, table, &buckets, file.s3.create_buckets)?;
        if let Some(other) = keys.iter().find(|other| other.access_key == key.access_key) {
            return place.wrong(
                &format!("s3.keys.{}.access_key", key.name),
                format!(
                    "s3.keys.{} has the same access key; give each its own",
                    other.name
                ),
            );
        }
        keys.push(key);
    }
    let data_dir = data_dir.map_or_else(|| folder.join(DATA_DIR), Path::to_owned);
    let data_dir = match std::path::absolute(&data_dir) {
        Ok(data_dir) => data_dir,
        Err(error) => return place.wrong("--data-dir", error.to_string()),
    };
    let created = match file.s3.create_buckets {
        true => Some(CreatedBuckets {
            root: data_dir.join(CREATED_BUCKETS),
            retain: place.parse_duration("s3.created_retain", &file.s3.created_retain)?,
        }),
        false => None,
    };
    let store = store(&place, file.store.url.as_ref(), &data_dir)?;
    let store_cache_bytes = store_cache_bytes(&place, file.store.cache_size)?;
    let blobs = match (&file.blobs.url, &store) {
        (Some(url), _) => BlobsAt::Folder(blobs(&place, url)?),
        (None, LogUrl::Sqlite(_)) => BlobsAt::Folder(data_dir.join("blobs")),
        (None, LogUrl::Postgres(_)) => BlobsAt::Log,
        (None, LogUrl::EventStoreDb(_)) => {
            return place.wrong(
                "blobs.url",
                "an event log on EventStoreDB keeps no blobs; name a folder that all processes share",
            );
        }
    };
    let config = Config {
        buckets,
        reconciles,
        reconcile_limits: super::reconciles::check(&place, &file.reconcile)?,
        created,
        functions,
        policies,
        on_success,
        pipelines,
        keys,
        region: file.s3.region.unwrap_or_else(|| "us-east-1".to_owned()),
        shutdown_grace: place
            .duration(
                "limits.shutdown_grace",
                file.limits.shutdown_grace.as_deref(),
            )?
            .unwrap_or(SHUTDOWN_GRACE),
        code_rescan: code_rescan(&place, &file.limits)?,
        max_package_bytes: max_package_bytes(&place, &file.limits)?,
        log_bytes: log_bytes(&place, &file.limits)?,
        log_lines: log_lines(&place, &file.limits)?,
        log_retain: log_retain(&place, &file.limits)?,
        gateway_limits: gateway_limits(&place, &file.limits)?,
        client_dirs: file
            .runtimes
            .client_dirs
            .iter()
            .map(|dir| folder.join(dir))
            .collect(),
        sandbox: limits::sandbox(&place, "runtimes.sandbox", file.runtimes.sandbox.as_deref())?
            .unwrap_or_default(),
        file: path.canonicalize().unwrap_or_else(|_| path.to_owned()),
        secret_files,
        worker_lease: worker_lease(&place, &file.limits)?,
        loop_depth: loop_depth(&place, &file.limits)?,
        otlp: super::telemetry::check(&place, &file.telemetry)?,
        remote_connect_timeout: remote::connect_timeout(&place, &file.limits)?,
        intake: intake::check(&place, &file.intake, known)?,
        data_dir,
        store,
        store_cache_bytes,
        blobs,
    };
    folders::check(&place, &config)?;
    Ok(config)
}

/// Where the event log is.
fn store(place: &Place<'_>, url: Option<&Secret>, data_dir: &Path) -> Result<LogUrl, ConfigError> {
    let url = match url.map(|url| url.resolve(place.folder)) {
        None => "sqlite".to_owned(),
        Some(Ok(url)) => url,
        Some(Err(problem)) => return place.wrong("store.url", problem),
    };
    match LogUrl::parse(&url, Some(data_dir)) {
        Ok(url) => Ok(url),
        Err(error) => place.wrong("store.url", error.to_string()),
    }
}

fn worker_lease(place: &Place<'_>, limits: &LimitsTable) -> Result<Duration, ConfigError> {
    let at = "limits.worker_lease";
    let lease = place.duration(at, limits.worker_lease.as_deref())?;
    match lease {
        None => Ok(WORKER_LEASE),
        Some(lease) if lease < SHORTEST_LEASE => place.wrong(
            at,
            "a lease under one second would lapse whenever the log is slow; give more, or leave it \
             out for the default",
        ),
        Some(lease) => Ok(lease),
    }
}

fn code_rescan(place: &Place<'_>, limits: &LimitsTable) -> Result<Duration, ConfigError> {
    let mut every = CODE_RESCAN;
    let text = limits.code_rescan_every.as_deref();
    place.set_positive("limits.code_rescan_every", text, &mut every)?;
    Ok(every)
}

fn max_package_bytes(place: &Place<'_>, limits: &LimitsTable) -> Result<u64, ConfigError> {
    match limits.max_package_size.map(|size| size.as_u64()) {
        None => Ok(HostOptions::default().max_package_bytes),
        Some(0) => place.wrong(
            "limits.max_package_size",
            "0 lets no code run; give more, or leave it out for the default",
        ),
        Some(bytes) => Ok(bytes),
    }
}

fn log_bytes(place: &Place<'_>, limits: &LimitsTable) -> Result<usize, ConfigError> {
    let Some(size) = limits.log_size else {
        return Ok(LOG_LIMIT_BYTES);
    };
    match usize::try_from(size.as_u64()) {
        Ok(bytes @ LEAST_LOG_BYTES..=MOST_LOG_BYTES) => Ok(bytes),
        _ => place.wrong(
            "limits.log_size",
            "give between \"4KiB\" and \"16MiB\", or leave it out for the default",
        ),
    }
}

fn log_retain(place: &Place<'_>, limits: &LimitsTable) -> Result<Duration, ConfigError> {
    let mut retain = LOG_RETAIN;
    let text = limits.log_retain.as_deref();
    place.set_positive("limits.log_retain", text, &mut retain)?;
    Ok(retain)
}

fn log_lines(place: &Place<'_>, limits: &LimitsTable) -> Result<usize, ConfigError> {
    match limits.log_lines {
        None => Ok(LOG_LIMIT_LINES),
        Some(lines) if lines < LEAST_LOG_LINES => place.wrong(
            "limits.log_lines",
            "10 is the least, for the lines around an attempt; leave it out for the default",
        ),
        Some(lines) => Ok(lines),
    }
}

fn loop_depth(place: &Place<'_>, limits: &LimitsTable) -> Result<u32, ConfigError> {
    match limits.loop_depth {
        Some(0) => place.wrong(
            "limits.loop_depth",
            "with 0 nothing would ever start; 1 stops a pipeline when its own output comes back to it",
        ),
        depth => Ok(depth.unwrap_or(LOOP_DEPTH)),
    }
}

/// The folder of the blobs, given as a path or a `file://` URL.
fn blobs(place: &Place<'_>, url: &str) -> Result<PathBuf, ConfigError> {
    let Some((scheme, path)) = url.split_once("://") else {
        return Ok(place.folder.join(url));
    };
    let path = path.strip_prefix("localhost").unwrap_or(path);
    // An escape is not undone here: a path says the same without one.
    if scheme != "file" || !path.starts_with('/') || path.contains('%') {
        return place.wrong(
            "blobs.url",
            format!(
                "{scheme}:// is no folder of this machine; this version keeps blobs in one, given \
                 as a path or as file:///PATH without escapes"
            ),
        );
    }
    Ok(PathBuf::from(path))
}

fn pipeline(
    place: &Place<'_>,
    name: PipelineName,
    table: PipelineTable,
    buckets: &[KnownBucket],
    functions: &BTreeMap<FunctionName, FunctionTable>,
) -> Result<PipelineConfig, ConfigError> {
    let at = format!("pipelines.{name}");
    if table.on.is_empty() {
        return place.wrong(
            &format!("{at}.on"),
            "name at least one bucket, as in on = [{ bucket = \"inbox\" }]",
        );
    }
    for trigger in &table.on {
        if !buckets.iter().any(|it| it.name == trigger.bucket) {
            return place.wrong(
                &format!("{at}.on"),
                format!(
                    "there is no bucket {}; add [buckets.{}], with notified = true if only \
                     notifications tell of it",
                    trigger.bucket, trigger.bucket
                ),
            );
        }
    }
    let definition = match (&table.run, &table.definition) {
        (Some(function), None) => Machine::of_function(function),
        (None, Some(file)) => read_definition(place, &at, file)?,
        _ => {
            return place.wrong(
                &at,
                "give either run = \"FUNCTION\" or definition = \"FILE.asl.json\"",
            );
        }
    };
    let machine = match Machine::parse(&definition) {
        Ok(machine) => machine,
        Err(error) => return place.wrong(&format!("{at}.definition"), error.to_string()),
    };
    for function in machine.functions() {
        if !functions.contains_key(function) {
            return place.wrong(
                &at,
                format!("there is no function {function}; add [functions.{function}]"),
            );
        }
    }
    Ok(PipelineConfig {
        name,
        definition,
        triggers: table.on,
    })
}

fn read_definition(
    place: &Place<'_>,
    at: &str,
    file: &Path,
) -> Result<serde_json::Value, ConfigError> {
    let at = format!("{at}.definition");
    let path = place.folder.join(file);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            return place.wrong(&at, format!("{} cannot be read: {error}", path.display()));
        }
    };
    serde_json::from_str(&text)
        .or_else(|error| place.wrong(&at, format!("{} is not JSON: {error}", path.display())))
}

fn function(
    place: &Place<'_>,
    name: &FunctionName,
    table: &FunctionTable,
) -> Result<FunctionSpec, ConfigError> {
    let at = format!("functions.{name}");
    let runtime: Runtime = match table.runtime.parse() {
        Ok(runtime) => runtime,
        Err(error) => return place.wrong(&format!("{at}.runtime"), format!("{error}")),
    };
    let code = match (&table.code, runtime) {
        (Some(code), _) => place.folder.join(code),
        (None, Runtime::Builtin) => place.folder.to_owned(),
        (None, _) => return place.wrong(&format!("{at}.code"), "name the folder with the code"),
    };
    let handler = match (&table.handler, runtime) {
        (Some(handler), _) => handler.clone(),
        (None, Runtime::Provided) => "bootstrap".to_owned(),
        (None, _) => {
            return place.wrong(
                &format!("{at}.handler"),
                "name the handler, as in \"index.handler\"",
            );
        }
    };
    if table.concurrency == Some(0) {
        return place.wrong(
            &format!("{at}.concurrency"),
            "at least one process is needed",
        );
    }
    let mut spec = FunctionSpec::new(name.clone(), runtime, code, handler);
    let set = |key: &str, text: &Option<String>, target: &mut Duration| {
        place.set_positive(&format!("{at}.{key}"), text.as_deref(), target)
    };
    set("timeout", &table.timeout, &mut spec.timeout)?;
    set("init_timeout", &table.init_timeout, &mut spec.init_timeout)?;
    set("idle_timeout", &table.idle_timeout, &mut spec.idle_timeout)?;
    spec.concurrency = table.concurrency.unwrap_or(spec.concurrency);
    spec.queue = limits::queue(place, &at, table)?;
    limits::apply(place, &at, table, &mut spec)?;
    spec.environment = table.environment.clone();
    for (variable, secret) in &table.secrets {
        match secret.resolve(place.folder) {
            Ok(secret) => spec.secrets.insert(variable.clone(), secret.into()),
            Err(problem) => return place.wrong(&format!("{at}.secrets.{variable}"), problem),
        };
    }
    Ok(spec)
}

/// Whether what the function writes becomes visible only when its attempt succeeds.
fn publishes_on_success(
    place: &Place<'_>,
    name: &FunctionName,
    table: &FunctionTable,
    policy: &Policy,
    buckets: &BTreeMap<BucketName, BucketConfig>,
) -> Result<bool, ConfigError> {
    let at = format!("functions.{name}.publish");
    match table.publish.as_deref() {
        None | Some("immediately") => Ok(false),
        Some("on-success") => {
            let elsewhere = buckets.iter().find(|(name, bucket)| {
                matches!(bucket, BucketConfig::Upstream(_)) && policy.may_write(name)
            });
            match elsewhere {
                None => Ok(true),
                Some((bucket, _)) => place.wrong(
                    &at,
                    format!(
                        "outputs can be held back in folders only, and its write patterns may reach \
                         bucket {bucket} of another store; narrow them, or publish \"immediately\""
                    ),
                ),
            }
        }
        Some(other) => place.wrong(
            &at,
            format!("{other:?} is neither \"immediately\" nor \"on-success\""),
        ),
    }
}

/// What the config gives the function; by default it reads the buckets that trigger it.
fn policy(
    place: &Place<'_>,
    name: &FunctionName,
    table: &FunctionTable,
    pipelines: &[PipelineConfig],
    buckets: &BTreeMap<BucketName, BucketConfig>,
) -> Result<Policy, ConfigError> {
    let triggers = || {
        let wanted = pipelines.iter().filter(|pipeline| {
            Machine::parse(&pipeline.definition)
                .is_ok_and(|machine| machine.functions().contains(&name))
        });
        let buckets: BTreeSet<String> = wanted
            .flat_map(|pipeline| &pipeline.triggers)
            .map(|trigger| format!("{}/*", trigger.bucket))
            .collect();
        buckets.into_iter().collect()
    };
    for (key, patterns) in [("read", &table.read), ("write", &table.write)] {
        let patterns = patterns.as_deref().unwrap_or_default();
        check_patterns(place, &format!("functions.{name}.{key}"), patterns, buckets)?;
    }
    Ok(Policy {
        read: table.read.clone().unwrap_or_else(triggers),
        write: table.write.clone().unwrap_or_default(),
    })
}

/// Whether each pattern can match something: a misspelt one would refuse everything, and that
/// would be seen only when a function runs.
fn check_patterns(
    place: &Place<'_>,
    at: &str,
    patterns: &[String],
    buckets: &BTreeMap<BucketName, BucketConfig>,
) -> Result<(), ConfigError> {
    for pattern in patterns {
        if pattern.is_empty() {
            return place.wrong(at, "a pattern is empty; write \"bucket/*\"");
        }
        let before_star = pattern.split('*').next().unwrap_or_default();
        let known = match before_star.split_once('/') {
            Some((bucket, _)) => buckets.keys().any(|name| name.as_str() == bucket),
            // The star is in the bucket's name, or stands for it.
            None if before_star != pattern => buckets
                .keys()
                .any(|name| name.as_str().starts_with(before_star)),
            None => false,
        };
        if !known && !pattern.starts_with('*') {
            return place.wrong(
                at,
                format!(
                    "{pattern:?} begins with no bucket of this config; write \"BUCKET/*\" with one \
                     of: {}",
                    buckets
                        .keys()
                        .map(BucketName::as_str)
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            );
        }
    }
    Ok(())
}

fn key(
    place: &Place<'_>,
    name: String,
    table: KeyTable,
    buckets: &BTreeMap<BucketName, BucketConfig>,
    create_buckets: bool,
) -> Result<OperatorKey, ConfigError> {
    let at = format!("s3.keys.{name}");
    let secret_key = match table.secret_key.resolve(place.folder) {
        Ok(secret) => secret,
        Err(problem) => return place.wrong(&format!("{at}.secret_key"), problem),
    };
    if table.access_key.is_empty() {
        return place.wrong(&format!("{at}.access_key"), "the access key is empty");
    }
    // Where buckets can be made, a pattern may name one that is not there yet.
    if !create_buckets {
        check_patterns(place, &format!("{at}.read"), &table.read, buckets)?;
        check_patterns(place, &format!("{at}.write"), &table.write, buckets)?;
    }
    Ok(OperatorKey {
        name,
        access_key: table.access_key,
        secret_key,
        read: table.read,
        write: table.write,
    })
}

/// A cache of fewer pages than a transaction touches is none, and one of more than the machine has is
/// worse than none.
const STORE_CACHE: std::ops::RangeInclusive<ByteSize> = ByteSize::mib(1)..=ByteSize::gib(2);

fn store_cache_bytes(place: &Place<'_>, given: Option<ByteSize>) -> Result<u32, ConfigError> {
    let Some(size) = given else {
        return Ok(SqliteOptions::default().cache_bytes);
    };
    match u32::try_from(size.as_u64()) {
        Ok(bytes) if STORE_CACHE.contains(&size) => Ok(bytes),
        _ => place.wrong(
            "store.cache_size",
            "the cache of the log holds from \"1MiB\" to \"2GiB\"",
        ),
    }
}

/// What is larger waits longer for its bytes than for its syncs.
const MAX_JOURNALED: ByteSize = ByteSize::mib(1);

fn gateway_limits(place: &Place<'_>, table: &LimitsTable) -> Result<Limits, ConfigError> {
    let mut limits = Limits::default();
    let set = |key: &str, text: &Option<String>, target: &mut Duration| {
        place.set_positive(&format!("limits.{key}"), text.as_deref(), target)
    };
    set(
        "upload_retain",
        &table.upload_retain,
        &mut limits.upload_retain,
    )?;
    set(
        "settle_after",
        &table.settle_after,
        &mut limits.settle_after,
    )?;
    set(
        "rescan_every",
        &table.rescan_every,
        &mut limits.rescan_every,
    )?;
    set("sweep_every", &table.sweep_every, &mut limits.sweep_every)?;
    set(
        "journal_flush_every",
        &table.journal_flush_every,
        &mut limits.journal_flush_every,
    )?;
    if let Some(size) = table.journaled_size {
        if size > MAX_JOURNALED {
            return place.wrong(
                "limits.journaled_size",
                "objects of more than 1 MiB gain nothing by it; give at most \"1MiB\", or \"0B\" for none",
            );
        }
        limits.journaled_bytes = size.as_u64();
    }
    buckets::limits(place, table, &mut limits.upstream)?;
    limits.max_put_bytes = table
        .max_put_size
        .map_or(limits.max_put_bytes, |size| size.as_u64());
    limits.max_connections = table.max_connections.unwrap_or(limits.max_connections);
    limits.max_staged = table.max_staged.unwrap_or(limits.max_staged);
    limits.list_unseen = table.list_unseen.unwrap_or(limits.list_unseen);
    for (key, nothing) in [
        ("max_put_size", limits.max_put_bytes == 0),
        ("max_connections", limits.max_connections == 0),
        ("list_unseen", limits.list_unseen == 0),
        ("max_staged", limits.max_staged == 0),
    ] {
        if nothing {
            return place.wrong(
                &format!("limits.{key}"),
                "0 lets nothing through; give more, or leave it out for the default",
            );
        }
    }
    Ok(limits)
}

/// Where a value stands, for messages.
pub(super) struct Place<'a> {
    path: &'a Path,
    folder: &'a Path,
}

impl Place<'_> {
    /// The folder at which relative paths start.
    pub(super) fn folder(&self) -> &Path {
        self.folder
    }

    pub(super) fn wrong<T>(
        &self,
        place: &str,
        problem: impl Into<String>,
    ) -> Result<T, ConfigError> {
        Err(ConfigError::Invalid {
            path: PathBuf::from(self.path),
            place: place.to_owned(),
            problem: problem.into(),
        })
    }

    fn duration(&self, place: &str, text: Option<&str>) -> Result<Option<Duration>, ConfigError> {
        text.map(|text| self.parse_duration(place, text))
            .transpose()
    }

    /// Takes over a duration that must not be nothing.
    pub(super) fn set_positive(
        &self,
        place: &str,
        text: Option<&str>,
        target: &mut Duration,
    ) -> Result<(), ConfigError> {
        match self.duration(place, text)? {
            None => Ok(()),
            Some(Duration::ZERO) => self.wrong(
                place,
                "it must be longer than nothing; leave it out for the default",
            ),
            Some(duration) => {
                *target = duration;
                Ok(())
            }
        }
    }

    pub(super) fn parse_duration(&self, place: &str, text: &str) -> Result<Duration, ConfigError> {
        match humantime::parse_duration(text) {
            Ok(duration) => Ok(duration),
            Err(error) => self.wrong(
                place,
                format!("{text:?} is no duration like \"30s\" or \"30d\": {error}"),
            ),
        }
    }
}
