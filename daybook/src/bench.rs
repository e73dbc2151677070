//! `daybook bench`: objects and invocations per second with the built-in function, hand-over at half
//! of that, and resident memory, beside a bare loop that does the same work with the same syncs on
//! the same disk.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use daybook_event_store::{EventLog, Position};
use daybook_s3_gateway::client::S3Client;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::actor;
use crate::bench_calls::Calls;
use crate::bench_intake;
use crate::bench_reconcile;
use crate::builtin::CALLED_AT;
use crate::cli::{BenchArgs, BenchCommand, BenchObjectsArgs};
use crate::config::Config;
use crate::roles::Roles;
use crate::server::{self, Server};

/// The size of each object: 1 KB of text.
const OBJECT_BYTES: usize = 1_000;

/// How many objects warm the processes up before each measurement.
const WARM_UP: usize = 100;

/// How many events of the log are read at once while counting outcomes.
const PAGE: usize = 1_000;

const CONFIG: &str = r#"
[buckets.inbox]
path = "inbox"
[buckets.results]
path = "results"
[pipelines.uppercase]
on = [{ bucket = "inbox" }]
run = "uppercase"
[functions.uppercase]
runtime = "builtin"
handler = "uppercase-timed"
concurrency = 16
read = ["inbox/*"]
write = ["results/*"]
"#;

pub(crate) async fn run(args: BenchArgs) -> Result<ExitCode> {
    match args.command {
        Some(BenchCommand::Reconcile(args)) => bench_reconcile::run(args).await,
        Some(BenchCommand::Intake(args)) => {
            bench_intake::run(args).await.map(|()| ExitCode::SUCCESS)
        }
        None => Box::pin(objects(args.objects))
            .await
            .map(|()| ExitCode::SUCCESS),
    }
}

async fn objects(args: BenchObjectsArgs) -> Result<()> {
    let parent = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let dir = tempfile::Builder::new()
        .prefix("daybook-bench-")
        .tempdir_in(&parent)
        .with_context(|| format!("no folder can be made in {}", parent.display()))?;
    println!(
        "objects of {OBJECT_BYTES} bytes, upper-cased, result and record on disk; {} each",
        args.objects
    );
    println!(
        "{:>9}  {:>12}  {:>16}  {:>7}  {:>9}  {:>24}",
        "IN FLIGHT", "OBJECTS/s", "BARE LOOP/s", "RATIO", "CALLS/s", "HAND-OVER p50, p99 (ms)"
    );
    let path = dir.path().join("daybook.toml");
    std::fs::write(&path, CONFIG)?;
    let loopback = "127.0.0.1:0".parse()?;
    let config = Config::load(&path, None)?;
    let calls = Calls::new(
        server::host_options(&config, dir.path().join("run"))?,
        dir.path(),
    )
    .await?;
    let server = Server::start(config, Roles::ALL, loopback, loopback, actor::name()).await?;
    let mut result = Ok(());
    for (round, in_flight) in args.in_flight.iter().enumerate() {
        result = measure(&server, &calls, dir.path(), round, *in_flight, args.objects).await;
        if result.is_err() {
            break;
        }
    }
    if result.is_ok() {
        println!(
            "resident memory: {} MB (server), {} MB (function processes)",
            resident_mb("self")?,
            children_mb()?
        );
    }
    server.stop().await;
    calls.stop().await;
    result
}

async fn measure(
    server: &Server,
    calls: &Calls,
    dir: &Path,
    round: usize,
    in_flight: usize,
    objects: usize,
) -> Result<()> {
    ensure!(
        in_flight > 0 && objects > 0,
        "--objects and --in-flight must be greater than 0"
    );
    let warm = Pace::AtOnce(in_flight);
    drive(server, &format!("warm-{round}"), warm, WARM_UP).await?;
    let start = Instant::now();
    drive(server, &format!("run-{round}"), warm, objects).await?;
    let ours = rate(objects, start.elapsed());
    let half = Pace::PerSecond(ours / 2.0);
    let mut handed_over = drive(server, &format!("half-{round}"), half, objects).await?;
    handed_over.sort_unstable();
    let bare_dir = dir.join(format!("bare-{round}"));
    let bare = tokio::task::spawn_blocking(move || bare_loop(&bare_dir, in_flight, objects));
    let theirs = rate(objects, bare.await??);
    let called = rate(objects, calls.measure(in_flight, objects).await?);
    let after = |hundredths: usize| {
        let place = (handed_over.len() * hundredths / 100).min(handed_over.len() - 1);
        handed_over[place] as f64 / 1e3
    };
    println!(
        "{in_flight:>9}  {ours:>12.0}  {theirs:>16.0}  {:>7.2}  {called:>9.0}  {:>15.2}, {:>7.2}",
        ours / theirs,
        after(50),
        after(99)
    );
    Ok(())
}

/// When the next object is put.
#[derive(Clone, Copy)]
enum Pace {
    /// So many are outstanding, from the PUT to the recorded outcome.
    AtOnce(usize),
    /// So many a second, whatever becomes of them.
    PerSecond(f64),
}

