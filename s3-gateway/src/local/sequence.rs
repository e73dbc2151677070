//! The order of writes in a bucket: numbers that grow, also from one run to the next and from one
//! process to the other.
//!
//! They are microseconds since 1970 where the clock allows, so that they also grow when the
//! folder is restored from a backup. Two files see to the rest:
//!
//! - `sequence` keeps a bound that no number has yet passed, on disk before they come near it. A
//!   process that finds the bound ahead of the clock (which was set back, or it was a quick
//!   restart) goes on from there.
//! - `sequence.last` keeps the last number that was given, where processes share the folder. They
//!   take turns at it; it need not outlive a power failure, since the bound does.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use super::file_lock::{FolderLock, Slot};
use super::key_path::private;
use super::temporaries::Temporaries;
use crate::clock;
use crate::error::StoreError;

/// How far the bound in the file is ahead: a minute, so that it is written once a minute at most.
const RESERVE: u64 = 60_000_000;

/// How long one waits for another process to take its number, which takes it microseconds unless
/// it was stopped in the middle.
const PATIENCE: Duration = Duration::from_secs(2);

/// The last number that any process gave: 16 hexadecimal digits at the start of a file.
const DIGITS: usize = 16;

#[derive(Debug)]
pub(crate) struct Sequence {
    root: PathBuf,
    temporaries: Arc<Temporaries>,
    shared: Option<Shared>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    last: u64,
    reserved: u64,
}

#[derive(Debug)]
struct Shared {
    lock: Arc<FolderLock>,
    last: File,
}

impl Sequence {
    /// With a lock where other processes may give numbers too.
    pub(crate) fn open(
        root: &Path,
        temporaries: Arc<Temporaries>,
        between: Option<Arc<FolderLock>>,
    ) -> io::Result<Self> {
        let shared = between.map(|lock| Shared::open(root, lock)).transpose()?;
        let reserved = read_bound(root)?;
        let last = if reserved > now_us() { reserved } else { 0 };
        Ok(Self {
            root: root.to_owned(),
            temporaries,
            shared,
            state: Mutex::new(State { last, reserved }),
        })
    }

    /// The next number: higher than `after` and than every one before. Blocks on the disk once a
    /// minute, and while another process takes its number.
    pub(crate) fn next(&self, after: u64) -> Result<u64, StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(shared) = &self.shared else {
            return Ok(self.next_in_turn(&mut state, after)?);
        };
        let turn = shared.lock.hold_blocking(Slot::Order, PATIENCE)?;
        let _turn = turn.ok_or(StoreError::Busy)?;
        state.last = state.last.max(shared.read()?);
        let next = self.next_in_turn(&mut state, after)?;
        shared.write(next)?;
        Ok(next)
    }

    fn next_in_turn(&self, state: &mut State, after: u64) -> io::Result<u64> {
        let next = now_us().max(state.last.max(after).saturating_add(1));
        if next >= state.reserved {
            // Another process may have reserved more.
            state.reserved = read_bound(&self.root)?;
        }
        if next >= state.reserved {
            let reserved = next.saturating_add(RESERVE);
            let path = bound_path(&self.root);
            self.temporaries
                .write_file(&path, reserved.to_string().as_bytes())?;
            state.reserved = reserved;
        }
        state.last = next;
        Ok(next)
    }
}

impl Shared {
    fn open(root: &Path, lock: Arc<FolderLock>) -> io::Result<Self> {
        let last = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(root.join(private("sequence.last")))?;
        Ok(Self { lock, last })
    }

    /// What a power failure left unreadable counts for nothing: then the bound holds.
    fn read(&self) -> io::Result<u64> {
        let mut digits = [0; DIGITS];
        match self.last.read_exact_at(&mut digits, 0) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
            read => read?,
        }
        let text = str::from_utf8(&digits).unwrap_or_default();
        Ok(u64::from_str_radix(text, 16).unwrap_or(0))
    }

    fn write(&self, last: u64) -> io::Result<()> {
        self.last
            .write_all_at(format!("{last:0DIGITS$x}").as_bytes(), 0)
    }
}

fn read_bound(root: &Path) -> io::Result<u64> {
    match fs::read_to_string(bound_path(root)) {
        Ok(text) => Ok(text.trim().parse().unwrap_or(0)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(e) => Err(e),
    }
}

fn bound_path(root: &Path) -> PathBuf {
    root.join(private("sequence"))
}

fn now_us() -> u64 {
    let since = clock::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
