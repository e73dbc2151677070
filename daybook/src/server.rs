//! All services in one process: wiring only.
//!
//! ```text
//!  Config ─> event log, blobs ─> CommandService (gateway, function host) ─> S3 listener
//!                            └─> QueryService (read model, GraphQL) ─────> API listener
//! ```
//! Start: the log is opened (and locked) first, the gateway serves only after unacknowledged writes
//! were made good. Stop: no new work, running invocations finish while the gateway still serves
//! them, then the listeners close and the log last.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use daybook_command_service::{CommandService, CommandServiceConfig};
use daybook_event_store::EventLog;
use daybook_event_store::blobs::BlobStore;
use daybook_event_store::sqlite::{OpenError, SqliteEventLog, SqliteOptions};
use daybook_functions::HostOptions;
use daybook_query_service::{QueryConfig, QueryService};
use daybook_s3_gateway::{GatewayConfig, OperatorKey};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::usage::usage;
use crate::{guard, operator_key};

const S3: &str = "the S3 gateway";
const API: &str = "the API";

/// The hidden subcommand that runs a built-in function.
pub(crate) const FUNCTION_COMMAND: &str = "function";

/// What the listeners have beyond the grace to end by themselves.
const LISTENER_SLACK: Duration = Duration::from_secs(2);

/// A running server.
pub(crate) struct Server {
    /// Where the API listens.
    pub(crate) api: SocketAddr,
    /// Where the S3 gateway listens.
    pub(crate) s3: SocketAddr,
    /// An operator's key, for the demo and for messages.
    pub(crate) operator: OperatorKey,
    log: Arc<SqliteEventLog>,
    command: CommandService,
    serving: CancellationToken,
    /// How long requests in flight may still take once nothing new is served.
    grace: Duration,
    tasks: Vec<(&'static str, JoinHandle<()>)>,
}

impl Server {
    /// Starts everything. What is printed after it returned is true: both listeners serve.
    pub(crate) async fn start(
        config: Config,
        listen: SocketAddr,
        s3_listen: SocketAddr,
        actor: String,
    ) -> Result<Self> {
        let (api_listener, s3_listener) = (bind(listen).await?, bind(s3_listen).await?);
        let (api, s3) = (api_listener.local_addr()?, s3_listener.local_addr()?);
        let (data_dir, grace) = (config.data_dir.clone(), config.shutdown_grace);
        std::fs::create_dir_all(&data_dir)
            .with_context(|| format!("data directory {} cannot be made", data_dir.display()))?;
        let log = open_log(&data_dir)?;
        let blobs = open_blobs(&config.blobs)?;
        let mut keys = config.keys.clone();
        if keys.is_empty() {
            keys.push(operator_key::load_or_make(&data_dir)?);
        }
        let operator = keys[0].clone();
        let serving = CancellationToken::new();
        let query_config = QueryConfig::new(data_dir.join("read-model.sqlite"));
        let command = CommandService::start(
            log.clone(),
            blobs.clone(),
            command_config(config, keys, s3, actor)?,
        )
        .await?;
        let gateway = command.gateway().clone();
        let found = gateway
            .rescan()
            .await
            .context("the buckets cannot be listed")?;
        tracing::info!(?found, "buckets scanned");
        let event_log: Arc<dyn EventLog> = log.clone();
        let query = QueryService::start(event_log, blobs, query_config, serving.clone())
            .await
            .context("the query service does not start")?;
        let router = router(&command, query, api);
        let (s3_gateway, watcher) = (gateway.clone(), gateway);
        let s3_served = s3_gateway.serve(s3_listener, serving.clone());
        let api_served = axum::serve(api_listener, router)
            .with_graceful_shutdown(serving.clone().cancelled_owned())
            .into_future();
        let tasks = vec![
            (S3, tokio::spawn(log_end(S3, s3_served))),
            (
                "the watch on the folders",
                tokio::spawn(watcher.watch(serving.clone())),
            ),
            (API, tokio::spawn(log_end(API, api_served))),
        ];
        // Functions go to the gateway at once: only now is it there for them.
        let command = command.begin();
        Ok(Self {
            api,
            s3,
            operator,
            log,
            command,
            serving,
            grace,
            tasks,
        })
    }

