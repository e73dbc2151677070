//! An S3 Inventory report in the place of a listing, for buckets so large that listing takes too
//! long (S3 user guide, "Cataloging and analyzing your data with S3 Inventory").
//!
//! ```text
//!  manifest.json ─> its CSV files, unpacked ─> sorted outside of memory ─> pages of whole keys
//! ```
//! A report is hours old, so what differs from it is only a reason to look at the bucket itself.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use daybook_domain::reconcile::ReconcileStarted;
use daybook_domain::stored_object::{ListedVersion, ObjectVersion};
use daybook_domain::{BucketName, ObjectKey};
use daybook_event_store::sorter::{SORTER_BYTES, Sorted, Sorter};
use daybook_s3_gateway::{Gateway, SurveyedKey};
use flate2::read::MultiGzDecoder;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::Problem;
use super::merge::Pages;

/// A manifest has a line for each of its files, and no report has so many.
const MAX_MANIFEST_BYTES: u64 = 64 << 20;

/// The longest line of a report: a key of 1,024 bytes, each as `%XX`, and some dozen fields.
const MAX_LINE_BYTES: usize = 64 << 10;

/// After how many lines it is asked whether anybody still waits for them.
const ASK_EVERY: u64 = 4_096;

/// How many keys a page has, and how many pages are read ahead.
const PAGE: usize = 500;
const PAGES_AHEAD: usize = 2;

/// The keys of a report.
pub(super) struct Inventory(mpsc::Receiver<Result<Vec<SurveyedKey>, Problem>>);

#[async_trait]
impl Pages<SurveyedKey> for Inventory {
    async fn next_page(&mut self) -> Result<Option<Vec<SurveyedKey>>, Problem> {
        self.0.recv().await.transpose()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    source_bucket: String,
    file_format: String,
    file_schema: String,
    files: Vec<ManifestFile>,
}

#[derive(Deserialize)]
struct ManifestFile {
    key: String,
}

/// Where a report lies.
enum At {
    /// In a folder of this machine.
    Folder(PathBuf),
    /// In a bucket of this gateway.
    Bucket(BucketName),
}

/// Reads and sorts a report, and gives out its keys behind one.
pub(super) async fn open(
    gateway: &Gateway,
    asked: &ReconcileStarted,
    manifest: &str,
    after: Option<&ObjectKey>,
) -> Result<Inventory, Problem> {
    let (at, file) = match manifest.strip_prefix("s3://") {
        Some(place) => {
            let (bucket, key) = place.split_once('/').ok_or_else(|| {
                Problem::Hopeless(format!("{manifest} names no object; write s3://BUCKET/KEY"))
            })?;
            let bucket = BucketName::parse(bucket);
            let bucket = bucket.map_err(|error| Problem::Hopeless(error.to_string()))?;
            let file = fetch(gateway, &bucket, key).await?;
            (At::Bucket(bucket), file)
        }
        None => {
            let path = Path::new(manifest);
            let folder = path.parent().unwrap_or_else(|| Path::new("."));
            (At::Folder(folder.to_owned()), opened(path)?)
        }
    };
    let manifest: Manifest = serde_json::from_reader(file.take(MAX_MANIFEST_BYTES))
        .map_err(|error| Problem::Hopeless(format!("{manifest} is no manifest: {error}")))?;
    manifest.check(gateway, &asked.bucket)?;
    let mut reports = Vec::with_capacity(manifest.files.len());
    for file in &manifest.files {
        reports.push(match &at {
            At::Folder(folder) => opened(&beside(folder, &file.key)?)?,
            At::Bucket(bucket) => fetch(gateway, bucket, &file.key).await?,
        });
    }
    let columns = Columns::of(&manifest.file_schema)?;
    let (prefix, after) = (asked.prefix.clone(), after.map(ToString::to_string));
    let (sender, pages) = mpsc::channel(PAGES_AHEAD);
    tokio::task::spawn_blocking(move || {
        let wanted = || !sender.is_closed();
        let sorted = sort(reports, &columns, &prefix, after.as_deref(), wanted);
        if let Err(problem) = sorted.and_then(|sorted| give_out(sorted, &sender)) {
            let _ = sender.blocking_send(Err(problem));
        }
    });
    Ok(Inventory(pages))
}

impl Manifest {
    fn check(&self, gateway: &Gateway, bucket: &BucketName) -> Result<(), Problem> {
        if !self.file_format.eq_ignore_ascii_case("CSV") {
            return Err(Problem::Hopeless(format!(
                "the inventory's format is {}, and only CSV is read; have the report made as CSV",
                self.file_format
            )));
        }
        let there = gateway.name_at_store(bucket);
        if self.source_bucket != bucket.as_str() && Some(&self.source_bucket) != there.as_ref() {
            return Err(Problem::Hopeless(format!(
                "the inventory is of bucket {}, not of {bucket}",
                self.source_bucket
            )));
        }
        Ok(())
    }
}

/// A file of a report that was copied here: at its key below the folder or one above it, or beside
/// the manifest.
fn beside(folder: &Path, key: &str) -> Result<PathBuf, Problem> {
    let relative = Path::new(key);
    let plain = relative
        .components()
        .all(|part| matches!(part, std::path::Component::Normal(_)));
    let name = relative.file_name().filter(|_| plain).ok_or_else(|| {
        Problem::Hopeless(format!(
            "the inventory names {key:?}, which is no plain path"
        ))
    })?;
    let above = folder.ancestors().map(|folder| folder.join(relative));
    let mut places = above.chain([folder.join(name), folder.join("data").join(name)]);
    places.find(|place| place.is_file()).ok_or_else(|| {
        Problem::Hopeless(format!(
            "the inventory's file {key} is neither beside its manifest nor at its path above it"
        ))
    })
}

fn opened(path: &Path) -> Result<File, Problem> {
    File::open(path)
        .map_err(|error| Problem::Hopeless(format!("{} cannot be read: {error}", path.display())))
}

async fn fetch(gateway: &Gateway, bucket: &BucketName, key: &str) -> Result<File, Problem> {
    let missing = || Problem::Hopeless(format!("there is no object s3://{bucket}/{key}"));
    let parsed = ObjectKey::parse(key).map_err(|_| missing())?;
    let mut file = gateway.fetch(bucket, &parsed).await?.ok_or_else(missing)?;
    file.rewind().map_err(Problem::unavailable)?;
    Ok(file)
}

/// Which field of a line is what.
struct Columns {
    key: usize,
    by_name: HashMap<String, usize>,
}

impl Columns {
    fn of(schema: &str) -> Result<Self, Problem> {
        let names = schema
            .split(',')
            .map(|name| name.trim().to_ascii_lowercase());
        let by_name: HashMap<String, usize> = names.zip(0..).collect();
        let key = by_name.get("key").copied().ok_or_else(|| {
            Problem::Hopeless(format!(
                "the inventory has no keys: its fields are {schema}"
            ))
        })?;
        Ok(Self { key, by_name })
    }

