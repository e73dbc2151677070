//! What the S3 gateway and the function host need from each other and from the ledger: the two
//! ports, implemented here.
//!
//! Writes come in through [`ObjectLedger`] and become events; the host gets credentials for its
//! processes from the gateway's grants.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use daybook_domain::execution::{self, Execution, Phase};
use daybook_domain::stored_object::{
    Channel, ObjectCommand, ObjectVersion, StoredObject, stream_of,
};
use daybook_domain::{BucketName, CommandId, ExecutionId, FunctionName, ObjectKey};
use daybook_functions::{InvocationScope, StorageAccess, StorageActivity, StorageCredentials};
use daybook_s3_gateway::{
    AttemptId, Fate, Grants, LedgerError, ObjectLedger, Policy, Publish, Standing,
};
use uuid::Uuid;

use crate::clock;
use crate::commands::{CommandError, Ledger, Origin, Outcome};
use crate::trace::{self, TraceContext};

/// The stories of the executions that run at this moment: what their functions write belongs to
/// the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stories(Arc<Mutex<HashMap<ExecutionId, Story>>>);

/// A story, and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Story {
    /// The correlation id.
    pub correlation: String,
    /// The attempt that runs.
    pub attempt: TraceContext,
}

impl Stories {
    pub(crate) fn begin(&self, execution: ExecutionId, story: Story) {
        self.lock().insert(execution, story);
    }

    pub(crate) fn end(&self, execution: ExecutionId) {
        self.lock().remove(&execution);
    }

