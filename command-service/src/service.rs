//! The command service as a whole: what it is started with, and how it comes to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use daybook_domain::{BucketName, FunctionName};
use daybook_event_store::blobs::BlobStore;
use daybook_event_store::{EventLog, ReadError};
use daybook_functions::{FunctionHost, FunctionSpec, HostOptions};
use daybook_s3_gateway::{Gateway, GatewayConfig, ObjectLedger, Policy};
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::commands::Ledger;
use crate::conductor::Claims;
use crate::gateway::{GatewayStorage, RecordedObjects, Stories};
use crate::http::{self, notifications::HttpLimits};
use crate::intake::sqs::{Pullers, Queues, SqsQueue};
use crate::intake::{Intake, IntakeConfig, SnsOverHttps};
use crate::lives::{LifeError, Lives};
use crate::publish::{PipelineConfig, PublishError, publish};
use crate::reconcile::{
    Filters, LiveReconciles, ReconcileLimits, ReconcileSchedule, keep_schedule,
};
use crate::retention::LogRetention;
use crate::revisions::{Rejections, Revisions};
use crate::room::Room;
use crate::spans::{SpanSink, Tracer};
use crate::worklist::Worklist;

/// How many events are read at once while catching up.
const CATCH_UP_PAGE: usize = 2_000;

/// How much longer than the grace of the running invocations the end may take.
const STOP_SLACK: Duration = Duration::from_secs(10);

/// How long a connection to Amazon SNS may take.
const SNS_CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// What a command service is started with.
pub struct CommandServiceConfig {
    /// The gateway's buckets, keys and limits.
    pub gateway: GatewayConfig,
    /// The address under which function processes reach the gateway, by IP.
    pub gateway_endpoint: String,
    /// The functions.
    pub functions: Vec<FunctionSpec>,
    /// What each function may touch through the gateway.
    pub policies: BTreeMap<FunctionName, Policy>,
    /// The functions whose outputs become visible when their attempt succeeds; those of the others
    /// do with each write.
    pub on_success: BTreeSet<FunctionName>,
    /// The function host.
    pub host: HostOptions,
    /// The pipelines.
    pub pipelines: Vec<PipelineConfig>,
    /// Where the worklist keeps its checkpoint.
    pub worklist_path: PathBuf,
    /// Who publishes the config.
    pub actor: String,
    /// The machine's name.
    pub host_name: String,
    /// The program's version.
    pub version: String,
    /// How long this worker's word counts for the others on the log. `None` where it is alone on
    /// it: then every other worker is known to be gone.
    pub lease: Option<Duration>,
    /// How often a pipeline may run on what it wrote itself before that counts as a loop.
    pub loop_depth: u32,
    /// How long running invocations have to finish at the end.
    pub grace: Duration,
    /// Where the spans of traces go, if somebody wants them.
    pub spans: Option<Arc<dyn SpanSink>>,
    /// How often the folders with code are looked at for changes.
    pub code_rescan: Duration,
    /// How long the big logs of attempts are kept.
    pub log_retain: Duration,
    /// What other stores tell.
    pub intake: IntakeConfig,
    /// The bounds of what they send over HTTP.
    pub intake_limits: HttpLimits,
    /// The queues that it is pulled from.
    pub queues: Vec<SqsQueue>,
    /// The buckets that are reconciled again and again.
    pub reconciles: BTreeMap<BucketName, ReconcileSchedule>,
    /// The bounds of reconciles.
    pub reconcile_limits: ReconcileLimits,
}

