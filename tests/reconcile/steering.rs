//! A reconcile that somebody pauses, and keys that somebody is writing while it runs.

use super::*;

#[tokio::test]
async fn a_reconcile_that_is_paused_stands_still_until_it_is_resumed() {
    const OBJECTS: usize = 120;
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    assert!(server.stop().await.0.success());
    let server = other(&ledger).start().await;
    put_all(&server, keys("k", OBJECTS), "x").await;
    assert!(server.stop().await.0.success());
    let mut server = ledger.start().await;
    let (_, started) = server
        .post("/v1/reconciles", json!({ "bucket": "inbox", "rate": 60 }))
        .await;
    let id = started["reconcile"].as_str().unwrap().to_owned();
    eventually("some are recorded", || async {
        (!creations(&server).await.is_empty()).then_some(())
    })
    .await;
    let paused = daybook(&server, &["reconcile", "pause", &id]).await.ok();
    assert!(paused.contains("PAUSED"), "{paused}");
    // Another one of the bucket does not wait for it, and it stays so over a restart.
    let (code, dry) = reconcile(&server, &["inbox", "--dry-run"]).await;
    assert_eq!(code, 3, "{dry:#}");
    server.kill().await;
    server = ledger.start().await;
    let (_, dry) = reconcile(&server, &["inbox", "--dry-run"]).await;
    let left = dry["counts"]["missing"].as_u64().unwrap();
    assert!(left > 0, "{dry:#}");
    let listed = daybook(&server, &["reconcile", "list"]).await.ok();
    assert!(listed.contains("PAUSED"), "{listed}");
    daybook(&server, &["reconcile", "resume", &id]).await.ok();
    let path = format!("/v1/reconciles/{id}");
    let done = eventually("it is done", || async {
        let (_, text) = server.get(&path).await;
        let state: Value = serde_json::from_str(&text).unwrap();
        (state["status"] == "COMPLETED").then_some(state)
    })
    .await;
    for name in ["keys", "missing", "recorded"] {
        assert_eq!(done["counts"][name], OBJECTS, "{name}: {done:#}");
    }
    let over = daybook(&server, &["reconcile", "pause", &id]).await;
    assert!(over.failed(1).contains("is over"));
}

#[tokio::test]
async fn a_key_that_is_being_written_by_hand_is_named() {
    let config = format!("{UPPERCASE}{OPERATOR}[limits]\nsettle_after = \"1h\"\n");
    let ledger = Ledger::new(&config);
    let server = ledger.start().await;
    assert!(server.stop().await.0.success());
    let server = other(&ledger).start().await;
    put_all(&server, keys("k", 3), "x").await;
    assert!(server.stop().await.0.success());
    // Not long enough ago to be sure that whoever wrote it is done.
    ledger.write("inbox/k001", "half of");
    let server = ledger.start().await;
    for arguments in [&["inbox", "--dry-run"][..], &["inbox"]] {
        let (_, statement) = reconcile(&server, arguments).await;
        let counts = &statement["counts"];
        assert_eq!(counts["unsettled"], 1, "{statement:#}");
        assert_eq!(
            (&counts["keys"], &counts["missing"]),
            (&3.into(), &2.into())
        );
        assert!(found(&statement).contains(&("unsettled".to_owned(), "k001".to_owned())));
    }
    let (_, statement) = reconcile(&server, &["inbox"]).await;
    assert_eq!(statement["counts"]["accounted"], 2, "{statement:#}");
    assert_eq!(found(&statement), planted(&[("unsettled", "k001")]));
}
