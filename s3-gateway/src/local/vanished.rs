//! Objects whose files were removed by hand: the index knows them, the folder does not.
//!
//! The ledger is told first and the index next, so that a crash in between loses nothing: what is
//! told again is the removal of the same version, which decides nothing new. Where the bucket's
//! folder itself is gone, or is another one, nothing can be concluded from what is missing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use daybook_domain::ObjectKey;
use daybook_domain::stored_object::{Channel, ObjectCommand, RecordRemoved};

use super::index::rows::{self, END, Row, behind};
use super::key_path::{PRIVATE, hidden_path, plain_path};
use super::locks::KeyGuard;
use super::scan::{PATIENCE, ScanReport};
use super::settings::Versioning;
use super::stamp::{self, Birth};
use super::store::{Bucket, Found, blocking, blocking_with};
use crate::error::StoreError;

/// How many objects are looked for at once.
const CHUNK: usize = 1000;

/// What a locked key has.
pub(super) enum LookedUp {
    There(Box<Found>),
    /// Nothing, though the index knows of this.
    Missing(Row),
    Nothing,
}

impl Bucket {
    /// Whether the folder is the one that was opened. It is not while its file system is not
    /// mounted, for example.
    pub(crate) fn is_here(&self) -> bool {
        let there = self.root.join(PRIVATE).symlink_metadata();
        there.is_ok_and(|meta| Birth::of(&meta) == self.folder)
    }

    /// Has the removals recorded of all objects that are missing at or below a path.
    pub(crate) async fn settle_vanished_below(
        self: &Arc<Self>,
        relative: &Path,
        channel: &Channel,
        report: &mut ScanReport,
    ) -> Result<(), StoreError> {
        let Some(path) = relative.to_str() else {
            // No key leads there.
            return Ok(());
        };
        if path.is_empty() {
            return self
                .settle_vanished_in(Vec::new(), END.to_vec(), channel, report)
                .await;
        }
        let end = [path.as_bytes(), &[0]].concat();
        self.settle_vanished_in(path.as_bytes().to_vec(), end, channel, report)
            .await?;
        let folder = format!("{path}/");
        let end = behind(&folder);
        self.settle_vanished_in(folder.into_bytes(), end, channel, report)
            .await
    }

