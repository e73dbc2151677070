//! Given events, then what is due.

use std::sync::Arc;

use daybook_domain::execution::{
    CodeRevision, ExecutionEvent, ExecutionStarted, ExecutionSucceeded, RetryScheduled,
    TaskCommitted, TaskFailed, TaskScheduled, TaskStarted, TaskStateEntered, TriggerObject,
};
use daybook_domain::pipeline::{
    PipelineEvent, PipelinePaused, PipelineResumed, PipelineRevised, Trigger,
};
use daybook_domain::reconcile::{
    ReconcileCancelled, ReconcileEvent, ReconcilePaused, ReconcileResumed, ReconcileStarted, Source,
};
use daybook_domain::stored_object::{
    Channel, ObjectCreated, ObjectEvent, ObjectVersion, ProducedBy,
};
use daybook_domain::worker::{WorkerEvent, WorkerJoined, WorkerLeft};
use daybook_domain::{Chain, Event, asl};
use daybook_event_store::blobs::BlobStore;
use daybook_event_store::memory::MemoryEventLog;
use daybook_event_store::{
    Append, EventLog, EventMetadata, Expected, NewEvent, RecordedEvent, StreamName, StreamVersion,
};
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::arrival::Arrival;

struct Fold {
    worklist: Worklist,
    blobs: BlobStore,
    changes: Vec<Change>,
    _dir: tempfile::TempDir,
}

impl Fold {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let blobs = BlobStore::open(dir.path().to_str().unwrap()).unwrap();
        Self {
            worklist: Worklist::default(),
            blobs,
            changes: Vec::new(),
            _dir: dir,
        }
    }

    async fn event<E: Event>(&mut self, stream: &str, event: impl Into<E>) {
        let event: E = event.into();
        let position = Position(self.worklist.position.0 + 1);
        let recorded = RecordedEvent {
            position,
            stream: StreamName::new(stream),
            version: StreamVersion(0),
            event_id: Uuid::from_u128(u128::from(position.0)),
            event_type: event.event_type().into(),
            schema_version: 1,
            recorded_at: Timestamp::UNIX_EPOCH,
            data: serde_json::to_vec(&event.to_json()).unwrap().into(),
            metadata: EventMetadata {
                correlation_id: Some("story".to_owned()),
                ..EventMetadata::default()
            },
            salt: [0; 16],
        };
        self.changes = self.worklist.fold(&recorded, &self.blobs).await.unwrap();
    }

    async fn pipeline(&mut self) {
        let event = PipelineRevised {
            pipeline: "upper".parse().unwrap(),
            revision: 1,
            sha256: "00".to_owned(),
            definition: asl::Machine::of_function(&"upper".parse().unwrap()),
            triggers: vec![Trigger {
                bucket: "inbox".parse().unwrap(),
                prefix: None,
                suffix: Some(".txt".to_owned()),
            }],
            actor: "cli:ada".to_owned(),
        };
        self.event::<PipelineEvent>("pipeline-upper", event).await;
    }

    async fn object(&mut self, key: &str, repeated: bool) {
        self.created(key, repeated, None).await;
    }

    /// What a shadow run wrote.
    async fn shadow_object(&mut self, key: &str) {
        let by = ProducedBy {
            execution: ExecutionId(Uuid::from_u128(1)),
            function: "upper".parse().unwrap(),
            attempt: 1,
            shadow: Some("1".parse().unwrap()),
            chain: Chain::default(),
        };
        self.created(key, false, Some(by)).await;
    }

    async fn created(&mut self, key: &str, repeated: bool, produced_by: Option<ProducedBy>) {
        let event = ObjectCreated {
            bucket: "inbox".parse().unwrap(),
            key: key.parse().unwrap(),
            version: ObjectVersion {
                version_id: Some(format!("{key}-{}", self.worklist.position)),
                ..Default::default()
            },
            channel: Channel::Gateway,
            event_name: "ObjectCreated:Put".to_owned(),
            order: None,
            produced_by,
            repeated,
            told: None,
            older: false,
            state: Default::default(),
        };
        self.event::<ObjectEvent>(&format!("object-inbox/{key}"), event)
            .await;
    }

    /// The execution that is owed for `a.txt`, started.
    async fn started(&mut self) -> ExecutionId {
        self.pipeline().await;
        self.object("a.txt", false).await;
        let id = *self.worklist.owed.first_key_value().unwrap().0;
        let object = TriggerObject {
            bucket: "inbox".parse().unwrap(),
            key: "a.txt".parse().unwrap(),
            version: ObjectVersion::default(),
        };
        let started = ExecutionStarted {
            execution: id,
            pipeline: "upper".parse().unwrap(),
            pipeline_revision: 1,
            definition: json!({}),
            object,
            cause: daybook_domain::execution::Cause::Trigger,
            input: json!({}),
            actor: "pipeline:upper".to_owned(),
            started_at: Timestamp::UNIX_EPOCH,
            timeout_seconds: Some(60),
            shadow: None,
            chain: Chain::default(),
        };
        self.execution(id, started).await;
        let function: FunctionName = "upper".parse().unwrap();
        let state = "Upper".to_owned();
        let entered = TaskStateEntered {
            state: state.clone(),
            function: function.clone(),
            input: json!({}),
        };
        self.execution(id, entered).await;
        let scheduled = TaskScheduled {
            state,
            task: 1,
            attempt: 1,
            function,
            timeout_seconds: None,
        };
        self.execution(id, scheduled).await;
        id
    }

    async fn execution(&mut self, id: ExecutionId, event: impl Into<ExecutionEvent>) {
        self.event::<ExecutionEvent>(&format!("execution-{id}"), event)
            .await;
    }

    async fn claimed(&mut self, id: ExecutionId, worker: WorkerId) {
        let joined = WorkerJoined {
            worker,
            host: "laptop".to_owned(),
            version: "0.1.0".to_owned(),
            lease_ms: Some(15_000),
            functions: BTreeMap::from([("upper".parse().unwrap(), "00".to_owned())]),
        };
        self.event::<WorkerEvent>(&format!("worker-{worker}"), joined)
            .await;
        let code = CodeRevision {
            revision: 1,
            sha256: "00".to_owned(),
        };
        self.execution(
            id,
            TaskStarted {
                task: 1,
                attempt: 1,
                worker,
                code,
            },
        )
        .await;
    }
}

