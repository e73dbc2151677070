//! Listing a bucket: the keys in the byte order of UTF-8, rolled up at a delimiter, page by page.
//!
//! A folder's entries are read and sorted when the walk enters it; folders that lie before the
//! page, outside the prefix or within a prefix that was already rolled up are not entered.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use daybook_domain::ObjectKey;

use super::key_path::{PRIVATE, key_of};
use super::stamp::Stamp;
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
}

/// One page.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Stamp>,
    pub(crate) prefixes: Vec<String>,
    /// The last key or prefix of the page, if there is more after it.
    pub(crate) next: Option<String>,
}

impl Bucket {
    /// Lists what is `visible` to the sender.
    pub(crate) async fn list(
        self: &Arc<Self>,
        query: Query,
        visible: impl Fn(&str) -> bool + Send + 'static,
    ) -> Result<Page, StoreError> {
        let this = Arc::clone(self);
        let names = move || Ok(this.names(query, &visible)?);
        let (names, truncated) = blocking(names).await?;
        let mut page = Page::default();
        if truncated {
            page.next = names.last().map(|name| name.text().to_owned());
        }
        let keys: Vec<String> = names
            .into_iter()
            .filter_map(|name| match name {
                Name::Key(key) => Some(key),
                Name::Prefix(prefix) => {
                    page.prefixes.push(prefix);
                    None
                }
            })
            .collect();
        let this = Arc::clone(self);
        let found = blocking(move || {
            let stamps = keys.into_iter().map(|key| {
                let found = this.find_now(&key);
                (key, found)
            });
            Ok(stamps
                .filter_map(|(key, found)| Some((key, found.ok()??.stamp)))
                .collect::<Vec<_>>())
        })
        .await?;
        for (key, stamp) in found {
            match stamp {
                Some(stamp) => page.objects.push(stamp),
                None => page.objects.extend(self.stamped(key).await),
            }
        }
        Ok(page)
    }

    /// The stamp of a file from outside; `None` if it vanished or is being written.
    async fn stamped(self: &Arc<Self>, key: String) -> Option<Stamp> {
        let key = ObjectKey::parse(key).ok()?;
        match self.open(&key, None).await {
            Ok(opened) => Some(opened.stamp),
            Err(error) => {
                tracing::debug!(bucket = %self.name, %key, %error, "left out of a listing");
                None
            }
        }
    }

    /// The names of one page and whether there are more.
    fn names(&self, query: Query, visible: &dyn Fn(&str) -> bool) -> io::Result<(Vec<Name>, bool)> {
        if query.max == 0 {
            return Ok((Vec::new(), false));
        }
        let mut collector = Collector {
            query,
            visible,
            hidden: self.hidden_keys()?.into_iter().peekable(),
            names: Vec::new(),
            truncated: false,
        };
        if self.walk(Path::new(""), "", &mut collector)?.is_continue() {
            let _ = collector.hidden_before(None);
        }
        Ok((collector.names, collector.truncated))
    }

    /// Offers the keys below a folder in order.
    fn walk(
        &self,
        relative: &Path,
        prefix: &str,
        collector: &mut Collector<'_>,
    ) -> io::Result<ControlFlow<()>> {
        let mut entries = Vec::new();
        let listing = match fs::read_dir(self.root.join(relative)) {
            Ok(listing) => listing,
            // It was removed a moment ago, or may not be read: there is nothing to show.
            Err(e) if relative.as_os_str().is_empty() => return Err(e),
            Err(_) => return Ok(ControlFlow::Continue(())),
        };
        for entry in listing {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                continue;
            };
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if relative.as_os_str().is_empty() && name.eq_ignore_ascii_case(PRIVATE) {
                continue;
            }
            if kind.is_dir() {
                // With its slash, a folder sorts where the keys below it do.
                entries.push(format!("{name}/"));
            } else if kind.is_file() {
                entries.push(name);
            }
        }
        entries.sort_unstable();
        for name in entries {
            let flow = match name.strip_suffix('/') {
                Some(folder) => {
                    let below = format!("{prefix}{name}");
                    if collector.passes_over(&below) {
                        continue;
                    }
                    self.walk(&relative.join(folder), &below, collector)?
                }
                None => match key_of(&relative.join(&name)) {
                    Some(key) => collector.plain(key),
                    None => continue,
                },
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

#[derive(Debug)]
enum Name {
    Key(String),
    Prefix(String),
}

impl Name {
    fn text(&self) -> &str {
        match self {
            Name::Key(text) | Name::Prefix(text) => text,
        }
    }
}

struct Collector<'a> {
    query: Query,
    visible: &'a dyn Fn(&str) -> bool,
    hidden: std::iter::Peekable<std::vec::IntoIter<String>>,
    names: Vec<Name>,
    truncated: bool,
}

impl Collector<'_> {
    /// Whether no key below the folder `below` (with its slash) can be on this page.
    fn passes_over(&self, below: &str) -> bool {
        let Query { prefix, after, .. } = &self.query;
        if !below.starts_with(prefix.as_str()) && !prefix.starts_with(below) {
            return true;
        }
        if after
            .as_deref()
            .is_some_and(|after| below < after && !after.starts_with(below))
        {
            return true;
        }
        self.rolled_up(below)
            .is_some_and(|rolled| self.is_done(rolled))
    }

    fn plain(&mut self, key: String) -> ControlFlow<()> {
        self.hidden_before(Some(&key))?;
        self.offer(key)
    }

    /// Offers the hidden keys that come before the key; a hidden key that is also a plain file
    /// is shadowed by it.
    fn hidden_before(&mut self, key: Option<&str>) -> ControlFlow<()> {
        while let Some(hidden) = self
            .hidden
            .next_if(|hidden| key.is_none_or(|key| hidden.as_str() <= key))
        {
            if key != Some(hidden.as_str()) {
                self.offer(hidden)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn offer(&mut self, key: String) -> ControlFlow<()> {
        let early = self
            .query
            .after
            .as_deref()
            .is_some_and(|after| key.as_str() <= after);
        if early || !key.starts_with(&self.query.prefix) || !(self.visible)(&key) {
            return ControlFlow::Continue(());
        }
        let name = match self.rolled_up(&key) {
            Some(rolled) if self.is_done(rolled) => return ControlFlow::Continue(()),
            Some(rolled) => Name::Prefix(rolled.to_owned()),
            None => Name::Key(key),
        };
        if self.names.len() == self.query.max {
            self.truncated = true;
            return ControlFlow::Break(());
        }
        self.names.push(name);
        ControlFlow::Continue(())
    }

    /// The text up to and with the first delimiter after the prefix.
    fn rolled_up<'k>(&self, key: &'k str) -> Option<&'k str> {
        let delimiter = self.query.delimiter.as_deref()?;
        let rest = key.strip_prefix(self.query.prefix.as_str())?;
        let end = self.query.prefix.len() + rest.find(delimiter)? + delimiter.len();
        Some(&key[..end])
    }

    /// Whether a rolled-up prefix is on this page already or was the end of the last one.
    fn is_done(&self, rolled: &str) -> bool {
        self.query.after.as_deref() == Some(rolled)
            || matches!(self.names.last(), Some(Name::Prefix(last)) if last == rolled)
    }
}
