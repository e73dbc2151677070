//! The function host: all functions of this process, their pools, and the end of it all.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use daybook_domain::execution::CodeRevision;
use daybook_domain::{ExecutionId, FunctionName};
use tempfile::TempDir;
use tokio::sync::{Notify, OnceCell, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::attempt;
use crate::code::{self, CodeFolder, CodeStore};
use crate::invocation::{Invocation, Outcome};
use crate::launch::{self, LaunchPlan, LoadError};
use crate::logs::Logs;
use crate::meter::Meter;
use crate::package::{self, LoadedCode, Package};
use crate::pool::{Pool, Program, Slot};
use crate::remote::{self, Remote};
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
    /// The folder of each function's code, where people change it.
    sources: Mutex<HashMap<FunctionName, PathBuf>>,
    /// How many processes there are.
    pub(crate) processes: watch::Sender<usize>,
    /// No new invocations.
    pub(crate) closing: CancellationToken,
    /// No invocations at all.
    pub(crate) killing: CancellationToken,
    pub(crate) tracker: TaskTracker,
    run_dir: Mutex<Option<TempDir>>,
    code: Mutex<Option<Arc<CodeStore>>>,
    live: Mutex<HashMap<ExecutionId, LiveAttempt>>,
}

/// A running attempt whose logs can be followed.
pub(crate) struct LiveAttempt {
    pub(crate) task: u32,
    pub(crate) attempt: u32,
    pub(crate) logs: Arc<Logs>,
}

/// What a running attempt wrote lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveLogs {
    /// The task within the execution.
    pub task: u32,
    /// The attempt.
    pub attempt: u32,
    /// What it wrote after what was asked for.
    pub text: String,
    /// How many bytes it wrote so far: ask for what comes after them next.
    pub next: u64,
    /// How many bytes of those asked for are kept no more.
    pub missed: u64,
}

/// A function that can run here, before it does.
#[derive(Debug)]
pub struct Prepared(Arc<Pool>);

