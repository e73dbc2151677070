//! What waits for its turn: starts, tasks by function, timers. Each execution waits in each queue
//! once at most.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use daybook_domain::{ExecutionId, FunctionName};
use jiff::Timestamp;

#[derive(Default)]
pub(super) struct Queues {
    starts: VecDeque<ExecutionId>,
    waiting_starts: HashSet<ExecutionId>,
    tasks: BTreeMap<FunctionName, VecDeque<ExecutionId>>,
    waiting_tasks: HashSet<ExecutionId>,
    timers: BTreeSet<(Timestamp, ExecutionId)>,
    deadlines: HashMap<ExecutionId, Timestamp>,
}

impl Queues {
    pub(super) fn push_start(&mut self, id: ExecutionId) {
        if self.waiting_starts.insert(id) {
            self.starts.push_back(id);
        }
    }

    pub(super) fn next_start(&mut self) -> Option<ExecutionId> {
        let id = self.starts.pop_front()?;
        self.waiting_starts.remove(&id);
        Some(id)
    }

    pub(super) fn push_task(&mut self, function: FunctionName, id: ExecutionId) {
        if self.waiting_tasks.insert(id) {
            self.tasks.entry(function).or_default().push_back(id);
        }
    }

    /// Whether somebody waits for a slot of the function.
    pub(super) fn waits_for(&self, function: &FunctionName) -> bool {
        self.tasks
            .get(function)
            .is_some_and(|queue| !queue.is_empty())
    }

    /// The next task whose function has a slot, in order of arrival.
    pub(super) fn next_task<S>(
        &mut self,
        mut reserve: impl FnMut(&FunctionName) -> Option<S>,
    ) -> Option<(ExecutionId, S)> {
        for (function, queue) in &mut self.tasks {
            if queue.is_empty() {
                continue;
            }
            let Some(slot) = reserve(function) else {
                continue;
            };
            let id = queue.pop_front()?;
            self.waiting_tasks.remove(&id);
            return Some((id, slot));
        }
        None
    }

    pub(super) fn push_timer(&mut self, due: Timestamp, id: ExecutionId) {
        self.timers.insert((due, id));
    }

    /// A timer that is taken back when the execution ends before it.
    pub(super) fn push_deadline(&mut self, due: Timestamp, id: ExecutionId) {
        if self.deadlines.insert(id, due).is_none() {
            self.push_timer(due, id);
        }
    }

    pub(super) fn forget_deadline(&mut self, id: ExecutionId) {
        if let Some(due) = self.deadlines.remove(&id) {
            self.timers.remove(&(due, id));
        }
    }

    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// Takes out the timers that are due.
    pub(super) fn due_timers(&mut self, now: Timestamp) -> Vec<ExecutionId> {
        let mut due = Vec::new();
        while let Some((time, id)) = self.timers.first().copied() {
            if time > now {
                break;
            }
            self.timers.pop_first();
            due.push(id);
        }
        due
    }
}