#[tokio::test]
async fn an_object_that_a_pipeline_wants_is_owed_an_execution() {
    let mut fold = Fold::new();
    fold.object("before.txt", false).await;
    fold.pipeline().await;
    fold.object("a.csv", false).await;
    fold.object("again.txt", true).await;
    fold.shadow_object("shadow/1/a.txt").await;
    assert!(fold.worklist.owed.is_empty(), "{:?}", fold.worklist.owed);
    fold.object("a.txt", false).await;
    let (id, owed) = fold.worklist.owed.first_key_value().unwrap();
    assert_eq!(fold.changes, [Change::Execution(*id)]);
    assert_eq!(owed.pipeline.as_str(), "upper");
    assert_eq!(owed.after.0 + 1, fold.worklist.position.0);
}

#[tokio::test]
async fn what_cannot_be_read_stops_the_fold_unless_no_pipeline_is_for_it() {
    let mut fold = Fold::new();
    fold.pipeline().await;
    let mut torn = RecordedEvent {
        position: Position(2),
        stream: StreamName::new("object-inbox/day/a.csv"),
        version: StreamVersion(0),
        event_id: Uuid::from_u128(2),
        event_type: "ObjectCreated".into(),
        schema_version: 1,
        recorded_at: Timestamp::UNIX_EPOCH,
        data: "{\"bucket\":".into(),
        metadata: EventMetadata::default(),
        salt: [0; 16],
    };
    let unwanted = fold.worklist.fold(&torn, &fold.blobs).await;
    assert!(unwanted.unwrap().is_empty());
    torn.event_type = "ObjectMoved".into();
    assert!(fold.worklist.fold(&torn, &fold.blobs).await.is_err());
    torn.event_type = "ObjectCreated".into();
    torn.stream = StreamName::new("object-inbox/day/a.txt");
    assert!(fold.worklist.fold(&torn, &fold.blobs).await.is_err());
    assert_eq!(fold.worklist.position, Position(2));
}

#[tokio::test]
async fn a_started_execution_is_owed_no_more_and_its_task_is_due() {
    let mut fold = Fold::new();
    let id = fold.started().await;
    assert!(fold.worklist.owed.is_empty());
    let open = &fold.worklist.tasks[&id];
    assert_eq!((open.phase, open.attempt), (OpenPhase::Due, 1));
    assert_eq!(open.function.as_str(), "upper");
    assert!(open.deadline.is_some());
}

