//! What the fields say.

use serde_json::json;

use super::story::failed;
use super::{Asked, Story, story, told};

#[tokio::test]
async fn an_object_tells_its_story() {
    let story = told().await;
    let asked = Asked::over(&story).await;
    let data = asked
        .data(
            r#"{ object(bucket: "inbox", key: "a.txt") {
              bucket key versionId etag size status present channel createdAt
              executions(first: 5) { nodes {
                pipeline { name revision } pipelineRevision generation status error cause
                input output causeKind
                attempts { task attempt status functionName codeRevision codeSha256 durationMs logs }
                steps { name functionName output }
                readObjects { bucket key etag object { status } }
                writtenObjects { bucket key object { status } }
                object { key }
              } }
              inputsOf(first: 5) { nodes { status } }
              outputsOf(first: 5) { nodes { status } }
              events(first: 5) { nodes { type version stream actor } }
              versions(last: 5) { nodes { versionId newest } }
              notifications(first: 5) { nodes { verdict } }
              producedBy { attempt }
            } }"#,
        )
        .await;
    assert_eq!(
        data["object"],
        json!({
            "bucket": "inbox", "key": "a.txt", "versionId": "v1", "etag": "etag1", "size": 1,
            "status": "SUCCEEDED", "present": true, "channel": "gateway",
            "createdAt": "2026-05-28T20:26:40.001000Z",
            "executions": { "nodes": [{
                "pipeline": { "name": "p", "revision": 1 }, "pipelineRevision": 1,
                "generation": 1, "status": "SUCCEEDED", "error": null, "cause": null,
                "input": { "key": "a.txt" }, "output": { "done": true }, "causeKind": "TRIGGER",
                "attempts": [{
                    "task": 1, "attempt": 1, "status": "SUCCEEDED", "functionName": "upper",
                    "codeRevision": 3, "codeSha256": "c0de", "durationMs": 12, "logs": "a line\n",
                }],
                "steps": [{
                    "name": "upper", "functionName": "upper", "output": { "done": true },
                }],
                "readObjects": [{
                    "bucket": "inbox", "key": "a.txt", "etag": "etag1",
                    "object": { "status": "SUCCEEDED" },
                }],
                "writtenObjects": [{ "bucket": "results", "key": "a.txt", "object": null }],
                "object": { "key": "a.txt" },
            }] },
            // The fixed report of the test says that both runs read it.
            "inputsOf": { "nodes": [{ "status": "SUCCEEDED" }, { "status": "FAILED" }] },
            "outputsOf": { "nodes": [] },
            "events": { "nodes": [{
                "type": "ObjectCreated", "version": 0, "stream": "object-inbox/a.txt",
                "actor": "test",
            }] },
            "versions": { "nodes": [{ "versionId": "v1", "newest": true }] },
            "notifications": { "nodes": [] },
            "producedBy": null,
        })
    );
}

#[tokio::test]
async fn objects_are_filtered_ordered_and_paged() {
    let story = told().await;
    let asked = Asked::over(&story).await;
    for (arguments, keys) in [
        ("first: 10", vec!["c.csv", "b.txt", "a.txt"]),
        ("last: 1", vec!["a.txt"]),
        (
            "first: 10, orderBy: { field: KEY }",
            vec!["a.txt", "b.txt", "c.csv"],
        ),
        (
            "first: 2, orderBy: { field: KEY, direction: DESC }",
            vec!["c.csv", "b.txt"],
        ),
        ("first: 10, where: { status: FAILED }", vec!["b.txt"]),
        (
            "first: 10, where: { status: [UNMATCHED, FAILED] }",
            vec!["c.csv", "b.txt"],
        ),
        ("first: 10, where: { prefix: \"a\" }", vec!["a.txt"]),
        ("first: 10, where: { bucket: \"other\" }", vec![]),
        ("first: 10, where: { etag: \"etag3\" }", vec!["c.csv"]),
        (
            "first: 10, where: { createdAfter: \"2030-01-01T00:00:00Z\" }",
            vec![],
        ),
        (
            "first: 10, where: { createdBefore: \"2026-05-28T20:26:40.0015Z\" }",
            vec!["a.txt"],
        ),
        ("first: 10, where: { present: false }", vec![]),
    ] {
        let query = format!("{{ objects({arguments}) {{ nodes {{ key }} }} }}");
        let data = asked.data(&query).await;
        let found: Vec<_> = data["objects"]["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| node["key"].as_str().unwrap())
            .collect();
        assert_eq!(found, keys, "{arguments}");
    }
}

#[tokio::test]
async fn cursors_lead_on_and_back() {
    let story = told().await;
    let asked = Asked::over(&story).await;
    let page = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor } nodes { key }";
    let first = asked
        .data(&format!("{{ objects(first: 2) {{ {page} }} }}"))
        .await;
    assert_eq!(first["objects"]["pageInfo"]["hasNextPage"], true);
    let end = first["objects"]["pageInfo"]["endCursor"].as_str().unwrap();
    let second = asked
        .data(&format!(
            "{{ objects(first: 2, after: {end:?}) {{ {page} }} }}"
        ))
        .await;
    assert_eq!(second["objects"]["nodes"], json!([{ "key": "a.txt" }]));
    assert_eq!(second["objects"]["pageInfo"]["hasNextPage"], false);
    let start = second["objects"]["pageInfo"]["startCursor"]
        .as_str()
        .unwrap();
    let back = asked
        .data(&format!(
            "{{ objects(last: 1, before: {start:?}) {{ {page} }} }}"
        ))
        .await;
    assert_eq!(back["objects"]["nodes"], json!([{ "key": "b.txt" }]));
    let other = format!("{{ events(first: 2, after: {end:?}) {{ nodes {{ type }} }} }}");
    assert!(asked.errors(&other).await[0].contains("not a cursor of this list"));
}

