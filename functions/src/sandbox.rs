//! What a function's process may reach. The host does not start the function's program itself but
//! its own (`daybook launch`), which binds its own hands and then becomes that program:
//!
//! ```text
//!  host ── spawn, one JSON argument ──> launcher: own /tmp ─> rlimits ─> no capabilities
//!                                                 ─> Landlock ─> seccomp ─> exec of the function
//! ```
//! All of that is inherited by whatever the function starts, and none of it can be taken back. It
//! needs no privileges. Each part is applied as far as the kernel has it; what it lacks is found
//! out once ([`probe`]), said in the status, and refuses the function where the config requires it.
//!
//! Not covered: UDP; what may be learnt from the names, sizes and dates of files elsewhere; a
//! file's mode and dates, which its owner may change anywhere; the command lines in `/proc`.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod kernel;
#[cfg(target_os = "linux")]
mod own_tmp;
mod probe;
#[cfg(target_os = "linux")]
mod rlimits;
#[cfg(target_os = "linux")]
mod syscalls;

pub(crate) use probe::probe;

/// The launcher's exit status where the program cannot be run, as shells have it.
pub(crate) const CANNOT_RUN: i32 = 126;

/// Whether functions run in a sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SandboxMode {
    /// A function does not load where a part is missing.
    Required,
    /// As far as this machine has it.
    #[default]
    Available,
    /// Only the limits hold.
    Off,
}

/// A mode that is not known. Correct the config.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sandbox {0:?} is not one of required, available, off")]
pub struct UnknownSandboxMode(String);

impl SandboxMode {
    /// Its name in the config.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Available => "available",
            Self::Off => "off",
        }
    }
}

impl std::str::FromStr for SandboxMode {
    type Err = UnknownSandboxMode;
    fn from_str(text: &str) -> Result<Self, UnknownSandboxMode> {
        [Self::Required, Self::Available, Self::Off]
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or_else(|| UnknownSandboxMode(text.to_owned()))
    }
}

/// A part of the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SandboxPart {
    /// Files: only the system's, its own code and its own temporary folder.
    Files,
    /// TCP: only the ports that it is given.
    Tcp,
    /// Signals and abstract sockets: only to what it started itself.
    Signals,
    /// System calls that lead out, and those with which a process leaves its group.
    SystemCalls,
    /// A `/tmp` of its own. Where it is missing, `/tmp` is refused and `TMPDIR` is the place.
    OwnTmp,
}

impl SandboxPart {
    const ALL: [Self; 5] = [
        Self::Files,
        Self::Tcp,
        Self::Signals,
        Self::SystemCalls,
        Self::OwnTmp,
    ];

    /// Whether `sandbox = "required"` insists on it: without an own `/tmp` less works, and nothing
    /// more is reached.
    fn is_required(self) -> bool {
        self != Self::OwnTmp
    }

    /// What the part needs, in words.
    pub fn needs(self) -> &'static str {
        match self {
            Self::Files => "files (Landlock with ABI 3, Linux 6.2)",
            Self::Tcp => "TCP ports (Landlock with ABI 4, Linux 6.7)",
            Self::Signals => "signals (Landlock with ABI 6, Linux 6.12)",
            Self::SystemCalls => "system calls (seccomp, on x86_64 or aarch64)",
            Self::OwnTmp => "an own /tmp (mount namespaces for unprivileged users)",
        }
    }
}

impl fmt::Display for SandboxPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.needs())
    }
}

/// Which parts of the sandbox hold on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxReport {
    /// These do.
    pub holds: Vec<SandboxPart>,
}

impl SandboxReport {
    /// The parts that this machine does not have.
    pub fn lacks(&self) -> impl Iterator<Item = SandboxPart> {
        let holds = self.holds.clone();
        SandboxPart::ALL
            .into_iter()
            .filter(move |part| !holds.contains(part))
    }

