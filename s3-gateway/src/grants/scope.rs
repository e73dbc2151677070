//! The scope of one invocation: what it did, and whether it may still act.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use daybook_domain::execution::{ObjectAccess, TriggerObject};
use daybook_domain::stored_object::ProducedBy;

use super::lease::{Lease, Term, Valid};
use super::ranges;
use super::{Activity, InvocationScope, MAX_ACCESSES, MAX_REFUSALS};

/// One invocation's open scope.
#[derive(Debug)]
pub(crate) struct Scope {
    scope: InvocationScope,
    /// Whether writes may still become visible. Readers hold it across that moment.
    open: RwLock<bool>,
    lease: Arc<Lease>,
    term: Term,
    seen: Mutex<Seen>,
}

impl Scope {
    pub(super) fn new(scope: InvocationScope, lease: Arc<Lease>) -> Self {
        Self {
            scope,
            open: RwLock::new(true),
            term: lease.term(),
            lease,
            seen: Mutex::default(),
        }
    }

    /// Whether the deadline is not over at this moment.
    pub(super) fn is_valid(&self) -> bool {
        self.lease.valid(self.term).is_some()
    }

    pub(super) fn trigger(&self) -> Option<&TriggerObject> {
        self.scope.trigger.as_ref()
    }

    pub(crate) fn produced_by(&self) -> ProducedBy {
        ProducedBy {
            execution: self.scope.execution,
            function: self.scope.function.clone(),
            attempt: self.scope.attempt,
            chain: self.scope.chain.clone(),
        }
    }

    /// Passes the fence: while the pass is held, the scope stays open. Take it directly before
    /// one rename and hold it for that, never across anything that waits for a disk or a peer.
    /// `None` when the scope is closed or its deadline is over.
    pub(crate) fn pass(&self) -> Option<Pass<'_>> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        // The clock last, as close to the rename as can be.
        let valid = open.then(|| self.lease.valid(self.term)).flatten()?;
        Some(Pass {
            scope: self,
            _open: open,
            _valid: valid,
        })
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn close(&self) -> Activity {
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = false;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *seen).activity
    }
}

/// The scope cannot be closed, nor the deadline moved, while this is held.
pub(crate) struct Pass<'a> {
    scope: &'a Scope,
    _open: RwLockReadGuard<'a, bool>,
    _valid: Valid<'a>,
}

impl Pass<'_> {
    pub(crate) fn note_written(&self, access: ObjectAccess) {
        self.scope.note(|seen| seen.written(access));
    }
}

#[derive(Debug, Default)]
pub(super) struct Seen {
    activity: Activity,
    /// Where each version, without its ranges, is in the list.
    read: HashMap<ObjectAccess, usize>,
}

impl Seen {
    pub(super) fn read(&mut self, access: ObjectAccess) {
        let version = ObjectAccess {
            ranges: None,
            ..access.clone()
        };
        let read = &mut self.activity.read;
        match self.read.get(&version) {
            Some(at) => ranges::add(&mut read[*at], access.ranges),
            None if read.len() >= MAX_ACCESSES => self.activity.truncated = true,
            None => {
                self.read.insert(version, read.len());
                read.push(access);
            }
        }
    }

    pub(super) fn written(&mut self, access: ObjectAccess) {
        if self.activity.written.len() >= MAX_ACCESSES {
            self.activity.truncated = true;
        } else {
            self.activity.written.push(access);
        }
    }

    pub(super) fn refused(&mut self, message: String) {
        if self.activity.refused.contains(&message) {
            return;
        }
        if self.activity.refused.len() >= MAX_REFUSALS {
            self.activity.truncated = true;
        } else {
            self.activity.refused.push(message);
        }
    }
}
