//! The intake and a reconcile together, against a simple model: whatever a store repeats, loses and
//! reorders, after one reconcile each version that is in the bucket was created once, and each
//! pipeline that wants it has one outcome.

mod shelf;
mod story;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::env;

use bytes::Bytes;
use daybook_domain::execution::{
    AttemptReport, Cause, Claim, CodeRevision, Execution, ExecutionCommand, ExecutionEvent,
    StartExecution, TaskOutcome, TriggerObject, id_of, stream_of,
};
use daybook_domain::pipeline::{self, Pipeline, PipelineCommand, Trigger};
use daybook_domain::reconcile::{Counts, Reconcile, ReconcileStarted, Source};
use daybook_domain::stored_object::{ObjectCreated, ObjectEvent};
use daybook_domain::{Chain, Event, ExecutionId, ObjectKey, PipelineName, WorkerId, asl};
use daybook_event_store::blobs::BlobStore;
use daybook_event_store::memory::MemoryEventLog;
use daybook_event_store::{Position, RecordedEvent};
use daybook_intake::{Delivery, Transport};
use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::arrival::Arrival;
use crate::clock;
use crate::intake::{Answered, Intake, IntakeConfig, NoSns};
use crate::room::Room;
use story::{Happened, Kind, Random};

/// So many sequences have a ledger together: that bounds the memory of a long run.
const ROUND: u64 = 1_000;

/// How many sequences the suite generates.
const SEQUENCES: u64 = 400;

/// How many records are delivered together.
const TOGETHER: usize = 10;

fn number(name: &str, default: u64) -> u64 {
    let given = env::var(name).ok().and_then(|text| text.parse().ok());
    given.unwrap_or(default)
}

#[tokio::test]
async fn after_one_reconcile_each_version_was_created_once_and_has_its_outcomes() {
    let sequences = number("DAYBOOK_TEST_INTAKE_SEQUENCES", SEQUENCES);
    let seed = number(
        "DAYBOOK_TEST_SEED",
        clock::now().as_microsecond().unsigned_abs(),
    );
    println!("DAYBOOK_TEST_SEED={seed} ({sequences} sequences)");
    let mut random = Random(seed);
    let mut left = sequences;
    while left > 0 {
        let round = left.min(ROUND);
        left -= round;
        Round::new(&mut random, round).run(&mut random).await;
    }
}

/// The event by which it is resumed can be read before the process that recorded it has kept the fold
/// that comes of it.
#[tokio::test]
async fn one_that_was_resumed_goes_on_though_the_kept_fold_says_it_is_paused() {
    let mut random = Random(1);
    let round = Round::new(&mut random, 8);
    let (kept, other) = (round.tools(false), round.tools(false));
    let id = ReconcileId(clock::random_id());
    let actor = || "test".to_owned();
    let start = ReconcileCommand::Start(started(id, Kind::ALL[0], true));
    kept.command(id, start, b"start").await.unwrap();
    let pause = ReconcileCommand::Pause { actor: actor() };
    kept.command(id, pause, b"pause").await.unwrap();
    let resume = ReconcileCommand::Resume { actor: actor() };
    other.command(id, resume, b"resume").await.unwrap();

    drive(kept, id, CancellationToken::new()).await;
    let reconcile = other.ledger.read::<Reconcile>(&super::stream_of(id)).await;
    let reconcile = reconcile.unwrap().unwrap();
    assert_eq!(reconcile.phase, Some(ReconcilePhase::Completed));
}

struct Round {
    ledger: Ledger,
    happened: Vec<Happened>,
    buckets: Arc<shelf::Shelf>,
    dir: tempfile::TempDir,
}

impl Round {
    fn new(random: &mut Random, sequences: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let blobs = BlobStore::open(dir.path().to_str().unwrap()).unwrap();
        let (happened, shelf) = story::happen(random, sequences);
        Self {
            ledger: Ledger::new(MemoryEventLog::new(), blobs, false),
            happened,
            buckets: Arc::new(shelf),
            dir,
        }
    }

    async fn run(&self, random: &mut Random) {
        let deliveries = story::deliveries(random, self.happened.len());
        // Some come after the reconcile only.
        let late = deliveries.len() - deliveries.len() / 20;
        self.deliver(random, &deliveries[..late]).await;
        let lost = self.reconcile(false).await;
        let again = self.reconcile(true).await;
        assert_eq!(differences(&again), 0, "{again:?} after {lost:?}");
        self.check_creations().await;
        self.deliver(random, &deliveries[late..]).await;
        self.check_creations().await;
        // That an object is gone has no time where a listing found it: an arrival from before, told
        // after that, is taken for news until the next reconcile.
        let late = self.reconcile(false).await;
        let gone: u64 = late.iter().map(|it| it.gone).sum();
        assert_eq!(differences(&late), gone, "{late:?} after {lost:?}");
        let again = self.reconcile(true).await;
        assert_eq!(differences(&again), 0, "{again:?} after {late:?}");
        self.check_creations().await;
        self.run_pipelines().await;
        self.check_outcomes().await;
    }