/// Puts objects and waits for their recorded outcomes. How long each was on its way from its
/// recorded `TaskScheduled` to the function, the sync of the log included, in microseconds.
async fn drive(server: &Server, prefix: &str, pace: Pace, objects: usize) -> Result<Vec<i64>> {
    let (s3, key) = server
        .s3()
        .context("a server with all roles has a gateway")?;
    let endpoint = format!("http://{s3}");
    let s3 = S3Client::new(&endpoint, "us-east-1", &key.access_key, &key.secret_key);
    let log = server.log();
    let free = Arc::new(Semaphore::new(match pace {
        Pace::AtOnce(in_flight) => in_flight,
        Pace::PerSecond(_) => 0,
    }));
    let outcomes = tokio::spawn(outcomes_of(
        log.clone(),
        log.head().await?,
        free.clone(),
        objects,
    ));
    let body = Bytes::from("a line of text that is made large\n".repeat(40)).slice(..OBJECT_BYTES);
    let start = tokio::time::Instant::now();
    let mut puts = JoinSet::new();
    for number in 0..objects {
        match pace {
            Pace::AtOnce(_) => free.acquire().await?.forget(),
            Pace::PerSecond(rate) => {
                let due = Duration::from_secs_f64(number as f64 / rate);
                tokio::time::sleep_until(start + due).await;
            }
        }
        let (s3, body, name) = (s3.clone(), body.clone(), format!("{prefix}/{number}"));
        puts.spawn(async move { s3.put("inbox", &name, body).await });
        while let Some(put) = puts.try_join_next() {
            put??;
        }
    }
    while let Some(put) = puts.join_next().await {
        put??;
    }
    outcomes.await?
}

/// Frees a place for each recorded outcome, until all have come; and how long each hand-over took.
async fn outcomes_of(
    log: Arc<dyn EventLog>,
    after: Position,
    free: Arc<Semaphore>,
    objects: usize,
) -> Result<Vec<i64>> {
    let mut subscription = log.subscribe(after);
    let mut scheduled = HashMap::new();
    let (mut handed_over, mut seen) = (Vec::with_capacity(objects), 0);
    while seen < objects {
        for event in subscription.next_batch(PAGE).await? {
            match &*event.event_type {
                "TaskScheduled" => {
                    scheduled.insert(event.stream, event.recorded_at.as_microsecond());
                }
                "TaskSucceeded" => {
                    let succeeded: Value = serde_json::from_slice(&event.data)?;
                    let called = succeeded["output"][CALLED_AT].as_i64();
                    let called = called.context("the function does not tell when it was called")?;
                    let scheduled = scheduled
                        .remove(&event.stream)
                        .context("a task succeeded that was not scheduled")?;
                    handed_over.push(called - scheduled);
                }
                "ExecutionSucceeded" => {
                    seen += 1;
                    free.add_permits(1);
                }
                "ExecutionFailed" => bail!(
                    "an execution failed: {}",
                    String::from_utf8_lossy(&event.data)
                ),
                _ => {}
            }
        }
    }
    ensure!(!handed_over.is_empty(), "no task succeeded");
    Ok(handed_over)
}

/// What the work itself costs on this disk: write the object, read it, write the result, write one
/// line of record; file, folder and record are synced, the record once for each group in flight.
fn bare_loop(dir: &Path, group: usize, objects: usize) -> Result<Duration> {
    let (inbox, results) = (dir.join("inbox"), dir.join("results"));
    std::fs::create_dir_all(&inbox)?;
    std::fs::create_dir_all(&results)?;
    let mut record = OpenOptions::new()
        .create(true)
        .append(true)
        .open(dir.join("record"))?;
    let body = "a line of text that is made large\n".repeat(40)[..OBJECT_BYTES].to_owned();
    let start = Instant::now();
    let mut number = 0;
    while number < objects {
        let last = objects.min(number + group);
        for name in number..last {
            write_synced(&inbox, &format!("{name}"), body.as_bytes())?;
            let text = std::fs::read_to_string(inbox.join(format!("{name}")))?;
            write_synced(&results, &format!("{name}"), text.to_uppercase().as_bytes())?;
            writeln!(record, "{{\"object\":\"{name}\",\"status\":\"SUCCEEDED\"}}")?;
        }
        record.sync_data()?;
        number = last;
    }
    Ok(start.elapsed())
}

fn write_synced(folder: &Path, name: &str, body: &[u8]) -> Result<()> {
    let temporary: PathBuf = folder.join(format!("{name}.tmp"));
    let mut file = File::create(&temporary)?;
    file.write_all(body)?;
    file.sync_all()?;
    std::fs::rename(&temporary, folder.join(name))?;
    File::open(folder)?.sync_all()?;
    Ok(())
}

pub(crate) fn rate(objects: usize, elapsed: Duration) -> f64 {
    objects as f64 / elapsed.as_secs_f64()
}

/// The resident memory of a process in MB, from `/proc`.
pub(crate) fn resident_mb(process: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    Ok(kilobytes.context("/proc tells no VmRSS")? / 1024)
}

fn children_mb() -> Result<u64> {
    let own = std::process::id();
    let mut total = 0;
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{name}/stat")) else {
            continue;
        };
        let Some((_, rest)) = stat.rsplit_once(") ") else {
            continue;
        };
        let parent = rest
            .split(' ')
            .nth(1)
            .and_then(|parent| parent.parse::<u32>().ok());
        if parent == Some(own) {
            total += resident_mb(&name).unwrap_or(0);
        }
    }
    Ok(total)
}
