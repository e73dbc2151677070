//! The config as it counts, with all defaults and without a secret.

use daybook_command_service::ReconcileLimits;
use daybook_command_service::intake::UnknownBuckets;
use daybook_domain::stored_object::OrderRule;
use daybook_functions::{FunctionSpec, RemoteSpec};
use daybook_intake::{Settings, SnsSignatures};
use daybook_s3_gateway::BucketConfig;
use serde_json::{Value, json};

use super::{BlobsAt, Config, IntakeSettings};

/// The config as JSON. Environments show their names alone: a value may be a secret.
pub(crate) fn show(config: &Config) -> Value {
    let buckets: serde_json::Map<_, _> = config
        .buckets
        .iter()
        .map(|(name, bucket_config)| {
            let mut table = bucket(bucket_config);
            if let Some(schedule) = config.reconciles.get(name) {
                table["reconcile"] = json!({
                    "every": humantime::format_duration(schedule.every).to_string(),
                    "dry_run": schedule.dry_run,
                    "rate": schedule.rate,
                });
            }
            (name.to_string(), table)
        })
        .collect();
    let functions: serde_json::Map<_, _> = config
        .functions
        .iter()
        .map(|spec| {
            if let Some(target) = &spec.remote {
                return (spec.name.to_string(), remote(spec, target));
            }
            let policy = config.policies.get(&spec.name);
            let publish = match config.on_success.contains(&spec.name) {
                true => "on-success",
                false => "immediately",
            };
            let table = json!({
                "runtime": spec.runtime.as_str(),
                "code": spec.code,
                "handler": spec.handler,
                "timeout": humantime::format_duration(spec.timeout).to_string(),
                "init_timeout": humantime::format_duration(spec.init_timeout).to_string(),
                "idle_timeout": humantime::format_duration(spec.idle_timeout).to_string(),
                "concurrency": spec.concurrency,
                "queue": spec.queue,
                "memory": bytesize::ByteSize(spec.memory_bytes).to_string(),
                "cpu": spec.cpu,
                "processes": spec.processes,
                "open_files": spec.open_files,
                "tmp_size": bytesize::ByteSize(spec.tmp_bytes).to_string(),
                "max_invocations": spec.max_invocations,
                "max_memory_growth": spec
                    .max_memory_growth_bytes
                    .map(|bytes| bytesize::ByteSize(bytes).to_string()),
                "sandbox": spec.sandbox_under(config.sandbox).as_str(),
                "connect": spec.connect,
                "listen": spec.listen,
                "readable": spec.readable,
                "environment": spec.environment.keys().collect::<Vec<_>>(),
                "secrets": spec.secrets.keys().collect::<Vec<_>>(),
                "read": policy.map(|policy| &policy.read),
                "write": policy.map(|policy| &policy.write),
                "publish": publish,
            });
            (spec.name.to_string(), table)
        })
        .collect();
    let pipelines: serde_json::Map<_, _> = config
        .pipelines
        .iter()
        .map(|pipeline| {
            let table = json!({ "on": pipeline.triggers, "definition": pipeline.definition });
            (pipeline.name.to_string(), table)
        })
        .collect();
    let keys: serde_json::Map<_, _> = config
        .keys
        .iter()
        .map(|key| {
            let table =
                json!({ "access_key": key.access_key, "read": key.read, "write": key.write });
            (key.name.clone(), table)
        })
        .collect();
    let blobs = match &config.blobs {
        BlobsAt::Folder(folder) => folder.display().to_string(),
        BlobsAt::Log => config.store.to_string(),
    };
    let upstream = &config.gateway_limits.upstream;
    json!({
        "buckets": buckets,
        "functions": functions,
        "pipelines": pipelines,
        "runtimes": { "client_dirs": config.client_dirs, "sandbox": config.sandbox.as_str() },
        "store": {
            "url": config.store.to_string(),
            "cache_size": bytesize::ByteSize(config.store_cache_bytes.into()).to_string(),
            "data_dir": config.data_dir,
        },
        "blobs": { "url": blobs },
        "s3": {
            "region": config.region,
            "create_buckets": config.created.is_some(),
            "created_retain": config
                .created
                .as_ref()
                .map(|created| humantime::format_duration(created.retain).to_string()),
            "keys": keys,
        },
        "limits": {
            "shutdown_grace": humantime::format_duration(config.shutdown_grace).to_string(),
            "worker_lease": humantime::format_duration(config.worker_lease).to_string(),
            "code_rescan_every": humantime::format_duration(config.code_rescan).to_string(),
            "max_package_size": bytesize::ByteSize(config.max_package_bytes).to_string(),
            "log_size": bytesize::ByteSize(config.log_bytes as u64).to_string(),
            "log_lines": config.log_lines,
            "log_retain": humantime::format_duration(config.log_retain).to_string(),
            "loop_depth": config.loop_depth,
            "journaled_size": bytesize::ByteSize(config.gateway_limits.journaled_bytes).to_string(),
            "journal_flush_every": humantime::format_duration(config.gateway_limits.journal_flush_every).to_string(),
            "max_put_size": bytesize::ByteSize(config.gateway_limits.max_put_bytes).to_string(),
            "max_connections": config.gateway_limits.max_connections,
            "max_staged": config.gateway_limits.max_staged,
            "list_unseen": config.gateway_limits.list_unseen,
            "upload_retain": humantime::format_duration(config.gateway_limits.upload_retain).to_string(),
            "settle_after": humantime::format_duration(config.gateway_limits.settle_after).to_string(),
            "rescan_every": humantime::format_duration(config.gateway_limits.rescan_every).to_string(),
            "sweep_every": humantime::format_duration(config.gateway_limits.sweep_every).to_string(),
            "remote_connect_timeout": humantime::format_duration(config.remote_connect_timeout).to_string(),
            "upstream_connect_timeout": humantime::format_duration(upstream.connect_timeout).to_string(),
            "upstream_read_timeout": humantime::format_duration(upstream.read_timeout).to_string(),
            "upstream_finish_timeout": humantime::format_duration(upstream.finish_timeout).to_string(),
            "upstream_attempts": upstream.attempts,
            "upstream_replay_size": bytesize::ByteSize(upstream.replay_bytes).to_string(),
            "upstream_part_size": bytesize::ByteSize(upstream.part_bytes).to_string(),
        },
        "intake": intake(&config.intake),
        "reconcile": reconcile(&config.reconcile_limits),
        "telemetry": config.otlp.as_ref().map(|otlp| json!({
            "otlp_endpoint": otlp.endpoint,
            "otlp_headers": otlp.headers.keys().collect::<Vec<_>>(),
            "service_name": otlp.service,
        })),
    })
}

