//! Listing the versions of a bucket's keys: keys in order, of each the newest first.
//!
//! The object that a key has is in one table of the index, its other versions and markers in the
//! other. Both are in the order of the listing, so that a page is a merge of two range scans.

use std::io;
use std::sync::Arc;

use rusqlite::Connection;

use super::index::IndexError;
use super::index::rows::{self, COLUMNS, Row};
use super::listing::{Page, Query, Visible, scan};
use super::settings::NULL;
use super::store::{Bucket, blocking};
use crate::error::StoreError;

/// A version on a page.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) row: Row,
    /// Whether it is the newest of its key.
    pub(crate) latest: bool,
}

/// One page of versions.
#[derive(Debug, Default)]
pub(crate) struct VersionsPage {
    pub(crate) versions: Vec<Version>,
    pub(crate) prefixes: Vec<String>,
    /// Where the next page goes on, if there is one: the last key or prefix, and the version of
    /// the key.
    pub(crate) next: Option<(String, Option<Row>)>,
}

impl Bucket {
    /// Lists the versions that are `visible` to the sender: those after a key, or after one
    /// version of that key.
    pub(crate) async fn list_versions(
        self: &Arc<Self>,
        query: Query,
        after_version: Option<String>,
        visible: impl Visible,
    ) -> Result<VersionsPage, StoreError> {
        let this = Arc::clone(self);
        blocking(move || {
            let resume = match (&query.after, after_version) {
                (Some(key), Some(id)) => Some((key.clone(), this.sequence_of(key, &id)?)),
                _ => None,
            };
            let page = this.read_index(|index| {
                let mut page = Page::default();
                if let Some((key, before)) = &resume
                    && visible.shows(key)
                {
                    rest_of_key(index, key, *before, &query, &mut page)?;
                }
                if page.next.is_none() {
                    let sql = format!(
                        "SELECT {COLUMNS} FROM objects WHERE key >= ?1 AND key < ?2
                         UNION ALL SELECT {COLUMNS} FROM versions WHERE key >= ?1 AND key < ?2
                         ORDER BY key, sequence DESC"
                    );
                    scan(index, &sql, &query, &visible, &mut page)?;
                }
                Ok(page)
            })?;
            let resumed = resume.filter(|(_, before)| *before != i64::MAX);
            Ok(page.into_versions(resumed.as_ref().map(|(key, _)| key.as_str())))
        })
        .await
    }

    /// The place of a version in the order. One that was deleted since it ended a page is not
    /// known any more; then all that is left of its key comes after it.
    fn sequence_of(&self, key: &str, id: &str) -> io::Result<i64> {
        let current = self.read_index(|index| rows::get(index, key))?;
        let row = match current.filter(|row| row.version_id == id || id == NULL && row.null_version)
        {
            Some(row) => Some(row),
            None if id == NULL => self.kept_null(key)?,
            None => None,
        };
        let sequence = match row {
            Some(row) => Some(row.sequence),
            None => {
                let kept = self.find_kept(key, id)?;
                kept.and_then(|kept| kept.stamp).map(|stamp| stamp.sequence)
            }
        };
        Ok(sequence.map_or(i64::MAX, u64::cast_signed))
    }
}

/// Adds the versions of a key that are older than one.
fn rest_of_key(
    index: &Connection,
    key: &str,
    before: i64,
    query: &Query,
    page: &mut Page,
) -> Result<(), IndexError> {
    let wanted = query.max + 1;
    let mut rest = Vec::new();
    if before == i64::MAX {
        rest.extend(rows::get(index, key)?);
    }
    rest.extend(rows::versions_of(index, key, before, wanted)?);
    if query.rolled_up(key).is_some() || !key.starts_with(&query.prefix) {
        return Ok(());
    }
    for row in rest {
        if page.len() == query.max {
            page.next = Some(key.to_owned());
            return Ok(());
        }
        page.objects.push(row);
    }
    Ok(())
}

impl Page {
    fn into_versions(self, resumed: Option<&str>) -> VersionsPage {
        let last = self.objects.last().cloned();
        let next = self.next.map(|next| {
            let version = last.filter(|row| row.key == next);
            (next, version)
        });
        let mut before = resumed.map(str::to_owned);
        let versions = self.objects.into_iter().map(|row| {
            let latest = before.as_deref() != Some(row.key.as_str());
            before = Some(row.key.clone());
            Version { row, latest }
        });
        VersionsPage {
            versions: versions.collect(),
            prefixes: self.prefixes,
            next,
        }
    }
}
