//! Listings in which an invocation sees its own writes: a page of what everybody sees, and over it
//! one of what it alone sees.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::index::rows::Row;
use super::listing::{Page, Query, Visible};
use super::store::{Bucket, blocking};
use crate::error::StoreError;
use crate::grants::Scope;
use crate::ledger::AttemptId;

impl Bucket {
    /// Lists what is `visible` to an invocation, with what it staged, or wrote under a shadow,
    /// instead of what that covers.
    pub(crate) async fn list_for(
        self: &Arc<Self>,
        scope: Option<&Arc<Scope>>,
        query: Query,
        visible: impl Visible + Clone,
    ) -> Result<Page, StoreError> {
        let Some(scope) = scope else {
            return self.list(query, visible).await;
        };
        if let Some(shadow) = scope.shadow() {
            return self.list_in_shadow(scope, shadow, query, visible).await;
        }
        let Some(attempt) = scope.stages() else {
            return self.list(query, visible).await;
        };
        let staged = Arc::new(scope.staged_keys(&self.name));
        let uncovered = Uncovered {
            covered: Arc::clone(&staged),
            visible: visible.clone(),
        };
        let below = self.list(query.clone(), uncovered).await?;
        let written = staged.iter().filter(|(_, written)| **written);
        let names = select(written.map(|(key, _)| key.as_str()), &query, &visible);
        let above = self.staged_page(names, attempt).await?;
        Ok(merge(below, above, query.max))
    }

    async fn staged_page(
        self: &Arc<Self>,
        names: Names,
        attempt: AttemptId,
    ) -> Result<Page, StoreError> {
        let this = Arc::clone(self);
        blocking(move || {
            let mut objects = Vec::with_capacity(names.keys.len());
            for key in &names.keys {
                let opened = this.open_staged(key, attempt)?;
                objects.extend(opened.map(|opened| Row::of(&opened.stamp, false)));
            }
            Ok(Page {
                objects,
                prefixes: names.prefixes,
                next: names.next,
            })
        })
        .await
    }
}

/// What an invocation sees of what everybody does.
struct Uncovered<V> {
    covered: Arc<BTreeMap<String, bool>>,
    visible: V,
}

impl<V: Visible> Visible for Uncovered<V> {
    fn shows(&self, key: &str) -> bool {
        !self.covered.contains_key(key) && self.visible.shows(key)
    }

    fn next(&self, key: &str) -> Option<String> {
        match self.covered.contains_key(key) {
            true => Some(key.to_owned()),
            false => self.visible.next(key),
        }
    }
}

/// The names of a page, without what they stand for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Names {
    keys: Vec<String>,
    prefixes: Vec<String>,
    next: Option<String>,
}

/// Which of some keys, given in order, are on the page that is asked for.
fn select<'k>(keys: impl Iterator<Item = &'k str>, query: &Query, visible: &impl Visible) -> Names {
    let mut names = Names::default();
    let mut last: Option<&str> = None;
    for key in keys {
        if !key.starts_with(&query.prefix) || !visible.shows(key) {
            continue;
        }
        let rolled = query.delimiter.as_deref().and_then(|delimiter| {
            let at = key[query.prefix.len()..].find(delimiter)?;
            Some(&key[..query.prefix.len() + at + delimiter.len()])
        });
        let name = rolled.unwrap_or(key);
        let after = query.after.as_deref();
        let before = after.is_some_and(|after| key <= after);
        if before || rolled.is_some() && (rolled == last || rolled == after) {
            continue;
        }
        if names.keys.len() + names.prefixes.len() == query.max {
            names.next = last.map(str::to_owned);
            break;
        }
        match rolled {
            Some(rolled) => names.prefixes.push(rolled.to_owned()),
            None => names.keys.push(key.to_owned()),
        }
        last = Some(name);
    }
    names
}

/// One page out of two, of which the upper one covers what has the same name in the lower one.
pub(crate) fn merge(below: Page, above: Page, max: usize) -> Page {
    // Of what comes after the end of a page that has more to follow, nothing is known.
    let known = match (below.next, above.next) {
        (Some(below), Some(above)) => Some(below.min(above)),
        (below, above) => below.or(above),
    };
    let mut names: BTreeMap<String, Option<Row>> = BTreeMap::new();
    for page in [
        (below.objects, below.prefixes),
        (above.objects, above.prefixes),
    ] {
        let (objects, prefixes) = page;
        names.extend(objects.into_iter().map(|it| (it.key.clone(), Some(it))));
        names.extend(prefixes.into_iter().map(|prefix| (prefix, None)));
    }
    if let Some(known) = &known {
        names.retain(|name, _| name <= known);
    }
    let truncated = names.len() > max;
    let mut page = Page::default();
    let mut last = None;
    for (name, row) in names.into_iter().take(max) {
        last = Some(name.clone());
        match row {
            Some(row) => page.objects.push(row),
            None => page.prefixes.push(name),
        }
    }
    page.next = if truncated { last } else { known };
    page
}

#[cfg(test)]
mod tests;
