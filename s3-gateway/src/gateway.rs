//! The gateway as the floor above sees it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use daybook_domain::{BucketName, ObjectKey};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::buckets::{Backend, Buckets};
use crate::clock;
use crate::config::{BucketConfig, CreatedBuckets, GatewayConfig, Limits};
use crate::grants::Grants;
use crate::ledger::ObjectLedger;
use crate::local::file_lock::FolderLock;
use crate::local::journal::JournalLimits;
use crate::local::scan::{self, ScanReport};
use crate::local::store::{Bucket, Sharing, blocking};
use crate::made::MadeBuckets;
use crate::upstream::Upstream;
use crate::{server, watch};

/// The S3 endpoint and its buckets.
pub struct Gateway {
    pub(crate) buckets: Buckets,
    pub(crate) grants: Arc<Grants>,
    pub(crate) region: String,
    pub(crate) limits: Limits,
    /// Where buckets are made over the API, if they may be.
    pub(crate) made: Option<MadeBuckets>,
    pub(crate) ledger: Arc<dyn ObjectLedger>,
    /// Set once the buckets' journals have been redone.
    redone: OnceCell<()>,
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
    /// Another process serves the bucket's folder, and not both of them share it. The operator has
    /// to end one, or to share it by both.
    #[error("another process uses the folder {} of bucket {bucket}", root.display())]
    InUse {
        /// The bucket.
        bucket: BucketName,
        /// Its folder.
        root: PathBuf,
    },
    /// Two buckets use the same folder, or one lies within the other. The configuration has to be
    /// changed.
    #[error("buckets {0} and {1} share a folder")]
    SharedFolder(BucketName, BucketName),
    /// The folder of the buckets that are made over the API cannot be created or read. The
    /// operator has to look at it.
    #[error("the folder of the buckets that are made over the API cannot be used")]
    Created {
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A bucket was made over the API, and the configuration names one too. Rename the one in the
    /// configuration, or move the folder away.
    #[error("bucket {bucket} is configured, and was made over the API as well: {}", root.display())]
    ConfiguredTwice {
        /// The bucket.
        bucket: BucketName,
        /// The folder of the one that was made.
        root: PathBuf,
    },
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
    /// [`Gateway::rescan`], once the ledger can take it. Several gateways may use a folder if all
    /// of them say so (`shared`); each of them may end at any moment.
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
        let mut buckets: Vec<Arc<Bucket>> = Vec::new();
        let mut upstream = Vec::new();
        for (name, bucket) in config.buckets {
            let local = match bucket {
                BucketConfig::Local(local) => local,
                BucketConfig::Upstream(bucket) => {
                    let limits = config.limits.clone();
                    let ledger = Arc::clone(&ledger);
                    let bucket = Upstream::new(name, bucket, limits, ledger);
                    upstream.push(Backend::Upstream(Arc::new(bucket)));
                    continue;
                }
            };
            let folder = |source| folder_error(&name, &local.root, source);
            scan::prepare(&local.root).map_err(folder)?;
            let root = local.root.canonicalize().map_err(folder)?;
            let shared = buckets
                .iter()
                .find(|other| root.starts_with(&other.root) || other.root.starts_with(&root));
            if let Some(other) = shared {
                return Err(OpenError::SharedFolder(other.name.clone(), name));
            }
            let sharing = config.shared.then_some(Sharing {
                patience: config.limits.lock_wait,
            });
            let opened = open_bucket(&name, &root, local.retain, &ledger, &config.limits, sharing);
            buckets.push(opened?);
        }
        let made = match &config.created {
            Some(created) => Some(open_made(created)?),
            None => None,
        };
        let gateway = Arc::new(Self {
            buckets: Buckets::new(buckets.into_iter().map(Backend::Local).chain(upstream)),
            grants: Arc::new(Grants::new(config.keys, config.limits.max_staged)),
            region: config.region,
            limits: config.limits,
            made,
            ledger,
            redone: OnceCell::new(),
        });
        if let Some(made) = &gateway.made {
            let made_buckets = made
                .list()
                .map_err(|source| OpenError::Created { source })?;
            for (name, owner) in made_buckets {
                if gateway.buckets.get(&name).is_some() {
                    let root = made.path(&name);
                    return Err(OpenError::ConfiguredTwice { bucket: name, root });
                }
                let bucket = gateway.open_made(made, &name)?;
                gateway.buckets.add_made(bucket, owner);
            }
        }
        Ok(gateway)
    }

    /// Opens the folder of a bucket that was made over the API. Blocks on the disk.
    pub(crate) fn open_made(
        &self,
        made: &MadeBuckets,
        name: &BucketName,
    ) -> Result<Arc<Bucket>, OpenError> {
        let root = made.path(name);
        scan::prepare(&root).map_err(|source| folder_error(name, &root, source))?;
        // The data directory is one process's own, and so are these.
        open_bucket(name, &root, made.retain, &self.ledger, &self.limits, None)
    }

    /// Makes good what a power failure kept from the disk, once, with what the ledger knows of it.
    /// Before that nothing is served or listed: torn objects would be taken for files from outside.
    async fn ready(&self) -> Result<(), ScanError> {
        let redo = || async {
            for bucket in self.buckets.local() {
                bucket.redo().await.map_err(|source| ScanError {
                    bucket: bucket.name.clone(),
                    source: source.into(),
                })?;
            }
            Ok(())
        };
        self.redone.get_or_try_init(redo).await.map(|_| ())
    }

