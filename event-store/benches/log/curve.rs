//! The cost of an append as the log grows: at each length one client and 64, then filled in bulk
//! up to the next.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daybook_event_store::EventLog;
use daybook_event_store::sqlite::{SqliteEventLog, SqliteOptions};

use crate::Result;
use crate::workload::{append, clients};

/// Lengths at which it is measured.
const LENGTHS: [u64; 11] = [
    10_000, 30_000, 100_000, 300_000, 1_000_000, 2_000_000, 4_000_000, 7_000_000, 10_000_000,
    15_000_000, 20_000_000,
];
const EACH: Duration = Duration::from_secs(2);
const BULK: usize = 1_000;

pub(crate) async fn print(folder: &Path, events: u64) -> Result<()> {
    let path = folder.join("events.sqlite");
    let log = SqliteEventLog::open(&path, SqliteOptions::default())?;
    let port: Arc<dyn EventLog> = log.clone();
    println!("    events   1 client, µs   64 clients, µs/event   filled, µs/event       MB");
    for length in LENGTHS.into_iter().filter(|length| *length <= events) {
        let filled = fill(&port, length).await?;
        let (_, alone) = clients(&port, 1, 1, EACH).await?;
        let (rate, _) = clients(&port, 64, 1, EACH).await?;
        println!(
            "{length:>10} {:>14} {:>22.1} {:>18.1} {:>8}",
            alone.unwrap_or_default().as_micros(),
            1e6 / rate,
            filled,
            std::fs::metadata(&path)?.len() / 1_000_000,
        );
    }
    log.close().await;
    Ok(())
}

/// Appends up to the length; returns the microseconds an event took.
async fn fill(log: &Arc<dyn EventLog>, length: u64) -> Result<f64> {
    let (start, mut done) = (Instant::now(), 0usize);
    while log.head().await?.0 < length {
        let appends = (0..BULK).map(|_| append()).collect();
        for result in log.append_each(appends).await {
            result?;
        }
        done += BULK;
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / done.max(1) as f64)
}
