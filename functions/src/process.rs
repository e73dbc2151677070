//! One process of a function: its process group, its Runtime API port, its output, its storage
//! credentials and its temporary folder. All of them end together.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use hyper::header::HeaderValue;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use secrecy::ExposeSecret;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::environment;
use crate::host::Shared;
use crate::launch::LaunchPlan;
use crate::logs::Logs;
use crate::masks::Masks;
use crate::runtime_api;
use crate::session::Session;
use crate::spec::FunctionSpec;

/// Enough to wait, and to remove a folder afterwards.
const WATCHER_STACK_BYTES: usize = 512 << 10;

/// A running process. Dropping it revokes its credentials and kills its group.
pub(crate) struct Process {
    pub(crate) session: Arc<Session>,
    pub(crate) logs: Arc<Logs>,
    /// What must not be recorded of what it says.
    pub(crate) masks: Masks,
    pub(crate) started: Instant,
    /// How long its start took, for the first invocation to account for.
    pub(crate) init: Option<Duration>,
    credentials: Credentials,
    group: Arc<Group>,
    exited: watch::Receiver<Option<String>>,
    _server: AbortOnDropHandle<()>,
}

impl Process {
    /// Starts a process. It is not ready yet: see [`Session::initialized`].
    pub(crate) async fn start(
        shared: &Arc<Shared>,
        spec: &FunctionSpec,
        plan: &LaunchPlan,
    ) -> io::Result<Self> {
        let started = Instant::now();
        let (listener, address) = runtime_api::listen().await?;
        let temporary = tempfile::Builder::new()
            .prefix(&format!("{}-", spec.name))
            .tempdir_in(shared.run_dir()?)?;
        let credentials = Credentials::issue(shared, spec);
        let storage = &credentials.issued;
        let masks = masks(spec, &storage.secret_key);
        let options = &shared.options;
        let (logs, output) = Logs::open(options.log_bytes, options.log_lines, masks.clone())?;
        let arn = HeaderValue::try_from(environment::arn(spec, &storage.region));
        let variables = environment::variables(
            spec,
            plan,
            &shared.options.path,
            &address.to_string(),
            temporary.path(),
            storage,
        );
        let mut command = Command::new(&plan.program);
        command
            .args(&plan.arguments)
            .current_dir(&plan.folder)
            .env_clear()
            .envs(variables)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0);
        let watched = Arc::clone(shared);
        let (group, exited) = tokio::task::spawn_blocking(move || {
            let child = command.spawn()?;
            // Closes our copies of the pipe's writing end.
            drop(command);
            watch(&watched, child, temporary)
        })
        .await
        .map_err(io::Error::other)??;
        let session = Arc::new(Session::default());
        let arn = arn.unwrap_or(HeaderValue::from_static(""));
        let server = runtime_api::serve(listener, Arc::clone(&session), group.id, arn);
        Ok(Self {
            session,
            logs,
            masks,
            started,
            init: None,
            credentials,
            group,
            exited,
            _server: AbortOnDropHandle::new(tokio::spawn(server)),
        })
    }

    /// The access key of its credentials.
    pub(crate) fn access_key(&self) -> &str {
        &self.credentials.issued.access_key
    }

    /// Waits until it has ended; how, in AWS Lambda's words: `exit status 1`, `signal: killed`.
    pub(crate) async fn exited(&self) -> String {
        let mut exited = self.exited.clone();
        match exited.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(status)) => status.clone(),
            _ => "exit status unknown".to_owned(),
        }
    }

    /// Whether it has ended.
    pub(crate) fn is_gone(&self) -> bool {
        self.exited.borrow().is_some()
    }

    /// The most memory that it had in use, in bytes. Of the leader alone; none once it has ended.
    pub(crate) fn max_memory_bytes(&self) -> Option<u64> {
        let path = format!("/proc/{}/status", self.group.id.as_raw_nonzero());
        let status = std::fs::read_to_string(path).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        Some(kibibytes << 10)
    }

    /// Voids its credentials, then kills its whole group.
    pub(crate) fn kill(&mut self) {
        self.credentials.revoke();
        self.group.kill();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn masks(spec: &FunctionSpec, storage_secret: &str) -> Masks {
    let own = spec
        .secrets
        .iter()
        .map(|(name, secret)| (name.as_str(), secret.expose_secret()));
    Masks::new(own.chain([("AWS_SECRET_ACCESS_KEY", storage_secret)]))
}

/// Storage credentials that are revoked at the latest when this is dropped.
struct Credentials {
    issued: crate::StorageCredentials,
    storage: Arc<dyn crate::StorageAccess>,
    revoked: bool,
}

impl Credentials {
    fn issue(shared: &Shared, spec: &FunctionSpec) -> Self {
        let storage = Arc::clone(&shared.storage);
        Self {
            issued: storage.issue(&spec.name),
            storage,
            revoked: false,
        }
    }

    fn revoke(&mut self) {
        if !self.revoked {
            self.revoked = true;
            self.storage.revoke(&self.issued.access_key);
        }
    }
}

impl Drop for Credentials {
    fn drop(&mut self) {
        self.revoke();
    }
}

/// A process group, killed only while its id is certainly still its own.
struct Group {
    id: Pid,
    reaped: Mutex<bool>,
}

impl Group {
    fn kill(&self) {
        let reaped = self.lock();
        if !*reaped {
            // Fails only if nobody is left.
            let _ = rustix::process::kill_process_group(self.id, Signal::KILL);
        }
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.reaped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches a child on a thread of its own until it ends; then kills what it left behind in its
/// group, before reaping it frees the group's id, and removes its folder.
fn watch(
    shared: &Arc<Shared>,
    child: Child,
    temporary: TempDir,
) -> io::Result<(Arc<Group>, watch::Receiver<Option<String>>)> {
    let id = Pid::from_child(&child);
    shared.watchdog.add(id);
    shared.processes.send_modify(|count| *count += 1);
    let group = Arc::new(Group {
        id,
        reaped: Mutex::new(false),
    });
    let (sender, exited) = watch::channel(None);
    let (watched, watching) = (Arc::clone(shared), Arc::clone(&group));
    let child = Arc::new(Mutex::new(child));
    let waited = Arc::clone(&child);
    let thread = thread::Builder::new()
        .name(format!("watch-{}", id.as_raw_nonzero()))
        .stack_size(WATCHER_STACK_BYTES)
        .spawn(move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while let Err(rustix::io::Errno::INTR) =
                rustix::process::waitid(WaitId::Pid(id), options)
            {}
            let status = reap(&watched, &watching, &waited);
            let _ = sender.send(Some(in_words(status)));
            drop(temporary);
            watched.processes.send_modify(|count| *count -= 1);
        });
    if let Err(error) = thread {
        let _ = reap(shared, &group, &child);
        shared.processes.send_modify(|count| *count -= 1);
        return Err(error);
    }
    Ok((group, exited))
}

/// Kills the group and reaps its leader.
fn reap(shared: &Shared, group: &Group, child: &Mutex<Child>) -> io::Result<ExitStatus> {
    group.kill();
    let mut reaped = group.lock();
    *reaped = true;
    shared.watchdog.remove(group.id);
    child.lock().unwrap_or_else(PoisonError::into_inner).wait()
}

fn in_words(status: io::Result<ExitStatus>) -> String {
    match status.map(|status| (status.code(), status.signal())) {
        Ok((Some(code), _)) => format!("exit status {code}"),
        Ok((_, Some(signal))) => match signal {
            6 => "signal: aborted".to_owned(),
            9 => "signal: killed".to_owned(),
            11 => "signal: segmentation fault".to_owned(),
            15 => "signal: terminated".to_owned(),
            other => format!("signal: {other}"),
        },
        _ => "exit status unknown".to_owned(),
    }
}
