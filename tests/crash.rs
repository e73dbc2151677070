//! `kill -9` at random moments loses nothing that was acknowledged and does nothing twice.
//!
//! Writers put objects, each one once, and note which were answered with a 200; the server is
//! killed and started again under them. After some kills the power seems to have failed as well:
//! files that had not been synced are gone or torn. At the end the log, the results and the read
//! models are compared with the notes.
//!
//! A longer run: `DAYBOOK_TEST_CRASH_ROUNDS=50 DAYBOOK_TEST_CRASH_OBJECTS=1000`. Each run prints
//! its seed; `DAYBOOK_TEST_SEED` sets it.

mod power;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use daybook_s3_gateway::client::{S3Client, S3ClientError};
use md5::{Digest, Md5};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};

use crate::support::checks::{
    TERMINAL, check_executions, check_log, complaints_of, created, of_type, version_of,
};
use crate::support::seeds::{Random, number, seed_of_now};
use crate::support::{Ledger, Server, eventually, files_below};

/// How many writers put at the same time.
const WRITERS: usize = 6;
/// How many keys they overwrite for each other.
const SHARED_KEYS: u64 = 8;
/// The kill follows at most so long after the objects of its round were let go.
const KILL_WITHIN_MS: u64 = 700;
/// Every so many rounds a start is killed as well, at most so long after it began.
const KILL_START_EVERY: u64 = 4;
const KILL_START_WITHIN_MS: u64 = 250;
/// One object in so many is big enough to be in the middle of its transfer.
const BIG_EVERY: u64 = 10;
const BIG_BYTES: usize = 2 << 20;
/// Every so many kills the power stays on.
const KILL_ONLY_EVERY: u64 = 3;
/// So that what is in the journal of a bucket is nowhere else for certain.
const NO_CHECKPOINTS: &str = "[limits]\njournal_flush_every = \"1h\"\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_any_number_of_kills() {
    let rounds = number("DAYBOOK_TEST_CRASH_ROUNDS", 6);
    let objects = number("DAYBOOK_TEST_CRASH_OBJECTS", 150);
    let seed = number("DAYBOOK_TEST_SEED", seed_of_now());
    println!("DAYBOOK_TEST_SEED={seed} ({rounds} rounds, {objects} objects)");
    let mut random = Random(seed);
    let plan = plan(&mut random, objects);

    let ledger = Ledger::uppercase();
    let config = std::fs::read_to_string(ledger.config()).unwrap();
    ledger.write("daybook.toml", format!("{config}\n{NO_CHECKPOINTS}"));
    let mut hit = 0;
    let (serving, served) = watch::channel(None);
    let permits = Arc::new(Semaphore::new(0));
    let puts = Arc::new(Mutex::new(Vec::new()));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let own = plan.iter().skip(writer).step_by(WRITERS).cloned().collect();
            tokio::spawn(write(own, served.clone(), permits.clone(), puts.clone()))
        })
        .collect();

    let share = usize::try_from(objects.div_ceil(rounds)).unwrap();
    let mut complaints = Vec::new();
    for round in 0..rounds {
        if random.below(KILL_START_EVERY) == 0 {
            let pause = Duration::from_millis(random.below(KILL_START_WITHIN_MS));
            ledger.start_and_kill_after(pause).await;
        }
        let server = ledger.start().await;
        serving.send_replace(Some((round, server.client())));
        permits.add_permits(share);
        // Rather soon than late: in the midst of the puts, or of what follows from them.
        let within = 1 + random.below(KILL_WITHIN_MS);
        tokio::time::sleep(Duration::from_millis(random.below(within))).await;
        complaints.extend(complaints_of(&server));
        server.kill().await;
        eventually("no function outlives its server", || async {
            ledger.function_processes().is_empty().then_some(())
        })
        .await;
        if round % KILL_ONLY_EVERY != 0 {
            hit += power::fail(&ledger.path("inbox"), "own/");
        }
    }
    let server = ledger.start().await;
    serving.send_replace(Some((rounds, server.client())));
    permits.add_permits(plan.len());
    for writer in writers {
        writer
            .await
            .expect("a writer's puts are answered or broken off");
    }
    // Once more, when there is something in the journal for certain.
    complaints.extend(complaints_of(&server));
    server.kill().await;
    hit += power::fail(&ledger.path("inbox"), "own/");
    println!("{hit} objects were torn or taken away");
    assert!(hit > 0, "the journal is used");
    let server = ledger.start().await;

    complaints.extend(complaints_of(&server));
    assert_eq!(complaints, Vec::<String>::new(), "servers complained");
    let puts = std::mem::take(&mut *puts.lock().unwrap());
    assert_eq!(puts.len(), plan.len(), "each object was put once");
    let acknowledged = puts.iter().filter(|put| put.acknowledged).count();
    println!("{acknowledged} of {} puts were acknowledged", puts.len());
    let log = quiet_log(&server).await;
    let interrupted = of_type(&log, "TaskInterrupted").count();
    println!("{interrupted} attempts were interrupted");
    check_log(&log);
    check_versions(&log, &puts);
    let runs = check_executions(&log);
    check_results(&server.client(), &log, &puts, &runs).await;
    check_read_models(&server).await;
    for bucket in ["inbox", "results"] {
        let left = files_below(&ledger.path(bucket).join(".daybook/tmp"));
        assert!(left.is_empty(), "{left:?}");
    }
    let (status, _) = server.stop().await;
    assert!(status.success(), "{status}");
    let left = files_below(&ledger.path("inbox/.daybook/journal"));
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(ledger.function_processes(), Vec::<String>::new());
}