fn reconcile(limits: &ReconcileLimits) -> Value {
    let duration = |it| humantime::format_duration(it).to_string();
    json!({
        "grace": duration(limits.grace),
        "retry_after": duration(limits.retry_after),
        "attempts": limits.attempts,
        "progress_every": duration(limits.progress_every),
        "findings_at_once": limits.findings_at_once,
        "keys_at_once": limits.keys_at_once,
        "keys_waiting": limits.keys_waiting,
        "looks": limits.looks,
    })
}

fn queues(settings: &IntakeSettings) -> Value {
    let queues = settings.queues.iter().map(|queue| {
        let duration = |it| humantime::format_duration(it).to_string();
        let table = json!({
            "url": queue.url,
            "region": queue.access.region,
            "endpoint": queue.endpoint,
            "profile": queue.access.profile,
            "access_key": queue.access.key.as_ref().map(|(access_key, _)| access_key),
            "consumers": queue.consumers,
            "batch": queue.batch,
            "wait": duration(queue.wait),
            "visibility": duration(queue.visibility),
            "max_receives": queue.max_receives,
            "source": queue.source.as_ref().map(ToString::to_string),
        });
        (queue.name.clone(), table)
    });
    Value::Object(queues.collect())
}

fn remote(spec: &FunctionSpec, target: &RemoteSpec) -> Value {
    let mut table = json!({
        "runtime": spec.runtime.as_str(),
        "timeout": humantime::format_duration(spec.timeout).to_string(),
        "concurrency": spec.concurrency,
        "queue": spec.queue,
    });
    match target {
        RemoteSpec::Lambda(lambda) => {
            table["arn"] = json!(lambda.arn.to_string());
            table["endpoint"] = json!(lambda.endpoint);
            table["profile"] = json!(lambda.profile);
            table["access_key"] = json!(lambda.key.as_ref().map(|(access_key, _)| access_key));
        }
        RemoteSpec::Http(http) => {
            table["url"] = json!(http.url.as_str());
            table["headers"] = json!(http.headers.names());
            table["mode"] = json!(http.mode.as_str());
            table["private_addresses"] = json!(http.private_addresses);
        }
    }
    table
}

