//! What a local bucket has, from its index; and of single keys, what their files say.

use std::sync::Arc;

use daybook_domain::ObjectKey;
use daybook_domain::stored_object::{ListedVersion, ObjectVersion};
use rusqlite::{Connection, params};

use super::index::IndexError;
use super::index::rows::{self, COLUMNS, END, Row, behind};
use super::scan::PATIENCE;
use super::stamp::{self, Stamp};
use super::store::{Bucket, blocking};
use crate::error::StoreError;
use crate::survey::{DescribedVersion, Entry};

/// Of versions of one key, so many are read at once.
const WHOLE_KEY: usize = usize::MAX;

/// The last version that was read: its key, and its place in the order.
type At = (String, u64);

impl Bucket {
    /// So many versions and delete markers whose keys begin so, behind the last one that was read;
    /// and which one to go on behind, if there may be more.
    pub(crate) async fn entries(
        self: &Arc<Self>,
        prefix: &str,
        at: Option<At>,
        count: usize,
    ) -> Result<(Vec<Entry>, Option<At>), StoreError> {
        let (this, prefix) = (Arc::clone(self), prefix.to_owned());
        blocking(move || {
            if !this.is_here() {
                return Err(StoreError::Elsewhere);
            }
            let rows = this.read_index(|index| page(index, &prefix, at.as_ref(), count))?;
            let last = rows.last().filter(|_| rows.len() == count);
            let next = last.map(|row| (row.key.clone(), row.sequence));
            // A version that begins a page may not be the first of its key.
            let before = at.filter(|(_, sequence)| *sequence > 0).map(|(key, _)| key);
            Ok((entries(rows, before), next))
        })
        .await
    }

    /// The versions and markers of one key. `None` while its file has no stamp that fits.
    pub(crate) async fn entries_of(
        self: &Arc<Self>,
        key: &ObjectKey,
    ) -> Result<Option<Vec<Entry>>, StoreError> {
        // Who has the lock finds everything recorded.
        let _guard = self.lock_within(key, PATIENCE).await?;
        let (this, key) = (Arc::clone(self), key.clone());
        blocking(move || {
            if !this.is_here() {
                return Err(StoreError::Elsewhere);
            }
            let found = this.find_now(key.as_str())?;
            let current = match found.map(|found| found.stamp) {
                Some(Some(stamp)) => Some(Row::of(&stamp, false)),
                Some(None) => return Ok(None),
                None => None,
            };
            let kept =
                |index: &Connection| rows::versions_of(index, key.as_str(), i64::MAX, WHOLE_KEY);
            let mut rows: Vec<Row> = current.into_iter().collect();
            rows.extend(this.read_index(kept)?);
            Ok(Some(entries(rows, None)))
        })
        .await
    }

    /// What the stamp of a version says.
    pub(crate) async fn describe(
        self: &Arc<Self>,
        key: &ObjectKey,
        listed: &ListedVersion,
    ) -> Result<Option<DescribedVersion>, StoreError> {
        let (this, key) = (Arc::clone(self), key.clone());
        let (id, wanted) = (listed.version.version_id.clone(), listed.version.stamp);
        let found = blocking(move || -> Result<Option<Stamp>, StoreError> {
            let is_it = |stamp: &Stamp| Some(stamp.stamp) == wanted;
            let current = this.find_now(key.as_str())?;
            if let Some(stamp) = current.and_then(|found| found.stamp).filter(is_it) {
                return Ok(Some(stamp));
            }
            let kept = match id {
                Some(id) => this.find_kept(key.as_str(), &id)?,
                None => None,
            };
            Ok(kept.and_then(|found| found.stamp).filter(is_it))
        });
        Ok(found.await?.map(|stamp| DescribedVersion {
            version: stamp.version(),
            order: Some(stamp.order()),
            event_name: Some(stamp.event_name.clone()),
            produced_by: stamp.produced_by,
        }))
    }
}

fn page(
    index: &Connection,
    prefix: &str,
    at: Option<&At>,
    count: usize,
) -> Result<Vec<Row>, IndexError> {
    let mut found = Vec::new();
    let mut from = prefix.as_bytes().to_vec();
    if let Some((key, sequence)) = at {
        // The rest of the key that the last page ended with.
        if *sequence > 0 {
            let before = sequence.cast_signed();
            found.extend(rows::versions_of(index, key, before, count)?);
        }
        from = from.max([key.as_bytes(), &[0]].concat());
    }
    let left = count - found.len();
    if left == 0 {
        return Ok(found);
    }
    let sql = format!(
        "SELECT {COLUMNS} FROM objects WHERE key >= ?1 AND key < ?2
         UNION ALL SELECT {COLUMNS} FROM versions WHERE key >= ?1 AND key < ?2
         ORDER BY key, sequence DESC LIMIT ?3"
    );
    let end = if prefix.is_empty() {
        END.to_vec()
    } else {
        behind(prefix)
    };
    let mut statement = index.prepare_cached(&sql)?;
    let left = i64::try_from(left).unwrap_or(i64::MAX);
    for row in statement.query_map(params![from, end, left], Row::read)? {
        found.push(row?);
    }
    Ok(found)
}

fn entries(rows: Vec<Row>, mut before: Option<String>) -> Vec<Entry> {
    let entries = rows.into_iter().map(|row| {
        let latest = before.as_deref() != Some(row.key.as_str());
        let version: ObjectVersion = row.version();
        let order = stamp::order_mark(row.sequence);
        before = Some(row.key.clone());
        Entry {
            latest,
            version: (!row.marker).then_some((version, Some(order))),
            key: row.key,
        }
    });
    entries.collect()
}
