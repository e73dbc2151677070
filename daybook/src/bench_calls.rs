//! The part of `daybook bench` that measures calls alone: the function host and one of its built-in
//! functions, without objects, events or disk.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use daybook_domain::{Chain, ExecutionId, FunctionName};
use daybook_functions::{
    FunctionHost, FunctionSpec, HostOptions, Invocation, OutcomeResult, Runtime,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::no_storage::NoStorage;

/// Function processes at most.
const PROCESSES: usize = 8;

/// How long the host waits for its last calls.
const GRACE: Duration = Duration::from_secs(5);

/// A host with the echo function.
pub(crate) struct Calls {
    host: Arc<FunctionHost>,
    function: FunctionName,
}

impl Calls {
    pub(crate) async fn new(options: HostOptions, folder: &Path) -> Result<Self> {
        let function: FunctionName = "echo".parse()?;
        let host = FunctionHost::new(Arc::new(NoStorage::default()), options);
        let mut spec = FunctionSpec::new(function.clone(), Runtime::Builtin, folder, "echo");
        spec.concurrency = PROCESSES;
        host.load(spec).await?;
        Ok(Self { host, function })
    }

    /// How long so many calls take, so many at once.
    pub(crate) async fn measure(&self, in_flight: usize, calls: usize) -> Result<Duration> {
        self.call(in_flight, PROCESSES.max(in_flight)).await?;
        let start = Instant::now();
        self.call(in_flight, calls).await?;
        Ok(start.elapsed())
    }

    async fn call(&self, in_flight: usize, calls: usize) -> Result<()> {
        let mut running = JoinSet::new();
        for _ in 0..calls {
            while running.len() >= in_flight {
                running.join_next().await.context("a call is running")???;
            }
            let slot = loop {
                match self.host.reserve(&self.function) {
                    Some(slot) => break slot,
                    None => self.host.slot_freed().await,
                }
            };
            let host = self.host.clone();
            running.spawn(async move {
                let outcome = host.invoke(slot, invocation()).await;
                ensure!(
                    matches!(outcome.result, OutcomeResult::Succeeded(_)),
                    "a call failed: {:?}",
                    outcome.result
                );
                Ok::<_, anyhow::Error>(())
            });
        }
        while let Some(done) = running.join_next().await {
            done??;
        }
        Ok(())
    }

    pub(crate) async fn stop(self) {
        self.host.shutdown(GRACE).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark draws its own ids")]
fn invocation() -> Invocation {
    Invocation {
        request_id: Uuid::new_v4(),
        execution: ExecutionId(Uuid::nil()),
        task: 1,
        attempt: 1,
        trigger: None,
        shadow: None,
        chain: Chain::default(),
        payload: Bytes::from_static(b"{\"hello\":\"daybook\"}"),
        timeout: None,
        traceparent: None,
        cancel: CancellationToken::new(),
    }
}
