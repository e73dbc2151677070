//! The official runtime clients with the handlers in `examples`, against an S3 endpoint that
//! notes what it is asked. Each runs only where its client is installed in the example's folder,
//! as the example's README tells, and says so loudly where it is not.

use std::convert::Infallible;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tempfile::TempDir;

use crate::testing::*;
use crate::*;

fn example(name: &str) -> PathBuf {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    examples.join(name).join("function")
}

fn not_run(what: &str) {
    let message = format!("NOT RUN: {what} is not installed, see its README\n");
    std::io::stderr().write_all(message.as_bytes()).unwrap();
}

/// Answers every GET with `grüße` and notes `METHOD path body`.
async fn s3(storage: &FakeStorage) -> Arc<Mutex<Vec<String>>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    *storage.endpoint.lock().unwrap() = Some(endpoint);
    let requests = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let noted = Arc::clone(&noted);
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let noted = Arc::clone(&noted);
                async move {
                    assert!(request.headers().contains_key("authorization"));
                    let get = request.method() == Method::GET;
                    let line = format!("{} {}", request.method(), request.uri().path());
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    noted
                        .lock()
                        .unwrap()
                        .push(format!("{line} {}", String::from_utf8_lossy(&body)));
                    let answer = if get { "grüße" } else { "" };
                    let response = Response::builder()
                        .header("etag", "\"0123\"")
                        .header("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")
                        .body(Full::new(Bytes::from(answer)));
                    Ok::<_, Infallible>(response.unwrap())
                }
            });
            let connection = hyper::server::conn::http1::Builder::new();
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
        }
    });
    requests
}

async fn uppercases(name: &str, runtime: Runtime, handler: &str) {
    let storage = Arc::new(FakeStorage::default());
    let requests = s3(&storage).await;
    let run = TempDir::new().unwrap();
    let options = HostOptions {
        run_dir: run.path().to_owned(),
        ..HostOptions::default()
    };
    let host = FunctionHost::new(storage, options);
    let function = daybook_domain::FunctionName::parse("uppercase").unwrap();
    let spec = FunctionSpec::new(function.clone(), runtime, example(name), handler);
    host.load(spec).await.unwrap();
    for round in 0..2 {
        let slot = host.reserve(&function).unwrap();
        let mut created = invocation("");
        let record =
            json!({ "bucket": { "name": "inbox" }, "object": { "key": "a+b%2B%C3%BC.txt" } });
        created.payload = json!({ "Records": [{ "s3": record }] }).to_string().into();
        let outcome = host.invoke(slot, created).await;
        assert_eq!(
            answer(&outcome),
            json!({ "bucket": "results", "key": "a b+ü.txt" })
        );
        assert!(
            outcome.logs.contains("upper-cased"),
            "round {round}: {:?}",
            outcome.logs
        );
    }
    let requests = requests.lock().unwrap().clone();
    assert_eq!(requests.len(), 4, "{requests:?}");
    assert!(
        requests[0].starts_with("GET /inbox/a%20b%2B%C3%BC.txt"),
        "{requests:?}"
    );
    assert!(
        requests[1].starts_with("PUT /results/a%20b%2B%C3%BC.txt"),
        "{requests:?}"
    );
    assert!(requests[1].contains("GRÜ"), "{requests:?}");
    host.shutdown(std::time::Duration::ZERO).await;
}

#[tokio::test]
async fn node_with_sdk_3() {
    if !example("node-sdk3")
        .join("node_modules/aws-lambda-ric/dist")
        .is_dir()
    {
        return not_run("examples/node-sdk3");
    }
    uppercases("node-sdk3", Runtime::NodeJs, "index.handler").await;
}

#[tokio::test]
async fn node_with_sdk_2_and_no_endpoint_in_the_code() {
    if !example("node-sdk2")
        .join("node_modules/aws-lambda-ric/dist")
        .is_dir()
    {
        return not_run("examples/node-sdk2");
    }
    uppercases("node-sdk2", Runtime::NodeJs, "index.handler").await;
}

#[tokio::test]
async fn python_with_boto3() {
    if !example("python-boto3").join(".venv/bin/python").is_file() {
        return not_run("examples/python-boto3");
    }
    uppercases("python-boto3", Runtime::Python, "handler.handler").await;
}

#[tokio::test]
async fn rust_with_lambda_runtime() {
    if !example("rust-lambda").join("bootstrap").is_file() {
        return not_run("examples/rust-lambda");
    }
    uppercases("rust-lambda", Runtime::Provided, "bootstrap").await;
}