    /// The log, for measurements.
    pub(crate) fn log(&self) -> Arc<SqliteEventLog> {
        self.log.clone()
    }

    /// Waits until a part ends that must not.
    pub(crate) async fn failed(&mut self) -> Box<dyn std::error::Error + Send + Sync> {
        tokio::select! {
            error = self.command.failed() => error,
            () = self.log.stopped() => {
                "the event log stopped, see above; a new start recovers it".into()
            }
        }
    }

    /// Ends in order; see the module's documentation.
    pub(crate) async fn stop(self) {
        self.command.stop().await;
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
        self.log.close().await;
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener> {
    if !address.ip().is_loopback() {
        usage!(
            "{address} is outside loopback, which needs authentication; this version has none for \
             the API, so listen on 127.0.0.1 and put a proxy that authenticates before it"
        );
    }
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{address} cannot be listened on; give another address"))
}

fn open_log(data_dir: &Path) -> Result<Arc<SqliteEventLog>> {
    match SqliteEventLog::open(&data_dir.join("log.sqlite"), SqliteOptions::default()) {
        Err(error @ OpenError::InUse { .. }) => Err(anyhow::Error::from(error).context(
            "a ledger has one server at a time; stop the other one, or give another --data-dir",
        )),
        opened => opened
            .with_context(|| format!("the event log in {} cannot be opened", data_dir.display())),
    }
}

fn open_blobs(path: &Path) -> Result<BlobStore> {
    let url = path
        .to_str()
        .with_context(|| format!("{} is not UTF-8", path.display()))?;
    BlobStore::open(url).with_context(|| format!("the blob store {url} cannot be opened"))
}

fn command_config(
    config: Config,
    keys: Vec<OperatorKey>,
    s3: SocketAddr,
    actor: String,
) -> Result<CommandServiceConfig> {
    let run_dir = config.data_dir.join("run");
    // What a killed process left there is nobody's: this process holds the lock of the log.
    let _ = std::fs::remove_dir_all(&run_dir);
    let host = host_options(&config, run_dir)?;
    Ok(CommandServiceConfig {
        gateway: GatewayConfig {
            buckets: config.buckets,
            keys,
            region: config.region,
            limits: config.gateway_limits,
            shared: false,
        },
        gateway_endpoint: format!("http://{s3}"),
        functions: config.functions,
        policies: config.policies,
        host,
        pipelines: config.pipelines,
        worklist_path: config.data_dir.join("worklist.json"),
        actor,
        host_name: host_name(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        exclusive: true,
        grace: config.shutdown_grace,
    })
}

/// How functions are hosted: built-in ones by this program itself.
pub(crate) fn host_options(config: &Config, run_dir: PathBuf) -> Result<HostOptions> {
    let program = std::env::current_exe().context("the path of this program is not known")?;
    Ok(HostOptions {
        builtin_command: vec![program.into(), FUNCTION_COMMAND.into()],
        client_dirs: config.client_dirs.clone(),
        run_dir,
        ..HostOptions::default()
    })
}

fn host_name() -> String {
    std::fs::read_to_string("/etc/hostname")
        .map(|name| name.trim().to_owned())
        .unwrap_or_else(|_| "unknown".to_owned())
}

fn router(command: &CommandService, query: Arc<QueryService>, listener: SocketAddr) -> Router {
    let ready = query.clone();
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route(
            "/readyz",
            get(move || async move {
                match ready.ready().await {
                    Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
                    Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
                }
            }),
        )
        .merge(command.router())
        .merge(query.router())
        .layer(axum::middleware::from_fn_with_state(listener, guard::check))
}

async fn log_end(part: &str, future: impl Future<Output = std::io::Result<()>>) {
    if let Err(error) = future.await {
        tracing::error!(%error, "{part} ended");
    }
}
