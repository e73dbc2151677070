//! How many invocations a second one process answers through the host, with the official runtime
//! clients, beside the same client against a bare loop that only answers it.
//!
//! ```sh
//! cargo build --release
//! DAYBOOK_BENCH_BIN=target/release/daybook \
//! DAYBOOK_TEST_NODE_MODULES=.tools/node/node_modules DAYBOOK_TEST_PYTHON=.tools/python/bin/python \
//!     cargo bench -p daybook-functions --bench invocations -- 10000
//! ```
//! The argument is the number of invocations. Each carries a number, which has to come back once.
//! A client whose variable is not set is left out, and said so. The Rust client is in the program
//! itself, which also is the launcher that confines the processes; without it they are not confined.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench: a failure says where, and it prints what it measured"
)]

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use daybook_domain::{Chain, ExecutionId, FunctionName};
use daybook_functions::{
    FunctionHost, FunctionSpec, HostOptions, Invocation, InvocationScope, OutcomeResult, Runtime,
    StorageAccess, StorageActivity, StorageCredentials,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Hand-overs that are measured one by one at half load, and how long between two of them.
const SPACED: u64 = 1_000;

struct NoStorage;

impl StorageAccess for NoStorage {
    fn issue(&self, _: &FunctionName) -> StorageCredentials {
        StorageCredentials {
            access_key: "none".to_owned(),
            secret_key: "no-storage-at-all".to_owned(),
            endpoint: "http://127.0.0.1:9".to_owned(),
            region: "us-east-1".to_owned(),
        }
    }
    fn begin(&self, _: &str, _: InvocationScope) {}
    fn end(&self, _: &str) -> StorageActivity {
        StorageActivity::default()
    }
    fn revoke(&self, _: &str) {}
}

/// A client, and how it is started without a host.
#[derive(Clone)]
struct Client {
    name: &'static str,
    runtime: Runtime,
    handler: &'static str,
    program: PathBuf,
    arguments: Vec<OsString>,
}

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with("--"));
    let count: u64 = arguments
        .next()
        .map_or(10_000, |count| count.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("index.js"),
        "exports.handler = async (event) => event;",
    )
    .unwrap();
    std::fs::write(
        folder.path().join("index.py"),
        "def handler(event, context): return event",
    )
    .unwrap();
    let options = options(folder.path());
    println!("{count} invocations, one process; a second, and beside it a bare loop");
    for client in clients() {
        let bare = bare(&client, folder.path(), &options, count);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        // On a task of its own, as the conductor's attempts are.
        let hosted = hosted(
            client.clone(),
            folder.path().to_owned(),
            options.clone(),
            count,
        );
        let (ours, slow) = runtime.block_on(async { tokio::spawn(hosted).await.unwrap() });
        println!(
            "{:>8}  {ours:>6.0}  {bare:>6.0}  {:.2}   hand-over and answer at half load: p50 {:.2} ms, p99 {:.2} ms",
            client.name,
            bare / ours,
            slow[slow.len() / 2].as_secs_f64() * 1e3,
            slow[slow.len() * 99 / 100].as_secs_f64() * 1e3,
        );
    }
}

fn variable(name: &str) -> Option<PathBuf> {
    let value = std::env::var_os(name).map(PathBuf::from);
    if value.is_none() {
        println!("NOT RUN: {name} is not set");
    }
    value
}

fn options(folder: &Path) -> HostOptions {
    let modules = std::env::var_os("DAYBOOK_TEST_NODE_MODULES").map(PathBuf::from);
    let program = std::env::var_os("DAYBOOK_BENCH_BIN").map(PathBuf::from);
    let command = |name: &str| match &program {
        Some(program) => vec![program.canonicalize().unwrap().into(), name.into()],
        None => Vec::new(),
    };
    HostOptions {
        builtin_command: command("function"),
        launch_command: command("launch"),
        client_dirs: modules
            .iter()
            .filter_map(|modules| modules.canonicalize().ok()?.parent().map(Path::to_owned))
            .collect(),
        python: std::env::var_os("DAYBOOK_TEST_PYTHON").map(PathBuf::from),
        run_dir: folder.join("run"),
        ..HostOptions::default()
    }
}

fn clients() -> Vec<Client> {
    let mut clients = Vec::new();
    if let Some(modules) = variable("DAYBOOK_TEST_NODE_MODULES") {
        clients.push(Client {
            name: "node",
            runtime: Runtime::NodeJs,
            handler: "index.handler",
            program: "node".into(),
            arguments: vec![
                modules.join("aws-lambda-ric/bin/index.mjs").into(),
                "index.handler".into(),
            ],
        });
    }
    if let Some(python) = variable("DAYBOOK_TEST_PYTHON") {
        clients.push(Client {
            name: "python",
            runtime: Runtime::Python,
            handler: "index.handler",
            program: python,
            arguments: ["-m", "awslambdaric", "index.handler"]
                .map(Into::into)
                .to_vec(),
        });
    }
    if let Some(program) = variable("DAYBOOK_BENCH_BIN") {
        clients.push(Client {
            name: "rust",
            runtime: Runtime::Builtin,
            handler: "echo",
            program: program.canonicalize().unwrap(),
            arguments: ["function", "echo"].map(Into::into).to_vec(),
        });
    }
    clients
}

