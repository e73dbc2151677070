use std::sync::Arc;

use async_trait::async_trait;

use super::MemoryEventLog;
use crate::EventLog;
use crate::conformance::Harness;

struct MemoryHarness;

#[async_trait]
impl Harness for MemoryHarness {
    async fn open(&mut self) -> Arc<dyn EventLog> {
        MemoryEventLog::new()
    }

    async fn reopen(&mut self, _log: Arc<dyn EventLog>) -> Option<Arc<dyn EventLog>> {
        None
    }
}

crate::conformance_suite!(MemoryHarness);
