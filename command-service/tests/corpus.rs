//! The corpus of notifications through the intake, over a log in memory: each case begins with an
//! empty ledger, gets what is said to have come before, and then has to get its verdicts. What was
//! pushed goes through `POST /v1/notifications`, the rest in as its transport hands it over.
//!
//! The folder is `DAYBOOK_NOTIFICATION_CORPUS`, by default `../shared/corpus/notifications` beside
//! the workspace; its README states the format. Why something is an error is checked by the same
//! cases in the crate `intake`; here the ledger's memory and the answers are what is new.

#![expect(
    clippy::unwrap_used,
    reason = "tests: a failure says where, and prints what helps to understand it"
)]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{env, fs};

use async_trait::async_trait;
use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use daybook_command_service::intake::{Intake, IntakeConfig, Response, Sns};
use daybook_command_service::{HttpLimits, Ledger, deliveries};
use daybook_domain::LedgerEvent;
use daybook_domain::stored_object::ObjectEvent;
use daybook_event_store::blobs::BlobStore;
use daybook_event_store::memory::MemoryEventLog;
use daybook_event_store::{EventLog, Position};
use daybook_intake::{
    Case, CertificateError, Certificates, Delivery, Ignored, Settings, SnsSettings, SnsSignatures,
    Transport,
};
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tower::ServiceExt;

/// When the corpus happens.
const NOW: &str = "2026-03-04T12:00:00Z";

fn folder() -> PathBuf {
    let beside = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../shared/corpus/notifications"
    );
    env::var_os("DAYBOOK_NOTIFICATION_CORPUS").map_or_else(|| beside.into(), PathBuf::from)
}

/// Amazon SNS with the certificate of the corpus; it notes what is confirmed.
struct Fixture {
    certificate: Bytes,
    confirmed: Mutex<Vec<String>>,
}

#[async_trait]
impl Certificates for Fixture {
    async fn certificate(&self, _url: &str) -> Result<Bytes, CertificateError> {
        Ok(self.certificate.clone())
    }
}

#[async_trait]
impl Sns for Fixture {
    async fn confirm(&self, url: &str) -> Result<(), String> {
        self.confirmed.lock().unwrap().push(url.to_owned());
        Ok(())
    }
}

/// What the README says that the fixtures are signed with. The intake's clock is today's, so what is
/// too old is what was so when the corpus happened.
#[expect(
    clippy::disallowed_methods,
    reason = "how long ago the corpus happened is by today's clock"
)]
fn settings() -> Settings {
    let happened: Timestamp = NOW.parse().unwrap();
    let since = Timestamp::now().duration_since(happened);
    let since = Duration::try_from(since).unwrap_or_default();
    Settings {
        b2_secrets: vec!["fixtureB2SigningSecret0123456789".into()],
        sns: SnsSettings {
            topics: vec!["*".to_owned()],
            max_age: SnsSettings::default().max_age.map(|age| age + since),
            signatures: SnsSignatures::Everywhere,
        },
        allowed_origins: vec!["*".to_owned()],
        ..Settings::default()
    }
}

struct Given {
    intake: Intake,
    log: Arc<MemoryEventLog>,
    sns: Arc<Fixture>,
}

fn given(certificate: &Bytes, blobs: &Path) -> Given {
    let log = MemoryEventLog::new();
    let ledger = Ledger::new(
        log.clone(),
        BlobStore::open(blobs.to_str().unwrap()).unwrap(),
        false,
    );
    let sns = Arc::new(Fixture {
        certificate: certificate.clone(),
        confirmed: Mutex::default(),
    });
    let config = IntakeConfig {
        open: Arc::new(settings()),
        ..IntakeConfig::default()
    };
    let intake = Intake::new(ledger, sns.clone(), config).unwrap();
    Given { intake, log, sns }
}

