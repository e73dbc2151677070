//! What the program tells about itself: one trace from a write to what came of it, sent to a
//! collector; and the figures at `/metrics`.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use otlp_prost::Message;

use crate::support::{Ledger, OPERATOR, Server, eventually};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// Two pipelines, one behind the other.
const CHAIN: &str = r#"
[buckets.inbox]
path = "inbox"
[buckets.results]
path = "results"
[buckets.archive]
path = "archive"
[pipelines.first]
on = [{ bucket = "inbox" }]
run = "first"
[pipelines.second]
on = [{ bucket = "results" }]
run = "second"
[functions.first]
runtime = "builtin"
handler = "uppercase"
write = ["results/*"]
[functions.second]
runtime = "builtin"
handler = "uppercase"
environment = { RESULTS_BUCKET = "archive" }
write = ["archive/*"]
"#;

/// A collector: OTLP over HTTP with protobuf, on a free port.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<Span>>>,
    services: Arc<Mutex<Vec<String>>>,
    tokens: Arc<Mutex<Vec<String>>>,
}

impl Collector {
    async fn start() -> (Self, String) {
        let collector = Self::default();
        let taking = collector.clone();
        let take = move |headers: HeaderMap, body: Bytes| {
            let taking = taking.clone();
            async move { taking.take(&headers, &body) }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/traces", post(take));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (collector, endpoint)
    }

    fn take(&self, headers: &HeaderMap, body: &[u8]) -> (StatusCode, Vec<u8>) {
        assert_eq!(headers["content-type"], "application/x-protobuf");
        let token = headers.get("x-token").map(|token| token.to_str().unwrap());
        self.tokens.lock().unwrap().extend(token.map(str::to_owned));
        let request = ExportTraceServiceRequest::decode(body).unwrap();
        for of_resource in request.resource_spans {
            for attribute in of_resource.resource.unwrap().attributes {
                if attribute.key == "service.name" {
                    let value = format!("{:?}", attribute.value);
                    self.services.lock().unwrap().push(value);
                }
            }
            for of_scope in of_resource.scope_spans {
                self.spans.lock().unwrap().extend(of_scope.spans);
            }
        }
        (StatusCode::OK, Vec::new())
    }

    /// The span of this name, once it has come.
    async fn span(&self, name: &str) -> Span {
        let named = || {
            let spans = self.spans.lock().unwrap();
            spans.iter().find(|span| span.name == name).cloned()
        };
        eventually(name, async || named()).await
    }
}

async fn put(server: &Server, key: &str, headers: &[(&str, &str)]) {
    let reply = server
        .wire()
        .send("PUT", "inbox", key, headers, b"text")
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[tokio::test]
async fn one_trace_from_the_write_to_what_came_of_it() {
    let (collector, endpoint) = Collector::start().await;
    let ledger = Ledger::new(&format!(
        "{CHAIN}{OPERATOR}\n[telemetry]\notlp_endpoint = \"{endpoint}\"\n\
         service_name = \"books\"\notlp_headers = {{ x-token = \"a-token\" }}\n"
    ));
    let server = ledger.start().await;
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    put(&server, "a.txt", &[("traceparent", &traceparent)]).await;

    let arrived = collector.span("PUT s3://inbox").await;
    let ran = collector.span("execution of first").await;
    let queued = collector.span("queue").await;
    let attempted = collector.span("attempt 1 of first").await;
    let wrote = collector.span("PUT s3://results").await;
    let ran_on = collector.span("execution of second").await;
    let attempted_on = collector.span("attempt 1 of second").await;
    let wrote_last = collector.span("PUT s3://archive").await;
    assert_eq!(hex::encode(&arrived.parent_span_id), CALLER);
    for (span, parent) in [
        (&ran, &arrived),
        (&queued, &ran),
        (&attempted, &ran),
        (&wrote, &attempted),
        (&ran_on, &wrote),
        (&attempted_on, &ran_on),
        (&wrote_last, &attempted_on),
    ] {
        assert_eq!(span.parent_span_id, parent.span_id, "{}", span.name);
        assert_eq!(hex::encode(&span.trace_id), TRACE, "{}", span.name);
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
    }
    assert!(format!("{:?}", collector.services.lock().unwrap()).contains("books"));
    assert_eq!(collector.tokens.lock().unwrap()[0], "a-token");

    // Each is told once.
    let mut ids: Vec<_> = collector
        .spans
        .lock()
        .unwrap()
        .iter()
        .map(|s| s.span_id.clone())
        .collect();
    let told = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), told);
    server.stop().await;
}

#[tokio::test]
async fn without_a_callers_trace_each_write_begins_one() {
    let (collector, endpoint) = Collector::start().await;
    let ledger = Ledger::new(&format!("{CHAIN}{OPERATOR}"));
    let variable = (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        std::ffi::OsStr::new(&endpoint),
    );
    let server = ledger.start_with(&[variable]).await;
    // What is no trace context is ignored, as its specification asks for.
    put(&server, "a.txt", &[("traceparent", "00-nonsense")]).await;
    let arrived = collector.span("PUT s3://inbox").await;
    assert_eq!(hex::encode(&arrived.parent_span_id), "");
    let wrote_last = collector.span("PUT s3://archive").await;
    assert_eq!(wrote_last.trace_id, arrived.trace_id);
    server.stop().await;
}

#[tokio::test]
async fn figures_for_a_dashboard() {
    let ledger = Ledger::new(&format!("{CHAIN}{OPERATOR}"));
    let server = ledger.start().await;
    put(&server, "a.txt", &[]).await;
    let page = eventually("both executions are counted", async || {
        let page = reqwest::get(format!("{}/metrics", server.api))
            .await
            .unwrap();
        assert_eq!(
            page.headers()["content-type"],
            "text/plain; version=0.0.4; charset=utf-8"
        );
        let page = page.text().await.unwrap();
        page.contains("daybook_executions_total{status=\"SUCCEEDED\"} 2")
            .then_some(page)
    })
    .await;
    for figure in [
        "daybook_s3_requests_total{method=\"PUT\",status=\"200\"} 3",
        "daybook_s3_request_seconds_bucket{method=\"PUT\",le=\"+Inf\"} 3",
        "daybook_objects_total 3",
        "daybook_attempts_total{function=\"first\",result=\"succeeded\"} 1",
        "daybook_attempt_seconds_count{function=\"second\"} 1",
        "daybook_init_seconds_count{function=\"first\"} 1",
        "daybook_executions_open 0",
        "daybook_function_concurrency{function=\"first\"} 4",
        "# TYPE daybook_log_position gauge",
        "# HELP daybook_projection_position ",
        "process_resident_memory_bytes ",
        "# HELP process_cpu_seconds_total ",
    ] {
        assert!(page.contains(figure), "{figure} is not in\n{page}");
    }
    server.stop().await;
}