/// Why a command service does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The gateway cannot open its buckets. Do what the message says.
    #[error("the S3 gateway does not start")]
    Gateway(#[source] daybook_s3_gateway::OpenError),
    /// The config cannot be made known. Do what the message says.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The intake cannot keep what it rejects. See to the data directory.
    #[error("the intake of notifications does not start")]
    Intake(#[source] std::io::Error),
    /// A queue cannot be pulled from. Do what the message says.
    #[error("{0}")]
    Queue(String),
    /// The log cannot be read. See to it.
    #[error("the event log cannot be read")]
    Log(#[from] ReadError),
    /// The log holds what this version cannot read. Use a newer version.
    #[error("the event log cannot be followed")]
    Fold(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A running command service.
pub struct CommandService {
    ledger: Ledger,
    gateway: Arc<Gateway>,
    host: Arc<FunctionHost>,
    claims: Arc<Claims>,
    grace: Duration,
    shutdown: CancellationToken,
    room: Room,
    rejections: Rejections,
    intake: Intake,
    intake_limits: HttpLimits,
    queues: Queues,
    pullers: Pullers,
    live: LiveReconciles,
    schedules: BTreeMap<BucketName, ReconcileSchedule>,
    filters: Filters,
    work: Work,
}

/// The work, before and after it began.
enum Work {
    Waiting(Box<(Lives, Worklist, Revisions, LogRetention)>),
    Begun(JoinHandle<Result<(), LifeError>>),
}

impl CommandService {
    /// Catches up with the log and makes the config known. It joins as a worker with
    /// [`CommandService::begin`], and nothing runs before. Writes that had not been acknowledged
    /// are made good by the gateway's own scan, see [`Gateway::rescan`].
    pub async fn start(
        log: Arc<dyn EventLog>,
        blobs: BlobStore,
        config: CommandServiceConfig,
    ) -> Result<Self, StartError> {
        let ledger = Ledger::new(log, blobs, config.lease.is_some());
        let pullers = Pullers::new(config.queues).map_err(StartError::Queue)?;
        let stories = Stories::default();
        let objects: Arc<dyn ObjectLedger> = Arc::new(RecordedObjects {
            ledger: ledger.clone(),
            stories: stories.clone(),
        });
        let region = config.gateway.region.clone();
        let gateway = Gateway::open(config.gateway, objects).map_err(StartError::Gateway)?;
        let sns = Arc::new(SnsOverHttps::new(SNS_CONNECT_TIMEOUT));
        let filters = Filters::of(&config.intake.buckets);
        let intake = Intake::beside(gateway.clone(), ledger.clone(), sns, config.intake);
        let intake = intake.map_err(StartError::Intake)?;
        let storage = Arc::new(GatewayStorage::new(
            gateway.grants(),
            config.gateway_endpoint,
            region.clone(),
            config.policies,
            config.on_success,
        ));
        let host = FunctionHost::new(storage, config.host);
        let mut worklist = catch_up(&ledger, &config.worklist_path).await?;
        let running = publish(
            &ledger,
            &host,
            config.functions,
            config.pipelines,
            &worklist,
            &config.actor,
        )
        .await?;
        let actor = format!("watch:{}", config.host_name);
        let revisions = Revisions::new(
            ledger.clone(),
            host.clone(),
            running,
            actor,
            config.code_rescan,
        );
        let rejections = revisions.rejections();
        let (claims, grants) = (Arc::<Claims>::default(), gateway.grants());
        let place = config.worklist_path.with_file_name("log-retention");
        let retention = LogRetention::new(ledger.clone(), place, config.log_retain);
        let live = LiveReconciles::default();
        let room = Room::of(host.clone());
        let last_words = config.worklist_path.with_file_name("worker");
        let lives = Lives {
            ledger: ledger.clone(),
            gateway: gateway.clone(),
            host: host.clone(),
            claims: claims.clone(),
            fence: Arc::new(move |until| grants.valid_until(Some(until))),
            lease: config.lease,
            region,
            loop_depth: config.loop_depth,
            stories,
            room: room.clone(),
            live: live.clone(),
            reconcile_limits: config.reconcile_limits,
            checkpoint: config.worklist_path,
            host_name: config.host_name,
            version: config.version,
            offered: revisions.offered(),
            known: watch::Sender::default(),
            last_words,
            tracer: config.spans.map(|sink| Tracer::start(ledger.clone(), sink)),
        };
        // What was just made known counts for the first thing that runs.
        fold_up_to_head(&ledger, &mut worklist).await?;
        Ok(Self {
            ledger,
            gateway,
            host,
            claims,
            grace: config.grace,
            shutdown: CancellationToken::new(),
            room,
            rejections,
            intake,
            intake_limits: config.intake_limits,
            queues: pullers.queues(),
            pullers,
            live,
            schedules: config.reconciles,
            filters,
            work: Work::Waiting(Box::new((lives, worklist, revisions, retention))),
        })
    }

    /// Begins to work: call it when the gateway serves, since functions go there at once.
    pub fn begin(mut self) -> Self {
        if let Work::Waiting(waiting) = self.work {
            let (lives, worklist, revisions, retention) = *waiting;
            tokio::spawn(retention.run(self.shutdown.clone()));
            let known = lives.known.subscribe();
            tokio::spawn(revisions.run(known, self.shutdown.clone()));
            tokio::spawn(keep_schedule(
                self.ledger.clone(),
                self.gateway.clone(),
                self.filters.clone(),
                std::mem::take(&mut self.schedules),
                self.shutdown.clone(),
            ));
            let running = tokio::spawn(lives.run(worklist, self.shutdown.clone()));
            self.work = Work::Begun(running);
            self.pullers.begin(&self.intake);
        }
        self
    }

    /// The S3 gateway, to be served on its own listener.
    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// The function host.
    pub fn host(&self) -> &Arc<FunctionHost> {
        &self.host
    }

    /// The command API (`/v1/…`).
    pub fn router(&self) -> Router {
        http::router(http::Rooms {
            ledger: self.ledger.clone(),
            gateway: self.gateway.clone(),
            live: self.live.clone(),
            filters: self.filters.clone(),
            host: self.host.clone(),
            room: self.room.clone(),
            rejections: self.rejections.clone(),
            intake: self.intake.clone(),
            limits: self.intake_limits,
            queues: self.queues.clone(),
        })
    }

    /// What is served to other stores on a listener of their own: `/v1/notifications` alone.
    pub fn deliveries(&self) -> Router {
        http::notifications::deliveries(self.intake.clone(), self.intake_limits)
    }

    /// The intake.
    pub fn intake(&self) -> &Intake {
        &self.intake
    }

    /// Waits until the service ends by itself, which it does only when the log holds what it
    /// cannot read, or has lost what it read.
    pub async fn failed(&mut self) -> Box<dyn std::error::Error + Send + Sync> {
        let Work::Begun(work) = &mut self.work else {
            return std::future::pending().await;
        };
        match work.await {
            Ok(Ok(())) => "the command service ended".into(),
            Ok(Err(error)) => Box::new(error),
            Err(error) => Box::new(error),
        }
    }

    /// Takes no new work, lets running invocations finish within the grace, records the others as
    /// interrupted, and leaves. Returns how many attempts this process has claimed, and how many
    /// went to another worker while it tried.
    pub async fn stop(self) -> (u64, u64) {
        self.shutdown.cancel();
        // What the pullers have is recorded while the log is there.
        let pulled = self.pullers.stop(self.grace);
        tokio::join!(pulled, self.host.shutdown(self.grace));
        if let Work::Begun(work) = self.work
            && !work.is_finished()
            && tokio::time::timeout(self.grace + STOP_SLACK, work)
                .await
                .is_err()
        {
            tracing::error!("outcomes could not be recorded; the next start takes them up again");
        }
        self.claims.counts()
    }
}

async fn catch_up(ledger: &Ledger, path: &std::path::Path) -> Result<Worklist, StartError> {
    let mut worklist = Worklist::restore(path, ledger.log())
        .await
        .unwrap_or_default();
    fold_up_to_head(ledger, &mut worklist).await?;
    Ok(worklist)
}

async fn fold_up_to_head(ledger: &Ledger, worklist: &mut Worklist) -> Result<(), StartError> {
    let head = ledger.log().head().await?;
    while worklist.position < head {
        let page = ledger
            .log()
            .read_all(worklist.position, CATCH_UP_PAGE)
            .await?;
        if page.is_empty() {
            break;
        }
        for event in &page {
            worklist
                .fold(event, ledger.blobs())
                .await
                .map_err(|error| StartError::Fold(Box::new(error)))?;
        }
    }
    Ok(())
}