#[tokio::test]
async fn a_claim_can_be_superseded_once_its_worker_left() {
    let mut fold = Fold::new();
    let id = fold.started().await;
    let worker = WorkerId(Uuid::from_u128(7));
    fold.claimed(id, worker).await;
    assert_eq!(fold.worklist.abandoned_by(&fold.worklist.tasks[&id]), None);
    let left = WorkerLeft {
        worker,
        why: "gone".to_owned(),
    };
    fold.event::<WorkerEvent>(&format!("worker-{worker}"), left)
        .await;
    assert_eq!(fold.changes, [Change::Reassigned]);
    assert_eq!(
        fold.worklist.abandoned_by(&fold.worklist.tasks[&id]),
        Some(worker)
    );
}

#[tokio::test]
async fn what_is_decided_is_to_be_published_and_not_to_be_run_again() {
    let mut fold = Fold::new();
    let id = fold.started().await;
    let worker = WorkerId(Uuid::from_u128(7));
    fold.claimed(id, worker).await;
    let committed = TaskCommitted {
        task: 1,
        attempt: 1,
        output: json!("done"),
        report: Default::default(),
        logs: String::new(),
    };
    fold.execution(id, committed).await;
    let phase = fold.worklist.tasks[&id].phase;
    assert_eq!(phase, OpenPhase::Publishing(worker));
    let left = WorkerLeft {
        worker,
        why: "gone".to_owned(),
    };
    fold.event::<WorkerEvent>(&format!("worker-{worker}"), left)
        .await;
    assert_eq!(fold.changes, [Change::Reassigned]);
    assert_eq!(fold.worklist.abandoned_by(&fold.worklist.tasks[&id]), None);
    let output = json!("done");
    fold.execution(id, ExecutionSucceeded { output }).await;
    assert!(fold.worklist.tasks.is_empty());
}

#[tokio::test]
async fn a_retry_waits_for_its_time_and_an_end_ends_it() {
    let mut fold = Fold::new();
    let id = fold.started().await;
    fold.claimed(id, WorkerId(Uuid::from_u128(7))).await;
    let failed = TaskFailed {
        task: 1,
        attempt: 1,
        error: "Boom".to_owned(),
        cause: String::new(),
        report: Default::default(),
        logs: String::new(),
    };
    fold.execution(id, failed).await;
    let due = Timestamp::from_second(100).unwrap();
    fold.execution(
        id,
        RetryScheduled {
            task: 1,
            attempt: 2,
            retrier: 0,
            due,
        },
    )
    .await;
    let open = &fold.worklist.tasks[&id];
    assert_eq!((open.phase, open.attempt), (OpenPhase::At(due), 2));
    fold.execution(
        id,
        ExecutionSucceeded {
            output: json!(null),
        },
    )
    .await;
    assert!(fold.worklist.tasks.is_empty());
}

#[tokio::test]
async fn what_arrives_while_paused_is_owed_and_comes_back_on_resume() {
    let mut fold = Fold::new();
    fold.pipeline().await;
    let actor = || "cli:ada".to_owned();
    fold.event::<PipelineEvent>("pipeline-upper", PipelinePaused { actor: actor() })
        .await;
    fold.object("a.txt", false).await;
    let id = *fold.worklist.owed.first_key_value().unwrap().0;
    fold.event::<PipelineEvent>("pipeline-upper", PipelineResumed { actor: actor() })
        .await;
    assert_eq!(fold.changes, [Change::Execution(id)]);
}

#[tokio::test]
async fn a_checkpoint_is_the_worklist_and_a_foreign_one_is_not_used() {
    let mut fold = Fold::new();
    let log: Arc<dyn EventLog> = MemoryEventLog::new();
    let event = |id: u128| NewEvent {
        event_id: Uuid::from_u128(id),
        event_type: "WorkerJoined".into(),
        schema_version: 1,
        data: "{}".into(),
        metadata: EventMetadata::default(),
    };
    let append = |id| Append {
        stream: StreamName::new("worker-1"),
        expected: Expected::NoStream,
        events: (id..id + 9).map(event).collect(),
    };
    // The fold of the story stands at an event that the log has at the same place.
    fold.started().await;
    let position = u128::from(fold.worklist.position.0);
    log.append(append(1)).await.unwrap();
    assert_eq!(fold.worklist.last_event, Some(Uuid::from_u128(position)));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("worklist.json");
    fold.worklist.save(&path).await.unwrap();
    let restored = Worklist::restore(&path, &log).await;
    assert_eq!(restored, Some(fold.worklist));
    let other: Arc<dyn EventLog> = MemoryEventLog::new();
    assert_eq!(Worklist::restore(&path, &other).await, None);
    other.append(append(100)).await.unwrap();
    assert_eq!(Worklist::restore(&path, &other).await, None);
    std::fs::write(&path, "{}").unwrap();
    assert_eq!(Worklist::restore(&path, &log).await, None);
}