impl Given {
    /// Hands a delivery over, as its transport does.
    async fn deliver(&self, delivery: &Delivery) -> Answer {
        if delivery.transport == Transport::Http {
            return self.post(delivery).await;
        }
        let delivered = self.intake.deliver(None, delivery.clone()).await;
        let Response {
            status,
            headers,
            body,
        } = delivered.response;
        Answer {
            settled: delivered.unavailable.is_none(),
            ..Answer::of(status, headers, &body)
        }
    }

    async fn post(&self, delivery: &Delivery) -> Answer {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let query = delivery.query.iter();
        let query = query.map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
        let query: Vec<String> = query.collect();
        let mut request = Request::builder()
            .method(delivery.method.as_str())
            .uri(format!("/v1/notifications?{}", query.join("&")));
        for (name, value) in &delivery.headers {
            request = request.header(name, value);
        }
        let request = request.body(Body::from(delivery.body.clone())).unwrap();
        let router = deliveries(self.intake.clone(), HttpLimits::default());
        let response = router.oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let headers = head.headers.iter();
        let headers = headers.map(|(name, value)| {
            let value = value.to_str().unwrap_or_default().to_owned();
            (name.as_str().to_owned(), value)
        });
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Answer::of(head.status.as_u16(), headers.collect(), &body)
    }

    /// Keys and versions of what is recorded as created, behind a position.
    async fn created(&self, after: Position) -> Vec<Value> {
        let recorded = self.log.read_all(after, 10_000).await.unwrap();
        let mut created = Vec::new();
        for event in recorded {
            let body = serde_json::from_slice(&event.data).unwrap();
            let stream = event.stream.as_str();
            let event =
                LedgerEvent::from_json(stream, &event.event_type, event.schema_version, body);
            if let Some(LedgerEvent::Object(ObjectEvent::ObjectCreated(event))) = event.unwrap() {
                created.push(json!({
                    "bucket": event.bucket, "key": event.key,
                    "version_id": event.version.version_id,
                    "etag": event.version.etag, "size": event.version.size,
                }));
            }
        }
        created
    }
}

/// What the one who delivers is told.
struct Answer {
    /// As the corpus describes it, but for its action.
    response: Value,
    records: Vec<Value>,
    settled: bool,
}

impl Answer {
    fn of(status: u16, headers: Vec<(String, String)>, body: &[u8]) -> Self {
        let mut response = json!({
            "status": status, "headers": {}, "body": String::from_utf8_lossy(body),
        });
        for (name, value) in headers {
            response[&name] = value.as_str().into();
            response["headers"][&name] = value.into();
        }
        if let Ok(body) = serde_json::from_slice::<Value>(body) {
            response["json"] = body;
        }
        let records = response["json"]["records"].as_array().cloned();
        // The answer to a handshake is what was asked for, and no list.
        let records = records.unwrap_or_else(|| vec![json!({ "verdict": "handshake" })]);
        Self {
            response,
            records,
            settled: status < 429,
        }
    }
}

/// What the answer lacks of what is expected of it: names are compared without regard to case.
fn lacks(found: &Value, expected: &Value) -> bool {
    let Value::Object(members) = expected else {
        return found != expected;
    };
    members.iter().any(|(name, value)| {
        let same = |known: &&String| known.eq_ignore_ascii_case(name);
        let known = found.as_object().and_then(|found| found.keys().find(same));
        lacks(known.map_or(&Value::Null, |known| &found[known]), value)
    })
}

/// A canonical command without what the answers write otherwise.
fn as_answered(record: &Value) -> Value {
    let time = instant(&record["eventTime"]);
    json!({
        "source": record["source"], "account": record["account"], "bucket": record["bucket"],
        "key": record["key"], "version_id": record["versionId"], "etag": record["etag"],
        "size": record["size"], "sequencer": record["sequencer"], "event_time": time,
        "event_name": record["eventName"], "region": record["region"],
    })
}

/// Times are compared as instants.
fn instant(time: &Value) -> Value {
    let parsed = time.as_str().map(str::parse::<Timestamp>);
    match parsed {
        Some(Ok(time)) => time.to_string().into(),
        _ => time.clone(),
    }
}

