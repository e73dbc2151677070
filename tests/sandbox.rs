//! Functions that try to get out of a whole ledger, with AWS's own runtime clients: they may do
//! their work through the gateway, and nothing else. What needs a part of the sandbox that this
//! machine lacks is not run, and says so.

use serde_json::{Value, json};

use crate::support::clients::{daybook, link_node, link_python};
use crate::support::{Ledger, OPERATOR, Server, eventually};

/// Reads the object that triggered it, tries each way out, and writes what came of it.
const PYTHON: &str = include_str!("sandbox/handler.py");
/// The same in Node.js.
const NODE: &str = include_str!("sandbox/index.mjs");

/// How many ways each of them tries.
const WAYS: usize = 12;

fn config(name: &str, runtime: &str, handler: &str) -> String {
    format!(
        r#"{OPERATOR}
        [buckets.inbox]
        path = "inbox"
        [buckets.results]
        path = "results"
        [pipelines.{name}]
        on = [{{ bucket = "inbox" }}]
        run = "{name}"
        [functions.{name}]
        runtime = "{runtime}"
        code = "code"
        handler = "{handler}"
        write = ["results/*"]
        timeout = "60s"
        init_timeout = "60s"
        environment = {{ LEDGER = "LEDGER_FOLDER" }}
        [functions.other]
        runtime = "builtin"
        handler = "echo"
        secrets = {{ TOKEN = "not-for-others" }}
        "#
    )
}

fn ledger(name: &str, runtime: &str, handler: &str, file: &str, code: &str) -> Ledger {
    let config = config(name, runtime, handler);
    let ledger = Ledger::new(&config);
    let folder = ledger.path("").display().to_string();
    let config = config.replace("LEDGER_FOLDER", folder.trim_end_matches('/'));
    ledger.write("daybook.toml", config);
    ledger.write(&format!("code/{file}"), code);
    ledger
}

/// Whether the functions of this server are confined; says so loudly if not.
async fn confined(server: &Server) -> bool {
    let (status, functions) = server.get("/v1/functions").await;
    assert_eq!(status, 200, "{functions}");
    let functions: Value = serde_json::from_str(&functions).unwrap();
    let lacks = functions["functions"][0]["sandboxLacks"]
        .as_array()
        .unwrap()
        .clone();
    let missing: Vec<_> = lacks
        .iter()
        .filter(|part| !part.as_str().unwrap().contains("own /tmp"))
        .collect();
    if !missing.is_empty() {
        println!("NOT RUN: this machine lacks {missing:?}");
    }
    missing.is_empty()
}

async fn no_way_leads_out(ledger: Ledger) {
    let server = ledger.start().await;
    if !confined(&server).await {
        return;
    }
    let told = json!({ "api": server.api, "host": server.pid() }).to_string();
    let client = server.client();
    client.put("inbox", "told.json", told.into()).await.unwrap();
    let object = server.settled("inbox", "told.json").await;
    assert_eq!(
        object["status"],
        "SUCCEEDED",
        "{object:#}\n{}",
        server.log()
    );
    let found = client.get("results", "found.json").await.unwrap();
    let found: Value = serde_json::from_slice(&found).unwrap();
    let ways = found.as_object().unwrap();
    assert!(ways.len() >= WAYS, "{found:#}");
    for (way, answer) in ways {
        let answer = answer.as_str().unwrap();
        let refused = ["EACCES", "EPERM", "EROFS", "ENOENT", "EXDEV"].contains(&answer);
        assert!(refused, "{way}: {answer}");
    }
    assert!(ledger.path("daybook.toml").is_file());
}

#[tokio::test]
async fn no_way_leads_out_of_python() {
    let ledger = ledger("py", "python", "handler.handler", "handler.py", PYTHON);
    link_python(&ledger.path("code"));
    no_way_leads_out(ledger).await;
}

#[tokio::test]
async fn no_way_leads_out_of_node() {
    let ledger = ledger("node", "nodejs", "index.handler", "index.mjs", NODE);
    link_node(&ledger.path("code"));
    no_way_leads_out(ledger).await;
}

#[tokio::test]
async fn status_says_how_functions_are_confined() {
    let ledger = Ledger::new(&format!(
        "{OPERATOR}\n[functions.free]\nruntime = \"builtin\"\nhandler = \"echo\"\nsandbox = \"off\"\n\
         [functions.bound]\nruntime = \"builtin\"\nhandler = \"echo\"\n"
    ));
    let server = ledger.start().await;
    eventually("the start says what is off", || async {
        let said = server.log().contains("off, as configured, for: free");
        said.then_some(())
    })
    .await;
    let told = daybook(&server, &["status", "--output", "json"])
        .await
        .json();
    assert_eq!(told["processes"][0]["name"], "bound");
    assert_eq!(told["processes"][0]["sandbox"], "available");
    assert_eq!(told["processes"][1]["sandbox"], "off");
    let table = daybook(&server, &["status"]).await.ok();
    assert!(table.contains("SANDBOX"), "{table}");
}