#[tokio::test]
async fn of_each_bucket_the_reconcile_that_was_asked_for_first_has_its_turn() {
    let mut fold = Fold::new();
    let id = |number| ReconcileId(Uuid::from_u128(number));
    // Ids say nothing about the order.
    for (number, bucket) in [(9, "inbox"), (1, "inbox"), (5, "results")] {
        let started = ReconcileStarted {
            reconcile: id(number),
            bucket: bucket.parse().unwrap(),
            prefix: String::new(),
            dry_run: true,
            source: Source::Listing,
            position: 0,
            pipeline: None,
            revision: None,
            filters: Vec::new(),
            rate: None,
            actor: "cli:ada".to_owned(),
            reason: None,
        };
        let stream = format!("reconcile-{}", id(number));
        fold.event::<ReconcileEvent>(&stream, started).await;
        assert_eq!(fold.changes, [Change::Reconcile]);
    }
    let in_turn = |fold: &Fold| fold.worklist.reconciles_in_turn().collect::<Vec<_>>();
    assert_eq!(in_turn(&fold), [id(9), id(5)]);
    // One that stands still holds up nobody.
    let actor = || "cli:ada".to_owned();
    let stream = format!("reconcile-{}", id(9));
    let paused = ReconcilePaused { actor: actor() };
    fold.event::<ReconcileEvent>(&stream, paused).await;
    assert_eq!(in_turn(&fold), [id(1), id(5)]);
    let resumed = ReconcileResumed { actor: actor() };
    fold.event::<ReconcileEvent>(&stream, resumed).await;
    assert_eq!(in_turn(&fold), [id(9), id(5)]);
    let cancelled = ReconcileCancelled {
        actor: "cli:ada".to_owned(),
    };
    let stream = format!("reconcile-{}", id(9));
    fold.event::<ReconcileEvent>(&stream, cancelled).await;
    assert_eq!(in_turn(&fold), [id(1), id(5)]);
}

#[tokio::test]
async fn an_arrival_is_read_where_it_waits() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = BlobStore::open(dir.path().to_str().unwrap()).unwrap();
    let log: Arc<dyn EventLog> = MemoryEventLog::new();
    let created: ObjectEvent = ObjectCreated {
        bucket: "inbox".parse().unwrap(),
        key: "a.txt".parse().unwrap(),
        version: ObjectVersion::default(),
        channel: Channel::Gateway,
        event_name: "ObjectCreated:Put".to_owned(),
        order: None,
        produced_by: None,
        repeated: false,
        told: None,
        older: false,
        state: Default::default(),
    }
    .into();
    let other: WorkerEvent = WorkerLeft {
        worker: WorkerId(Uuid::from_u128(1)),
        why: "stopped".to_owned(),
    }
    .into();
    let events = [
        (other.event_type(), other.to_json()),
        (created.event_type(), created.to_json()),
    ];
    for (number, (event_type, body)) in (1..).zip(events) {
        let append = Append {
            stream: StreamName::new(format!("some-{number}")),
            expected: Expected::NoStream,
            events: vec![NewEvent {
                event_id: Uuid::from_u128(number),
                event_type: event_type.into(),
                schema_version: 1,
                data: body.to_string().into(),
                metadata: EventMetadata::default(),
            }],
        };
        log.append(append).await.unwrap();
    }
    let arrival = Arrival::read(&log, &blobs, Position(1)).await.unwrap();
    let id = Uuid::from_u128(2).to_string();
    assert_eq!((&arrival.event, &arrival.correlation), (&id, &id));
    assert_eq!(ObjectEvent::from(arrival.created), created);
    for position in [0, 2] {
        let read = Arrival::read(&log, &blobs, Position(position)).await;
        assert!(read.is_err(), "{position}: {read:?}");
    }
}