fn as_expected(command: &Value) -> Value {
    let mut command = command.clone();
    command["event_time"] = instant(&command["event_time"]);
    command["account"] = command["account"].take();
    command
}

async fn faults(case: &Case, given: &Given) -> Vec<String> {
    for prior in &case.prior {
        given.deliver(prior).await;
    }
    let before = given.log.head().await.unwrap();
    given.sns.confirmed.lock().unwrap().clear();
    let answer = given.deliver(&case.delivery).await;
    let created = given.created(before).await;
    let (file, records) = (&case.file, &answer.records);
    let mut faults = Vec::new();
    let mut differ = |what: &str, found: Value, expected: Value| {
        if found != expected {
            faults.push(format!(
                "{what}: {found} instead of {expected}; {records:?}"
            ));
        }
    };
    let of_verdict = |verdict: &'static str| {
        let records = records.iter();
        records.filter(move |record| record["verdict"] == verdict)
    };
    let verdicts: Vec<&Value> = records.iter().map(|record| &record["verdict"]).collect();
    differ("verdicts", json!(verdicts), file["verdicts"].clone());
    let expected: &[Value] = file["expect"].as_array().map_or(&[], Vec::as_slice);
    differ(
        "commands",
        of_verdict("accepted").map(as_answered).collect(),
        expected.iter().map(as_expected).collect(),
    );
    let named = |command: &Value| {
        json!({
            "bucket": command["bucket"], "key": command["key"],
            "version_id": command["version_id"], "etag": command["etag"], "size": command["size"],
        })
    };
    let mut recorded: Vec<Value> = created;
    let mut expected: Vec<Value> = expected.iter().map(named).collect();
    recorded.sort_by_key(Value::to_string);
    expected.sort_by_key(Value::to_string);
    differ("recorded", recorded.into(), expected.into());
    // A larger corpus has words of its own.
    let slug = file["ignored_reason"].as_str();
    if let Some(slug) = slug.filter(|slug| Ignored::ALL.iter().any(|it| it.as_str() == *slug)) {
        let mut ignored = of_verdict("ignored");
        differ(
            "ignored_reason",
            json!(ignored.any(|record| record["reason"] == slug)),
            json!(true),
        );
    }
    differ("settled", json!(answer.settled), json!(true));
    if let Some(expected) = file.get("expect_response") {
        let mut found = answer.response.clone();
        let confirmed = given.sns.confirmed.lock().unwrap().clone();
        found["action"] = "none".into();
        if let [url] = &confirmed[..] {
            found["action"] = "confirm-subscription".into();
            found["url"] = url.as_str().into();
        }
        if lacks(&found, expected) {
            differ("response", found, expected.clone());
        }
    }
    faults
}

#[tokio::test]
async fn each_case_of_the_corpus_gets_its_verdicts() {
    let folder = folder();
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| {
        let folder = folder.display();
        panic!("the corpus {folder} cannot be read: {error}; set DAYBOOK_NOTIFICATION_CORPUS")
    });
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    files.sort();
    assert!(
        !files.is_empty(),
        "the corpus {} is empty",
        folder.display()
    );
    let certificate = Bytes::from(fs::read(folder.join("keys/sns-test-cert.pem")).unwrap());
    let blobs = tempfile::tempdir().unwrap();
    let mut failed = Vec::new();
    for path in &files {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let case = match Case::read(&fs::read(path).unwrap()) {
            Ok(case) => case,
            Err(error) => {
                failed.push(format!("{name}: {error}"));
                continue;
            }
        };
        let given = given(&certificate, blobs.path());
        for fault in faults(&case, &given).await {
            failed.push(format!("{name}: {fault}"));
        }
    }
    let (all, bad) = (files.len(), failed.len());
    assert!(
        failed.is_empty(),
        "{bad} faults in {all} cases:\n{}",
        failed.join("\n")
    );
}