/// Runs a handler of its own with the clients of the examples.
async fn outcome_of(runtime: Runtime, file: &str, code: &str) -> Outcome {
    let (folder, run) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    std::fs::write(folder.path().join(file), code).unwrap();
    let options = HostOptions {
        run_dir: run.path().to_owned(),
        client_dirs: vec![example("node-sdk3")],
        python: Some(example("python-boto3").join(".venv/bin/python")),
        ..HostOptions::default()
    };
    let host = FunctionHost::new(Arc::new(FakeStorage::default()), options);
    let function = daybook_domain::FunctionName::parse("own").unwrap();
    let spec = FunctionSpec::new(function.clone(), runtime, folder.path(), "index.handler");
    host.load(spec).await.unwrap();
    let outcome = host
        .invoke(host.reserve(&function).unwrap(), invocation(""))
        .await;
    host.shutdown(std::time::Duration::ZERO).await;
    outcome
}

#[tokio::test]
async fn node_throws_exits_and_does_not_load() {
    if !example("node-sdk3")
        .join("node_modules/aws-lambda-ric/dist")
        .is_dir()
    {
        return not_run("examples/node-sdk3");
    }
    let node = async |code: &str| outcome_of(Runtime::NodeJs, "index.js", code).await;
    let throws = "exports.handler = async () => { throw new RangeError('too far'); };";
    assert_eq!(
        failure(&node(throws).await),
        ("RangeError".into(), "too far".into())
    );
    let exits = "exports.handler = async () => process.exit(7);";
    let (error, message) = failure(&node(exits).await);
    assert_eq!(error, RUNTIME_EXIT);
    assert!(message.ends_with("exit status 7"), "{message}");
    let rejects = "exports.handler = () => { Promise.reject(new Error('lost')); \
                   return new Promise(() => setTimeout(() => {}, 60000)); };";
    let (error, message) = failure(&node(rejects).await);
    assert_eq!(error, "Runtime.UnhandledPromiseRejection", "{message}");
    let (error, message) = failure(&node("const x = require('no-such-module');").await);
    assert_eq!(error, "Runtime.ImportModuleError", "{message}");
}

#[tokio::test]
async fn python_raises_exits_and_does_not_load() {
    if !example("python-boto3").join(".venv/bin/python").is_file() {
        return not_run("examples/python-boto3");
    }
    let python = async |code: &str| outcome_of(Runtime::Python, "index.py", code).await;
    let raises = "def handler(event, context): raise ValueError('bad row 7')";
    let outcome = python(raises).await;
    assert_eq!(failure(&outcome), ("ValueError".into(), "bad row 7".into()));
    let exits = "import sys\ndef handler(event, context): sys.exit(7)";
    let (error, message) = failure(&python(exits).await);
    assert_eq!(error, RUNTIME_EXIT, "{message}");
    let (error, message) = failure(&python("import no_such_module").await);
    assert_eq!(error, "Runtime.ImportModuleError", "{message}");
}

#[tokio::test]
#[ignore = "a measurement"]
async fn invocations_per_second() {
    for name in [
        "node-sdk3/function/node_modules",
        "python-boto3/function/.venv",
    ] {
        if !example("").join("..").join(name).is_dir() {
            return not_run(name);
        }
    }
    for (runtime, file, code) in [
        (
            Runtime::NodeJs,
            "index.js",
            "exports.handler = async (event) => event;",
        ),
        (
            Runtime::Python,
            "index.py",
            "def handler(event, context): return event",
        ),
    ] {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join(file), code).unwrap();
        let options = HostOptions {
            client_dirs: vec![example("node-sdk3")],
            python: Some(example("python-boto3").join(".venv/bin/python")),
            ..HostOptions::default()
        };
        let host = FunctionHost::new(Arc::new(FakeStorage::default()), options);
        let function = daybook_domain::FunctionName::parse("echo").unwrap();
        let mut spec = FunctionSpec::new(function.clone(), runtime, folder.path(), "index.handler");
        spec.concurrency = 1;
        host.load(spec).await.unwrap();
        let begun = std::time::Instant::now();
        let mut done = 0;
        while done < 1000 {
            let Some(slot) = host.reserve(&function) else {
                host.slot_freed().await;
                continue;
            };
            answer(&host.invoke(slot, invocation("")).await);
            done += 1;
        }
        let rate = f64::from(done) / begun.elapsed().as_secs_f64();
        std::io::stderr()
            .write_all(format!("{file}: {rate:.0}/s\n").as_bytes())
            .unwrap();
        host.shutdown(std::time::Duration::ZERO).await;
    }
}