#[tokio::test]
async fn executions_failures_and_figures_agree() {
    let story = told().await;
    let asked = Asked::over(&story).await;
    let data = asked
        .data(
            r#"{
              executions(first: 10, where: { status: FAILED, pipeline: "p" }) {
                nodes { key error cause object { status } } }
              failures(first: 10) { nodes { error message count lastExecution { key } } }
              statistics(window: HOUR) {
                objectsByStatus { status count }
                totals { objectsCreated executionsStarted executionsFailed attempts durationMs }
                pipelines { pipelineName executionsByStatus { status count } }
                series { totals { objectsCreated } }
              }
              pipelines { name triggers { bucket suffix } paused revisions { revision } }
              pipeline(name: "q") { name }
              functions { name }
            }"#,
        )
        .await;
    assert_eq!(
        data,
        json!({
            "executions": { "nodes": [{
                "key": "b.txt", "error": "Boom", "cause": "{\"errorMessage\":\"no vowels\"}",
                "object": { "status": "FAILED" },
            }] },
            "failures": { "nodes": [{
                "error": "Boom", "message": "no vowels", "count": 1,
                "lastExecution": { "key": "b.txt" },
            }] },
            "statistics": {
                "objectsByStatus": [
                    { "status": "FAILED", "count": 1 },
                    { "status": "PENDING", "count": 0 },
                    { "status": "RUNNING", "count": 0 },
                    { "status": "SUCCEEDED", "count": 1 },
                    { "status": "UNMATCHED", "count": 1 },
                ],
                "totals": {
                    "objectsCreated": 3, "executionsStarted": 2, "executionsFailed": 1,
                    "attempts": 2, "durationMs": 24,
                },
                "pipelines": [{ "pipelineName": "p", "executionsByStatus": [
                    { "status": "FAILED", "count": 1 },
                    { "status": "PENDING", "count": 0 },
                    { "status": "RUNNING", "count": 0 },
                    { "status": "SUCCEEDED", "count": 1 },
                ] }],
                "series": [{ "totals": { "objectsCreated": 3 } }],
            },
            "pipelines": [{
                "name": "p", "triggers": [{ "bucket": "inbox", "suffix": ".txt" }],
                "paused": false, "revisions": [{ "revision": 1 }],
            }],
            "pipeline": null,
            "functions": [],
        })
    );
}

#[tokio::test]
async fn the_audit_trail_is_filtered() {
    let story = told().await;
    let asked = Asked::over(&story).await;
    for (filter, count) in [
        ("{}", 17),
        ("{ type: \"ObjectCreated\" }", 3),
        ("{ type: [\"ObjectCreated\", \"PipelineRevised\"] }", 4),
        ("{ stream: \"object-inbox/a.txt\" }", 1),
        ("{ streamPrefix: \"object-inbox/\" }", 3),
        ("{ actor: \"nobody\" }", 0),
        ("{ correlationId: \"story-pipeline-p\" }", 1),
        ("{ recordedBefore: \"2026-05-28T20:26:40.0005Z\" }", 1),
        ("{ recordedAfter: \"2026-05-28T20:26:40.0005Z\" }", 16),
        ("{ positionAfter: 15 }", 2),
        ("{ positionAfter: 17 }", 0),
        ("{ positionAfter: 0, type: \"ObjectCreated\" }", 3),
        ("{ positionAfter: \"18446744073709551615\" }", 0),
    ] {
        let query = format!("{{ events(first: 100, where: {filter}) {{ nodes {{ type }} }} }}");
        let data = asked.data(&query).await;
        let found = data["events"]["nodes"].as_array().unwrap().len();
        assert_eq!(found, count, "{filter}");
    }
    let data = asked
        .data("{ events(first: 1) { nodes { position recordedAt data } } }")
        .await;
    let event = &data["events"]["nodes"][0];
    assert_eq!(event["position"], 1);
    assert_eq!(event["recordedAt"], "2026-05-28T20:26:40.000000Z");
    assert_eq!(event["data"]["pipeline"], "p");
}

