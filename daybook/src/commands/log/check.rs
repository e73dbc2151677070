//! `daybook log check`: whether every event is there, in order, and can be read.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use daybook_domain::{DecodeError, LedgerEvent};
use daybook_event_store::RecordedEvent;
use daybook_event_store::blobs::{BlobError, BlobRef, BlobStore};
use daybook_event_store::check::{CheckOptions, CheckReport, Decoded, check};
use daybook_event_store::open::{LogUrl, open_for_reading};
use serde_json::{Value, json};

use super::named;
use super::progress::Told;
use crate::cli::{Format, LogCheckArgs};
use crate::commands::WANTING;
use crate::config::{BlobsAt, Config};
use crate::output::{self, Column, text};

/// The config that is taken where none is named.
const CONFIG: &str = "daybook.toml";
/// The folder of the blobs in a data directory.
const BLOBS: &str = "blobs";

const COLUMNS: &[Column] = &[
    ("POSITION", |row| text(&row["position"])),
    ("STREAM", |row| text(&row["stream"])),
    ("PROBLEM", |row| text(&row["problem"])),
];

pub(super) async fn run(format: Format, args: LogCheckArgs) -> Result<ExitCode> {
    let (url, blobs) = ledger(args)?;
    let log = open_for_reading(&url).await?;
    let decoder = Decoder {
        blobs: match blobs {
            BlobsAt::Folder(folder) => open_folder(&folder)?,
            BlobsAt::Log => log.blob_store(),
        },
    };
    let options = CheckOptions {
        contiguous: url.is_contiguous(),
        ..CheckOptions::default()
    };
    let mut told = Told::new();
    let decode = async |event: &RecordedEvent| decoder.decode(event).await;
    let report = check(&*log, &options, decode, |progress| told.at(progress)).await;
    told.done();
    log.close().await;
    let report = report?;
    let mut answer = serde_json::to_value(&report)?;
    answer["log"] = json!(url.to_string());
    answer["valid"] = json!(report.found == 0);
    output::document(format, &answer, || in_words(&url, &report, &answer));
    Ok(match report.found {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(WANTING),
    })
}

/// The log to check, and where its blobs would be.
fn ledger(args: LogCheckArgs) -> Result<(LogUrl, BlobsAt)> {
    let data_dir = args.data_dir.as_deref();
    let path = args.config.as_deref().unwrap_or(Path::new(CONFIG));
    // A data directory or a URL says enough, but a config may keep the blobs elsewhere.
    let wanted =
        args.config.is_some() || (args.url.is_none() && (data_dir.is_none() || path.exists()));
    let config = wanted.then(|| Config::load(path, data_dir)).transpose()?;
    let data_dir = config.as_ref().map(|config| &*config.data_dir).or(data_dir);
    let url = match (args.url.as_deref(), &config) {
        (None, Some(config)) => config.store.clone(),
        (url, _) => named(url.unwrap_or("sqlite"), data_dir)?,
    };
    let blobs = match (&config, &url, data_dir) {
        (Some(config), ..) => config.blobs.clone(),
        (None, LogUrl::Sqlite(file), _) => BlobsAt::Folder(file.with_file_name(BLOBS)),
        (None, _, Some(data_dir)) => BlobsAt::Folder(data_dir.join(BLOBS)),
        (None, _, None) => BlobsAt::Log,
    };
    Ok((url, blobs))
}

/// The blobs, where there are any: a check makes no folders.
fn open_folder(folder: &Path) -> Result<Option<BlobStore>> {
    let folder = Some(folder).filter(|folder| folder.is_dir());
    let opened = folder.map(|folder| BlobStore::open(&folder.to_string_lossy()));
    Ok(opened.transpose()?)
}

/// Tells whether an event can be read by this release, from any earlier one.
struct Decoder {
    blobs: Option<BlobStore>,
}

impl Decoder {
    async fn decode(&self, event: &RecordedEvent) -> Result<Decoded, String> {
        let body: Value = serde_json::from_slice(&event.data).map_err(|error| error.to_string())?;
        let references = references(&body);
        if references.is_empty() {
            return read(event, body);
        }
        for blob in references {
            self.look_for(blob).await?;
        }
        // Where payloads are, a reference decodes as well; other fields have to be fetched.
        let in_place = read(event, body.clone());
        match (in_place, &self.blobs) {
            (Ok(decoded), _) => Ok(decoded),
            (Err(_), None) => Ok(Decoded::NotChecked),
            (Err(_), Some(blobs)) => match blobs.hydrate(body).await {
                Ok(body) => read(event, body),
                Err(BlobError::Unavailable(_)) => Ok(Decoded::NotChecked),
                Err(error) => Err(error.to_string()),
            },
        }
    }

    /// Whether a blob is there; where no blobs are at hand, that is not known.
    async fn look_for(&self, blob: BlobRef) -> Result<(), String> {
        let sha256 = &blob.sha256;
        if sha256.len() != SHA256_DIGITS || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!("{sha256:?} is no name of a blob"));
        }
        match &self.blobs {
            Some(blobs) if matches!(blobs.has(&blob).await, Ok(false)) => {
                Err(format!("blob {sha256} is missing"))
            }
            _ => Ok(()),
        }
    }
}

/// The length of a blob's name.
const SHA256_DIGITS: usize = 64;

/// What the top-level fields of a body refer to.
fn references(body: &Value) -> Vec<BlobRef> {
    let fields = body
        .as_object()
        .into_iter()
        .flat_map(|fields| fields.values());
    let single = fields.filter(|field| field.as_object().is_some_and(|object| object.len() == 1));
    single
        .filter_map(|field| serde_json::from_value(field["$blob"].clone()).ok())
        .collect()
}

fn read(event: &RecordedEvent, body: Value) -> Result<Decoded, String> {
    let stream = event.stream.as_str();
    LedgerEvent::from_json(stream, &event.event_type, event.schema_version, body)
        .map(|_| Decoded::Read)
        .map_err(|error: DecodeError| format!("{:#}", anyhow::Error::from(error)))
}

fn in_words(url: &LogUrl, report: &CheckReport, answer: &Value) -> String {
    let mut lines = vec![
        format!("{url} up to position {}", report.head),
        format!("{} events in {} streams", report.events, report.streams),
        format!("sha256 {}", report.sha256),
    ];
    if report.not_checked > 0 {
        let count = report.not_checked;
        lines.push(format!(
            "{count} events refer to blobs that are not at hand; whether they can be read was not checked"
        ));
    }
    if report.found == 0 {
        lines.push("nothing is found wanting".to_owned());
        return lines.join("\n");
    }
    let rows = answer["findings"].as_array().cloned().unwrap_or_default();
    lines.push(format!("\n{}", output::table(&rows, COLUMNS)));
    match report.found - rows.len() as u64 {
        0 => {}
        more => lines.push(format!("and {more} more")),
    }
    lines.push(format!("\n{} found wanting", report.found));
    lines.join("\n")
}

#[cfg(test)]
mod tests;