    async fn settle_vanished_in(
        self: &Arc<Self>,
        mut from: Vec<u8>,
        end: Vec<u8>,
        channel: &Channel,
        report: &mut ScanReport,
    ) -> Result<(), StoreError> {
        loop {
            let (this, begin, stop) = (Arc::clone(self), from.clone(), end.clone());
            let chunk = blocking(move || {
                let rows = this.read_index(|index| rows::range(index, &begin, &stop, CHUNK))?;
                let last = rows.last().filter(|_| rows.len() == CHUNK);
                let last = last.map(|row| [row.key.as_bytes(), &[0]].concat());
                let missing = rows.into_iter().filter(|row| this.is_missing(row));
                Ok((missing.map(|row| row.key).collect::<Vec<_>>(), last))
            });
            let (missing, last) = chunk.await?;
            for key in missing {
                let Ok(key) = ObjectKey::parse(key) else {
                    continue;
                };
                match self.settle_vanished(&key, channel).await {
                    Ok(recorded) => report.removals += u64::from(recorded),
                    Err(error) => report.fail(format!("{}/{key}: {error}", self.name)),
                }
            }
            match last {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }

    fn is_missing(&self, row: &Row) -> bool {
        let path = match plain_path(&row.key).filter(|_| !row.hidden) {
            Some(relative) => relative,
            None => hidden_path(&row.key),
        };
        let path: PathBuf = self.root.join(path);
        match path.symlink_metadata() {
            Ok(meta) => !meta.is_file(),
            Err(error) => is_absence(&error),
        }
    }

    /// Has the removal recorded of an object that is missing, or whose file was removed and
    /// another one put in its place. Returns whether there was something to record.
    pub(crate) async fn settle_vanished(
        self: &Arc<Self>,
        key: &ObjectKey,
        channel: &Channel,
    ) -> Result<bool, StoreError> {
        // Most of what goes was removed through a gateway, which noted it; that needs no lock.
        if self.known(key).await?.is_none() {
            return Ok(false);
        }
        let guard = self.lock_within(key, PATIENCE).await?;
        let Some(row) = self.known(key).await? else {
            return Ok(false);
        };
        let replaced = match self.find(key).await? {
            None => true,
            Some(found) => found.stamp.is_none() && Birth::of(&found.meta) != row.birth,
        };
        if !replaced {
            return Ok(false);
        }
        self.record_vanished(key, row, channel, &guard).await
    }

    /// The object's file, with its key locked. Where there is none, but the index knows of one, the
    /// removal is recorded first.
    pub(crate) async fn find_or_miss(
        self: &Arc<Self>,
        key: &ObjectKey,
        guard: &Arc<KeyGuard>,
    ) -> Result<Option<Found>, StoreError> {
        let (this, name) = (Arc::clone(self), key.clone());
        let looked = blocking_with(guard, move || Ok(this.look_up(name.as_str())?)).await?;
        self.found_or_missed(key, looked, guard).await
    }

    /// What a key has that is locked.
    pub(super) fn look_up(&self, key: &str) -> io::Result<LookedUp> {
        if let Some(found) = self.find_locked(key)? {
            return Ok(LookedUp::There(Box::new(found)));
        }
        Ok(match self.known_now(key)? {
            Some(row) => LookedUp::Missing(row),
            None => LookedUp::Nothing,
        })
    }

    /// The object's file. If it is missing, that is recorded first.
    pub(super) async fn found_or_missed(
        self: &Arc<Self>,
        key: &ObjectKey,
        looked: LookedUp,
        guard: &Arc<KeyGuard>,
    ) -> Result<Option<Found>, StoreError> {
        match looked {
            LookedUp::There(found) => Ok(Some(*found)),
            LookedUp::Missing(row) => {
                self.record_vanished(key, row, &Channel::Listing, guard)
                    .await?;
                Ok(None)
            }
            LookedUp::Nothing => Ok(None),
        }
    }

    /// The object that the index has of a key.
    async fn known(self: &Arc<Self>, key: &ObjectKey) -> Result<Option<Row>, StoreError> {
        let (this, key) = (Arc::clone(self), key.clone());
        blocking(move || Ok(this.known_now(key.as_str())?)).await
    }

    pub(super) fn known_now(&self, key: &str) -> io::Result<Option<Row>> {
        let read = || self.index.read(|index| rows::get(index, key));
        // The second time a damaged index has been thrown away.
        Ok(read().or_else(|_| read())?)
    }

    async fn record_vanished(
        self: &Arc<Self>,
        key: &ObjectKey,
        row: Row,
        channel: &Channel,
        guard: &Arc<KeyGuard>,
    ) -> Result<bool, StoreError> {
        // Asked after the file was missed: it may be missing because all of it is.
        if !self.is_here() {
            return Err(StoreError::Elsewhere);
        }
        let removed = RecordRemoved {
            bucket: self.name.clone(),
            key: key.clone(),
            version: row.version(),
            channel: channel.clone(),
            event_name: "ObjectRemoved:Delete".to_owned(),
            order: Some(stamp::order_mark(self.sequence.next(row.sequence)?)),
            removed_by: None,
        };
        let command = ObjectCommand::RecordRemoved(removed);
        self.ledger.record(command).await?;
        let this = Arc::clone(self);
        blocking_with(guard, move || {
            // What is left of the key must not look as if it were there.
            let versioning = this.versioning()?;
            if versioning != Versioning::Never && this.newest_kept(&row.key)?.is_some() {
                this.mark(&row.key, row.sequence, versioning, None)?;
            }
            this.noted(this.index.write(|index| rows::miss(index, &row)));
            Ok(())
        })
        .await?;
        Ok(true)
    }
}

fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}