#[tokio::test]
async fn big_bodies_come_whole() {
    let story = Story::new();
    story.pipeline("p").await;
    story.put("a.txt", 1).await;
    let execution = story.start("p", "a.txt", 1).await;
    story.claim(execution).await;
    let (cause, logs) = ("x".repeat(20_000), "y".repeat(20_000));
    story
        .end_with(execution, failed(&cause), logs.clone())
        .await;
    let asked = Asked::over(&story).await;
    let query = format!(
        "{{ execution(id: \"{execution}\") {{ cause attempts {{ cause logs }}
           events(last: 2) {{ nodes {{ data }} }} }} }}"
    );
    let found = &asked.data(&query).await["execution"];
    assert_eq!(found["cause"], cause.as_str());
    assert_eq!(found["attempts"][0]["cause"], cause.as_str());
    assert_eq!(found["attempts"][0]["logs"], logs.as_str());
    let body = &found["events"]["nodes"][0]["data"];
    assert_eq!(body["logs"], logs.as_str());
}

#[tokio::test]
async fn nodes_are_found_by_their_ids() {
    let story = told().await;
    let asked = Asked::over(&story).await;
    let data = asked
        .data(
            "{ objects(first: 1) { nodes { id } } executions(first: 1) { nodes { id } }
               events(first: 1) { nodes { id } } pipelines { id } }",
        )
        .await;
    let ids = [
        (&data["objects"]["nodes"][0]["id"], "Object"),
        (&data["executions"]["nodes"][0]["id"], "Execution"),
        (&data["events"]["nodes"][0]["id"], "Event"),
        (&data["pipelines"][0]["id"], "Pipeline"),
    ];
    for (id, kind) in ids {
        let found = asked
            .data(&format!("{{ node(id: {id}) {{ __typename id }} }}"))
            .await;
        assert_eq!(found["node"], json!({ "__typename": kind, "id": id }));
    }
    let nothing = asked.data("{ node(id: \"object:999\") { id } }").await;
    assert_eq!(nothing["node"], json!(null));
}

#[tokio::test]
async fn an_earlier_time_is_inherited_by_what_is_nested() {
    let story = told().await;
    let asked = Asked::over(&story).await;
    // After the start of the first run (the third append), before its claim.
    let time = "2026-05-28T20:26:40.0025Z";
    let data = asked
        .data(&format!(
            "{{ object(bucket: \"inbox\", key: \"a.txt\", asOf: \"{time}\") {{ status
               executions(first: 5) {{ nodes {{ id status object {{ status }}
                 attempts {{ status }} }} }} }} }}"
        ))
        .await;
    assert_eq!(data["object"]["status"], "PENDING");
    let execution = &data["object"]["executions"]["nodes"][0];
    assert_eq!(execution["status"], "PENDING");
    assert_eq!(execution["object"]["status"], "PENDING");
    assert_eq!(execution["attempts"], json!([{ "status": "SCHEDULED" }]));
    let query = format!(
        "{{ execution(id: {}, asOf: \"{time}\") {{ status }} }}",
        execution["id"]
    );
    assert_eq!(asked.data(&query).await["execution"]["status"], "PENDING");
}

#[tokio::test]
async fn one_reads_ones_own_writes() {
    let story = Story::new();
    let asked = Asked::with(&story, |config| {
        config.min_position_timeout = std::time::Duration::from_millis(1);
    })
    .await;
    let query = |position: u64| {
        format!(
            "{{ object(bucket: \"inbox\", key: \"a.txt\", minPosition: {position}) {{ key }} }}"
        )
    };
    let errors = asked.errors(&query(1)).await;
    assert!(
        errors[0].contains("at position 0, not yet at 1"),
        "{errors:?}"
    );

    let story = Story::new();
    let asked = Asked::over(&story).await;
    let position = story.put("a.txt", 1).await;
    let data = asked.data(&query(position.0)).await;
    assert_eq!(data["object"]["key"], "a.txt");
    // A position is taken as a text too.
    let data = asked
        .data("{ object(bucket: \"inbox\", key: \"a.txt\", minPosition: \"1\") { key } }")
        .await;
    assert_eq!(data["object"]["key"], "a.txt");
}

#[tokio::test]
async fn the_ledger_says_where_everything_is() {
    let story = told().await;
    let asked = Asked::with(&story, |config| config.ledger_id = Some("l1".into())).await;
    let data = asked
        .data("{ ledger { id position checkpoint projections { name position lag state } } }")
        .await;
    let ledger = &data["ledger"];
    assert_eq!(ledger["id"], "l1");
    assert_eq!(ledger["position"], 17);
    let objects = &ledger["projections"][0];
    let expected = json!({ "name": "objects", "position": 17, "lag": 0, "state": "LIVE" });
    assert_eq!(objects, &expected);
    assert_eq!(asked.service.ready().await, Ok(()));
    assert_eq!(story::TICK_US, 1_000);
}
