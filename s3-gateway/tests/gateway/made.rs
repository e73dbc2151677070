//! Buckets that are made over the API: found again, their maker's, made and removed as a whole.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use daybook_s3_gateway::{CreatedBuckets, GatewayConfig, Limits, OperatorKey};
use tempfile::TempDir;

use super::client::Client;
use super::world::{MemoryLedger, Serving, config, serve};

fn with_made(folder: &Path) -> GatewayConfig {
    let hour = Duration::from_secs(3600);
    let mut config = config(folder, Limits::default(), hour, false);
    config.created = Some(CreatedBuckets {
        root: folder.join("made"),
        retain: hour,
    });
    let key = |name: &str, read: &str| OperatorKey {
        name: name.to_owned(),
        access_key: name.to_owned(),
        secret_key: "a-secret".to_owned(),
        read: vec![read.to_owned()],
        write: vec!["*".to_owned()],
    };
    config.keys.push(key("stranger", "*"));
    config.keys.push(key("friend", "shared/*"));
    config
}

async fn stop(serving: Serving) {
    serving.shutdown.cancel();
    serving.served.await.unwrap();
}

fn as_key(serving: &Serving, name: &str) -> Client {
    Client {
        access_key: name.to_owned(),
        ..serving.client.clone()
    }
}

async fn make(client: &Client, bucket: &str) -> super::client::Reply {
    client.send("PUT", bucket, "", &[], &[], b"").await
}

async fn remove(client: &Client, bucket: &str) -> super::client::Reply {
    client.send("DELETE", bucket, "", &[], &[], b"").await
}

#[tokio::test]
async fn they_are_found_again_at_the_next_start() {
    let folder = TempDir::new().unwrap();
    let ledger = Arc::new(MemoryLedger::default());
    let serving = serve(with_made(folder.path()), &ledger).await;
    make(&serving.client, "reports").await.expect(200);
    serving.client.put("reports", "a", "1").await.expect(200);
    stop(serving).await;

    let serving = serve(with_made(folder.path()), &ledger).await;
    let got = serving.client.get("reports", "a").await.expect(200);
    assert_eq!(got.text(), "1");
    let stranger = as_key(&serving, "stranger");
    stranger
        .get("reports", "a")
        .await
        .refused(403, "AccessDenied");
    make(&stranger, "reports")
        .await
        .refused(409, "BucketAlreadyExists");
    remove(&serving.client, "reports")
        .await
        .refused(409, "BucketNotEmpty");
    serving.client.delete("reports", "a").await.expect(204);
    remove(&serving.client, "reports").await.expect(204);
    stop(serving).await;

    let serving = serve(with_made(folder.path()), &ledger).await;
    serving
        .client
        .get("reports", "a")
        .await
        .refused(404, "NoSuchBucket");
    assert!(!folder.path().join("made/reports").exists());
    stop(serving).await;
}

#[tokio::test]
async fn what_a_crash_left_half_made_or_half_removed_is_cleared_away() {
    let folder = TempDir::new().unwrap();
    let made = folder.path().join("made");
    for left in [".new-1/.daybook", ".gone-2/.daybook/versions/x"] {
        std::fs::create_dir_all(made.join(left)).unwrap();
    }
    std::fs::write(made.join(".new-1/.daybook/bucket.json"), "{").unwrap();
    let ledger = Arc::new(MemoryLedger::default());
    let serving = serve(with_made(folder.path()), &ledger).await;
    assert_eq!(std::fs::read_dir(&made).unwrap().count(), 0);
    make(&serving.client, "reports").await.expect(200);
    stop(serving).await;
}

#[tokio::test]
async fn a_pattern_that_names_one_opens_it_for_another_key() {
    let folder = TempDir::new().unwrap();
    let ledger = Arc::new(MemoryLedger::default());
    let serving = serve(with_made(folder.path()), &ledger).await;
    let friend = as_key(&serving, "friend");
    for bucket in ["shared", "private"] {
        make(&serving.client, bucket).await.expect(200);
        serving.client.put(bucket, "a", "1").await.expect(200);
    }
    friend.get("shared", "a").await.expect(200);
    friend
        .get("private", "a")
        .await
        .refused(403, "AccessDenied");
    let listed = friend.send("GET", "", "", &[], &[], b"").await.expect(200);
    assert_eq!(listed.elements("Name"), ["inbox", "results", "shared"]);
    stop(serving).await;
}

#[tokio::test]
async fn where_it_is_not_allowed_none_is_made() {
    let world = super::world::World::new().await;
    let refused = make(&world.client, "reports").await;
    refused.refused(403, "AccessDenied");
}

#[tokio::test]
async fn a_file_that_is_dropped_into_one_keeps_it_and_is_an_object() {
    let folder = TempDir::new().unwrap();
    let ledger = Arc::new(MemoryLedger::default());
    let serving = serve(with_made(folder.path()), &ledger).await;
    make(&serving.client, "reports").await.expect(200);
    let root = folder.path().join("made/reports");
    std::fs::create_dir(root.join("sub")).unwrap();
    std::fs::write(root.join("sub/by-hand"), "x").unwrap();
    remove(&serving.client, "reports")
        .await
        .refused(409, "BucketNotEmpty");
    let got = serving.client.get("reports", "sub/by-hand").await;
    assert_eq!(got.expect(200).text(), "x");
    serving
        .client
        .delete("reports", "sub/by-hand")
        .await
        .expect(204);
    remove(&serving.client, "reports").await.expect(204);
    stop(serving).await;
}
