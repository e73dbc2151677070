//! Multipart uploads on disk: `.daybook/uploads/<id>/` holds `upload.json` and, for each part,
//! its bytes and a small file that names them. They survive a restart, and any process that
//! serves the folder can go on with them. Completing and aborting take the key's lock, so that an
//! upload becomes one object or none.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use daybook_domain::ObjectKey;
use md5::{Digest, Md5};
use s3s::S3ErrorCode;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::durable;
use super::parts::Parts;
use super::receive::{Received, Sink};
use super::stamp::{Checksums, Headers};
use super::store::{Bucket, blocking};
use crate::clock;
use crate::error::StoreError;

/// The highest part number (S3 user guide, "Multipart upload limits").
pub(crate) const MAX_PARTS: u32 = 10_000;

/// An upload. Storage format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Upload {
    pub(crate) key: String,
    pub(crate) headers: Headers,
    pub(crate) metadata: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tags: BTreeMap<String, String>,
    /// The checksum that the client wants for the object, as S3 names it.
    pub(crate) algorithm: Option<String>,
    /// Whether it is over the object's bytes, not over the parts' checksums.
    pub(crate) full_object: bool,
}

/// A part. Storage format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) number: u32,
    pub(crate) etag: String,
    pub(crate) size: u64,
    pub(crate) modified_at: SystemTime,
    pub(crate) checksums: Checksums,
    /// The name of the file that holds the bytes.
    file: String,
}

/// The parts of an upload put together, not yet visible.
#[derive(Debug)]
pub(crate) struct Assembled {
    pub(crate) upload: Upload,
    pub(crate) received: Received,
    pub(crate) etag: String,
    pub(crate) checksums: Checksums,
    pub(crate) parts: Parts,
}

/// An upload that is not over.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) id: String,
    pub(crate) upload: Upload,
    pub(crate) begun_at: SystemTime,
}

/// A part as the client names it on completion.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) number: u32,
    pub(crate) etag: Option<String>,
    pub(crate) checksums: Checksums,
}

impl Bucket {
    /// Begins an upload.
    pub(crate) async fn create_upload(
        self: &Arc<Self>,
        upload: Upload,
    ) -> Result<String, StoreError> {
        let this = Arc::clone(self);
        blocking(move || {
            let id = clock::ordered_id().simple().to_string();
            let dir = this.private("uploads").join(&id);
            durable::create_dirs(&this.root, &dir)?;
            let bytes = serde_json::to_vec(&upload).map_err(io::Error::other)?;
            this.temporaries
                .write_file(&dir.join("upload.json"), &bytes)?;
            Ok(id)
        })
        .await
    }

    /// The upload, if it is one of this key.
    pub(crate) async fn upload(
        self: &Arc<Self>,
        key: &ObjectKey,
        id: &str,
    ) -> Result<Upload, StoreError> {
        let dir = self.upload_dir(id)?;
        let upload = blocking(move || match fs::read(dir.join("upload.json")) {
            Ok(bytes) => Ok(serde_json::from_slice::<Upload>(&bytes).map_err(io::Error::other)?),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(StoreError::NoSuchUpload),
            Err(e) => Err(e.into()),
        })
        .await?;
        (upload.key == key.as_str())
            .then_some(upload)
            .ok_or(StoreError::NoSuchUpload)
    }

    /// The uploads of the bucket that are not over, by key and then by age.
    pub(crate) async fn uploads(self: &Arc<Self>) -> Result<Vec<Begun>, StoreError> {
        let this = Arc::clone(self);
        blocking(move || {
            let mut uploads = Vec::new();
            for entry in durable::entries(&this.private("uploads"))? {
                let path = entry.path().join("upload.json");
                let read = || io::Result::Ok((fs::read(&path)?, path.metadata()?.modified()?));
                let (bytes, begun_at) = match read() {
                    Ok(read) => read,
                    // It is just being begun or has just ended.
                    Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                    Err(e) => return Err(StoreError::from(e)),
                };
                uploads.push(Begun {
                    id: entry.file_name().to_string_lossy().into_owned(),
                    upload: serde_json::from_slice(&bytes).map_err(io::Error::other)?,
                    begun_at,
                });
            }
            // The ids grow with time.
            uploads.sort_unstable_by(|a, b| (&a.upload.key, &a.id).cmp(&(&b.upload.key, &b.id)));
            Ok(uploads)
        })
        .await
    }

