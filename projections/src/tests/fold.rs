//! Given events, these rows; and the same rows however the events are batched.

use std::sync::Arc;

use daybook_domain::CommandId;
use daybook_domain::execution::Cause;
use daybook_domain::reconcile::{
    Counts, Reconcile, ReconcileCommand, ReconcileStarted, Source, stream_of,
};
use daybook_domain::stored_object::{
    Channel, ObjectCommand, ObjectVersion, RecordCreated, RecordListed, StoredObject,
};
use daybook_domain::{ReconcileId, stored_object};
use daybook_event_store::{EventLog, Position};
use proptest::prelude::*;
use rusqlite::Connection;

use super::story::{Story, committed, failed, succeeded};
use crate::compare::{TableDigest, digests};
use crate::fold::fold_batch;
use crate::model;
use crate::pool::Reader;
use crate::projector::prepare_all;
use crate::query::{
    CostRow, ExecutionFilter, ExecutionOrder, ObjectFilter, ObjectOrder, Page, Touched,
};

/// Folds the whole log, in batches of a size.
async fn folded(story: &Story, batch: usize) -> Connection {
    let mut conn = model::in_memory().unwrap();
    let mut at = Position::START;
    loop {
        let events = story.log.read_all(at, batch).await.unwrap();
        let Some(last) = events.last() else {
            return conn;
        };
        at = last.position;
        let events: Vec<_> = events.into_iter().map(Arc::new).collect();
        let (prepared, fault) = prepare_all(&events, &story.blobs).await;
        assert!(fault.is_none(), "{fault:?}");
        fold_batch(&mut conn, &prepared).unwrap();
    }
}

async fn reader(story: &Story) -> Reader {
    Reader::over_memory(folded(story, 1000).await)
}

async fn status(story: &Story, key: &str) -> String {
    let object = reader(story).await.object("inbox", key, None).await;
    object.unwrap().unwrap().status
}

#[tokio::test]
async fn an_object_goes_from_pending_to_succeeded() {
    let story = Story::new();
    story.pipeline("p").await;
    story.put("a.txt", 1).await;
    assert_eq!(status(&story, "a.txt").await, "PENDING");
    let execution = story.start("p", "a.txt", 1).await;
    assert_eq!(status(&story, "a.txt").await, "PENDING");
    story.claim(execution).await;
    assert_eq!(status(&story, "a.txt").await, "RUNNING");
    story.end(execution, succeeded()).await;
    assert_eq!(status(&story, "a.txt").await, "SUCCEEDED");
}

#[tokio::test]
async fn a_repeated_write_of_the_same_execution_waits_for_nothing() {
    let story = Story::new();
    story.pipeline("p").await;
    let writer = daybook_domain::ExecutionId(uuid::Uuid::from_u128(5));
    story.put_by(writer, 1, "a.txt", 1).await;
    story.run("p", "a.txt", 1).await;
    assert_eq!(status(&story, "a.txt").await, "SUCCEEDED");
    story.put_by(writer, 2, "a.txt", 2).await;
    assert_eq!(status(&story, "a.txt").await, "SUCCEEDED");
    let other = daybook_domain::ExecutionId(uuid::Uuid::from_u128(6));
    story.put_by(other, 1, "a.txt", 3).await;
    assert_eq!(status(&story, "a.txt").await, "PENDING");
}

#[tokio::test]
async fn a_version_that_reappears_is_what_it_was() {
    let story = Story::new();
    story.pipeline("p").await;
    story.put("a.txt", 1).await;
    story.run("p", "a.txt", 1).await;
    let before = reader(&story).await.object("inbox", "a.txt", None).await;
    story.put("a.txt", 2).await;
    assert_eq!(status(&story, "a.txt").await, "PENDING");
    story.remove("a.txt").await;
    story.reappear("a.txt", 1).await;
    let after = reader(&story).await.object("inbox", "a.txt", None).await;
    let (before, after) = (before.unwrap().unwrap(), after.unwrap().unwrap());
    assert_eq!(after.status, "SUCCEEDED");
    assert_eq!(format!("{after:?}"), format!("{before:?}"));
}

#[tokio::test]
async fn an_object_that_no_pipeline_wants_is_unmatched() {
    let story = Story::new();
    story.put("before.txt", 1).await;
    story.pipeline("p").await;
    story.put("a.csv", 1).await;
    assert_eq!(status(&story, "before.txt").await, "UNMATCHED");
    assert_eq!(status(&story, "a.csv").await, "UNMATCHED");
}

