//! Finding streams by name.
//!
//! Names are hashes in disguise: each new one belongs at a random place of an index. An index of
//! 20 million names would have a page dirtied by each of them, and writing pages is what an append
//! costs. So the numbers of new streams are kept in memory, and go into the index (`stream_hashes`)
//! some time later, sorted, a few with each commit: then neighbours share a page.
//!
//! ```text
//! new stream ─> young ── full ──> old ── lowest hashes first ──> stream_hashes
//! ```
//!
//! Nothing of this has to be kept: `hashed.to_id` says up to which number all streams are in the
//! index, and what follows is read from `streams` at the start. The index has hashes; whether a
//! stream found is the one meant, its name tells.

use std::collections::hash_map::Entry;
use std::mem;

use rusqlite::{Connection, Result};
use sha2::{Digest, Sha256};

use super::names::ByHash;

/// The key of a name in the index. It is storage format.
pub(super) fn hash_of(name: &str) -> i64 {
    let digest = Sha256::digest(name);
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_le_bytes(first)
}

/// Streams that are not in the index, each as its hash and its number.
#[derive(Default)]
pub(super) struct Unindexed {
    /// All of them, to be found; the second and later of one hash are in `twins`.
    numbers: ByHash<i64, i64>,
    twins: Vec<(i64, i64)>,
    /// Those that came since the old ones were sorted.
    young: Vec<(i64, i64)>,
    /// Those that are on their way into the index, the next one last.
    old: Vec<(i64, i64)>,
    /// The greatest number in `old` when it was full.
    old_to: i64,
    /// The greatest number of all.
    last_id: i64,
    /// How many are to move to the index for what has come.
    owed: usize,
    capacity: usize,
}

/// Fewer would touch a page for each.
const LEAST_MOVED: usize = 64;

impl Unindexed {
    /// Reads what is not in the index.
    pub(super) fn load(connection: &Connection, capacity: usize) -> Result<Self> {
        let mut unindexed = Self {
            capacity: capacity.max(1),
            last_id: indexed_to(connection)?,
            ..Self::default()
        };
        unindexed.catch_up(connection)?;
        unindexed.owed = 0;
        Ok(unindexed)
    }

    /// Reads the streams that came since.
    pub(super) fn catch_up(&mut self, connection: &Connection) -> Result<()> {
        let mut statement =
            connection.prepare_cached("SELECT id, name FROM streams WHERE id > ?1 ORDER BY id")?;
        let mut rows = statement.query([self.last_id])?;
        while let Some(row) = rows.next()? {
            let id = row.get(0)?;
            self.add(hash_of(row.get_ref(1)?.as_str()?), id);
        }
        Ok(())
    }

    /// Forgets those that the index has, which are the first to have come.
    pub(super) fn forget_to(&mut self, id: i64) {
        if id <= self.old_to {
            return;
        }
        let gone = self.young.partition_point(|(_, young)| *young <= id);
        let gone: Vec<_> = self.young.drain(..gone).collect();
        for (hash, id) in gone {
            self.forget(hash, id);
        }
        self.old_to = id;
        self.last_id = self.last_id.max(id);
    }

    pub(super) fn add(&mut self, hash: i64, id: i64) {
        match self.numbers.entry(hash) {
            Entry::Vacant(entry) => {
                entry.insert(id);
            }
            Entry::Occupied(_) => self.twins.push((hash, id)),
        }
        self.young.push((hash, id));
        self.last_id = id;
        self.owed += 1;
    }

    pub(super) fn next_id(&self) -> i64 {
        self.last_id + 1
    }

    /// The numbers of the streams with this hash.
    pub(super) fn find(&self, hash: i64) -> impl Iterator<Item = i64> {
        let twins = self.twins.iter();
        let twins = twins.filter(move |(twin, _)| *twin == hash);
        let first = self.numbers.get(&hash).copied();
        first.into_iter().chain(twins.map(|(_, id)| *id))
    }

    /// What is to go into the index now, in its order. It is as many as came lately, so that the
    /// old are gone when the young are as many; more, where there are more than there should be.
    pub(super) fn take_due(&mut self) -> Vec<(i64, i64)> {
        if self.old.is_empty() {
            if self.young.len() < self.capacity {
                self.owed = 0;
                return Vec::new();
            }
            self.old = mem::take(&mut self.young);
            self.old.sort_unstable_by(|a, b| b.cmp(a));
            self.old_to = self.last_id;
        }
        if self.owed < LEAST_MOVED {
            return Vec::new();
        }
        let count = self.owed * (1 + self.old.len() / self.capacity);
        self.owed = 0;
        let kept = self.old.len().saturating_sub(count);
        let due: Vec<_> = self.old.drain(kept..).rev().collect();
        for (hash, id) in &due {
            self.forget(*hash, *id);
        }
        due
    }

    fn forget(&mut self, hash: i64, id: i64) {
        if self.numbers.get(&hash) == Some(&id) {
            self.numbers.remove(&hash);
            let twin = self.twins.iter().position(|(twin, _)| *twin == hash);
            if let Some(twin) = twin {
                let (hash, id) = self.twins.remove(twin);
                self.numbers.insert(hash, id);
            }
        } else {
            self.twins.retain(|twin| *twin != (hash, id));
        }
    }

    /// Up to which number all streams are in the index, once the old ones are.
    pub(super) fn all_old_moved(&self) -> Option<i64> {
        self.old.is_empty().then_some(self.old_to)
    }
}

/// Up to which number all streams are in the index.
pub(super) fn indexed_to(connection: &Connection) -> Result<i64> {
    connection
        .prepare_cached("SELECT to_id FROM hashed")?
        .query_row([], |row| row.get(0))
}

#[cfg(test)]
mod tests;
