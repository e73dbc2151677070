//! How fast the logs are, side by side in one run, beside what the disk and plain tables do.
//!
//! ```text
//! cargo bench -p daybook-event-store                      the table
//! cargo bench -p daybook-event-store -- curve 20000000    the cost of an append as the log grows
//! ```
//!
//! Files are put into `TMPDIR`, whose disk is what is measured. An engine is a module with a
//! function that returns its [`Figure`]s; `main` collects them and `report` prints them.

#![allow(clippy::print_stdout, reason = "it is what a bench is for")]

mod curve;
mod memory;
mod plain_postgres;
mod plain_sqlite;
mod postgres;
mod raw;
mod report;
mod sqlite;
mod workload;

use daybook_event_store::testing::postgres::TestDatabase;
use report::Figure;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Where the curve ends if nothing else is said.
const CURVE_EVENTS: u64 = 1_000_000;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Runtime::new()?;
    let folder = tempfile::tempdir()?;
    // Cargo itself adds `--bench`.
    match arguments.strip_suffix(&["--bench"]).unwrap_or(&arguments) {
        ["curve", events] => runtime.block_on(curve::print(folder.path(), events.parse()?)),
        ["curve"] => runtime.block_on(curve::print(folder.path(), CURVE_EVENTS)),
        [] => {
            let mut figures: Vec<Figure> = Vec::new();
            figures.extend(raw::measure(folder.path())?);
            figures.extend(plain_sqlite::measure(folder.path())?);
            figures.extend(runtime.block_on(sqlite::measure(folder.path()))?);
            let database = runtime.block_on(TestDatabase::create());
            figures.extend(runtime.block_on(plain_postgres::measure(&database))?);
            figures.extend(runtime.block_on(postgres::measure(&database))?);
            figures.extend(runtime.block_on(memory::measure())?);
            report::print(&figures);
            Ok(())
        }
        other => Err(format!("unknown arguments {other:?}").into()),
    }
}
