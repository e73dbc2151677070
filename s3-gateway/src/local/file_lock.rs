//! Locks between the processes that serve one folder: byte ranges of the file `.daybook/lock`.
//!
//! They are open file description locks (`fcntl(2)`, "Open file description locks"): each
//! [`FolderLock`] excludes all others, also those of its own process, and the system releases
//! what it held at the moment in which its process ends, however that comes. There is one byte a
//! purpose and, in ranges of their own, one a key and one a process. Within one `FolderLock` the
//! same byte must not be held twice: releasing one would release both.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::key_path::{self, private};

/// The first and the longest wait between two tries to get what another process holds.
const FIRST_PAUSE: Duration = Duration::from_micros(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(5);

/// The bits of a digest that name a byte; those above them name the range.
const DIGEST_BITS: u32 = 60;

/// What is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// The folder: for one process alone, or shared by all that share it.
    Folder,
    /// Watching the folder.
    Leader,
    /// Taking the next number in the order of writes.
    Order,
    /// Opening the index, or throwing it away.
    Index,
    /// Writing to a key.
    Key(Digest),
    /// Being the next to write to a key.
    Turn(Digest),
    /// Living: held by a process from before it makes its folder of temporary files to its end.
    Owner(Digest),
}

/// The first 60 bits of a digest or of a random id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Digest(u64);

impl Digest {
    /// Of a key, as in [`key_path::digest`].
    pub(crate) fn of_key(key: &str) -> Self {
        // All of it is hexadecimal, so the text is always read.
        Self::of_hex(&key_path::digest(key)).unwrap_or(Self(0))
    }

    /// Of hexadecimal text, as names of files are; `None` if it is none.
    pub(crate) fn of_hex(text: &str) -> Option<Self> {
        let digits = usize::try_from(DIGEST_BITS / 4).ok()?;
        let digits = text.get(..digits)?;
        u64::from_str_radix(digits, 16).ok().map(Self)
    }
}

impl Slot {
    fn byte(self) -> libc::off_t {
        let (range, within) = match self {
            Slot::Folder => (0, 0),
            Slot::Leader => (0, 1),
            Slot::Order => (0, 2),
            Slot::Index => (0, 3),
            Slot::Key(digest) => (1, digest.0),
            Slot::Turn(digest) => (2, digest.0),
            Slot::Owner(digest) => (3, digest.0),
        };
        // Below 2^62, so it fits.
        ((range << DIGEST_BITS) | within).cast_signed()
    }
}

/// One opener's hold on the lock file.
#[derive(Debug)]
pub(crate) struct FolderLock {
    /// `None` where the file system has no such locks and the opener is alone by its word.
    file: Option<File>,
}

/// Keeps a byte locked.
#[derive(Debug)]
pub(crate) struct Held {
    lock: Arc<FolderLock>,
    slot: Slot,
}

impl FolderLock {
    /// Opens the folder for this process alone, or to share it with others that do.
    /// `ErrorKind::WouldBlock` if another process uses it in a way that does not go with that.
    pub(crate) fn open(root: &Path, shared: bool) -> io::Result<Arc<Self>> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(root.join(private("lock")))?;
        let kind = if shared { libc::F_RDLCK } else { libc::F_WRLCK };
        let file = match set(&file, kind, Slot::Folder) {
            Ok(true) => Some(file),
            Ok(false) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(error) if shared => return Err(error),
            Err(error) => {
                tracing::warn!(root = %root.display(), %error, "the file system has no locks; nothing else may serve this folder");
                None
            }
        };
        Ok(Arc::new(Self { file }))
    }

    /// Takes the lock unless another process has it. Does not wait.
    pub(crate) fn try_hold(self: &Arc<Self>, slot: Slot) -> io::Result<Option<Held>> {
        let got = match &self.file {
            Some(file) => set(file, libc::F_WRLCK, slot)?,
            None => true,
        };
        Ok(got.then(|| Held {
            lock: Arc::clone(self),
            slot,
        }))
    }

    /// Takes the lock as soon as it is free.
    pub(crate) async fn hold(self: &Arc<Self>, slot: Slot) -> io::Result<Held> {
        let mut pause = FIRST_PAUSE;
        loop {
            if let Some(held) = self.try_hold(slot)? {
                return Ok(held);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The same on a thread that may block, for so long; then `None`.
    pub(crate) fn hold_blocking(
        self: &Arc<Self>,
        slot: Slot,
        patience: Duration,
    ) -> io::Result<Option<Held>> {
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let held = self.try_hold(slot)?;
            if held.is_some() || begun.elapsed() >= patience {
                return Ok(held);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Said, not left to the closing of the file: a child that was forked at this moment has
        // the file open for a while.
        if let Some(file) = &self.lock.file
            && let Err(error) = set(file, libc::F_UNLCK, self.slot)
        {
            tracing::error!(%error, slot = ?self.slot, "a lock could not be released");
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            let _ = set(file, libc::F_UNLCK, Slot::Folder);
        }
    }
}

/// Locks or unlocks one byte. `false` if another process is in the way.
fn set(file: &File, kind: libc::c_int, slot: Slot) -> io::Result<bool> {
    // The constants are C ints, the fields C shorts; both hold 0 to 2.
    let short = |value: libc::c_int| libc::c_short::try_from(value).map_err(io::Error::other);
    let range = libc::flock {
        l_type: short(kind)?,
        l_whence: short(libc::SEEK_SET)?,
        l_start: slot.byte(),
        l_len: 1,
        l_pid: 0,
    };
    loop {
        return match fcntl(file, FcntlArg::F_OFD_SETLK(&range)) {
            Ok(_) => Ok(true),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
            Err(Errno::EINTR) => continue,
            Err(error) => Err(error.into()),
        };
    }
}

#[cfg(test)]
mod tests;
