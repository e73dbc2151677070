//! The lives of this process as a worker: it joins, works, and leaves; and where the others took it
//! for gone meanwhile, it begins anew under another id.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use daybook_domain::function::Function;
use daybook_domain::worker::{Worker, WorkerCommand, WorkerError, stream_of};
use daybook_domain::{CommandId, FunctionName, WorkerId};
use daybook_functions::FunctionHost;
use daybook_s3_gateway::Gateway;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock;
use crate::commands::{CommandError, Ledger, Origin};
use crate::conductor::{Claims, Conductor, ConductorConfig, Ended, Fence, Lease, Stop};
use crate::gateway::Stories;
use crate::reconcile::{LiveReconciles, ReconcileLimits};
use crate::room::Room;
use crate::spans::Tracer;
use crate::worklist::Worklist;

/// How long to wait before joining is tried again.
const JOIN_PAUSE: Duration = Duration::from_secs(1);

/// Why the lives of a worker cannot go on.
#[derive(Debug, Error)]
pub(crate) enum LifeError {
    /// The log cannot be followed.
    #[error(transparent)]
    Stop(#[from] Stop),
    /// The ledger refuses it.
    #[error("this process could not join as a worker")]
    Join(#[source] CommandError<WorkerError>),
}

/// What stays the same from one life to the next.
pub(crate) struct Lives {
    pub ledger: Ledger,
    pub gateway: Arc<Gateway>,
    pub host: Arc<FunctionHost>,
    pub claims: Arc<Claims>,
    pub fence: Fence,
    /// How long its word counts; `None` where it is alone.
    pub lease: Option<Duration>,
    pub region: String,
    pub loop_depth: u32,
    pub stories: Stories,
    pub room: Room,
    /// How far the reconciles are that run here.
    pub live: LiveReconciles,
    pub reconcile_limits: ReconcileLimits,
    pub checkpoint: PathBuf,
    pub host_name: String,
    pub version: String,
    /// The functions that run here, each with the SHA-256 of its package.
    pub offered: watch::Receiver<BTreeMap<FunctionName, String>>,
    /// Where the functions go as the log has them.
    pub known: watch::Sender<BTreeMap<FunctionName, Function>>,
    /// Keeps the id of the newest life, so that the next start can say that it is over.
    pub last_words: PathBuf,
    pub tracer: Option<Tracer>,
}

impl Lives {
    /// Begins a life under this id.
    async fn join(&self, worker: WorkerId) -> Result<Lease, CommandError<WorkerError>> {
        let join = WorkerCommand::Join {
            worker,
            host: self.host_name.clone(),
            version: self.version.clone(),
            lease_ms: self
                .lease
                .map(|lease| u64::try_from(lease.as_millis()).unwrap_or(u64::MAX)),
            functions: self.offered.borrow().clone(),
        };
        // The others count from when they see it, which is later.
        let sent = Instant::now();
        self.command(worker, worker, join).await?;
        tracing::info!(%worker, "joined as a worker");
        Ok(Lease::begin(self.lease, sent, self.fence.clone()))
    }

    /// Says that those are gone who cannot be there any more. Where the log has one process at a
    /// time, that is everybody; where it is shared, the life that had this data directory before,
    /// and whoever has no lease: a log that was copied here brings such.
    async fn declare_gone(
        &self,
        worklist: &Worklist,
        successor: WorkerId,
    ) -> Result<(), CommandError<WorkerError>> {
        let before = tokio::fs::read_to_string(&self.last_words).await;
        let before: Option<WorkerId> = before.ok().and_then(|id| id.trim().parse().ok());
        let gone = worklist.workers.iter().filter(|(worker, live)| {
            self.lease.is_none() || live.lease_ms.is_none() || before == Some(**worker)
        });
        for (gone, _) in gone {
            let why = "its process ended without a word".to_owned();
            let leave = WorkerCommand::Leave { worker: *gone, why };
            self.command(*gone, successor, leave).await?;
        }
        // Written before joining; without it the others find out by its lease.
        if let Err(error) = tokio::fs::write(&self.last_words, successor.to_string()).await {
            tracing::warn!(%error, "the id of this worker could not be kept");
        }
        Ok(())
    }

    /// Works life after life until the shutdown, and leaves.
    pub(crate) async fn run(
        self,
        mut worklist: Worklist,
        shutdown: CancellationToken,
    ) -> Result<(), LifeError> {
        loop {
            let worker = WorkerId(clock::random_id());
            let lease = self.begin(&worklist, worker, &shutdown).await?;
            let conductor = Conductor::new(ConductorConfig {
                ledger: self.ledger.clone(),
                gateway: self.gateway.clone(),
                host: self.host.clone(),
                worker,
                lease,
                claims: self.claims.clone(),
                region: self.region.clone(),
                loop_depth: self.loop_depth,
                stories: self.stories.clone(),
                room: self.room.clone(),
                live: self.live.clone(),
                reconcile_limits: self.reconcile_limits,
                tracer: self.tracer.clone(),
                checkpoint: self.checkpoint.clone(),
                worklist,
                offered: self.offered.clone(),
                known: self.known.clone(),
            });
            match conductor.run(shutdown.clone()).await {
                Ok(Ended::ByLapse(left)) => worklist = *left,
                Ok(Ended::ByShutdown) => {
                    self.leave(worker, "stopped").await;
                    return Ok(());
                }
                Err(stop) => {
                    self.leave(worker, "it cannot go on").await;
                    return Err(stop.into());
                }
            }
        }
    }

    /// Joins, and tries again under the same id while the ledger cannot take it.
    async fn begin(
        &self,
        worklist: &Worklist,
        worker: WorkerId,
        shutdown: &CancellationToken,
    ) -> Result<Lease, LifeError> {
        loop {
            let begun = match self.declare_gone(worklist, worker).await {
                Ok(()) => self.join(worker).await,
                Err(error) => Err(error),
            };
            match begun {
                Ok(lease) => return Ok(lease),
                Err(error @ (CommandError::Unavailable(_) | CommandError::Contended(_)))
                    if !shutdown.is_cancelled() =>
                {
                    tracing::warn!(%error, "could not join as a worker; trying again");
                    tokio::time::sleep(JOIN_PAUSE).await;
                }
                Err(error) => return Err(LifeError::Join(error)),
            }
        }
    }

    async fn leave(&self, worker: WorkerId, why: &str) {
        let why = why.to_owned();
        let leave = WorkerCommand::Leave { worker, why };
        if let Err(error) = self.command(worker, worker, leave).await {
            tracing::warn!(%error, "leaving could not be recorded");
        }
    }

    async fn command(
        &self,
        worker: WorkerId,
        actor: WorkerId,
        command: WorkerCommand,
    ) -> Result<(), CommandError<WorkerError>> {
        let purpose: &[u8] = match command {
            WorkerCommand::Join { .. } => b"join",
            _ => b"leave",
        };
        let origin = Origin {
            command: CommandId(Uuid::new_v5(&worker.0, purpose)),
            correlation: worker.to_string(),
            causation: None,
            actor: format!("worker:{actor}"),
            traceparent: None,
        };
        self.ledger
            .execute::<Worker>(&stream_of(worker), command, &origin)
            .await
            .map(|_| ())
    }
}
