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
use super::listing::{Page, Query};
use super::overlay::merge;
use super::stamp::Stamp;
use super::store::{Bucket, Opened};
use crate::error::StoreError;
use crate::grants::Scope;

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
            Err(StoreError::NoSuchKey) if scope.hides(&self.name, key.as_str()) => {
                Err(StoreError::NoSuchKey)
            }
            // A version by its id is what it is for everybody.
            Err(StoreError::NoSuchKey | StoreError::NoSuchVersion) => Ok(None),
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
            Err(StoreError::NoSuchKey) => conditions.check(None)?,
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
    ) -> Result<Option<Stamp>, StoreError> {
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
        self.remove_here(redirected, conditions, Some(scope)).await
    }

    /// Lists what a shadow run sees.
    pub(super) async fn list_in_shadow(
        self: &Arc<Self>,
        scope: &Scope,
        shadow: &ShadowId,
        query: Query,
        visible: impl Fn(&str) -> bool + Clone + Send + 'static,
    ) -> Result<Page, StoreError> {
        let hidden: BTreeSet<String> = scope.hidden(&self.name);
        let see = visible.clone();
        let outside =
            move |key: &str| !key.starts_with(SHADOWS) && !hidden.contains(key) && see(key);
        let below = self.list(query.clone(), outside).await?;
        let prefix = shadow.prefix();
        let own = Query {
            prefix: format!("{prefix}{}", query.prefix),
            after: query.after.as_ref().map(|after| format!("{prefix}{after}")),
            ..query.clone()
        };
        let stripped = prefix.clone();
        let within = move |key: &str| key.strip_prefix(&stripped).is_some_and(&visible);
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
                .map(|stamp| Stamp {
                    key: name(stamp.key),
                    ..stamp
                })
                .collect(),
            prefixes: above.prefixes.into_iter().map(name).collect(),
            next: above.next.map(name),
        };
        Ok(merge(below, above, query.max))
    }
}

/// The key that the function named, of one that its write was redirected to.
fn named(redirected: &ObjectKey, shadow: &ShadowId) -> Option<ObjectKey> {
    let key = redirected.as_str().strip_prefix(&shadow.prefix())?;
    ObjectKey::parse(key).ok()
}
