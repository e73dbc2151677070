//! What a shadow run writes and sees: its writes go to `shadow/ID/KEY` instead of `KEY`, and it reads
//! them back at `KEY`.
//!
//! The policy is asked about the key that the function names; whoever handles the request then hands
//! the redirected key to the bucket for a write, and the named one for a read. What is written there
//! are objects like any others; only what the run removed is kept in its scope.

use std::collections::BTreeSet;
use std::sync::Arc;

use daybook_domain::{ObjectKey, SHADOWS, ShadowId};
use s3s::S3ErrorCode;

use super::conditions::WriteConditions;
use super::index::rows::Row;
use super::listing::{Page, Query, Visible};
use super::overlay::merge;
use super::removing::Removed;
use super::store::{Bucket, Opened};
use crate::error::StoreError;
use crate::grants::Scope;

/// The least text behind every key in the shadows: a slash is followed by a zero.
const BEHIND_SHADOWS: &str = "shadow0";

impl Bucket {
    /// What a shadow run has at a key in its shadow. `None` where it sees what everybody does.
    pub(crate) async fn open_in_shadow(
        self: &Arc<Self>,
        key: &ObjectKey,
        version: Option<&str>,
        scope: &Scope,
    ) -> Result<Option<Opened>, StoreError> {
        let Some(redirected) = scope.shadow().and_then(|shadow| shadow.redirect(key).ok()) else {
            return Ok(None);
        };
        match self.open(&redirected, version).await {
            Ok(opened) => Ok(Some(opened)),
            Err(StoreError::NoSuchKey | StoreError::Deleted(_))
                if version.is_none() && scope.hides(&self.name, key.as_str()) =>
            {
                Err(StoreError::NoSuchKey)
            }
            // A version by its id is what it is for everybody.
            Err(StoreError::NoSuchKey | StoreError::NoSuchVersion | StoreError::Deleted(_)) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The conditions that are left of those on a write, once they hold for what a shadow run sees
    /// at the key and has not written itself.
    pub(super) async fn left_of(
        self: &Arc<Self>,
        conditions: WriteConditions,
        redirected: &ObjectKey,
        scope: &Scope,
    ) -> Result<WriteConditions, StoreError> {
        let named = scope.shadow().and_then(|shadow| named(redirected, shadow));
        let Some(named) = named.filter(|_| !conditions.is_empty()) else {
            return Ok(conditions);
        };
        if self.find(redirected).await?.is_some() {
            return Ok(conditions);
        }
        let seen = match scope.hides(&self.name, named.as_str()) {
            true => Err(StoreError::NoSuchKey),
            false => self.open(&named, None).await,
        };
        match seen {
            Ok(opened) => conditions.check(Some(&opened.stamp))?,
            Err(StoreError::NoSuchKey | StoreError::Deleted(_)) => conditions.check(None)?,
            Err(error) => return Err(error),
        }
        Ok(WriteConditions::default())
    }

    /// Removes an object for a shadow run: what it wrote itself, and for its eyes what everybody
    /// sees.
    pub(super) async fn remove_in_shadow(
        self: Arc<Self>,
        redirected: ObjectKey,
        conditions: WriteConditions,
        scope: Arc<Scope>,
    ) -> Result<Removed, StoreError> {
        let conditions = self.left_of(conditions, &redirected, &scope).await?;
        let named = scope.shadow().and_then(|shadow| named(&redirected, shadow));
        if let Some(named) = named
            && self.find(&named).await?.is_some()
            && !scope.hide(&self.name, named.to_string())
        {
            return Err(StoreError::refused(
                S3ErrorCode::Custom("TooManyRemovals".into()),
                "one attempt may not remove more objects under a shadow",
            ));
        }
        if self.find(&redirected).await?.is_none() {
            return Ok(Removed::default());
        }
        let guard = self.lock(&redirected).await?;
        self.remove_object(&redirected, &conditions, Some(scope), &guard)
            .await
    }

    /// Lists what a shadow run sees.
    pub(super) async fn list_in_shadow(
        self: &Arc<Self>,
        scope: &Scope,
        shadow: &ShadowId,
        query: Query,
        visible: impl Visible + Clone,
    ) -> Result<Page, StoreError> {
        let outside = Outside {
            hidden: scope.hidden(&self.name),
            visible: visible.clone(),
        };
        let below = self.list(query.clone(), outside).await?;
        let prefix = shadow.prefix();
        let own = Query {
            prefix: format!("{prefix}{}", query.prefix),
            after: query.after.as_ref().map(|after| format!("{prefix}{after}")),
            ..query.clone()
        };
        let within = Within {
            prefix: prefix.clone(),
            visible,
        };
        let above = self.list(own, within).await?;
        let name = |text: String| {
            text.strip_prefix(&prefix)
                .map(str::to_owned)
                .unwrap_or(text)
        };
        let above = Page {
            objects: above
                .objects
                .into_iter()
                .map(|row| Row {
                    key: name(row.key),
                    ..row
                })
                .collect(),
            prefixes: above.prefixes.into_iter().map(name).collect(),
            next: above.next.map(name),
        };
        Ok(merge(below, above, query.max))
    }
}

/// What a shadow run sees of what everybody does.
struct Outside<V> {
    hidden: BTreeSet<String>,
    visible: V,
}

impl<V: Visible> Visible for Outside<V> {
    fn shows(&self, key: &str) -> bool {
        !key.starts_with(SHADOWS) && !self.hidden.contains(key) && self.visible.shows(key)
    }

    fn next(&self, key: &str) -> Option<String> {
        if key.starts_with(SHADOWS) {
            return Some(BEHIND_SHADOWS.to_owned());
        }
        match self.hidden.contains(key) {
            true => Some(key.to_owned()),
            false => self.visible.next(key),
        }
    }
}

/// What it sees of what lies in its shadow, by the keys that it named.
struct Within<V> {
    prefix: String,
    visible: V,
}

impl<V: Visible> Visible for Within<V> {
    fn shows(&self, key: &str) -> bool {
        let named = key.strip_prefix(&self.prefix);
        named.is_some_and(|named| self.visible.shows(named))
    }

    fn next(&self, key: &str) -> Option<String> {
        let next = self.visible.next(key.strip_prefix(&self.prefix)?)?;
        Some(format!("{}{next}", self.prefix))
    }
}

/// The key that the function named, of one that its write was redirected to.
fn named(redirected: &ObjectKey, shadow: &ShadowId) -> Option<ObjectKey> {
    let key = redirected.as_str().strip_prefix(&shadow.prefix())?;
    ObjectKey::parse(key).ok()
}
