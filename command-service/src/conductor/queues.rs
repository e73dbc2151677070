//! What waits for its turn: starts, tasks by function, timers. Each execution waits in each queue
//! once at most.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use daybook_domain::{ExecutionId, FunctionName};
use jiff::Timestamp;

/// Executions by the function that they wait for.
type ByFunction = BTreeMap<FunctionName, VecDeque<ExecutionId>>;

fn waits_for(tasks: &ByFunction, function: &FunctionName) -> bool {
    tasks.get(function).is_some_and(|queue| !queue.is_empty())
}

/// Executions that are being started without a slot: each will wait for its function.
#[derive(Default)]
pub(super) struct Starting {
    functions: HashMap<ExecutionId, FunctionName>,
    counts: BTreeMap<FunctionName, usize>,
}

impl Starting {
    pub(super) fn begin(&mut self, id: ExecutionId, function: FunctionName) {
        *self.counts.entry(function.clone()).or_default() += 1;
        self.functions.insert(id, function);
    }

    /// Its start is over, and the worklist knows what came of it.
    pub(super) fn end(&mut self, id: ExecutionId) {
        let function = self.functions.remove(&id);
        if let Some(count) = function.and_then(|function| self.counts.get_mut(&function)) {
            *count -= 1;
        }
    }

    /// How many are being started for a function.
    pub(super) fn count(&self, function: &FunctionName) -> usize {
        self.counts.get(function).copied().unwrap_or_default()
    }
}

#[derive(Default)]
pub(super) struct Queues {
    starts: VecDeque<ExecutionId>,
    /// Starts for functions whose queue was full when it was their turn.
    held: ByFunction,
    waiting_starts: HashSet<ExecutionId>,
    tasks: ByFunction,
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

    /// The next start, in order of arrival; but one that is for a function that is full lets others go
    /// first. Whether it is may depend on whether somebody waits here for a slot of it.
    pub(super) fn next_start(
        &mut self,
        function_of: impl Fn(ExecutionId) -> Option<FunctionName>,
        is_full: impl Fn(&FunctionName, bool) -> bool,
    ) -> Option<ExecutionId> {
        let tasks = &self.tasks;
        let is_full = |function: &FunctionName| is_full(function, waits_for(tasks, function));
        let mut held = self.held.iter_mut();
        let room = held.find(|(function, held)| !held.is_empty() && !is_full(function));
        let id = match room {
            Some((_, held)) => held.pop_front()?,
            None => loop {
                let id = self.starts.pop_front()?;
                match function_of(id) {
                    Some(function) if is_full(&function) => {
                        self.held.entry(function).or_default().push_back(id);
                    }
                    _ => break id,
                }
            },
        };
        self.waiting_starts.remove(&id);
        Some(id)
    }

    pub(super) fn push_task(&mut self, function: FunctionName, id: ExecutionId) {
        if self.waiting_tasks.insert(id) {
            self.tasks.entry(function).or_default().push_back(id);
        }
    }

    /// What was let wait may be for another function now: all of it has its turn again.
    pub(super) fn unhold(&mut self) {
        for held in std::mem::take(&mut self.held).into_values().rev() {
            held.into_iter()
                .rev()
                .for_each(|id| self.starts.push_front(id));
        }
    }

    /// Whether somebody waits for a slot of the function.
    pub(super) fn waits_for(&self, function: &FunctionName) -> bool {
        waits_for(&self.tasks, function)
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
