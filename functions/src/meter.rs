//! Measures what each group of processes uses, and kills those that take more than they may.
//!
//! One thread for all of them, which is there while there are any: it looks at memory, processes
//! and processor time every [`BUSY_EVERY`] while something runs, at disk every [`DISK_EVERY`], and
//! takes no more than a small share of a core for it, however much there is to see. What a group
//! takes between two looks is bounded by the kernel's limits for each process (`sandbox::rlimits`).
//!
//! A group is known by its id, which the sandbox does not let its processes leave.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use rustix::process::Pid;

use crate::group::Group;
use crate::spec::FunctionSpec;

mod disk;
mod share;
mod usage;

use share::Share;
use usage::{Memory, Usage};

/// How often groups at work are looked at.
const BUSY_EVERY: Duration = Duration::from_millis(100);
/// How often groups without work are.
const IDLE_EVERY: Duration = Duration::from_secs(1);
/// How often temporary folders are.
const DISK_EVERY: Duration = Duration::from_secs(1);
/// The pause after a look is at least so many times as long as the look took.
const REST: u32 = 20;
/// How long what the kernel said of a leader's memory is taken for true: to ask costs as much as a
/// short invocation, and a process touches few MiB for the first time in such a moment.
const FRESH_FOR: Duration = Duration::from_millis(5);

/// What a group may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    memory_bytes: u64,
    processes: u64,
    tmp_bytes: u64,
    cores: Option<f64>,
}

impl Bounds {
    pub(crate) fn of(spec: &FunctionSpec) -> Self {
        Self {
            memory_bytes: spec.memory_bytes,
            processes: spec.processes,
            tmp_bytes: spec.tmp_bytes,
            cores: spec.cpu,
        }
    }
}

/// What a group took too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Excess {
    Memory { used: u64, allowed: u64 },
    Disk { used: u64, allowed: u64 },
    Processes { used: u64, allowed: u64 },
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = |bytes: u64| ByteSize(bytes).display().iec();
        match *self {
            Self::Memory { used, allowed } => write!(
                f,
                "its processes had {} of memory in use; {} are allowed",
                size(used),
                size(allowed)
            ),
            Self::Disk { used, allowed } => write!(
                f,
                "its temporary folder held {}; {} are allowed",
                size(used),
                size(allowed)
            ),
            Self::Processes { used, allowed } => write!(
                f,
                "it had {used} processes and threads; {allowed} are allowed"
            ),
        }
    }
}

/// A group that is measured.
pub(crate) struct Metered {
    pub(crate) group: Arc<Group>,
    temporary: PathBuf,
    bounds: Bounds,
    busy: AtomicBool,
    peak_bytes: AtomicU64,
    leader: Mutex<Option<(Instant, Memory)>>,
    excess: OnceLock<Excess>,
    share: Option<Mutex<Share>>,
}

impl Metered {
    /// A group, at work from the start.
    pub(crate) fn new(group: Arc<Group>, temporary: PathBuf, bounds: Bounds) -> Self {
        Self {
            group,
            temporary,
            bounds,
            busy: AtomicBool::new(true),
            peak_bytes: AtomicU64::new(0),
            leader: Mutex::default(),
            excess: OnceLock::new(),
            share: bounds.cores.map(|cores| Mutex::new(Share::new(cores))),
        }
    }

    /// The limit for which the group was killed, if it was.
    pub(crate) fn excess(&self) -> Option<Excess> {
        self.excess.get().copied()
    }

