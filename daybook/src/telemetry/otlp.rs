//! Spans on their way to an OpenTelemetry collector, by OTLP over HTTP with protobuf.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use daybook_command_service::{Attribute, Span, SpanKind, SpanSink};
use jiff::Timestamp;
use opentelemetry::trace::{SpanContext, SpanId, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

/// How many spans may wait to be sent; more are dropped, and counted.
const QUEUE: usize = 8_192;
/// How many are sent at once, and how long they wait for more.
const BATCH: usize = 512;
const EVERY: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where a collector is. Headers may hold a token, so `Debug` does not show them.
#[derive(Clone)]
pub(crate) struct OtlpConfig {
    /// Its base URL; `/v1/traces` is added.
    pub(crate) endpoint: String,
    /// The name under which this program appears.
    pub(crate) service: String,
    pub(crate) headers: HashMap<String, String>,
}

impl fmt::Debug for OtlpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpConfig")
            .field("endpoint", &self.endpoint)
            .field("service", &self.service)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// Takes spans over and sends them from a task of its own.
pub(crate) struct Otlp(mpsc::Sender<SpanData>);

impl Otlp {
    /// Begins to send. The collector need not be there.
    pub(crate) fn start(config: OtlpConfig) -> Result<Arc<dyn SpanSink>> {
        let endpoint = format!("{}/v1/traces", config.endpoint.trim_end_matches('/'));
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_endpoint(endpoint)
            .with_timeout(TIMEOUT)
            .with_headers(config.headers)
            .build()
            .context("telemetry.otlp_endpoint cannot be used")?;
        let resource = Resource::builder()
            .with_service_name(config.service)
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        exporter.set_resource(&resource);
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(send(exporter, waiting));
        Ok(Arc::new(Self(queue)))
    }
}

impl SpanSink for Otlp {
    fn tell(&self, spans: Vec<Span>) {
        for span in spans {
            if self.0.try_send(data(span)).is_err() {
                metrics::counter!("daybook_spans_dropped_total").increment(1);
            }
        }
    }
}

/// Sends until nobody tells anything any more.
async fn send(exporter: SpanExporter, mut waiting: mpsc::Receiver<SpanData>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        ticks.tick().await;
        loop {
            let mut batch = Vec::new();
            while batch.len() < BATCH
                && let Ok(span) = waiting.try_recv()
            {
                batch.push(span);
            }
            let count = batch.len();
            if count == 0 {
                break;
            }
            match exporter.export(batch).await {
                Ok(()) if failing => {
                    failing = false;
                    tracing::info!("the collector takes spans again");
                }
                Ok(()) => {}
                Err(error) => {
                    metrics::counter!("daybook_spans_dropped_total").increment(count as u64);
                    if !failing {
                        tracing::warn!(%error, "the collector does not take spans; they are dropped");
                    }
                    failing = true;
                }
            }
        }
        if waiting.is_closed() && waiting.is_empty() {
            return;
        }
    }
}

fn data(span: Span) -> SpanData {
    let context = SpanContext::new(
        TraceId::from_bytes(span.trace_id),
        SpanId::from_bytes(span.span_id),
        TraceFlags::SAMPLED,
        false,
        TraceState::NONE,
    );
    SpanData {
        span_context: context,
        parent_span_id: span.parent.map_or(SpanId::INVALID, SpanId::from_bytes),
        parent_span_is_remote: false,
        span_kind: match span.kind {
            SpanKind::Server => opentelemetry::trace::SpanKind::Server,
            SpanKind::Consumer => opentelemetry::trace::SpanKind::Consumer,
            SpanKind::Internal => opentelemetry::trace::SpanKind::Internal,
        },
        name: Cow::Owned(span.name),
        start_time: time(span.start),
        end_time: time(span.end),
        attributes: span.attributes.into_iter().map(attribute).collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: match span.error {
            Some(error) => Status::error(error),
            None => Status::Unset,
        },
        instrumentation_scope: InstrumentationScope::builder("daybook").build(),
    }
}

fn time(time: Timestamp) -> SystemTime {
    let since = u64::try_from(time.as_nanosecond()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_nanos(since)
}

fn attribute((name, value): (&'static str, Attribute)) -> KeyValue {
    match value {
        Attribute::Text(text) => KeyValue::new(name, text),
        Attribute::Number(number) => KeyValue::new(name, number),
    }
}
