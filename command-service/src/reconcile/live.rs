//! How far the reconciles of this process are, between two progresses that are on record.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use daybook_domain::ReconcileId;
use daybook_domain::reconcile::Counts;

/// The reconciles that run in this process. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct LiveReconciles(Arc<Mutex<HashMap<ReconcileId, Live>>>);

/// Where one is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Live {
    /// The last key that was compared.
    pub key: Option<String>,
    /// What was counted; keys that are to be looked at again are not in it yet.
    pub counts: Counts,
}

impl LiveReconciles {
    pub(super) fn tell(&self, id: ReconcileId, live: Live) {
        self.lock().insert(id, live);
    }

    pub(super) fn end(&self, id: ReconcileId) {
        self.lock().remove(&id);
    }

    /// Where one is, if it runs here.
    pub(crate) fn of(&self, id: ReconcileId) -> Option<Live> {
        self.lock().get(&id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ReconcileId, Live>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