    fn of(&self, execution: ExecutionId) -> Option<Story> {
        self.lock().get(&execution).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ExecutionId, Story>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The gateway's ledger.
pub(crate) struct RecordedObjects {
    pub ledger: Ledger,
    pub stories: Stories,
}

#[async_trait]
impl ObjectLedger for RecordedObjects {
    async fn record(&self, command: ObjectCommand) -> Result<(), LedgerError> {
        let (stream, origin) = self.address(&command);
        told(self.ledger.execute(&stream, command, &origin).await)
    }

    async fn record_first(&self, command: ObjectCommand) -> Result<(), LedgerError> {
        let (stream, origin) = self.address(&command);
        told(self.ledger.execute_first(stream, command, origin).await)
    }

    async fn fate(&self, attempt: AttemptId) -> Result<Fate, LedgerError> {
        let stream = execution::stream_of(attempt.execution);
        let execution = self.ledger.load::<Execution>(&stream).await;
        let execution = execution.map_err(|error| LedgerError::Unavailable(Box::new(error)))?;
        Ok(fate_of(execution.as_ref(), attempt))
    }

    async fn standing(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: &ObjectVersion,
    ) -> Result<Standing, LedgerError> {
        let stream = stream_of(bucket, key);
        let object = self.ledger.load::<StoredObject>(&stream).await;
        let object = object.map_err(|error| LedgerError::Unavailable(Box::new(error)))?;
        Ok(standing_of(object.as_ref(), version))
    }
}

fn told(executed: Outcome<StoredObject>) -> Result<(), LedgerError> {
    match executed {
        Ok(_) => Ok(()),
        Err(error @ CommandError::Refused(_)) => Err(LedgerError::Refused(Box::new(error))),
        Err(error) => Err(LedgerError::Unavailable(Box::new(error))),
    }
}

/// The newest write that left an object is the one that there is, unless a removal came after it.
fn standing_of(object: Option<&StoredObject>, version: &ObjectVersion) -> Standing {
    let Some(StoredObject { state }) = object else {
        return Standing::Unknown;
    };
    let is_it = |known: &ObjectVersion| known.is_same(version) == Some(true);
    let mut written = state.recent.iter().rev().filter(|known| !known.removed);
    match written.next() {
        Some(newest) if state.present && is_it(&newest.version) => Standing::Current,
        Some(newest) if is_it(&newest.version) => Standing::Past,
        _ if written.any(|known| is_it(&known.version)) => Standing::Past,
        _ => Standing::Unknown,
    }
}

/// An attempt that is not the current one is over. If it had succeeded, it was published before
/// that was recorded.
pub(crate) fn fate_of(execution: Option<&Execution>, attempt: AttemptId) -> Fate {
    let task = execution.and_then(Execution::task);
    match task.filter(|task| (task.task, task.attempt) == (attempt.task, attempt.attempt)) {
        None => Fate::Discard,
        Some(task) => match task.phase {
            Phase::Over => Fate::Discard,
            Phase::Committed { .. } => Fate::Publish,
            Phase::Scheduled | Phase::WaitingForRetry { .. } | Phase::Running { .. } => Fate::Open,
        },
    }
}

impl RecordedObjects {
    fn address(&self, command: &ObjectCommand) -> (String, Origin) {
        let (bucket, key, version, channel, by, what) = match command {
            ObjectCommand::RecordCreated(it) => (
                &it.bucket,
                &it.key,
                &it.version,
                &it.channel,
                it.produced_by.as_ref(),
                "created".to_owned(),
            ),
            ObjectCommand::RecordRemoved(it) => (
                &it.bucket,
                &it.key,
                &it.version,
                &it.channel,
                it.removed_by.as_ref(),
                "removed".to_owned(),
            ),
            // A version may go and come back more than once.
            ObjectCommand::RecordReappeared(it) => (
                &it.bucket,
                &it.key,
                &it.version,
                &it.channel,
                None,
                match &it.order {
                    Some(order) => format!("reappeared {}", order.sequencer),
                    None => "reappeared".to_owned(),
                },
            ),
            // They come from a reconcile, which says itself who it is.
            ObjectCommand::RecordListed(it) => (
                &it.created.bucket,
                &it.created.key,
                &it.created.version,
                &it.created.channel,
                None,
                "listed".to_owned(),
            ),
            ObjectCommand::RecordGone(it) => (
                &it.bucket,
                &it.key,
                &it.newest,
                &Channel::Listing,
                None,
                "gone".to_owned(),
            ),
            // They come through the intake, which says itself where they are from.
            ObjectCommand::RecordNotification(it) => {
                return (
                    stream_of(&it.bucket, &it.key),
                    crate::intake::origin_of(format!("notification:{}", it.channel)),
                );
            }
        };
        // A stamp is drawn once a write, so that proposing the same write again after a crash is
        // the same command.
        let command = match version.stamp {
            Some(stamp) => Uuid::new_v5(&stamp, what.as_bytes()),
            None => clock::random_id(),
        };
        let actor = match (by, channel) {
            (Some(by), _) => format!("function:{}", by.function),
            (None, Channel::Gateway) => "gateway".to_owned(),
            (None, Channel::Watcher) => "watcher".to_owned(),
            (None, Channel::Listing) => "listing".to_owned(),
            (None, Channel::Notification(source)) => format!("notification:{source}"),
        };
        let story = by.and_then(|by| self.stories.of(by.execution));
        let (correlation, context) = placed(story, clients_context(channel), command);
        let origin = Origin {
            command: CommandId(command),
            correlation,
            causation: by.map(|by| by.execution.to_string()),
            actor,
            traceparent: context.map(|context| context.to_string()),
        };
        (stream_of(bucket, key), origin)
    }
}

/// What the client of the gateway said of its trace.
fn clients_context(channel: &Channel) -> Option<TraceContext> {
    match channel {
        Channel::Gateway => daybook_s3_gateway::traceparent()?.parse().ok(),
        _ => None,
    }
}

/// The correlation id of a write, and what it is part of: of an attempt's story, where one wrote
/// it, else of its client's trace, else of nothing: then its story begins with it.
fn placed(
    story: Option<Story>,
    client: Option<TraceContext>,
    command: Uuid,
) -> (String, Option<TraceContext>) {
    match (story, client) {
        (Some(story), client) => {
            // The handler may have spans of its own, within the attempt's.
            let within = client.filter(|client| client.trace == story.attempt.trace);
            (story.correlation, Some(within.unwrap_or(story.attempt)))
        }
        (None, Some(client)) => (trace::story_of(client.trace), Some(client)),
        (None, None) => (command.to_string(), None),
    }
}

/// The storage that functions see: the gateway, with credentials made for each process.
pub struct GatewayStorage {
    grants: Arc<Grants>,
    endpoint: String,
    region: String,
    policies: BTreeMap<FunctionName, Policy>,
    on_success: BTreeSet<FunctionName>,
}

impl GatewayStorage {
    /// `endpoint` is the gateway's address by IP; a function without a policy may touch nothing.
    /// What those in `on_success` write is published when their attempt succeeds.
    pub fn new(
        grants: Arc<Grants>,
        endpoint: String,
        region: String,
        policies: BTreeMap<FunctionName, Policy>,
        on_success: BTreeSet<FunctionName>,
    ) -> Self {
        Self {
            grants,
            endpoint,
            region,
            policies,
            on_success,
        }
    }
}

impl StorageAccess for GatewayStorage {
    fn issue(&self, function: &FunctionName) -> StorageCredentials {
        let policy = self.policies.get(function).cloned().unwrap_or_default();
        let credentials = self.grants.issue(function, policy);
        StorageCredentials {
            access_key: credentials.access_key,
            secret_key: credentials.secret_key,
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
        }
    }

    fn begin(&self, access_key: &str, scope: InvocationScope) {
        let publish = match self.on_success.contains(&scope.function) {
            true => Publish::OnSuccess,
            false => Publish::Immediately,
        };
        let scope = daybook_s3_gateway::InvocationScope {
            publish,
            execution: scope.execution,
            task: scope.task,
            attempt: scope.attempt,
            function: scope.function,
            trigger: scope.trigger,
            shadow: scope.shadow,
            chain: scope.chain,
        };
        self.grants.begin(access_key, scope);
    }

    fn end(&self, access_key: &str) -> StorageActivity {
        let activity = self.grants.end(access_key);
        StorageActivity {
            read: activity.read,
            written: activity.written,
            staged: activity.staged,
            refused: activity.refused,
            truncated: activity.truncated,
        }
    }

    fn revoke(&self, access_key: &str) {
        self.grants.revoke(access_key);
    }
}

#[cfg(test)]
mod tests;
