//! What the config says about a function, and about the host as a whole.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use daybook_domain::FunctionName;
use secrecy::SecretString;
use thiserror::Error;

use crate::logs::{LOG_LIMIT_BYTES, LOG_LIMIT_LINES};
use crate::remote::RemoteSpec;
use crate::sandbox::SandboxMode;

/// How a function's program is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Runtime {
    /// Node.js with the package `aws-lambda-ric`.
    NodeJs,
    /// Python with the package `awslambdaric`.
    Python,
    /// Any executable that speaks the Runtime API: `bootstrap`, or the file that `handler` names.
    Provided,
    /// A function inside the host's own executable, see [`HostOptions::builtin_command`].
    Builtin,
    /// A function of AWS Lambda, see [`RemoteSpec::Lambda`].
    Lambda,
    /// A function behind HTTP, see [`RemoteSpec::Http`].
    Http,
}

/// A runtime that is not known. Correct the config.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("runtime {0:?} is not one of nodejs, python, provided, builtin, lambda, http")]
pub struct UnknownRuntime(String);

impl Runtime {
    /// Whether its code is a folder of this machine.
    pub fn has_folder(self) -> bool {
        matches!(self, Self::NodeJs | Self::Python | Self::Provided)
    }

    /// Its name in the config.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NodeJs => "nodejs",
            Self::Python => "python",
            Self::Provided => "provided",
            Self::Builtin => "builtin",
            Self::Lambda => "lambda",
            Self::Http => "http",
        }
    }

    /// Whether its functions run elsewhere, and so do not pass the gateway.
    pub fn is_remote(self) -> bool {
        matches!(self, Self::Lambda | Self::Http)
    }
}

impl std::str::FromStr for Runtime {
    type Err = UnknownRuntime;
    fn from_str(text: &str) -> Result<Self, UnknownRuntime> {
        [
            Self::NodeJs,
            Self::Python,
            Self::Provided,
            Self::Builtin,
            Self::Lambda,
            Self::Http,
        ]
        .into_iter()
        .find(|runtime| runtime.as_str() == text)
        .ok_or_else(|| UnknownRuntime(text.to_owned()))
    }
}

/// One function as the config describes it.
#[derive(Clone)]
pub struct FunctionSpec {
    /// Its name.
    pub name: FunctionName,
    /// How it is started.
    pub runtime: Runtime,
    /// The folder with its code. Not looked at for [`Runtime::Builtin`].
    pub code: PathBuf,
    /// The handler, as AWS Lambda writes it for the runtime: `index.handler`.
    pub handler: String,
    /// How long one invocation may take.
    pub timeout: Duration,
    /// Processes at most, and so invocations at the same time.
    pub concurrency: usize,
    /// How much memory the processes of its group may have in use together, in bytes; also what the
    /// function is told as its memory size.
    pub memory_bytes: u64,
    /// How many cores a process and what it starts may use on average; `None`: all.
    pub cpu: Option<f64>,
    /// How many executions that have begun may wait for the function. What comes beyond begins later.
    pub queue: usize,
    /// Processes and threads at most in a process's group.
    pub processes: u64,
    /// Open files at most, of each process.
    pub open_files: u64,
    /// How much its temporary folder may hold, in bytes.
    pub tmp_bytes: u64,
    /// After so many invocations a process is replaced.
    pub max_invocations: Option<u64>,
    /// A process is replaced when it has so many bytes more in use than after its first invocation.
    /// `None`: half of what was free then.
    pub max_memory_growth_bytes: Option<u64>,
    /// Whether it runs in a sandbox. [`HostOptions::sandbox`] counts as well.
    pub sandbox: Option<SandboxMode>,
    /// TCP ports that it may connect to, beside its Runtime API's and the gateway's.
    pub connect: Vec<u16>,
    /// TCP ports that it may listen on.
    pub listen: Vec<u16>,
    /// What it may read beyond the system's folders and its code.
    pub readable: Vec<PathBuf>,
    /// Its own environment variables: `Debug` shows the names only.
    pub environment: BTreeMap<String, String>,
    /// Variables that are secret. They are masked in logs and in errors.
    pub secrets: BTreeMap<String, SecretString>,
    /// After this time without an invocation a process is stopped.
    pub idle_timeout: Duration,
    /// How long a process may take from its start to its first poll.
    pub init_timeout: Duration,
    /// Where it is, if it runs elsewhere.
    pub remote: Option<RemoteSpec>,
}

impl FunctionSpec {
    /// How many executions may wait if nobody says how many.
    pub const QUEUE: usize = 1_000;

    /// Whether it runs in a sandbox on a host that is set so: what the host requires no function waives.
    pub fn sandbox_under(&self, host: SandboxMode) -> SandboxMode {
        match host {
            SandboxMode::Required => SandboxMode::Required,
            mode => self.sandbox.unwrap_or(mode),
        }
    }

    /// A function that runs elsewhere, with the defaults of the config's documentation. Its handler
    /// is its address; how much memory it has is not known here.
    pub fn remote(name: FunctionName, target: RemoteSpec) -> Self {
        let (runtime, address) = match &target {
            RemoteSpec::Lambda(lambda) => (Runtime::Lambda, lambda.arn.to_string()),
            RemoteSpec::Http(http) => (Runtime::Http, http.url.as_str().to_owned()),
        };
        Self {
            memory_bytes: 0,
            remote: Some(target),
            ..Self::new(name, runtime, PathBuf::new(), address)
        }
    }

