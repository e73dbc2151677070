//! Room in the queues of functions: how many executions that have begun wait for each, and how many
//! may. The conductor tells it; whoever starts many lets those go first that wait, since what is not
//! started yet waits in the log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use daybook_domain::FunctionName;
use daybook_functions::FunctionHost;
use metrics::gauge;

/// How long to wait before looking again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The queues of the ledger, as far as the log is folded here. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Room(Arc<Queues>);

struct Queues {
    limits: Limits,
    waiting: Mutex<BTreeMap<FunctionName, usize>>,
}

/// How many may wait.
enum Limits {
    /// As the functions of a host say.
    Host(Arc<FunctionHost>),
    #[cfg(test)]
    Same(usize),
}

impl Room {
    /// The room that the functions of a host have.
    pub(crate) fn of(host: Arc<FunctionHost>) -> Self {
        let functions = host.status();
        let room = Self::with(Limits::Host(host));
        room.tell(functions.iter().map(|status| (&status.function, 0)));
        room
    }

    /// The same room for each function.
    #[cfg(test)]
    pub(crate) fn for_each(most: usize) -> Self {
        Self::with(Limits::Same(most))
    }

    fn with(limits: Limits) -> Self {
        let waiting = Mutex::default();
        Self(Arc::new(Queues { limits, waiting }))
    }

    /// Takes over how many wait for each function.
    pub(crate) fn tell<'a>(&self, waiting: impl Iterator<Item = (&'a FunctionName, usize)>) {
        let mut known = self.known();
        for (function, waiting) in waiting {
            match known.get_mut(function) {
                Some(before) if *before == waiting => continue,
                Some(before) => *before = waiting,
                None => {
                    known.insert(function.clone(), waiting);
                }
            }
            let function = function.as_str().to_owned();
            gauge!("daybook_function_waiting", "function" => function).set(waiting as f64);
        }
    }

    /// How many wait for a function.
    pub(crate) fn waiting(&self, function: &FunctionName) -> usize {
        self.known().get(function).copied().unwrap_or_default()
    }

    /// How many may.
    pub(crate) fn limit(&self, function: &FunctionName) -> usize {
        match &self.0.limits {
            Limits::Host(host) => host.queue_limit(function),
            #[cfg(test)]
            Limits::Same(most) => *most,
        }
    }

    /// Waits until one more may wait for a function. Returns whether it had to.
    pub(crate) async fn wait(&self, function: &FunctionName) -> bool {
        let mut waited = false;
        while self.waiting(function) >= self.limit(function) {
            waited = true;
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        waited
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<FunctionName, usize>> {
        self.0
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_starts_many_waits_for_room() {
        let room = Room::for_each(2);
        let (slow, fast): (FunctionName, FunctionName) =
            ("slow".parse().unwrap(), "fast".parse().unwrap());
        assert!(!room.wait(&slow).await);
        room.tell([(&slow, 2), (&fast, 1)].into_iter());
        assert!(!room.wait(&fast).await);
        let told = room.clone();
        let (waited, ()) = tokio::join!(room.wait(&slow), async {
            tokio::time::sleep(LOOK_AGAIN * 3).await;
            told.tell([(&slow, 1)].into_iter());
        });
        assert!(waited);
        assert_eq!((room.waiting(&slow), room.waiting(&fast)), (1, 1));
    }
}
