//! Sorting more than fits in memory: runs that are sorted in memory lie in a temporary file without
//! a name, and are merged when they are read.
//!
//! ```text
//! push ─> buffer ── full, sorted ──> run, run, run (one file) ──┐
//!            └───────────── what is left, sorted ───────────────┴─ merge ─> records in order
//! ```
//!
//! A record is a key and a value, both bytes; keys are compared by their bytes. Of equal keys, those
//! that came first come first, or the last one alone is kept. The file goes with its handle, so that
//! nothing is left of a process that was killed.

use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// How much a sorter holds in memory, in bytes.
pub const SORTER_BYTES: usize = 32 * 1024 * 1024;

/// How much of each run is read at once, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// The length of a key and of a value, before a record in a run.
const HEAD_BYTES: usize = 8;

/// Takes records in any order.
pub struct Sorter {
    folder: PathBuf,
    room_bytes: usize,
    last_only: bool,
    buffer: Buffer,
    file: Option<File>,
    runs: Vec<Range<u64>>,
}

/// A record: its key and its value.
pub type Record = (Vec<u8>, Vec<u8>);

impl Sorter {
    /// A sorter that keeps its file in a folder, or where the system keeps temporary files if it
    /// cannot be there.
    pub fn new(folder: &Path, room_bytes: usize) -> Self {
        Self {
            folder: folder.to_owned(),
            room_bytes,
            last_only: false,
            buffer: Buffer::default(),
            file: None,
            runs: Vec::new(),
        }
    }

    /// Of the records with one key only the one that came last is given out.
    #[must_use]
    pub fn keeping_last(mut self) -> Self {
        self.last_only = true;
        self
    }

    /// Takes a record.
    pub fn push(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let size = HEAD_BYTES + key.len() + value.len();
        if !self.buffer.places.is_empty() && self.buffer.weight() + size > self.room_bytes {
            self.write_run()?;
        }
        self.buffer.push(key, value)
    }

    /// All records in order.
    pub fn finish(mut self) -> io::Result<Sorted> {
        self.buffer.sort(self.last_only);
        let mut sources: Vec<Source> = Vec::with_capacity(self.runs.len() + 1);
        for run in std::mem::take(&mut self.runs) {
            sources.push(Source::Run(RunReader {
                left: run,
                ahead: Vec::new(),
                at: 0,
            }));
        }
        sources.push(Source::Memory(std::mem::take(&mut self.buffer), 0));
        let mut sorted = Sorted {
            file: self.file,
            sources,
            heads: BinaryHeap::new(),
            last_only: self.last_only,
        };
        for source in 0..sorted.sources.len() {
            sorted.advance(source)?;
        }
        Ok(sorted)
    }

    fn write_run(&mut self) -> io::Result<()> {
        self.buffer.sort(self.last_only);
        let file = match &mut self.file {
            Some(file) => file,
            None => self
                .file
                .insert(tempfile::tempfile_in(&self.folder).or_else(|_| tempfile::tempfile())?),
        };
        let start = self.runs.last().map_or(0, |run| run.end);
        let mut end = start;
        let mut writer = io::BufWriter::with_capacity(READ_BYTES, file);
        for place in &self.buffer.places {
            let record = self.buffer.bytes_of(place);
            writer.write_all(record)?;
            end += record.len() as u64;
        }
        writer.flush()?;
        drop(writer);
        self.runs.push(start..end);
        self.buffer.clear();
        Ok(())
    }
}

/// Records one after the other, as they lie in a run too.
#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    places: Vec<Place>,
}

struct Place {
    start: usize,
    key_bytes: u32,
    value_bytes: u32,
}

impl Buffer {
    fn push(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let too_long = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let place = Place {
            start: self.bytes.len(),
            key_bytes: u32::try_from(key.len()).map_err(too_long)?,
            value_bytes: u32::try_from(value.len()).map_err(too_long)?,
        };
        self.bytes.extend_from_slice(&place.key_bytes.to_le_bytes());
        self.bytes
            .extend_from_slice(&place.value_bytes.to_le_bytes());
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        self.places.push(place);
        Ok(())
    }

    fn weight(&self) -> usize {
        self.bytes.len() + self.places.len() * size_of::<Place>()
    }

