//! Shared by this crate's tests: a function whose events are the code that it runs, and a storage
//! that writes down how it is called. Needs `python3` in PATH, with nothing but its library.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use bytes::Bytes;
use daybook_domain::execution::ObjectAccess;
use daybook_domain::{BucketName, Chain, ExecutionId, FunctionName, ObjectKey};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::{
    FunctionHost, FunctionSpec, HostOptions, Invocation, InvocationScope, Outcome, OutcomeResult,
    Runtime, SandboxPart, StorageAccess, StorageActivity, StorageCredentials,
};

/// A Runtime API client that runs the Python code in `INIT`, then that in each event's `do`.
const BOOTSTRAP: &str = r#"
import http.client, json, os, subprocess, sys, time
api = http.client.HTTPConnection(os.environ['AWS_LAMBDA_RUNTIME_API'])
def call(method, path, body=None, headers={}):
    api.request(method, '/2018-06-01/runtime/' + path, body, headers)
    answer = api.getresponse()
    return answer.status, json.loads(answer.read() or 'null'), answer.headers
def respond(body): return call('POST', f'invocation/{id}/response', body)
def fail(body, headers={}): return call('POST', f'invocation/{id}/error', body, headers)
exec(os.environ.get('INIT', ''))
while True:
    status, event, headers = call('GET', 'invocation/next')
    id = headers['Lambda-Runtime-Aws-Request-Id']
    exec(event['do'])
"#;

/// The interpreter itself, past version managers' scripts.
pub(crate) static PYTHON: LazyLock<String> = LazyLock::new(|| {
    let output = Command::new("python3")
        .args(["-c", "import sys; print(sys.executable)"])
        .output();
    let output = output.expect("NOT RUN: these tests need python3 in PATH");
    assert!(output.status.success(), "NOT RUN: python3 does not work");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
});

/// A host with one function `scripted`, of one process unless a test wants more.
pub(crate) struct Fixture {
    pub(crate) host: Arc<FunctionHost>,
    pub(crate) storage: Arc<FakeStorage>,
    pub(crate) name: FunctionName,
    pub(crate) folder: TempDir,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut FunctionSpec)) -> Self {
        Self::started(Vec::new(), change).await
    }

    /// With the launcher between the host and the function.
    pub(crate) async fn launched(change: impl FnOnce(&mut FunctionSpec)) -> Self {
        let interpreter = Path::new(&*PYTHON).ancestors().nth(2).unwrap();
        let change = |spec: &mut FunctionSpec| {
            spec.readable = vec![interpreter.to_owned()];
            change(spec);
        };
        Self::started(launcher(), change).await
    }

    /// Whether these parts of the sandbox are here; says so loudly if not.
    pub(crate) fn has(&self, parts: &[SandboxPart]) -> bool {
        let lacks = &self.host.status()[0].sandbox_lacks;
        let missing: Vec<_> = parts.iter().filter(|part| lacks.contains(part)).collect();
        for part in &missing {
            let message = format!("NOT RUN: this machine lacks {part}\n");
            std::io::stderr().write_all(message.as_bytes()).unwrap();
        }
        missing.is_empty()
    }

    /// A function that has to wait so long after its first failed start.
    pub(crate) async fn backing_off_for(first: Duration) -> Self {
        Self::made(Vec::new(), first, |_| {}).await
    }

    async fn started(
        launch_command: Vec<OsString>,
        change: impl FnOnce(&mut FunctionSpec),
    ) -> Self {
        Self::made(launch_command, Duration::from_millis(300), change).await
    }

    async fn made(
        launch_command: Vec<OsString>,
        crash_backoff_first: Duration,
        change: impl FnOnce(&mut FunctionSpec),
    ) -> Self {
        // Outside of /tmp, which a launched function may have one of its own.
        let folder = match launch_command.is_empty() {
            true => TempDir::new().unwrap(),
            false => TempDir::new_in("/var/tmp").unwrap(),
        };
        let code = folder.path().join("code");
        std::fs::create_dir(&code).unwrap();
        bootstrap(&code);
        let options = HostOptions {
            launch_command,
            run_dir: folder.path().join("run"),
            crash_backoff_first,
            crash_backoff_most: crash_backoff_first.max(HostOptions::default().crash_backoff_most),
            ..HostOptions::default()
        };
        let storage = Arc::new(FakeStorage::default());
        let host = FunctionHost::new(Arc::clone(&storage) as Arc<dyn StorageAccess>, options);
        let name = FunctionName::parse("scripted").unwrap();
        let mut spec = FunctionSpec::new(name.clone(), Runtime::Provided, code, "");
        spec.concurrency = 1;
        change(&mut spec);
        host.load(spec).await.unwrap();
        Self {
            host,
            storage,
            name,
            folder,
        }
    }

    /// Runs Python code as an invocation.
    pub(crate) async fn run(&self, code: &str) -> Outcome {
        let slot = self.slot().await;
        self.host.invoke(slot, invocation(code)).await
    }

    /// Waits for a slot.
    pub(crate) async fn slot(&self) -> crate::Slot {
        loop {
            match self.host.reserve(&self.name) {
                Some(slot) => return slot,
                None => self.host.slot_freed().await,
            }
        }
    }
}

