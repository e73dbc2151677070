//! Which bucket of the ledger a notification speaks of.
//!
//! A store knows its bucket by its own name. The source may say what that is here; else it is the
//! upstream bucket of that name at the store, else the bucket of that name, else nobody's.

use std::collections::{BTreeMap, HashMap};

use daybook_domain::stored_object::{
    IgnoredBy, NotificationFilter, OrderRule, ignored_by, reasons,
};
use daybook_domain::{BucketName, ObjectKey, SHADOWS};

use super::SourceName;

/// A bucket that the config names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownBucket {
    /// Its name here.
    pub name: BucketName,
    /// Its name at its store, where it is one of another store.
    pub at_store: Option<String>,
    /// Who puts its writes in order.
    pub order: OrderRule,
    /// Which notifications of it are taken: those that one of these takes, or all where there are
    /// none.
    pub filters: Vec<NotificationFilter>,
}

/// What becomes of notifications of buckets that the config does not name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownBuckets {
    /// They are recorded under the name that the store gives.
    #[default]
    Record,
    /// They are answered as ignored, and nothing is recorded.
    Ignore,
}

/// Where a notification belongs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mapped {
    To(BucketName, OrderRule),
    Ignored,
}

/// The buckets by the names that stores give them.
pub(super) struct Buckets {
    by_name: HashMap<BucketName, Rules>,
    /// More than one where two stores have a bucket of the same name: then the source has to say.
    at_store: HashMap<String, Vec<BucketName>>,
    renamed: BTreeMap<SourceName, BTreeMap<String, BucketName>>,
    unknown: UnknownBuckets,
}

/// What holds for a bucket.
struct Rules {
    order: OrderRule,
    filters: Vec<NotificationFilter>,
}

impl Buckets {
    pub(super) fn new(
        known: Vec<KnownBucket>,
        renamed: BTreeMap<SourceName, BTreeMap<String, BucketName>>,
        unknown: UnknownBuckets,
    ) -> Self {
        let mut at_store: HashMap<String, Vec<BucketName>> = HashMap::new();
        let mut by_name = HashMap::new();
        for bucket in known {
            if let Some(there) = bucket.at_store {
                at_store.entry(there).or_default().push(bucket.name.clone());
            }
            let rules = Rules {
                order: bucket.order,
                filters: bucket.filters,
            };
            by_name.insert(bucket.name, rules);
        }
        Self {
            by_name,
            at_store,
            renamed,
            unknown,
        }
    }

    pub(super) fn find(&self, source: Option<&SourceName>, there: &BucketName) -> Mapped {
        let renamed = source.and_then(|source| self.renamed.get(source)?.get(there.as_str()));
        let at_store = || match self.at_store.get(there.as_str()).map(Vec::as_slice) {
            Some([only]) => Some(only),
            _ => None,
        };
        let name = renamed.or_else(at_store).unwrap_or(there);
        match (self.by_name.get(name), self.unknown) {
            (Some(rules), _) => Mapped::To(name.clone(), rules.order),
            // A name that the source was given on purpose is known.
            (None, UnknownBuckets::Ignore) if renamed.is_none() => Mapped::Ignored,
            (None, _) => Mapped::To(name.clone(), OrderRule::Notification),
        }
    }

    /// By which rule of its bucket a notification is ignored, if it is by one.
    pub(super) fn ignored_by(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        event_name: &str,
    ) -> Option<IgnoredBy> {
        let rules = self.by_name.get(bucket)?;
        if rules.order == OrderRule::Gateway && key.as_str().starts_with(SHADOWS) {
            let why = format!(
                "what runs aside writes below {SHADOWS} of this bucket, which the gateway records"
            );
            return Some(IgnoredBy {
                reason: reasons::SHADOW,
                why,
            });
        }
        ignored_by(&rules.filters, key, event_name)
    }
}
