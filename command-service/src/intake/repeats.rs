//! How often each event was delivered again: counted in memory, so that a flood of repetitions
//! costs no look at the ledger, and recorded at powers of ten.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use daybook_domain::stored_object::Answer;
use lru::LruCache;
use uuid::Uuid;

/// The counts of the newest events; bounded.
pub(super) struct Repeats(Mutex<LruCache<Uuid, Count>>);

struct Count {
    times: u64,
    answer: Answer,
}

/// What is known of an event that is delivered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// Nothing: ask the ledger.
    Unknown,
    /// It is on record, and this repetition is counted.
    Counted(Answer),
    /// It is on record, and this many repetitions are to be recorded.
    Due(u64),
}

impl Repeats {
    pub(super) fn new(kept: usize) -> Self {
        let kept = NonZeroUsize::new(kept).unwrap_or(NonZeroUsize::MIN);
        Self(Mutex::new(LruCache::new(kept)))
    }

    /// Counts a delivery.
    pub(super) fn again(&self, event: Uuid) -> Again {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(count) = counts.get_mut(&event) else {
            return Again::Unknown;
        };
        count.times = count.times.saturating_add(1);
        match is_power_of_ten(count.times) {
            true => Again::Due(count.times),
            false => Again::Counted(count.answer.clone()),
        }
    }

    /// Takes note of an event that is on record, with the repetitions that are.
    pub(super) fn note(&self, event: Uuid, recorded: u64, answer: Answer) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get_or_insert_mut(event, || Count {
            times: recorded,
            answer: answer.clone(),
        });
        count.answer = answer;
    }
}

fn is_power_of_ten(count: u64) -> bool {
    count
        .checked_ilog10()
        .is_some_and(|log| 10_u64.pow(log) == count)
}
