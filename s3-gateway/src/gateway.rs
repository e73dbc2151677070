//! The gateway as the floor above sees it.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use daybook_domain::BucketName;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::config::{GatewayConfig, Limits};
use crate::grants::Grants;
use crate::ledger::ObjectLedger;
use crate::local::scan::{self, ScanReport};
use crate::local::store::{Bucket, blocking};
use crate::{server, watch};

/// The S3 endpoint and its buckets.
pub struct Gateway {
    pub(crate) buckets: BTreeMap<BucketName, Arc<Bucket>>,
    pub(crate) grants: Arc<Grants>,
    pub(crate) region: String,
    pub(crate) limits: Limits,
}

/// Why a gateway cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// A bucket's folder cannot be created or read. The operator has to look at it.
    #[error("bucket {bucket} cannot use its folder {}", root.display())]
    Folder {
        /// The bucket.
        bucket: BucketName,
        /// Its folder.
        root: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Two buckets use the same folder, or one lies within the other. The configuration has to be
    /// changed.
    #[error("buckets {0} and {1} share a folder")]
    SharedFolder(BucketName, BucketName),
    /// Two keys have the same access key id. The configuration has to be changed.
    #[error("the access key {0} is given twice")]
    DuplicateKey(String),
}

/// Why a bucket could not be listed. Trying again later is safe.
#[derive(Debug, Error)]
#[error("bucket {bucket} cannot be listed")]
pub struct ScanError {
    /// The bucket.
    bucket: BucketName,
    /// What went wrong.
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl Gateway {
    /// Creates the buckets' folders where they are missing and brings them in order after
    /// whatever end the last run took. Blocks on the disk. Nothing is recorded yet: that is for
    /// [`Gateway::rescan`], once the ledger can take it. Only one gateway may use a folder.
    pub fn open(
        config: GatewayConfig,
        ledger: Arc<dyn ObjectLedger>,
    ) -> Result<Arc<Self>, OpenError> {
        let mut access_keys = std::collections::HashSet::new();
        for key in &config.keys {
            if !access_keys.insert(key.access_key.clone()) {
                return Err(OpenError::DuplicateKey(key.access_key.clone()));
            }
        }
        let mut buckets = BTreeMap::new();
        for (name, local) in config.buckets {
            let folder = |source| OpenError::Folder {
                bucket: name.clone(),
                root: local.root.clone(),
                source,
            };
            scan::prepare(&local.root).map_err(folder)?;
            let root = local.root.canonicalize().map_err(folder)?;
            let shared = buckets.values().find(|other: &&Arc<Bucket>| {
                root.starts_with(&other.root) || other.root.starts_with(&root)
            });
            if let Some(other) = shared {
                return Err(OpenError::SharedFolder(other.name.clone(), name));
            }
            let bucket = Bucket::new(name.clone(), root, local.retain, Arc::clone(&ledger))
                .map_err(folder)?;
            let now = clock::now();
            bucket
                .recover(now, config.limits.upload_retain)
                .map_err(folder)?;
            bucket.sweep_versions(now).map_err(folder)?;
            buckets.insert(name, Arc::new(bucket));
        }
        Ok(Arc::new(Self {
            buckets,
            grants: Arc::new(Grants::new(config.keys)),
            region: config.region,
            limits: config.limits,
        }))
    }

    /// Serves until `shutdown`, then lets the requests in flight finish. To bound that, drop the
    /// future: commits that have begun still run to their end.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> io::Result<()> {
        server::serve(self, listener, shutdown).await
    }

    /// The keys of function processes.
    pub fn grants(&self) -> Arc<Grants> {
        Arc::clone(&self.grants)
    }

    /// Lists all buckets and has everything recorded that is not marked as recorded: writes whose
    /// answer a crash prevented, and files from outside. Files removed by hand are not noticed.
    pub async fn rescan(&self) -> Result<ScanReport, ScanError> {
        let mut report = ScanReport::default();
        for bucket in self.buckets.values() {
            let scanned = bucket.rescan(self.limits.settle_after).await;
            report.add(scanned.map_err(|source| ScanError {
                bucket: bucket.name.clone(),
                source: source.into(),
            })?);
        }
        Ok(report)
    }

    /// Watches the folders for what comes from outside, lists them now and then for what the
    /// watcher missed, and sweeps old versions, until `shutdown`.
    pub async fn watch(self: Arc<Self>, shutdown: CancellationToken) {
        watch::run(self, shutdown).await;
    }

    pub(crate) async fn sweep(&self) {
        for bucket in self.buckets.values() {
            let this = Arc::clone(bucket);
            let swept = blocking(move || Ok(this.sweep_versions(clock::now())?)).await;
            match swept {
                Ok(swept) => tracing::debug!(bucket = %bucket.name, swept, "swept old versions"),
                Err(error) => {
                    tracing::warn!(bucket = %bucket.name, %error, "old versions could not be swept")
                }
            }
        }
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway")
            .field("buckets", &self.buckets.keys())
            .finish_non_exhaustive()
    }
}
