//! `daybook intake decode`: what a notification tells, for the person who asks why one was ignored
//! or refused.
//!
//! It goes through the intake of a server, over a log in memory that is empty, and so says of each
//! record what a server would that knows nothing yet, with the buckets of a config if one is given.
//! Nothing is fetched and nothing is recorded.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use bytes::Bytes;
use daybook_command_service::intake::{Intake, IntakeConfig, Sns, SourceConfig, SourceName};
use daybook_command_service::{HttpLimits, Ledger, unpacked};
use daybook_event_store::blobs::BlobStore;
use daybook_event_store::memory::MemoryEventLog;
use daybook_intake::{
    BadCase, Case, CertificateError, Certificates, Delivery, Settings, SnsSettings, SnsSignatures,
    Transport, decode,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::WANTING;
use crate::cli::{DecodeArgs, DecodeTransport, Format};
use crate::config::Config;
use crate::output::{self, Column};
use crate::usage::usage;

const COLUMNS: &[Column] = &[
    ("VERDICT", |row| output::text(&row["verdict"])),
    ("REASON", |row| output::text(&row["reason"])),
    ("SOURCE", |row| output::text(&row["source"])),
    ("EVENT", |row| output::text(&row["eventName"])),
    ("BUCKET", |row| output::text(&row["bucket"])),
    ("KEY", |row| output::text(&row["key"])),
    ("VERSION", |row| output::text(&row["versionId"])),
    ("SIZE", |row| output::text(&row["size"])),
    ("TIME", |row| output::time(&row["eventTime"])),
];

pub(super) async fn run(format: Format, args: DecodeArgs) -> Result<ExitCode> {
    let bytes = read(&args.file)?;
    let (delivery, prior) = deliveries(bytes, &args)?;
    let certificate = match &args.sns_certificate {
        Some(path) => Some(Bytes::from(read(path)?)),
        None => None,
    };
    let settings = settings(&args, certificate.is_some())?;
    let (config, source, http) = configured(&args, settings.clone())?;
    let delivery = match delivery.transport {
        Transport::Http => match unpacked(delivery, &http) {
            Ok(delivery) => delivery,
            Err(refused) => {
                print(format, vec![refused], None);
                return Ok(ExitCode::from(WANTING));
            }
        },
        _ => delivery,
    };
    let signature = signature(&delivery, &settings);
    let sns = Arc::new(Offline { certificate });
    let blobs = tempfile::tempdir().context("no temporary folder could be made")?;
    let intake = intake(blobs.path(), sns, config)?;
    for prior in prior {
        let taken = match prior.transport {
            Transport::Http => unpacked(prior, &http).ok(),
            _ => Some(prior),
        };
        if let Some(prior) = taken {
            intake.deliver(source.as_ref(), prior).await;
        }
    }
    let delivered = intake.deliver(source.as_ref(), delivery).await;
    if let Some(unavailable) = delivered.unavailable {
        bail!("it cannot be decoded now: {}", unavailable.why);
    }
    let mut rows = Vec::new();
    for record in &delivered.records {
        let mut row = serde_json::to_value(record)?;
        // Positions of a log that is gone by now.
        row["position"] = Value::Null;
        if row["verdict"] == "handshake" {
            row["detail"] = "a server would answer it".into();
        }
        rows.push(row);
    }
    let wanting = rows.iter().any(|row| row["verdict"] == "error");
    print(format, rows, signature);
    Ok(match wanting {
        true => ExitCode::from(WANTING),
        false => ExitCode::SUCCESS,
    })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin()
            .read_to_end(&mut bytes)
            .context("standard input cannot be read")?;
    } else {
        bytes =
            std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    }
    Ok(bytes)
}

/// The delivery, and what is said to have come before it.
fn deliveries(bytes: Vec<u8>, args: &DecodeArgs) -> Result<(Delivery, Vec<Delivery>)> {
    let (mut delivery, prior) = match Case::read(&bytes) {
        Ok(case) => (case.delivery, case.prior),
        Err(BadCase::NotOne) => {
            let delivery = Delivery {
                transport: Transport::Http,
                method: "POST".to_owned(),
                headers: Vec::new(),
                query: Vec::new(),
                body: bytes.into(),
            };
            (delivery, Vec::new())
        }
        Err(broken @ BadCase::Broken(_)) => return Err(broken.into()),
    };
    if let Some(transport) = args.transport {
        delivery.transport = match transport {
            DecodeTransport::Http => Transport::Http,
            DecodeTransport::Sqs => Transport::Sqs,
            DecodeTransport::Lambda => Transport::Lambda,
            DecodeTransport::Stream => Transport::Stream,
        };
    }
    delivery.headers.extend(args.headers.iter().cloned());
    delivery.query.extend(args.query.iter().cloned());
    Ok((delivery, prior))
}

