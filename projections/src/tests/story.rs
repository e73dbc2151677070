//! A small ledger for tests: real aggregates over the log in memory, on a clock that ticks once
//! an append.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use daybook_domain::execution::{
    AttemptReport, ByteRange, Cause, CodeRevision, Execution, ExecutionCommand, ObjectAccess,
    StartExecution, TaskOutcome, TriggerObject, id_of, stream_of,
};
use daybook_domain::pipeline::{Pipeline, PipelineCommand, Trigger};
use daybook_domain::stored_object::{
    Channel, Happened, ObjectCommand, ObjectVersion, OrderMark, OrderRule, ProducedBy,
    RecordCreated, RecordNotification, RecordRemoved, StoredObject, Told,
};
use daybook_domain::{
    Aggregate, BucketName, Chain, CommandId, Context, Event as _, ExecutionId, ObjectKey,
    PipelineName, WorkerId, asl, pipeline, stored_object,
};
use daybook_event_store::blobs::BlobStore;
use daybook_event_store::memory::MemoryEventLog;
use daybook_event_store::{
    Append, Direction, EventLog, EventMetadata, Expected, NewEvent, Position, StreamName,
};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

/// The time of the first event.
pub(crate) const BEGIN_US: i64 = 1_780_000_000_000_000;
/// How far the clock goes on with each append.
pub(crate) const TICK_US: i64 = 1_000;

pub(crate) struct Story {
    pub(crate) log: Arc<MemoryEventLog>,
    pub(crate) blobs: BlobStore,
    pub(crate) dir: tempfile::TempDir,
    appends: AtomicI64,
}

