//! `GET /metrics`: the figures in Prometheus' text format. What has a present value is asked for
//! when somebody scrapes.

use std::sync::Arc;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use daybook_event_store::EventLog;
use daybook_functions::FunctionHost;
use daybook_query_service::QueryService;
use metrics::{counter, gauge};

use super::recorder;

/// Prometheus' text format (exposition formats, version 0.0.4).
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whom to ask for present values.
#[derive(Clone)]
pub(crate) struct Scraped {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) host: Option<Arc<FunctionHost>>,
    pub(crate) query: Option<Arc<QueryService>>,
}

/// The page.
pub(crate) async fn metrics(scraped: Scraped) -> Response {
    scraped.refresh().await;
    match recorder() {
        Some(recorder) => ([(CONTENT_TYPE, TEXT)], recorder.render()).into_response(),
        None => axum::http::StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

impl Scraped {
    async fn refresh(&self) {
        gauge!("daybook_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        // A log that does not answer keeps its last figure; `/readyz` tells of it.
        if let Ok(head) = self.log.head().await {
            gauge!("daybook_log_position").set(head.0 as f64);
        }
        if let Some(query) = &self.query {
            gauge!("daybook_projection_position").set(query.position().0 as f64);
        }
        for status in self.host.iter().flat_map(|host| host.status()) {
            let function = status.function.as_str().to_owned();
            let processes = |state: &'static str| gauge!("daybook_function_processes", "function" => function.clone(), "state" => state);
            processes("busy").set(status.busy as f64);
            processes("idle").set(status.idle as f64);
            gauge!("daybook_function_concurrency", "function" => function.clone())
                .set(status.concurrency as f64);
            gauge!("daybook_function_queue", "function" => function.clone())
                .set(status.queue as f64);
            gauge!("daybook_function_failed_starts", "function" => function)
                .set(f64::from(status.failed_starts));
        }
        process();
    }
}

/// This process, from `/proc` (proc(5)); nothing where there is none.
fn process() {
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_ascii_whitespace().next()?.parse::<f64>().ok()
        };
        if let Some(kibibytes) = field("VmRSS:") {
            gauge!("process_resident_memory_bytes").set(kibibytes * 1024.0);
        }
        if let Some(threads) = field("Threads:") {
            gauge!("process_threads").set(threads);
        }
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        gauge!("process_open_fds").set(open.count() as f64);
    }
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    counter!("process_cpu_seconds_total").absolute(u64::try_from(used.tv_sec).unwrap_or(0));
}
