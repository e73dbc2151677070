//! Commands against the real memory log.

use daybook_domain::execution::{ExecutionCommand, StartExecution, TriggerObject};
use daybook_domain::pipeline::PipelineCommand;
use daybook_domain::stored_object::{Channel, ObjectCommand, ObjectVersion, RecordCreated};
use daybook_domain::{Chain, asl, execution, stored_object};
use daybook_event_store::Direction;
use daybook_event_store::memory::MemoryEventLog;
use serde_json::json;
use uuid::Uuid;

use super::*;

pub(super) struct Given {
    pub(super) ledger: Ledger,
    dir: tempfile::TempDir,
}

impl Given {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let blobs = BlobStore::open(dir.path().to_str().unwrap()).unwrap();
        Self {
            ledger: Ledger::new(MemoryEventLog::new(), blobs, true),
            dir,
        }
    }

    /// Another process on the same log.
    pub(super) fn other(&self) -> Ledger {
        let blobs = BlobStore::open(self.dir.path().to_str().unwrap()).unwrap();
        Ledger::new(self.ledger.log().clone(), blobs, true)
    }
}

pub(super) fn origin(number: u128) -> Origin {
    Origin {
        command: CommandId(Uuid::from_u128(number)),
        correlation: "story".to_owned(),
        causation: None,
        actor: "cli:ada".to_owned(),
        traceparent: None,
    }
}

fn arrived(stamp: u128) -> (String, ObjectCommand) {
    arrived_at("a.txt", stamp)
}

pub(super) fn arrived_at(key: &str, stamp: u128) -> (String, ObjectCommand) {
    let (bucket, key) = ("inbox".parse().unwrap(), key.parse().unwrap());
    let stream = stored_object::stream_of(&bucket, &key);
    let version = ObjectVersion {
        stamp: Some(Uuid::from_u128(stamp)),
        ..Default::default()
    };
    let created = RecordCreated {
        bucket,
        key,
        version,
        channel: Channel::Gateway,
        event_name: "ObjectCreated:Put".to_owned(),
        order: None,
        produced_by: None,
    };
    (stream, ObjectCommand::RecordCreated(created))
}

fn start(input: serde_json::Value) -> (String, ExecutionCommand) {
    let execution = daybook_domain::ExecutionId(Uuid::from_u128(1));
    let object = TriggerObject {
        bucket: "inbox".parse().unwrap(),
        key: "a.txt".parse().unwrap(),
        version: ObjectVersion::default(),
    };
    let start = StartExecution {
        execution,
        pipeline: "upper".parse().unwrap(),
        pipeline_revision: 1,
        definition: asl::Machine::of_function(&"upper".parse().unwrap()),
        object,
        cause: execution::Cause::Trigger,
        input,
        actor: "pipeline:upper".to_owned(),
        shadow: None,
        chain: Chain::default(),
        loop_depth: None,
        claim: None,
    };
    (
        execution::stream_of(execution),
        ExecutionCommand::Start(start),
    )
}

#[tokio::test]
async fn a_command_is_recorded_with_its_origin() {
    let given = Given::new();
    let (stream, command) = arrived(1);
    let executed = given
        .ledger
        .execute::<StoredObject>(&stream, command, &origin(9))
        .await
        .unwrap();
    assert_eq!(executed.position, Some(Position(1)));
    assert!(executed.state.state.present);
    let recorded = given
        .ledger
        .log()
        .read_all(Position::START, 10)
        .await
        .unwrap();
    let metadata = &recorded[0].metadata;
    assert_eq!(metadata.actor.as_deref(), Some("cli:ada"));
    assert_eq!(metadata.correlation_id.as_deref(), Some("story"));
    assert_eq!(metadata.causation_id, Some(Uuid::from_u128(9).to_string()));
}

#[tokio::test]
async fn the_same_command_twice_is_once_also_from_another_process() {
    let given = Given::new();
    let other = given.other();
    let (stream, command) = arrived(1);
    for ledger in [&given.ledger, &other, &given.ledger] {
        ledger
            .execute::<StoredObject>(&stream, command.clone(), &origin(9))
            .await
            .unwrap();
    }
    assert_eq!(given.ledger.log().head().await.unwrap(), Position(1));
}

