//! The official runtime clients with handlers that end in each of the ways that a handler can. Which
//! clients, `./test` says in DAYBOOK_TEST_NODE_MODULES and DAYBOOK_TEST_PYTHON.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;

use crate::testing::*;
use crate::*;

fn installed(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable).map(PathBuf::from);
    path.unwrap_or_else(|| panic!("{variable} is not set; run ./test, which installs the clients"))
}

/// What becomes of invocations of a handler, one after the other.
async fn outcomes(runtime: Runtime, code: &str, invocations: Vec<Invocation>) -> Vec<Outcome> {
    let (folder, run) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let file = match runtime {
        Runtime::Python => "index.py",
        _ => "index.js",
    };
    std::fs::write(folder.path().join(file), code).unwrap();
    let modules = installed("DAYBOOK_TEST_NODE_MODULES");
    let options = HostOptions {
        run_dir: run.path().to_owned(),
        client_dirs: modules
            .parent()
            .map(ToOwned::to_owned)
            .into_iter()
            .collect(),
        python: Some(installed("DAYBOOK_TEST_PYTHON")),
        ..HostOptions::default()
    };
    let host = FunctionHost::new(Arc::new(FakeStorage::default()), options);
    let function = daybook_domain::FunctionName::parse("own").unwrap();
    let spec = FunctionSpec::new(function.clone(), runtime, folder.path(), "index.handler");
    host.load(spec).await.unwrap();
    let mut outcomes = Vec::new();
    for invocation in invocations {
        let slot = loop {
            match host.reserve(&function) {
                Some(slot) => break slot,
                None => host.slot_freed().await,
            }
        };
        outcomes.push(host.invoke(slot, invocation).await);
    }
    host.shutdown(std::time::Duration::ZERO).await;
    outcomes
}

async fn outcome_of(runtime: Runtime, code: &str) -> Outcome {
    let mut all = outcomes(runtime, code, vec![invocation("")]).await;
    all.remove(0)
}

#[tokio::test]
async fn node_throws_exits_rejects_and_does_not_load() {
    let node = async |code: &str| outcome_of(Runtime::NodeJs, code).await;
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
    let python = async |code: &str| outcome_of(Runtime::Python, code).await;
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
async fn node_streams_its_response() {
    let streams = "exports.handler = awslambda.streamifyResponse(async (event, stream) => {\n\
                   stream.setContentType('application/json');\n\
                   stream.write('{\"rows\": ['); stream.write('1, 2'); stream.write(']}');\n\
                   stream.end(); await stream.finished(); });";
    let outcome = outcome_of(Runtime::NodeJs, streams).await;
    assert_eq!(answer(&outcome), json!({ "rows": [1, 2] }));
}

/// Each invocation has its own trace, also in a process that is used again.
#[tokio::test]
async fn handlers_see_the_trace_of_their_invocation() {
    let node = "exports.handler = async (event, context) => ({\n\
                xray: process.env._X_AMZN_TRACE_ID, w3c: context.clientContext.w3c.traceparent });";
    let python = "import os\ndef handler(event, context): return {\n \
                  'xray': os.environ['_X_AMZN_TRACE_ID'], 'w3c': context.w3c()['traceparent'] }";
    for (runtime, code) in [(Runtime::NodeJs, node), (Runtime::Python, python)] {
        let parents = [1_u64, 2].map(|n| format!("00-{n:032x}-{n:016x}-01"));
        let traced = parents.clone().map(|parent| Invocation {
            traceparent: Some(parent),
            ..invocation("")
        });
        let outcomes = outcomes(runtime, code, traced.into()).await;
        for (parent, outcome) in parents.iter().zip(&outcomes) {
            let seen = answer(outcome);
            assert_eq!(seen["w3c"], parent.as_str());
            let parts: Vec<&str> = parent.split('-').collect();
            let (first, rest) = parts[1].split_at(8);
            let root = format!("Root=1-{first}-{rest};Parent={};Sampled=1", parts[2]);
            assert_eq!(seen["xray"], root.as_str());
        }
    }
}
