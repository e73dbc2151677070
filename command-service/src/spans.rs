//! What happened, as the spans of a trace: told when it is over, from the log itself.
//!
//! ```text
//!  conductor ── an object arrived, an execution ended ──> queue ──> Tracer ── reads the stream ──> SpanSink
//!
//!   PUT s3://inbox/a.txt                               ObjectCreated
//!    └─ execution of uppercase                         ExecutionStarted .. ExecutionSucceeded
//!        ├─ queue                                      TaskScheduled .. TaskStarted
//!        └─ attempt 1                                  TaskStarted .. TaskSucceeded
//!            └─ PUT s3://results/a.txt                 ObjectCreated, and so on downstream
//! ```
//! Times are those of the log, and the ids follow from the events (`trace.rs`), so a span says nothing
//! that the log does not. Each is told once, by the worker that owns what it tells of; where
//! workers come and go it may be told twice or not at all, as is usual for traces: the ledger is the
//! record. A queue that is full drops them, and counts.

use std::sync::Arc;

use daybook_domain::execution::{
    AttemptReport, Cause, ExecutionEvent, ExecutionStarted, stream_of,
};
use daybook_domain::stored_object::{ObjectCreated, ObjectEvent};
use daybook_domain::{Event, ExecutionId};
use daybook_event_store::{Direction, RecordedEvent, StreamName};
use jiff::Timestamp;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::commands::Ledger;
use crate::trace::{TraceContext, of_story, span_of, span_of_attempt};

/// How many things may wait to be told.
const QUEUE: usize = 4_096;
/// How many events of an execution are read at most. One that has more is told up to there.
const MAX_EVENTS: usize = 2_000;

/// Where spans go.
pub trait SpanSink: Send + Sync + 'static {
    /// Takes spans over. Must not block; what cannot be kept is dropped.
    fn tell(&self, spans: Vec<Span>);
}

/// One step of a trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The trace.
    pub trace_id: [u8; 16],
    /// The span.
    pub span_id: [u8; 8],
    /// The span that it is part of; `None` for the first of a trace.
    pub parent: Option<[u8; 8]>,
    /// Which part it plays in OpenTelemetry's terms.
    pub kind: SpanKind,
    /// Its name.
    pub name: String,
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// What else is known, by OpenTelemetry's names where there are some.
    pub attributes: Vec<(&'static str, Attribute)>,
    /// The name of the error with which it ended.
    pub error: Option<String>,
}

/// Which part a span plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// A request was served.
    Server,
    /// Work that something in the log set off.
    Consumer,
    /// A step of it.
    Internal,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// A text.
    Text(String),
    /// A whole number.
    Number(i64),
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u64> for Attribute {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// What there is to tell of.
enum Told {
    Object(Box<RecordedEvent>),
    Execution(ExecutionId),
}

/// Hands things to tell of to the task that does so.
#[derive(Clone)]
pub(crate) struct Tracer(mpsc::Sender<Told>);

impl Tracer {
    /// A tracer, whose task ends with its last handle.
    pub(crate) fn start(ledger: Ledger, sink: Arc<dyn SpanSink>) -> Self {
        let (queue, mut told) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            while let Some(told) = told.recv().await {
                let spans = match told {
                    Told::Object(event) => of_object(&ledger, &event).await,
                    Told::Execution(id) => of_execution(&ledger, id).await,
                };
                match spans {
                    Ok(spans) => sink.tell(spans),
                    Err(error) => tracing::warn!(%error, "a step is missing from its trace"),
                }
            }
        });
        Self(queue)
    }

    /// What is owned by this worker and over with this event, if it is: by what its owner is known.
    pub(crate) fn item(event: &RecordedEvent) -> Option<Uuid> {
        match &*event.event_type {
            "ObjectCreated" => Some(event.event_id),
            "ExecutionSucceeded" | "ExecutionFailed" | "ExecutionTimedOut" | "ExecutionAborted" => {
                execution_of(event).map(|id| id.0)
            }
            _ => None,
        }
    }

    /// Tells of what is over with this event.
    pub(crate) fn tell(&self, event: &RecordedEvent) {
        let told = match execution_of(event) {
            Some(id) => Told::Execution(id),
            None => Told::Object(Box::new(event.clone())),
        };
        if self.0.try_send(told).is_err() {
            metrics::counter!("daybook_spans_dropped_total").increment(1);
        }
    }
}