/// Through the host, one after the other: how many a second, and how long each took when there was
/// as much pause as work.
async fn hosted(
    client: Client,
    folder: PathBuf,
    options: HostOptions,
    count: u64,
) -> (f64, Vec<Duration>) {
    let host = FunctionHost::new(Arc::new(NoStorage), options);
    let function = FunctionName::parse("echo").unwrap();
    let code = folder.join("code");
    std::fs::create_dir_all(&code).unwrap();
    for file in ["index.js", "index.py"] {
        std::fs::copy(folder.join(file), code.join(file)).unwrap();
    }
    let mut spec = FunctionSpec::new(function.clone(), client.runtime, code, client.handler);
    spec.concurrency = 1;
    host.load(spec).await.unwrap();
    // The start is not in what is measured.
    call(&host, &function, 0).await;
    let begun = Instant::now();
    for number in 1..=count {
        call(&host, &function, number).await;
    }
    let took = begun.elapsed();
    let pause = took / u32::try_from(count).unwrap();
    let mut each = Vec::new();
    for number in 0..SPACED {
        tokio::time::sleep(pause).await;
        let begun = Instant::now();
        call(&host, &function, number).await;
        each.push(begun.elapsed());
    }
    each.sort();
    host.shutdown(Duration::ZERO).await;
    (count as f64 / took.as_secs_f64(), each)
}

async fn call(host: &Arc<FunctionHost>, function: &FunctionName, number: u64) {
    let slot = loop {
        match host.reserve(function) {
            Some(slot) => break slot,
            None => host.slot_freed().await,
        }
    };
    let event = json!({ "number": number });
    let invocation = Invocation {
        request_id: Uuid::new_v4(),
        execution: ExecutionId(Uuid::nil()),
        task: 1,
        attempt: 1,
        trigger: None,
        shadow: None,
        chain: Chain::default(),
        payload: event.to_string().into(),
        timeout: None,
        traceparent: None,
        cancel: CancellationToken::new(),
    };
    let outcome = host.invoke(slot, invocation).await;
    assert_eq!(
        outcome.result,
        OutcomeResult::Succeeded(event),
        "{}",
        outcome.logs
    );
}

/// The same client against a loop that gives it numbers and looks that they come back.
fn bare(client: &Client, folder: &Path, options: &HostOptions, count: u64) -> f64 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut child = Command::new(&client.program)
        .args(&client.arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", &options.path)
        .env("AWS_LAMBDA_RUNTIME_API", address)
        .env("LAMBDA_TASK_ROOT", folder)
        .env("_HANDLER", client.handler)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_LAMBDA_FUNCTION_NAME", "echo")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", "echo")
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "echo")
        .env("AWS_ACCESS_KEY_ID", "none")
        .env("AWS_SECRET_ACCESS_KEY", "none")
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let rate = answer(&listener, count);
    end(&mut child);
    rate
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// Answers calls of the Runtime API on all connections that come, until all numbers are back.
fn answer(listener: &TcpListener, count: u64) -> f64 {
    let (told, tells) = std::sync::mpsc::channel();
    let next = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let accepting = listener.try_clone().unwrap();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = accepting.accept() {
            let (told, next) = (told.clone(), Arc::clone(&next));
            std::thread::spawn(move || serve(stream, &told, &next, count));
        }
    });
    // The first is the start's.
    assert_eq!(tells.recv().unwrap(), 0);
    let begun = Instant::now();
    for number in 1..=count {
        assert_eq!(tells.recv().unwrap(), number);
    }
    count as f64 / begun.elapsed().as_secs_f64()
}

fn serve(
    stream: TcpStream,
    told: &std::sync::mpsc::Sender<u64>,
    next: &std::sync::atomic::AtomicU64,
    count: u64,
) {
    stream.set_nodelay(true).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some((polls, body)) = read(&mut reader) {
        if polls {
            let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if number > count {
                std::thread::sleep(Duration::from_secs(60));
                return;
            }
            let event = json!({ "number": number }).to_string();
            let id = Uuid::new_v4();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                 Lambda-Runtime-Aws-Request-Id: {id}\r\n\
                 Lambda-Runtime-Deadline-Ms: 4000000000000\r\n\
                 Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:0:function:echo\r\n\
                 Lambda-Runtime-Trace-Id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0\r\n\
                 Content-Length: {}\r\n\r\n{event}",
                event.len()
            );
            writer.write_all(answer.as_bytes()).unwrap();
        } else {
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            if told.send(body["number"].as_u64().unwrap()).is_err() {
                return;
            }
            let answer = "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\n\
                          Content-Length: 15\r\n\r\n{\"status\":\"OK\"}";
            writer.write_all(answer.as_bytes()).unwrap();
        }
    }
}

/// One request: whether it asks for work, and its body.
fn read(reader: &mut BufReader<TcpStream>) -> Option<(bool, Vec<u8>)> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let polls = line.starts_with("GET ");
    let (mut length, mut chunked) = (0, false);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        chunked |= header == "transfer-encoding: chunked";
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    while chunked {
        let mut size = String::new();
        reader.read_line(&mut size).ok()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk).ok()?;
        body.extend_from_slice(&chunk[..size]);
        chunked = size > 0;
    }
    Some((polls, body))
}
