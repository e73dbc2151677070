//! Reading the folder into the index: all of it where there is no index, or single keys that look
//! other than the index has them.
//!
//! Files are read while the index is locked against other writers. Who changes a key changes its
//! file first and the index next. So what was read before such a change is written before it too.

use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::SystemTime;

use daybook_domain::ObjectKey;
use rusqlite::Connection;

use super::index::IndexError;
use super::index::rows::{self, Row, ctime_ns};
use super::key_path::{PRIVATE, hidden_path, key_of};
use super::scan::ScanReport;
use super::store::Bucket;

/// How many files are read while the index is locked: the wait of a writer that comes in between.
const BATCH: usize = 100;

/// How many files are compared with the index at once.
const CHUNK: usize = 1000;

/// What a look at a key's file said.
#[derive(Debug)]
pub(super) enum Look {
    /// It is known to be recorded.
    Recorded,
    /// It has its stamp.
    Unrecorded,
    /// It comes from outside, or was changed from there, at that time.
    Unstamped(Option<SystemTime>),
    Gone,
}

/// Hears what was seen of a key.
pub(super) type Tell<'a> = dyn FnMut(&mut ScanReport, &str, io::Result<Look>) + 'a;

/// A file that may be an object's.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) key: String,
    pub(super) meta: Metadata,
}

fn is_noted(index: &Connection, key: &str, meta: &Metadata) -> Result<bool, IndexError> {
    Ok(rows::get(index, key)?.is_some_and(|row| row.is_of(meta)))
}

impl Bucket {
    /// Makes sure that there is an index of all files. Blocks while that is made.
    pub(crate) fn prepare_index(&self) -> io::Result<()> {
        self.index.check()?;
        match self.index.is_complete()? {
            true => Ok(()),
            false => self.fill_index(),
        }
    }

    /// Those whose file the index does not have as it is: with the others nothing remains to be
    /// done.
    pub(crate) fn not_noted<T>(
        &self,
        mut seen: Vec<T>,
        file: impl Fn(&T) -> Option<(ObjectKey, Metadata)>,
    ) -> Vec<T> {
        let noted = self.index.read(|index| {
            let noted = seen.iter().map(|seen| match file(seen) {
                Some((key, meta)) => is_noted(index, key.as_str(), &meta),
                None => Ok(false),
            });
            noted.collect::<Result<Vec<bool>, _>>()
        });
        let mut noted = noted.unwrap_or_default().into_iter();
        seen.retain(|_| !noted.next().unwrap_or(false));
        seen
    }

    /// Makes the index anew, unless somebody else did meanwhile.
    pub(super) fn fill_index(&self) -> io::Result<()> {
        let filling = self.index.filling.lock();
        let _filling = filling.unwrap_or_else(PoisonError::into_inner);
        if self.index.is_complete().unwrap_or(false) {
            return Ok(());
        }
        tracing::info!(bucket = %self.name, "makes the index of the bucket");
        self.index.begin()?;
        let mut report = ScanReport::default();
        self.compare(Path::new(""), &mut report, &mut |_, key, look| {
            if let Err(error) = look {
                tracing::warn!(bucket = %self.name, key, %error, "left out of the index");
            }
        })?;
        self.fill_versions()?;
        self.index.end()?;
        Ok(())
    }

    /// Looks at each file below the folder that the index does not know as it is, tells what it
    /// saw, and brings the index up to it.
    pub(super) fn compare(
        &self,
        relative: &Path,
        report: &mut ScanReport,
        tell: &mut Tell<'_>,
    ) -> io::Result<()> {
        let mut chunk = Vec::with_capacity(CHUNK);
        self.walk(relative, report, &mut |report, seen| {
            chunk.push(seen);
            if chunk.len() < CHUNK {
                return Ok(());
            }
            self.compare_chunk(std::mem::take(&mut chunk), report, tell)
        })?;
        if relative.as_os_str().is_empty() {
            for key in self.hidden_keys()? {
                if let Ok(meta) = self.root.join(hidden_path(&key)).symlink_metadata() {
                    chunk.push(Seen { key, meta });
                }
            }
        }
        self.compare_chunk(chunk, report, tell)
    }

    fn compare_chunk(
        &self,
        chunk: Vec<Seen>,
        report: &mut ScanReport,
        tell: &mut Tell<'_>,
    ) -> io::Result<()> {
        let unknown = self.index.read(|index| {
            let mut unknown = Vec::new();
            for seen in chunk {
                if !is_noted(index, &seen.key, &seen.meta)? {
                    unknown.push(seen);
                }
            }
            Ok(unknown)
        })?;
        for batch in unknown.chunks(BATCH) {
            let looks = self.index.write(|index| {
                let looks = batch.iter().map(|seen| self.look(index, &seen.key));
                looks.collect::<Result<Vec<_>, _>>()
            })?;
            for (seen, look) in batch.iter().zip(looks) {
                tell(report, &seen.key, look);
            }
        }
        Ok(())
    }

    /// Looks at the file of one key and notes what it is. What is not there any more stays noted:
    /// its removal is yet to be recorded.
    fn look(&self, index: &Connection, key: &str) -> Result<io::Result<Look>, IndexError> {
        let found = match self.find_now(key) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Ok(Look::Gone)),
            Err(error) => return Ok(Err(error)),
        };
        let Some(stamp) = &found.stamp else {
            return Ok(Ok(Look::Unstamped(found.meta.modified().ok())));
        };
        if rows::is_missed(index, stamp)? {
            return Ok(Ok(Look::Unrecorded));
        }
        let mut row = Row::of(stamp, found.path == self.root.join(hidden_path(key)));
        // Of the file that is open, so that a later change of it is seen.
        let recorded = self.is_recorded(&found, stamp);
        if recorded {
            row.ctime_ns = ctime_ns(&found.meta);
        }
        rows::put(index, &row)?;
        Ok(Ok(match recorded {
            true => Look::Recorded,
            false => Look::Unrecorded,
        }))
    }

    /// Offers each plain file below a folder of which a key can be the name.
    fn walk(
        &self,
        relative: &Path,
        report: &mut ScanReport,
        each: &mut dyn FnMut(&mut ScanReport, Seen) -> io::Result<()>,
    ) -> io::Result<()> {
        let entries = match fs::read_dir(self.root.join(relative)) {
            Ok(entries) => entries,
            Err(e) if relative.as_os_str().is_empty() => return Err(e),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            // One folder that may not be read is no reason to stop at the others.
            Err(error) => {
                report.fail(format!("{}/{}: {error}", self.name, relative.display()));
                return Ok(());
            }
        };
        for entry in entries {
            let entry = entry?;
            if relative.as_os_str().is_empty() && entry.file_name().eq_ignore_ascii_case(PRIVATE) {
                continue;
            }
            self.walk_entry(relative.join(entry.file_name()), &entry, report, each)?;
        }
        Ok(())
    }

    fn walk_entry(
        &self,
        path: PathBuf,
        entry: &DirEntry,
        report: &mut ScanReport,
        each: &mut dyn FnMut(&mut ScanReport, Seen) -> io::Result<()>,
    ) -> io::Result<()> {
        let Ok(kind) = entry.file_type() else {
            return Ok(());
        };
        if kind.is_dir() {
            return self.walk(&path, report, each);
        }
        let Some(key) = key_of(&path).filter(|_| kind.is_file()) else {
            report.skipped += 1;
            return Ok(());
        };
        report.objects += 1;
        match entry.metadata() {
            Ok(meta) => each(report, Seen { key, meta }),
            // It was removed a moment ago.
            Err(_) => Ok(()),
        }
    }
}