    /// Keeps a part, replacing an earlier one of its number.
    pub(crate) async fn put_part(
        self: &Arc<Self>,
        id: &str,
        number: u32,
        received: Received,
        checksums: Checksums,
    ) -> Result<Part, StoreError> {
        let dir = self.upload_dir(id)?;
        let temporaries = Arc::clone(&self.temporaries);
        blocking(move || {
            let part = Part {
                number,
                etag: hex::encode(received.md5),
                size: received.size,
                modified_at: clock::now(),
                checksums,
                file: format!("{number:05}-{}", clock::random_id().simple()),
            };
            let received = received.filed(&temporaries)?;
            received.file.sync_all()?;
            let replaced = read_part(&dir, number)?;
            let gone = |e: io::Error| match e.kind() {
                // The upload was completed or aborted meanwhile.
                io::ErrorKind::NotFound => StoreError::NoSuchUpload,
                _ => e.into(),
            };
            fs::rename(&received.temporary.0, dir.join(&part.file)).map_err(gone)?;
            let bytes = serde_json::to_vec(&part).map_err(io::Error::other)?;
            let written = temporaries.write_file(&part_path(&dir, number), &bytes);
            written.map_err(gone)?;
            if let Some(replaced) = replaced {
                // Gone if the part was replaced by another request at the same time.
                let _ = fs::remove_file(dir.join(replaced.file));
            }
            Ok(part)
        })
        .await
    }

    /// The parts of an upload by number.
    pub(crate) async fn parts(self: &Arc<Self>, id: &str) -> Result<Vec<Part>, StoreError> {
        let dir = self.upload_dir(id)?;
        blocking(move || {
            let mut parts = Vec::new();
            for entry in durable::entries(&dir)? {
                let path = entry.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if name.starts_with("part-") {
                    parts.push(
                        serde_json::from_slice::<Part>(&fs::read(&path)?)
                            .map_err(io::Error::other)?,
                    );
                }
            }
            parts.sort_unstable_by_key(|part| part.number);
            Ok(parts)
        })
        .await
    }

    /// Puts the chosen parts together into one temporary file.
    pub(crate) async fn assemble(
        self: &Arc<Self>,
        id: &str,
        upload: Upload,
        chosen: Vec<Chosen>,
        min_part_bytes: u64,
    ) -> Result<Assembled, StoreError> {
        let dir = self.upload_dir(id)?;
        let temporaries = Arc::clone(&self.temporaries);
        blocking(move || {
            let parts = choose(&dir, &upload, &chosen, min_part_bytes);
            // It may have been completed, and removed with its parts, since it was looked up.
            let parts = match parts {
                Err(_) if !dir.exists() => return Err(StoreError::NoSuchUpload),
                parts => parts?,
            };
            let hasher = if upload.full_object {
                hasher(upload.algorithm.as_deref())
            } else {
                Default::default()
            };
            let mut sink = Sink::for_parts(&temporaries, hasher);
            for part in &parts {
                sink.copy(open_part(&dir, part)?)?;
            }
            let received = sink.finish()?;
            let mut md5 = Md5::new();
            for part in &parts {
                md5.update(hex::decode(&part.etag).map_err(io::Error::other)?);
            }
            let etag = format!("{}-{}", hex::encode(md5.finalize()), parts.len());
            let checksums = if upload.full_object {
                of_object(&received.checksums)
            } else {
                of_parts(upload.algorithm.as_deref(), &parts)
            };
            Ok(Assembled {
                parts: Parts::new(&parts, upload.algorithm.as_deref()),
                upload,
                received,
                etag,
                checksums,
            })
        })
        .await
    }

    /// Forgets an upload of the key and its parts, unless it is completed first.
    pub(crate) async fn abort_upload(
        self: &Arc<Self>,
        key: &ObjectKey,
        id: &str,
    ) -> Result<(), StoreError> {
        let _guard = self.lock(key).await?;
        self.upload(key, id).await?;
        self.remove_upload(id).await
    }

    /// Forgets an upload and its parts. Its key has to be locked.
    pub(crate) async fn remove_upload(self: &Arc<Self>, id: &str) -> Result<(), StoreError> {
        let (this, dir) = (Arc::clone(self), self.upload_dir(id)?);
        blocking(move || match this.temporaries.remove_dir(&dir) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e.into()),
            _ => Ok(()),
        })
        .await
    }

    /// Forgets the uploads to which nothing was added for so long.
    pub(super) fn remove_stale_uploads(
        &self,
        now: SystemTime,
        upload_retain: Duration,
    ) -> io::Result<()> {
        for entry in durable::entries(&self.private("uploads"))? {
            let Ok(modified) = entry.metadata().and_then(|meta| meta.modified()) else {
                continue;
            };
            if now.duration_since(modified).unwrap_or_default() >= upload_retain
                && let Err(error) = self.temporaries.remove_dir(&entry.path())
            {
                tracing::debug!(%error, upload = ?entry.file_name(), "somebody else removed it");
            }
        }
        Ok(())
    }

    fn upload_dir(&self, id: &str) -> Result<PathBuf, StoreError> {
        // The id comes from the client and becomes a file name.
        let id: Uuid = id.parse().map_err(|_| StoreError::NoSuchUpload)?;
        Ok(self.private("uploads").join(id.simple().to_string()))
    }
}

#[cfg(test)]
impl Part {
    /// One without bytes.
    pub(super) fn for_tests(
        number: u32,
        size: u64,
        modified_at: SystemTime,
        checksums: Checksums,
    ) -> Self {
        Self {
            number,
            etag: String::new(),
            size,
            modified_at,
            checksums,
            file: String::new(),
        }
    }
}