    /// Delivers in batches, now and then to a process that has just started.
    async fn deliver(&self, random: &mut Random, deliveries: &[usize]) {
        let mut intake = self.intake();
        for batch in deliveries.chunks(TOGETHER) {
            if random.below(50) == 0 {
                intake = self.intake();
            }
            let told: Vec<_> = batch.iter().map(|place| &self.happened[*place]).collect();
            for document in story::documents(&told) {
                let delivery = Delivery {
                    transport: Transport::Http,
                    method: "POST".to_owned(),
                    headers: Vec::new(),
                    query: Vec::new(),
                    body: Bytes::from(document.to_string()),
                };
                let delivered = intake.deliver(None, delivery).await;
                assert_eq!(delivered.response.status, 200, "{document} {delivered:?}");
                let verdicts = delivered.records.iter().map(|record| record.verdict);
                assert!(
                    verdicts
                        .into_iter()
                        .all(|it| it.is_some_and(|it| it != Answered::Error)),
                    "{document}: {delivered:?}"
                );
            }
        }
    }

    fn intake(&self) -> Intake {
        // What a process remembers beside the log is gone with it.
        let blobs = BlobStore::open(self.dir.path().to_str().unwrap()).unwrap();
        let ledger = Ledger::new(self.ledger.log().clone(), blobs, true);
        Intake::new(ledger, Arc::new(NoSns), IntakeConfig::default()).unwrap()
    }

    /// Those of a process of its own.
    fn tools(&self, shared: bool) -> Tools {
        let blobs = BlobStore::open(self.dir.path().to_str().unwrap()).unwrap();
        Tools {
            ledger: Ledger::new(self.ledger.log().clone(), blobs, shared),
            buckets: self.buckets.clone(),
            live: LiveReconciles::default(),
            room: Room::for_each(usize::MAX),
            region: "us-east-1".to_owned(),
            limits: ReconcileLimits {
                grace: std::time::Duration::ZERO,
                ..ReconcileLimits::default()
            },
        }
    }

    /// Compares all buckets, one after the other.
    async fn reconcile(&self, dry_run: bool) -> Vec<Counts> {
        let tools = self.tools(true);
        let mut counts = Vec::new();
        for kind in Kind::ALL {
            let id = ReconcileId(clock::random_id());
            let start = ReconcileCommand::Start(started(id, kind, dry_run));
            tools.command(id, start, b"start").await.unwrap();
            drive(tools.clone(), id, CancellationToken::new()).await;
            let done = tools.ledger.load::<Reconcile>(&super::stream_of(id)).await;
            let done = done.unwrap().unwrap();
            assert_eq!(
                done.phase,
                Some(ReconcilePhase::Completed),
                "{:?}",
                done.why
            );
            counts.push(done.counts);
        }
        counts
    }

    async fn events(&self) -> Vec<RecordedEvent> {
        self.ledger
            .log()
            .read_all(Position::START, usize::MAX)
            .await
            .unwrap()
    }

    /// The versions that were created, each with how often; by bucket, key and the store's time.
    async fn creations(&self) -> BTreeMap<(String, ObjectKey, Timestamp), Vec<ObjectCreated>> {
        let mut creations: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for event in self.events().await {
            if &*event.event_type != "ObjectCreated" {
                continue;
            }
            let body = serde_json::from_slice(&event.data).unwrap();
            let ObjectEvent::ObjectCreated(created) =
                ObjectEvent::from_json(&event.event_type, event.schema_version, body).unwrap()
            else {
                unreachable!()
            };
            if created.repeated {
                continue;
            }
            let told = created.told.as_ref().and_then(|told| told.event_time);
            let at = told.or(created.version.modified_at).unwrap();
            let key = (created.bucket.to_string(), created.key.clone(), at);
            creations.entry(key).or_default().push(created);
        }
        creations
    }

    async fn check_creations(&self) {
        let creations = self.creations().await;
        for (key, created) in &creations {
            assert_eq!(created.len(), 1, "{key:?} was created twice: {created:#?}");
        }
        for (bucket, keys) in &self.buckets.0 {
            for (key, stack) in keys {
                for version in stack.iter().flatten() {
                    let at = version.modified_at.unwrap();
                    let created = creations.get(&(bucket.to_string(), key.clone(), at));
                    assert!(
                        created.is_some(),
                        "{bucket}/{key} {version:?} was not created"
                    );
                }
            }
        }
    }
}

fn differences(counts: &[Counts]) -> u64 {
    let each = counts.iter();
    each.map(|it| it.missing + it.gone + it.changed + it.unsettled)
        .sum()
}

