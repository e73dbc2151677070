//! `daybook bench reconcile`: a bucket of many objects, a ledger that differs from it in some places,
//! and how long the comparison takes, in how much memory, and whether it finds just those.
//!
//! Files and events are planted as the gateway would have written them, without its syncs; then the
//! real server starts on them and is asked for a dry run.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use daybook_domain::stored_object::{
    Channel, ObjectCommand, ObjectVersion, OrderMark, RecordCreated, StoredObject, stream_of,
};
use daybook_domain::{Aggregate, BucketName, Context as Deciding, Event, ObjectKey};
use daybook_event_store::{Append, EventLog, EventMetadata, Expected, NewEvent, StreamName};
use daybook_s3_gateway::Planter;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::actor;
use crate::cli::BenchReconcileArgs;
use crate::client::Client;
use crate::config::Config;
use crate::roles::Roles;
use crate::server::Server;
use crate::store;

const CONFIG: &str = r#"
[buckets.inbox]
path = "inbox"
"#;

/// How many events are appended at once.
const BATCH: usize = 1_000;

/// How many objects a folder has.
const FOLDER: usize = 1_000;

/// How often the server is asked how far it is.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Checked and found wanting.
const WANTING: u8 = 3;

/// What is done to an object, so that bucket and ledger differ.
const KINDS: [&str; 3] = ["missing", "gone", "changed"];

pub(crate) async fn run(args: BenchReconcileArgs) -> Result<ExitCode> {
    ensure!(
        args.faults <= args.objects,
        "no more faults than objects can be planted"
    );
    let parent = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let dir = tempfile::Builder::new()
        .prefix("daybook-bench-")
        .tempdir_in(&parent)
        .with_context(|| format!("no folder can be made in {}", parent.display()))?;
    let path = dir.path().join("daybook.toml");
    std::fs::write(&path, CONFIG)?;
    let begun = Instant::now();
    let planted = plant(&Config::load(&path, None)?, dir.path(), &args).await?;
    println!(
        "planted {} objects and {} faults in {:.1?}",
        args.objects,
        planted.len(),
        begun.elapsed()
    );
    let loopback = "127.0.0.1:0".parse()?;
    let begun = Instant::now();
    let config = Config::load(&path, None)?;
    let server = Server::start(config, Roles::ALL, loopback, loopback, actor::name()).await?;
    let client = Client::new(&format!("http://{}", server.api));
    println!("the server started in {:.1?}", begun.elapsed());
    let compared = compare(&client).await;
    server.stop().await;
    let found = compared?;
    let invented = found.difference(&planted).count();
    let missed = planted.difference(&found).count();
    println!(
        "planted faults found: {}, not found: {missed}, invented: {invented}",
        found.len() - invented
    );
    Ok(match missed + invented {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(WANTING),
    })
}

type Faults = BTreeSet<(String, String)>;

/// Plants bucket and ledger. Returns where they differ, by kind and key.
async fn plant(config: &Config, dir: &Path, args: &BenchReconcileArgs) -> Result<Faults> {
    let bucket: BucketName = "inbox".parse()?;
    let mut planter = Planter::open(bucket.clone(), &dir.join("inbox"))?;
    let store = store::open(config, Roles::ALL).await?;
    let every = args
        .objects
        .checked_div(args.faults)
        .unwrap_or(usize::MAX)
        .max(1);
    let (mut planted, mut batch) = (Faults::new(), Vec::with_capacity(BATCH));
    for number in 0..args.objects {
        // Not in the order of keys, as in life.
        let scattered = scatter(number, args.objects);
        let key = format!("{:05}/object-{scattered:08}.txt", scattered / FOLDER);
        let stamp = Uuid::from_u128(number as u128 + 1);
        let fault = (number % every == every / 2 && planted.len() < args.faults)
            .then(|| KINDS[planted.len() % KINDS.len()]);
        let (version, order) = match fault {
            Some("gone") => (gone(stamp), None),
            _ => {
                let (version, order) = planter.plant(&key, stamp, key.as_bytes())?;
                (version, Some(order))
            }
        };
        let recorded = match fault {
            Some("missing") => None,
            Some("changed") => Some(gone(Uuid::from_u128(u128::MAX - number as u128))),
            _ => Some(version),
        };
        if let Some(fault) = fault {
            planted.insert((fault.to_owned(), key.clone()));
        }
        if let Some(version) = recorded {
            batch.push(append(&bucket, &key, version, order)?);
        }
        if batch.len() == BATCH {
            appended(&*store.log, &mut batch).await?;
        }
    }
    appended(&*store.log, &mut batch).await?;
    store.log.close().await;
    Ok(planted)
}

