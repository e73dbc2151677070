//! A gateway with two buckets in a temporary folder, and the ledger that it records in.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use daybook_domain::BucketName;
use daybook_domain::stored_object::{ObjectCommand, RecordCreated};
use daybook_s3_gateway::{
    AttemptId, BucketConfig, Fate, Gateway, GatewayConfig, LedgerError, Limits, LocalBucket,
    ObjectLedger, OperatorKey,
};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::client::Client;

pub struct World {
    pub folder: TempDir,
    pub ledger: Arc<MemoryLedger>,
    pub gateway: Arc<Gateway>,
    pub client: Client,
    pub shutdown: CancellationToken,
    served: JoinHandle<()>,
    limits: Limits,
    retain: Duration,
}

/// A world whose gateway has ended.
pub struct Stopped {
    folder: TempDir,
    ledger: Arc<MemoryLedger>,
    limits: Limits,
    retain: Duration,
}

/// One gateway that serves the buckets of a folder.
pub struct Serving {
    pub gateway: Arc<Gateway>,
    pub client: Client,
    pub shutdown: CancellationToken,
    pub served: JoinHandle<()>,
}

/// The configuration of a gateway over the buckets of a folder.
pub fn config(folder: &Path, limits: Limits, retain: Duration, shared: bool) -> GatewayConfig {
    let mut buckets = BTreeMap::new();
    for name in ["inbox", "results"] {
        let root = folder.join("buckets").join(name);
        buckets.insert(
            BucketName::parse(name).unwrap(),
            BucketConfig::Local(LocalBucket { root, retain }),
        );
    }
    let key = OperatorKey {
        name: "tests".to_owned(),
        access_key: "tests".to_owned(),
        secret_key: "a-secret".to_owned(),
        read: vec!["*".to_owned()],
        write: vec!["*".to_owned()],
    };
    GatewayConfig {
        buckets,
        keys: vec![key],
        region: "us-east-1".to_owned(),
        limits,
        shared,
        created: None,
    }
}

/// Opens a gateway and serves it on a free port.
pub async fn serve(config: GatewayConfig, ledger: &Arc<MemoryLedger>) -> Serving {
    serve_at(config, ledger, SocketAddr::from(([127, 0, 0, 1], 0))).await
}

async fn serve_at(
    config: GatewayConfig,
    ledger: &Arc<MemoryLedger>,
    address: SocketAddr,
) -> Serving {
    let gateway = Gateway::open(config, Arc::clone(ledger) as Arc<dyn ObjectLedger>).unwrap();
    let listener = TcpListener::bind(address).await.unwrap();
    let client = Client {
        address: listener.local_addr().unwrap(),
        access_key: "tests".to_owned(),
        secret_key: "a-secret".to_owned(),
    };
    let shutdown = CancellationToken::new();
    let serving = Arc::clone(&gateway).serve(listener, shutdown.clone());
    let served = tokio::spawn(async move { serving.await.unwrap() });
    Serving {
        gateway,
        client,
        shutdown,
        served,
    }
}

impl World {
    pub async fn new() -> World {
        World::with(Limits::default(), Duration::from_secs(3600)).await
    }

    pub async fn with(limits: Limits, retain: Duration) -> World {
        let folder = TempDir::new().unwrap();
        World::start(folder, Arc::new(MemoryLedger::default()), limits, retain).await
    }

