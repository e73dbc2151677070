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
pub(crate) struct Buckets(RwLock<BTreeMap<BucketName, Backend>>);

impl Buckets {
    pub(crate) fn new(buckets: impl IntoIterator<Item = Backend>) -> Self {
        let named = buckets
            .into_iter()
            .map(|backend| (backend.name().clone(), backend));
        Self(RwLock::new(named.collect()))
    }

    pub(crate) fn get(&self, name: &BucketName) -> Option<Backend> {
        self.read().get(name).cloned()
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> Vec<Backend> {
        self.read().values().cloned().collect()
    }

    /// Those in folders, by name.
    pub(crate) fn local(&self) -> Vec<Arc<Bucket>> {
        let local = |backend: &Backend| match backend {
            Backend::Local(bucket) => Some(Arc::clone(bucket)),
            Backend::Upstream(_) => None,
        };
        self.read().values().filter_map(local).collect()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<BucketName, Backend>> {
        // Nothing in here panics half way through a change.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}
