//! One process of a function: its process group, its Runtime API port, its output, its storage
//! credentials and its temporary folder. All of them end together.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::header::HeaderValue;
use secrecy::ExposeSecret;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::environment;
use crate::group;
use crate::host::Shared;
use crate::launch::LaunchPlan;
use crate::logs::Logs;
use crate::masks::Masks;
use crate::meter::{Bounds, Excess, Metered};
use crate::runtime_api;
use crate::sandbox::{CANNOT_RUN, Confinement, HardLimits, Launch, SandboxMode};
use crate::session::Session;
use crate::spec::FunctionSpec;

/// How much more than its function's memory a process may reserve for data (`RLIMIT_DATA`): thread
/// stacks and heaps are reserved long before they are used. Only what is used counts as memory, and
/// the host measures that; this holds in between.
const RESERVE_BYTES: u64 = 4 << 30;

/// A running process. Dropping it revokes its credentials and kills its group.
pub(crate) struct Process {
    pub(crate) session: Arc<Session>,
    pub(crate) logs: Arc<Logs>,
    /// What must not be recorded of what it says.
    pub(crate) masks: Masks,
    pub(crate) started: Instant,
    /// How long its start took, for the first invocation to account for.
    pub(crate) init: Option<Duration>,
    /// The invocations that it has answered.
    invocations: u64,
    /// What it had in use after the first of them, in bytes.
    first_memory_bytes: Option<u64>,
    /// Whether the launcher is between the host and the program.
    launched: bool,
    credentials: Credentials,
    metered: Arc<Metered>,
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
        let ports = [Some(address.port()), port_of(&storage.endpoint)];
        let mut command = command(shared, spec, plan, temporary.path(), ports)?;
        command
            .current_dir(&plan.folder)
            .env_clear()
            .envs(variables)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0);
        let watched = Arc::clone(shared);
        let bounds = Bounds::of(spec);
        let (metered, exited) = tokio::task::spawn_blocking(move || {
            let child = command.spawn()?;
            // Closes our copies of the pipe's writing end.
            drop(command);
            group::watch(&watched, child, temporary, bounds)
        })
        .await
        .map_err(io::Error::other)??;
        let session = Arc::new(Session::default());
        let arn = arn.unwrap_or(HeaderValue::from_static(""));
        let server = runtime_api::serve(listener, Arc::clone(&session), metered.group.id, arn);
        Ok(Self {
            session,
            logs,
            masks,
            started,
            init: None,
            invocations: 0,
            first_memory_bytes: None,
            launched: !shared.options.launch_command.is_empty(),
            credentials,
            metered,
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

    /// The most memory that its group had in use, in bytes, as far as that was seen.
    pub(crate) fn max_memory_bytes(&self) -> Option<u64> {
        self.metered.peak_bytes()
    }

    /// It has answered an invocation.
    pub(crate) fn answered(&mut self) {
        self.invocations += 1;
    }

    /// Why it is not to be used again, if so. Asked when it is ready for the next invocation.
    pub(crate) fn worn_out(&mut self, spec: &FunctionSpec) -> Option<&'static str> {
        if spec
            .max_invocations
            .is_some_and(|most| self.invocations >= most)
        {
            return Some("it has had as many invocations as it may");
        }
        let now = self.metered.leader_bytes()?;
        let first = *self.first_memory_bytes.get_or_insert(now);
        let growth = spec
            .max_memory_growth_bytes
            .unwrap_or(spec.memory_bytes.saturating_sub(first) / 2);
        (now.saturating_sub(first) > growth).then_some("its memory has grown")
    }

    /// Whether this exit status is the launcher's own: it could not become the program.
    pub(crate) fn could_not_run(&self, status: &str) -> bool {
        self.launched && status == format!("exit status {CANNOT_RUN}")
    }

    /// Whether it is at work, and so is to be measured closely.
    pub(crate) fn set_busy(&self, shared: &Shared, busy: bool) {
        shared.meter.set_busy(&self.metered, busy);
    }

    /// The limit for which it was killed, if it was.
    pub(crate) fn excess(&self) -> Option<Excess> {
        self.metered.excess()
    }

    /// Voids its credentials, then kills its whole group.
    pub(crate) fn kill(&mut self) {
        self.credentials.revoke();
        self.metered.group.kill();
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

/// What starts the function's program: the launcher, which limits and confines itself first, or the
/// program itself where there is none.
fn command(
    shared: &Shared,
    spec: &FunctionSpec,
    plan: &LaunchPlan,
    temporary: &Path,
    own_ports: [Option<u16>; 2],
) -> io::Result<Command> {
    let Some((launcher, arguments)) = shared.options.launch_command.split_first() else {
        let mut command = Command::new(&plan.program);
        command.args(&plan.arguments);
        return Ok(command);
    };
    let mode = shared.sandbox_of(spec);
    let confinement = (mode != SandboxMode::Off).then(|| Confinement {
        temporary: temporary.to_owned(),
        readable: plan.readable.clone(),
        hidden: shared.hidden_from(plan),
        connect: own_ports
            .into_iter()
            .flatten()
            .chain(spec.connect.iter().copied())
            .collect(),
        listen: spec.listen.clone(),
    });
    let launch = Launch {
        program: Some(plan.program.clone()),
        arguments: plan.arguments.clone(),
        folder: plan.folder.clone(),
        limits: HardLimits {
            open_files: spec.open_files,
            file_bytes: spec.tmp_bytes,
            data_bytes: spec.memory_bytes.saturating_add(RESERVE_BYTES),
        },
        confinement,
        required: mode == SandboxMode::Required,
    };
    let mut command = Command::new(launcher);
    command.args(arguments).arg(serde_json::to_string(&launch)?);
    Ok(command)
}

/// The port of an address like `http://127.0.0.1:9000`.
fn port_of(endpoint: &str) -> Option<u16> {
    let (_, port) = endpoint.trim_end_matches('/').rsplit_once(':')?;
    port.parse().ok()
}
