//! The command line, as a person or a script uses it.

mod again;
mod demo;
mod export;
mod functions;
mod intake;
mod lists;
mod log;
mod usage;

use crate::support::clients::{Ran, daybook, finished};
use crate::support::{Ledger, Server, program};

/// Three files in `inbox`, one of them no text, and their outcomes.
async fn three_files(ledger: &Ledger) -> Server {
    let server = ledger.start().await;
    let client = server.client();
    for (key, body) in [
        ("a.txt", &b"a"[..]),
        ("bad.txt", b"x\xff\xfe"),
        ("c.txt", b"ccc"),
    ] {
        let body = bytes::Bytes::copy_from_slice(body);
        client.put("inbox", key, body).await.unwrap();
        server.settled("inbox", key).await;
    }
    server
}

/// The first execution for `bad.txt`.
async fn failed_execution(server: &Server) -> String {
    let object = server.settled("inbox", "bad.txt").await;
    let execution = &object["executions"]["nodes"][0];
    assert_eq!(execution["status"], "FAILED");
    execution["id"].as_str().unwrap().to_owned()
}

async fn output(server: &Server, command: &[&str], format: &str) -> Ran {
    let mut arguments = command.to_vec();
    arguments.extend(["--output", format]);
    daybook(server, &arguments).await
}

/// The command line without a server.
async fn alone(arguments: &[&str]) -> Ran {
    let mut command = tokio::process::Command::new(program());
    command
        .args(arguments)
        .env("USER", "tester")
        .env_remove("DAYBOOK_SERVER");
    finished(command).await
}
