//! The order of writes in a bucket: numbers that grow, also from one run to the next.
//!
//! They are microseconds since 1970 where the clock allows, so that they also grow when the
//! folder is restored from a backup. A file keeps a bound that no run has yet passed, in case
//! the clock was set back in between.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use super::durable;
use super::key_path::private;
use crate::clock;

/// How far the bound in the file is ahead: a minute, so that it is written once a minute at most.
const RESERVE: u64 = 60_000_000;

#[derive(Debug)]
pub(crate) struct Sequence {
    root: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    last: u64,
    reserved: u64,
}

impl Sequence {
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let reserved = match fs::read_to_string(path(root)) {
            Ok(text) => text.trim().parse().unwrap_or(0),
            Err(e) if e.kind() == io::ErrorKind::NotFound => 0,
            Err(e) => return Err(e),
        };
        let last = if reserved > now_us() { reserved } else { 0 };
        Ok(Self {
            root: root.to_owned(),
            state: Mutex::new(State { last, reserved }),
        })
    }

    /// The next number. Blocks on the disk once a minute.
    pub(crate) fn next(&self) -> io::Result<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let next = now_us().max(state.last + 1);
        if next >= state.reserved {
            let reserved = next + RESERVE;
            durable::write_file(
                &self.root,
                &path(&self.root),
                reserved.to_string().as_bytes(),
            )?;
            state.reserved = reserved;
        }
        state.last = next;
        Ok(next)
    }
}

fn path(root: &Path) -> PathBuf {
    root.join(private("sequence"))
}

fn now_us() -> u64 {
    let since = clock::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