/// This test program itself, see `sandbox::tests::launches`.
fn launcher() -> Vec<OsString> {
    let mut command = vec![std::env::current_exe().unwrap().into()];
    let flags = ["--ignored", "--exact", "--nocapture", "--test-threads=1"];
    command.extend(flags.map(OsString::from));
    command.push("sandbox::tests::launches".into());
    command
}

pub(crate) fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// What the function wrote, without the lines of the host around it.
pub(crate) fn written(outcome: &Outcome) -> String {
    let ours = |line: &&str| {
        ["START ", "END ", "REPORT "]
            .iter()
            .any(|it| line.starts_with(it))
    };
    outcome
        .logs
        .split_inclusive('\n')
        .filter(|line| !ours(line))
        .collect()
}

pub(crate) fn bootstrap(code: &Path) {
    let file = code.join("bootstrap");
    std::fs::write(&file, format!("#!{} -SE\n{BOOTSTRAP}", *PYTHON)).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

pub(crate) fn invocation(code: &str) -> Invocation {
    Invocation {
        request_id: crate::clock::new_id(),
        execution: ExecutionId(crate::clock::new_id()),
        task: 1,
        attempt: 1,
        trigger: None,
        shadow: None,
        chain: Chain::default(),
        payload: Bytes::from(json!({ "do": code }).to_string()),
        timeout: None,
        traceparent: None,
        cancel: CancellationToken::new(),
    }
}

/// The answer, or a panic that shows what there was instead.
#[track_caller]
pub(crate) fn answer(outcome: &Outcome) -> Value {
    match &outcome.result {
        OutcomeResult::Succeeded(value) => value.clone(),
        _ => panic!("did not succeed: {outcome:#?}"),
    }
}

/// The error's name and message.
#[track_caller]
pub(crate) fn failure(outcome: &Outcome) -> (String, String) {
    match &outcome.result {
        OutcomeResult::Failed { error, cause } => (error.clone(), message(cause)),
        _ => panic!("did not fail: {outcome:#?}"),
    }
}

#[track_caller]
pub(crate) fn message(cause: &str) -> String {
    let document: Value = serde_json::from_str(cause).expect("a cause is a JSON document");
    document["errorMessage"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// Waits until a condition holds that nothing announces.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let patience = Duration::from_secs(20);
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(patience, wait)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}

/// Whether the process whose id is in this file runs.
pub(crate) fn is_alive(pid_file: &Path) -> bool {
    let pid = std::fs::read_to_string(pid_file).unwrap_or_default();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, state)| !state.starts_with('Z'))
}

/// Writes down how it is called, and whether a process was alive then.
#[derive(Default)]
pub(crate) struct FakeStorage {
    calls: Mutex<Vec<String>>,
    pub(crate) watch: Mutex<Option<std::path::PathBuf>>,
    pub(crate) endpoint: Mutex<Option<String>>,
    pub(crate) scopes: Mutex<Vec<InvocationScope>>,
    pub(crate) truncated: AtomicBool,
}

impl FakeStorage {
    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    pub(crate) fn written() -> ObjectAccess {
        ObjectAccess {
            bucket: BucketName::parse("results").unwrap(),
            key: ObjectKey::parse("a.txt").unwrap(),
            version_id: None,
            etag: None,
            size: Some(3),
            staged: false,
            ranges: None,
        }
    }

    fn record(&self, call: &str, key: &str) {
        let watched = self.watch.lock().unwrap();
        let alive = match &*watched {
            Some(file) if is_alive(file) => " alive",
            _ => "",
        };
        self.calls
            .lock()
            .unwrap()
            .push(format!("{call} {key}{alive}"));
    }
}

impl StorageAccess for FakeStorage {
    fn issue(&self, _function: &FunctionName) -> StorageCredentials {
        let issued = self
            .calls()
            .iter()
            .filter(|call| call.starts_with("issue"))
            .count();
        let key = format!("AK{}", issued + 1);
        self.record("issue", &key);
        let endpoint = self.endpoint.lock().unwrap().clone();
        StorageCredentials {
            access_key: key,
            secret_key: "planted-secret".to_owned(),
            endpoint: endpoint.unwrap_or_else(|| "http://127.0.0.1:9000".to_owned()),
            region: "eu-central-1".to_owned(),
        }
    }

    fn begin(&self, access_key: &str, scope: InvocationScope) {
        self.scopes.lock().unwrap().push(scope);
        self.record("begin", access_key);
    }

    fn end(&self, access_key: &str) -> StorageActivity {
        self.record("end", access_key);
        StorageActivity {
            written: vec![Self::written()],
            truncated: self.truncated.load(Ordering::Relaxed),
            ..StorageActivity::default()
        }
    }

    fn revoke(&self, access_key: &str) {
        self.record("revoke", access_key);
    }
}
