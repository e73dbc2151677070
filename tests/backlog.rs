//! More objects than a function can take: few executions begin, the rest waits in the log.

use serde_json::{Value, json};

use crate::support::clients::{daybook, link_python};
use crate::support::{Ledger, OPERATOR, Server, eventually};

/// Ends when the file `go` is there.
const HANDLER: &str = "import os, time\n\
    def handler(event, context):\n    \
    while not os.path.exists(os.environ['GO']):\n        time.sleep(0.02)\n    \
    return event['Records'][0]['s3']['object']['key']\n";

/// One process, and two executions may wait.
fn slow_ledger() -> Ledger {
    let ledger = Ledger::new("");
    let go = ledger.path("go");
    ledger.write(
        "daybook.toml",
        format!(
            r#"{OPERATOR}
            [buckets.inbox]
            path = "inbox"
            [pipelines.slow]
            on = [{{ bucket = "inbox" }}]
            run = "slow"
            [functions.slow]
            runtime = "python"
            code = "code"
            handler = "index.handler"
            concurrency = 1
            queue = 2
            timeout = "5m"
            init_timeout = "60s"
            sandbox = "off"
            environment = {{ GO = "{}" }}
            "#,
            go.display()
        ),
    );
    ledger.write("code/index.py", HANDLER);
    link_python(&ledger.path("code"));
    ledger
}

async fn waiting(server: &Server) -> (u64, u64) {
    let (status, functions) = server.get("/v1/functions").await;
    assert_eq!(status, 200, "{functions}");
    let functions: Value = serde_json::from_str(&functions).unwrap();
    let function = &functions["functions"][0];
    let number = |name: &str| function[name].as_u64().unwrap();
    (number("waiting"), number("queue"))
}

#[tokio::test]
async fn what_a_function_cannot_take_yet_waits_in_the_log() {
    let ledger = slow_ledger();
    let server = ledger.start().await;
    let client = server.client();
    let keys: Vec<String> = (0..7).map(|number| format!("{number}.txt")).collect();
    for key in &keys {
        client.put("inbox", key, "".into()).await.unwrap();
    }
    // One runs and two wait; of the others it is known that they are owed.
    eventually("the rest is held back", || async {
        let (_, metrics) = server.get("/metrics").await;
        let owed = metrics.contains("daybook_executions_owed 4\n");
        (owed && waiting(&server).await == (2, 2)).then_some(())
    })
    .await;
    server.caught_up().await;
    assert_eq!(server.events(&["ExecutionStarted"]).await.len(), 3);
    let shown = daybook(&server, &["status"]).await.ok();
    assert!(shown.contains("2 of 2"), "{shown}");
    let last = server
        .query(
            "query ($key: String!) {
                object(bucket: \"inbox\", key: $key) { status executions(first: 1) { nodes { id } } }
            }",
            json!({ "key": keys[6] }),
        )
        .await;
    let pending = json!({ "status": "PENDING", "executions": { "nodes": [] } });
    assert_eq!(last["object"], pending);

    ledger.write("go", "");
    for key in &keys {
        assert_eq!(server.settled("inbox", key).await["status"], "SUCCEEDED");
    }
    let started = server.events(&["ExecutionStarted"]).await;
    assert_eq!(started.len(), keys.len());
    eventually("nobody waits", || async {
        (waiting(&server).await == (0, 2)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_replay_waits_for_room_and_can_be_cancelled_meanwhile() {
    let ledger = slow_ledger();
    let server = ledger.start().await;
    let client = server.client();
    ledger.write("go", "");
    let keys: Vec<String> = (0..60).map(|number| format!("{number}.txt")).collect();
    for key in &keys {
        client.put("inbox", key, "".into()).await.unwrap();
    }
    for key in &keys {
        server.settled("inbox", key).await;
    }
    std::fs::remove_file(ledger.path("go")).unwrap();
    let (status, replay) = server
        .post("/v1/replays", json!({ "pipeline": "slow" }))
        .await;
    assert_eq!(status, 201, "{replay}");
    eventually("as many wait as may", || async {
        (waiting(&server).await.0 >= 2).then_some(())
    })
    .await;
    let cancel = format!("/v1/replays/{}/cancel", replay["replay"].as_str().unwrap());
    assert_eq!(server.post(&cancel, json!({})).await.0, 200);
    ledger.write("go", "");
    eventually("what had begun is done", || async {
        let ended = server.events(&["ExecutionSucceeded"]).await.len();
        let begun = server.events(&["ExecutionStarted"]).await.len();
        (ended == begun && begun > keys.len() && waiting(&server).await.0 == 0).then_some(())
    })
    .await;
    server.caught_up().await;
    let begun = server.events(&["ExecutionStarted"]).await.len();
    assert!(begun < 2 * keys.len(), "all of it began: {begun}");
    let cancelled = server.events(&["ReplayCancelled", "ReplayCompleted"]).await;
    assert_eq!(cancelled[0]["type"], "ReplayCancelled");
}
