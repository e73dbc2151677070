//! The end of a server: running invocations finish or are recorded as interrupted, nothing is
//! lost; and no two servers share a data directory.

use serde_json::Value;

use super::handlers::{odd_ledger, run_of};
use crate::support::{Ledger, Server, eventually};

/// A ledger whose handler waits for the file `release`, and a server on it that runs it.
async fn waiting(more: &str) -> (Ledger, Server) {
    let ledger = odd_ledger("run = \"odd\"", "");
    // A folder that is there when the process starts, and that it may read.
    std::fs::create_dir(ledger.path("told")).unwrap();
    let release = ledger.path("told/release");
    let config = std::fs::read_to_string(ledger.config()).unwrap();
    let environment = format!("environment = {{ RELEASE = {release:?} }}");
    let more_of_it = format!("code = \"odd\"\nreadable = [\"told\"]\n{environment}");
    let config = config.replace("code = \"odd\"", &more_of_it);
    ledger.write("daybook.toml", format!("{config}\n{more}"));
    let server = ledger.start().await;
    let s3 = server.client();
    s3.put("inbox", "wait.txt", "x".into()).await.unwrap();
    eventually("the handler runs", || async {
        let started = server.events(&["TaskStarted"]).await;
        (!started.is_empty()).then_some(())
    })
    .await;
    (ledger, server)
}

fn statuses(object: &Value) -> Vec<&str> {
    let attempts = run_of(object)["attempts"].as_array().unwrap();
    let statuses = attempts.iter().map(|attempt| attempt["status"].as_str());
    statuses.map(Option::unwrap).collect()
}

#[tokio::test]
async fn a_running_invocation_may_finish() {
    let (ledger, server) = waiting("").await;
    server.signal(rustix::process::Signal::TERM);
    eventually("the server heard", || async {
        server.log().contains("stopping").then_some(())
    })
    .await;
    ledger.write("told/release", "");
    let (status, said) = server.wait().await;
    assert_eq!(status.code(), Some(0), "{said}");
    assert_eq!(ledger.function_processes(), Vec::<String>::new());

    let server = ledger.start().await;
    let object = server.settled("inbox", "wait.txt").await;
    assert_eq!(statuses(&object), ["SUCCEEDED"], "{object:#}");
    assert_eq!(run_of(&object)["output"], "released");
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_interrupted_and_runs_again() {
    let (ledger, server) = waiting("[limits]\nshutdown_grace = \"200ms\"\n").await;
    let (status, said) = server.stop().await;
    assert_eq!(status.code(), Some(0), "{said}");
    assert_eq!(ledger.function_processes(), Vec::<String>::new());

    ledger.write("told/release", "");
    let server = ledger.start().await;
    let object = server.settled("inbox", "wait.txt").await;
    assert_eq!(
        statuses(&object),
        ["INTERRUPTED", "SUCCEEDED"],
        "{object:#}"
    );
    assert_eq!(run_of(&object)["status"], "SUCCEEDED", "{object:#}");
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let (ledger, server) = waiting("").await;
    server.signal(rustix::process::Signal::TERM);
    eventually("the server heard", || async {
        server.log().contains("stopping").then_some(())
    })
    .await;
    server.signal(rustix::process::Signal::TERM);
    let (status, said) = server.wait().await;
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("taken up at the next start"), "{said}");

    ledger.write("told/release", "");
    let server = ledger.start().await;
    let object = server.settled("inbox", "wait.txt").await;
    assert_eq!(
        statuses(&object),
        ["INTERRUPTED", "SUCCEEDED"],
        "{object:#}"
    );
}

#[tokio::test]
async fn a_second_server_on_the_same_data_is_refused() {
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    let (code, said) = ledger.start_refused().await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("is in use by another process"), "{said}");
    let data_dir = ledger.data_dir().display().to_string();
    assert!(said.contains(&data_dir), "{said}");

    // The first one is not disturbed.
    let s3 = server.client();
    s3.put("inbox", "a.txt", "still here".into()).await.unwrap();
    let object = server.settled("inbox", "a.txt").await;
    assert_eq!(object["status"], "SUCCEEDED", "{object:#}");
    server.kill().await;
    // And once it is gone, another may serve.
    ledger.start().await;
}

#[tokio::test]
async fn a_client_that_stalls_does_not_hold_up_the_end() {
    use tokio::io::AsyncWriteExt;
    let ledger = Ledger::uppercase();
    let config = std::fs::read_to_string(ledger.config()).unwrap();
    let limits = "[limits]\nshutdown_grace = \"100ms\"\n";
    ledger.write("daybook.toml", format!("{config}\n{limits}"));
    let server = ledger.start().await;
    let mut stalled = Vec::new();
    for (url, path) in [(&server.api, "/graphql"), (&server.s3, "/inbox/half")] {
        let address = url.trim_start_matches("http://");
        let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
        let half = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
             content-length: 1000\r\n\r\n{{"
        );
        connection.write_all(half.as_bytes()).await.unwrap();
        stalled.push(connection);
    }
    // Answered on the same listener after the half one was accepted.
    server.events(&[]).await;
    let (status, said) = server.stop().await;
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(
        said.contains("the API is ended with requests in flight"),
        "{said}"
    );
}