    fn sort(&mut self, last_only: bool) {
        let bytes = &self.bytes;
        let key = |place: &Place| {
            let start = place.start + HEAD_BYTES;
            &bytes[start..start + place.key_bytes as usize]
        };
        // Stable: of equal keys, those that came first stay first.
        self.places.sort_by(|a, b| key(a).cmp(key(b)));
        if last_only {
            // The later of two neighbours takes the earlier one's place.
            self.places.dedup_by(|later, kept| {
                let same = key(later) == key(kept);
                if same {
                    std::mem::swap(later, kept);
                }
                same
            });
        }
    }

    fn bytes_of(&self, place: &Place) -> &[u8] {
        let length = HEAD_BYTES + place.key_bytes as usize + place.value_bytes as usize;
        &self.bytes[place.start..place.start + length]
    }

    fn record(&self, place: &Place) -> Record {
        let (key, value) = self.bytes_of(place)[HEAD_BYTES..].split_at(place.key_bytes as usize);
        (key.to_vec(), value.to_vec())
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.places.clear();
    }
}

/// All records of a sorter, in order.
pub struct Sorted {
    file: Option<File>,
    sources: Vec<Source>,
    heads: BinaryHeap<Head>,
    last_only: bool,
}

enum Source {
    Run(RunReader),
    Memory(Buffer, usize),
}

struct RunReader {
    /// What of the file was not read yet.
    left: Range<u64>,
    ahead: Vec<u8>,
    at: usize,
}

/// The next record of a source.
#[derive(PartialEq, Eq)]
struct Head {
    key: Vec<u8>,
    source: usize,
    value: Vec<u8>,
}

impl Ord for Head {
    /// The heap gives out the greatest: that is the least key, of the source that was filled first.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (&other.key, other.source).cmp(&(&self.key, self.source))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Sorted {
    fn advance(&mut self, source: usize) -> io::Result<()> {
        let next = match &mut self.sources[source] {
            Source::Memory(buffer, at) => {
                let next = buffer.places.get(*at).map(|place| buffer.record(place));
                *at += 1;
                next
            }
            Source::Run(run) => match &self.file {
                Some(file) => run.next(file)?,
                None => None,
            },
        };
        if let Some((key, value)) = next {
            self.heads.push(Head { key, source, value });
        }
        Ok(())
    }

    fn pop(&mut self) -> io::Result<Option<Head>> {
        let Some(head) = self.heads.pop() else {
            return Ok(None);
        };
        self.advance(head.source)?;
        Ok(Some(head))
    }
}

impl Iterator for Sorted {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let head = match self.pop() {
                Ok(Some(head)) => head,
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            };
            let replaced =
                self.last_only && self.heads.peek().is_some_and(|later| later.key == head.key);
            if !replaced {
                return Some(Ok((head.key, head.value)));
            }
        }
    }
}

impl RunReader {
    fn next(&mut self, file: &File) -> io::Result<Option<Record>> {
        let Some(head) = self.take(HEAD_BYTES, file)? else {
            return Ok(None);
        };
        let length = |bytes: &[u8]| {
            let mut four = [0; 4];
            four.copy_from_slice(bytes);
            u32::from_le_bytes(four) as usize
        };
        let (key_bytes, value_bytes) = (length(&head[..4]), length(&head[4..]));
        let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let key = self.take(key_bytes, file)?.ok_or_else(cut)?;
        let value = self.take(value_bytes, file)?.ok_or_else(cut)?;
        Ok(Some((key, value)))
    }

    /// So many bytes; `None` at the end of the run.
    fn take(&mut self, count: usize, file: &File) -> io::Result<Option<Vec<u8>>> {
        if self.ahead.len() - self.at < count {
            self.ahead.drain(..self.at);
            self.at = 0;
            let have = self.ahead.len();
            let left = usize::try_from(self.left.end - self.left.start).unwrap_or(usize::MAX);
            let more = READ_BYTES.max(count - have).min(left);
            if have + more < count {
                return Ok(None);
            }
            self.ahead.resize(have + more, 0);
            file.read_exact_at(&mut self.ahead[have..], self.left.start)?;
            self.left.start += more as u64;
        }
        let taken = self.ahead[self.at..self.at + count].to_vec();
        self.at += count;
        Ok(Some(taken))
    }
}

#[cfg(test)]
mod tests;
