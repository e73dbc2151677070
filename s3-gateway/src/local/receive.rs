//! Takes in a body: bounded memory, one pass for the MD5 and the checksums.
//!
//! Bytes come from the client's connection (or from another object) and go to a temporary file of
//! this process; those of a small body only when it is decided what becomes of it, with all else
//! that is done to the file. Nothing is visible before [`super::store`] renames it.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use s3s::S3ErrorCode;
use s3s::checksum::ChecksumHasher;
use tokio::task::JoinHandle;

use super::md5_sum::Md5Sum;
use super::temporaries::Temporaries;
use crate::error::StoreError;

/// How much is collected before it is written on a blocking thread. A few such batches are in memory
/// at most: one being filled, one being written, and those that wait for their MD5.
const BATCH_BYTES: usize = 1 << 20;

/// After so many bytes what was written so far begins to be flushed, while more is taken in: at the
/// end of a large body little is left to wait for.
const FLUSH_BYTES: u64 = 32 << 20;

/// A body up to this size has no file before it is needed.
const KEPT_BYTES: usize = 16 << 10;

/// A body that was taken in.
#[derive(Debug)]
pub(crate) struct Received {
    body: Body,
    pub(crate) size: u64,
    pub(crate) md5: [u8; 16],
    pub(crate) checksums: s3s::dto::Checksum,
}

#[derive(Debug)]
enum Body {
    File(File, Temporary),
    Kept(Vec<u8>),
}

/// A body in its file.
#[derive(Debug)]
pub(crate) struct Filed {
    pub(crate) file: File,
    pub(crate) temporary: Temporary,
    /// What is in it, if that is in memory still.
    pub(crate) content: Option<Vec<u8>>,
}

impl Received {
    /// What lies in a file already.
    pub(crate) fn in_file(file: File, temporary: Temporary, size: u64) -> Self {
        Self {
            body: Body::File(file, temporary),
            size,
            md5: Default::default(),
            checksums: Default::default(),
        }
    }

    /// Its file. Blocks.
    pub(crate) fn filed(self, temporaries: &Temporaries) -> io::Result<Filed> {
        match self.body {
            Body::File(file, temporary) => Ok(Filed {
                file,
                temporary,
                content: None,
            }),
            Body::Kept(content) => {
                let (mut file, path) = temporaries.create()?;
                let temporary = Temporary(path);
                file.write_all(&content)?;
                Ok(Filed {
                    file,
                    temporary,
                    content: Some(content),
                })
            }
        }
    }
}

/// The path of a temporary file, which is removed with this unless it was renamed.
#[derive(Debug)]
pub(crate) struct Temporary(pub(crate) PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // After a rename there is nothing to remove, which is as well.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Takes in a body of at most `limit` bytes; of exactly `expected` bytes if that is known.
pub(crate) async fn receive<S, E>(
    temporaries: &Arc<Temporaries>,
    mut body: S,
    hasher: ChecksumHasher,
    expected: Option<u64>,
    limit: u64,
) -> Result<Received, StoreError>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: std::fmt::Display,
{
    let too_large = || {
        StoreError::refused(
            S3ErrorCode::EntityTooLarge,
            "the body is larger than the limit",
        )
    };
    if expected.is_some_and(|n| n > limit) {
        return Err(too_large());
    }
    let mut writer = Writer::Idle(Box::new(Sink::new(temporaries, hasher)));
    let mut batch = Vec::new();
    let mut batched = 0;
    let mut total = 0;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|e| body_error(&e.to_string()))?;
        total += chunk.len() as u64;
        if total > limit {
            return Err(too_large());
        }
        batched += chunk.len();
        batch.push(chunk);
        if batched >= BATCH_BYTES {
            let full = std::mem::take(&mut batch);
            batched = 0;
            let mut sink = writer.idle().await?;
            writer = Writer::Busy(tokio::task::spawn_blocking(move || {
                sink.write(&full)?;
                Ok(sink)
            }));
        }
    }
    if expected.is_some_and(|n| n != total) {
        return Err(StoreError::refused(
            S3ErrorCode::IncompleteBody,
            "the body has another length than was announced",
        ));
    }
    let mut sink = writer.idle().await?;
    if total <= KEPT_BYTES as u64 {
        return Ok(sink.keep(&batch)?);
    }
    let received = tokio::task::spawn_blocking(move || {
        sink.write(&batch)?;
        sink.finish()
    });
    Ok(received.await.map_err(io::Error::other)??)
}

enum Writer {
    Idle(Box<Sink>),
    Busy(JoinHandle<io::Result<Box<Sink>>>),
}

impl Writer {
    async fn idle(self) -> io::Result<Box<Sink>> {
        match self {
            Writer::Idle(sink) => Ok(sink),
            Writer::Busy(writing) => writing.await.map_err(io::Error::other)?,
        }
    }
}

/// Where the bytes go. All of it blocks.
pub(crate) struct Sink {
    temporaries: Arc<Temporaries>,
    file: Option<(File, Temporary)>,
    md5: Md5Sum,
    hasher: ChecksumHasher,
    size: u64,
    flushing: Option<Flushing>,
}