/// Sources show what they expect, and not the secrets themselves.
fn intake(settings: &IntakeSettings) -> Value {
    let config = &settings.config;
    let source = |settings: &Settings, buckets: Value| {
        let limits = &settings.sns;
        json!({
            "tokens": settings.authentication.len(),
            "stores": settings.sources.iter().map(|it| it.as_str()).collect::<Vec<_>>(),
            "topics": limits.topics,
            "verify_everywhere": limits.signatures == SnsSignatures::Everywhere,
            "sns_max_age": limits.max_age.map(|age| humantime::format_duration(age).to_string()),
            "b2_secrets": settings.b2_secrets.len(),
            "allowed_origins": settings.allowed_origins,
            "buckets": buckets,
        })
    };
    let sources: serde_json::Map<_, _> = config
        .sources
        .iter()
        .map(|(name, it)| (name.to_string(), source(&it.settings, json!(it.buckets))))
        .collect();
    let buckets: serde_json::Map<_, _> = config
        .buckets
        .iter()
        .map(|bucket| {
            let order = match bucket.order {
                OrderRule::Gateway => "gateway",
                OrderRule::Notification => "notification",
            };
            (bucket.name.to_string(), json!(order))
        })
        .collect();
    let filters: serde_json::Map<_, _> = config
        .buckets
        .iter()
        .filter(|bucket| !bucket.filters.is_empty())
        .map(|bucket| (bucket.name.to_string(), json!(bucket.filters)))
        .collect();
    let limits = &config.open.limits;
    json!({
        "queues": queues(settings),
        "listen": settings.listen,
        "open": config.open_over_http.then(|| source(&config.open, Value::Null)),
        "sources": sources,
        "order": buckets,
        "filter": filters,
        "unknown_buckets": match config.unknown {
            UnknownBuckets::Record => "record",
            UnknownBuckets::Ignore => "ignore",
        },
        "max_body_size": bytesize::ByteSize(limits.max_body as u64).to_string(),
        "max_depth": limits.max_depth,
        "max_values": limits.max_values,
        "max_records": limits.max_items,
        "in_flight_records": config.limits.records,
        "in_flight_size": bytesize::ByteSize(config.limits.bytes as u64).to_string(),
        "retry_after": humantime::format_duration(config.limits.retry_after).to_string(),
        "keys_at_once": config.keys_at_once,
        "repeats_kept": config.repeats_kept,
        "body_timeout": humantime::format_duration(settings.http.body_timeout).to_string(),
        "header_timeout": humantime::format_duration(settings.header_timeout).to_string(),
        "max_connections": settings.max_connections,
        "rejected_kept": config.rejected.most,
        "rejected_size": bytesize::ByteSize(config.rejected.most_bytes).to_string(),
        "rejected_body_size": bytesize::ByteSize(config.rejected.body_bytes as u64).to_string(),
        "rejected_a_second": config.rejected.a_second,
        "rejected_messages": config.rejected.messages_remembered,
        "gateway_patience": humantime::format_duration(config.gateway_patience).to_string(),
    })
}

fn bucket(config: &BucketConfig) -> Value {
    match config {
        BucketConfig::Local(local) => json!({
            "path": local.root,
            "retain": humantime::format_duration(local.retain).to_string(),
        }),
        BucketConfig::Upstream(upstream) => json!({
            "upstream": {
                "bucket": upstream.bucket,
                "region": upstream.store.region,
                "endpoint": upstream.store.endpoint,
                "path_style": upstream.store.path_style,
                "checksums": upstream.checksums,
                "profile": upstream.store.profile,
                "access_key": upstream.store.key.as_ref().map(|key| &key.access_key),
            },
        }),
    }
}
