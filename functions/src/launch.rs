//! How a function's program is started, found out when the config is loaded, so that a missing
//! interpreter, client or handler is reported then and not at the first object.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use daybook_domain::FunctionName;
use thiserror::Error;

use crate::spec::{FunctionSpec, HostOptions, Runtime};

/// The release of the Node.js client that this host is tested with.
const NODE_CLIENT_VERSION: &str = "3.3.0";
/// How long an interpreter may take to say whether it has the client.
const PROBE_TIMEOUT: Duration = Duration::from_secs(20);
/// Makes AWS SDK for JavaScript v2 use the gateway, see the file.
const NODE_SHIM: &str = include_str!("node_shim.cjs");
const NODE_SHIM_FILE: &str = "aws-sdk-v2.cjs";

/// A function that cannot be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// Something that it needs is not there. Tell the user, who installs or corrects it.
    #[error("function {function}: {what}")]
    Missing {
        /// The function.
        function: FunctionName,
        /// What is missing, and what to do.
        what: String,
    },
    /// Its files could not be read or packed. Tell the user; trying again may help.
    #[error("function {function}: cannot read its code in {}", .folder.display())]
    Code {
        /// The function.
        function: FunctionName,
        /// The folder or file.
        folder: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

/// How to start the program.
#[derive(Clone, Debug)]
pub(crate) struct LaunchPlan {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// Variables beyond those that all functions get.
    pub(crate) environment: Vec<(&'static str, OsString)>,
    /// The copy of the code that runs: absolute, since it is the working directory as well.
    pub(crate) folder: PathBuf,
    /// What a process has to read beyond the system's folders.
    pub(crate) readable: Vec<PathBuf>,
}

/// The folder where the function's code is kept and changed. `own` are the host's folders.
pub(crate) fn live_folder(spec: &FunctionSpec, own: &[&Path]) -> Result<PathBuf, LoadError> {
    let folder = spec.code.canonicalize().and_then(|folder| {
        if folder.is_dir() {
            Ok(folder)
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    });
    let folder = folder.map_err(|error| {
        missing(
            spec,
            format!(
                "its code folder {} is not there: {error}",
                spec.code.display()
            ),
        )
    })?;
    if let Some(run_dir) = own.iter().find(|own| own.starts_with(&folder)) {
        let what = format!(
            "its code folder {} contains the ledger's own files in {}: move the code into a folder \
             of its own",
            spec.code.display(),
            run_dir.display()
        );
        return Err(missing(spec, what));
    }
    Ok(folder)
}

/// Finds out how to start the function from this copy of its code. `run_dir` is the host's own
/// folder.
pub(crate) async fn plan(
    spec: &FunctionSpec,
    options: &HostOptions,
    run_dir: &Path,
    folder: PathBuf,
) -> Result<LaunchPlan, LoadError> {
    let plan = match spec.runtime {
        Runtime::NodeJs => node(spec, options, folder, run_dir).await,
        Runtime::Python => python(spec, options, folder).await,
        Runtime::Provided => provided(spec, folder),
        Runtime::Builtin => builtin(spec, options, run_dir),
        Runtime::Lambda | Runtime::Http => {
            Err("it runs elsewhere, and nothing says where".to_owned())
        }
    };
    let mut plan = plan.map_err(|what| missing(spec, what))?;
    plan.readable.extend(spec.readable.iter().cloned());
    // The launcher works from another folder.
    plan.readable
        .retain_mut(|path| match std::path::absolute(&path) {
            Ok(absolute) => {
                *path = absolute;
                true
            }
            Err(_) => false,
        });
    Ok(plan)
}

fn missing(spec: &FunctionSpec, what: String) -> LoadError {
    LoadError::Missing {
        function: spec.name.clone(),
        what,
    }
}

fn builtin(
    spec: &FunctionSpec,
    options: &HostOptions,
    run_dir: &Path,
) -> Result<LaunchPlan, String> {
    let Some((program, arguments)) = options.builtin_command.split_first() else {
        return Err("this program has no built-in functions".to_owned());
    };
    let mut arguments = arguments.to_vec();
    arguments.push(spec.handler.clone().into());
    Ok(LaunchPlan {
        program: program.into(),
        arguments,
        environment: Vec::new(),
        folder: run_dir.to_owned(),
        readable: vec![program.into()],
    })
}

async fn node(
    spec: &FunctionSpec,
    options: &HostOptions,
    folder: PathBuf,
    run_dir: &Path,
) -> Result<LaunchPlan, String> {
    let program = interpreter(options, options.node.as_deref(), "node").ok_or_else(|| {
        "Node.js is not installed: run apt-get install nodejs npm, or put node into PATH".to_owned()
    })?;
    let (file, _) = handler_parts(spec, "index.handler")?;
    let module = folder.join(file);
    if !["mjs", "js", "cjs"]
        .iter()
        .any(|suffix| with_suffix(&module, suffix).is_file())
    {
        return Err(format!(
            "its handler {} needs a file {file}.mjs, {file}.js or {file}.cjs in {}",
            spec.handler,
            spec.code.display()
        ));
    }
    let places = std::iter::once(&folder).chain(&options.client_dirs);
    let client = places
        .map(|place| place.join("node_modules/aws-lambda-ric/bin/index.mjs"))
        .find(|client| client.is_file())
        .ok_or_else(|| {
            format!(
                "aws-lambda-ric is not installed in {}: run npm install \
                 aws-lambda-ric@{NODE_CLIENT_VERSION} there (it builds native code and needs \
                 the Debian packages autoconf, automake, cmake, g++, libtool, make, python3 and \
                 python3-setuptools)",
                spec.code.display()
            )
        })?;
    let shim = run_dir.join(NODE_SHIM_FILE);
    std::fs::write(&shim, NODE_SHIM)
        .map_err(|error| format!("cannot write {}: {error}", shim.display()))?;
    let mut node_options = OsString::from("--require \"");
    node_options.push(
        shim.to_string_lossy()
            .replace('\\', "\\\\")
            .replace('"', "\\\""),
    );
    node_options.push("\"");
    if let Some(own) = spec.environment.get("NODE_OPTIONS") {
        node_options.push(" ");
        node_options.push(own);
    }
    let mut plan = LaunchPlan {
        program,
        arguments: vec![client.into(), spec.handler.clone().into()],
        environment: vec![("NODE_OPTIONS", node_options)],
        readable: vec![folder.clone(), shim],
        folder,
    };
    for place in std::iter::once(&plan.folder.clone()).chain(&options.client_dirs) {
        plan.readable.extend(real(&place.join("node_modules")));
    }
    const PROBE: &str = "console.log(process.execPath)";
    // One that cannot say has to be taken for what it is called.
    let told = match probe(&plan, options, &["-e", PROBE]).await {
        Ok(Probed::Works(told)) => told,
        _ => String::new(),
    };
    interpreter_found(&mut plan, &told);
    Ok(plan)
}

async fn python(
    spec: &FunctionSpec,
    options: &HostOptions,
    folder: PathBuf,
) -> Result<LaunchPlan, String> {
    let own = folder.join(".venv/bin/python");
    let program = if own.is_file() {
        own
    } else if own.is_symlink() {
        let target = std::fs::read_link(&own).unwrap_or_default();
        return Err(format!(
            "its .venv/bin/python leads to {}, which is not there: make the .venv with a Python of \
             this machine, or install the packages without one (pip install --target {})",
            target.display(),
            spec.code.display()
        ));
    } else {
        interpreter(options, options.python.as_deref(), "python3").ok_or_else(|| {
            "Python is not installed: run apt-get install python3 python3-venv, or put python3 \
             into PATH"
                .to_owned()
        })?
    };
    let (file, _) = handler_parts(spec, "handler.handler")?;
    let file = file.replace('.', "/");
    let module = folder.join(&file);
    if !with_suffix(&module, "py").is_file() && !module.join("__init__.py").is_file() {
        return Err(format!(
            "its handler {} needs a file {file}.py in {}",
            spec.handler,
            spec.code.display()
        ));
    }
    let mut path = OsString::from(&folder);
    let places = options.client_dirs.iter().map(|place| place.as_os_str());
    for place in places.chain(spec.environment.get("PYTHONPATH").map(OsStr::new)) {
        path.push(":");
        path.push(place);
    }
    let mut plan = LaunchPlan {
        program,
        arguments: vec![
            "-m".into(),
            "awslambdaric".into(),
            spec.handler.clone().into(),
        ],
        // Compiled files would change the package, and with it the revision.
        environment: vec![
            ("PYTHONPATH", path.clone()),
            ("PYTHONDONTWRITEBYTECODE", "1".into()),
        ],
        readable: std::env::split_paths(&path).collect(),
        folder,
    };
    const PROBE: &str = "import importlib.util as u, sys; \
        print(sys.executable, sys.prefix, sys.base_prefix, sys.base_exec_prefix, sep='\\n'); \
        sys.exit(3 if u.find_spec('awslambdaric') is None else 0)";
    match probe(&plan, options, &["-c", PROBE]).await? {
        Probed::Works(told) => interpreter_found(&mut plan, &told),
        Probed::LacksClient => {
            return Err(format!(
                "awslambdaric is not installed for {}: run python3 -m venv .venv && \
                 .venv/bin/pip install awslambdaric in {}",
                plan.program.display(),
                spec.code.display()
            ));
        }
    }
    Ok(plan)
}

/// What an interpreter said of itself.
enum Probed {
    Works(String),
    /// It ended with status 3.
    LacksClient,
}

async fn probe(
    plan: &LaunchPlan,
    options: &HostOptions,
    arguments: &[&str],
) -> Result<Probed, String> {
    let mut probe = tokio::process::Command::new(&plan.program);
    probe
        .args(arguments)
        .current_dir(&plan.folder)
        .env_clear()
        .env("PATH", &options.path)
        .envs(plan.environment.iter().cloned())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let program = plan.program.display();
    match tokio::time::timeout(PROBE_TIMEOUT, probe.output()).await {
        Ok(Ok(output)) if output.status.success() => {
            let told = String::from_utf8_lossy(&output.stdout).into_owned();
            Ok(Probed::Works(told))
        }
        Ok(Ok(output)) if output.status.code() == Some(3) => Ok(Probed::LacksClient),
        Ok(Ok(output)) => Err(format!("{program} does not work: {}", output.status)),
        Ok(Err(error)) => Err(format!("cannot start {program}: {error}")),
        Err(_) => Err(format!("{program} does not answer")),
    }
}

/// An interpreter said, a line each, what it really is (version managers put scripts in its place)
/// and where it is installed. Its libraries may be in a home folder, so only they are taken of that.
fn interpreter_found(plan: &mut LaunchPlan, told: &str) {
    let mut lines = told.lines().map(PathBuf::from);
    if let Some(program) = lines.next().filter(|program| program.is_file()) {
        plan.program = program;
    }
    let home = real(&plan.program).and_then(|program| Some(program.parent()?.parent()?.to_owned()));
    for prefix in lines.chain(home) {
        if prefix.join("pyvenv.cfg").is_file() {
            plan.readable.extend(real(&prefix));
            continue;
        }
        let parts = ["lib", "lib64", "libexec", "ssl"].map(|part| prefix.join(part));
        plan.readable
            .extend(parts.into_iter().filter(|part| part.is_dir()));
    }
    plan.readable.push(plan.program.clone());
}

fn real(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok()
}

fn provided(spec: &FunctionSpec, folder: PathBuf) -> Result<LaunchPlan, String> {
    let executable = |path: &PathBuf| {
        path.metadata()
            .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
    };
    let program = ["bootstrap", spec.handler.as_str()]
        .iter()
        .filter(|name| !name.is_empty())
        .map(|name| folder.join(name))
        .find(executable)
        .ok_or_else(|| {
            format!(
                "there is no executable file bootstrap or {:?} in {}",
                spec.handler,
                spec.code.display()
            )
        })?;
    Ok(LaunchPlan {
        program,
        arguments: Vec::new(),
        environment: Vec::new(),
        readable: vec![folder.clone()],
        folder,
    })
}

/// The interpreter that the options name, or the one in their `PATH`.
fn interpreter(options: &HostOptions, named: Option<&Path>, name: &str) -> Option<PathBuf> {
    match named {
        Some(named) => named.is_file().then(|| named.to_owned()),
        None => std::env::split_paths(&options.path)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(name))
            .find(|program| program.is_file()),
    }
}

/// `src/index.handler` is the file `src/index` (without its suffix) and the name `handler`.
fn handler_parts<'a>(spec: &'a FunctionSpec, like: &str) -> Result<(&'a str, &'a str), String> {
    spec.handler
        .rsplit_once('.')
        .filter(|(file, name)| !file.is_empty() && !name.is_empty() && !file.contains(".."))
        .ok_or_else(|| format!("its handler {:?} is not of the form {like}", spec.handler))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests;
