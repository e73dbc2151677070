//! How fast the SQLite log is, beside what the disk can do: a file written and synced in the same
//! manner by nothing else. Run it with `cargo bench -p daybook-event-store`; the folder is that of
//! `TMPDIR`, whose disk is what is measured.

#![allow(clippy::print_stdout, reason = "it is what a bench is for")]

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daybook_event_store::sqlite::{SqliteEventLog, SqliteOptions};
use daybook_event_store::{
    Append, EventLog, EventMetadata, Expected, NewEvent, Position, StreamName,
};
use futures::future::join_all;
use uuid::Uuid;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// How long each figure is measured.
const EACH: Duration = Duration::from_secs(3);
/// The data of one event, about that of a small outcome.
const EVENT_BYTES: usize = 400;
const PAGE: usize = 1_000;

fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Runtime::new()?;

    let alone = raw_syncs(folder.path(), EVENT_BYTES)?;
    println!("raw file, {EVENT_BYTES} bytes a sync      {alone:>10.0} syncs/s");
    let thousand = raw_syncs(folder.path(), EVENT_BYTES * 1_000)? * 1_000.0;
    println!("raw file, 1000 events a sync  {thousand:>10.0} events/s");

    let path = folder.path().join("events.sqlite");
    let log = SqliteEventLog::open(&path, SqliteOptions::default())?;
    let report = |name: &str, rate: f64, reference: f64, of: &str| {
        let ratio = rate / reference;
        println!("{name:<29} {rate:>10.0} events/s   {ratio:>6.2} of {of}");
    };
    let rate = runtime.block_on(clients(&log, 1, 1));
    report("1 client", rate, alone, "raw syncs");
    let rate = runtime.block_on(clients(&log, 64, 1));
    report("64 clients", rate, alone, "raw syncs");
    let rate = runtime.block_on(clients(&log, 1, 1_000));
    report("1 client, 1000 a call", rate, thousand, "raw events");
    let rate = runtime.block_on(read_all(&log))?;
    println!("read all                      {rate:>10.0} events/s");
    runtime.block_on(log.close());
    Ok(())
}

/// Appends to new streams, each client one call after the other.
async fn clients(log: &Arc<SqliteEventLog>, clients: u64, per_call: usize) -> f64 {
    let start = Instant::now();
    let clients = (0..clients).map(|_| {
        let log = log.clone();
        tokio::spawn(async move {
            let mut done = 0;
            while start.elapsed() < EACH {
                let appends = (0..per_call).map(|_| append()).collect();
                let results = log.append_each(appends).await;
                assert!(results.iter().all(std::result::Result::is_ok));
                done += results.len();
            }
            done
        })
    });
    let done = join_all(clients.collect::<Vec<_>>()).await;
    let done: usize = done.into_iter().filter_map(std::result::Result::ok).sum();
    done as f64 / start.elapsed().as_secs_f64()
}

async fn read_all(log: &Arc<SqliteEventLog>) -> Result<f64> {
    let start = Instant::now();
    let mut after = Position::START;
    let mut done = 0;
    loop {
        let page = log.read_all(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.position;
        done += page.len();
    }
    Ok(done as f64 / start.elapsed().as_secs_f64())
}

#[expect(clippy::disallowed_methods, reason = "a benchmark draws its own ids")]
fn append() -> Append {
    let id = Uuid::from_bytes(rand::random());
    Append {
        stream: StreamName::new(format!("execution-{id}")),
        expected: Expected::NoStream,
        events: vec![NewEvent {
            event_id: id,
            event_type: "TaskSucceeded".into(),
            schema_version: 1,
            data: vec![b'1'; EVENT_BYTES].into(),
            metadata: EventMetadata::default(),
        }],
    }
}

/// Writes into space that the file already has, so that a sync has to write the data only.
fn raw_syncs(folder: &Path, bytes: usize) -> Result<f64> {
    const SPACE: u64 = 64 * 1024 * 1024;
    let mut file = File::create(folder.join("raw"))?;
    file.write_all(&vec![0; SPACE as usize])?;
    file.sync_all()?;
    file.seek(SeekFrom::Start(0))?;
    let data = vec![1; bytes];
    let (start, mut syncs) = (Instant::now(), 0u32);
    while start.elapsed() < EACH {
        if file.stream_position()? + bytes as u64 > SPACE {
            file.seek(SeekFrom::Start(0))?;
        }
        file.write_all(&data)?;
        file.sync_data()?;
        syncs += 1;
    }
    Ok(f64::from(syncs) / start.elapsed().as_secs_f64())
}
