//! The deadline of all functions' keys. The floor above moves it; each check reads the clock.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::Instant;

/// Until when functions may act, and which stretch of time this is.
#[derive(Debug, Default)]
pub(super) struct Lease {
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    deadline: Option<Instant>,
    term: Term,
}

/// A stretch without a lapse. What began in an earlier one is dead for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Term(u64);

/// The deadline was not over when this was given, and cannot be moved while it is held.
pub(super) struct Valid<'a>(#[expect(dead_code, reason = "held")] RwLockReadGuard<'a, State>);

impl Lease {
    /// Moves the deadline. If the one before has passed, a new term begins.
    pub(super) fn set(&self, deadline: Option<Instant>) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.is_over() {
            state.term.0 += 1;
        }
        state.deadline = deadline;
    }

    /// The current term.
    pub(super) fn term(&self) -> Term {
        self.read().term
    }

    /// Whether what began in the term may act at this moment.
    pub(super) fn valid(&self, term: Term) -> Option<Valid<'_>> {
        let state = self.read();
        (state.term == term && !state.is_over()).then_some(Valid(state))
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_over(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
    }
}
