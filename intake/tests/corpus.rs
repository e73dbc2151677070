//! The corpus of notifications, as far as it can be judged without a ledger: what each delivery says,
//! and why what cannot be read cannot.
//!
//! The folder is `DAYBOOK_NOTIFICATION_CORPUS`, by default `../shared/corpus/notifications` beside
//! the workspace; its README states the format. What takes memory (accepted, duplicate or stale) and
//! what is answered over HTTP is judged by the same cases above the command service.

use std::path::PathBuf;
use std::{env, fs};

use async_trait::async_trait;
use bytes::Bytes;
use daybook_intake::{
    Case, CertificateError, Certificates, Change, Delivery, Handshake, Ignored, Notification,
    Reason, Reply, Settings, SnsSettings, SnsSignatures, Told, decode,
};
use jiff::Timestamp;
use serde_json::{Value, json};

/// When the corpus happens.
const NOW: &str = "2026-03-04T12:00:00Z";

fn folder() -> PathBuf {
    let beside = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../shared/corpus/notifications"
    );
    env::var_os("DAYBOOK_NOTIFICATION_CORPUS").map_or_else(|| beside.into(), PathBuf::from)
}

struct Fixture(PathBuf);

#[async_trait]
impl Certificates for Fixture {
    async fn certificate(&self, _url: &str) -> Result<Bytes, CertificateError> {
        let pem = fs::read(self.0.join("keys/sns-test-cert.pem"));
        pem.map(Bytes::from)
            .map_err(|error| CertificateError::Unavailable(error.to_string()))
    }
}

/// What the README says that the fixtures are signed with.
fn settings() -> Settings {
    Settings {
        b2_secrets: vec!["fixtureB2SigningSecret0123456789".into()],
        sns: SnsSettings {
            topics: vec!["*".to_owned()],
            signatures: SnsSignatures::Everywhere,
            ..SnsSettings::default()
        },
        allowed_origins: vec!["*".to_owned()],
        ..Settings::default()
    }
}

/// What tells of a new version; the ledger says which it is.
const CREATED: [&str; 3] = ["accepted", "duplicate", "stale"];

/// What came of one delivery, in the corpus's words.
#[derive(Default)]
struct Outcome {
    /// `None` for what tells of a new version.
    verdicts: Vec<Option<&'static str>>,
    reasons: Vec<&'static str>,
    /// What each item says, if it tells of a new version.
    created: Vec<Option<Value>>,
    handshakes: Vec<Handshake>,
    sentences: Vec<String>,
}

async fn deliver(delivery: &Delivery) -> Outcome {
    let now: Timestamp = NOW.parse().expect("a time");
    let decoded = decode(delivery, &settings(), now);
    let decoded = decoded
        .authenticate(&Fixture(folder()))
        .await
        .expect("the corpus has a certificate");
    let mut outcome = Outcome::default();
    for item in decoded.items {
        let mut created = None;
        let verdict = match item.told {
            Told::Notification(told) if told.change == Change::Created => {
                created = Some(canonical(&told));
                None
            }
            Told::Notification(_) => {
                outcome.reasons.push(Ignored::NotACreate.as_str());
                Some("ignored")
            }
            Told::Ignored { reason, .. } => {
                outcome.reasons.push(reason.as_str());
                Some("ignored")
            }
            Told::Handshake(handshake) => {
                outcome.handshakes.push(handshake);
                Some("handshake")
            }
            Told::Rejected(rejection) => {
                outcome.reasons.push(rejection.reason.as_str());
                outcome.sentences.push(rejection.to_string());
                Some("error")
            }
        };
        outcome.verdicts.push(verdict);
        outcome.created.push(created);
    }
    outcome
}

fn canonical(told: &Notification) -> Value {
    let mut value = json!({
        "source": told.source.as_str(),
        "bucket": told.bucket.as_str(),
        "key": told.key.as_str(),
        "version_id": told.version_id,
        "etag": told.etag,
        "size": told.size,
        "sequencer": told.sequencer,
        "event_time": told.event_time.map(|time| time.to_string()),
        "event_name": told.event_name,
        "region": told.region,
    });
    if let Some(account) = &told.account {
        value["account"] = account.as_str().into();
    }
    value
}

/// Times are compared as instants.
fn with_instants(mut command: Value) -> Value {
    let time = command["event_time"].as_str();
    let instant = time.and_then(|time| time.parse::<Timestamp>().ok());
    command["event_time"] = instant.map(|time| time.to_string()).into();
    command
}

