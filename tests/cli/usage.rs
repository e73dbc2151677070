//! What people get wrong, and what they are told.

use crate::support::Ledger;
use crate::support::clients::daybook;

use super::alone;

#[tokio::test]
async fn mistakes_are_told_apart_by_the_exit_code() {
    for usage in [
        &["frobnicate"][..],
        &["objects", "--frob"],
        &["status", "--output", "xml"],
        &["demo", "--dir", "somewhere"],
        &["replay", "start"],
        &["events", "--after", "x"],
        &["export", "--out", "somewhere", "--since", "yesterday"],
        &[],
    ] {
        let said = alone(usage).await.failed(2);
        assert!(said.contains("--help"), "{usage:?}: {said}");
    }
    // Nobody listens on port 1 of loopback.
    for client in [
        &["status"][..],
        &["objects"],
        &["show", "s3://inbox/x"],
        &["projections", "rebuild"],
        &["replay", "list"],
    ] {
        let mut arguments = vec!["--server", "http://127.0.0.1:1"];
        arguments.extend(client);
        let said = alone(&arguments).await.failed(1);
        assert!(said.contains("start one with `daybook serve`"), "{said}");
        assert!(said.contains("--server or DAYBOOK_SERVER"), "{said}");
    }
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    for (unknown, part) in [
        (
            &["show", "s3://inbox/nothing"][..],
            "no object s3://inbox/nothing",
        ),
        (&["show", "s3://inbox"], "s3://BUCKET/KEY"),
        (&["show", NO_EXECUTION], "no execution"),
        (&["redrive", NO_EXECUTION], NO_EXECUTION),
        (&["replay", "show", NO_EXECUTION], "no replay"),
        (
            &["replay", "start", "--pipeline", "nothing"],
            "no pipeline nothing",
        ),
    ] {
        let said = daybook(&server, unknown).await.failed(1);
        assert!(said.contains(part), "{unknown:?}: {said}");
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_meant_is_a_mistake_of_usage() {
    let ledger = Ledger::uppercase();
    let config = ledger.config().display().to_string();
    let data_dir = ledger.data_dir().display().to_string();
    let loopback = "127.0.0.1:0";
    for (listen, s3_listen, roles, part) in [
        (loopback, loopback, "nonsense", "role \"nonsense\""),
        (loopback, loopback, "query", "on SQLite has one process"),
        ("0.0.0.0:0", loopback, "", "outside loopback"),
        (loopback, "[::]:0", "", "outside loopback"),
    ] {
        let mut arguments = vec!["serve", "--config", &config, "--data-dir", &data_dir];
        arguments.extend(["--listen", listen, "--s3-listen", s3_listen]);
        if !roles.is_empty() {
            arguments.extend(["--roles", roles]);
        }
        let said = alone(&arguments).await.failed(2);
        assert!(said.contains(part), "{said}");
    }
}

#[tokio::test]
async fn what_refuses_a_query_before_graphql_is_told() {
    // A server that answers each connection as the guard does.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 65536]).await;
            let answer = "HTTP/1.1 403 Forbidden\r\ncontent-type: text/plain\r\n\
                          content-length: 20\r\nconnection: close\r\n\r\nhost is not mine :(\n";
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let said = alone(&["--server", &address, "status"]).await.failed(1);
    assert!(said.contains("403 Forbidden: host is not mine"), "{said}");
}

const NO_EXECUTION: &str = "00000000-0000-4000-8000-000000000000";