/// A hasher for an algorithm as S3 names it.
pub(crate) fn hasher(algorithm: Option<&str>) -> ChecksumHasher {
    let is = |name| algorithm == Some(name);
    ChecksumHasher {
        crc32: is("CRC32").then(Crc32::new),
        crc32c: is("CRC32C").then(Crc32c::new),
        crc64nvme: is("CRC64NVME").then(Crc64Nvme::new),
        sha1: is("SHA1").then(Sha1::new),
        sha256: is("SHA256").then(Sha256::new),
    }
}

fn part_path(dir: &std::path::Path, number: u32) -> PathBuf {
    dir.join(format!("part-{number:05}.json"))
}

fn read_part(dir: &std::path::Path, number: u32) -> io::Result<Option<Part>> {
    match fs::read(part_path(dir, number)) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Opens the bytes of a part.
fn open_part(dir: &std::path::Path, part: &Part) -> Result<File, StoreError> {
    File::open(dir.join(&part.file)).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound if dir.exists() => StoreError::refused(
            S3ErrorCode::InvalidPart,
            format!("part {} is being replaced", part.number),
        ),
        io::ErrorKind::NotFound => StoreError::NoSuchUpload,
        _ => error.into(),
    })
}

/// The chosen parts, if they are there, as named, in order and large enough.
fn choose(
    dir: &std::path::Path,
    upload: &Upload,
    chosen: &[Chosen],
    min_part_bytes: u64,
) -> Result<Vec<Part>, StoreError> {
    fn refused(code: S3ErrorCode, message: impl Into<String>) -> StoreError {
        StoreError::refused(code, message)
    }
    if chosen.is_empty() {
        return Err(refused(S3ErrorCode::MalformedXML, "no part is named"));
    }
    if !chosen.is_sorted_by(|a, b| a.number < b.number) {
        return Err(refused(
            S3ErrorCode::InvalidPartOrder,
            "the parts are not in ascending order",
        ));
    }
    let needs_sum = upload.algorithm.as_deref().filter(|_| !upload.full_object);
    let mut parts = Vec::with_capacity(chosen.len());
    for want in chosen {
        if let Some(algorithm) = needs_sum
            && want.checksums.of(algorithm).is_none()
        {
            let message = format!(
                "the upload was created with a {algorithm} checksum; the one of part {} is missing",
                want.number
            );
            return Err(refused(S3ErrorCode::InvalidRequest, message));
        }
        let part = read_part(dir, want.number)?.filter(|part| {
            want.etag.as_ref().is_none_or(|etag| *etag == part.etag)
                && agrees(&want.checksums, &part.checksums)
        });
        let missing = || {
            refused(
                S3ErrorCode::InvalidPart,
                format!("part {} is not there as named", want.number),
            )
        };
        parts.push(part.ok_or_else(missing)?);
    }
    let all_but_last = &parts[..parts.len() - 1];
    if let Some(small) = all_but_last.iter().find(|part| part.size < min_part_bytes) {
        let message = format!(
            "part {} is smaller than the allowed {min_part_bytes} bytes",
            small.number
        );
        return Err(refused(S3ErrorCode::EntityTooSmall, message));
    }
    Ok(parts)
}

fn agrees(wanted: &Checksums, kept: &Checksums) -> bool {
    let agree = |wanted: &Option<String>, kept: &Option<String>| {
        wanted.is_none() || kept.is_none() || wanted == kept
    };
    agree(&wanted.crc32, &kept.crc32)
        && agree(&wanted.crc32c, &kept.crc32c)
        && agree(&wanted.crc64nvme, &kept.crc64nvme)
        && agree(&wanted.sha1, &kept.sha1)
        && agree(&wanted.sha256, &kept.sha256)
}

fn of_object(sums: &s3s::dto::Checksum) -> Checksums {
    Checksums {
        crc32: sums.checksum_crc32.clone(),
        crc32c: sums.checksum_crc32c.clone(),
        crc64nvme: sums.checksum_crc64nvme.clone(),
        sha1: sums.checksum_sha1.clone(),
        sha256: sums.checksum_sha256.clone(),
        composite: false,
    }
}

/// The checksum of the parts' checksums, with the number of parts (S3 user guide, "Checking
/// object integrity"); nothing if a part came without one.
fn of_parts(algorithm: Option<&str>, parts: &[Part]) -> Checksums {
    let mut hasher = hasher(algorithm);
    for part in parts {
        let c = &part.checksums;
        let sum = match algorithm {
            Some(algorithm) if algorithm != "CRC64NVME" => c.of(algorithm),
            _ => return Checksums::default(),
        };
        match sum.and_then(|sum| STANDARD.decode(sum).ok()) {
            Some(bytes) => hasher.update(&bytes),
            None => return Checksums::default(),
        }
    }
    let numbered = |sum: Option<String>| sum.map(|sum| format!("{sum}-{}", parts.len()));
    let sums = of_object(&hasher.finalize());
    Checksums {
        crc32: numbered(sums.crc32),
        crc32c: numbered(sums.crc32c),
        crc64nvme: numbered(sums.crc64nvme),
        sha1: numbered(sums.sha1),
        sha256: numbered(sums.sha256),
        composite: true,
    }
}
