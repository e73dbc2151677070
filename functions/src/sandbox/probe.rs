//! What of the sandbox this machine has: found out by the launcher itself, in a process that does
//! nothing else, since only trying tells.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::{Confinement, HardLimits, Launch, SandboxReport};

/// How long the launcher may take to say.
const PROBE_TIMEOUT: Duration = Duration::from_secs(20);

/// Asks the launcher. `run_dir` is the host's own folder.
pub(crate) async fn probe(command: &[OsString], run_dir: &Path) -> io::Result<SandboxReport> {
    let Some((program, arguments)) = command.split_first() else {
        return Ok(SandboxReport::default());
    };
    let temporary = tempfile::Builder::new()
        .prefix("probe-")
        .tempdir_in(run_dir)?;
    let launch = Launch {
        program: None,
        arguments: Vec::new(),
        folder: temporary.path().to_owned(),
        limits: HardLimits {
            open_files: u64::MAX,
            file_bytes: u64::MAX,
            data_bytes: u64::MAX,
        },
        confinement: Some(Confinement {
            temporary: temporary.path().to_owned(),
            ..Confinement::default()
        }),
        required: false,
    };
    let asked = tokio::process::Command::new(program)
        .args(arguments)
        .arg(serde_json::to_string(&launch)?)
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PROBE_TIMEOUT, asked)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let told = String::from_utf8_lossy(&output.stdout);
    told.lines()
        .rev()
        .find_map(|line| serde_json::from_str(line).ok())
        .ok_or_else(|| io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
}
