//! The services of one process: wiring only.
//!
//! ```text
//!  Config ─> event log, blobs ─> CommandService (gateway, function host) ─> S3 listener
//!                            └─> QueryService (read model, GraphQL) ─────> API listener
//! ```
//! Start: the log is opened (and locked) first, the gateway serves only after unacknowledged writes
//! were made good. Stop: no new work, running invocations finish while the gateway still serves
//! them, then the listeners close and the log last.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use daybook_command_service::intake::{IntakeConfig, RejectedConfig};
use daybook_command_service::{CommandService, CommandServiceConfig};
use daybook_event_store::EventLog;
use daybook_event_store::open::LogUrl;
use daybook_functions::{FunctionStatus, HostOptions};
use daybook_query_service::{QueryConfig, QueryService};
use daybook_s3_gateway::{BucketConfig, GatewayConfig, OperatorKey};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::config::{BlobsAt, Config};
use crate::listener::{self, ListenerLimits};
use crate::roles::Roles;
use crate::store::Store;
use crate::telemetry::{self, Otlp, Scraped};
use crate::usage::usage;
use crate::{guard, operator_key, store};

const S3: &str = "the S3 gateway";
const API: &str = "the API";
const INTAKE: &str = "the intake of notifications";

/// The hidden subcommand that runs a built-in function.
pub(crate) const FUNCTION_COMMAND: &str = "function";

/// The hidden subcommand that the function host starts: it limits and confines itself and becomes
/// the function's program. It is not one of clap's, see `main`.
pub(crate) const LAUNCH_COMMAND: &str = "launch";

/// What the listeners have beyond the grace to end by themselves.
const LISTENER_SLACK: Duration = Duration::from_secs(2);

/// A running server.
pub(crate) struct Server {
    /// Where the API listens.
    pub(crate) api: SocketAddr,
    /// Where stores deliver notifications apart from the API, if they do.
    pub(crate) intake: Option<SocketAddr>,
    commanding: Option<Commanding>,
    store: Store,
    serving: CancellationToken,
    /// How long requests in flight may still take once nothing new is served.
    grace: Duration,
    tasks: Vec<(&'static str, JoinHandle<()>)>,
}

/// The command side.
struct Commanding {
    service: CommandService,
    /// Where the S3 gateway listens.
    s3: SocketAddr,
    /// An operator's key, for the demo and for messages.
    operator: OperatorKey,
}

impl Server {
    /// Starts the services of the roles. What is printed after it returned is true: the listeners
    /// serve.
    pub(crate) async fn start(
        config: Config,
        roles: Roles,
        listen: SocketAddr,
        s3_listen: SocketAddr,
        actor: String,
    ) -> Result<Self> {
        telemetry::start();
        let api_listener = bind(listen).await?;
        let api = api_listener.local_addr()?;
        let (grace, data_dir) = (config.shutdown_grace, config.data_dir.clone());
        let limits = ListenerLimits {
            header_timeout: config.intake.header_timeout,
            max_connections: config.intake.max_connections,
        };
        let intake_listener = match config.intake.listen.filter(|_| roles.command) {
            Some(address) => Some(bind_any(address).await?),
            None => None,
        };
        let store = store::open(&config, roles).await?;
        let serving = CancellationToken::new();
        let mut tasks = Vec::new();
        let commanding = match roles.command {
            true => {
                let listener = bind(s3_listen).await?;
                Some(
                    Commanding::start(config, &store, listener, actor, &serving, &mut tasks)
                        .await?,
                )
            }
            false => None,
        };
        let query = match roles.query {
            true => {
                let config = QueryConfig::new(data_dir.join("read-model.sqlite"));
                let (log, blobs) = (store.log.clone(), store.blobs.clone());
                let query = QueryService::start(log, blobs, config, serving.clone())
                    .await
                    .context("the query service does not start")?;
                Some(query)
            }
            false => None,
        };
        let router = router(commanding.as_ref(), query, store.log.clone(), api);
        let api_served = listener::serve(api_listener, router, limits, serving.clone());
        tasks.push((API, tokio::spawn(log_end(API, api_served))));
        let mut intake = None;
        if let (Some(listener), Some(commanding)) = (intake_listener, commanding.as_ref()) {
            intake = Some(listener.local_addr()?);
            let router = commanding.service.deliveries();
            let served = listener::serve(listener, router, limits, serving.clone());
            tasks.push((INTAKE, tokio::spawn(log_end(INTAKE, served))));
        }
        // Functions go to the gateway at once: only now is it there for them.
        let commanding = commanding.map(|commanding| Commanding {
            service: commanding.service.begin(),
            ..commanding
        });
        Ok(Self {
            api,
            intake,
            commanding,
            store,
            serving,
            grace,
            tasks,
        })
    }