fn execution_of(event: &RecordedEvent) -> Option<ExecutionId> {
    event
        .stream
        .as_str()
        .strip_prefix("execution-")?
        .parse()
        .ok()
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

async fn body(ledger: &Ledger, event: &RecordedEvent) -> Result<serde_json::Value, Failed> {
    let body = serde_json::from_slice(&event.data)?;
    Ok(ledger.blobs().hydrate(body).await?)
}

async fn of_object(ledger: &Ledger, event: &RecordedEvent) -> Result<Vec<Span>, Failed> {
    let body = body(ledger, event).await?;
    match ObjectEvent::from_json(&event.event_type, event.schema_version, body)? {
        ObjectEvent::ObjectCreated(created) => Ok(vec![put(event, &created)]),
        _ => Ok(Vec::new()),
    }
}

/// The write of an object: from the time of its last byte to its record.
fn put(event: &RecordedEvent, created: &ObjectCreated) -> Span {
    let caller: Option<TraceContext> = parsed(event.metadata.traceparent.as_deref());
    let size = created.version.size;
    let mut attributes = vec![
        ("aws.s3.bucket", Attribute::from(created.bucket.as_str())),
        ("aws.s3.key", created.key.as_str().into()),
        ("daybook.event_name", created.event_name.as_str().into()),
        ("daybook.position", event.position.0.into()),
    ];
    if let Some(size) = size {
        attributes.push(("daybook.bytes", size.into()));
    }
    if let Some(actor) = &event.metadata.actor {
        attributes.push(("daybook.actor", actor.as_str().into()));
    }
    let began = created
        .version
        .modified_at
        .unwrap_or(event.recorded_at)
        .min(event.recorded_at);
    Span {
        trace_id: trace_of(event),
        span_id: span_of(event.event_id),
        parent: caller.map(|caller| caller.span),
        kind: SpanKind::Server,
        name: format!("PUT s3://{}", created.bucket),
        start: began,
        end: event.recorded_at,
        attributes,
        error: None,
    }
}

fn trace_of(event: &RecordedEvent) -> [u8; 16] {
    of_story(event.metadata.correlation_id.as_deref().unwrap_or_default())
}

fn parsed(traceparent: Option<&str>) -> Option<TraceContext> {
    traceparent?.parse().ok()
}

async fn of_execution(ledger: &Ledger, id: ExecutionId) -> Result<Vec<Span>, Failed> {
    let stream = StreamName::new(stream_of(id));
    let events = ledger
        .log()
        .read_stream(&stream, None, Direction::Forward, MAX_EVENTS)
        .await?;
    let mut told = Telling::new(id);
    for event in events {
        let body = body(ledger, &event).await?;
        let decoded = ExecutionEvent::from_json(&event.event_type, event.schema_version, body)?;
        told.hear(&event, &decoded);
    }
    Ok(told.spans)
}

/// An execution while its events are gone through.
struct Telling {
    id: ExecutionId,
    trace: [u8; 16],
    begun: Option<(Timestamp, Option<[u8; 8]>, String)>,
    object: Vec<(&'static str, Attribute)>,
    scheduled: Option<Timestamp>,
    started: Option<(Timestamp, Vec<(&'static str, Attribute)>)>,
    function: String,
    spans: Vec<Span>,
}

impl Telling {
    fn new(id: ExecutionId) -> Self {
        Self {
            id,
            trace: [0; 16],
            begun: None,
            object: Vec::new(),
            scheduled: None,
            started: None,
            function: String::new(),
            spans: Vec::new(),
        }
    }

    fn hear(&mut self, recorded: &RecordedEvent, event: &ExecutionEvent) {
        let at = recorded.recorded_at;
        match event {
            ExecutionEvent::ExecutionStarted(started) => self.begin(recorded, started),
            ExecutionEvent::TaskScheduled(scheduled) => {
                self.scheduled = Some(at);
                self.function = scheduled.function.to_string();
            }
            ExecutionEvent::TaskStarted(started) => {
                self.queued(at, started.task, started.attempt);
                let worker = started.worker.to_string();
                self.started = Some((
                    at,
                    vec![
                        ("faas.version", started.code.sha256.as_str().into()),
                        (
                            "daybook.code_revision",
                            u64::from(started.code.revision).into(),
                        ),
                        ("daybook.worker", worker.as_str().into()),
                    ],
                ));
            }
            ExecutionEvent::TaskSucceeded(it) => {
                self.attempted(at, (it.task, it.attempt), Some(&it.report), None);
            }
            ExecutionEvent::TaskFailed(it) => {
                self.attempted(at, (it.task, it.attempt), Some(&it.report), Some(&it.error));
            }
            ExecutionEvent::TaskTimedOut(it) => {
                let error = Some("States.Timeout");
                self.attempted(at, (it.task, it.attempt), Some(&it.report), error);
            }
            ExecutionEvent::TaskInterrupted(it) => {
                let error = Some("interrupted");
                self.attempted(at, (it.task, it.attempt), Some(&it.report), error);
            }
            ExecutionEvent::ExecutionSucceeded(_) => self.end(at, None),
            ExecutionEvent::ExecutionFailed(it) => self.end(at, Some(&it.error)),
            ExecutionEvent::ExecutionTimedOut(_) => self.end(at, Some("States.Timeout")),
            ExecutionEvent::ExecutionAborted(_) => self.end(at, Some("aborted")),
            _ => {}
        }
    }

    fn begin(&mut self, recorded: &RecordedEvent, started: &ExecutionStarted) {
        self.trace = trace_of(recorded);
        let parent = match &started.cause {
            // What caused it is the event of the object's arrival.
            // Or of what a reconcile found to be still without the newest code.
            Cause::Trigger | Cause::Revision { .. } => {
                let arrival = recorded.metadata.causation_id.as_deref();
                arrival.and_then(|id| id.parse().ok()).map(span_of)
            }
            Cause::Redrive { of, .. } | Cause::Replay { of, .. } => Some(span_of(of.0)),
        };
        self.begun = Some((recorded.recorded_at, parent, started.pipeline.to_string()));
        self.object = vec![
            (
                "daybook.execution",
                started.execution.to_string().as_str().into(),
            ),
            ("daybook.pipeline", started.pipeline.as_str().into()),
            (
                "daybook.pipeline_revision",
                u64::from(started.pipeline_revision).into(),
            ),
            ("aws.s3.bucket", started.object.bucket.as_str().into()),
            ("aws.s3.key", started.object.key.as_str().into()),
        ];
    }

    /// From when an attempt was due to when a worker took it.
    fn queued(&mut self, at: Timestamp, task: u32, attempt: u32) {
        let Some(start) = self.scheduled.take() else {
            return;
        };
        let id = Uuid::new_v5(&self.id.0, format!("queue:{task}:{attempt}").as_bytes());
        self.push(
            span_of(id),
            "queue".to_owned(),
            (start, at),
            Vec::new(),
            None,
        );
    }

    fn attempted(
        &mut self,
        at: Timestamp,
        (task, attempt): (u32, u32),
        report: Option<&AttemptReport>,
        error: Option<&str>,
    ) {
        let Some((start, mut attributes)) = self.started.take() else {
            return;
        };
        attributes.push(("faas.invoked_name", self.function.as_str().into()));
        attributes.push(("daybook.attempt", u64::from(attempt).into()));
        let figures = report.into_iter().flat_map(|report| {
            [
                ("daybook.duration_ms", report.duration_ms),
                ("daybook.init_ms", report.init_ms),
                ("daybook.max_memory_bytes", report.max_memory_bytes),
            ]
        });
        attributes.extend(figures.filter_map(|(name, figure)| Some((name, figure?.into()))));
        let span = span_of_attempt(self.id, task, attempt);
        let name = format!("attempt {attempt} of {}", self.function);
        self.push(span, name, (start, at), attributes, error);
    }

    fn push(
        &mut self,
        span_id: [u8; 8],
        name: String,
        (start, end): (Timestamp, Timestamp),
        attributes: Vec<(&'static str, Attribute)>,
        error: Option<&str>,
    ) {
        self.spans.push(Span {
            trace_id: self.trace,
            span_id,
            parent: Some(span_of(self.id.0)),
            kind: SpanKind::Internal,
            name,
            start,
            end,
            attributes,
            error: error.map(str::to_owned),
        });
    }

    fn end(&mut self, at: Timestamp, error: Option<&str>) {
        let Some((start, parent, pipeline)) = self.begun.take() else {
            return;
        };
        self.spans.push(Span {
            trace_id: self.trace,
            span_id: span_of(self.id.0),
            parent,
            kind: SpanKind::Consumer,
            name: format!("execution of {pipeline}"),
            start,
            end: at,
            attributes: std::mem::take(&mut self.object),
            error: error.map(str::to_owned),
        });
    }
}
