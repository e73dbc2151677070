//! The log in memory: what the port itself costs.

use daybook_event_store::memory::MemoryEventLog;

use crate::Result;
use crate::report::Figure;
use crate::workload;

pub(crate) async fn measure() -> Result<Vec<Figure>> {
    workload::measure(MemoryEventLog::new(), "daybook, memory").await
}