    /// Where the S3 gateway listens, and a key for it; `None` where this process has none.
    pub(crate) fn s3(&self) -> Option<(SocketAddr, &OperatorKey)> {
        let commanding = self.commanding.as_ref()?;
        Some((commanding.s3, &commanding.operator))
    }

    /// What the functions of this process are doing.
    pub(crate) fn functions(&self) -> Vec<FunctionStatus> {
        let commanding = self.commanding.as_ref();
        commanding.map_or_else(Vec::new, |commanding| commanding.service.host().status())
    }

    /// The log, for measurements.
    pub(crate) fn log(&self) -> Arc<dyn EventLog> {
        self.store.log.clone()
    }

    /// Waits until a part ends that must not.
    pub(crate) async fn failed(&mut self) -> Box<dyn std::error::Error + Send + Sync> {
        let commands = async {
            match &mut self.commanding {
                Some(commanding) => commanding.service.failed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            error = commands => error,
            () = self.store.log.stopped() => {
                "the event log stopped, see above; a new start recovers it".into()
            }
        }
    }

    /// Ends in order; see the module's documentation. Returns how many attempts were claimed here,
    /// and how many went to other workers while this one tried.
    pub(crate) async fn stop(self) -> Option<(u64, u64)> {
        let mut claims = None;
        if let Some(commanding) = self.commanding {
            claims = Some(commanding.service.stop().await);
        }
        self.serving.cancel();
        // A client that stalls in the middle of a request must not hold up the end.
        let deadline = Instant::now() + self.grace + LISTENER_SLACK;
        for (part, mut task) in self.tasks {
            match timeout_at(deadline, &mut task).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "{part} did not end cleanly"),
                Err(_) => {
                    tracing::warn!("{part} is ended with requests in flight");
                    task.abort();
                }
            }
        }
        self.store.log.close().await;
        claims
    }
}

