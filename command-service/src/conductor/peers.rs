//! Who of the workers has to do what, and who of them seems to be gone.
//!
//! Rendezvous hashing over the workers that the log knows gives each item of work one owner;
//! everybody who has folded the same events computes the same. A worker that owns or has claimed
//! something renews its lease; one that does not, for as long as its lease, is overdue. How long
//! that is, this process measures on its own monotonic clock, from when it folded the renewal.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use daybook_domain::WorkerId;
use uuid::Uuid;

use crate::worklist::LiveWorker;

/// How much later the next in rank says that a worker is gone, so that not all say it at once.
const STAGGER: Duration = Duration::from_millis(500);

/// How long to wait before it is said again where the log did not take it.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// The owner of an item: the worker with the highest hash together with it (rendezvous hashing,
/// Thaler and Ravishankar 1998). When a worker goes, only its own items move.
pub(super) fn owner(item: Uuid, workers: impl Iterator<Item = WorkerId>) -> Option<WorkerId> {
    workers.max_by_key(|worker| Uuid::new_v5(&worker.0, item.as_bytes()))
}

/// What this process knows of the others.
pub(super) struct Peers {
    me: WorkerId,
    assigned: HashMap<Uuid, WorkerId>,
    peers: HashMap<WorkerId, Peer>,
}

struct Peer {
    /// When its last renewal was folded here.
    heard: Instant,
    /// How many items it has to do.
    items: usize,
    /// Since when it has had any.
    burdened: Instant,
    /// When the log was last asked to hold it for gone.
    asked: Option<Instant>,
}

impl Peers {
    pub(super) fn new(me: WorkerId) -> Self {
        Self {
            me,
            assigned: HashMap::new(),
            peers: HashMap::new(),
        }
    }

    /// A worker gave a sign of life.
    pub(super) fn heard(&mut self, worker: WorkerId, now: Instant) {
        let peer = self.peer(worker, now);
        peer.heard = now;
        peer.asked = None;
    }

    /// An item has to be done by this worker from now on; `None` where there is nothing to do.
    pub(super) fn assign(&mut self, item: Uuid, worker: Option<WorkerId>, now: Instant) {
        let before = match worker {
            Some(worker) => self.assigned.insert(item, worker),
            None => self.assigned.remove(&item),
        };
        if before == worker {
            return;
        }
        if let Some(before) = before {
            self.peer(before, now).items -= 1;
        }
        if let Some(worker) = worker {
            let peer = self.peer(worker, now);
            if peer.items == 0 {
                peer.burdened = now;
                peer.asked = None;
            }
            peer.items += 1;
        }
    }

    /// Whether this worker has something to do.
    pub(super) fn is_burdened(&self) -> bool {
        self.peers.get(&self.me).is_some_and(|peer| peer.items > 0)
    }

    /// Forgets the workers that are gone.
    pub(super) fn retain(&mut self, live: &BTreeMap<WorkerId, LiveWorker>) {
        self.peers
            .retain(|id, peer| peer.items > 0 || live.contains_key(id));
    }

    /// The workers that did not renew their lease in time, each with the newest renewal seen.
    pub(super) fn overdue(
        &mut self,
        live: &BTreeMap<WorkerId, LiveWorker>,
        now: Instant,
    ) -> Vec<(WorkerId, u64)> {
        let overdue: Vec<_> = live
            .iter()
            .filter(|(id, worker)| {
                self.due(**id, worker, live, now)
                    .is_some_and(|due| due <= now)
            })
            .map(|(id, worker)| (*id, worker.renewal))
            .collect();
        for (id, _) in &overdue {
            self.peer(*id, now).asked = Some(now);
        }
        overdue
    }

    /// When to look for overdue workers next.
    pub(super) fn next_due(
        &self,
        live: &BTreeMap<WorkerId, LiveWorker>,
        now: Instant,
    ) -> Option<Instant> {
        live.iter()
            .filter_map(|(id, worker)| self.due(*id, worker, live, now))
            .min()
    }

    fn due(
        &self,
        id: WorkerId,
        worker: &LiveWorker,
        live: &BTreeMap<WorkerId, LiveWorker>,
        now: Instant,
    ) -> Option<Instant> {
        let lease = Duration::from_millis(worker.lease_ms?);
        let peer = self.peers.get(&id)?;
        if id == self.me || peer.items == 0 {
            return None;
        }
        if let Some(asked) = peer.asked {
            return Some(asked + ASK_AGAIN);
        }
        let lapse = peer.heard.max(peer.burdened) + lease;
        // Ranks cost a hash for each worker, and matter only for one that is late.
        match lapse <= now {
            true => Some(lapse + STAGGER * self.rank(id, live)),
            false => Some(lapse),
        }
    }

    /// How many workers come before this one when another is to be held for gone.
    fn rank(&self, gone: WorkerId, live: &BTreeMap<WorkerId, LiveWorker>) -> u32 {
        let weight = |worker: &WorkerId| Uuid::new_v5(&worker.0, gone.0.as_bytes());
        let mine = weight(&self.me);
        let before = live
            .keys()
            .filter(|worker| **worker != gone && weight(worker) > mine);
        u32::try_from(before.count()).unwrap_or(u32::MAX)
    }

    fn peer(&mut self, worker: WorkerId, now: Instant) -> &mut Peer {
        self.peers.entry(worker).or_insert(Peer {
            heard: now,
            items: 0,
            burdened: now,
            asked: None,
        })
    }
}