    fn field<'f>(&self, fields: &'f [String], name: &str) -> Option<&'f str> {
        let field = fields.get(*self.by_name.get(name)?)?;
        Some(field.as_str()).filter(|field| !field.is_empty())
    }

    /// The entry of a line, with its key.
    fn entry(&self, fields: &[String]) -> Option<(String, Entry)> {
        // As in forms: a space is a plus.
        let key = fields.get(self.key)?.replace('+', " ");
        let key = percent_decode_str(&key).decode_utf8().ok()?.into_owned();
        let is = |name: &str| self.field(fields, name) == Some("true");
        let entry = Entry {
            version_id: self
                .field(fields, "versionid")
                .filter(|id| *id != "null")
                .map(str::to_owned),
            etag: self.field(fields, "etag").map(str::to_owned),
            size: self
                .field(fields, "size")
                .and_then(|size| size.parse().ok()),
            modified_at: self
                .field(fields, "lastmodifieddate")
                .and_then(|time| time.parse().ok()),
            latest: !self.by_name.contains_key("islatest") || is("islatest"),
            marker: is("isdeletemarker"),
        };
        Some((key, entry))
    }
}

/// A line of a report, as it is sorted.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    version_id: Option<String>,
    etag: Option<String>,
    size: Option<u64>,
    modified_at: Option<Timestamp>,
    latest: bool,
    marker: bool,
}

impl Entry {
    /// Where it is sorted: by key, then what is the latest, then the newest.
    fn place(&self, key: &str) -> Vec<u8> {
        let age = self.modified_at.map_or(i64::MAX, |time| {
            i64::MAX.saturating_sub(time.as_microsecond().max(0))
        });
        // No text has a byte below 0 to follow a key that another one begins with.
        let mut place = [key.as_bytes(), &[0, u8::from(!self.latest)]].concat();
        place.extend_from_slice(&age.to_be_bytes());
        place
    }
}

