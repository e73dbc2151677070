//! The corpus of notifications through the intake, over a log in memory: each case begins with an
//! empty ledger, gets what is said to have come before, and then has to get its verdicts.
//!
//! The folder is `DAYBOOK_NOTIFICATION_CORPUS`, by default `../shared/corpus/notifications` beside
//! the workspace; its README states the format. Reasons and headers are checked by the same cases in
//! the crate `intake`; here the ledger's memory is what is new.

#![expect(
    clippy::unwrap_used,
    reason = "tests: a failure says where, and prints what helps to understand it"
)]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::{env, fs};

use async_trait::async_trait;
use bytes::Bytes;
use daybook_command_service::Ledger;
use daybook_command_service::intake::{Delivered, Intake, IntakeConfig, Sns};
use daybook_domain::LedgerEvent;
use daybook_domain::stored_object::ObjectEvent;
use daybook_event_store::blobs::BlobStore;
use daybook_event_store::memory::MemoryEventLog;
use daybook_event_store::{EventLog, Position};
use daybook_intake::{Case, CertificateError, Certificates, Settings, SnsSettings};
use jiff::Timestamp;
use serde_json::{Value, json};

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

/// What the README says that the fixtures are signed with. The intake's clock is today's, so ages
/// do not count here.
fn settings() -> Settings {
    Settings {
        b2_secrets: vec!["fixtureB2SigningSecret0123456789".into()],
        sns: SnsSettings {
            topics: vec!["*".to_owned()],
            max_age: None,
            ..SnsSettings::default()
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

/// A canonical command without what the answers write otherwise.
fn as_answered(record: &Value) -> Value {
    let time = record["eventTime"].as_str();
    let time = time.map(|time| time.parse::<Timestamp>().unwrap().to_string());
    json!({
        "source": record["source"], "account": record["account"], "bucket": record["bucket"],
        "key": record["key"], "version_id": record["versionId"], "etag": record["etag"],
        "size": record["size"], "sequencer": record["sequencer"], "event_time": time,
        "event_name": record["eventName"], "region": record["region"],
    })
}

fn as_expected(command: &Value) -> Value {
    let mut command = command.clone();
    let time = command["event_time"].as_str();
    let time = time.map(|time| time.parse::<Timestamp>().unwrap().to_string());
    command["event_time"] = json!(time);
    command["account"] = command["account"].take();
    command
}

async fn faults(case: &Case, given: &Given) -> Vec<String> {
    for prior in &case.prior {
        given.intake.deliver(None, prior.clone()).await;
    }
    let before = given.log.head().await.unwrap();
    let delivered = given.intake.deliver(None, case.delivery.clone()).await;
    let created = given.created(before).await;
    let file = &case.file;
    let records: Vec<Value> = delivered
        .records
        .iter()
        .map(|record| serde_json::to_value(record).unwrap())
        .collect();
    let mut faults = Vec::new();
    let mut differ = |what: &str, found: Value, expected: Value| {
        if found != expected {
            faults.push(format!(
                "{what}: {found} instead of {expected}; {records:?}"
            ));
        }
    };
    let verdicts: Vec<&Value> = records.iter().map(|record| &record["verdict"]).collect();
    differ("verdicts", json!(verdicts), file["verdicts"].clone());
    let accepted = records
        .iter()
        .filter(|record| record["verdict"] == "accepted");
    let accepted: Vec<Value> = accepted.map(as_answered).collect();
    let expected: Vec<Value> = file["expect"]
        .as_array()
        .unwrap()
        .iter()
        .map(as_expected)
        .collect();
    differ("commands", accepted.into(), expected.into());
    let named = |command: &Value| {
        json!({
            "bucket": command["bucket"], "key": command["key"],
            "version_id": command["version_id"], "etag": command["etag"], "size": command["size"],
        })
    };
    let mut recorded: Vec<Value> = created;
    let mut expected: Vec<Value> = file["expect"]
        .as_array()
        .unwrap()
        .iter()
        .map(named)
        .collect();
    recorded.sort_by_key(Value::to_string);
    expected.sort_by_key(Value::to_string);
    differ("recorded", recorded.into(), expected.into());
    if let Some(slug) = file["ignored_reason"].as_str() {
        let ignored = records
            .iter()
            .filter(|record| record["verdict"] == "ignored");
        let reasons: Vec<&Value> = ignored.map(|record| &record["reason"]).collect();
        differ(
            "ignored_reason",
            json!(reasons.contains(&&json!(slug))),
            json!(true),
        );
    }
    differ(
        "unsettled",
        json!(delivered.unavailable.is_none()),
        json!(true),
    );
    if let Some(expected) = file["expect_response"].as_object() {
        let found = response(&delivered, given);
        for name in ["status", "action", "url", "json"] {
            if let Some(value) = expected.get(name) {
                differ(
                    &format!("response {name}"),
                    found[name].clone(),
                    value.clone(),
                );
            }
        }
    }
    faults
}

/// The answer to the sender as the corpus describes it.
fn response(delivered: &Delivered, given: &Given) -> Value {
    let mut found = json!({ "status": delivered.response.status, "action": "none" });
    if let Ok(body) = serde_json::from_slice::<Value>(&delivered.response.body) {
        found["json"] = body;
    }
    if let [url] = &given.sns.confirmed.lock().unwrap()[..] {
        found["action"] = "confirm-subscription".into();
        found["url"] = url.as_str().into();
    }
    found
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
        let case = Case::read(&fs::read(path).unwrap());
        let case = case.unwrap_or_else(|error| panic!("{name}: {error}"));
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