/// All that is wrong with a case.
async fn faults(case: &Case) -> Vec<String> {
    let outcome = deliver(&case.delivery).await;
    let file = &case.file;
    let mut faults = Vec::new();
    let mut differ = |what: &str, found: Value, expected: Value| {
        if found != expected {
            faults.push(format!(
                "{what}: {found} instead of {expected}; {:?}",
                outcome.sentences
            ));
        }
    };
    let verdicts = file["verdicts"].as_array().map_or(&[][..], Vec::as_slice);
    let verdicts: Vec<&str> = verdicts.iter().filter_map(Value::as_str).collect();
    let as_read = |verdict: &&&str| !CREATED.contains(verdict);
    let expected: Vec<Option<&&str>> = verdicts.iter().map(|it| Some(it).filter(as_read)).collect();
    differ("verdicts", json!(outcome.verdicts), json!(expected));
    let accepted = outcome.created.iter().zip(&verdicts);
    let accepted = accepted.filter(|(_, verdict)| **verdict == "accepted");
    let accepted = accepted.filter_map(|(created, _)| created.clone());
    let expected: Vec<Value> = match file["expect"].as_array() {
        Some(expected) => expected.iter().cloned().map(with_instants).collect(),
        None => Vec::new(),
    };
    differ(
        "commands",
        accepted.map(with_instants).collect(),
        expected.into(),
    );
    if let Some(slug) = file["expect_error"].as_str() {
        let found = outcome.reasons.iter().any(|found| alike(found, slug));
        differ("expect_error", json!(found), json!(true));
    }
    // A larger corpus has words of its own.
    let slug = file["ignored_reason"].as_str();
    if let Some(slug) = slug.filter(|slug| Ignored::ALL.iter().any(|it| it.as_str() == *slug)) {
        differ(
            "ignored_reason",
            json!(outcome.reasons.contains(&slug)),
            json!(true),
        );
    }
    if let (Some(expected), false) = (file.get("expect_response"), outcome.handshakes.is_empty()) {
        let found = response(&outcome.handshakes);
        if let Some(missing) = missing(expected, &found) {
            differ("response", found, missing);
        }
    }
    for sentence in &outcome.sentences {
        differ(
            "a short sentence",
            json!(sentence.len() < 1000),
            json!(true),
        );
    }
    faults
}

/// Whether two slugs may be meant for the same. The README has them compared loosely, and a larger
/// corpus has words of its own: what may not be is that a wrong signature is taken for bad content,
/// or the other way round.
fn alike(found: &str, expected: &str) -> bool {
    let ours = |slug: &str| Reason::ALL.iter().find(|reason| reason.as_str() == slug);
    let (Some(found), Some(expected)) = (ours(found), ours(expected)) else {
        return true;
    };
    let either = [
        Reason::InconsistentEnvelope,
        Reason::MissingField,
        Reason::UnsupportedVersion,
    ];
    found == expected
        || either.contains(found)
        || either.contains(expected)
        || (found.status() == 403) == (expected.status() == 403)
}

/// What the answer lacks of what is expected of it: names are compared without regard to case.
fn missing(expected: &Value, found: &Value) -> Option<Value> {
    let Value::Object(members) = expected else {
        return (expected != found).then(|| expected.clone());
    };
    let lacks = members.iter().any(|(name, value)| {
        let same = |known: &&String| known.eq_ignore_ascii_case(name);
        let known = found.as_object().and_then(|found| found.keys().find(same));
        let known = known.map_or(&Value::Null, |known| &found[known]);
        missing(value, known).is_some()
    });
    lacks.then(|| expected.clone())
}

/// The answer to the sender as the corpus describes it.
fn response(handshakes: &[Handshake]) -> Value {
    match handshakes {
        [Handshake::Confirm { url, .. }] => {
            json!({ "status": 200, "action": "confirm-subscription", "url": url })
        }
        [Handshake::Reply(reply)] => {
            let mut found = json!({ "status": Reply::STATUS, "action": "none", "headers": {} });
            for (name, value) in &reply.headers {
                found[*name] = value.as_str().into();
                found["headers"][*name] = value.as_str().into();
            }
            if let Ok(body) = serde_json::from_slice::<Value>(&reply.body) {
                found["json"] = body;
            }
            found["body"] = String::from_utf8_lossy(&reply.body).into();
            found
        }
        several => json!({ "handshakes": several.len() }),
    }
}

#[tokio::test]
async fn each_case_of_the_corpus_is_read_as_it_says() {
    let folder = folder();
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| {
        panic!(
            "the corpus {} cannot be read: {error}; set DAYBOOK_NOTIFICATION_CORPUS",
            folder.display()
        )
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
        for fault in faults(&case).await {
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
