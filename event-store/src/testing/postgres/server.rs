//! A PostgreSQL server that a test starts, stops and fails over.

use std::fs::{self, File, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::process::Programs;

/// How long a server may take to come up or go down.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often its state is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(10);
/// Another process may take the free port first.
const ATTEMPTS: usize = 5;
/// Each test may open several logs, each with its connections.
const MAX_CONNECTIONS: usize = 200;

/// How a server is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Orderly: sessions are ended, everything is written.
    Fast,
    /// As in a crash: the next start recovers from the write-ahead log.
    Immediate,
}

/// A PostgreSQL server on loopback with its data in a temporary folder; stopped when dropped.
///
/// Its superuser is `postgres`, with a password that is in [`TestServer::url`]. Everything here
/// blocks until it is done, and panics where it cannot be done.
#[derive(Debug)]
pub struct TestServer {
    programs: Programs,
    folder: TempDir,
    password: String,
    port: u16,
    settings: Vec<String>,
    process: Option<Child>,
}

impl TestServer {
    /// Makes and starts a server; `fsync` is on.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with further settings, each as in `shared_buffers=256MB`.
    pub fn start_with(settings: &[&str]) -> Self {
        let mut server = Self::new(new_password(), settings);
        let password_file = server.write_private_file("password", &server.password);
        let (data, password_file) = (text(&server.data()), text(&password_file));
        let arguments = [
            "--pgdata",
            &data,
            "--username=postgres",
            "--auth=scram-sha-256",
            "--pwfile",
            &password_file,
            "--encoding=UTF8",
            "--locale=C",
            // Of the empty tables only; the server itself syncs.
            "--no-sync",
        ];
        server.programs.run("initdb", &arguments, &[]);
        server.run_on_a_free_port();
        server
    }

    /// A streaming standby of this server, caught up and readable.
    pub fn standby(&self) -> Self {
        let mut standby = Self::new(self.password.clone(), &[]);
        let (data, port) = (text(&standby.data()), self.port.to_string());
        let arguments = [
            "--pgdata",
            &data,
            "--host=127.0.0.1",
            "--port",
            &port,
            "--username=postgres",
            "--checkpoint=fast",
            "--wal-method=stream",
            "--write-recovery-conf",
            "--no-sync",
        ];
        let password = [("PGPASSWORD", self.password.as_str())];
        standby.programs.run("pg_basebackup", &arguments, &password);
        standby.run_on_a_free_port();
        standby
    }

    /// Makes a standby a primary. The old one should be stopped before.
    pub fn promote(&self) {
        let data = text(&self.data());
        let arguments = ["promote", "--wait", "--pgdata", &data];
        self.programs.run("pg_ctl", &arguments, &[]);
    }

    /// Stops the server; it keeps its data and its port. Nothing where it does not run.
    pub fn stop(&mut self, how: Shutdown) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        let signal = match how {
            Shutdown::Fast => Signal::INT,
            Shutdown::Immediate => Signal::QUIT,
        };
        let _ = kill_process(Pid::from_child(&process), signal);
        if wait_for(|| ended(&mut process)).is_none() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts the stopped server again, on the same port.
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "it runs");
        if let Err(why) = self.run() {
            panic!("PostgreSQL does not start again: {why}");
        }
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `postgres://…` of its database `postgres`, as superuser.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// `postgres://…` of one of its databases, as superuser.
    pub fn url_of(&self, database: &str) -> String {
        let (password, port) = (&self.password, self.port);
        format!("postgres://postgres:{password}@127.0.0.1:{port}/{database}")
    }

    /// Writes a file beside the data that only the server may read, such as a key; its path.
    pub fn write_private_file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).expect("the folder can be written");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("it is ours");
        self.programs.hand_over(&path);
        path
    }

    fn new(password: String, settings: &[&str]) -> Self {
        let programs = Programs::find();
        let folder = tempfile::Builder::new()
            .prefix("daybook-postgres-")
            .tempdir();
        let folder = folder.expect("there is a temporary folder");
        programs.hand_over(folder.path());
        Self {
            programs,
            folder,
            password,
            port: 0,
            settings: settings
                .iter()
                .map(|setting| (*setting).to_owned())
                .collect(),
            process: None,
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    fn run_on_a_free_port(&mut self) {
        let mut why = String::new();
        for _ in 0..ATTEMPTS {
            self.port = free_port();
            match self.run() {
                Ok(()) => return,
                Err(found) => why = found,
            }
        }
        panic!("PostgreSQL does not start: {why}");
    }

    /// Starts the server and waits until it takes connections; else what it logged.
    fn run(&mut self) -> Result<(), String> {
        let log = File::options().create(true).append(true).open(self.log());
        let log = log.expect("the log can be written");
        let mut command = self.programs.command("postgres");
        command.arg("-D").arg(self.data());
        let settings = [
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
            format!("port={}", self.port),
            format!("max_connections={MAX_CONNECTIONS}"),
        ];
        for setting in settings.iter().chain(&self.settings) {
            command.arg("-c").arg(setting);
        }
        command.stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a file can be shared"));
        command.stderr(log);
        // One of an earlier run would tell of that.
        let status = self.data().join("postmaster.pid");
        let _ = fs::remove_file(&status);
        let mut process = command.spawn().expect("postgres starts");
        let up = wait_for(|| match ended(&mut process) {
            Some(_) => Some(false),
            None => is_ready(&status).then_some(true),
        });
        if up == Some(true) {
            self.process = Some(process);
            return Ok(());
        }
        let _ = process.kill();
        let _ = process.wait();
        Err(fs::read_to_string(self.log()).unwrap_or_default())
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop(Shutdown::Immediate);
    }
}

/// Whether the server says in its status file that it takes connections.
fn is_ready(status: &Path) -> bool {
    let status = fs::read_to_string(status).unwrap_or_default();
    let state = status.lines().nth(7).unwrap_or_default().trim();
    state == "ready" || state == "standby"
}

fn ended(process: &mut Child) -> Option<ExitStatus> {
    process.try_wait().expect("it is our child")
}

/// Looks until there is something, but not for ever.
fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(found) = look() {
            return Some(found);
        }
        thread::sleep(LOOK);
    }
    None
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has free ports");
    listener.local_addr().expect("it is bound").port()
}

/// Loopback is open to every user of the machine.
fn new_password() -> String {
    hex::encode(crate::clock::new_salt())
}

fn text(path: &Path) -> String {
    path.to_str()
        .expect("temporary folders have plain names")
        .to_owned()
}