    /// A function with the defaults of the config's documentation.
    pub fn new(
        name: FunctionName,
        runtime: Runtime,
        code: impl Into<PathBuf>,
        handler: impl Into<String>,
    ) -> Self {
        Self {
            name,
            runtime,
            code: code.into(),
            handler: handler.into(),
            timeout: Duration::from_secs(30),
            concurrency: 4,
            memory_bytes: 256 << 20,
            cpu: None,
            queue: Self::QUEUE,
            processes: 1024,
            open_files: 1024,
            tmp_bytes: 512 << 20,
            max_invocations: None,
            max_memory_growth_bytes: None,
            sandbox: None,
            connect: vec![443],
            listen: Vec::new(),
            readable: Vec::new(),
            environment: BTreeMap::new(),
            secrets: BTreeMap::new(),
            idle_timeout: Duration::from_secs(300),
            init_timeout: Duration::from_secs(10),
            remote: None,
        }
    }
}

impl fmt::Debug for FunctionSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionSpec")
            .field("name", &self.name.as_str())
            .field("runtime", &self.runtime)
            .field("code", &self.code)
            .field("handler", &self.handler)
            .field("timeout", &self.timeout)
            .field("concurrency", &self.concurrency)
            .field("memory_bytes", &self.memory_bytes)
            .field("cpu", &self.cpu)
            .field("queue", &self.queue)
            .field("processes", &self.processes)
            .field("open_files", &self.open_files)
            .field("tmp_bytes", &self.tmp_bytes)
            .field("max_invocations", &self.max_invocations)
            .field("max_memory_growth_bytes", &self.max_memory_growth_bytes)
            .field("sandbox", &self.sandbox)
            .field("connect", &self.connect)
            .field("listen", &self.listen)
            .field("readable", &self.readable)
            .field("environment", &self.environment.keys().collect::<Vec<_>>())
            .field("secrets", &self.secrets.keys().collect::<Vec<_>>())
            .field("idle_timeout", &self.idle_timeout)
            .field("init_timeout", &self.init_timeout)
            .field("remote", &self.remote)
            .finish()
    }
}

/// What AWS Lambda takes, unpacked (Lambda developer guide, "Lambda quotas").
const MAX_PACKAGE_BYTES: u64 = 250 << 20;

/// What holds for all functions of a host.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// For [`Runtime::Builtin`]: program and arguments, to which the handler is appended.
    pub builtin_command: Vec<OsString>,
    /// Program and arguments of the launcher, to which one argument is appended: it calls
    /// [`launch`](crate::launch()) with that. Without one there are no sandbox and no limits that the
    /// kernel holds, only what the host measures.
    pub launch_command: Vec<OsString>,
    /// Whether functions that do not say so themselves run in a sandbox.
    pub sandbox: SandboxMode,
    /// What no function may read, even if it lies in a folder that it may: the ledger's files.
    pub hidden: Vec<PathBuf>,
    /// Where runtime interface clients are looked for when the code folder has none: folders that
    /// hold a `node_modules` with `aws-lambda-ric`, or Python packages with `awslambdaric`.
    pub client_dirs: Vec<PathBuf>,
    /// The Node.js interpreter; `None` looks for `node` in [`HostOptions::path`].
    pub node: Option<PathBuf>,
    /// The Python interpreter for functions without a `.venv`; `None` looks for `python3`.
    pub python: Option<PathBuf>,
    /// The `PATH` of the functions. By default that of this process.
    pub path: OsString,
    /// A folder for temporary files: each process gets its own one below it.
    pub run_dir: PathBuf,
    /// Where packages are unpacked, to be run from there; kept from one start to the next, and of
    /// one process at a time. `None`: in `run_dir`, as long as this process lives.
    pub code_dir: Option<PathBuf>,
    /// What the files of one package may have together, in bytes.
    pub max_package_bytes: u64,
    /// What is kept of one attempt's output, in bytes and in lines.
    pub log_bytes: usize,
    /// See `log_bytes`.
    pub log_lines: usize,
    /// How long a function may not start again after its first failed start, or its second crash.
    /// Doubles with each further failure in a row.
    pub crash_backoff_first: Duration,
    /// The longest such pause.
    pub crash_backoff_most: Duration,
    /// How long a connection to a remote function may take.
    pub remote_connect_timeout: Duration,
}

impl Default for HostOptions {
    fn default() -> Self {
        Self {
            builtin_command: Vec::new(),
            launch_command: Vec::new(),
            sandbox: SandboxMode::default(),
            hidden: Vec::new(),
            client_dirs: Vec::new(),
            node: None,
            python: None,
            path: std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()),
            run_dir: std::env::temp_dir(),
            code_dir: None,
            max_package_bytes: MAX_PACKAGE_BYTES,
            log_bytes: LOG_LIMIT_BYTES,
            log_lines: LOG_LIMIT_LINES,
            crash_backoff_first: Duration::from_millis(500),
            crash_backoff_most: Duration::from_secs(60),
            remote_connect_timeout: Duration::from_secs(5),
        }
    }
}
