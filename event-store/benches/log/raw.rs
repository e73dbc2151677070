//! What the disk can do: data written and synced into a file that has its space already, so that a
//! sync has to write the data only.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Instant;

use crate::Result;
use crate::report::{Figure, RAW_FILE, Workload};
use crate::workload::{EACH, EVENT_BYTES, median};

const SPACE: u64 = 64 * 1024 * 1024;

pub(crate) fn measure(folder: &Path) -> Result<Vec<Figure>> {
    let mut file = File::create(folder.join("raw"))?;
    file.write_all(&vec![0; SPACE as usize])?;
    file.sync_all()?;
    Ok(vec![
        syncs(&mut file, Workload::Alone, 1)?,
        syncs(&mut file, Workload::Batches64, 64)?,
        syncs(&mut file, Workload::Batches1000, 1_000)?,
    ])
}

fn syncs(file: &mut File, workload: Workload, events: usize) -> Result<Figure> {
    let data = vec![1; events * EVENT_BYTES];
    let mut times = Vec::new();
    let start = Instant::now();
    while start.elapsed() < EACH {
        if file.stream_position()? + data.len() as u64 > SPACE {
            file.seek(SeekFrom::Start(0))?;
        }
        let called = Instant::now();
        file.write_all(&data)?;
        file.sync_data()?;
        times.push(called.elapsed());
    }
    Ok(Figure {
        workload,
        engine: RAW_FILE,
        events_per_second: (times.len() * events) as f64 / start.elapsed().as_secs_f64(),
        p50: median(&mut times),
    })
}