    /// Brings to the disk what is in the buckets' journals, which end with that.
    async fn close_journals(&self) {
        for bucket in self.buckets.local() {
            let closed = blocking(move || {
                bucket.journal.close();
                Ok(())
            });
            if let Err(error) = closed.await {
                tracing::warn!(%error, "a journal could not be closed");
            }
        }
    }

    /// Serves until `shutdown`, then lets the requests in flight finish, and brings to the disk what
    /// is in the buckets' journals. To bound that, drop the future: commits that have begun still
    /// run to their end.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> io::Result<()> {
        self.ready().await.map_err(io::Error::other)?;
        let served = server::serve(Arc::clone(&self), listener, shutdown).await;
        self.close_journals().await;
        served
    }

    /// Waits until nobody writes to a key of another store's bucket through this gateway. A store
    /// tells of a write as soon as it has the object; then the ledger has the gateway's word of it.
    pub async fn quiet(&self, bucket: &BucketName, key: &ObjectKey) {
        if let Some(Backend::Upstream(bucket)) = self.buckets.get(bucket) {
            bucket.quiet(key).await;
        }
    }

    /// The keys of function processes.
    pub fn grants(&self) -> Arc<Grants> {
        Arc::clone(&self.grants)
    }

    /// Lists all buckets and has everything recorded that is not marked as recorded: writes whose
    /// answer a crash prevented, files from outside, and removals of files by hand.
    ///
    /// Other processes may write meanwhile: what one of them is recording at this moment is waited
    /// for a little, and found recorded.
    pub async fn rescan(&self) -> Result<ScanReport, ScanError> {
        self.ready().await?;
        let mut report = ScanReport::default();
        for bucket in self.buckets.local() {
            report.add(self.rescan_bucket(&bucket).await?);
            self.discard_decided(&bucket).await;
        }
        Ok(report)
    }

    pub(crate) async fn rescan_bucket(
        &self,
        bucket: &Arc<Bucket>,
    ) -> Result<ScanReport, ScanError> {
        let scanned = bucket.rescan(self.limits.settle_after).await;
        scanned.map_err(|source| ScanError {
            bucket: bucket.name.clone(),
            source: source.into(),
        })
    }

    /// Watches the folders for what comes from outside, lists them now and then for what the
    /// watcher missed, and sweeps old versions, until `shutdown`. Of the processes that share a
    /// folder one does so at a time; if it ends, another takes over and first has everything
    /// recorded that was left.
    pub async fn watch(self: Arc<Self>, shutdown: CancellationToken) {
        while let Err(error) = self.ready().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the folders cannot be watched yet"
            );
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(self.limits.lead_every) => {}
            }
        }
        watch::run(self, shutdown).await;
    }

    /// Removes what dead processes left in a bucket.
    pub(crate) async fn recover(&self, bucket: &Arc<Bucket>) {
        let this = Arc::clone(bucket);
        if let Err(error) = blocking(move || Ok(this.recover()?)).await {
            tracing::warn!(bucket = %bucket.name, %error, "what a dead process left could not be removed");
        }
    }

    /// Removes what is past its time in a bucket.
    pub(crate) async fn sweep(&self, bucket: &Arc<Bucket>) {
        let (this, upload_retain) = (Arc::clone(bucket), self.limits.upload_retain);
        let swept = blocking(move || Ok(this.sweep(clock::now(), upload_retain)?));
        match swept.await {
            Ok(swept) => tracing::debug!(bucket = %bucket.name, swept, "swept old versions"),
            Err(error) => {
                tracing::warn!(bucket = %bucket.name, %error, "old versions could not be swept")
            }
        }
    }
}

fn open_bucket(
    name: &BucketName,
    root: &Path,
    retain: Duration,
    ledger: &Arc<dyn ObjectLedger>,
    limits: &Limits,
    sharing: Option<Sharing>,
) -> Result<Arc<Bucket>, OpenError> {
    let folder = |source| folder_error(name, root, source);
    let lock = FolderLock::open(root, sharing.is_some()).map_err(|error| {
        if error.kind() == io::ErrorKind::WouldBlock {
            let (bucket, root) = (name.clone(), root.to_owned());
            return OpenError::InUse { bucket, root };
        }
        folder(error)
    })?;
    let ledger = Arc::clone(ledger);
    let (name, root) = (name.clone(), root.to_owned());
    let journal = JournalLimits::of(limits);
    let bucket = Bucket::new(name, root, retain, ledger, lock, sharing, journal).map_err(folder)?;
    bucket.prepare_index().map_err(folder)?;
    bucket.recover().map_err(folder)?;
    bucket
        .sweep(clock::now(), limits.upload_retain)
        .map_err(folder)?;
    Ok(Arc::new(bucket))
}

fn open_made(created: &CreatedBuckets) -> Result<MadeBuckets, OpenError> {
    MadeBuckets::open(&created.root, created.retain).map_err(|source| OpenError::Created { source })
}

fn folder_error(bucket: &BucketName, root: &Path, source: io::Error) -> OpenError {
    OpenError::Folder {
        bucket: bucket.clone(),
        root: root.to_owned(),
        source,
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").finish_non_exhaustive()
    }
}
