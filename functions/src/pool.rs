//! The invocations of one function: slots bound how many there are at a time. Of its processes, warm
//! ones are used again (the latest first, so that the others become idle and stop), and where they
//! keep failing to start, or crash one after the other, new ones wait. A remote function has slots and no processes.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use daybook_domain::execution::CodeRevision;
use tokio::sync::Notify;

use crate::code::CodeFolder;
use crate::launch::LaunchPlan;
use crate::process::Process;
use crate::remote::Remote;
use crate::spec::{FunctionSpec, HostOptions};

/// How often idle processes are looked at: so many times in their idle time-out.
const IDLE_CHECKS: u32 = 4;
const IDLE_CHECK_LEAST: Duration = Duration::from_millis(10);
const IDLE_CHECK_MOST: Duration = Duration::from_secs(30);

/// What runs when the function is invoked.
pub(crate) enum Program {
    /// A process of this host.
    Process(LaunchPlan),
    /// Something elsewhere.
    Remote(Remote),
}

/// The slots of one function, and its processes.
pub(crate) struct Pool {
    pub(crate) spec: FunctionSpec,
    pub(crate) program: Program,
    /// The revision that the ledger knows this code as, once it is known.
    pub(crate) revision: OnceLock<CodeRevision>,
    /// The copy that its processes run from stays as long as the pool and its slots.
    _code: Option<Arc<CodeFolder>>,
    state: Mutex<State>,
    freed: Arc<Notify>,
    backoff_first: Duration,
    backoff_most: Duration,
}

#[derive(Default)]
struct State {
    in_use: usize,
    idle: Vec<Idle>,
    /// Failed starts and crashes in a row, since one answered.
    failures: u32,
    /// Until when no process may start; also by when those of the last failure had been started.
    not_before: Option<Instant>,
    last_failure: Option<String>,
    retired: bool,
}

impl State {
    fn has_slot(&self, concurrency: usize) -> bool {
        let waits = self.idle.is_empty()
            && self
                .not_before
                .is_some_and(|not_before| Instant::now() < not_before);
        !self.retired && !waits && self.in_use < concurrency
    }
}

struct Idle {
    process: Process,
    since: Instant,
}

/// What a pool looks like at the moment.
pub(crate) struct PoolStatus {
    pub(crate) busy: usize,
    pub(crate) idle: usize,
    pub(crate) failed_starts: u32,
    pub(crate) backing_off: Option<Duration>,
    pub(crate) last_start_failure: Option<String>,
}

/// The right to run one invocation of a function. Dropping it gives it back.
pub struct Slot {
    pool: Arc<Pool>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pool")
            .field(&self.spec.name.as_str())
            .finish()
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Slot")
            .field(&self.pool.spec.name.as_str())
            .finish()
    }
}

impl Slot {
    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.pool.lock().in_use -= 1;
        wake(&self.pool.freed);
    }
}

impl Pool {
    /// A pool without processes.
    pub(crate) fn new(
        spec: FunctionSpec,
        program: Program,
        code: Option<Arc<CodeFolder>>,
        options: &HostOptions,
        freed: Arc<Notify>,
    ) -> Arc<Self> {
        let pool = Arc::new(Self {
            spec,
            program,
            revision: OnceLock::new(),
            _code: code,
            state: Mutex::default(),
            freed,
            backoff_first: options.crash_backoff_first,
            backoff_most: options.crash_backoff_most,
        });
        if matches!(pool.program, Program::Process(_)) {
            pool.stop_idle_processes();
        }
        pool
    }

    /// A free slot. None while all are in use, or while new processes must wait and none is warm.
    pub(crate) fn reserve(self: &Arc<Self>) -> Option<Slot> {
        let mut state = self.lock();
        if !state.has_slot(self.spec.concurrency) {
            return None;
        }
        state.in_use += 1;
        Some(Slot {
            pool: Arc::clone(self),
        })
    }

