//! What becomes of the journals of processes that are no more.
//!
//! If the machine has not been started anew since, only a process died. The system has all that was
//! written, and brings it to the disk: then the journal is needed no more. By hand files may have
//! changed since, so nothing is written again.
//!
//! Otherwise each record is compared with what is there, and written again if that is not what the
//! record says, and the ledger knows the version as the one that the key has. This happens once, when a bucket
//! is opened and before it is served. It may be broken off at any moment and done again.
//!
//! | at the key's place | the ledger has the version as the key's | it has it no more, or never had |
//! |---|---|---|
//! | the object, whole | stays; if the segment is suspect it is written again | stays: a rescan proposes it |
//! | torn: a file with the very stamp, but not what it was stamped for | is written again | is removed |
//! | nothing | is written again | stays so |
//! | another file, or one that was changed by hand | stays | stays |
//! | whatever, while the version is among the kept ones | stays: it was on disk before it got there | stays |

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use daybook_domain::ObjectKey;

use super::format::{self, Contents, Header, Record};
use super::segment::{spot, write_suspect};
use super::{Inner, Journal};
use crate::error::StoreError;
use crate::ledger::Standing;
use crate::local::durable;
use crate::local::file_lock::{Digest, Held, Slot};
use crate::local::index::rows::Row;
use crate::local::key_path::{digest, hidden_path, plain_path};
use crate::local::receive::Temporary;
use crate::local::stamp::{self, Stamp};
use crate::local::store::{Bucket, blocking, blocking_with};
use crate::local::versions::Kind;

/// How often one looks whether another process has come to the end of a segment.
const PAUSE: Duration = Duration::from_millis(20);

/// What one process may do about a segment of another.
enum Owner {
    /// It is locked, by one who writes it.
    Writes,
    /// It is locked, by one who redoes it.
    Redoes,
    /// It went a moment ago.
    Gone,
    /// Nobody's: only its process died, and the system has everything.
    Dead(Held, File, Header),
    /// Nobody's, and its objects may not have reached the disk.
    Lost(Held, Option<Header>),
}

/// What lies at one of the places that a key has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum There {
    Nothing,
    Whole,
    Torn,
    Other,
}

/// What the disk says of a record.
#[derive(Clone, Copy, Debug)]
struct Look {
    plain: There,
    hidden: There,
    /// Whether the version is among the kept ones.
    kept: bool,
}

impl Journal {
    /// Sees to the journals of processes that died while the machine went on. Blocks.
    pub(crate) fn bury_dead(&self) -> io::Result<()> {
        let mut dead = Vec::new();
        for id in self.inner.others()? {
            if let Owner::Dead(held, file, header) = self.inner.owner(&id)? {
                dead.push((self.inner.folder().join(&id), held, file, header));
            }
        }
        // They have all ended by now, so this takes everything along that they wrote.
        let synced = match dead.first() {
            Some((_, _, file, _)) => rustix::fs::syncfs(file),
            None => return Ok(()),
        };
        if let Err(error) = synced {
            tracing::error!(root = %self.inner.root.display(), %error, "what a dead process wrote could not be brought to the disk; it is written again at the next start");
            for (_, _, file, header) in &dead {
                write_suspect(file, *header)?;
            }
            return Ok(());
        }
        for (path, ..) in &dead {
            fs::remove_file(path)?;
        }
        Ok(())
    }
}

impl Inner {
    fn owner(&self, id: &str) -> io::Result<Owner> {
        let Some(slot) = Digest::of_hex(id).map(Slot::Owner) else {
            return Ok(Owner::Gone);
        };
        let held = self.lock.try_hold(slot)?;
        let file = match File::options()
            .read(true)
            .write(true)
            .open(self.folder().join(id))
        {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Owner::Gone),
            opened => opened?,
        };
        let header = Header::read(&file)?;
        let is_of_now = |header: &Header| self.boot == Some(header.boot);
        let Some(held) = held else {
            return Ok(match header {
                Ok(Some(header)) if !is_of_now(&header) => Owner::Redoes,
                // One without a header is being made.
                _ => Owner::Writes,
            });
        };
        Ok(match header {
            Ok(Some(header))
                if is_of_now(&header) && !header.suspect && header.spot == spot(&file)? =>
            {
                Owner::Dead(held, file, header)
            }
            Ok(Some(header)) => Owner::Lost(held, Some(header)),
            // Its process, or the machine, ended before anything was written to it.
            Ok(None)
                if fs::read(self.folder().join(id))?
                    .iter()
                    .all(|byte| *byte == 0) =>
            {
                fs::remove_file(self.folder().join(id))?;
                Owner::Gone
            }
            Ok(None) | Err(format::Damaged) => Owner::Lost(held, None),
        })
    }

    /// Moves a segment out of the way that cannot be read in full, for somebody to look at.
    fn set_aside(&self, id: &str) -> io::Result<PathBuf> {
        let path = self.folder().join(format!("{id}.damaged"));
        fs::rename(self.folder().join(id), &path)?;
        durable::sync_parent(&path)?;
        Ok(path)
    }
}