/// Two pipelines, one of which wants some objects only.
fn pipelines() -> [(PipelineName, Option<&'static str>); 2] {
    let name = |name: &str| name.parse().unwrap();
    [(name("all"), None), (name("some"), Some("in/"))]
}

impl Round {
    /// Makes the pipelines known, and runs what they owe until they owe nothing, as a worker does.
    async fn run_pipelines(&self) {
        for (name, prefix) in pipelines() {
            let triggers = Kind::ALL.map(|kind| Trigger {
                bucket: kind.bucket(),
                prefix: prefix.map(str::to_owned),
                suffix: None,
            });
            let revise = PipelineCommand::Revise {
                pipeline: name.clone(),
                definition: asl::Machine::of_function(&"work".parse().unwrap()),
                triggers: triggers.to_vec(),
                actor: "test".to_owned(),
            };
            let stream = pipeline::stream_of(&name);
            let origin = origin();
            self.ledger
                .execute::<Pipeline>(&stream, revise, &origin)
                .await
                .unwrap();
        }
        let mut worklist = crate::worklist::Worklist::default();
        // A pipeline wants what arrives once it is there.
        let (of_pipelines, others): (Vec<_>, Vec<_>) = self
            .events()
            .await
            .into_iter()
            .partition(|event| event.stream.as_str().starts_with("pipeline-"));
        for event in of_pipelines.iter().chain(&others) {
            worklist.position = Position(event.position.0 - 1);
            worklist.fold(event, self.ledger.blobs()).await.unwrap();
        }
        for (id, owed) in worklist.owed {
            let pipeline = owed.pipeline.clone();
            let (log, blobs) = (self.ledger.log(), self.ledger.blobs());
            let arrival = Arrival::read(log, blobs, owed.after).await.unwrap();
            let start = StartExecution {
                execution: id,
                pipeline,
                pipeline_revision: 1,
                definition: asl::Machine::of_function(&"work".parse().unwrap()),
                object: arrival.object(),
                cause: Cause::Trigger,
                input: json!({}),
                actor: format!("pipeline:{}", owed.pipeline),
                shadow: None,
                chain: Chain::default(),
                loop_depth: None,
                claim: Some(Claim {
                    worker: WorkerId(Uuid::nil()),
                    code: CodeRevision {
                        revision: 1,
                        sha256: "00".to_owned(),
                    },
                }),
            };
            let outcome = ExecutionCommand::RecordOutcome {
                task: 1,
                attempt: 1,
                worker: WorkerId(Uuid::nil()),
                outcome: TaskOutcome::Succeeded {
                    output: json!(null),
                },
                report: AttemptReport::default(),
                logs: String::new(),
            };
            for command in [ExecutionCommand::Start(start), outcome] {
                let stream = stream_of(id);
                let executed = self
                    .ledger
                    .execute::<Execution>(&stream, command, &origin())
                    .await;
                executed.unwrap();
            }
        }
    }

    /// Each version that was created has one outcome for each pipeline that wants it, and nothing
    /// else has one.
    async fn check_outcomes(&self) {
        let mut expected = BTreeSet::new();
        for ((_, key, _), created) in self.creations().await {
            for created in created {
                let object = TriggerObject {
                    bucket: created.bucket,
                    key: created.key,
                    version: created.version,
                };
                let wanting = pipelines().into_iter().filter(|(_, prefix)| {
                    prefix.is_none_or(|prefix| key.as_str().starts_with(prefix))
                });
                for (name, _) in wanting {
                    let first = expected.insert(id_of(&name, &object, &Cause::Trigger));
                    assert!(first, "two versions of {key} are one to {name}");
                }
            }
        }
        let mut outcomes: HashMap<ExecutionId, u32> = HashMap::new();
        for event in self.events().await {
            let Some(id) = event.stream.as_str().strip_prefix("execution-") else {
                continue;
            };
            let body = serde_json::from_slice(&event.data).unwrap();
            let event =
                ExecutionEvent::from_json(&event.event_type, event.schema_version, body).unwrap();
            let outcome = matches!(event, ExecutionEvent::ExecutionSucceeded(_));
            *outcomes.entry(id.parse().unwrap()).or_insert(0) += u32::from(outcome);
        }
        assert_eq!(outcomes.len(), expected.len());
        for id in expected {
            assert_eq!(outcomes.get(&id), Some(&1), "{id}");
        }
    }
}

fn started(reconcile: ReconcileId, kind: Kind, dry_run: bool) -> ReconcileStarted {
    ReconcileStarted {
        reconcile,
        bucket: kind.bucket(),
        prefix: String::new(),
        dry_run,
        source: Source::Listing,
        position: 0,
        pipeline: None,
        revision: None,
        filters: Vec::new(),
        rate: None,
        actor: "test".to_owned(),
        reason: None,
    }
}

fn origin() -> Origin {
    Origin {
        command: CommandId(clock::random_id()),
        correlation: "model".to_owned(),
        causation: None,
        actor: "test".to_owned(),
        traceparent: None,
    }
}
