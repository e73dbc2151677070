//! The function host: all functions of this process, their pools, and the end of it all.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use daybook_domain::FunctionName;
use tempfile::TempDir;
use tokio::sync::{Notify, OnceCell, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::attempt;
use crate::invocation::{Invocation, Outcome};
use crate::launch::{self, LaunchPlan, LoadError};
use crate::meter::Meter;
use crate::package::{self, LoadedCode};
use crate::pool::{Pool, Slot};
use crate::sandbox::{self, SandboxMode, SandboxPart, SandboxReport};
use crate::spec::{FunctionSpec, HostOptions, Runtime};
use crate::storage::StorageAccess;
use crate::watchdog::Watchdog;

/// How long killed processes may take to disappear.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// Runs functions. One per process; must be used within a tokio runtime.
pub struct FunctionHost {
    shared: Arc<Shared>,
    pools: Mutex<HashMap<FunctionName, Arc<Pool>>>,
    freed: Arc<Notify>,
}

/// What all processes of a host have in common.
pub(crate) struct Shared {
    pub(crate) storage: Arc<dyn StorageAccess>,
    pub(crate) options: HostOptions,
    pub(crate) watchdog: Watchdog,
    pub(crate) meter: Meter,
    /// Which parts of the sandbox this machine has, once that was needed.
    sandbox: OnceCell<SandboxReport>,
    /// The code folder of each function.
    code: Mutex<HashMap<FunctionName, PathBuf>>,
    /// How many processes there are.
    pub(crate) processes: watch::Sender<usize>,
    /// No new invocations.
    pub(crate) closing: CancellationToken,
    /// No invocations at all.
    pub(crate) killing: CancellationToken,
    pub(crate) tracker: TaskTracker,
    run_dir: Mutex<Option<TempDir>>,
}

/// What a function's processes are doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionStatus {
    /// The function.
    pub function: FunctionName,
    /// How it is started.
    pub runtime: Runtime,
    /// Processes at most.
    pub concurrency: usize,
    /// Slots in use.
    pub busy: usize,
    /// Warm processes without work.
    pub idle: usize,
    /// Failed starts since the last one that succeeded.
    pub failed_starts: u32,
    /// How long no process will be started yet, because the last ones failed.
    pub backing_off: Option<Duration>,
    /// The name of the last start's error.
    pub last_start_failure: Option<String>,
    /// Whether it runs in a sandbox.
    pub sandbox: SandboxMode,
    /// The parts of the sandbox that this machine lacks.
    pub sandbox_lacks: Vec<SandboxPart>,
}

impl FunctionHost {
    /// A host without functions.
    pub fn new(storage: Arc<dyn StorageAccess>, options: HostOptions) -> Arc<Self> {
        Arc::new(Self {
            shared: Arc::new(Shared {
                storage,
                options,
                watchdog: Watchdog::default(),
                meter: Meter::default(),
                sandbox: OnceCell::new(),
                code: Mutex::default(),
                processes: watch::Sender::new(0),
                closing: CancellationToken::new(),
                killing: CancellationToken::new(),
                tracker: TaskTracker::new(),
                run_dir: Mutex::default(),
            }),
            pools: Mutex::default(),
            freed: Arc::default(),
        })
    }

    /// Checks that the function can run here, packs its code, and makes it known. Loading it again
    /// replaces it: running invocations finish on the old code, new ones start on the new.
    pub async fn load(&self, spec: FunctionSpec) -> Result<LoadedCode, LoadError> {
        let unreadable = |folder: &Path, source| LoadError::Code {
            function: spec.name.clone(),
            folder: folder.to_owned(),
            source,
        };
        let run_dir = self.shared.run_dir();
        let run_dir = run_dir.map_err(|source| unreadable(&self.shared.options.run_dir, source))?;
        let plan = launch::plan(&spec, &self.shared.options, &run_dir).await?;
        self.shared.check_sandbox(&spec, &run_dir).await?;
        let packed = match spec.runtime {
            Runtime::Builtin => plan.program.clone(),
            _ => plan.folder.clone(),
        };
        let source = packed.clone();
        let loaded = tokio::task::spawn_blocking(move || {
            if source.is_dir() {
                package::pack(&source, &run_dir)
            } else {
                package::executable(&source)
            }
        })
        .await
        .map_err(io::Error::other)
        .flatten()
        .map_err(|source| unreadable(&packed, source))?;
        let name = spec.name.clone();
        if spec.runtime != Runtime::Builtin {
            let mut code = self.shared.code();
            code.insert(name.clone(), plan.folder.clone());
        }
        let pool = Pool::new(spec, plan, &self.shared.options, Arc::clone(&self.freed));
        if let Some(old) = self.pools().insert(name, pool) {
            old.retire();
        }
        Ok(loaded)
    }

    /// A slot for one invocation of the function. None while all are in use, while the function
    /// may not start because its last starts failed, when it is not known, or in a shutdown.
    pub fn reserve(&self, function: &FunctionName) -> Option<Slot> {
        if self.shared.closing.is_cancelled() {
            return None;
        }
        let pool = self.pools().get(function).cloned()?;
        pool.reserve()
    }

    /// Waits until a slot of any function may have become free since the last call. Wakes up too
    /// often rather than too seldom. Meant for one caller: of several that were not waiting at
    /// the moment, only one learns of it.
    pub async fn slot_freed(&self) {
        self.freed.notified().await;
    }