    /// Whether there is a free slot now.
    pub(crate) fn has_slot(&self) -> bool {
        self.lock().has_slot(self.spec.concurrency)
    }

    /// The process that became idle last.
    pub(crate) fn take_idle(&self) -> Option<Process> {
        let mut state = self.lock();
        while let Some(idle) = state.idle.pop() {
            if !idle.process.is_gone() {
                return Some(idle.process);
            }
        }
        None
    }

    /// Keeps a process that is ready for the next invocation.
    pub(crate) fn put_idle(&self, process: Process) {
        let mut state = self.lock();
        if !state.retired {
            state.idle.push(Idle {
                process,
                since: Instant::now(),
            });
        }
    }

    /// A process answered, or reported an error and goes on.
    pub(crate) fn works(&self) {
        let mut state = self.lock();
        state.failures = 0;
        state.not_before = None;
        state.last_failure = None;
    }

    /// A process did not come up: the next ones wait, longer each time.
    pub(crate) fn start_failed(&self, started: Instant, error: String) {
        self.failed(started, error, 0);
    }

    /// A process ended by itself, or for what it used. It may have been for its event alone: the next
    /// one begins at once, and only then they wait as well.
    pub(crate) fn crashed(&self, started: Instant, error: String) {
        self.failed(started, error, 1);
    }

    /// One more failure; so many have no consequence. Processes that had been started at the same
    /// time count as one failure.
    fn failed(&self, started: Instant, error: String, free: u32) {
        let mut state = self.lock();
        state.last_failure = Some(error);
        if state
            .not_before
            .is_some_and(|not_before| started < not_before)
        {
            return;
        }
        let before = state.failures;
        state.failures = before.saturating_add(1);
        let Some(doublings) = before.checked_sub(free) else {
            state.not_before = Some(Instant::now());
            return;
        };
        let pause = self
            .backoff_first
            .saturating_mul(2_u32.saturating_pow(doublings))
            .min(self.backoff_most);
        state.not_before = Some(Instant::now() + pause);
        tracing::warn!(
            function = %self.spec.name,
            failures = state.failures,
            pause_ms = pause.as_millis(),
            error = state.last_failure,
            "a function does not start, or crashes again and again"
        );
        let freed = Arc::clone(&self.freed);
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            wake(&freed);
        });
    }

    /// No new invocations; idle processes end now, the others with their invocation.
    pub(crate) fn retire(&self) {
        let idle = {
            let mut state = self.lock();
            state.retired = true;
            std::mem::take(&mut state.idle)
        };
        drop(idle);
    }

    pub(crate) fn status(&self) -> PoolStatus {
        let state = self.lock();
        PoolStatus {
            busy: state.in_use,
            idle: state
                .idle
                .iter()
                .filter(|idle| !idle.process.is_gone())
                .count(),
            failed_starts: state.failures,
            backing_off: state
                .not_before
                .map(|not_before| not_before.saturating_duration_since(Instant::now()))
                .filter(|pause| !pause.is_zero()),
            last_start_failure: state.last_failure.clone(),
        }
    }

    /// A task that stops what was idle for too long, or has ended by itself.
    fn stop_idle_processes(self: &Arc<Self>) {
        let pause = (self.spec.idle_timeout / IDLE_CHECKS).clamp(IDLE_CHECK_LEAST, IDLE_CHECK_MOST);
        let pool = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(pause).await;
                let Some(pool) = pool.upgrade() else { return };
                // Dropped outside the lock.
                let stopped: Vec<Idle> = {
                    let mut state = pool.lock();
                    let limit = pool.spec.idle_timeout;
                    let stale =
                        |idle: &mut Idle| idle.since.elapsed() >= limit || idle.process.is_gone();
                    state.idle.extract_if(.., stale).collect()
                };
                drop(stopped);
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes whoever waits, and lets one who is about to wait not do so.
fn wake(freed: &Notify) {
    freed.notify_waiters();
    freed.notify_one();
}
