//! GraphQL as clients and browsers meet it: over HTTP and over a socket, on a real server.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::clients::node;
use crate::support::socket::Socket;
use crate::support::{Ledger, Server, eventually};

#[tokio::test]
async fn the_graphql_over_http_audits_pass() {
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    let url = format!("{}/graphql", server.api);
    let results = node("graphql_http_audit.cjs", &[&url]).await.json();
    let results = results.as_array().expect("a list of audits");
    // As many as the pinned release of graphql-http has: none may go missing unseen.
    assert_eq!(results.len(), 61);
    let failed: Vec<_> = results
        .iter()
        .filter(|audit| audit["status"] != "ok")
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[tokio::test]
async fn answers_keep_the_order_of_the_question() {
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    let path = "/graphql?query=%7Bpipelines%7Brevision%20name%7Dledger%7Bposition%7Dfunctions%7Bname%7D%7D";
    // The read side comes after the config was published.
    eventually("the pipeline is seen", || async {
        let (_, text) = server.get(path).await;
        text.contains("\"revision\":").then_some(())
    })
    .await;
    // The fields are found out side by side, and in another order each time.
    for _ in 0..20 {
        let (status, text) = server.get(path).await;
        assert_eq!(status, 200, "{text}");
        let fields = ["pipelines", "revision", "name", "ledger", "functions"];
        let found = fields.map(|field| text.find(&format!("\"{field}\":")).expect(field));
        assert!(found.is_sorted(), "{text}");
    }
}

#[tokio::test]
async fn foreign_hosts_and_pages_are_refused() {
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    let (_, port) = server.api.rsplit_once(':').unwrap();
    let own = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
    let foreign = [
        format!("ledger.example:{port}"),
        "127.0.0.1:1".to_owned(),
        "localhost.example".to_owned(),
    ];
    for path in ["/graphql", "/console", "/livez", "/v1/projections"] {
        for (host, origin, allowed) in [
            (&own[0], None, true),
            (&own[1], None, true),
            (&foreign[0], None, false),
            (&foreign[1], None, false),
            (&foreign[2], None, false),
            (&own[0], Some(format!("http://{}", own[1])), true),
            (&own[0], Some(format!("http://{}", foreign[0])), false),
            (&own[0], Some("https://page.example".to_owned()), false),
            (&own[0], Some("null".to_owned()), false),
        ] {
            let mut request = reqwest::Client::new()
                .get(format!("{}{path}?query=%7B__typename%7D", server.api))
                .header("host", host);
            if let Some(origin) = &origin {
                request = request.header("origin", origin);
            }
            let status = request.send().await.unwrap().status().as_u16();
            let expected = if allowed { 200 } else { 403 };
            assert_eq!(status, expected, "{path} as {host} from {origin:?}");
        }
    }
    let foreign_page = Socket::open(&server, Some("http://page.example")).await;
    assert!(foreign_page.is_none(), "a socket opened for a foreign page");
    let own_page = Socket::open(&server, Some(&server.api)).await;
    assert!(own_page.is_some(), "no socket for an own page");
}

#[tokio::test]
async fn the_console_needs_no_other_host() {
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    let url = format!("{}/console", server.api);
    let answer = reqwest::get(url).await.unwrap();
    let policy = answer.headers()["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(policy.starts_with("default-src 'self';"), "{policy}");
    assert!(!policy.contains("http"), "{policy}");
    let page = answer.text().await.unwrap();
    assert!(page.contains("GraphiQL"));
    let mut assets = 0;
    for part in page.split(['"', '\'']).filter(|part| part.contains('/')) {
        assert!(
            !part.starts_with("http") && !part.starts_with("//"),
            "{part}"
        );
        if part.starts_with("/console/") {
            let (status, asset) = server.get(part).await;
            assert_eq!(status, 200, "{part}");
            assert!(asset.len() > 1_000, "{part}");
            assets += 1;
        }
    }
    assert_eq!(assets, 4, "GraphiQL, its style, and React in two parts");
}

#[tokio::test]
async fn what_asks_for_too_much_is_refused() {
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    let deep = |levels: usize| {
        let mut query = "{ object(bucket: \"inbox\", key: \"k\") { ".to_owned();
        for _ in 0..levels {
            query.push_str("versions(first: 1) { nodes { ");
        }
        query.push_str("key ");
        query.push_str(&"} } ".repeat(levels));
        query + "} }"
    };
    let aliases: String = (0..51).map(|n| format!("k{n}: key ")).collect();
    let many: String = (0..21)
        .map(|n| format!("a{n}: ledger {{ position }} "))
        .collect();
    for (query, part) in [
        (
            "{ objects { nodes { key } } }".to_owned(),
            "first or last, from 1 to 100",
        ),
        (
            "{ objects(first: 101) { nodes { key } } }".to_owned(),
            "from 1 to 100, not 101",
        ),
        (
            "{ objects(first: 0) { nodes { key } } }".to_owned(),
            "from 1 to 100, not 0",
        ),
        (
            "{ events(last: -1) { nodes { type } } }".to_owned(),
            "from 1 to 100, not -1",
        ),
        (
            "{ objects(first: 1, last: 1) { nodes { key } } }".to_owned(),
            "either first or last",
        ),
        (deep(8), "too deep"),
        (
            format!("{{ object(bucket: \"inbox\", key: \"k\") {{ {aliases} }} }}"),
            "51 aliases",
        ),
        (format!("{{ {many} }}"), "21 fields at its root"),
        (
            "{ objects(first: 100) { nodes { executions(first: 100) { nodes { events(first: 100) \
             { nodes { data } } } } } } }"
                .to_owned(),
            "too complex",
        ),
    ] {
        let answer = server.ask(&query, json!({})).await.unwrap();
        let message = answer["errors"][0]["message"].as_str().unwrap_or_default();
        assert!(message.contains(part), "{query}: {answer}");
        assert!(answer["data"].is_null(), "{query}: {answer}");
    }
    let answer = server.ask(&deep(6), json!({})).await.unwrap();
    assert!(answer["errors"].is_null(), "{answer}");
}

#[tokio::test]
async fn pages_neither_skip_nor_repeat() {
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    let client = server.client();
    let mut keys = BTreeSet::new();
    for number in 0..23 {
        // Half of them are wanted by no pipeline: their order is that of all.
        let key = format!(
            "page/{number:02}{}",
            if number % 2 == 0 { ".txt" } else { "" }
        );
        client.put("inbox", &key, "x".into()).await.unwrap();
        keys.insert(key);
    }
    for key in keys.iter().filter(|key| key.ends_with(".txt")) {
        server.settled("inbox", key).await;
    }
    for order in [
        json!(null),
        json!({ "field": "KEY", "direction": "ASC" }),
        json!({ "field": "SIZE", "direction": "DESC" }),
    ] {
        let forwards = walk(&server, &order, "first", "after").await;
        let mut backwards = walk(&server, &order, "last", "before").await;
        backwards.reverse();
        assert_eq!(forwards, backwards, "{order}");
        assert_eq!(forwards.len(), 23, "{order}");
        assert_eq!(forwards.iter().cloned().collect::<BTreeSet<_>>(), keys);
    }

    // What comes in between disturbs nothing that was there.
    let page = |after: Value| json!({ "first": 10, "after": after, "where": {}, "orderBy": null });
    let mut seen = Vec::new();
    let mut after = Value::Null;
    for round in 0.. {
        let answer = server.query(OBJECTS, page(after)).await;
        let connection = &answer["objects"];
        seen.extend(
            keys_of(connection)
                .into_iter()
                .filter(|key| keys.contains(key)),
        );
        if connection["pageInfo"]["hasNextPage"] == false {
            break;
        }
        after = connection["pageInfo"]["endCursor"].clone();
        client
            .put("inbox", &format!("between/{round}"), "y".into())
            .await
            .unwrap();
    }
    seen.sort();
    // Each `.txt` has a result of the same key.
    let mut expected: Vec<_> = keys.iter().cloned().collect();
    expected.extend(keys.iter().filter(|key| key.ends_with(".txt")).cloned());
    expected.sort();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_client_reads_its_own_writes() {
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    server
        .client()
        .put("inbox", "a.txt", "a".into())
        .await
        .unwrap();
    let object = server.settled("inbox", "a.txt").await;
    let first = &object["executions"]["nodes"][0]["id"];
    let path = format!("/v1/executions/{}/redrive", first.as_str().unwrap());
    for _ in 0..20 {
        let (status, answer) = server.post(&path, json!({ "reason": "again" })).await;
        assert_eq!(status, 201, "{answer}");
        let variables = json!({ "id": answer["execution"], "position": answer["position"] });
        let read = server.query(OWN_WRITE, variables).await;
        assert_eq!(read["execution"]["redriveOf"]["id"], *first);
        assert_eq!(read["execution"]["causeKind"], "REDRIVE");
    }
}

#[tokio::test]
async fn the_past_can_be_asked() {
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    let client = server.client();
    client.put("inbox", "a.txt", "old".into()).await.unwrap();
    server.settled("inbox", "a.txt").await;
    let arrived = server.events(&["ObjectCreated"]).await;
    let ended = server.events(&["ExecutionSucceeded"]).await;
    client
        .put("inbox", "a.txt", "newer \u{fc}".into())
        .await
        .unwrap();
    let newer = eventually("the newer version is settled", || async {
        let object = server.settled("inbox", "a.txt").await;
        (object["size"] == 8).then_some(object)
    })
    .await;
    assert_eq!(newer["status"], "SUCCEEDED");
    client.delete("inbox", "a.txt").await.unwrap();

    let as_of = |time: &Value| json!({ "asOf": time });
    let then = server.query(AS_OF, as_of(&ended[0]["recordedAt"])).await;
    assert_eq!(
        then["object"],
        json!({ "size": 3, "status": "SUCCEEDED", "present": true, "newest": true,
                "executions": { "nodes": [{ "status": "SUCCEEDED" }] } })
    );
    let then = server.query(AS_OF, as_of(&arrived[0]["recordedAt"])).await;
    assert_eq!(then["object"]["size"], 3);
    assert_ne!(then["object"]["status"], "SUCCEEDED");
    let then = server
        .query(AS_OF, as_of(&json!("2020-01-01T00:00:00Z")))
        .await;
    assert_eq!(then["object"], Value::Null);
    let now = server.query(AS_OF, as_of(&Value::Null)).await;
    assert_eq!(now["object"]["present"], false);
}

#[tokio::test]
async fn a_subscription_catches_up_and_goes_on_without_a_gap() {
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    let client = server.client();
    for number in 0..10 {
        let key = format!("before-{number}.txt");
        client.put("inbox", &key, "x".into()).await.unwrap();
    }
    let mut socket = Socket::open(&server, None).await.expect("it opens");
    socket.send(json!({ "type": "connection_init" })).await;
    assert_eq!(socket.next().await["type"], "connection_ack");
    socket.send(json!({ "type": "ping" })).await;
    assert_eq!(socket.next().await["type"], "pong");
    let query = "subscription { events(after: 3) { position type } }";
    let subscribe = json!({ "id": "s", "type": "subscribe", "payload": { "query": query } });
    socket.send(subscribe).await;
    // While the ledger goes on.
    let writing = async {
        for number in 0..10 {
            let key = format!("during-{number}.txt");
            client.put("inbox", &key, "x".into()).await.unwrap();
        }
        for number in 0..10 {
            for part in ["before", "during"] {
                server
                    .settled("inbox", &format!("{part}-{number}.txt"))
                    .await;
            }
        }
        client.put("inbox", "last", "x".into()).await.unwrap();
        server.events(&[]).await
    };
    let reading = async {
        let mut told = Vec::new();
        let mut objects = 0;
        // 20 files, their 20 results, and the last one.
        while objects < 41 {
            let message = socket.next().await;
            assert_eq!(
                (&message["id"], &message["type"]),
                (&json!("s"), &json!("next"))
            );
            let event = message["payload"]["data"]["events"].clone();
            objects += usize::from(event["type"] == "ObjectCreated");
            told.push(event);
        }
        told
    };
    let (all, told) = tokio::join!(writing, reading);
    let expected: Vec<_> = all
        .iter()
        .filter(|event| event["position"].as_u64() > Some(3))
        .map(|event| json!({ "position": event["position"], "type": event["type"] }))
        .collect();
    assert_eq!(told, expected[..told.len()]);
    let rest = &expected[told.len()..];
    assert!(rest.is_empty(), "not told: {rest:?}");
    socket.send(json!({ "id": "s", "type": "complete" })).await;

    let query = "subscription { events(after: 0, where: { stream: \"object-inbox/last\" }) \
                 { actor data } }";
    let subscribe = json!({ "id": "t", "type": "subscribe", "payload": { "query": query } });
    socket.send(subscribe).await;
    let mut message = socket.next().await;
    // The server confirms the end of the first subscription.
    while message["id"] == "s" {
        assert_eq!(message["type"], "complete");
        message = socket.next().await;
    }
    assert_eq!(message["id"], "t");
    assert_eq!(message["payload"]["data"]["events"]["data"]["key"], "last");
}

/// All keys of the bucket `inbox`, page by page.
async fn walk(server: &Server, order: &Value, size: &str, cursor: &str) -> Vec<String> {
    let (next, end) = match cursor {
        "after" => ("hasNextPage", "endCursor"),
        _ => ("hasPreviousPage", "startCursor"),
    };
    let mut walked = Vec::new();
    let mut at = Value::Null;
    loop {
        let variables = json!({
            size: 7, cursor: at, "where": { "bucket": "inbox" }, "orderBy": order,
        });
        let answer = server.query(OBJECTS, variables).await;
        let connection = &answer["objects"];
        let mut keys = keys_of(connection);
        if cursor == "before" {
            keys.reverse();
        }
        walked.extend(keys);
        if connection["pageInfo"][next] == false {
            return walked;
        }
        at = connection["pageInfo"][end].clone();
    }
}

#[tokio::test]
async fn what_attempts_cost_adds_up() {
    let ledger = Ledger::uppercase();
    let (server, keys) = (ledger.start().await, ["a.txt", "b.txt"]);
    for key in keys {
        let client = server.client();
        client.put("inbox", key, "some text".into()).await.unwrap();
        server.settled("inbox", key).await;
    }
    server.caught_up().await;
    let (mut billed, mut used) = (0, 0.0);
    let mut answer = Value::Null;
    for key in keys {
        answer = server.query(COSTS, json!({ "key": key })).await;
        let object = &answer["object"];
        let [execution] = &object["executions"]["nodes"].as_array().unwrap()[..] else {
            panic!("{object}");
        };
        let [attempt] = &execution["attempts"].as_array().unwrap()[..] else {
            panic!("{execution}");
        };
        uuid::Uuid::parse_str(attempt["requestId"].as_str().unwrap()).unwrap();
        let number = |name: &str| attempt[name].as_u64().unwrap();
        assert!(number("billedMs") >= number("durationMs"), "{attempt}");
        let expected = number("billedMs") as f64 / 1e3 * number("memoryMb") as f64 / 1024.0;
        let gigabyte_seconds = attempt["gbSeconds"].as_f64().unwrap();
        assert!((gigabyte_seconds - expected).abs() < 1e-6, "{attempt}");
        for cost in [&execution["cost"], &object["cost"]] {
            assert_eq!(cost["billedMs"], attempt["billedMs"]);
            assert_eq!(cost["gbSeconds"], attempt["gbSeconds"]);
        }
        billed += number("billedMs");
        used += gigabyte_seconds;
    }
    let days = answer["pipeline"]["costs"].as_array().unwrap();
    let days = days.iter().map(|day| day["cost"]["billedMs"].as_u64());
    assert_eq!(days.sum::<Option<u64>>(), Some(billed));
    let totals = &answer["statistics"]["totals"];
    assert_eq!(totals["attempts"], 2);
    assert_eq!(totals["billedMs"], billed, "{answer:#}");
    assert!((totals["gbSeconds"].as_f64().unwrap() - used).abs() < 1e-6);
}

fn keys_of(connection: &Value) -> Vec<String> {
    let nodes = connection["nodes"].as_array().expect("nodes");
    let key = |node: &Value| node["key"].as_str().expect("a key").to_owned();
    nodes.iter().map(key).collect()
}

const COSTS: &str = r#"
query ($key: String!) {
  object(bucket: "inbox", key: $key) {
    cost { billedMs gbSeconds }
    executions(first: 10) {
      nodes {
        cost { billedMs gbSeconds }
        attempts { requestId billedMs memoryMb gbSeconds durationMs }
      }
    }
  }
  pipeline(name: "uppercase") { costs { cost { billedMs gbSeconds } } }
  statistics(window: ALL) { totals { attempts billedMs gbSeconds } }
}"#;

const OBJECTS: &str = r"
query ($first: Int, $after: String, $last: Int, $before: String,
       $where: ObjectWhere, $orderBy: ObjectOrder) {
  objects(first: $first, after: $after, last: $last, before: $before,
          where: $where, orderBy: $orderBy) {
    nodes { key }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}";

const OWN_WRITE: &str = r"
query ($id: ID!, $position: Position) {
  execution(id: $id, minPosition: $position) { causeKind redriveOf { id } }
}";

const AS_OF: &str = r#"
query ($asOf: DateTime) {
  object(bucket: "inbox", key: "a.txt", asOf: $asOf) {
    size status present newest executions(first: 100) { nodes { status } }
  }
}"#;
