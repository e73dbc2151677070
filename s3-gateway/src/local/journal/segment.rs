//! One file of the journal, and the process that writes it.
//!
//! Its name is an id whose lock the process holds for as long as it uses the file, from before it
//! makes it. Where that lock can be had, nobody writes to it any more.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::format::{Frame, HEADER_BYTES, Header, Spot};
use crate::clock;
use crate::local::durable;
use crate::local::file_lock::{Digest, FolderLock, Held, Slot};
use crate::local::stamp::Birth;

/// The first size of a segment. It grows to the double each time, up to its bound, so that most
/// frames are written over blocks that the file has already: then nothing but these blocks needs
/// to reach the disk.
const FIRST_BYTES: u64 = 256 << 10;

/// A segment that this process writes.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) id: String,
    path: PathBuf,
    file: File,
    boot: Uuid,
    bound: u64,
    position: Mutex<Position>,
    _living: Held,
}

#[derive(Debug)]
struct Position {
    generation: Uuid,
    /// Where the next frame goes.
    end: u64,
    /// How far the file's blocks are written.
    filled: u64,
}

impl Segment {
    /// Makes one in the journal's folder, which is there. `id` is hexadecimal.
    pub(super) fn create(
        folder: &Path,
        id: String,
        lock: &Arc<FolderLock>,
        boot: Uuid,
        bound: u64,
    ) -> io::Result<Self> {
        let living = match Digest::of_hex(&id) {
            Some(digest) => lock.try_hold(Slot::Owner(digest))?,
            None => None,
        };
        let living = living.ok_or_else(|| io::Error::other("a random id was drawn twice"))?;
        let path = folder.join(&id);
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)?;
        let segment = Self {
            id,
            path,
            file,
            boot,
            bound,
            position: Mutex::new(Position {
                generation: clock::random_id(),
                end: HEADER_BYTES,
                filled: FIRST_BYTES.min(bound).max(HEADER_BYTES),
            }),
            _living: living,
        };
        let made = segment.begin().and_then(|()| durable::sync_dir(folder));
        if made.is_err() {
            let _ = fs::remove_file(&segment.path);
        }
        made.map(|()| segment)
    }

    fn begin(&self) -> io::Result<()> {
        let position = self.position();
        let mut bytes = self.header(position.generation, false)?.encode();
        bytes.resize(
            usize::try_from(position.filled).map_err(io::Error::other)?,
            0,
        );
        self.file.write_all_at(&bytes, 0)?;
        self.file.sync_all()
    }

    fn header(&self, generation: Uuid, suspect: bool) -> io::Result<Header> {
        Ok(Header {
            boot: self.boot,
            generation,
            suspect,
            spot: spot(&self.file)?,
        })
    }

    /// The longest frame that still goes into it.
    pub(super) fn room(&self) -> u64 {
        self.bound.saturating_sub(self.position().end)
    }

    /// Appends a frame, which is on disk when this returns.
    pub(super) fn append(&self, frame: Frame) -> io::Result<()> {
        let mut position = self.position();
        let end = position.end + frame.len();
        let mut bytes = frame.finish(position.generation)?;
        let mut filled = position.filled;
        if end > filled {
            while filled < end {
                filled = (filled * 2).min(self.bound.max(end));
            }
            let fill = usize::try_from(filled - position.end).map_err(io::Error::other)?;
            bytes.resize(fill, 0);
        }
        self.file.write_all_at(&bytes, position.end)?;
        // Where the file grew this takes its new size along.
        self.file.sync_data()?;
        position.end = end;
        position.filled = filled;
        Ok(())
    }

    /// Empties it, to be used again: what is in it counts no more.
    pub(super) fn reset(&self) -> io::Result<()> {
        let mut position = self.position();
        let generation = clock::random_id();
        let header = self.header(generation, false)?.encode();
        self.file.write_all_at(&header, 0)?;
        self.file.sync_data()?;
        position.generation = generation;
        position.end = HEADER_BYTES;
        Ok(())
    }

    /// Notes that its objects may not have reached the disk.
    pub(super) fn suspect(&self) -> io::Result<()> {
        write_suspect(&self.file, self.header(self.position().generation, true)?)
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }

    fn position(&self) -> MutexGuard<'_, Position> {
        self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes in a segment's file that its objects may not have reached the disk.
pub(super) fn write_suspect(file: &File, header: Header) -> io::Result<()> {
    let header = Header {
        suspect: true,
        ..header
    };
    file.write_all_at(&header.encode(), 0)?;
    file.sync_data()
}

/// Which file this is.
pub(super) fn spot(file: &File) -> io::Result<Spot> {
    let meta = file.metadata()?;
    let birth = Birth::of(&meta);
    Ok(Spot {
        device: meta.dev(),
        inode: birth.inode,
        born_ns: birth.born_ns.unwrap_or(0),
    })
}
