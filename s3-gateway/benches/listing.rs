//! What a page of a listing costs, wherever it lies in a large bucket, beside a walk of the same
//! folder.
//!
//! ```text
//! cargo bench -p daybook-s3-gateway -- 1000000        so many objects; 100,000 if it is not said
//! ```
//!
//! Files with stamps are put into `TMPDIR`, whose disk is what is measured; their index is made
//! when the gateway opens the folder. Half of them lie in folders below `big/`, the others in
//! folders beside it, 1,000 in each. Pages are asked for over HTTP, 1,000 names each, so their
//! time has the signing and the XML in it. The reference reads all folders and sorts the names,
//! which is the least that a listing without an index does for each page.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "a bench prints, reads the clock and may stop at any error"
)]

#[path = "../tests/gateway/client.rs"]
mod client;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use async_trait::async_trait;
use client::Client;
use daybook_domain::BucketName;
use daybook_domain::stored_object::ObjectCommand;
use daybook_s3_gateway::{
    BucketConfig, Gateway, GatewayConfig, LedgerError, Limits, LocalBucket, ObjectLedger,
    OperatorKey,
};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const OBJECTS: usize = 100_000;
const IN_A_FOLDER: usize = 1000;

/// How often each page is asked for; the median counts.
const ROUNDS: usize = 15;

struct Nothing;

#[async_trait]
impl ObjectLedger for Nothing {
    async fn record(&self, _: ObjectCommand) -> Result<(), LedgerError> {
        Ok(())
    }
}

#[tokio::main]
async fn main() {
    let count = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let count: usize = count.unwrap_or(OBJECTS);
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("inbox");
    // It makes the bucket's own folder, which the stamps name.
    drop(open(&root));
    let begun = Instant::now();
    let keys = fill(&root, count);
    println!(
        "{count} files with stamps written in {:.1?}",
        begun.elapsed()
    );
    let begun = Instant::now();
    let gateway = open(&root);
    println!(
        "opened, with the index made anew, in {:.1?}",
        begun.elapsed()
    );
    let begun = Instant::now();
    let report = gateway.rescan().await.unwrap();
    assert_eq!(
        (report.objects, report.recorded),
        (count as u64, 0),
        "{report:?}"
    );
    println!("rescan of what the index knows in {:.1?}", begun.elapsed());
    let reference = median(|| {
        let mut names = Vec::new();
        walk(&root, &root, &mut names);
        names.sort_unstable();
        assert_eq!(names.len(), count);
    });
    println!("all folders read and sorted in {reference:.1?}: the reference\n");
    let client = serve(Arc::clone(&gateway)).await;
    println!(
        "{:44} {:>10} {:>12}",
        "page of 1,000", "median", "reference /"
    );
    let (middle, end) = (&keys[count / 2], &keys[count - IN_A_FOLDER - 1]);
    for (what, query) in [
        ("from the beginning", vec![]),
        ("from the middle", vec![("start-after", middle.as_str())]),
        ("the last", vec![("start-after", end.as_str())]),
        ("of a prefix", vec![("prefix", "big/00002/")]),
        ("rolled up at /", vec![("delimiter", "/")]),
        (
            "half of the bucket as one prefix",
            vec![("delimiter", "/"), ("prefix", "b")],
        ),
        (
            "below big/, rolled up at /",
            vec![("delimiter", "/"), ("prefix", "big/")],
        ),
        (
            "of versions, from the middle",
            vec![("versions", ""), ("key-marker", middle.as_str())],
        ),
    ] {
        let mut query = query;
        if !query.contains(&("versions", "")) {
            query.push(("list-type", "2"));
        }
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            let page = client.list("inbox", &query).await.expect(200);
            times.push(begun.elapsed());
            let names = page.elements("Key").len() + page.elements("CommonPrefixes").len();
            assert!(names > 0, "nothing listed {what}");
        }
        times.sort_unstable();
        let time = times[ROUNDS / 2];
        let ratio = reference.as_secs_f64() / time.as_secs_f64();
        println!("{what:44} {:>10} {ratio:>11.0}x", format!("{time:.2?}"));
    }
}

fn open(root: &Path) -> Arc<Gateway> {
    let key = OperatorKey {
        name: "bench".to_owned(),
        access_key: "bench".to_owned(),
        secret_key: "a-secret".to_owned(),
        read: vec!["*".to_owned()],
        write: vec!["*".to_owned()],
    };
    let bucket = LocalBucket {
        root: root.to_owned(),
        retain: Duration::from_secs(3600),
    };
    let config = GatewayConfig {
        buckets: BTreeMap::from([(
            BucketName::parse("inbox").unwrap(),
            BucketConfig::Local(bucket),
        )]),
        keys: vec![key],
        region: "us-east-1".to_owned(),
        limits: Limits::default(),
        shared: false,
        created: None,
    };
    Gateway::open(config, Arc::new(Nothing)).unwrap()
}

async fn serve(gateway: Arc<Gateway>) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client {
        address: listener.local_addr().unwrap(),
        access_key: "bench".to_owned(),
        secret_key: "a-secret".to_owned(),
    };
    tokio::spawn(gateway.serve(listener, CancellationToken::new()));
    client
}

/// Writes files as the gateway would have, without its syncs. Returns the keys in order.
fn fill(root: &Path, count: usize) -> Vec<String> {
    let birth = |meta: &fs::Metadata| {
        let born = meta.created().unwrap().duration_since(UNIX_EPOCH).unwrap();
        json!({ "inode": meta.ino(), "born_ns": born.as_nanos() as u64 })
    };
    let own = birth(&root.join(".daybook").metadata().unwrap());
    fs::remove_file(root.join(".daybook/index.sqlite")).unwrap();
    let mut keys = Vec::with_capacity(count);
    for number in 0..count {
        let (dir, name) = (number / IN_A_FOLDER, number % IN_A_FOLDER);
        let dir = match dir % 2 {
            0 => format!("big/{dir:05}"),
            _ => format!("d{dir:05}"),
        };
        if name == 0 {
            fs::create_dir_all(root.join(&dir)).unwrap();
        }
        let key = format!("{dir}/object-{name:05}.csv");
        let path = root.join(&key);
        fs::write(&path, "x").unwrap();
        let meta = path.metadata().unwrap();
        let stamp = uuid::Uuid::from_u128(number as u128);
        let text = json!({
            "key": key, "version_id": stamp.simple().to_string(), "stamp": stamp,
            "etag": "9dd4e461268c8034f5c8564e155c67a6", "size": 1,
            "mtime_ns": meta.mtime() * 1_000_000_000 + meta.mtime_nsec(),
            "sequence": number + 1, "event_name": "ObjectCreated:Put",
            "place": { "bucket": "inbox", "folder": own, "file": birth(&meta) },
        });
        xattr::set(&path, "user.daybook", text.to_string().as_bytes()).unwrap();
        xattr::set(&path, "user.daybook.recorded", stamp.as_bytes()).unwrap();
        keys.push(key);
    }
    keys.sort_unstable();
    keys
}

fn walk(root: &Path, dir: &Path, names: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() == ".daybook" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            walk(root, &entry.path(), names);
        } else {
            let path = entry.path();
            let key = path.strip_prefix(root).unwrap().to_str().unwrap();
            names.push(key.to_owned());
        }
    }
}

fn median(work: impl Fn()) -> Duration {
    let mut times: Vec<Duration> = (0..3)
        .map(|_| {
            let begun = Instant::now();
            work();
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[1]
}
