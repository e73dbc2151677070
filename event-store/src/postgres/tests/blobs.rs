//! Blobs in the database.

use futures::future::join_all;

use super::connect;
use crate::blobs::{BlobError, BlobRef};
use crate::testing::postgres::TestDatabase;

const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn hello() -> BlobRef {
    BlobRef {
        sha256: HELLO.into(),
        size: 5,
        passing: false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_service_puts_another_one_gets() {
    let database = TestDatabase::create().await;
    let (one, other) = (
        connect(&database.url()).await,
        connect(&database.url()).await,
    );
    let (one, other) = (one.blobs(), other.blobs());
    assert!(!other.has(&hello()).await.unwrap());
    let error = other.get(&hello()).await.unwrap_err();
    assert!(matches!(error, BlobError::Missing { .. }), "{error:?}");
    let putting = (0..20).map(|_| one.put("hello"));
    for put in join_all(putting).await {
        assert_eq!(put.unwrap(), hello());
    }
    assert!(other.has(&hello()).await.unwrap());
    assert_eq!(other.get(&hello()).await.unwrap(), "hello");
    for size in [0, 1, 5_000_000] {
        let content = vec![7u8; size];
        let blob = one.put(content.clone()).await.unwrap();
        assert_eq!(other.get(&blob).await.unwrap(), content);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_noticed_and_mended_by_putting_again() {
    let database = TestDatabase::create().await;
    let store = connect(&database.url()).await.blobs();
    store.put("hello").await.unwrap();
    for damage in ["hell", "hallo", ""] {
        let damaging = format!("UPDATE daybook.blobs SET content = '{damage}'");
        database.execute(&damaging).await;
        let error = store.get(&hello()).await.unwrap_err();
        assert!(matches!(error, BlobError::Damaged { .. }), "{error:?}");
    }
    store.put("hello").await.unwrap();
    assert_eq!(store.get(&hello()).await.unwrap(), "hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reference_cannot_lead_elsewhere() {
    let database = TestDatabase::create().await;
    let store = connect(&database.url()).await.blobs();
    for (sha256, size) in [("", 5), ("2c", 5), ("' OR true --", 5)] {
        let blob = BlobRef {
            sha256: sha256.into(),
            size,
            passing: false,
        };
        let error = store.get(&blob).await.unwrap_err();
        assert!(matches!(error, BlobError::Reference(_)), "{error:?}");
    }
    let huge = BlobRef {
        size: u64::MAX,
        ..hello()
    };
    let error = store.get(&huge).await.unwrap_err();
    assert!(matches!(error, BlobError::Missing { .. }), "{error:?}");
    store.put("hello").await.unwrap();
    let error = store.get(&huge).await.unwrap_err();
    assert!(matches!(error, BlobError::Damaged { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_go_out_and_come_in_again() {
    let database = TestDatabase::create().await;
    let store = connect(&database.url()).await.blobs();
    let body = serde_json::json!({ "big": "x".repeat(20_000), "small": 1 });
    let stored = store.offload(body.clone(), None).await.unwrap();
    assert_eq!(stored["small"], 1);
    assert!(stored["big"]["$blob"].is_object());
    assert_eq!(store.hydrate(stored).await.unwrap(), body);
}