/// A permutation of the numbers below a count.
fn scatter(number: usize, count: usize) -> usize {
    // A prime that is no factor of any count met here.
    const STEP: u128 = 2_147_483_647;
    usize::try_from(number as u128 * STEP % count as u128).unwrap_or(number)
}

/// A version that is in no bucket.
fn gone(stamp: Uuid) -> ObjectVersion {
    ObjectVersion {
        version_id: Some(stamp.simple().to_string()),
        etag: Some("0cc175b9c0f1b6a831c399e269772661".to_owned()),
        size: Some(1),
        modified_at: Some(Timestamp::UNIX_EPOCH),
        stamp: Some(stamp),
    }
}

fn append(
    bucket: &BucketName,
    key: &str,
    version: ObjectVersion,
    order: Option<OrderMark>,
) -> Result<Append> {
    let key = ObjectKey::parse(key)?;
    let event_id = version.stamp.unwrap_or_default();
    let stream = StreamName::new(stream_of(bucket, &key));
    let created = RecordCreated {
        bucket: bucket.clone(),
        key,
        version,
        channel: Channel::Gateway,
        event_name: "ObjectCreated:Put".to_owned(),
        order,
        produced_by: None,
    };
    let deciding = Deciding {
        now: Timestamp::UNIX_EPOCH,
        seed: 0,
    };
    let command = ObjectCommand::RecordCreated(created);
    let events = StoredObject::default().decide(command, &deciding)?;
    let events = events.into_iter().map(|event| {
        Ok(NewEvent {
            event_id,
            event_type: event.event_type().into(),
            schema_version: event.schema_version(),
            data: serde_json::to_vec(&event.to_json())?.into(),
            metadata: EventMetadata::default(),
        })
    });
    Ok(Append {
        stream,
        expected: Expected::NoStream,
        events: events.collect::<Result<_>>()?,
    })
}

async fn appended(log: &dyn EventLog, batch: &mut Vec<Append>) -> Result<()> {
    for appended in log.append_each(std::mem::take(batch)).await {
        appended?;
    }
    Ok(())
}

/// Asks for a dry run, and waits for what it finds.
async fn compare(client: &Client) -> Result<Faults> {
    forget_peak();
    let before = memory_mb("VmRSS:")?;
    let begun = Instant::now();
    let request = json!({ "bucket": "inbox", "dryRun": true });
    let started = client.post("/v1/reconciles", request).await?;
    let id = started["reconcile"].as_str().unwrap_or_default().to_owned();
    let answer = loop {
        let answer = client.get(&format!("/v1/reconciles/{id}")).await?;
        match answer["status"].as_str() {
            Some("RUNNING") => tokio::time::sleep(ASK_EVERY).await,
            Some("COMPLETED") => break answer,
            _ => bail!("the reconcile did not complete: {answer:#}"),
        }
    };
    println!(
        "compared {} keys in {:.1?}; resident memory {before} MB before, {} MB at most",
        answer["counts"]["keys"],
        begun.elapsed(),
        memory_mb("VmHWM:")?
    );
    let (mut found, mut from) = (Faults::new(), Some(0));
    while let Some(at) = from {
        let path = format!("/v1/reconciles/{id}/findings?from={at}");
        let page = client.get(&path).await?;
        for finding in page["findings"].as_array().into_iter().flatten() {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            found.insert((text(&finding["kind"]), text(&finding["key"])));
        }
        from = page["next"].as_u64();
    }
    Ok(found)
}

/// Begins to measure the peak of the resident memory anew. Where that cannot be, the peak is that of
/// the whole run.
fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn memory_mb(name: &str) -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    Ok(kilobytes.with_context(|| format!("/proc tells no {name}"))? / 1024)
}