impl Bucket {
    /// Makes good what a power failure kept from the disk. Waits for another process that does the
    /// same; after it nothing is left to be done.
    pub(crate) async fn redo(self: &Arc<Self>) -> Result<(), StoreError> {
        let mut changed = false;
        loop {
            let mut waits = false;
            let this = Arc::clone(self);
            for id in blocking(move || Ok(this.journal.inner.others()?)).await? {
                let (this, name) = (Arc::clone(self), id.clone());
                match blocking(move || Ok(this.journal.inner.owner(&name)?)).await? {
                    Owner::Lost(held, header) => {
                        changed |= self.redo_segment(&id, header).await?;
                        drop(held);
                    }
                    Owner::Redoes => waits = true,
                    Owner::Writes | Owner::Gone | Owner::Dead(..) => {}
                }
            }
            if !waits {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        if changed {
            // A removal that was broken off may have left what only now can be told.
            let this = Arc::clone(self);
            blocking(move || Ok(this.mend_versions()?)).await?;
        }
        Ok(())
    }

    /// Returns whether it changed anything but the journal.
    async fn redo_segment(
        self: &Arc<Self>,
        id: &str,
        header: Option<Header>,
    ) -> Result<bool, StoreError> {
        let path = self.journal.inner.folder().join(id);
        let contents = blocking(move || {
            let Some(header) = header else {
                return Ok(None);
            };
            let bytes = fs::read(&path)?;
            Ok(Some(format::read(&bytes, header.generation)))
        });
        let contents = contents.await?;
        let suspect = header.is_some_and(|header| header.suspect);
        let damage = contents
            .as_ref()
            .map_or(Some(0), |contents| contents.damage);
        let Contents { records, .. } = contents.unwrap_or_default();
        let (count, mut written, mut removed) = (records.len(), 0_usize, 0_usize);
        for record in records {
            match self.redo_record(record, suspect).await? {
                There::Whole => written += 1,
                There::Torn => removed += 1,
                There::Nothing | There::Other => {}
            }
        }
        tracing::info!(bucket = %self.name, count, written, removed, "the journal was compared with the objects after the machine had been started anew");
        let (this, id) = (Arc::clone(self), id.to_owned());
        blocking(move || {
            let journal = &this.journal.inner;
            match damage {
                Some(offset) => {
                    let path = journal.set_aside(&id)?;
                    tracing::error!(bucket = %this.name, path = %path.display(), offset, "a segment of the journal is damaged; objects that were acknowledged shortly before the power failed may be missing or torn. It is kept for you to look at");
                }
                None => {
                    let path = journal.folder().join(&id);
                    fs::remove_file(&path)?;
                    durable::sync_parent(&path)?;
                }
            }
            Ok(())
        })
        .await?;
        Ok(written + removed > 0)
    }

    /// Returns what it did: `Whole` if it wrote the object again, `Torn` if it removed a torn one.
    async fn redo_record(
        self: &Arc<Self>,
        record: Record,
        suspect: bool,
    ) -> Result<There, StoreError> {
        let Record { stamp, content } = record;
        let key = ObjectKey::parse(stamp.key.clone()).map_err(io::Error::other)?;
        let guard = self.lock(&key).await?;
        let (this, record) = (Arc::clone(self), Record { stamp, content });
        let looked = blocking_with(&guard, move || {
            let look = this.look_for(&record)?;
            Ok((look, record))
        });
        let (look, record) = looked.await?;
        if look.kept || !look.is_to_be_redone(suspect) {
            return Ok(There::Nothing);
        }
        let version = record.stamp.version();
        let standing = self.ledger.standing(&self.name, &key, &version).await;
        let standing = standing.map_err(StoreError::Unasked)?;
        let this = Arc::clone(self);
        let current = standing == Standing::Current && look.plain != There::Other;
        blocking_with(&guard, move || match current {
            true => this.write_again(record, look),
            false => this.drop_torn(&record.stamp, look),
        })
        .await
    }

    fn look_for(&self, record: &Record) -> io::Result<Look> {
        let stamp = &record.stamp;
        let kinds = [Kind::Retained, Kind::Listed, Kind::Doomed];
        let kept = kinds.map(|kind| self.version_path(&stamp.key, &stamp.version_id, kind));
        let plain = match plain_path(&stamp.key).filter(|relative| self.reachable(relative)) {
            Some(relative) => self.look_at(self.root.join(relative), record)?,
            None => There::Nothing,
        };
        Ok(Look {
            plain,
            hidden: self.look_at(self.root.join(hidden_path(&stamp.key)), record)?,
            kept: kept.iter().any(|path| path.symlink_metadata().is_ok()),
        })
    }

    fn look_at(&self, path: PathBuf, record: &Record) -> io::Result<There> {
        let wanted = &record.stamp;
        let Some(found) = self.open_file(&digest(&wanted.key), path)? else {
            return Ok(There::Nothing);
        };
        // The one that fits, or else the one that is on it.
        let stamp = found.stamp.or_else(|| stamp::read_attribute(&found.file));
        let here = self.place(&found.meta);
        let Some(stamp) = stamp.filter(|it| it.stamp == wanted.stamp && it.is_at(&here)) else {
            return Ok(There::Other);
        };
        let mut bytes = Vec::new();
        let longest = record.content.len() as u64 + 1;
        found.file.take(longest).read_to_end(&mut bytes)?;
        let same = bytes == record.content;
        Ok(match stamp::mtime_ns(&found.meta) == stamp.mtime_ns {
            true if same => There::Whole,
            true => There::Torn,
            // Somebody else changed it, or set its time. What got lost of it shows as nothing.
            false if !same && has_holes(&bytes, &record.content) => There::Torn,
            false => There::Other,
        })
    }

    /// The object as it was, in another file.
    fn write_again(&self, record: Record, look: Look) -> Result<There, StoreError> {
        let Record { stamp, content } = record;
        let (mut file, path) = self.temporaries.create()?;
        let temporary = Temporary(path);
        file.write_all(&content)?;
        let since = Duration::from_nanos(u64::try_from(stamp.mtime_ns).unwrap_or(0));
        file.set_modified(UNIX_EPOCH + since)?;
        let meta = file.metadata()?;
        let stamp = Stamp {
            place: self.place(&meta),
            mtime_ns: stamp::mtime_ns(&meta),
            ..stamp
        };
        stamp::write(&self.root, &self.temporaries, &file, &stamp)?;
        // The ledger has just said so.
        stamp::mark_recorded(&self.root, &file, &stamp)?;
        file.sync_all()?;
        let hidden = self.root.join(hidden_path(&stamp.key));
        let plain = plain_path(&stamp.key).map(|relative| self.root.join(relative));
        let plain = plain.filter(|plain| self.can_hold(plain));
        let renamed = plain.filter(|plain| fs::rename(&temporary.0, plain).is_ok());
        let is_hidden = renamed.is_none();
        match &renamed {
            Some(plain) => durable::sync_parent(plain)?,
            None => {
                fs::rename(&temporary.0, &hidden)?;
                durable::sync_parent(&hidden)?;
            }
        }
        if !is_hidden && matches!(look.hidden, There::Torn | There::Whole) {
            remove(&hidden)?;
        }
        self.note_written(Row::of(&stamp, is_hidden), None, None);
        Ok(There::Whole)
    }

    /// Takes away what was never an object of this key to anybody, or is not any more.
    fn drop_torn(&self, stamp: &Stamp, look: Look) -> Result<There, StoreError> {
        let plain = plain_path(&stamp.key).filter(|_| look.plain == There::Torn);
        let hidden = (look.hidden == There::Torn).then(|| hidden_path(&stamp.key));
        let mut done = There::Nothing;
        for relative in plain.into_iter().chain(hidden) {
            remove(&self.root.join(relative))?;
            done = There::Torn;
        }
        // What the index has of it is of nothing.
        let gone =
            look.plain != There::Other && look.plain != There::Whole && look.hidden != There::Whole;
        if gone
            && self
                .known_now(&stamp.key)?
                .is_some_and(|row| row.stamp == stamp.stamp)
        {
            self.note_gone(&stamp.key);
        }
        Ok(done)
    }
}

impl Look {
    fn is_to_be_redone(self, suspect: bool) -> bool {
        let whole = [self.plain, self.hidden].contains(&There::Whole);
        let torn = [self.plain, self.hidden].contains(&There::Torn);
        let other = [self.plain, self.hidden].contains(&There::Other);
        torn || whole && suspect || !whole && !other
    }
}

/// Whether a file is what is left of a content: parts of it, and nothing for the rest.
fn has_holes(bytes: &[u8], content: &[u8]) -> bool {
    bytes.len() <= content.len()
        && (bytes.iter().zip(content)).all(|(byte, wanted)| byte == wanted || *byte == 0)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
        Ok(()) => durable::sync_parent(path),
    }
}