    async fn start(
        folder: TempDir,
        ledger: Arc<MemoryLedger>,
        limits: Limits,
        retain: Duration,
    ) -> World {
        let stopped = Stopped {
            folder,
            ledger,
            limits,
            retain,
        };
        stopped
            .start_at(SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
    }

    /// Opens the same folders anew, with whatever was planted in them meanwhile.
    pub async fn reopen(self) -> World {
        self.shutdown.cancel();
        self.served.await.unwrap();
        // It has the folders to itself until it is gone.
        drop(self.gateway);
        World::start(self.folder, self.ledger, self.limits, self.retain).await
    }

    /// Ends it; the folders stay.
    pub async fn stop(self) -> Stopped {
        self.shutdown.cancel();
        self.served.await.unwrap();
        Stopped {
            folder: self.folder,
            ledger: self.ledger,
            limits: self.limits,
            retain: self.retain,
        }
    }

    pub fn path(&self, bucket: &str, relative: &str) -> PathBuf {
        self.folder
            .path()
            .join("buckets")
            .join(bucket)
            .join(relative)
    }

    /// The bodies that are being taken in or were left behind.
    pub fn temporaries(&self, bucket: &str) -> Vec<PathBuf> {
        let processes = self.own_files(bucket, "tmp").into_iter();
        let below = |process| std::fs::read_dir(self.path(bucket, ".daybook/tmp").join(process));
        let files = processes.flat_map(|process| below(process).unwrap());
        files.map(|entry| entry.unwrap().path()).collect()
    }

    /// The files in one of the gateway's own folders, by name.
    pub fn own_files(&self, bucket: &str, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(bucket, ".daybook").join(folder)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }
}

impl Stopped {
    /// Serves the folders again.
    pub async fn start_at(self, address: SocketAddr) -> World {
        let Stopped {
            folder,
            ledger,
            limits,
            retain,
        } = self;
        let config = config(folder.path(), limits.clone(), retain, false);
        let serving = serve_at(config, &ledger, address).await;
        World {
            folder,
            ledger,
            gateway: serving.gateway,
            client: serving.client,
            shutdown: serving.shutdown,
            served: serving.served,
            limits,
            retain,
        }
    }
}

/// Keeps what it is told; can be made to fail.
pub struct MemoryLedger {
    commands: Mutex<Vec<ObjectCommand>>,
    fates: Mutex<HashMap<AttemptId, Fate>>,
    failing: AtomicBool,
    removes: Mutex<Option<PathBuf>>,
    count: watch::Sender<usize>,
}

impl Default for MemoryLedger {
    fn default() -> Self {
        Self {
            commands: Mutex::default(),
            fates: Mutex::default(),
            failing: AtomicBool::new(false),
            removes: Mutex::default(),
            count: watch::channel(0).0,
        }
    }
}

#[async_trait]
impl ObjectLedger for MemoryLedger {
    async fn record(&self, command: ObjectCommand) -> Result<(), LedgerError> {
        if self.failing.load(Ordering::SeqCst) {
            return Err(LedgerError::Unavailable("told to fail".into()));
        }
        if let Some(path) = self.removes.lock().unwrap().take() {
            std::fs::remove_file(path).unwrap();
        }
        let mut commands = self.commands.lock().unwrap();
        commands.push(command);
        self.count.send_replace(commands.len());
        Ok(())
    }

    async fn fate(&self, attempt: AttemptId) -> Result<Fate, LedgerError> {
        let fates = self.fates.lock().unwrap();
        Ok(fates.get(&attempt).copied().unwrap_or(Fate::Open))
    }
}

impl MemoryLedger {
    pub fn fail(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }

    /// Removes a file while it is told the next command.
    pub fn remove_when_told(&self, path: PathBuf) {
        *self.removes.lock().unwrap() = Some(path);
    }

    pub fn decide(&self, attempt: AttemptId, fate: Fate) {
        self.fates.lock().unwrap().insert(attempt, fate);
    }

    pub fn commands(&self) -> Vec<ObjectCommand> {
        self.commands.lock().unwrap().clone()
    }

    pub fn created(&self) -> Vec<RecordCreated> {
        let created = |command| match command {
            ObjectCommand::RecordCreated(created) => Some(created),
            _ => None,
        };
        self.commands().into_iter().filter_map(created).collect()
    }

    /// Waits until so many commands were recorded.
    pub async fn until(&self, count: usize) {
        let mut seen = self.count.subscribe();
        let reached = seen.wait_for(|seen| *seen >= count);
        tokio::time::timeout(Duration::from_secs(30), reached)
            .await
            .expect("recorded in time")
            .unwrap();
    }
}