    /// The most memory that the group had in use, in bytes: what was seen of the whole group, or
    /// what the kernel noted of its leader, whichever is more.
    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        let seen = self.peak_bytes.load(Ordering::Relaxed);
        let leader = self.leader().map_or(0, |memory| memory.peak_bytes);
        Some(seen.max(leader)).filter(|bytes| *bytes > 0)
    }

    /// What its leader has in use, in bytes.
    pub(crate) fn leader_bytes(&self) -> Option<u64> {
        self.leader().map(|memory| memory.bytes)
    }

    fn leader(&self) -> Option<Memory> {
        let mut known = self.leader.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((seen, memory)) = *known
            && seen.elapsed() < FRESH_FOR
        {
            return Some(memory);
        }
        let memory = usage::memory(self.group.id)?;
        *known = Some((Instant::now(), memory));
        Some(memory)
    }

    /// Judges what was seen of it.
    fn judge(&self, usage: &Usage, now: Instant) {
        // First: to look closely at the memory of a fork bomb takes long.
        if usage.tasks > self.bounds.processes {
            self.end(Excess::Processes {
                used: usage.tasks,
                allowed: self.bounds.processes,
            });
            return;
        }
        let allowed = self.bounds.memory_bytes;
        let mut used = usage.memory_bytes;
        if used > allowed {
            // Pages that processes share since one forked the other are in it several times.
            used = usage::proportional(&usage.members).unwrap_or(used);
        }
        self.peak_bytes.fetch_max(used, Ordering::Relaxed);
        if used > allowed {
            self.end(Excess::Memory { used, allowed });
        } else if let Some(share) = &self.share {
            let mut share = share.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(signal) = share.after(usage.cpu, now) {
                self.group.signal(signal);
            }
        }
    }

    fn judge_disk(&self, members: &[i32]) {
        let used = disk::used(&self.temporary, members, self.bounds.tmp_bytes);
        if used > self.bounds.tmp_bytes {
            self.end(Excess::Disk {
                used,
                allowed: self.bounds.tmp_bytes,
            });
        }
    }

    fn end(&self, excess: Excess) {
        // Said first: whoever sees the end asks why.
        if self.excess.set(excess).is_ok() {
            self.group.kill();
        }
    }
}

/// The groups that are measured.
#[derive(Clone, Default)]
pub(crate) struct Meter(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    woken: Condvar,
}

#[derive(Default)]
struct State {
    groups: Vec<Arc<Metered>>,
    runs: bool,
}

impl Meter {
    /// Measures a group from now on.
    pub(crate) fn add(&self, metered: Arc<Metered>) {
        let mut state = self.0.lock();
        state.groups.push(metered);
        if !state.runs {
            let inner = Arc::clone(&self.0);
            let thread = std::thread::Builder::new()
                .name("meter".to_owned())
                .spawn(move || inner.run());
            match thread {
                Ok(_) => state.runs = true,
                Err(error) => {
                    tracing::error!(%error, "the limits of functions are not watched: no thread");
                }
            }
        }
        self.0.woken.notify_one();
    }

    /// Stops measuring it.
    pub(crate) fn remove(&self, group: Pid) {
        let mut state = self.0.lock();
        state.groups.retain(|metered| metered.group.id != group);
    }

    /// Looks more or less often.
    pub(crate) fn set_busy(&self, metered: &Metered, busy: bool) {
        if !metered.busy.swap(busy, Ordering::Relaxed) && busy {
            self.0.woken.notify_one();
        }
    }
}

impl Inner {
    fn run(&self) {
        let mut disk_due = Instant::now();
        loop {
            let groups = {
                let mut state = self.lock();
                state.runs = !state.groups.is_empty();
                if !state.runs {
                    return;
                }
                state.groups.clone()
            };
            let begun = Instant::now();
            let all = usage::of(groups.iter().map(|metered| metered.group.id));
            let looks_at_disk = begun >= disk_due;
            for metered in &groups {
                if let Some(usage) = all.get(&metered.group.id) {
                    metered.judge(usage, begun);
                    if looks_at_disk {
                        metered.judge_disk(&usage.members);
                    }
                }
            }
            if looks_at_disk {
                disk_due = Instant::now() + DISK_EVERY;
            }
            self.rest(&groups, begun.elapsed() * REST);
        }
    }

    /// Waits until the next look is due.
    fn rest(&self, groups: &[Arc<Metered>], least: Duration) {
        let busy = |metered: &Arc<Metered>| metered.busy.load(Ordering::Relaxed);
        if groups.iter().any(busy) {
            std::thread::sleep(least.max(BUSY_EVERY));
            return;
        }
        std::thread::sleep(least);
        let state = self.lock();
        if !state.groups.iter().any(busy) {
            // Woken for nothing, it only looks too early.
            let _ = self.woken.wait_timeout(state, IDLE_EVERY);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