#[allow(dead_code, reason = "each crate that uses it uses a part")]
impl Story {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ticks = AtomicI64::new(0);
        let log = MemoryEventLog::with_clock(Arc::new(move || {
            let tick = ticks.fetch_add(1, Ordering::Relaxed);
            Timestamp::from_microsecond(BEGIN_US + tick * TICK_US).unwrap()
        }));
        Self {
            log,
            blobs: BlobStore::open(dir.path().join("blobs").to_str().unwrap()).unwrap(),
            dir,
            appends: AtomicI64::new(0),
        }
    }

    pub(crate) fn log(&self) -> Arc<dyn EventLog> {
        self.log.clone()
    }

    pub(crate) fn model_path(&self) -> std::path::PathBuf {
        self.dir.path().join("read-model.sqlite")
    }

    /// Appends what a command leads to; returns the position of the last event.
    pub(crate) async fn decide<A: Aggregate>(&self, stream: &str, command: A::Command) -> Position {
        let name = StreamName::new(stream);
        let before = self
            .log
            .read_stream(&name, None, Direction::Forward, usize::MAX)
            .await
            .unwrap();
        let mut state = A::default();
        for event in &before {
            let body = serde_json::from_slice(&event.data).unwrap();
            let body = self.blobs.hydrate(body).await.unwrap();
            let event = A::Event::from_json(&event.event_type, 1, body).unwrap();
            state = state.evolve(&event);
        }
        let expected = Expected::from(before.last().map(|event| event.version));
        let context = Context {
            now: Timestamp::from_microsecond(BEGIN_US + 1_000_000_000).unwrap(),
            seed: 7,
        };
        let mut events = Vec::new();
        for event in state.decide(command, &context).unwrap() {
            let body = self.blobs.offload(event.to_json(), None).await.unwrap();
            events.push((event.event_type().to_owned(), body));
        }
        if events.is_empty() {
            return self.log.head().await.unwrap();
        }
        self.append(&name, expected, events).await
    }

    pub(crate) async fn append(
        &self,
        stream: &StreamName,
        expected: Expected,
        events: Vec<(String, serde_json::Value)>,
    ) -> Position {
        let ordinal = self.appends.fetch_add(1, Ordering::Relaxed);
        let new = |(index, (name, body)): (usize, (String, serde_json::Value))| NewEvent {
            event_id: Uuid::new_v5(
                &Uuid::NAMESPACE_OID,
                format!("{ordinal}/{index}").as_bytes(),
            ),
            event_type: name.into(),
            schema_version: 1,
            data: body.to_string().into_bytes().into(),
            metadata: EventMetadata {
                correlation_id: Some(format!("story-{stream}")),
                causation_id: None,
                actor: Some("test".into()),
                traceparent: None,
            },
        };
        let append = Append {
            stream: stream.clone(),
            expected,
            events: events.into_iter().enumerate().map(new).collect(),
        };
        self.log.append(append).await.unwrap().position
    }

    /// A pipeline that wants the texts of the bucket `inbox`.
    pub(crate) async fn pipeline(&self, name: &str) -> Position {
        let pipeline: PipelineName = name.parse().unwrap();
        let command = PipelineCommand::Revise {
            definition: asl::Machine::of_function(&"upper".parse().unwrap()),
            triggers: vec![Trigger {
                bucket: bucket("inbox"),
                prefix: None,
                suffix: Some(".txt".into()),
            }],
            actor: "config".into(),
            pipeline: pipeline.clone(),
        };
        let stream = pipeline::stream_of(&pipeline);
        self.decide::<Pipeline>(&stream, command).await
    }

    /// A version of an object arrives in the bucket `inbox`.
    pub(crate) async fn put(&self, name: &str, version: u32) -> Position {
        self.put_version(name, version_of(version), None).await
    }

    /// An attempt of an execution writes the same content under the key each time.
    pub(crate) async fn put_by(
        &self,
        execution: ExecutionId,
        attempt: u32,
        name: &str,
        version: u32,
    ) -> Position {
        let version = ObjectVersion {
            etag: Some("the same".into()),
            size: Some(3),
            ..version_of(version)
        };
        let by = ProducedBy {
            execution,
            function: "writer".parse().unwrap(),
            attempt,
            shadow: None,
            chain: Chain::default(),
        };
        self.put_version(name, version, Some(by)).await
    }

    /// A write of a run that writes under a shadow.
    pub(crate) async fn put_in_shadow(
        &self,
        name: &str,
        version: u32,
        execution: ExecutionId,
    ) -> Position {
        let by = ProducedBy {
            execution,
            function: "writer".parse().unwrap(),
            attempt: 1,
            shadow: Some(execution.into()),
            chain: Chain::default(),
        };
        self.put_version(name, version_of(version), Some(by)).await
    }

    async fn put_version(
        &self,
        name: &str,
        version: ObjectVersion,
        produced_by: Option<ProducedBy>,
    ) -> Position {
        let (bucket, key) = (bucket("inbox"), key(name));
        let stream = stored_object::stream_of(&bucket, &key);
        let command = ObjectCommand::RecordCreated(RecordCreated {
            version,
            channel: Channel::Gateway,
            event_name: "ObjectCreated:Put".into(),
            order: None,
            produced_by,
            bucket,
            key,
        });
        self.decide::<StoredObject>(&stream, command).await
    }

    pub(crate) async fn remove(&self, name: &str) -> Position {
        let (bucket, key) = (bucket("inbox"), key(name));
        let stream = stored_object::stream_of(&bucket, &key);
        let command = ObjectCommand::RecordRemoved(RecordRemoved {
            version: ObjectVersion {
                stamp: Some(Uuid::from_u128(999)),
                ..ObjectVersion::default()
            },
            channel: Channel::Gateway,
            event_name: "ObjectRemoved:Delete".into(),
            order: None,
            removed_by: None,
            bucket,
            key,
        });
        self.decide::<StoredObject>(&stream, command).await
    }

    /// S3 tells of a write to a key, or of its removal.
    pub(crate) async fn tell(&self, name: &str, sequencer: u8, removed: bool) -> Position {
        let (bucket, key) = (bucket("inbox"), key(name));
        let stream = stored_object::stream_of(&bucket, &key);
        let sequencer = format!("{sequencer:02X}");
        let (happened, event_name) = match removed {
            false => (Happened::Created, "ObjectCreated:Put"),
            true => (Happened::Removed, "ObjectRemoved:Delete"),
        };
        let identity = format!("{name} {sequencer} {event_name}");
        let command = ObjectCommand::RecordNotification(RecordNotification {
            version: ObjectVersion {
                version_id: (!removed).then(|| format!("v{sequencer}")),
                etag: (!removed).then(|| "e".into()),
                size: (!removed).then_some(3),
                ..ObjectVersion::default()
            },
            channel: "aws:s3/eventbridge".into(),
            happened,
            event_name: event_name.into(),
            order: Some(OrderMark {
                authority: "aws:s3/eventbridge".into(),
                sequencer: sequencer.clone(),
            }),
            told: Told {
                source: "aws:s3".into(),
                event_name: event_name.into(),
                account: None,
                bucket: None,
                sequencer: Some(sequencer),
                event_time: Some(Timestamp::from_microsecond(BEGIN_US).unwrap()),
                region: Some("eu-central-1".into()),
                identity: Uuid::new_v5(&Uuid::NAMESPACE_OID, identity.as_bytes()),
            },
            rule: OrderRule::Notification,
            ignored: None,
            repeats: 0,
            bucket,
            key,
        });
        self.decide::<StoredObject>(&stream, command).await
    }

    /// An object version that `put` wrote is the newest again.
    pub(crate) async fn reappear(&self, name: &str, version: u32) -> Position {
        let (bucket, key) = (bucket("inbox"), key(name));
        let stream = stored_object::stream_of(&bucket, &key);
        let command = ObjectCommand::RecordReappeared(RecordCreated {
            version: version_of(version),
            channel: Channel::Gateway,
            event_name: "ObjectCreated:Reappeared".into(),
            order: None,
            produced_by: None,
            bucket,
            key,
        });
        self.decide::<StoredObject>(&stream, command).await
    }

    /// A run of a pipeline for an object version begins.
    pub(crate) async fn start(&self, name: &str, object: &str, version: u32) -> ExecutionId {
        self.start_for(name, object, version, Cause::Trigger).await
    }

    pub(crate) async fn redrive(
        &self,
        of: ExecutionId,
        name: &str,
        object: &str,
        version: u32,
        command: u128,
    ) -> ExecutionId {
        let cause = Cause::Redrive {
            of,
            command: CommandId(Uuid::from_u128(command)),
            reason: Some("fixed".into()),
        };
        self.start_for(name, object, version, cause).await
    }

    /// Runs it again as a shadow.
    pub(crate) async fn shadow(
        &self,
        name: &str,
        object: &str,
        version: u32,
        of: ExecutionId,
    ) -> ExecutionId {
        let cause = Cause::Redrive {
            of,
            command: CommandId(Uuid::from_u128(77)),
            reason: None,
        };
        self.start_as(name, object, version, cause, true).await
    }

    pub(crate) async fn start_for(
        &self,
        name: &str,
        object: &str,
        version: u32,
        cause: Cause,
    ) -> ExecutionId {
        self.start_as(name, object, version, cause, false).await
    }

    async fn start_as(
        &self,
        name: &str,
        object: &str,
        version: u32,
        cause: Cause,
        as_shadow: bool,
    ) -> ExecutionId {
        let pipeline: PipelineName = name.parse().unwrap();
        let object = TriggerObject {
            bucket: bucket("inbox"),
            key: key(object),
            version: version_of(version),
        };
        let execution = id_of(&pipeline, &object, &cause);
        let command = ExecutionCommand::Start(StartExecution {
            execution,
            pipeline,
            pipeline_revision: 1,
            definition: asl::Machine::of_function(&"upper".parse().unwrap()),
            input: json!({ "key": object.key.as_str() }),
            object,
            cause,
            actor: "test".into(),
            shadow: as_shadow.then(|| execution.into()),
            chain: Chain::default(),
            loop_depth: None,
            claim: None,
        });
        self.decide::<Execution>(&stream_of(execution), command)
            .await;
        execution
    }

    pub(crate) async fn claim(&self, execution: ExecutionId) -> Position {
        let command = ExecutionCommand::ClaimTask {
            task: 1,
            worker: worker(),
            code: CodeRevision {
                revision: 3,
                sha256: "c0de".into(),
            },
            supersede: None,
        };
        self.decide::<Execution>(&stream_of(execution), command)
            .await
    }

    pub(crate) async fn end(&self, execution: ExecutionId, outcome: TaskOutcome) -> Position {
        self.end_with(execution, outcome, "a line\n".into()).await
    }

    pub(crate) async fn end_with(
        &self,
        execution: ExecutionId,
        outcome: TaskOutcome,
        logs: String,
    ) -> Position {
        self.end_of(execution, outcome, logs, false).await
    }

    /// The end of an attempt that wrote aside.
    pub(crate) async fn end_staged(
        &self,
        execution: ExecutionId,
        outcome: TaskOutcome,
    ) -> Position {
        self.end_of(execution, outcome, "a line\n".into(), true)
            .await
    }

    /// What the attempt wrote aside is published.
    pub(crate) async fn publish(&self, execution: ExecutionId) -> Position {
        let (task, attempt) = (1, 1);
        let command = ExecutionCommand::RecordPublished { task, attempt };
        self.decide::<Execution>(&stream_of(execution), command)
            .await
    }

    async fn end_of(
        &self,
        execution: ExecutionId,
        outcome: TaskOutcome,
        logs: String,
        staged: bool,
    ) -> Position {
        let access = |bucket_name: &str| ObjectAccess {
            bucket: bucket(bucket_name),
            key: key("a.txt"),
            version_id: Some("v1".into()),
            etag: Some("etag1".into()),
            size: Some(1),
            staged,
            ranges: (bucket_name == "inbox").then(|| vec![ByteRange { first: 2, last: 9 }]),
        };
        let command = ExecutionCommand::RecordOutcome {
            task: 1,
            attempt: 1,
            worker: worker(),
            outcome,
            report: AttemptReport {
                read: vec![ObjectAccess {
                    staged: false,
                    ..access("inbox")
                }],
                written: vec![access("results")],
                lineage_known: true,
                duration_ms: Some(12),
                billed_ms: Some(20),
                memory_bytes: Some(256 << 20),
                ..AttemptReport::default()
            },
            logs,
        };
        self.decide::<Execution>(&stream_of(execution), command)
            .await
    }

    /// A whole run that succeeds.
    pub(crate) async fn run(&self, name: &str, object: &str, version: u32) -> ExecutionId {
        let execution = self.start(name, object, version).await;
        self.claim(execution).await;
        self.end(execution, succeeded()).await;
        execution
    }
}

pub(crate) fn succeeded() -> TaskOutcome {
    TaskOutcome::Succeeded {
        output: json!({ "done": true }),
    }
}

#[allow(dead_code, reason = "each crate that uses it uses a part")]
pub(crate) fn committed() -> TaskOutcome {
    TaskOutcome::Committed {
        output: json!({ "done": true }),
    }
}

pub(crate) fn failed(cause: &str) -> TaskOutcome {
    TaskOutcome::Failed {
        error: "Boom".into(),
        cause: cause.into(),
    }
}

fn worker() -> WorkerId {
    WorkerId(Uuid::from_u128(1))
}

fn bucket(name: &str) -> BucketName {
    name.parse().unwrap()
}

fn key(name: &str) -> ObjectKey {
    name.parse().unwrap()
}

fn version_of(version: u32) -> ObjectVersion {
    ObjectVersion {
        version_id: Some(format!("v{version}")),
        etag: Some(format!("etag{version}")),
        size: Some(u64::from(version % 3)),
        modified_at: None,
        stamp: Some(Uuid::from_u128(u128::from(version))),
    }
}
