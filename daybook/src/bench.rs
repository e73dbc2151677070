//! `daybook bench`: objects and invocations per second with the built-in function, and resident
//! memory, beside a bare loop that does the same work with the same syncs on the same disk.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use daybook_event_store::{EventLog, Position};
use daybook_s3_gateway::client::S3Client;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::actor;
use crate::bench_calls::Calls;
use crate::bench_intake;
use crate::bench_reconcile;
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
handler = "uppercase"
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
        "{:>9}  {:>12}  {:>16}  {:>7}  {:>9}",
        "IN FLIGHT", "OBJECTS/s", "BARE LOOP/s", "RATIO", "CALLS/s"
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
    drive(server, &format!("warm-{round}"), in_flight, WARM_UP).await?;
    let elapsed = drive(server, &format!("run-{round}"), in_flight, objects).await?;
    let bare_dir = dir.join(format!("bare-{round}"));
    let bare = tokio::task::spawn_blocking(move || bare_loop(&bare_dir, in_flight, objects));
    let (ours, theirs) = (rate(objects, elapsed), rate(objects, bare.await??));
    let called = rate(objects, calls.measure(in_flight, objects).await?);
    println!(
        "{in_flight:>9}  {ours:>12.0}  {theirs:>16.0}  {:>7.2}  {called:>9.0}",
        ours / theirs
    );
    Ok(())
}

/// Puts objects, so many at once outstanding from the PUT to the recorded outcome.
async fn drive(
    server: &Server,
    prefix: &str,
    in_flight: usize,
    objects: usize,
) -> Result<Duration> {
    let (s3, key) = server
        .s3()
        .context("a server with all roles has a gateway")?;
    let endpoint = format!("http://{s3}");
    let s3 = S3Client::new(&endpoint, "us-east-1", &key.access_key, &key.secret_key);
    let log = server.log();
    let free = Arc::new(Semaphore::new(in_flight));
    let outcomes = tokio::spawn(count_outcomes(
        log.clone(),
        log.head().await?,
        free.clone(),
        objects,
    ));
    let body = Bytes::from("a line of text that is made large\n".repeat(40)).slice(..OBJECT_BYTES);
    let start = Instant::now();
    let mut puts = JoinSet::new();
    for number in 0..objects {
        free.acquire().await?.forget();
        let (s3, body, name) = (s3.clone(), body.clone(), format!("{prefix}/{number}"));
        puts.spawn(async move { s3.put("inbox", &name, body).await });
        while let Some(put) = puts.try_join_next() {
            put??;
        }
    }
    while let Some(put) = puts.join_next().await {
        put??;
    }
    outcomes.await??;
    Ok(start.elapsed())
}

/// Frees a place for each recorded outcome, until all have come.
async fn count_outcomes(
    log: Arc<dyn EventLog>,
    after: Position,
    free: Arc<Semaphore>,
    objects: usize,
) -> Result<()> {
    let mut subscription = log.subscribe(after);
    let mut seen = 0;
    while seen < objects {
        for event in subscription.next_batch(PAGE).await? {
            ensure!(
                &*event.event_type != "ExecutionFailed",
                "an execution failed: {}",
                String::from_utf8_lossy(&event.data)
            );
            if &*event.event_type == "ExecutionSucceeded" {
                seen += 1;
                free.add_permits(1);
            }
        }
    }
    Ok(())
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
