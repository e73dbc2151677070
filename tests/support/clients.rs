//! The programs that people have: the AWS command line, Python with boto3, Node.js, and the
//! `daybook` command line itself. `./test` installs them and says in the environment where.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use super::{
    ACCESS_KEY, OTHER_ACCESS_KEY, OTHER_SECRET_KEY, PATIENCE, SECRET_KEY, Server, program,
};

/// What a program did.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Its exit code.
    pub(crate) code: i32,
    /// What it wrote to standard output.
    pub(crate) out: String,
    /// What it wrote to standard error.
    pub(crate) err: String,
}

impl Ran {
    /// What it wrote, provided that it went well.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}\n{}", self.out, self.err);
        self.out
    }

    /// The JSON that it wrote, provided that it went well.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let out = self.ok();
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }

    /// What it wrote to standard error, provided that it failed with this exit code.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        self.err
    }
}

/// The AWS command line, with the operator's key.
pub(crate) async fn aws(server: &Server, arguments: &[&str]) -> Ran {
    let mut command = with_key(server, installed("DAYBOOK_TEST_AWS"));
    command.args(arguments);
    finished(command).await
}

/// A script of `tests/clients` in Python, with the operator's key.
pub(crate) async fn python(server: &Server, script: &str, arguments: &[&OsStr]) -> Ran {
    let mut command = with_key(server, installed("DAYBOOK_TEST_PYTHON"));
    command.arg(beside(script)).args(arguments);
    finished(command).await
}

/// One of the `s3_*.py` programs: it runs its cases and says how many passed. Besides the
/// operator's key it is given a second one.
pub(crate) async fn cases(server: &Server, program: &str) -> Ran {
    let mut command = with_key(server, installed("DAYBOOK_TEST_PYTHON"));
    command
        .arg(beside(program))
        .env("S3_OTHER_ACCESS_KEY", OTHER_ACCESS_KEY)
        .env("S3_OTHER_SECRET_KEY", OTHER_SECRET_KEY);
    finished(command).await
}

/// A script of `tests/clients` in Node.js, which is told in `NODE_MODULES` where its packages are.
pub(crate) async fn node(script: &str, arguments: &[&str]) -> Ran {
    let mut command = Command::new("node");
    command
        .arg(beside(script))
        .args(arguments)
        .env("NODE_MODULES", installed("DAYBOOK_TEST_NODE_MODULES"));
    finished(command).await
}

/// Gives a function's folder the packages for Node.js, as `npm install` would.
pub(crate) fn link_node(folder: &Path) {
    let packages = installed("DAYBOOK_TEST_NODE_MODULES");
    std::os::unix::fs::symlink(packages, folder.join("node_modules")).unwrap();
}

/// Gives a function's folder the environment for Python, as `python3 -m venv .venv` and `pip
/// install` would.
pub(crate) fn link_python(folder: &Path) {
    let python = installed("DAYBOOK_TEST_PYTHON");
    let environment = python.ancestors().nth(2).expect("it is in an environment");
    std::os::unix::fs::symlink(environment, folder.join(".venv")).unwrap();
}

/// The `daybook` command line, talking to the server once its read side has what was on record before.
pub(crate) async fn daybook(server: &Server, arguments: &[&str]) -> Ran {
    server.caught_up().await;
    let mut command = Command::new(program());
    command
        .args(["--server", &server.api])
        .args(arguments)
        .env("USER", "tester");
    finished(command).await
}

/// Runs it to its end.
pub(crate) async fn finished(mut command: Command) -> Ran {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(PATIENCE, output).await;
    let output = output.expect("it ends in time").expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it writes text");
    Ran {
        code: output.status.code().expect("it was not killed"),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

fn with_key(server: &Server, program: PathBuf) -> Command {
    let mut command = Command::new(program);
    command
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_ENDPOINT_URL", &server.s3)
        // Nothing that the person who runs the tests has set up.
        .env_remove("AWS_PROFILE")
        .env_remove("AWS_SESSION_TOKEN")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        // One answer a request: a retry would hide what the gateway said first.
        .env("AWS_MAX_ATTEMPTS", "1");
    command
}

/// What `./test` installed or built, and named in this variable.
pub(crate) fn installed(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable);
    path.map(PathBuf::from)
        .unwrap_or_else(|| panic!("{variable} is not set; ./test installs the clients and sets it"))
}

fn beside(script: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("clients")
        .join(script)
}