#[tokio::test]
async fn the_least_finished_of_several_pipelines_speaks() {
    let story = Story::new();
    story.pipeline("p").await;
    story.pipeline("q").await;
    story.put("a.txt", 1).await;
    story.run("p", "a.txt", 1).await;
    assert_eq!(status(&story, "a.txt").await, "PENDING");
    story.run("q", "a.txt", 1).await;
    assert_eq!(status(&story, "a.txt").await, "SUCCEEDED");
}

#[tokio::test]
async fn a_redrive_makes_good_what_failed() {
    let story = Story::new();
    story.pipeline("p").await;
    story.put("a.txt", 1).await;
    let first = story.start("p", "a.txt", 1).await;
    story.claim(first).await;
    story.end(first, failed("no luck")).await;
    assert_eq!(status(&story, "a.txt").await, "FAILED");
    let second = story.redrive(first, "p", "a.txt", 1, 1).await;
    assert_eq!(status(&story, "a.txt").await, "PENDING");
    story.claim(second).await;
    story.end(second, succeeded()).await;
    assert_eq!(status(&story, "a.txt").await, "SUCCEEDED");

    let reader = reader(&story).await;
    let row = reader
        .execution(&second.to_string())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((row.generation, row.cause.as_str()), (2, "REDRIVE"));
    assert_eq!(row.redrive_of, Some(first.to_string()));
    assert_eq!(row.reason.as_deref(), Some("fixed"));
}

