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
const LEAST_BULK: usize = 10_000;

pub(crate) async fn print(folder: &Path, events: u64) -> Result<()> {
    let path = folder.join("events.sqlite");
    let log = SqliteEventLog::open(&path, SqliteOptions::default())?;
    let port: Arc<dyn EventLog> = log.clone();
    println!("                      1 client  64 clients, µs an event   in bulk, µs an event");
    println!("    events       MB    p50, µs        time    processor      time    processor");
    for length in LENGTHS.into_iter().filter(|length| *length <= events) {
        let (filled, filled_cpu) = fill(&port, length).await?;
        let (_, alone) = clients(&port, 1, 1, EACH).await?;
        let used = processor_time()?;
        let (rate, _) = clients(&port, 64, 1, EACH).await?;
        let used = processor_time()? - used;
        println!(
            "{length:>10} {:>8} {:>10} {:>11.1} {:>12.1} {filled:>9.1} {filled_cpu:>12.1}",
            std::fs::metadata(&path)?.len() / 1_000_000,
            alone.unwrap_or_default().as_micros(),
            1e6 / rate,
            used.as_secs_f64() / EACH.as_secs_f64() * 1e6 / rate,
        );
    }
    log.close().await;
    Ok(())
}

/// Appends up to the length, but at least [`LEAST_BULK`]; returns the microseconds that an event
/// took, by the clock and of all processors.
async fn fill(log: &Arc<dyn EventLog>, length: u64) -> Result<(f64, f64)> {
    let (start, used, mut done) = (Instant::now(), processor_time()?, 0usize);
    while done < LEAST_BULK || log.head().await?.0 < length {
        let appends = (0..BULK).map(|_| append()).collect();
        for result in log.append_each(appends).await {
            result?;
        }
        done += BULK;
    }
    let used = processor_time()? - used;
    let each = |time: Duration| time.as_secs_f64() * 1e6 / done as f64;
    Ok((each(start.elapsed()), each(used)))
}

/// What this process has used. It tells more than the clock where others use the machine.
fn processor_time() -> Result<Duration> {
    /// Linux counts in hundredths of a second.
    const TICK: Duration = Duration::from_millis(10);
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit_once(')').ok_or("no name in /proc/self/stat")?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: u32 = fields[11].parse::<u32>()? + fields[12].parse::<u32>()?;
    Ok(TICK * ticks)
}
