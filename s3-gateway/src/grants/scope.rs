//! The scope of one invocation: what it did, and whether it may still act.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use daybook_domain::execution::{ObjectAccess, TriggerObject};
use daybook_domain::stored_object::ProducedBy;
use daybook_domain::{BucketName, ObjectKey, ShadowId};

use super::lease::{Lease, Term, Valid};
use super::ranges;
use super::{Activity, InvocationScope, MAX_ACCESSES, MAX_REFUSALS, Publish};
use crate::ledger::AttemptId;

/// One invocation's open scope.
#[derive(Debug)]
pub(crate) struct Scope {
    scope: InvocationScope,
    /// Whether writes may still become visible. Readers hold it across that moment.
    open: RwLock<bool>,
    lease: Arc<Lease>,
    term: Term,
    seen: Mutex<Seen>,
    max_staged: usize,
}

/// What an invocation staged, by bucket and key: the version that it wrote, or `None` where it
/// removed the object.
type Staged = BTreeMap<BucketName, BTreeMap<String, Option<ObjectAccess>>>;

impl Scope {
    pub(super) fn new(scope: InvocationScope, lease: Arc<Lease>, max_staged: usize) -> Self {
        Self {
            scope,
            open: RwLock::new(true),
            term: lease.term(),
            lease,
            seen: Mutex::default(),
            max_staged,
        }
    }

    /// For what an attempt staged and others publish: it is open, whatever became of the attempt.
    pub(crate) fn of(by: ProducedBy) -> Self {
        let scope = InvocationScope {
            execution: by.execution,
            task: 0,
            attempt: by.attempt,
            function: by.function,
            trigger: None,
            publish: Publish::Immediately,
            shadow: by.shadow,
            chain: by.chain,
        };
        Self::new(scope, Arc::default(), 0)
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
            shadow: self.scope.shadow.clone(),
            chain: self.scope.chain.clone(),
        }
    }

    /// The shadow under which it writes, if it does.
    pub(crate) fn shadow(&self) -> Option<&ShadowId> {
        self.scope.shadow.as_ref()
    }

    /// Hides an object that it removed under its shadow. `false` where it removed too many.
    pub(crate) fn hide(&self, bucket: &BucketName, key: String) -> bool {
        let mut seen = self.seen();
        let room = seen.hidden.len() < self.max_staged;
        room && {
            seen.hidden.insert((bucket.clone(), key));
            true
        }
    }

    /// The objects of a bucket that it removed under its shadow.
    pub(crate) fn hidden(&self, bucket: &BucketName) -> BTreeSet<String> {
        let seen = self.seen();
        let hidden = seen.hidden.iter().filter(|(of, _)| of == bucket);
        hidden.map(|(_, key)| key.clone()).collect()
    }

    /// Whether it removed an object under its shadow.
    pub(crate) fn hides(&self, bucket: &BucketName, key: &str) -> bool {
        let removed = (bucket.clone(), key.to_owned());
        self.seen().hidden.contains(&removed)
    }

    /// The attempt under which its writes are staged, if they are.
    pub(crate) fn stages(&self) -> Option<AttemptId> {
        let aside = self.scope.publish == Publish::OnSuccess && self.scope.shadow.is_none();
        aside.then(|| self.scope.attempt_id())
    }

    /// Whether it staged something at the key: `Some(false)` where that is a removal.
    pub(crate) fn staged(&self, bucket: &BucketName, key: &str) -> Option<bool> {
        let seen = self.seen();
        let staged = seen.staged.get(bucket)?.get(key)?;
        Some(staged.is_some())
    }

    /// The keys at which it staged something in a bucket, in order; `false` where that is a removal.
    pub(crate) fn staged_keys(&self, bucket: &BucketName) -> BTreeMap<String, bool> {
        let seen = self.seen();
        let staged = seen.staged.get(bucket).into_iter().flatten();
        staged
            .map(|(key, access)| (key.clone(), access.is_some()))
            .collect()
    }

    /// Whether it may stage something at one more key.
    pub(crate) fn may_stage(&self, bucket: &BucketName, key: &ObjectKey) -> bool {
        let seen = self.seen();
        let there = |of: &BTreeMap<String, _>| of.contains_key(key.as_str());
        seen.staged.get(bucket).is_some_and(there)
            || seen.staged.values().map(BTreeMap::len).sum::<usize>() < self.max_staged
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
        change(&mut self.seen());
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn close(&self) -> Activity {
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = false;
        std::mem::take(&mut *self.seen()).finish()
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

    /// Notes what was staged at a key, in place of what was staged there before.
    pub(crate) fn note_staged(&self, bucket: &BucketName, key: &str, access: Option<ObjectAccess>) {
        self.scope.note(|seen| {
            let staged = seen.staged.entry(bucket.clone()).or_default();
            staged.insert(key.to_owned(), access);
        });
    }

    /// Notes that nothing is staged at a key any more.
    pub(crate) fn note_unstaged(&self, bucket: &BucketName, key: &str) {
        self.scope.note(|seen| {
            if let Some(staged) = seen.staged.get_mut(bucket) {
                staged.remove(key);
            }
        });
    }
}

#[derive(Debug, Default)]
pub(super) struct Seen {
    activity: Activity,
    /// Where each version, without its ranges, is in the list.
    read: HashMap<ObjectAccess, usize>,
    staged: Staged,
    hidden: BTreeSet<(BucketName, String)>,
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

    fn finish(mut self) -> Activity {
        for access in std::mem::take(&mut self.staged).into_values().flatten() {
            self.activity.staged = true;
            if let (_, Some(access)) = access {
                self.written(access);
            }
        }
        self.activity
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
