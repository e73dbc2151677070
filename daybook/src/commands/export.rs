//! `daybook export` and `daybook verify`.
//!
//! The export is recorded before its first byte leaves and again with its digest when the last one
//! is on disk; the folder appears whole or not at all.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use daybook_audit::export::{self as audit, About, Manifest, ManifestBuilder};
use futures::StreamExt;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::WANTING;
use crate::actor;
use crate::cli::{ExportArgs, Format};
use crate::client::Client;
use crate::output::{self, text};

const EVENTS: &str = "events.jsonl";
const MANIFEST: &str = "manifest.json";

pub(super) async fn run(client: &Client, format: Format, args: ExportArgs) -> Result<()> {
    if args.out.exists() {
        bail!(
            "{} exists; an export writes over nothing, name another folder",
            args.out.display()
        );
    }
    let request = json!({
        "format": args.format,
        "since": args.since,
        "until": args.until,
        "reason": args.reason,
    });
    let started = client.post("/v1/exports", request).await?;
    let id = text(&started["export"]);
    let unfinished = Unfinished::beside(&args.out)?;
    let manifest = download(client, &id, &unfinished.0, &started["range"]).await?;
    let complete = json!({ "events": manifest.count, "sha256": manifest.sha256 });
    client
        .post(&format!("/v1/exports/{id}/complete"), complete)
        .await?;
    std::fs::rename(&unfinished.0, &args.out)
        .with_context(|| format!("{} cannot be made", args.out.display()))?;
    let answer = serde_json::to_value(&manifest)?;
    output::document(format, &answer, || {
        let out = args.out.display();
        format!(
            "wrote {} events to {out}\nsha256 {}\ncheck it with: daybook verify {out}",
            manifest.count, manifest.sha256
        )
    });
    Ok(())
}

/// Checks an export's folder against its manifest.
pub(super) fn verify(format: Format, folder: &Path) -> Result<ExitCode> {
    let (manifest_path, events) = (folder.join(MANIFEST), folder.join(EVENTS));
    let bytes = std::fs::read(&manifest_path)
        .with_context(|| format!("{} cannot be read", manifest_path.display()))?;
    let manifest: Manifest = serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is no manifest", manifest_path.display()))?;
    let file =
        File::open(&events).with_context(|| format!("{} cannot be read", events.display()))?;
    match audit::verify(&manifest, BufReader::new(file)) {
        Ok(verified) => {
            let answer =
                json!({ "valid": true, "count": verified.count, "sha256": verified.sha256 });
            output::document(format, &answer, || {
                format!(
                    "{} events, as the manifest says; sha256 {}",
                    verified.count, verified.sha256
                )
            });
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            let why = format!("{:#}", anyhow::Error::from(error));
            let answer = json!({ "valid": false, "error": why });
            output::document(format, &answer, || format!("{}: {why}", events.display()));
            Ok(ExitCode::from(WANTING))
        }
    }
}

async fn download(client: &Client, id: &str, folder: &Path, range: &Value) -> Result<Manifest> {
    let time = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
    let mut builder = ManifestBuilder::new(About {
        export: Some(id.to_owned()),
        since: time(&range["since"]),
        until: time(&range["until"]),
        created_by: actor::name(),
        created_at: now(),
    });
    let mut file = BufWriter::new(File::create(folder.join(EVENTS))?);
    let mut body = client
        .stream(&format!("/v1/exports/{id}/events"))
        .await?
        .bytes_stream();
    let mut rest: Vec<u8> = Vec::new();
    while let Some(chunk) = body.next().await {
        rest.extend_from_slice(&chunk.context("the export broke off; start it again")?);
        let mut taken = 0;
        while let Some(length) = rest[taken..].iter().position(|byte| *byte == b'\n') {
            let line = &rest[taken..taken + length];
            builder
                .add_line(line)
                .with_context(|| format!("line {} of the export", builder.count() + 1))?;
            file.write_all(line)?;
            file.write_all(b"\n")?;
            taken += length + 1;
        }
        rest.drain(..taken);
    }
    if !rest.is_empty() {
        bail!("the export broke off in the middle of a line; start it again");
    }
    synced(file)?;
    let manifest = builder.finish();
    let mut file = BufWriter::new(File::create(folder.join(MANIFEST))?);
    serde_json::to_writer_pretty(&mut file, &manifest)?;
    file.write_all(b"\n")?;
    synced(file)?;
    Ok(manifest)
}

fn synced(file: BufWriter<File>) -> Result<()> {
    file.into_inner()
        .map_err(|error| error.into_error())?
        .sync_all()?;
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the edge: a manifest says when it was made"
)]
fn now() -> Timestamp {
    Timestamp::now()
}

/// The folder in which an export grows; removed unless it was renamed to its place.
struct Unfinished(PathBuf);

impl Unfinished {
    fn beside(out: &Path) -> Result<Self> {
        let name = out
            .file_name()
            .context("--out needs the name of a folder")?;
        let path = out.with_file_name(format!(".{}.part", name.to_string_lossy()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path)
            .with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