    /// Runs the slot's function once. Dropping the future kills the process.
    pub async fn invoke(&self, slot: Slot, invocation: Invocation) -> Outcome {
        let _running = self.shared.tracker.token();
        Box::pin(attempt::run(&self.shared, slot, invocation)).await
    }

    /// Ends all work: no new invocations from now on, running ones have `grace` to finish and are
    /// then interrupted. Returns when no process is left.
    pub async fn shutdown(&self, grace: Duration) {
        self.shared.closing.cancel();
        self.shared.tracker.close();
        let finished = tokio::time::timeout(grace, self.shared.tracker.wait()).await;
        self.shared.killing.cancel();
        if finished.is_err() {
            self.shared.tracker.wait().await;
        }
        let pools: Vec<_> = self.pools().drain().collect();
        for (_, pool) in &pools {
            pool.retire();
        }
        let mut processes = self.shared.processes.subscribe();
        let gone = processes.wait_for(|count| *count == 0);
        if tokio::time::timeout(KILL_LIMIT, gone).await.is_err() {
            tracing::warn!("killed function processes are still there");
        }
    }

    /// What each function's processes are doing, by name.
    pub fn status(&self) -> Vec<FunctionStatus> {
        let mut all: Vec<_> = self
            .pools()
            .values()
            .map(|pool| {
                let status = pool.status();
                FunctionStatus {
                    function: pool.spec.name.clone(),
                    runtime: pool.spec.runtime,
                    concurrency: pool.spec.concurrency,
                    busy: status.busy,
                    idle: status.idle,
                    failed_starts: status.failed_starts,
                    backing_off: status.backing_off,
                    last_start_failure: status.last_start_failure,
                    sandbox: self.shared.sandbox_of(&pool.spec),
                    sandbox_lacks: self.shared.sandbox_lacks(&pool.spec),
                }
            })
            .collect();
        all.sort_by(|a, b| a.function.cmp(&b.function));
        all
    }

    fn pools(&self) -> MutexGuard<'_, HashMap<FunctionName, Arc<Pool>>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for FunctionHost {
    fn drop(&mut self) {
        self.shared.closing.cancel();
        self.shared.killing.cancel();
        for pool in self.pools().values() {
            pool.retire();
        }
    }
}

impl Shared {
    /// Whether a function runs in a sandbox: what its own config says counts before the host's, but
    /// does not loosen what the host requires.
    pub(crate) fn sandbox_of(&self, spec: &FunctionSpec) -> SandboxMode {
        match self.options.sandbox {
            SandboxMode::Required => SandboxMode::Required,
            mode => spec.sandbox.unwrap_or(mode),
        }
    }

    /// The parts of its sandbox that this machine lacks.
    fn sandbox_lacks(&self, spec: &FunctionSpec) -> Vec<SandboxPart> {
        match self.sandbox.get() {
            Some(report) if self.sandbox_of(spec) != SandboxMode::Off => report.lacks().collect(),
            _ => Vec::new(),
        }
    }

    /// Finds out, once, what of the sandbox this machine has, and whether that does for a function.
    async fn check_sandbox(&self, spec: &FunctionSpec, run_dir: &Path) -> Result<(), LoadError> {
        let mode = self.sandbox_of(spec);
        if mode == SandboxMode::Off {
            return Ok(());
        }
        let refused = |what: String| LoadError::Missing {
            function: spec.name.clone(),
            what,
        };
        let probe = || sandbox::probe(&self.options.launch_command, run_dir);
        let report = self.sandbox.get_or_try_init(probe).await.map_err(|error| {
            refused(format!(
                "its sandbox cannot be set up: {error}; say sandbox = \"off\" to run it without"
            ))
        })?;
        match report.lacks_required() {
            Some(lacks) if mode == SandboxMode::Required => Err(refused(format!(
                "its sandbox is required, and this machine lacks {lacks}; say sandbox = \
                 \"available\" to run it with what there is"
            ))),
            _ => Ok(()),
        }
    }

    /// What a function's process may not read: the ledger's files and the code of other functions.
    pub(crate) fn hidden_from(&self, plan: &LaunchPlan) -> Vec<PathBuf> {
        let code = self.code();
        // What lies in its own folder is its own code.
        let others = code.values().filter(|code| !code.starts_with(&plan.folder));
        let hidden = self.options.hidden.iter().chain(others);
        hidden
            // What it is given by name it may read.
            .filter(|hidden| !plan.readable.contains(hidden))
            .map(|hidden| hidden.canonicalize().unwrap_or_else(|_| hidden.clone()))
            .collect()
    }

    fn code(&self) -> MutexGuard<'_, HashMap<FunctionName, PathBuf>> {
        self.code.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The host's own folder, made when it is first needed.
    pub(crate) fn run_dir(&self) -> io::Result<PathBuf> {
        let mut run_dir = self.run_dir.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = run_dir.as_ref() {
            return Ok(folder.path().to_owned());
        }
        std::fs::create_dir_all(&self.options.run_dir)?;
        let parent = self.options.run_dir.canonicalize()?;
        let folder = tempfile::Builder::new()
            .prefix("functions-")
            .tempdir_in(parent)?;
        let path = folder.path().to_owned();
        *run_dir = Some(folder);
        Ok(path)
    }
}

#[cfg(test)]
mod tests;