/// An object to put.
#[derive(Clone, Debug)]
struct Planned {
    key: String,
    body: String,
}

/// What became of it.
#[derive(Clone, Debug)]
struct Put {
    key: String,
    body: String,
    etag: String,
    acknowledged: bool,
}

/// Half of the objects have keys of their own, the others overwrite each other. No two are equal.
fn plan(random: &mut Random, objects: u64) -> Vec<Planned> {
    (0..objects)
        .map(|number| {
            let key = if random.below(2) == 0 {
                format!("own/object-{number}.txt")
            } else {
                format!("shared/object-{}.txt", random.below(SHARED_KEYS))
            };
            let length = if random.below(BIG_EVERY) == 0 {
                BIG_BYTES
            } else {
                usize::try_from(random.below(2_000)).unwrap()
            };
            let body = format!("object {number} of the test: {}", "abc ".repeat(length / 4));
            Planned { key, body }
        })
        .collect()
}

/// Puts objects, each one once, as long as there is a server, and notes what became of each.
async fn write(
    plan: Vec<Planned>,
    mut served: watch::Receiver<Option<(u64, S3Client)>>,
    permits: Arc<Semaphore>,
    puts: Arc<Mutex<Vec<Put>>>,
) {
    let mut broken = None;
    for Planned { key, body } in plan {
        permits.acquire().await.unwrap().forget();
        let server = served
            .wait_for(|server| {
                let generation = server.as_ref().map(|(generation, _)| *generation);
                generation.is_some() && generation != broken
            })
            .await
            .unwrap()
            .clone();
        let (generation, s3) = server.expect("it was waited for");
        let acknowledged = match s3.put("inbox", &key, body.clone().into()).await {
            Ok(()) => true,
            Err(S3ClientError::Transport { .. }) => {
                broken = Some(generation);
                false
            }
            Err(error) => panic!("{error}"),
        };
        puts.lock().unwrap().push(Put {
            etag: etag(&body),
            key,
            body,
            acknowledged,
        });
    }
}

/// The whole log, once each object version in `inbox` has a run that ended.
async fn quiet_log(server: &Server) -> Vec<Value> {
    eventually("all that arrived was processed", || async {
        let created = created(&server.events(&["ObjectCreated"]).await, "inbox").len();
        let ended = server.events(&TERMINAL).await.len();
        (ended >= created).then_some(())
    })
    .await;
    server.events(&[]).await
}

/// Each version that was acknowledged is recorded once, and none that was not put.
fn check_versions(log: &[Value], puts: &[Put]) {
    let mut recorded: HashMap<(&str, &str), usize> = HashMap::new();
    for event in created(log, "inbox") {
        *recorded.entry(version_of(event)).or_default() += 1;
    }
    for put in puts {
        let times = recorded
            .remove(&(put.key.as_str(), put.etag.as_str()))
            .unwrap_or_default();
        if put.acknowledged {
            assert_eq!(times, 1, "{} with {} was acknowledged", put.key, put.etag);
        } else {
            assert!(times <= 1, "{} is recorded {times} times", put.key);
        }
    }
    assert!(recorded.is_empty(), "nobody put these: {recorded:?}");
}

/// Each run wrote what it had to; keys that were put once hold it, the others a version's result.
async fn check_results(
    s3: &S3Client,
    log: &[Value],
    puts: &[Put],
    runs: &BTreeMap<(String, String), String>,
) {
    let mut newest: BTreeMap<&str, &str> = BTreeMap::new();
    for event in created(log, "inbox") {
        let (key, etag) = version_of(event);
        newest.insert(key, etag);
    }
    let mut written: HashMap<&str, &Value> = HashMap::new();
    for event in of_type(log, "TaskSucceeded") {
        let stream = event["stream"].as_str().unwrap();
        let other = written.insert(stream, &event["data"]["report"]["written"]);
        assert_eq!(other, None, "{stream} has two outcomes");
    }
    let mut right: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for put in puts {
        let Some(stream) = runs.get(&(put.key.clone(), put.etag.clone())) else {
            continue;
        };
        let result = put.body.to_uppercase();
        let access = &written[stream.as_str()][0];
        assert_eq!(access["bucket"], "results", "{stream}");
        assert_eq!(access["key"], put.key, "{stream}");
        assert_eq!(access["etag"], etag(&result), "{stream}");
        right.entry(&put.key).or_default().push(result);
        if newest[put.key.as_str()] == put.etag {
            let object = s3.get("inbox", &put.key).await.unwrap();
            assert!(object == put.body.as_bytes(), "{} is the newest", put.key);
        }
    }
    for (key, right) in right {
        let result = s3.get("results", key).await.unwrap();
        assert!(
            right.iter().any(|right| result == right.as_bytes()),
            "results/{key} is none of {} right ones",
            right.len()
        );
    }
}

async fn check_read_models(server: &Server) {
    let (status, report) = server.post("/v1/projections/all/rebuild", json!({})).await;
    assert_eq!(status, 200, "{report:#}");
    assert_eq!(report["equal"], true, "{report:#}");
}

fn etag(body: &str) -> String {
    hex::encode(Md5::digest(body))
}
