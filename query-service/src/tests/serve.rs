//! The audit suite of the GraphQL over HTTP specification, and the socket by a real client.

use std::process::Command;

use super::{Asked, told};

/// Runs `auditServer` of the npm package `graphql-http` against the endpoint, and a subscription
/// over the socket of Node. Both come from a folder in which `npm install graphql-http graphql ws`
/// was run.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node; set DAYBOOK_GRAPHQL_HTTP to a folder with graphql-http, graphql and ws"]
async fn the_audits_of_the_specification_pass() {
    let folder = std::env::var("DAYBOOK_GRAPHQL_HTTP").unwrap();
    let story = told().await;
    let asked = Asked::over(&story).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = asked.service.router();
    let server = tokio::spawn(async move { axum::serve(listener, router).await });

    let script = r#"
        const { auditServer } = require('graphql-http');
        const WebSocket = require('ws');
        const at = process.argv[1];
        (async () => {
          const results = await auditServer({ url: `http://${at}/graphql`, fetchFn: fetch });
          const bad = results.filter((result) => result.status !== 'ok');
          for (const result of bad) console.log(result.id, result.name, result.status, result.reason);
          console.log(`${results.length - bad.length} of ${results.length} audits pass`);
          const socket = new WebSocket(`ws://${at}/graphql/ws`, 'graphql-transport-ws');
          socket.on('open', () => socket.send('{"type":"connection_init"}'));
          socket.on('message', (data) => {
            const message = JSON.parse(data);
            if (message.type === 'connection_ack') {
              const query = 'subscription { events(after: 16) { position } }';
              socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query } }));
            } else {
              console.log(JSON.stringify(message.payload.data));
              process.exit(bad.length ? 1 : 0);
            }
          });
        })();
    "#;
    let run = move || {
        Command::new("node")
            .args(["-e", script, &address.to_string()])
            .current_dir(folder)
            .output()
            .unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    server.abort();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("61 of 61 audits pass"), "{said}");
    assert!(said.contains(r#"{"events":{"position":17}}"#), "{said}");
}