/// Whoever asks has the file already: tokens, topics and ages do not matter to them.
fn settings(args: &DecodeArgs, has_certificate: bool) -> Result<Settings> {
    let b2_secrets = match &args.b2_secret {
        Some(path) => {
            let secret = String::from_utf8(read(path)?).context("the secret is not UTF-8")?;
            vec![secret.trim_end_matches(['\r', '\n']).to_owned().into()]
        }
        None => Vec::new(),
    };
    Ok(Settings {
        b2_secrets,
        sns: SnsSettings {
            topics: vec!["*".to_owned()],
            max_age: None,
            signatures: match has_certificate {
                true => SnsSignatures::Everywhere,
                false => SnsSignatures::Nowhere,
            },
        },
        allowed_origins: vec!["*".to_owned()],
        ..Settings::default()
    })
}

/// What is said of the signatures of Amazon SNS, if the delivery has one.
fn signature(delivery: &Delivery, settings: &Settings) -> Option<&'static str> {
    let mut everywhere = settings.clone();
    everywhere.sns.signatures = SnsSignatures::Everywhere;
    let signed = !decode(delivery, &everywhere, Timestamp::UNIX_EPOCH)
        .checks
        .is_empty();
    let word = match settings.sns.signatures {
        SnsSignatures::Nowhere => "not checked",
        SnsSignatures::OverHttp | SnsSignatures::Everywhere => "checked",
    };
    signed.then_some(word)
}

/// What an intake here is started with: what the config says of buckets, of stores and of how much is
/// read, if one is given, and nothing that a delivery has to show.
fn configured(
    args: &DecodeArgs,
    settings: Settings,
) -> Result<(IntakeConfig, Option<SourceName>, HttpLimits)> {
    let Some(file) = &args.config else {
        let config = IntakeConfig {
            open: Arc::new(settings),
            ..IntakeConfig::default()
        };
        return Ok((config, None, HttpLimits::default()));
    };
    let intake = Config::load(file, None)?.intake;
    let (given, http) = (intake.config, intake.http);
    let source = match &args.source {
        None => None,
        Some(name) => {
            let parsed = name.parse().ok();
            let known = parsed.filter(|name| given.sources.contains_key(name));
            match known {
                Some(source) => Some(source),
                None => usage!("{} has no source {name:?}", file.display()),
            }
        }
    };
    let as_given = |given: &Settings| {
        Arc::new(Settings {
            sources: given.sources.clone(),
            limits: given.limits.clone(),
            ..settings.clone()
        })
    };
    let sources = given.sources.into_iter().map(|(name, source)| {
        let source = SourceConfig {
            settings: as_given(&source.settings),
            // Whoever looks at a message of a queue has it as a file.
            queues_only: false,
            ..source
        };
        (name, source)
    });
    let config = IntakeConfig {
        sources: sources.collect(),
        buckets: given.buckets,
        unknown: given.unknown,
        open: as_given(&given.open),
        ..IntakeConfig::default()
    };
    Ok((config, source, http))
}

fn intake(folder: &Path, sns: Arc<dyn Sns>, config: IntakeConfig) -> Result<Intake> {
    let folder = folder
        .to_str()
        .context("the temporary folder's name is not UTF-8")?;
    let ledger = Ledger::new(MemoryEventLog::new(), BlobStore::open(folder)?, false);
    Ok(Intake::new(ledger, sns, config)?)
}

fn print(format: Format, rows: Vec<Value>, signature: Option<&str>) {
    match format {
        Format::Table => {
            output::line(output::table(&rows, COLUMNS));
            for (index, row) in rows.iter().enumerate() {
                if let Some(detail) = row["detail"].as_str() {
                    output::line(format_args!("{}: {}", index + 1, output::plain(detail)));
                }
            }
            if let Some(signature) = signature {
                output::line(format_args!("signature of Amazon SNS: {signature}"));
            }
        }
        Format::Json | Format::Jsonl => {
            let mut answer = json!({ "records": rows });
            if let Some(signature) = signature {
                answer["signature"] = signature.into();
            }
            output::document(format, &answer, String::new);
        }
    }
}

/// Amazon SNS, as far as it can be known without a network.
struct Offline {
    certificate: Option<Bytes>,
}

#[async_trait]
impl Certificates for Offline {
    async fn certificate(&self, _url: &str) -> Result<Bytes, CertificateError> {
        let none = || CertificateError::Unavailable("no certificate is given".to_owned());
        self.certificate.clone().ok_or_else(none)
    }
}

#[async_trait]
impl Sns for Offline {
    /// Nothing is fetched.
    async fn confirm(&self, _url: &str) -> Result<(), String> {
        Ok(())
    }
}
