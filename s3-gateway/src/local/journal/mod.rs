//! The journal of a bucket: small new objects are on disk by one write that many share.
//!
//! A write of a small object under a key that has none is put, with its stamp, into a file that is
//! written from one end to the other. That is one sync for all who write at the same time, of blocks
//! that the file has already, where the object's own file, its attributes, its folder's entry and
//! the file system's own journal would be two and more of its own. The object's file follows
//! unsynced. A few seconds later one `syncfs` brings all such files to the disk together, and the
//! journal begins anew. After a power failure [`redo`] makes from the journal what had not got there.
//!
//! ```text
//! .daybook/journal/<id>      a segment: see `format`; two a process at most, made when first needed
//! ```
//!
//! # The life of a write
//!
//! | after | a process ends | the power fails |
//! |---|---|---|
//! | 1. temporary file, stamp | the temporary goes at the next start | the same |
//! | 2. the frame is on disk | the same; the ledger does not know the version, so the record counts for nothing | the same |
//! | 3. renamed | the object is there; a rescan has it recorded | as much of it as got to the disk is there. Whole: as on the left. Torn: it is removed. Nobody was answered |
//! | 4. recorded in the ledger | the object is there | if it is not there as a whole, it is written again |
//! | 5. checkpoint: the file system is synced | the object is there | the object is there |
//!
//! # Who else may touch such an object
//!
//! | what happens between 3 and 5 | what makes it hold |
//! |---|---|
//! | it is overwritten or removed here: its file is linked among the kept versions | [`Bucket::harden`] syncs file and folder first. So where a version is kept it needs no journal, and `redo` leaves the key to what mends broken-off removals |
//! | its tags change | the same |
//! | removed, and the ledger knows | the ledger has a later removal: nothing is written again |
//! | removed or replaced by hand, and the ledger knows | the same |
//! | removed by hand, and nobody noticed before the power failed | it comes back |
//! | another file was moved to its place by hand | that has another inode, or no such stamp: it stays |
//! | it was changed in place by hand | its time is another one, and it does not look like a torn one: it stays |
//! | its sender's scope is closed between 2 and 3 | it is not renamed and not recorded: the record counts for nothing |
//! | another process works on the folder | it has segments of its own; it cannot tell what is in others', so while there are any it hardens all that it touches |
//! | the system could not write it (a checkpoint fails) | the segment stays and is marked: whatever the page cache says, the next start writes all of it again. Until then this process goes without a journal |
//!
//! What is in the journal is on disk before its file has its name; the file has its name before the
//! segment may be emptied ([`Ticket`]); the ledger hears of it when both are so. Nothing else orders
//! anything: no order in which a file system writes its own things is relied on.

mod checkpoint;
mod format;
mod group;
mod redo;
mod segment;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use uuid::Uuid;

use self::format::{Frame, HEADER_BYTES};
use self::group::State;
use self::segment::Segment;
use super::durable;
use super::file_lock::FolderLock;
use super::key_path::private;
use super::stamp::Stamp;
use super::store::Bucket;
use crate::config::Limits;

/// The folder of the segments within the gateway's own.
const FOLDER: &str = "journal";

/// The largest object that a journal may be told to take.
const MAX_JOURNALED_BYTES: u64 = 1 << 20;

/// The bounds of a journal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JournalLimits {
    /// The largest object that goes into it, in bytes; 0 for none.
    pub(crate) largest: u64,
    /// The size of a segment.
    pub(crate) segment: u64,
    /// How long something may be in the journal only.
    pub(crate) flush_every: Duration,
}

impl JournalLimits {
    pub(crate) fn of(limits: &Limits) -> Self {
        Self {
            largest: limits.journaled_bytes.min(MAX_JOURNALED_BYTES),
            segment: limits.journal_segment_bytes,
            flush_every: limits.journal_flush_every,
        }
    }
}

/// The journal that one process writes for one bucket.
pub(crate) struct Journal {
    inner: Arc<Inner>,
    checkpoints: Mutex<Option<JoinHandle<()>>>,
}

struct Inner {
    root: PathBuf,
    lock: Arc<FolderLock>,
    /// Whether other processes may have journals of their own.
    shared: bool,
    /// The run of the machine; without one there is no journal.
    boot: Option<Uuid>,
    limits: JournalLimits,
    /// The bucket's file system, opened before anything is written: then it tells of every failure
    /// to write since.
    volume: OnceLock<File>,
    /// The ids of this process's segments, from before there is a file of the name.
    own: Mutex<HashSet<String>>,
    state: Mutex<State>,
    /// There may be something to do for the thread of the checkpoints.
    due: Condvar,
    /// The next frame was taken, so there is room in another one.
    taken: Condvar,
    /// What tests have done in the place of syncing the file system.
    #[cfg(test)]
    stand_in: OnceLock<tests::StandIn>,
    #[cfg(test)]
    hardened: Mutex<Vec<PathBuf>>,
}

/// How the journal ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum End {
    #[default]
    NotYet,
    /// In order: a last checkpoint, then the files go.
    Closed,
    /// The files stay, and the next who opens the bucket sees to them.
    Dropped,
}

