//! The buckets that there are at this moment, by name, and where each keeps its objects.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use daybook_domain::BucketName;

use crate::local::store::Bucket;
use crate::upstream::Upstream;

/// Where a bucket keeps its objects.
#[derive(Clone)]
pub(crate) enum Backend {
    /// In a folder of this machine.
    Local(Arc<Bucket>),
    /// In a bucket of another store.
    Upstream(Arc<Upstream>),
}

impl Backend {
    pub(crate) fn name(&self) -> &BucketName {
        match self {
            Backend::Local(bucket) => &bucket.name,
            Backend::Upstream(bucket) => &bucket.name,
        }
    }

    pub(crate) fn created_at(&self) -> SystemTime {
        match self {
            Backend::Local(bucket) => bucket.created_at,
            Backend::Upstream(bucket) => bucket.created_at,
        }
    }
}

/// The buckets of a gateway. They may come and go while it serves.
#[derive(Default)]
pub(crate) struct Buckets(RwLock<Named>);

#[derive(Default)]
struct Named {
    backends: BTreeMap<BucketName, Backend>,
    /// Of the buckets that were made over the API: the operator's key that made each.
    owners: BTreeMap<BucketName, Arc<str>>,
}

impl Buckets {
    pub(crate) fn new(buckets: impl IntoIterator<Item = Backend>) -> Self {
        let named = buckets
            .into_iter()
            .map(|backend| (backend.name().clone(), backend));
        Self(RwLock::new(Named {
            backends: named.collect(),
            owners: BTreeMap::new(),
        }))
    }

    pub(crate) fn get(&self, name: &BucketName) -> Option<Backend> {
        self.read().backends.get(name).cloned()
    }

    /// Who made the bucket over the API; `None` for a configured one.
    pub(crate) fn owner(&self, name: &BucketName) -> Option<Arc<str>> {
        self.read().owners.get(name).cloned()
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> Vec<Backend> {
        self.read().backends.values().cloned().collect()
    }

    /// Those in folders, by name.
    pub(crate) fn local(&self) -> Vec<Arc<Bucket>> {
        let local = |backend: &Backend| match backend {
            Backend::Local(bucket) => Some(Arc::clone(bucket)),
            Backend::Upstream(_) => None,
        };
        self.read().backends.values().filter_map(local).collect()
    }

    /// Adds one that was made over the API.
    pub(crate) fn add_made(&self, bucket: Arc<Bucket>, owner: Arc<str>) {
        let mut named = self.write();
        named.owners.insert(bucket.name.clone(), owner);
        let name = bucket.name.clone();
        named.backends.insert(name, Backend::Local(bucket));
    }

    /// Takes out one that was made over the API.
    pub(crate) fn remove_made(&self, name: &BucketName) {
        let mut named = self.write();
        if named.owners.remove(name).is_some() {
            named.backends.remove(name);
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Named> {
        // Nothing in here panics half way through a change.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Named> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