#[tokio::test]
async fn what_attempts_cost_is_added_up() {
    let story = Story::new();
    story.pipeline("p").await;
    story.put("a.txt", 1).await;
    let id = story.run("p", "a.txt", 1).await;
    let reader = reader(&story).await;
    let row = reader.execution(&id.to_string()).await.unwrap().unwrap();
    let cost = |runs: u64| CostRow {
        billed_ms: 20 * runs,
        mib_ms: 20 * 256 * runs,
    };
    assert_eq!(row.cost, cost(1));
    let shadow = story.shadow("p", "a.txt", 1, id).await;
    story.claim(shadow).await;
    story.end(shadow, failed("too late")).await;
    let reader = self::reader(&story).await;
    let of_object = reader.object_cost("inbox", "a.txt").await.unwrap();
    assert_eq!(of_object, cost(2));
    assert_eq!(reader.object_cost("inbox", "b.txt").await.unwrap(), cost(0));
    let now_us = row.started_at_us + 60_000_000;
    let days = reader.pipeline_costs("p", 30, now_us).await.unwrap();
    let together: u64 = days.iter().map(|(_, cost)| cost.mib_ms).sum();
    assert_eq!(together, cost(2).mib_ms);
    assert!(
        reader
            .pipeline_costs("q", 30, now_us)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn an_execution_has_its_steps_attempts_and_lineage() {
    let story = Story::new();
    story.pipeline("p").await;
    story.put("a.txt", 1).await;
    let id = story.run("p", "a.txt", 1).await;
    let reader = reader(&story).await;
    let row = reader.execution(&id.to_string()).await.unwrap().unwrap();
    assert_eq!((row.status.as_str(), row.generation), ("SUCCEEDED", 1));
    assert!(row.stopped_at_us > Some(row.started_at_us));

    let attempts = reader.attempts(row.position).await.unwrap();
    let [attempt] = attempts.as_slice() else {
        panic!("{attempts:?}");
    };
    assert_eq!((attempt.task, attempt.attempt), (1, 1));
    assert_eq!(attempt.status, "SUCCEEDED");
    assert_eq!(attempt.code_revision, Some(3));
    assert_eq!(attempt.code_sha256.as_deref(), Some("c0de"));
    assert_eq!(attempt.duration_ms, Some(12));

    assert_eq!(
        (attempt.billed_ms, attempt.memory_bytes),
        (Some(20), Some(256 << 20))
    );

    let steps = reader.steps(row.position).await.unwrap();
    assert_eq!(steps.len(), 1);
    assert!(steps[0].exited_at_us.is_some());

    let read = reader.objects_read(row.position).await.unwrap();
    assert_eq!((read.len(), read[0].bucket.as_str()), (1, "inbox"));
    assert_eq!(read[0].ranges, Some(vec![(2, 9)]));
    let written = reader.objects_written(row.position).await.unwrap();
    assert_eq!((written.len(), written[0].bucket.as_str()), (1, "results"));
    assert_eq!(written[0].ranges, None);

    let object = reader
        .object("inbox", "a.txt", None)
        .await
        .unwrap()
        .unwrap();
    let readers = ExecutionFilter {
        read: Some(Touched::from(&object)),
        ..ExecutionFilter::default()
    };
    let found = reader
        .executions(readers, ExecutionOrder::Started, false, Page::first(10))
        .await
        .unwrap();
    assert_eq!(found.rows.len(), 1);
}

#[tokio::test]
async fn a_shadow_changes_nothing_for_its_object() {
    let story = Story::new();
    story.pipeline("p").await;
    story.put("a.txt", 1).await;
    let first = story.start("p", "a.txt", 1).await;
    story.claim(first).await;
    story.end(first, failed("no luck")).await;
    let shadow = story.shadow("p", "a.txt", 1, first).await;
    assert_eq!(status(&story, "a.txt").await, "FAILED");
    story.claim(shadow).await;
    assert_eq!(status(&story, "a.txt").await, "FAILED");
    story.end(shadow, succeeded()).await;
    assert_eq!(status(&story, "a.txt").await, "FAILED");
    story.put_in_shadow("b.txt", 2, shadow).await;
    assert_eq!(status(&story, "b.txt").await, "UNMATCHED");

    let reader = reader(&story).await;
    let row = reader.execution(&shadow.to_string()).await.unwrap();
    let row = row.unwrap();
    assert_eq!(row.shadow, Some(shadow.to_string()));
    assert_eq!(row.status, "SUCCEEDED");
}

#[tokio::test]
async fn what_was_staged_counts_as_written_once_it_is_published() {
    let story = Story::new();
    story.pipeline("p").await;
    let published = story.start("p", "a.txt", 1).await;
    story.claim(published).await;
    story.end_staged(published, committed()).await;
    let waits = reader(&story).await;
    let row = waits.execution(&published.to_string()).await.unwrap();
    let row = row.unwrap();
    assert_eq!(row.status, "RUNNING");
    assert_eq!(
        waits.attempts(row.position).await.unwrap()[0].status,
        "RUNNING"
    );
    assert!(
        waits
            .objects_written(row.position)
            .await
            .unwrap()
            .is_empty()
    );
    story.publish(published).await;
    let discarded = story.start("p", "b.txt", 1).await;
    story.claim(discarded).await;
    story.end_staged(discarded, failed("no luck")).await;

    let reader = reader(&story).await;
    for (id, status, written, unpublished) in
        [(published, "SUCCEEDED", 1, 0), (discarded, "FAILED", 0, 1)]
    {
        let row = reader.execution(&id.to_string()).await.unwrap().unwrap();
        assert_eq!(row.status, status);
        let attempt = &reader.attempts(row.position).await.unwrap()[0];
        assert_eq!(attempt.status, status);
        let listed = reader.objects_written(row.position).await.unwrap();
        assert_eq!(listed.len(), written);
        let listed = reader.objects_unpublished(row.position).await.unwrap();
        assert_eq!(listed.len(), unpublished);
    }
    let wrote = ExecutionFilter {
        wrote: Some(Touched {
            bucket: "results".to_owned(),
            key: "a.txt".to_owned(),
            version_id: Some("v1".to_owned()),
            etag: None,
            by_execution: None,
        }),
        ..ExecutionFilter::default()
    };
    let found = reader.executions(wrote, ExecutionOrder::Started, false, Page::first(10));
    let found = found.await.unwrap();
    let ids: Vec<_> = found.rows.iter().map(|(_, row)| row.id.as_str()).collect();
    assert_eq!(ids, [published.to_string()]);
}

#[tokio::test]
async fn a_removed_object_stays_listed_and_is_not_present() {
    let story = Story::new();
    story.put("a.txt", 1).await;
    story.put("a.txt", 2).await;
    story.remove("a.txt").await;
    let reader = reader(&story).await;
    let object = reader
        .object("inbox", "a.txt", None)
        .await
        .unwrap()
        .unwrap();
    assert!(!object.present && object.newest && object.removed_at_us.is_some());
    assert_eq!(object.version_id.as_deref(), Some("v2"));
    let older = reader.object("inbox", "a.txt", Some("v1")).await;
    assert!(!older.unwrap().unwrap().newest);
    let present = ObjectFilter {
        present: Some(true),
        ..ObjectFilter::default()
    };
    let listed = reader.objects(present, ObjectOrder::Key, false, Page::first(5));
    assert!(listed.await.unwrap().rows.is_empty());
    let figures = reader.statistics(None, 0).await.unwrap();
    assert_eq!(figures.objects["UNMATCHED"], 0);
}

#[tokio::test]
async fn failures_of_one_kind_are_one_group() {
    let story = Story::new();
    story.pipeline("p").await;
    for (index, name) in ["a.txt", "b.txt"].into_iter().enumerate() {
        story.put(name, 1).await;
        let execution = story.start("p", name, 1).await;
        story.claim(execution).await;
        let cause = format!(r#"{{"errorMessage":"bad row {index}"}}"#);
        story.end(execution, failed(&cause)).await;
    }
    let reader = reader(&story).await;
    let groups = reader.failures(None, true, Page::first(10)).await.unwrap();
    assert_eq!(groups.rows.len(), 1);
    let group = &groups.rows[0].1;
    assert_eq!((group.count, group.message.as_str()), (2, "bad row #"));
}

#[tokio::test]
async fn big_texts_stay_references() {
    let story = Story::new();
    story.pipeline("p").await;
    story.put("a.txt", 1).await;
    let execution = story.start("p", "a.txt", 1).await;
    story.claim(execution).await;
    let (cause, logs) = ("x".repeat(20_000), "y".repeat(20_000));
    story.end_with(execution, failed(&cause), logs).await;
    let reader = reader(&story).await;
    let row = reader.execution(&execution.to_string()).await;
    let row = row.unwrap().unwrap();
    let cause = row.error_cause.unwrap();
    assert!(cause.contains("$blob") && cause.len() < 200, "{cause}");
    // What the attempt touched is known all the same.
    assert_eq!(reader.objects_read(row.position).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_redrive_for_a_long_reason_is_read() {
    let story = Story::new();
    story.pipeline("p").await;
    story.put("a.txt", 1).await;
    let first = story.run("p", "a.txt", 1).await;
    let reason = "because ".repeat(4_000);
    let cause = Cause::Redrive {
        of: first,
        command: CommandId(uuid::Uuid::from_u128(1)),
        reason: Some(reason.clone()),
    };
    let again = story.start_for("p", "a.txt", 1, cause).await;
    // The cause as a whole lies in the blob store, structure and text together.
    let events = story.log.read_all(Position::START, usize::MAX).await;
    let started = events.unwrap().into_iter().find(|event| {
        &*event.event_type == "ExecutionStarted"
            && event.stream.as_str().ends_with(&again.to_string())
    });
    let body: serde_json::Value = serde_json::from_slice(&started.unwrap().data).unwrap();
    assert!(body["cause"]["$blob"].is_object(), "{body}");
    let row = reader(&story).await.execution(&again.to_string()).await;
    let row = row.unwrap().unwrap();
    assert_eq!(row.cause, "REDRIVE");
    assert_eq!(row.reason, Some(reason));
}

/// What may happen to a few keys, driven by numbers.
async fn live(story: &Story, deeds: &[(u8, u8)]) {
    let mut version = 0;
    let mut open = Vec::new();
    let mut over = Vec::new();
    for (deed, which) in deeds {
        let name = ["a.txt", "b.txt", "c.csv"][usize::from(which % 3)];
        match deed % 9 {
            0 | 1 => {
                version += 1;
                story.put(name, version).await;
            }
            2 => {
                story.pipeline(["p", "q"][usize::from(which % 2)]).await;
            }
            3 | 4 if version > 0 => {
                let pipeline = ["p", "q"][usize::from(which % 2)];
                let execution = story.start(pipeline, name, version).await;
                if !open.contains(&(execution, name, version, pipeline))
                    && !over.contains(&(execution, name, version, pipeline))
                {
                    story.claim(execution).await;
                    open.push((execution, name, version, pipeline));
                }
            }
            5 => {
                if let Some(run) = open.pop() {
                    let outcome = match which % 2 {
                        0 => succeeded(),
                        _ => failed("bad luck 7"),
                    };
                    story.end(run.0, outcome).await;
                    over.push(run);
                }
            }
            6 => {
                story.remove(name).await;
            }
            7 => {
                if let Some((of, name, version, pipeline)) = over.last() {
                    let command = u128::from(*which);
                    story.redrive(*of, pipeline, name, *version, command).await;
                }
            }
            8 => {
                story.tell(name, which / 6, which % 5 == 0).await;
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn what_stores_told_is_listed_newest_first_with_its_verdict() {
    let story = Story::new();
    story.pipeline("p").await;
    story.put("b.txt", 1).await;
    story.tell("a.txt", 5, false).await;
    story.tell("a.txt", 5, false).await;
    story.tell("a.txt", 3, false).await;
    story.tell("a.txt", 9, true).await;
    let reader = reader(&story).await;
    let told = reader
        .notifications("inbox", "a.txt", Page::first(10))
        .await;
    let told: Vec<_> = told.unwrap().rows.into_iter().map(|(_, row)| row).collect();
    let verdicts: Vec<_> = told
        .iter()
        .map(|row| (row.verdict.as_str(), row.sequencer.as_deref().unwrap()))
        .collect();
    assert_eq!(
        verdicts,
        [
            ("ACCEPTED", "09"),
            ("STALE", "03"),
            ("DUPLICATE", "05"),
            ("ACCEPTED", "05"),
        ]
    );
    let first = &told[3];
    assert_eq!(first.source, "aws:s3");
    assert_eq!(first.channel, "aws:s3/eventbridge");
    assert_eq!(first.event_name.as_deref(), Some("ObjectCreated:Put"));
    assert_eq!(first.event_time_us, Some(super::story::BEGIN_US));
    assert_eq!(first.region.as_deref(), Some("eu-central-1"));
    assert_eq!((first.size, first.repeats), (Some(3), 0));
    assert_eq!(told[0].event_name.as_deref(), Some("ObjectRemoved:Delete"));
    assert!(told[1].why.contains("older"), "{}", told[1].why);
    // What the gateway wrote nobody told of.
    let told = reader
        .notifications("inbox", "b.txt", Page::first(10))
        .await;
    assert!(told.unwrap().rows.is_empty());
    let figures = reader.statistics(None, 0).await.unwrap();
    let by_source: Vec<_> = figures.notifications_by_source.into_iter().collect();
    let expected = [
        ("aws:s3/ACCEPTED".to_owned(), 2),
        ("aws:s3/DUPLICATE".to_owned(), 1),
        ("aws:s3/STALE".to_owned(), 1),
    ];
    assert_eq!(by_source, expected);
}

fn rows(conn: &Connection) -> Vec<TableDigest> {
    digests(conn).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_rows_do_not_depend_on_the_batches(
        deeds in prop::collection::vec((any::<u8>(), any::<u8>()), 0..60),
        batch in 1_usize..9,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all().build().unwrap();
        runtime.block_on(async {
            let story = Story::new();
            live(&story, &deeds).await;
            let at_once = rows(&folded(&story, 10_000).await);
            let bit_by_bit = rows(&folded(&story, batch).await);
            assert_eq!(at_once, bit_by_bit);
        });
    }

    /// Figures that are kept as events come are those that counting would give.
    #[test]
    fn figures_are_what_counting_gives(
        deeds in prop::collection::vec((any::<u8>(), any::<u8>()), 0..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all().build().unwrap();
        runtime.block_on(async {
            let story = Story::new();
            live(&story, &deeds).await;
            let conn = folded(&story, 7).await;
            for (kind, counting) in [
                ("execution_status", "SELECT count(*) FROM executions WHERE status = ?1"),
                ("object_status", "SELECT count(*) FROM objects WHERE present AND status = ?1"),
            ] {
                let mut kept = conn
                    .prepare("SELECT name, value FROM counters WHERE kind = ?1").unwrap();
                let kept = kept.query_map([kind], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
                for row in kept {
                    let (name, value): (String, i64) = row.unwrap();
                    let counted: i64 = conn
                        .query_row(counting, [&name], |row| row.get(0)).unwrap();
                    assert_eq!(value, counted, "{kind} {name}");
                }
            }
        });
    }
}

#[tokio::test]
async fn a_version_that_is_recorded_late_is_not_the_object() {
    let story = Story::new();
    story.pipeline("p").await;
    story.put("a.txt", 2).await;
    let before = reader(&story).await.object("inbox", "a.txt", None).await;
    let before = before.unwrap().unwrap();
    let (bucket, key) = ("inbox".parse().unwrap(), "a.txt".parse().unwrap());
    let stream = stored_object::stream_of(&bucket, &key);
    // What the ledger has for the object is in its newest event.
    let newest = story.log.read_all(Position(before.position - 1), 1).await;
    let newest: serde_json::Value = serde_json::from_slice(&newest.unwrap()[0].data).unwrap();
    let newest: ObjectVersion = serde_json::from_value(newest["version"].clone()).unwrap();
    let late = ObjectCommand::RecordListed(RecordListed {
        created: RecordCreated {
            bucket,
            key,
            version: ObjectVersion {
                version_id: Some("late".to_owned()),
                ..ObjectVersion::default()
            },
            channel: Channel::Listing,
            event_name: "ObjectCreated:Put".to_owned(),
            order: None,
            produced_by: None,
        },
        latest: false,
        newest: Some(newest),
    });
    story.decide::<StoredObject>(&stream, late).await;
    let reader = reader(&story).await;
    let object = reader.object("inbox", "a.txt", None).await.unwrap();
    assert_eq!(object.unwrap().position, before.position);
    let late = reader.object("inbox", "a.txt", Some("late")).await.unwrap();
    let late = late.unwrap();
    assert_eq!((late.status.as_str(), late.newest), ("PENDING", false));
}

#[tokio::test]
async fn a_reconcile_and_what_became_of_the_objects_are_told() {
    let story = Story::new();
    story.pipeline("p").await;
    for (number, key) in ["a/1.txt", "a/2.txt", "b.txt"].into_iter().enumerate() {
        story.put(key, number as u32 + 1).await;
    }
    story.run("p", "a/1.txt", 1).await;
    let mut ends = Vec::new();
    for (number, prefix) in [(9, "a/"), (10, "")] {
        let id = ReconcileId(uuid::Uuid::from_u128(number));
        let stream = stream_of(id);
        let start = ReconcileCommand::Start(ReconcileStarted {
            reconcile: id,
            bucket: "inbox".parse().unwrap(),
            prefix: prefix.to_owned(),
            dry_run: true,
            source: Source::Listing,
            position: 4,
            pipeline: Some("p".parse().unwrap()),
            revision: Some(3),
            filters: Vec::new(),
            rate: None,
            actor: "cli:ada".to_owned(),
            reason: None,
        });
        story.decide::<Reconcile>(&stream, start).await;
        let counts = Counts {
            keys: 2,
            missing: 1,
            ..Counts::default()
        };
        let complete = ReconcileCommand::Complete {
            counts,
            findings: Vec::new(),
            position: 7,
        };
        let head = story.decide::<Reconcile>(&stream, complete).await;
        ends.push((id, head));
    }
    let [(id, head), (whole, whole_head)] = ends[..] else {
        panic!("two of them");
    };
    // What comes later does not change the statement.
    story.run("p", "a/2.txt", 2).await;
    let now = story.log.head().await.unwrap();
    let reader = reader(&story).await;
    let row = reader.reconcile(&id.to_string()).await.unwrap().unwrap();
    let statuses = |of: &[(&str, u64)]| -> Vec<(String, u64)> {
        let of = of.iter();
        of.map(|(name, count)| ((*name).to_owned(), *count))
            .collect()
    };
    let done = row.completeness.unwrap();
    let expected = statuses(&[("PENDING", 1), ("SUCCEEDED", 1)]);
    assert_eq!((done.position, done.statuses), (head.0, expected));
    assert_eq!(row.revision, Some(3));
    let of_all = reader.reconcile(&whole.to_string()).await.unwrap().unwrap();
    let done = of_all.completeness.unwrap();
    let expected = statuses(&[("PENDING", 2), ("SUCCEEDED", 1)]);
    assert_eq!((done.position, done.statuses), (whole_head.0, expected));
    assert_eq!((row.bucket.as_str(), row.prefix.as_str()), ("inbox", "a/"));
    assert_eq!(
        (row.phase.as_str(), row.end_position),
        ("COMPLETED", Some(7))
    );
    let told: serde_json::Value = serde_json::from_str(&row.counts).unwrap();
    assert_eq!((&told["keys"], &told["missing"]), (&2.into(), &1.into()));
    assert_eq!(
        reader.reconciles(Page::first(10)).await.unwrap().rows.len(),
        2
    );
    let below = reader.completeness("inbox", "a/").await.unwrap();
    assert_eq!(below.statuses, statuses(&[("SUCCEEDED", 2)]));
    assert_eq!(below.position, now.0);
    let all = reader.completeness("inbox", "").await.unwrap();
    assert_eq!(all.statuses, statuses(&[("PENDING", 1), ("SUCCEEDED", 2)]));
    let none = reader.completeness("other", "").await.unwrap();
    assert!(none.statuses.is_empty());
}