/// Says that a record is on disk, and keeps it there until this is dropped: by then its object has
/// its name, or never gets it.
pub(crate) struct Ticket {
    inner: Arc<Inner>,
    segment: Arc<Segment>,
}

impl Journal {
    pub(crate) fn new(
        root: &Path,
        lock: Arc<FolderLock>,
        shared: bool,
        limits: JournalLimits,
    ) -> Self {
        let inner = Inner {
            root: root.to_owned(),
            lock,
            shared,
            boot: boot(),
            limits,
            volume: OnceLock::new(),
            own: Mutex::default(),
            state: Mutex::default(),
            due: Condvar::new(),
            taken: Condvar::new(),
            #[cfg(test)]
            stand_in: OnceLock::new(),
            #[cfg(test)]
            hardened: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
            checkpoints: Mutex::default(),
        }
    }

    /// Whether an object of this size may go into it.
    pub(crate) fn takes(&self, size: u64) -> bool {
        self.inner.limits.largest > 0
            && size <= self.inner.limits.largest
            && self.inner.boot.is_some()
    }

    /// Has a write on disk, together with those of others who come at the same time. `None` if that
    /// could not be: then the object has to be synced by itself.
    pub(crate) fn append(&self, stamp: &Stamp, content: &[u8]) -> Option<Ticket> {
        let record = format::record(stamp, content).ok()?;
        let alone = Frame::new().len_with(&record);
        if alone.saturating_add(HEADER_BYTES) > self.inner.limits.segment || !self.start() {
            return None;
        }
        self.inner.append(&record, stamp.stamp)
    }

    /// Whether a version, by its stamp, may be in a journal only.
    pub(crate) fn may_hold(&self, stamp: Uuid) -> io::Result<bool> {
        let state = self.inner.state();
        let mut used = state.active.iter().chain(&state.full);
        if used.any(|used| used.holds.contains(&stamp)) {
            return Ok(true);
        }
        drop(state);
        Ok(self.inner.shared && !self.inner.others()?.is_empty())
    }

    /// Ends it: what is in it goes to the disk, and its files go. Whatever is written afterwards is
    /// synced by itself. Blocks.
    pub(crate) fn close(&self) {
        self.end(End::Closed);
    }

    fn end(&self, how: End) {
        let mut state = self.inner.state();
        if state.end == End::NotYet {
            state.end = how;
        }
        drop(state);
        self.inner.due.notify_all();
        self.inner.taken.notify_all();
        let thread = locked(&self.checkpoints).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!(root = %self.inner.root.display(), "the thread of the journal's checkpoints panicked");
        }
    }

    /// Starts the thread of the checkpoints, unless it runs. Returns whether it does.
    fn start(&self) -> bool {
        if self.inner.volume.get().is_some() {
            return true;
        }
        let mut checkpoints = locked(&self.checkpoints);
        if checkpoints.is_some() || self.inner.state().end != End::NotYet {
            return checkpoints.is_some();
        }
        let inner = Arc::clone(&self.inner);
        let started = File::open(&self.inner.root).and_then(|volume| {
            let builder = std::thread::Builder::new().name("journal".to_owned());
            let thread = builder.spawn(move || inner.checkpoints())?;
            // Nobody else sets it: the handle is locked.
            let _ = self.inner.volume.set(volume);
            Ok(thread)
        });
        match started {
            Ok(thread) => {
                *checkpoints = Some(thread);
                true
            }
            Err(error) => {
                tracing::warn!(root = %self.inner.root.display(), %error, "there is no journal");
                false
            }
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.end(End::Dropped);
    }
}

impl Inner {
    fn folder(&self) -> PathBuf {
        self.root.join(private(FOLDER))
    }

    /// The segments that there are of other processes, dead or alive.
    fn others(&self) -> io::Result<Vec<String>> {
        let entries = durable::entries(&self.folder())?;
        let names = entries.iter().map(|entry| entry.file_name());
        let ids = names.filter_map(|name| name.into_string().ok());
        // What has other names was set aside.
        let ids =
            ids.filter(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
        // Asked after the folder was read, since an id is there before its file.
        let own = locked(&self.own);
        let mut others: Vec<String> = ids.filter(|id| !own.contains(id)).collect();
        others.sort_unstable();
        Ok(others)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.inner.state().leave(&self.segment, 1) {
            self.inner.due.notify_all();
        }
    }
}

impl Bucket {
    /// Has an object that may be in a journal only on disk by itself, since it is about to become
    /// something else.
    pub(super) fn harden(&self, path: &Path, stamp: &Stamp) -> io::Result<()> {
        if self.journal.may_hold(stamp.stamp)? {
            durable::open_regular(path)?.sync_all()?;
            durable::sync_parent(path)?;
            #[cfg(test)]
            locked(&self.journal.inner.hardened).push(path.to_owned());
        }
        Ok(())
    }
}

/// The id of the machine's run, if the system tells one.
fn boot() -> Option<Uuid> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    id.trim().parse().ok()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics half way through a change of what is in there.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
