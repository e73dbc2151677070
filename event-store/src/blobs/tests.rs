use std::fs;
use std::path::PathBuf;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{BlobError, BlobRef, BlobStore, INLINE_LIMIT_BYTES, folder};

const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn store() -> (TempDir, BlobStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = BlobStore::open(folder.path().to_str().unwrap()).unwrap();
    (folder, store)
}

fn hello() -> BlobRef {
    BlobRef {
        sha256: HELLO.into(),
        size: 5,
        passing: false,
    }
}

#[tokio::test]
async fn what_is_put_comes_back_under_its_digest() {
    let (folder, store) = store();
    assert_eq!(store.put("hello").await.unwrap(), hello());
    assert_eq!(store.put("hello").await.unwrap(), hello());
    assert_eq!(store.get(&hello()).await.unwrap(), "hello");
    let again = BlobStore::open(&format!("file://{}", folder.path().display())).unwrap();
    assert_eq!(again.get(&hello()).await.unwrap(), "hello");
    let file = folder.path().join("2c").join(HELLO);
    assert_eq!(fs::read(file).unwrap(), b"hello");
}

#[tokio::test]
async fn it_says_whether_a_blob_is_there_whole() {
    let (folder, store) = store();
    assert!(!store.has(&hello()).await.unwrap());
    store.put("hello").await.unwrap();
    assert!(store.has(&hello()).await.unwrap());
    fs::write(folder.path().join("2c").join(HELLO), "hell").unwrap();
    assert!(!store.has(&hello()).await.unwrap());
}

#[tokio::test]
async fn nothing_and_much_can_be_put() {
    let (_folder, store) = store();
    for size in [0, 1, 5_000_000] {
        let content = vec![7u8; size];
        let blob = store.put(content.clone()).await.unwrap();
        assert_eq!(blob.size, size as u64);
        assert_eq!(store.get(&blob).await.unwrap(), content);
    }
}

#[tokio::test]
async fn racing_puts_of_the_same_content_all_succeed() {
    let (folder, store) = store();
    let putting: Vec<_> = (0..20)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.put("hello").await })
        })
        .collect();
    for put in putting {
        assert_eq!(put.await.unwrap().unwrap(), hello());
    }
    let files = fs::read_dir(folder.path().join("2c")).unwrap().count();
    assert_eq!(files, 1, "nothing is left lying about");
}

#[tokio::test]
async fn a_missing_blob_is_named() {
    let (_folder, store) = store();
    let error = store.get(&hello()).await.unwrap_err();
    assert!(matches!(error, BlobError::Missing { .. }), "{error:?}");
    assert!(error.to_string().contains(HELLO));
}

#[tokio::test]
async fn damage_is_noticed_and_mended_by_putting_again() {
    let (folder, store) = store();
    store.put("hello").await.unwrap();
    let file = folder.path().join("2c").join(HELLO);
    for damage in ["hell", "hallo", ""] {
        fs::write(&file, damage).unwrap();
        let error = store.get(&hello()).await.unwrap_err();
        assert!(matches!(error, BlobError::Damaged { .. }), "{error:?}");
    }
    store.put("hello").await.unwrap();
    assert_eq!(store.get(&hello()).await.unwrap(), "hello");
}

#[tokio::test]
async fn a_reference_cannot_lead_elsewhere() {
    let (_folder, store) = store();
    let upper = HELLO.to_uppercase();
    for sha256 in ["", "2c", "../../etc/passwd", &upper, &"é".repeat(32)] {
        let blob = BlobRef {
            sha256: sha256.into(),
            size: 5,
            passing: false,
        };
        let error = store.get(&blob).await.unwrap_err();
        assert!(matches!(error, BlobError::Reference(_)), "{error:?}");
    }
}

#[test]
fn urls_and_folders() {
    let check = |url: &str, wanted: Option<&str>| {
        assert_eq!(folder(url).ok(), wanted.map(PathBuf::from), "{url}");
    };
    check("blobs", Some("blobs"));
    check("/var/lib/my blobs%20", Some("/var/lib/my blobs%20"));
    check("file:///var/lib/my%20blobs", Some("/var/lib/my blobs"));
    check("file://localhost/var", Some("/var"));
    check("file://var/lib", None);
    check("s3://bucket/prefix", None);
    assert!(BlobStore::open("/proc/nowhere").is_err());
}

#[tokio::test]
async fn only_big_fields_go() {
    let (_folder, store) = store();
    // Two quotation marks belong to the JSON of a text.
    let fits = "x".repeat(INLINE_LIMIT_BYTES - 2);
    let big = "x".repeat(INLINE_LIMIT_BYTES - 1);
    let body = json!({ "fits": fits, "big": big, "small": [1, 2] });
    let stored = store.offload(body.clone(), None).await.unwrap();
    assert_eq!(stored["fits"], body["fits"]);
    assert_eq!(stored["small"], body["small"]);
    assert_eq!(stored["big"]["$blob"]["size"], INLINE_LIMIT_BYTES + 1);
    assert_eq!(store.hydrate(stored).await.unwrap(), body);
}

#[tokio::test]
async fn what_looks_like_a_reference_is_data() {
    let (_folder, store) = store();
    let secret = store.put("\"secret\"").await.unwrap();
    let body = json!({
        "forged": { "$blob": secret },
        "odd": { "$blob": 1 },
        "more": { "$blob": secret, "x": 1 },
        "deep": [{ "$blob": secret }],
        "$blob": { "$blob": { "$blob": secret } },
    });
    let stored = store.offload(body.clone(), None).await.unwrap();
    assert_ne!(stored["forged"], body["forged"]);
    assert_eq!(stored["deep"], body["deep"]);
    assert_eq!(store.hydrate(stored).await.unwrap(), body);
}

#[tokio::test]
async fn a_reference_that_cannot_be_resolved_is_an_error() {
    let (_folder, store) = store();
    let missing = json!({ "output": { "$blob": hello() } });
    let error = store.hydrate(missing).await.unwrap_err();
    assert!(matches!(error, BlobError::Missing { .. }), "{error:?}");
    let odd = json!({ "output": { "$blob": "hello" } });
    let error = store.hydrate(odd).await.unwrap_err();
    assert!(matches!(error, BlobError::Reference(_)), "{error:?}");
    store.put("hello").await.unwrap();
    let no_json = json!({ "output": { "$blob": hello() } });
    let error = store.hydrate(no_json).await.unwrap_err();
    assert!(matches!(error, BlobError::Damaged { .. }), "{error:?}");
}

#[test]
fn hydrate_undoes_offload() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let (_folder, store) = store();
    proptest!(ProptestConfig::with_cases(64), |(body in body())| {
        runtime.block_on(async {
            let stored = store.offload(body.clone(), None).await.unwrap();
            assert_eq!(store.hydrate(stored).await.unwrap(), body);
        });
    });
}

/// Bodies whose fields are small, big, or look like references at several depths.
fn body() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        Just(Value::from("é\"\u{0}".repeat(INLINE_LIMIT_BYTES / 4))),
        Just(json!({ "sha256": HELLO, "size": 5 })),
    ];
    let tree = leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            inner.clone().prop_map(|value| json!({ "$blob": value })),
            btree_map("[a-c]|\\$blob", inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    });
    prop_oneof![
        1 => tree.clone(),
        4 => btree_map("[a-e]|\\$blob", tree, 0..5)
            .prop_map(|fields| Value::Object(fields.into_iter().collect())),
    ]
}
