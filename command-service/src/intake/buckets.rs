//! Which bucket of the ledger a notification speaks of.
//!
//! A store knows its bucket by its own name. The source may say what that is here; else it is the
//! upstream bucket of that name at the store, else the bucket of that name, else nobody's.

use std::collections::{BTreeMap, HashMap};

use daybook_domain::BucketName;
use daybook_domain::stored_object::OrderRule;

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
    by_name: HashMap<BucketName, OrderRule>,
    /// More than one where two stores have a bucket of the same name: then the source has to say.
    at_store: HashMap<String, Vec<BucketName>>,
    renamed: BTreeMap<SourceName, BTreeMap<String, BucketName>>,
    unknown: UnknownBuckets,
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
            by_name.insert(bucket.name, bucket.order);
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
            (Some(rule), _) => Mapped::To(name.clone(), *rule),
            // A name that the source was given on purpose is known.
            (None, UnknownBuckets::Ignore) if renamed.is_none() => Mapped::Ignored,
            (None, _) => Mapped::To(name.clone(), OrderRule::Notification),
        }
    }
}
