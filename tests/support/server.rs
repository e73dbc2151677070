//! A running server, and ways to ask it.

use std::process::ExitStatus;
use std::sync::{Arc, Mutex};

use daybook_s3_gateway::client::S3Client;
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::{ACCESS_KEY, PATIENCE, SECRET_KEY, eventually, wire};

/// What GraphQL gives at once.
const PAGE: usize = 100;

/// A program that was told to serve, and may not be ready yet.
pub(super) struct Starting {
    child: Child,
    log: Log,
    /// Where the gateway and the API listen, once that is known.
    ready: watch::Receiver<Option<(String, String)>>,
}

impl Starting {
    /// Starts the program.
    pub(super) fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the program starts");
        let log = Log::default();
        let (found, ready) = watch::channel(None);
        let stderr = child.stderr.take().expect("it is piped");
        tokio::spawn(follow(stderr, log.clone(), found));
        Self { child, log, ready }
    }

    /// The server, once it is ready.
    pub(super) async fn ready(mut self) -> Server {
        let found = tokio::time::timeout(PATIENCE, self.ready.wait_for(Option::is_some)).await;
        let Some((s3, api)) = found.ok().and_then(|found| found.ok()?.clone()) else {
            panic!("the server did not become ready:\n{}", self.log.text());
        };
        Server {
            api,
            s3,
            child: self.child,
            log: self.log,
            http: reqwest::Client::new(),
        }
    }

    /// Ends it as a power failure would.
    pub(super) async fn kill(mut self) {
        self.child.kill().await.expect("it can be killed");
    }
}

/// A running server. Dropping it kills it.
pub(crate) struct Server {
    /// `http://ADDRESS:PORT` of GraphQL and commands.
    pub(crate) api: String,
    /// `http://ADDRESS:PORT` of the S3 gateway; empty where it has none.
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

    /// The ids under which it has joined as a worker, oldest first.
    pub(crate) fn workers(&self) -> Vec<String> {
        let log = self.log();
        let joined = log
            .lines()
            .filter(|line| line.contains("joined as a worker"));
        joined
            .filter_map(|line| line.split_once("worker="))
            .map(|(_, id)| id.split_whitespace().next().unwrap_or_default().to_owned())
            .collect()
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

    /// Asks through GraphQL, of no less than what was on record before; the answer is its `data`, and errors fail the test.
    pub(crate) async fn query(&self, query: &str, variables: Value) -> Value {
        self.caught_up().await;
        self.data(query, variables).await
    }

    async fn data(&self, query: &str, variables: Value) -> Value {
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

    /// Returns once the read side has all that is in the log now.
    pub(crate) async fn caught_up(&self) {
        let position = |of: &Value| of["position"].to_string().trim_matches('"').parse::<u64>();
        let ledger = self.data("{ ledger { position } }", json!({})).await;
        let head = position(&ledger["ledger"]).expect("a position");
        eventually("the read side is caught up", || async {
            let answer = self
                .data("{ ledger { projections { position } } }", json!({}))
                .await;
            let projections = answer["ledger"]["projections"].as_array()?.clone();
            let behind = |it: &Value| position(it).is_ok_and(|at| at < head);
            (!projections.iter().any(behind)).then_some(())
        })
        .await;
    }

    /// All nodes of a connection, of no less than what was on record before. `query` takes `$first` and `$after` and gives `field` with
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

/// What a server wrote to standard error.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Log {
    fn text(&self) -> String {
        self.0.lock().expect("nobody panics with it").clone()
    }
}

/// Keeps what the server says, and finds out where it listens: the gateway, if it has one, is told
/// of first.
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
        if let Some(url) = url("commands ").or_else(|| url("GraphQL ")) {
            let api = url.trim_end_matches("/graphql").trim_end_matches("/v1");
            let s3 = s3.clone().unwrap_or_default();
            found.send_replace(Some((s3, api.to_owned())));
        }
        let mut text = log.0.lock().expect("nobody panics with it");
        text.push_str(&line);
        text.push('\n');
    }
}

const EVENTS: &str = r"
query ($first: Int, $after: String, $where: EventWhere) {
  events(first: $first, after: $after, where: $where) {
    nodes { position stream version type recordedAt actor causationId data }
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