/// A flush of the first bytes of a file, on a thread of its own.
struct Flushing {
    up_to: u64,
    thread: std::thread::JoinHandle<io::Result<()>>,
}

impl Flushing {
    fn start(file: &File, up_to: u64) -> io::Result<Self> {
        let file = file.try_clone()?;
        let thread = std::thread::Builder::new()
            .name("flush".to_owned())
            .spawn(move || file.sync_data())?;
        Ok(Self { up_to, thread })
    }

    /// An error of a flush is told once, and so has to be heard.
    fn end(self) -> io::Result<()> {
        let flushed = self.thread.join();
        flushed.map_err(|_| io::Error::other("the file could not be flushed"))?
    }
}

impl Sink {
    pub(crate) fn new(temporaries: &Arc<Temporaries>, hasher: ChecksumHasher) -> Self {
        Self {
            temporaries: Arc::clone(temporaries),
            file: None,
            md5: Md5Sum::new(),
            hasher,
            size: 0,
            flushing: None,
        }
    }

    /// One for parts that are put together: their own MD5s make the ETag.
    pub(crate) fn for_parts(temporaries: &Arc<Temporaries>, hasher: ChecksumHasher) -> Self {
        Self {
            md5: Md5Sum::Unwanted,
            ..Self::new(temporaries, hasher)
        }
    }

    fn write(&mut self, batch: &[Bytes]) -> io::Result<()> {
        self.file()?;
        self.md5.update(batch)?;
        for chunk in batch {
            self.hasher.update(chunk);
            self.file()?.write_all(chunk)?;
            self.size += chunk.len() as u64;
        }
        self.flush_ahead()
    }

    pub(crate) fn write_chunk(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.file()?.write_all(chunk)?;
        self.md5.update_with(chunk);
        self.hasher.update(chunk);
        self.size += chunk.len() as u64;
        self.flush_ahead()
    }

    /// Begins to flush what was written, if that is enough and the last flush has ended.
    fn flush_ahead(&mut self) -> io::Result<()> {
        let flushed = self.flushing.as_ref().map_or(0, |flush| flush.up_to);
        if self.size - flushed < FLUSH_BYTES {
            return Ok(());
        }
        match self.flushing.take_if(|flush| flush.thread.is_finished()) {
            Some(ended) => ended.end()?,
            None if self.flushing.is_some() => return Ok(()),
            None => {}
        }
        let size = self.size;
        self.flushing = Some(Flushing::start(self.file()?, size)?);
        Ok(())
    }

    /// Copies a file, or a range of it.
    pub(crate) fn copy(&mut self, mut source: impl io::Read) -> io::Result<()> {
        let mut buffer = vec![0; 256 << 10];
        loop {
            match source.read(&mut buffer)? {
                0 => return Ok(()),
                n => self.write_chunk(&buffer[..n])?,
            }
        }
    }

    /// All that came, which stays in memory.
    fn keep(mut self, batch: &[Bytes]) -> io::Result<Received> {
        self.md5.update(batch)?;
        batch.iter().for_each(|chunk| self.hasher.update(chunk));
        let content = batch.concat();
        Ok(Received {
            size: content.len() as u64,
            body: Body::Kept(content),
            md5: self.md5.finish()?,
            checksums: self.hasher.finalize(),
        })
    }

    pub(crate) fn finish(mut self) -> io::Result<Received> {
        if let Some(flushing) = self.flushing.take() {
            flushing.end()?;
        }
        if self.size > BATCH_BYTES as u64 {
            // The bulk of it before the key is locked; the rest follows with the stamp.
            self.file()?.sync_data()?;
        }
        self.file()?;
        let (file, temporary) = self
            .file
            .ok_or_else(|| io::Error::other("no temporary file"))?;
        Ok(Received {
            body: Body::File(file, temporary),
            size: self.size,
            md5: self.md5.finish()?,
            checksums: self.hasher.finalize(),
        })
    }

    fn file(&mut self) -> io::Result<&mut File> {
        let (file, _) = match self.file.take() {
            Some(open) => self.file.insert(open),
            None => {
                let (file, path) = self.temporaries.create()?;
                self.file.insert((file, Temporary(path)))
            }
        };
        Ok(file)
    }
}

/// What went wrong with a body. The crate's error types are private, so their text has to tell.
pub(crate) fn body_error(text: &str) -> StoreError {
    let (code, message) = if text.contains("Sha256Mismatch") {
        (
            S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into()),
            "the provided x-amz-content-sha256 does not match what was computed",
        )
    } else if text.contains("SignatureMismatch") {
        (
            S3ErrorCode::SignatureDoesNotMatch,
            "the signature of a chunk does not match",
        )
    } else if text.contains("FormatError") || text.contains("TooLarge") || text.contains("TooMany")
    {
        (
            S3ErrorCode::InvalidRequest,
            "the aws-chunked body is malformed",
        )
    } else {
        (
            S3ErrorCode::IncompleteBody,
            "the body ended before its announced length",
        )
    };
    StoreError::refused(code, message)
}
