//! What the tests of the whole system have in common: a ledger in a folder of its own, the program
//! that serves it, and ways to ask it.
//!
//! ```text
//!  Ledger (config, buckets, data directory) ─ start ─> Server (child process) ─> GraphQL, /v1, S3
//! ```
//! Nothing here waits for a fixed time: [`eventually`] asks until the answer is there.

pub(crate) mod checks;
pub(crate) mod clients;
pub(crate) mod helper;
pub(crate) mod seeds;
mod server;
pub(crate) mod socket;
pub(crate) mod store;
pub(crate) mod wire;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::process::Command;

pub(crate) use server::Server;
use server::Starting;

/// What the configs of the tests name as the operator's key.
pub(crate) const ACCESS_KEY: &str = "AKTEST";
/// The secret that goes with it.
pub(crate) const SECRET_KEY: &str = "a-secret-of-the-tests";

/// A second operator's key, in the configs that have one.
pub(crate) const OTHER_ACCESS_KEY: &str = "AKOTHER";
/// The secret that goes with it.
pub(crate) const OTHER_SECRET_KEY: &str = "another-secret-of-the-tests";

/// A table for configs: the operator's key.
pub(crate) const OPERATOR: &str = r#"
[s3.keys.operator]
access_key = "AKTEST"
secret_key = "a-secret-of-the-tests"
"#;

/// Tables for configs: `inbox` and `results`, with the built-in `uppercase` for `.txt` in between.
pub(crate) const UPPERCASE: &str = r#"
[buckets.inbox]
path = "inbox"

[buckets.results]
path = "results"

[pipelines.uppercase]
on = [{ bucket = "inbox", suffix = ".txt" }]
run = "uppercase"

[functions.uppercase]
runtime = "builtin"
handler = "uppercase"
write = ["results/*"]
"#;

/// How long a condition may take that must come true. Generous: the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// How long between two looks at a condition.
const POLL: Duration = Duration::from_millis(20);

/// The program under test: `DAYBOOK_TEST_BIN`, or what was built beside the tests.
pub(crate) fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("DAYBOOK_TEST_BIN") {
        return path.into();
    }
    let own = std::env::current_exe().expect("the tests run from a file");
    let built = own
        .ancestors()
        .nth(2)
        .expect("the tests are in deps")
        .join("daybook");
    assert!(
        built.is_file(),
        "{} is not there; run cargo build -p daybook, or name it in DAYBOOK_TEST_BIN",
        built.display()
    );
    built
}

/// Runs the program to its end.
pub(crate) async fn run(arguments: &[&str]) -> std::process::Output {
    Command::new(program())
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("the program runs")
}

/// Waits until `look` gives something, and fails if that takes too long.
#[track_caller]
pub(crate) fn eventually<T, F>(
    what: impl Into<String>,
    mut look: impl FnMut() -> F,
) -> impl Future<Output = T>
where
    F: Future<Output = Option<T>>,
{
    let caller = std::panic::Location::caller();
    let what = what.into();
    async move {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(
                Instant::now() < deadline,
                "{caller}: this did not come true: {what}"
            );
            tokio::time::sleep(POLL).await;
        }
    }
}

/// A folder with a config, its buckets and a data directory. Servers come and go on it.
pub(crate) struct Ledger {
    folder: PathBuf,
    data: &'static str,
    /// Removed with it, if it is its own.
    _folder: Option<TempDir>,
}

impl Ledger {
    /// A new ledger with this config.
    pub(crate) fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ledger = Self {
            folder: folder.path().to_owned(),
            data: "data",
            _folder: Some(folder),
        };
        ledger.write("daybook.toml", config);
        ledger
    }

    /// One that is there already, with its data directory in this folder of it.
    pub(crate) fn at(folder: &Path, data: &'static str) -> Self {
        Self {
            folder: folder.to_owned(),
            data,
            _folder: None,
        }
    }

    /// `inbox`, `results` and the built-in `uppercase`.
    pub(crate) fn uppercase() -> Self {
        Self::new(&format!("{UPPERCASE}{OPERATOR}"))
    }

    /// A path in its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a file in its folder, with the folders on the way.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a file is in a folder")).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Its config file.
    pub(crate) fn config(&self) -> PathBuf {
        self.path("daybook.toml")
    }

    /// Its data directory.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.path(self.data)
    }

    fn serve_command(&self) -> Command {
        self.serve_command_in(&self.data_dir())
    }

    fn serve_command_in(&self, data_dir: &Path) -> Command {
        let mut command = Command::new(program());
        command
            .arg("serve")
            .arg("--config")
            .arg(self.config())
            .arg("--data-dir")
            .arg(data_dir)
            .args(["--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Serves it, and returns once it is ready.
    pub(crate) async fn start(&self) -> Server {
        Starting::spawn(self.serve_command()).ready().await
    }

    /// The same with these variables in the environment, and no key of the person who runs the tests.
    pub(crate) async fn start_with(&self, variables: &[(&str, &std::ffi::OsStr)]) -> Server {
        let mut command = self.serve_command();
        for name in [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
        ] {
            command.env_remove(name);
        }
        command.envs(variables.iter().copied());
        Starting::spawn(command).ready().await
    }

    /// Serves it as one process of several, with these roles and a data directory of its own.
    pub(crate) async fn start_as(&self, name: &str, roles: &str) -> Server {
        let mut command = self.serve_command_in(&self.path(name));
        command.args(["--roles", roles]);
        Starting::spawn(command).ready().await
    }

    /// Starts to serve it, and ends that as a power failure would, ready or not.
    pub(crate) async fn start_and_kill_after(&self, pause: Duration) {
        let starting = Starting::spawn(self.serve_command());
        tokio::time::sleep(pause).await;
        starting.kill().await;
    }

    /// The processes that were started for this ledger's functions.
    pub(crate) fn function_processes(&self) -> Vec<String> {
        let folder = self.folder.as_os_str().as_encoded_bytes();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").expect("processes are listed") {
            let path = entry.expect("processes are listed").path();
            // A process may end while it is looked at; then it is not there.
            let environment = std::fs::read(path.join("environ")).unwrap_or_default();
            if environment.windows(folder.len()).any(|part| part == folder) {
                let command = std::fs::read(path.join("cmdline")).unwrap_or_default();
                let command = String::from_utf8_lossy(&command).replace('\0', " ");
                found.push(format!("{}: {command}", path.display()));
            }
        }
        found
    }

    /// Serves it where that must fail: the exit code and what it said.
    pub(crate) async fn start_refused(&self) -> (i32, String) {
        refused(self.serve_command()).await
    }

    /// The same where a variable of the environment is another.
    pub(crate) async fn start_refused_with(
        &self,
        name: &str,
        value: impl AsRef<std::ffi::OsStr>,
    ) -> (i32, String) {
        let mut command = self.serve_command();
        command.env(name, value);
        refused(command).await
    }
}

async fn refused(mut command: Command) -> (i32, String) {
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output.expect("it ends by itself").expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().expect("it was not killed"), said)
}

/// All files below a folder.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flat_map(|entry| {
            let path = entry.expect("the folder can be read").path();
            if path.is_dir() {
                files_below(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}
