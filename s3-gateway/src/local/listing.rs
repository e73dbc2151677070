//! Listing a bucket: the keys in the byte order of UTF-8, rolled up at a delimiter, page by page.
//!
//! A page is a scan of the index, of one moment, and opens no file. What lies outside the prefix,
//! behind a rolled-up prefix or where the sender may see nothing is stepped over by a seek, so that a page
//! costs the same wherever it lies and however much it rolls up.

use std::io;
use std::sync::Arc;

use rusqlite::{Connection, params};

use super::index::rows::{self, COLUMNS, Row, behind};
use super::index::{self, IndexError};
use super::store::{Bucket, blocking};
use crate::error::StoreError;

/// Which part of a bucket to list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    pub(crate) prefix: String,
    /// Not empty.
    pub(crate) delimiter: Option<String>,
    /// Only what comes after this key or rolled-up prefix.
    pub(crate) after: Option<String>,
    pub(crate) max: usize,
    /// How many keys that the sender may not see are looked at. Then the page ends.
    pub(crate) max_unseen: usize,
}

/// What of a bucket the sender may see.
pub(crate) trait Visible: Send + 'static {
    /// Whether it may see the key.
    fn shows(&self, key: &str) -> bool;

    /// The least text after a key that it may not see with which other keys that it may see can
    /// begin; the key itself where that is not known, `None` if there are no such keys.
    fn next(&self, key: &str) -> Option<String>;
}

/// One page.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Row>,
    pub(crate) prefixes: Vec<String>,
    /// Where the next page goes on, if there is one: the last key or prefix that was looked at.
    pub(crate) next: Option<String>,
}

impl Page {
    pub(super) fn len(&self) -> usize {
        self.objects.len() + self.prefixes.len()
    }
}

impl Bucket {
    /// Lists what is `visible` to the sender.
    pub(crate) async fn list(
        self: &Arc<Self>,
        query: Query,
        visible: impl Visible,
    ) -> Result<Page, StoreError> {
        let this = Arc::clone(self);
        blocking(move || Ok(this.read_index(|index| page(index, &query, &visible))?)).await
    }

    /// Reads from the index, which is made anew before if that is needed.
    pub(super) fn read_index<T>(
        &self,
        work: impl Fn(&Connection) -> Result<T, IndexError>,
    ) -> io::Result<T> {
        let read = || {
            if self.index.is_doubted() {
                return Ok(None);
            }
            self.index.read(|index| match index::complete(index)? {
                true => work(index).map(Some),
                false => Ok(None),
            })
        };
        match read() {
            Ok(Some(done)) => return Ok(done),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(bucket = %self.name, error = &error as &dyn std::error::Error, "the index cannot be read; it is made anew");
            }
        }
        self.fill_index()?;
        read()?.ok_or_else(|| io::Error::other("the bucket's index cannot be completed"))
    }
}

fn page(index: &Connection, query: &Query, visible: &impl Visible) -> Result<Page, IndexError> {
    let sql = format!("SELECT {COLUMNS} FROM objects WHERE key >= ?1 AND key < ?2 ORDER BY key");
    let mut page = Page::default();
    scan(index, &sql, query, visible, &mut page)?;
    Ok(page)
}

/// Adds to a page what the statement finds between two keys.
pub(super) fn scan(
    index: &Connection,
    sql: &str,
    query: &Query,
    visible: &impl Visible,
    page: &mut Page,
) -> Result<(), IndexError> {
    if query.max == 0 {
        return Ok(());
    }
    let mut statement = index.prepare_cached(sql)?;
    let end = behind(&query.prefix);
    let mut from = query.start();
    let mut unseen = 0;
    'seek: loop {
        let mut rows = statement.query(params![from, end])?;
        while let Some(row) = rows.next()? {
            let row = Row::read(row)?;
            if !visible.shows(&row.key) {
                unseen += 1;
                match visible.next(&row.key) {
                    None => return Ok(()),
                    Some(_) if unseen >= query.max_unseen => {
                        page.next = Some(row.key);
                        return Ok(());
                    }
                    Some(next) if next > row.key => {
                        from = next.into_bytes();
                        continue 'seek;
                    }
                    Some(_) => continue,
                }
            }
            if page.len() == query.max {
                page.next = page.last();
                return Ok(());
            }
            match query.rolled_up(&row.key) {
                Some(rolled) => {
                    from = behind(rolled);
                    page.prefixes.push(rolled.to_owned());
                    continue 'seek;
                }
                None => page.objects.push(row),
            }
        }
        return Ok(());
    }
}

impl Page {
    /// The last key or prefix on the page.
    pub(super) fn last(&self) -> Option<String> {
        let key = self.objects.last().map(|row| row.key.as_str());
        let prefix = self.prefixes.last().map(String::as_str);
        key.max(prefix).map(str::to_owned)
    }
}

impl Query {
    /// Where the first key of the page may lie.
    fn start(&self) -> Vec<u8> {
        let after = match self.after.as_deref() {
            None => Vec::new(),
            // The last page ended with a rolled-up prefix.
            Some(after) if self.rolled_up(after) == Some(after) => behind(after),
            Some(after) => [after.as_bytes(), &[0]].concat(),
        };
        after.max(self.prefix.as_bytes().to_vec())
    }

    /// The text up to and with the first delimiter after the prefix.
    pub(super) fn rolled_up<'k>(&self, key: &'k str) -> Option<&'k str> {
        let delimiter = self.delimiter.as_deref()?;
        let rest = key.strip_prefix(self.prefix.as_str())?;
        let end = self.prefix.len() + rest.find(delimiter)? + delimiter.len();
        Some(&key[..end])
    }
}

impl Bucket {
    /// Notes in the index what a key has now: what was replaced and is still a version, and which
    /// null version is none any more. The key has to be locked, its file in place.
    pub(super) fn note_written(&self, row: Row, replaced: Option<Row>, retired: Option<Row>) {
        if replaced.is_none() && retired.is_none() {
            return self.noted(self.index.put(row));
        }
        self.noted(self.index.write(|index| {
            if let Some(retired) = &retired {
                rows::remove_version(index, retired)?;
            }
            if let Some(replaced) = &replaced {
                rows::put_version(index, replaced)?;
            }
            rows::put(index, &row)
        }));
    }

    /// Notes in the index that a key has no object. The key has to be locked, its file gone.
    pub(super) fn note_gone(&self, key: &str) {
        self.noted(self.index.write_one(|index| rows::remove(index, key)));
    }

    /// What is not in the index is no reason to refuse a write that happened: the index is made
    /// anew before it is read again.
    pub(super) fn noted(&self, noted: Result<(), IndexError>) {
        if let Err(error) = noted {
            tracing::error!(bucket = %self.name, error = &error as &dyn std::error::Error, "the index could not be kept up; it will be made anew");
        }
    }
}