/// What a function's processes are doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionStatus {
    /// The function.
    pub function: FunctionName,
    /// How it is started.
    pub runtime: Runtime,
    /// The revision that runs, where the ledger knows it.
    pub revision: Option<CodeRevision>,
    /// Processes at most.
    pub concurrency: usize,
    /// Slots in use.
    pub busy: usize,
    /// Warm processes without work.
    pub idle: usize,
    /// How many executions may wait for it.
    pub queue: usize,
    /// Failed starts and crashes in a row, since a process answered.
    pub failed_starts: u32,
    /// How long no process will be started yet, because the last ones failed.
    pub backing_off: Option<Duration>,
    /// The error's name of the last of them.
    pub last_start_failure: Option<String>,
    /// Whether it runs in a sandbox; `None` where it runs elsewhere.
    pub sandbox: Option<SandboxMode>,
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
                sources: Mutex::default(),
                processes: watch::Sender::new(0),
                closing: CancellationToken::new(),
                killing: CancellationToken::new(),
                tracker: TaskTracker::new(),
                run_dir: Mutex::default(),
                code: Mutex::default(),
                live: Mutex::default(),
            }),
            pools: Mutex::default(),
            freed: Arc::default(),
        })
    }

    /// Checks that the function can run here, packs its code, and makes it known. Loading it again
    /// replaces it: running invocations finish on the old code, new ones start on the new.
    ///
    /// A remote function has no code here: what is known of it is described instead.
    pub async fn load(&self, spec: FunctionSpec) -> Result<LoadedCode, LoadError> {
        let (prepared, loaded) = self.prepare(spec).await?;
        self.install(prepared, None);
        Ok(loaded)
    }

    /// Packs the function's code, unpacks the copy that will run, and checks that it can run here.
    /// Nothing changes before [`FunctionHost::install`].
    pub async fn prepare(&self, spec: FunctionSpec) -> Result<(Prepared, LoadedCode), LoadError> {
        if let Some(target) = &spec.remote {
            // Boxed: the way to AWS's credentials is long, and most functions do not take it.
            let loaded = Box::pin(Remote::load(target, &self.shared.options)).await;
            let (remote, loaded) = loaded.map_err(|what| LoadError::Missing {
                function: spec.name.clone(),
                what,
            })?;
            return Ok((self.prepared(spec, Program::Remote(remote), None), loaded));
        }
        let unreadable = |folder: &Path, source| LoadError::Code {
            function: spec.name.clone(),
            folder: folder.to_owned(),
            source,
        };
        let (run_dir, store) = self.own_folders(&spec)?;
        if spec.runtime == Runtime::Builtin {
            let plan = launch::plan(&spec, &self.shared.options, &run_dir, run_dir.clone()).await?;
            self.shared.check_sandbox(&spec, &run_dir).await?;
            let program = plan.program.clone();
            let loaded = blocking(move || package::executable(&program)).await;
            let loaded = loaded.map_err(|source| unreadable(&plan.program, source))?;
            return Ok((self.prepared(spec, Program::Process(plan), None), loaded));
        }
        let folder = launch::live_folder(&spec, &[&run_dir, store.folder()])?;
        let (source, limit_bytes) = (folder.clone(), self.shared.options.max_package_bytes);
        let packed = blocking(move || {
            let loaded = package::pack(&source, &run_dir, limit_bytes)?;
            let Package::Archive(archive) = &loaded.package else {
                return Err(io::ErrorKind::Unsupported.into());
            };
            let copy = store.open(code::archive(archive.path())?, &loaded.sha256)?;
            Ok((loaded, copy))
        });
        let (loaded, copy) = packed.await.map_err(|source| unreadable(&folder, source))?;
        Ok((self.prepared_from(spec, copy).await?, loaded))
    }

    /// The same from a package that somebody else made: the bytes of its archive, and their digest,
    /// which the caller has checked.
    pub async fn prepare_package(
        &self,
        spec: FunctionSpec,
        archive: Bytes,
        sha256: &str,
    ) -> Result<Prepared, LoadError> {
        let (_, store) = self.own_folders(&spec)?;
        let digest = sha256.to_owned();
        let copy = blocking(move || store.open(&archive[..], &digest)).await;
        let copy = copy.map_err(|source| LoadError::Code {
            function: spec.name.clone(),
            folder: self.shared.code_dir().unwrap_or_default().join(sha256),
            source,
        })?;
        self.prepared_from(spec, copy).await
    }

    async fn prepared_from(
        &self,
        spec: FunctionSpec,
        copy: Arc<CodeFolder>,
    ) -> Result<Prepared, LoadError> {
        let (run_dir, _) = self.own_folders(&spec)?;
        let folder = copy.path().to_owned();
        let plan = launch::plan(&spec, &self.shared.options, &run_dir, folder).await?;
        self.shared.check_sandbox(&spec, &run_dir).await?;
        Ok(self.prepared(spec, Program::Process(plan), Some(copy)))
    }

    fn prepared(
        &self,
        spec: FunctionSpec,
        program: Program,
        copy: Option<Arc<CodeFolder>>,
    ) -> Prepared {
        let freed = Arc::clone(&self.freed);
        Prepared(Pool::new(spec, program, copy, &self.shared.options, freed))
    }

    /// Runs what was prepared from now on, as this revision of the ledger: running invocations
    /// finish on the old code, new ones start on the new.
    pub fn install(&self, prepared: Prepared, revision: Option<CodeRevision>) {
        let Prepared(pool) = prepared;
        if let Some(revision) = revision {
            // It is new: nobody has set it before.
            let _ = pool.revision.set(revision);
        }
        if pool.spec.runtime.has_folder() {
            let (name, folder) = (pool.spec.name.clone(), pool.spec.code.clone());
            self.shared.sources().insert(name, folder);
        }
        let old = self.pools().insert(pool.spec.name.clone(), pool);
        if let Some(old) = old {
            old.retire();
        }
        self.freed.notify_waiters();
        self.freed.notify_one();
    }

    /// Removes unpacked code that nobody uses: what earlier processes left.
    pub async fn sweep(&self) {
        if let Ok(store) = self.shared.code_store() {
            let _ = tokio::task::spawn_blocking(move || store.sweep()).await;
        }
    }

    /// The folder for temporary files, and that of the unpacked packages.
    fn own_folders(&self, spec: &FunctionSpec) -> Result<(PathBuf, Arc<CodeStore>), LoadError> {
        let folders = self
            .shared
            .run_dir()
            .and_then(|run_dir| Ok((run_dir, self.shared.code_store()?)));
        folders.map_err(|source| LoadError::Code {
            function: spec.name.clone(),
            folder: self.shared.options.run_dir.clone(),
            source,
        })
    }

    /// The same as [`FunctionHost::reserve`], but only if what runs here is this revision.
    pub fn reserve_revision(&self, function: &FunctionName, code: &CodeRevision) -> Option<Slot> {
        // Asked first: a slot that is given back wakes whoever waits for one.
        let runs = self
            .pools()
            .get(function)
            .is_some_and(|pool| pool.revision.get() == Some(code));
        runs.then(|| self.reserve(function)).flatten()
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

    /// Whether the function has a free slot now, without taking it.
    pub fn has_slot(&self, function: &FunctionName) -> bool {
        let pools = self.pools();
        pools.get(function).is_some_and(|pool| pool.has_slot())
    }

    /// How many executions that have begun may wait for the function.
    pub fn queue_limit(&self, function: &FunctionName) -> usize {
        let pools = self.pools();
        let pool = pools.get(function);
        pool.map_or(FunctionSpec::QUEUE, |pool| pool.spec.queue)
    }

    /// Waits until a slot of any function may have become free since the last call. Wakes up too
    /// often rather than too seldom. Meant for one caller: of several that were not waiting at
    /// the moment, only one learns of it.
    pub async fn slot_freed(&self) {
        self.freed.notified().await;
    }

    /// Runs the slot's function once. Dropping the future kills the process; of a remote function
    /// it closes the connection, and what runs there goes on.
    pub async fn invoke(&self, slot: Slot, invocation: Invocation) -> Outcome {
        let _running = self.shared.tracker.token();
        let pool = Arc::clone(slot.pool());
        match &pool.program {
            Program::Process(plan) => {
                Box::pin(attempt::run(&self.shared, slot, invocation, plan)).await
            }
            Program::Remote(function) => {
                Box::pin(remote::run(&self.shared, slot, invocation, function)).await
            }
        }
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
        self.shared.keep_code();
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

    /// What the running attempt of an execution wrote after so many bytes; none while none runs here.
    pub fn live_logs(&self, execution: ExecutionId, after: u64) -> Option<LiveLogs> {
        let live = self.shared.live();
        let running = live.get(&execution)?;
        let (text, next, missed) = running.logs.after(after);
        Some(LiveLogs {
            task: running.task,
            attempt: running.attempt,
            text,
            next,
            missed,
        })
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
                    revision: pool.revision.get().cloned(),
                    concurrency: pool.spec.concurrency,
                    busy: status.busy,
                    idle: status.idle,
                    queue: pool.spec.queue,
                    failed_starts: status.failed_starts,
                    backing_off: status.backing_off,
                    last_start_failure: status.last_start_failure,
                    sandbox: pool
                        .spec
                        .remote
                        .is_none()
                        .then(|| self.shared.sandbox_of(&pool.spec)),
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
        self.shared.keep_code();
        for pool in self.pools().values() {
            pool.retire();
        }
    }
}

impl Shared {
    /// Whether a function runs in a sandbox: what its own config says counts before the host's, but
    /// does not loosen what the host requires.
    pub(crate) fn sandbox_of(&self, spec: &FunctionSpec) -> SandboxMode {
        spec.sandbox_under(self.options.sandbox)
    }

    /// The parts of its sandbox that this machine lacks.
    fn sandbox_lacks(&self, spec: &FunctionSpec) -> Vec<SandboxPart> {
        match self.sandbox.get() {
            Some(report) if spec.remote.is_none() && self.sandbox_of(spec) != SandboxMode::Off => {
                report.lacks().collect()
            }
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

    /// What a function's process may not read: the ledger's files and the folders with code, of which
    /// it runs a copy.
    pub(crate) fn hidden_from(&self, plan: &LaunchPlan) -> Vec<PathBuf> {
        let sources = self.sources();
        let hidden = self.options.hidden.iter().chain(sources.values());
        hidden
            // What it is given by name it may read.
            .filter(|hidden| !plan.readable.contains(hidden))
            .map(|hidden| hidden.canonicalize().unwrap_or_else(|_| hidden.clone()))
            .collect()
    }

    fn sources(&self) -> MutexGuard<'_, HashMap<FunctionName, PathBuf>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
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

    pub(crate) fn live(&self) -> MutexGuard<'_, HashMap<ExecutionId, LiveAttempt>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where packages are unpacked.
    fn code_dir(&self) -> io::Result<PathBuf> {
        match &self.options.code_dir {
            Some(folder) => std::path::absolute(folder),
            None => Ok(self.run_dir()?.join("code")),
        }
    }

    fn code_store(&self) -> io::Result<Arc<CodeStore>> {
        let folder = self.code_dir()?;
        let mut code = self.code.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || CodeStore::new(folder, self.options.max_package_bytes);
        Ok(Arc::clone(code.get_or_insert_with(new)))
    }

    /// At the end: the next start finds what is unpacked, unless it goes with this process.
    fn keep_code(&self) {
        if self.options.code_dir.is_some()
            && let Ok(store) = self.code_store()
        {
            store.keep();
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Read-only folders would keep the temporary one from being removed.
        if self.options.code_dir.is_none()
            && let Some(store) = self.code.get_mut().ok().and_then(Option::take)
        {
            code::remove(store.folder());
        }
    }
}

/// Runs what blocks where it may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)
        .flatten()
}

#[cfg(test)]
mod tests;