impl Commanding {
    async fn start(
        config: Config,
        store: &Store,
        listener: TcpListener,
        actor: String,
        serving: &CancellationToken,
        tasks: &mut Vec<(&'static str, JoinHandle<()>)>,
    ) -> Result<Self> {
        let s3 = listener.local_addr()?;
        let mut keys = config.keys.clone();
        if keys.is_empty() {
            keys.push(operator_key::load_or_make(&config.data_dir)?);
        }
        let operator = keys[0].clone();
        let config = command_config(config, keys, s3, actor)?;
        let (log, blobs) = (store.log.clone(), store.blobs.clone());
        let service = CommandService::start(log, blobs, config).await?;
        let gateway = service.gateway().clone();
        let found = gateway
            .rescan()
            .await
            .context("the buckets cannot be listed")?;
        tracing::info!(?found, "buckets scanned");
        let served = gateway.clone().serve(listener, serving.clone());
        let watched = gateway.watch(serving.clone());
        tasks.push((S3, tokio::spawn(log_end(S3, served))));
        tasks.push(("the watch on the folders", tokio::spawn(watched)));
        Ok(Self {
            service,
            s3,
            operator,
        })
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener> {
    if !address.ip().is_loopback() {
        usage!(
            "{address} is outside loopback, which needs authentication; this version has none for \
             the API, so listen on 127.0.0.1 and put a proxy that authenticates before it"
        );
    }
    bind_any(address).await
}

async fn bind_any(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{address} cannot be listened on; give another address"))
}

fn command_config(
    config: Config,
    keys: Vec<OperatorKey>,
    s3: SocketAddr,
    actor: String,
) -> Result<CommandServiceConfig> {
    let run_dir = config.data_dir.join("run");
    // What a killed process left there is nobody's: this process holds the directory's lock.
    let _ = std::fs::remove_dir_all(&run_dir);
    let mut host = host_options(&config, run_dir)?;
    host.code_dir = Some(config.data_dir.join("code"));
    let spans = config.otlp.clone().map(Otlp::start).transpose()?;
    let shared = config.shares_log();
    Ok(CommandServiceConfig {
        gateway: GatewayConfig {
            buckets: config.buckets,
            keys,
            region: config.region,
            limits: config.gateway_limits,
            shared,
            created: config.created,
        },
        gateway_endpoint: format!("http://{s3}"),
        functions: config.functions,
        policies: config.policies,
        on_success: config.on_success,
        host,
        pipelines: config.pipelines,
        worklist_path: config.data_dir.join("worklist.json"),
        actor,
        host_name: host_name(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        loop_depth: config.loop_depth,
        lease: shared.then_some(config.worker_lease),
        grace: config.shutdown_grace,
        spans,
        code_rescan: config.code_rescan,
        log_retain: config.log_retain,
        intake: IntakeConfig {
            rejected: RejectedConfig {
                folder: Some(config.data_dir.join("rejected")),
                ..config.intake.config.rejected
            },
            ..config.intake.config
        },
        intake_limits: config.intake.http,
        queues: config.intake.queues,
        reconciles: config.reconciles,
        reconcile_limits: config.reconcile_limits,
    })
}

/// How functions are hosted: built-in ones by this program itself.
pub(crate) fn host_options(config: &Config, run_dir: PathBuf) -> Result<HostOptions> {
    let program = std::env::current_exe().context("the path of this program is not known")?;
    Ok(HostOptions {
        builtin_command: vec![program.clone().into(), FUNCTION_COMMAND.into()],
        launch_command: vec![program.into(), LAUNCH_COMMAND.into()],
        sandbox: config.sandbox,
        hidden: hidden(config),
        client_dirs: config.client_dirs.clone(),
        run_dir,
        remote_connect_timeout: config.remote_connect_timeout,
        max_package_bytes: config.max_package_bytes,
        log_bytes: config.log_bytes,
        log_lines: config.log_lines,
        ..HostOptions::default()
    })
}

/// What no function may read as a file: what the ledger keeps, and the buckets, which are read
/// through the gateway.
fn hidden(config: &Config) -> Vec<PathBuf> {
    let folders = config.buckets.values().filter_map(|bucket| match bucket {
        BucketConfig::Local(local) => Some(local.root.clone()),
        BucketConfig::Upstream(_) => None,
    });
    let mut hidden: Vec<PathBuf> = folders.collect();
    hidden.push(config.data_dir.clone());
    hidden.push(config.file.clone());
    if let LogUrl::Sqlite(path) = &config.store {
        hidden.push(path.clone());
    }
    if let BlobsAt::Folder(folder) = &config.blobs {
        hidden.push(folder.clone());
    }
    hidden.extend(config.secret_files.iter().cloned());
    hidden
}

fn host_name() -> String {
    std::fs::read_to_string("/etc/hostname")
        .map(|name| name.trim().to_owned())
        .unwrap_or_else(|_| "unknown".to_owned())
}

fn router(
    commanding: Option<&Commanding>,
    query: Option<Arc<QueryService>>,
    log: Arc<dyn EventLog>,
    listener: SocketAddr,
) -> Router {
    let ready = query.clone();
    let scraped = Scraped {
        log: log.clone(),
        host: commanding.map(|commanding| commanding.service.host().clone()),
        query: query.clone(),
    };
    let mut router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/metrics", get(move || telemetry::metrics(scraped.clone())))
        .route(
            "/readyz",
            get(move || async move {
                match is_ready(ready.as_deref(), &*log).await {
                    Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
                    Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
                }
            }),
        );
    if let Some(commanding) = commanding {
        router = router.merge(commanding.service.router());
    }
    if let Some(query) = query {
        router = router.merge(query.router());
    }
    router.layer(axum::middleware::from_fn_with_state(listener, guard::check))
}

/// Whether the log answers and the read models, where there are any, are not far behind it.
async fn is_ready(query: Option<&QueryService>, log: &dyn EventLog) -> Result<(), String> {
    match query {
        Some(query) => query.ready().await,
        None => log
            .head()
            .await
            .map(|_| ())
            .map_err(|error| error.to_string()),
    }
}

async fn log_end(part: &str, future: impl Future<Output = std::io::Result<()>>) {
    if let Err(error) = future.await {
        tracing::error!(%error, "{part} ended");
    }
}
