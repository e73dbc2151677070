//! How a reconcile begins: asked for by somebody, or by the clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use daybook_domain::reconcile::{
    Reconcile, ReconcileCommand, ReconcileError, ReconcilePhase, ReconcileStarted, Source,
    stream_of,
};
use daybook_domain::stored_object::NotificationFilter;
use daybook_domain::{BucketName, CommandId, PipelineName, ReconcileId};
use daybook_event_store::Position;
use daybook_s3_gateway::Gateway;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::told;
use crate::clock;
use crate::commands::{CommandError, Ledger, Origin};
use crate::intake::KnownBucket;

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub bucket: BucketName,
    pub prefix: String,
    pub dry_run: bool,
    pub source: Source,
    pub pipeline: Option<PipelineName>,
    /// See [`ReconcileStarted::revision`].
    pub revision: Option<u32>,
    pub rate: Option<u32>,
    pub reason: Option<String>,
}

/// The filters of the buckets that have some. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filters(Arc<BTreeMap<BucketName, Vec<NotificationFilter>>>);

impl Filters {
    /// Those of the buckets that the config names.
    pub(crate) fn of(buckets: &[KnownBucket]) -> Self {
        let filters = buckets.iter();
        let filters = filters.map(|bucket| (bucket.name.clone(), bucket.filters.clone()));
        Self(Arc::new(filters.collect()))
    }

    /// Whether the config names a bucket.
    pub(crate) fn knows(&self, bucket: &BucketName) -> bool {
        self.0.contains_key(bucket)
    }

    fn of_bucket(&self, bucket: &BucketName) -> Vec<NotificationFilter> {
        self.0.get(bucket).cloned().unwrap_or_default()
    }
}

/// Records that a reconcile begins. The same id begins once.
pub(crate) async fn start(
    ledger: &Ledger,
    filters: &Filters,
    id: ReconcileId,
    request: Request,
    command: CommandId,
    actor: &str,
) -> Result<Option<Position>, CommandError<ReconcileError>> {
    let head = ledger.log().head().await;
    let head = head.map_err(|error| CommandError::Unavailable(Box::new(error)))?;
    let started = ReconcileStarted {
        reconcile: id,
        filters: filters.of_bucket(&request.bucket),
        bucket: request.bucket,
        prefix: request.prefix,
        dry_run: request.dry_run,
        source: request.source,
        position: head.0,
        pipeline: request.pipeline,
        revision: request.revision,
        rate: request.rate,
        actor: actor.to_owned(),
        reason: request.reason,
    };
    let origin = Origin {
        command,
        correlation: id.to_string(),
        causation: None,
        actor: actor.to_owned(),
        traceparent: None,
    };
    let command = ReconcileCommand::Start(started);
    let executed = ledger
        .execute::<Reconcile>(&stream_of(id), command, &origin)
        .await?;
    Ok(executed.position)
}

/// A bucket that is reconciled again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReconcileSchedule {
    /// How often.
    pub every: Duration,
    /// Whether it only looks.
    pub dry_run: bool,
    /// How many keys a second it may look at; `None` is as fast as it can.
    pub rate: Option<u32>,
}

/// The pause before one that could not be begun is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// The shortest pause before the clock is looked at again.
const LEAST_WAIT: Duration = Duration::from_millis(200);

/// Begins reconciles when they are due, until the shutdown.
///
/// Time is cut into slots from 1970 on, and the id of a slot's reconcile follows from bucket and
/// slot. So the workers of a log, which all do this, begin one together.
pub(crate) async fn keep_schedule(
    ledger: Ledger,
    gateway: Arc<Gateway>,
    filters: Filters,
    schedules: BTreeMap<BucketName, ReconcileSchedule>,
    shutdown: CancellationToken,
) {
    let mut begun: BTreeMap<BucketName, u64> = BTreeMap::new();
    // The slot that it is may have begun while nothing ran; if its reconcile did, it is known.
    for (bucket, schedule) in &schedules {
        begun.insert(bucket.clone(), slot(schedule.every).0.saturating_sub(1));
    }
    let mut wait = Duration::ZERO;
    while !schedules.is_empty() {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shutdown.cancelled() => return,
        }
        let waits = schedules.values().map(|schedule| slot(schedule.every).1);
        wait = waits.min().unwrap_or(LEAST_WAIT).max(LEAST_WAIT);
        for (bucket, schedule) in &schedules {
            let (now, _) = slot(schedule.every);
            let before = begun.get(bucket).copied().unwrap_or(now);
            if now <= before || !gateway.has_bucket(bucket) {
                continue;
            }
            match due(&ledger, &filters, bucket, *schedule, before, now).await {
                Ok(true) => {
                    begun.insert(bucket.clone(), now);
                }
                // The last one is not over.
                Ok(false) => {}
                Err(error) => {
                    wait = wait.min(RETRY);
                    tracing::warn!(%bucket, error = told(&error), "a reconcile that is due could not be begun; trying again");
                }
            }
        }
    }
}

/// Begins the reconcile of a slot, unless that of the last one still runs. Returns whether it did.
async fn due(
    ledger: &Ledger,
    filters: &Filters,
    bucket: &BucketName,
    schedule: ReconcileSchedule,
    before: u64,
    now: u64,
) -> Result<bool, CommandError<ReconcileError>> {
    let last = ledger
        .load::<Reconcile>(&stream_of(scheduled(bucket, before)))
        .await?;
    let goes_on = [Some(ReconcilePhase::Running), Some(ReconcilePhase::Paused)];
    if last.is_some_and(|last| goes_on.contains(&last.phase)) {
        return Ok(false);
    }
    let id = scheduled(bucket, now);
    let request = Request {
        bucket: bucket.clone(),
        prefix: String::new(),
        dry_run: schedule.dry_run,
        source: Source::Listing,
        pipeline: None,
        revision: None,
        rate: schedule.rate,
        reason: None,
    };
    start(ledger, filters, id, request, CommandId(id.0), "schedule").await?;
    Ok(true)
}

/// The number of the slot that it is now, and how long it lasts still.
fn slot(every: Duration) -> (u64, Duration) {
    let every_ms = i64::try_from(every.as_millis()).unwrap_or(i64::MAX).max(1);
    let now_ms = clock::now().as_millisecond();
    let left = every_ms - now_ms.rem_euclid(every_ms);
    (
        now_ms.div_euclid(every_ms).unsigned_abs(),
        Duration::from_millis(left.unsigned_abs()),
    )
}

fn scheduled(bucket: &BucketName, slot: u64) -> ReconcileId {
    ReconcileId(Uuid::new_v5(
        &SCHEDULED,
        format!("{bucket}:{slot}").as_bytes(),
    ))
}

/// The namespace of the ids of scheduled reconciles.
const SCHEDULED: Uuid = Uuid::from_u128(0x5f0e_3c1d_2a0b_5b55_9a53_6461_7962_6b02);
