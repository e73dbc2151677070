//! What a process writes to standard output and error: read from one pipe, so that the order
//! stays, into a buffer of bounded size that is handed over with each outcome.

use std::collections::VecDeque;
use std::io::{self, PipeWriter};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use tokio::net::unix::pipe;

use crate::masks::Masks;

/// What is kept of an attempt's output: half of it from the beginning, half from the end.
pub const LOG_LIMIT_BYTES: usize = 256 << 10;
/// The lines of an attempt that are kept, in the same way.
pub const LOG_LIMIT_LINES: usize = 10_000;
/// How much is read at the end of an invocation at most. A pipe holds 64 KiB unless somebody
/// enlarges it, so a well-behaved process is drained whole, and one that floods cannot hold us.
const DRAIN_LIMIT_BYTES: usize = 1 << 20;
const CHUNK_BYTES: usize = 16 << 10;

/// The output of one process.
pub(crate) struct Logs {
    pipe: pipe::Receiver,
    buffer: Mutex<LogBuffer>,
    limit_lines: usize,
}

impl Logs {
    /// Opens a pipe and starts to read it. The reader ends when every writer is gone.
    pub(crate) fn open(
        limit_bytes: usize,
        limit_lines: usize,
        masks: Masks,
    ) -> io::Result<(Arc<Self>, PipeWriter)> {
        let (reader, writer) = io::pipe()?;
        let pipe = pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?;
        let logs = Arc::new(Self {
            pipe,
            buffer: Mutex::new(LogBuffer::new(limit_bytes, masks)),
            limit_lines,
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
        self.drain(&mut buffer);
        bounded(buffer.take(), self.limit_lines)
    }

    /// Puts a line of the host's own after what was written so far.
    pub(crate) fn note(&self, line: &str) {
        let mut buffer = self.lock();
        self.drain(&mut buffer);
        buffer.note(line);
    }

    /// What was written after so many bytes, with how many there are now and how many of those
    /// asked for are kept no more.
    pub(crate) fn after(&self, after: u64) -> (String, u64, u64) {
        self.lock().after(after)
    }

    fn drain(&self, buffer: &mut LogBuffer) {
        let mut chunk = [0; CHUNK_BYTES];
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

/// The head and the tail of a text of any length, without secrets.
struct LogBuffer {
    half: usize,
    masks: Masks,
    /// What may be the beginning of a secret.
    held: Vec<u8>,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    dropped: u64,
}

impl LogBuffer {
    fn new(limit_bytes: usize, masks: Masks) -> Self {
        Self {
            half: limit_bytes / 2,
            masks,
            held: Vec::new(),
            head: Vec::new(),
            tail: VecDeque::new(),
            dropped: 0,
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        let passed = self.masks.pass(&mut self.held, false);
        self.keep(&passed);
    }

    fn flush(&mut self) {
        let passed = self.masks.pass(&mut self.held, true);
        self.keep(&passed);
    }

    fn note(&mut self, line: &str) {
        self.flush();
        let last = self.tail.back().or(self.head.last());
        if last.is_some_and(|last| *last != b'\n') {
            self.keep(b"\n");
        }
        self.keep(line.as_bytes());
        self.keep(b"\n");
    }

    fn keep(&mut self, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(bytes.len().min(self.half - self.head.len()));
        self.head.extend_from_slice(head);
        self.tail.extend(rest);
        let excess = self.tail.len().saturating_sub(self.half);
        self.tail.drain(..excess);
        self.dropped += excess as u64;
    }

    fn after(&self, after: u64) -> (String, u64, u64) {
        let (head, tail) = (self.head.len() as u64, self.tail.len() as u64);
        let tail_from = head + self.dropped;
        let count = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
        let mut bytes: Vec<u8> = self.head.iter().skip(count(after)).copied().collect();
        let skipped = after.saturating_sub(tail_from);
        bytes.extend(self.tail.iter().skip(count(skipped)));
        let missed = tail_from.saturating_sub(after.max(head));
        let text = String::from_utf8_lossy(&bytes).into_owned();
        (text, tail_from + tail, missed)
    }

    fn take(&mut self) -> String {
        self.flush();
        let mut head = std::mem::take(&mut self.head);
        let mut tail = std::mem::take(&mut self.tail);
        let dropped = std::mem::take(&mut self.dropped);
        if dropped == 0 {
            // As one piece, since a character may lie across the seam.
            head.extend(tail);
            return String::from_utf8_lossy(&head).into_owned();
        }
        format!(
            "{}\n... {dropped} bytes dropped ...\n{}",
            String::from_utf8_lossy(&head),
            String::from_utf8_lossy(tail.make_contiguous()),
        )
    }
}

/// The first and the last lines of a text that has more than so many.
fn bounded(text: String, limit_lines: usize) -> String {
    let lines = text.split_inclusive('\n').count();
    if lines <= limit_lines {
        return text;
    }
    let (first, last) = (limit_lines.div_ceil(2), limit_lines / 2);
    let all = || text.split_inclusive('\n');
    let mut kept: String = all().take(first).collect();
    kept.push_str(&format!("... {} lines dropped ...\n", lines - first - last));
    kept.extend(all().skip(lines - last));
    kept
}

#[cfg(test)]
mod tests;
