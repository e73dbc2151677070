//! What a process writes to standard output and error: read from one pipe, so that the order
//! stays, into a buffer of bounded size that is handed over with each outcome.

use std::collections::VecDeque;
use std::io::{self, PipeWriter};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use tokio::net::unix::pipe;

/// What is kept of an attempt's output: half of it from the beginning, half from the end.
pub const LOG_LIMIT_BYTES: usize = 256 << 10;
const HALF: usize = LOG_LIMIT_BYTES / 2;
/// How much is read at the end of an invocation at most. A pipe holds 64 KiB unless somebody
/// enlarges it, so a well-behaved process is drained whole, and one that floods cannot hold us.
const DRAIN_LIMIT_BYTES: usize = 1 << 20;
const CHUNK_BYTES: usize = 16 << 10;

/// The output of one process.
pub(crate) struct Logs {
    pipe: pipe::Receiver,
    buffer: Mutex<LogBuffer>,
}

impl Logs {
    /// Opens a pipe and starts to read it. The reader ends when every writer is gone.
    pub(crate) fn open() -> io::Result<(Arc<Self>, PipeWriter)> {
        let (reader, writer) = io::pipe()?;
        let pipe = pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?;
        let logs = Arc::new(Self {
            pipe,
            buffer: Mutex::default(),
        });
        let reading = Arc::clone(&logs);
        tokio::spawn(async move {
            while reading.pipe.readable().await.is_ok() {
                if !reading.read_ready() {
                    break;
                }
            }
        });
        Ok((logs, writer))
    }

    /// Takes what was written so far and starts anew.
    pub(crate) fn take(&self) -> String {
        let mut buffer = self.lock();
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut drained = 0;
        // Past tokio's readiness, which may lag behind what is in the pipe already.
        while drained < DRAIN_LIMIT_BYTES {
            match rustix::io::read(&self.pipe, chunk.as_mut_slice()) {
                Ok(0) | Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(_) => break,
                Ok(length) => {
                    drained += length;
                    buffer.push(&chunk[..length]);
                }
            }
        }
        std::mem::take(&mut *buffer).into_text()
    }

    /// Reads what is there; false at the end of the pipe.
    fn read_ready(&self) -> bool {
        let mut buffer = self.lock();
        let mut chunk = [0; CHUNK_BYTES];
        match self.pipe.try_read(&mut chunk) {
            Ok(0) => false,
            Ok(length) => {
                buffer.push(&chunk[..length]);
                true
            }
            Err(error) => matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
            ),
        }
    }

    fn lock(&self) -> MutexGuard<'_, LogBuffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The head and the tail of a text of any length.
#[derive(Default)]
struct LogBuffer {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    dropped: u64,
}

impl LogBuffer {
    fn push(&mut self, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(bytes.len().min(HALF - self.head.len()));
        self.head.extend_from_slice(head);
        self.tail.extend(rest);
        let excess = self.tail.len().saturating_sub(HALF);
        self.tail.drain(..excess);
        self.dropped += excess as u64;
    }

    fn into_text(mut self) -> String {
        if self.dropped == 0 {
            // As one piece, since a character may lie across the seam.
            self.head.extend(self.tail);
            return String::from_utf8_lossy(&self.head).into_owned();
        }
        format!(
            "{}\n... {} bytes dropped ...\n{}",
            String::from_utf8_lossy(&self.head),
            self.dropped,
            String::from_utf8_lossy(self.tail.make_contiguous()),
        )
    }
}

#[cfg(test)]
mod tests;