    /// Those of them without which nothing may run where the sandbox is required, in words.
    pub(crate) fn lacks_required(&self) -> Option<String> {
        let lacks: Vec<&str> = self
            .lacks()
            .filter(|part| part.is_required())
            .map(SandboxPart::needs)
            .collect();
        (!lacks.is_empty()).then(|| lacks.join(", "))
    }
}

/// What the launcher is told. No secret may be in it: command lines can be seen.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Launch {
    /// What to become; `None` to say what holds instead.
    pub(crate) program: Option<PathBuf>,
    pub(crate) arguments: Vec<OsString>,
    /// The working directory.
    pub(crate) folder: PathBuf,
    pub(crate) limits: HardLimits,
    /// `None` where the sandbox is off.
    pub(crate) confinement: Option<Confinement>,
    /// Whether to refuse where a part is missing.
    pub(crate) required: bool,
}

/// What the kernel itself bounds for each process.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct HardLimits {
    pub(crate) open_files: u64,
    pub(crate) file_bytes: u64,
    pub(crate) data_bytes: u64,
}

/// What the process may reach.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Confinement {
    /// Its own folder, the only one to write to.
    pub(crate) temporary: PathBuf,
    /// What it may read and execute beyond the system's own.
    pub(crate) readable: Vec<PathBuf>,
    /// What it may not read even if it lies in such a folder.
    pub(crate) hidden: Vec<PathBuf>,
    /// TCP ports to connect to.
    pub(crate) connect: Vec<u16>,
    /// TCP ports to listen on.
    pub(crate) listen: Vec<u16>,
}

/// The launcher: applies what the argument says and becomes the program, so it returns only if
/// that fails, or if it was asked what holds. Call it before any thread is started. Returns the
/// exit status.
pub fn launch(argument: &str) -> i32 {
    use std::io::Write;
    match run(argument) {
        Ok(report) => {
            let told = serde_json::to_string(&report).unwrap_or_default();
            i32::from(writeln!(io::stdout(), "\n{told}").is_err())
        }
        Err(error) => {
            let _ = writeln!(
                io::stderr(),
                "daybook: the function does not start: {error}"
            );
            CANNOT_RUN
        }
    }
}

fn run(argument: &str) -> io::Result<SandboxReport> {
    use std::os::unix::process::CommandExt;
    let launch: Launch = serde_json::from_str(argument)?;
    let report = apply(&launch)?;
    if launch.required
        && let Some(lacks) = report.lacks_required()
    {
        return Err(io::Error::other(format!(
            "its sandbox is required, and this machine lacks {lacks}"
        )));
    }
    let Some(program) = launch.program else {
        return Ok(report);
    };
    let error = std::process::Command::new(&program)
        .args(&launch.arguments)
        .current_dir(&launch.folder)
        .exec();
    Err(io::Error::new(
        error.kind(),
        format!("{}: {error}", program.display()),
    ))
}

#[cfg(target_os = "linux")]
fn apply(launch: &Launch) -> io::Result<SandboxReport> {
    let mut report = SandboxReport::default();
    let Some(confinement) = &launch.confinement else {
        rlimits::apply(&launch.limits)?;
        return Ok(report);
    };
    if own_tmp::make(confinement) {
        report.holds.push(SandboxPart::OwnTmp);
    }
    rlimits::apply(&launch.limits)?;
    rlimits::drop_capabilities()?;
    rustix::thread::set_no_new_privs(true)?;
    let abi = kernel::restrict(confinement)?;
    report.holds.extend(kernel::parts(abi));
    let knows_sockets = abi >= kernel::KNOWS_SOCKETS;
    if syscalls::refuse(confinement, knows_sockets)? {
        report.holds.push(SandboxPart::SystemCalls);
    }
    Ok(report)
}

#[cfg(not(target_os = "linux"))]
fn apply(_launch: &Launch) -> io::Result<SandboxReport> {
    Ok(SandboxReport::default())
}

#[cfg(test)]
mod tests;
