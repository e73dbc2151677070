//! Our log in SQLite.

use std::path::Path;

use daybook_event_store::EventLog;
use daybook_event_store::sqlite::{SqliteEventLog, SqliteOptions};

use crate::Result;
use crate::report::Figure;
use crate::workload;

pub(crate) async fn measure(folder: &Path) -> Result<Vec<Figure>> {
    let log = SqliteEventLog::open(&folder.join("events.sqlite"), SqliteOptions::default())?;
    let figures = workload::measure(log.clone(), "daybook, SQLite").await?;
    log.close().await;
    Ok(figures)
}
