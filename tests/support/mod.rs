//! What the tests of the whole system have in common: a ledger in a folder of its own, the program
//! that serves it, and ways to ask it.
//!
//! ```text
//!  Ledger (config, buckets, data directory) ─ start ─> Server (child process) ─> GraphQL, /v1, S3
//! ```
//! Nothing here waits for a fixed time: [`eventually`] asks until the answer is there.

pub(crate) mod clients;
pub(crate) mod socket;
pub(crate) mod wire;

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use daybook_s3_gateway::client::S3Client;
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// What the configs of the tests name as the operator's key.
pub(crate) const ACCESS_KEY: &str = "AKTEST";
/// The secret that goes with it.
pub(crate) const SECRET_KEY: &str = "a-secret-of-the-tests";

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
/// What GraphQL gives at once.
const PAGE: usize = 100;

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
        let mut command = Command::new(program());
        command
            .arg("serve")
            .arg("--config")
            .arg(self.config())
            .arg("--data-dir")
            .arg(self.data_dir())
            .args(["--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Serves it, and returns once it is ready.
    pub(crate) async fn start(&self) -> Server {
        let (child, log, mut ready) = self.spawn();
        let found = tokio::time::timeout(PATIENCE, ready.wait_for(Option::is_some)).await;
        let Some((s3, api)) = found.ok().and_then(|found| found.ok()?.clone()) else {
            panic!("the server did not become ready:\n{}", log.text());
        };
        Server {
            api,
            s3,
            child,
            log,
            http: reqwest::Client::new(),
        }
    }

    /// Starts to serve it, without waiting.
    fn spawn(&self) -> (Child, Log, watch::Receiver<Option<(String, String)>>) {
        let mut child = self.serve_command().spawn().expect("the program starts");
        let log = Log::default();
        let (found, ready) = watch::channel(None);
        let stderr = child.stderr.take().expect("it is piped");
        tokio::spawn(follow(stderr, log.clone(), found));
        (child, log, ready)
    }

    /// Starts to serve it, and ends that as a power failure would, ready or not.
    pub(crate) async fn start_and_kill_after(&self, pause: Duration) {
        let (mut child, _log, _ready) = self.spawn();
        tokio::time::sleep(pause).await;
        child.kill().await.expect("it can be killed");
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

/// What a server wrote to standard error.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Log {
    fn text(&self) -> String {
        self.0.lock().expect("nobody panics with it").clone()
    }
}

/// Keeps what the server says, and finds out where it listens.
async fn follow(
    stderr: tokio::process::ChildStderr,
    log: Log,
    found: watch::Sender<Option<(String, String)>>,
) {
    let mut lines = BufReader::new(stderr).lines();
    let mut s3 = None;
    while let Ok(Some(line)) = lines.next_line().await {
        let url = |name: &str| {
            let rest = line.trim_start().strip_prefix(name)?.trim_start();
            rest.split_whitespace().next().map(str::to_owned)
        };
        if let Some(url) = url("S3 gateway ") {
            s3 = Some(url);
        }
        if let (Some(s3), Some(url)) = (&s3, url("GraphQL ")) {
            let api = url.trim_end_matches("/graphql").to_owned();
            found.send_replace(Some((s3.clone(), api)));
        }
        let mut text = log.0.lock().expect("nobody panics with it");
        text.push_str(&line);
        text.push('\n');
    }
}

/// A running server. Dropping it kills it.
pub(crate) struct Server {
    /// `http://ADDRESS:PORT` of GraphQL and commands.
    pub(crate) api: String,
    /// `http://ADDRESS:PORT` of the S3 gateway.
    pub(crate) s3: String,
    child: Child,
    log: Log,
    http: reqwest::Client,
}

impl Server {
    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it was not waited for")
    }

    /// What it wrote to standard error so far.
    pub(crate) fn log(&self) -> String {
        self.log.text()
    }

    /// An S3 client with the operator's key.
    pub(crate) fn client(&self) -> S3Client {
        S3Client::new(&self.s3, "us-east-1", ACCESS_KEY, SECRET_KEY)
    }

    /// An S3 client that shows each answer as it is.
    pub(crate) fn wire(&self) -> wire::Client {
        wire::Client::new(&self.s3, ACCESS_KEY, SECRET_KEY)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        rustix::process::kill_process(pid.expect("a process id"), signal).expect("it is there");
    }

    /// Ends it as a power failure would, and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("it can be killed");
    }

    /// Waits until it ends: how, and what it said.
    pub(crate) async fn wait(mut self) -> (ExitStatus, String) {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = ended.expect("it ends in time").expect("it is a child");
        (status, self.log())
    }

    /// Asks it to stop, and waits until it did.
    pub(crate) async fn stop(self) -> (ExitStatus, String) {
        self.signal(Signal::TERM);
        self.wait().await
    }

    /// Asks through GraphQL; the answer is its `data`, and errors fail the test.
    pub(crate) async fn query(&self, query: &str, variables: Value) -> Value {
        let answer = self.ask(query, variables).await;
        let mut answer = answer.expect("the server answers");
        assert!(answer["errors"].is_null(), "{query}: {answer:#}");
        answer["data"].take()
    }

    /// Asks through GraphQL; the answer as it is.
    pub(crate) async fn ask(&self, query: &str, variables: Value) -> Result<Value, reqwest::Error> {
        let response = self
            .http
            .post(format!("{}/graphql", self.api))
            .json(&json!({ "query": query, "variables": variables }))
            .send()
            .await?;
        response.json().await
    }

    /// Sends a command to `/v1/…`: the status and the answer.
    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let request = self
            .http
            .post(format!("{}{path}", self.api))
            .header("daybook-actor", "tests")
            .json(&body);
        let response = request.send().await.expect("the server answers");
        let status = response.status().as_u16();
        let text = response.text().await.expect("a whole answer");
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Fetches a document: the status and the text.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let request = self.http.get(format!("{}{path}", self.api));
        let response = request.send().await.expect("the server answers");
        let status = response.status().as_u16();
        (status, response.text().await.expect("a whole answer"))
    }

    /// All nodes of a connection. `query` takes `$first` and `$after` and gives `field` with
    /// `nodes` and `pageInfo { hasNextPage endCursor }`.
    pub(crate) async fn all(&self, query: &str, field: &str, mut variables: Value) -> Vec<Value> {
        let mut nodes = Vec::new();
        variables["first"] = json!(PAGE);
        loop {
            let mut answer = self.query(query, variables.clone()).await;
            let connection = &mut answer[field];
            let Value::Array(page) = connection["nodes"].take() else {
                panic!("{field} has no nodes");
            };
            nodes.extend(page);
            if connection["pageInfo"]["hasNextPage"] != true {
                return nodes;
            }
            variables["after"] = connection["pageInfo"]["endCursor"].take();
        }
    }

    /// All events, or those of some types, oldest first.
    pub(crate) async fn events(&self, types: &[&str]) -> Vec<Value> {
        let filter = if types.is_empty() {
            json!({})
        } else {
            json!({ "type": types })
        };
        self.all(EVENTS, "events", json!({ "where": filter })).await
    }

    /// The object, once all its runs ended.
    #[track_caller]
    pub(crate) fn settled(&self, bucket: &str, key: &str) -> impl Future<Output = Value> + use<'_> {
        let what = format!("{bucket}/{key} is settled");
        let variables = json!({ "bucket": bucket, "key": key });
        eventually(what, move || {
            let variables = variables.clone();
            async move {
                let mut answer = self.query(OBJECT, variables).await;
                let object = answer["object"].take();
                let status = object["status"].as_str()?;
                (!matches!(status, "PENDING" | "RUNNING")).then_some(object)
            }
        })
    }
}

impl Drop for Server {
    /// A failed test shows what its server had to say.
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("--- the server said ---\n{}", self.log());
        }
    }
}

const EVENTS: &str = r"
query ($first: Int, $after: String, $where: EventWhere) {
  events(first: $first, after: $after, where: $where) {
    nodes { position stream version type recordedAt actor data }
    pageInfo { hasNextPage endCursor }
  }
}";

const OBJECT: &str = r"
query ($bucket: String!, $key: String!) {
  object(bucket: $bucket, key: $key) {
    bucket key versionId etag size status present
    executions(first: 100) {
      nodes {
        id pipelineName status error cause output causeKind
        attempts { task attempt status functionName error cause logs }
        writtenObjects { bucket key versionId etag size }
        readObjects { bucket key versionId etag size }
      }
    }
  }
}";

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