fn sort(
    reports: Vec<File>,
    columns: &Columns,
    prefix: &str,
    after: Option<&str>,
    wanted: impl Fn() -> bool,
) -> Result<Sorted, Problem> {
    let mut sorter = Sorter::new(&std::env::temp_dir(), SORTER_BYTES);
    let mut looked_at = 0_u64;
    for report in reports {
        let mut lines = BufReader::new(unpacked(report)?);
        let mut line = Vec::new();
        loop {
            line.clear();
            let mut bounded = (&mut lines).take(MAX_LINE_BYTES as u64);
            let read = bounded.read_until(b'\n', &mut line).map_err(broken)?;
            looked_at += 1;
            if looked_at.is_multiple_of(ASK_EVERY) && !wanted() {
                return Err(Problem::Stopped);
            }
            if read == 0 {
                break;
            }
            let text = std::str::from_utf8(&line).map_err(broken)?.trim_end();
            if text.is_empty() {
                continue;
            }
            let entry = fields(text).and_then(|fields| columns.entry(&fields));
            let (key, entry) = entry.ok_or_else(|| broken("a line of it is malformed"))?;
            if key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after) {
                let value = serde_json::to_vec(&entry).map_err(broken)?;
                sorter.push(&entry.place(&key), &value).map_err(broken)?;
            }
        }
    }
    sorter.finish().map_err(broken)
}

/// Reports are packed; one that was unpacked by hand is read as it is.
fn unpacked(mut report: File) -> Result<Box<dyn Read>, Problem> {
    let mut magic = [0; 2];
    let packed = report.read(&mut magic).map_err(broken)? == 2 && magic == [0x1f, 0x8b];
    report.rewind().map_err(broken)?;
    Ok(match packed {
        true => Box::new(MultiGzDecoder::new(BufReader::new(report))),
        false => Box::new(report),
    })
}

/// The fields of a line (RFC 4180).
fn fields(line: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, behind) = match rest.strip_prefix('"') {
            None => match rest.split_once(',') {
                Some((field, behind)) => (field.to_owned(), Some(behind)),
                None => (rest.to_owned(), None),
            },
            Some(quoted) => {
                let (field, behind) = quoted_field(quoted)?;
                match behind.strip_prefix(',') {
                    Some(behind) => (field, Some(behind)),
                    None if behind.is_empty() => (field, None),
                    None => return None,
                }
            }
        };
        fields.push(field);
        match behind {
            Some(behind) => rest = behind,
            None => return Some(fields),
        }
    }
}

/// A field behind its first quote, and what follows its last one. Two quotes are one.
fn quoted_field(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (before, behind) = rest.split_once('"')?;
        field.push_str(before);
        match behind.strip_prefix('"') {
            Some(behind) => {
                field.push('"');
                rest = behind;
            }
            None => return Some((field, behind)),
        }
    }
}

fn give_out(
    sorted: Sorted,
    pages: &mpsc::Sender<Result<Vec<SurveyedKey>, Problem>>,
) -> Result<(), Problem> {
    let mut page: Vec<SurveyedKey> = Vec::with_capacity(PAGE);
    for record in sorted {
        let (place, value) = record.map_err(broken)?;
        let key = &place[..place.len().saturating_sub(PLACE_BYTES)];
        let key = std::str::from_utf8(key).map_err(broken)?;
        let entry: Entry = serde_json::from_slice(&value).map_err(broken)?;
        if page.last().is_none_or(|last| last.key.as_str() != key) {
            // Only whole keys are given out.
            if page.len() == PAGE && pages.blocking_send(Ok(std::mem::take(&mut page))).is_err() {
                return Ok(());
            }
            let Ok(key) = ObjectKey::parse(key) else {
                continue;
            };
            page.push(SurveyedKey {
                key,
                versions: Vec::new(),
            });
        }
        if let Some(last) = page.last_mut().filter(|_| !entry.marker) {
            last.versions.push(ListedVersion {
                version: ObjectVersion {
                    version_id: entry.version_id,
                    etag: entry.etag,
                    size: entry.size,
                    modified_at: entry.modified_at,
                    stamp: None,
                },
                latest: entry.latest,
                order: None,
            });
        }
    }
    let _ = pages.blocking_send(Ok(page));
    Ok(())
}

/// What [`Entry::place`] has behind the key.
const PLACE_BYTES: usize = 10;

fn broken(error: impl std::fmt::Display) -> Problem {
    Problem::Hopeless(format!("the inventory cannot be read: {error}"))
}

#[cfg(test)]
mod tests;