#[tokio::test]
async fn writers_that_race_decide_anew_on_what_the_other_did() {
    let given = Given::new();
    let ledgers = [given.ledger.clone(), given.other(), given.other()];
    let mut tasks = tokio::task::JoinSet::new();
    for (writer, ledger) in ledgers.into_iter().enumerate() {
        tasks.spawn(async move {
            for number in 0..20_u128 {
                let stamp = 1 + number + 100 * writer as u128;
                let (stream, command) = arrived(stamp);
                ledger
                    .execute::<StoredObject>(&stream, command, &origin(stamp))
                    .await
                    .unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let (stream, _) = arrived(1);
    for ledger in [given.ledger.clone(), given.other()] {
        let object: StoredObject = ledger.load(&stream).await.unwrap().unwrap();
        assert_eq!(object.state.versions, 60);
    }
}

/// A kept fold that is behind must not swallow a command.
#[tokio::test]
async fn that_there_is_nothing_to_do_is_for_the_stream_to_say() {
    let given = Given::new();
    let other = given.other();
    let stream = "pipeline-upper";
    let actor = || "cli:ada".to_owned();
    let revise = PipelineCommand::Revise {
        pipeline: "upper".parse().unwrap(),
        definition: asl::Machine::of_function(&"upper".parse().unwrap()),
        triggers: Vec::new(),
        actor: actor(),
    };
    let pause = PipelineCommand::Pause { actor: actor() };
    let resume = PipelineCommand::Resume { actor: actor() };
    let steps = [
        (&given.ledger, revise, 1),
        (&given.ledger, pause.clone(), 1),
        (&other, resume, 1),
        (&given.ledger, pause.clone(), 1),
        (&given.ledger, pause, 0),
    ];
    for (number, (ledger, command, recorded)) in steps.into_iter().enumerate() {
        let origin = origin(number as u128 + 1);
        let executed = ledger.execute::<Pipeline>(stream, command, &origin).await;
        assert_eq!(executed.unwrap().events.len(), recorded, "step {number}");
    }
}

#[tokio::test]
async fn big_payloads_go_to_the_blob_store_and_come_back() {
    let given = Given::new();
    let input = json!({ "text": "x".repeat(100_000) });
    let (stream, command) = start(input.clone());
    given
        .ledger
        .execute::<Execution>(&stream, command, &origin(1))
        .await
        .unwrap();
    let name = StreamName::new(stream.as_str());
    let log = given.ledger.log();
    let recorded = log
        .read_stream(&name, None, Direction::Forward, 10)
        .await
        .unwrap();
    assert!(recorded.iter().all(|event| event.data.len() < 20_000));
    let fresh: Execution = given.other().load(&stream).await.unwrap().unwrap();
    assert_eq!(fresh.task().unwrap().input, input);
}

#[tokio::test]
async fn a_refusal_records_nothing_and_says_why() {
    let given = Given::new();
    let (stream, _) = start(json!({}));
    let error = given
        .ledger
        .execute::<Execution>(&stream, ExecutionCommand::TimeOut, &origin(1))
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        CommandError::Refused(execution::ExecutionError::NotStarted)
    ));
    assert_eq!(given.ledger.log().head().await.unwrap(), Position::START);
    assert!(
        given
            .ledger
            .load::<Execution>(&stream)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_long_stream_is_folded_over_several_pages() {
    let given = Given::new();
    let pipeline: daybook_domain::PipelineName = "upper".parse().unwrap();
    let stream = daybook_domain::pipeline::stream_of(&pipeline);
    for number in 0..1_100_u128 {
        let command = daybook_domain::pipeline::PipelineCommand::Revise {
            pipeline: pipeline.clone(),
            definition: asl::Machine::of_function(&format!("f{number}").parse().unwrap()),
            triggers: Vec::new(),
            actor: "cli:ada".to_owned(),
        };
        given
            .ledger
            .execute::<Pipeline>(&stream, command, &origin(number))
            .await
            .unwrap();
    }
    let fresh: Pipeline = given.other().load(&stream).await.unwrap().unwrap();
    assert_eq!(fresh.current.unwrap().revision, 1_100);
}
