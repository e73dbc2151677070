//! Several gateways serve the same folders at the same time. Those of one process exclude each
//! other just as those of several do: each has its own memory and its own hold on the lock file.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use daybook_domain::stored_object::{ObjectCommand, ObjectEvent, StoredObject};
use daybook_domain::{Aggregate, Context};
use daybook_s3_gateway::{Gateway, Limits, ObjectLedger, OpenError};
use futures::future::join_all;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

use super::client::{Client, Reply, finish};
use super::world::{MemoryLedger, Serving, config, serve};

const HOUR: Duration = Duration::from_secs(3600);

pub struct Shared {
    pub folder: TempDir,
    pub ledger: Arc<MemoryLedger>,
    pub peers: Vec<Serving>,
}

pub fn limits() -> Limits {
    Limits {
        lead_every: Duration::from_millis(20),
        settle_after: Duration::from_millis(50),
        min_part_bytes: 4,
        ..Limits::default()
    }
}

impl Shared {
    pub async fn new(count: usize) -> Shared {
        let mut shared = Shared {
            folder: TempDir::new().unwrap(),
            ledger: Arc::default(),
            peers: Vec::new(),
        };
        for _ in 0..count {
            shared.join(limits()).await;
        }
        shared
    }

    /// Opens one more gateway.
    pub async fn join(&mut self, limits: Limits) -> &Serving {
        let config = config(self.folder.path(), limits, HOUR, true);
        self.peers.push(serve(config, &self.ledger).await);
        self.peers.last().unwrap()
    }

    fn clients(&self) -> Vec<Client> {
        self.peers.iter().map(|peer| peer.client.clone()).collect()
    }

    pub fn path(&self, relative: &str) -> std::path::PathBuf {
        self.folder.path().join("buckets/inbox").join(relative)
    }

    /// How many bodies are being taken in or were left behind.
    pub fn temporaries(&self) -> usize {
        let processes = std::fs::read_dir(self.path(".daybook/tmp")).unwrap();
        let files = processes.flat_map(|entry| std::fs::read_dir(entry.unwrap().path()).unwrap());
        files.count()
    }

    fn watch(&self) {
        for peer in &self.peers {
            tokio::spawn(Arc::clone(&peer.gateway).watch(peer.shutdown.clone()));
        }
    }

    /// The commands of each key in the order in which they were recorded.
    fn by_key(&self) -> BTreeMap<String, Vec<ObjectCommand>> {
        let mut keys: BTreeMap<String, Vec<ObjectCommand>> = BTreeMap::new();
        for command in self.ledger.commands() {
            let key = match &command {
                ObjectCommand::RecordCreated(it) => it.key.to_string(),
                ObjectCommand::RecordReappeared(it) => it.key.to_string(),
                ObjectCommand::RecordRemoved(it) => it.key.to_string(),
                ObjectCommand::RecordNotification(it) => it.key.to_string(),
                ObjectCommand::RecordListed(it) => it.created.key.to_string(),
                ObjectCommand::RecordGone(it) => it.key.to_string(),
            };
            keys.entry(key).or_default().push(command);
        }
        keys
    }
}

/// Checks that each command is news to the ledger, in the order in which they came, and that
/// each removal is of the version that was there.
fn check_history(commands: Vec<ObjectCommand>) {
    let context = Context {
        now: jiff::Timestamp::UNIX_EPOCH,
        seed: 7,
    };
    let mut object = StoredObject::default();
    let (mut there, mut last) = (None, String::new());
    for command in commands {
        let order = match &command {
            ObjectCommand::RecordCreated(it) => {
                there = it.version.stamp;
                it.order.clone()
            }
            ObjectCommand::RecordRemoved(it) => {
                assert_eq!(there.take(), it.version.stamp);
                it.order.clone()
            }
            _ => panic!("{command:?}"),
        };
        let sequencer = order.unwrap().sequencer;
        assert!(sequencer > last, "{sequencer} after {last}");
        last = sequencer;
        let events = object.decide(command, &context).unwrap();
        let [ObjectEvent::ObjectCreated(_) | ObjectEvent::ObjectRemoved(_)] = &events[..] else {
            panic!("it is one event: {events:?}")
        };
        object = object.evolve(&events[0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_all_gateways_take_turns_at_a_key() {
    let shared = Shared::new(3).await;
    shared.watch();
    let tasks = shared
        .clients()
        .into_iter()
        .enumerate()
        .flat_map(|(n, client)| {
            (0..3).map(move |task| {
                let client = client.clone();
                tokio::spawn(async move {
                    let mut versions = Vec::new();
                    for round in 0..12 {
                        let key = format!("k{}", (n + task + round) % 3);
                        if round % 4 == 3 {
                            client.delete("inbox", &key).await.expect(204);
                            continue;
                        }
                        let body = format!("{n}/{task}/{round}");
                        let put = client.put("inbox", &key, &body).await.expect(200);
                        let id = put.header("x-amz-version-id").unwrap().to_owned();
                        versions.push((key, id, body));
                    }
                    versions
                })
            })
        });
    let tasks: Vec<_> = tasks.collect();
    let mut written = 0;
    for task in tasks {
        for (key, version, body) in task.await.unwrap() {
            // Kept, whoever wrote it and whoever overwrote it.
            let client = &shared.peers[written % 3].client;
            let got = client.get_version("inbox", &key, &version).await;
            assert_eq!(got.expect(200).text(), body);
            written += 1;
        }
    }
    assert_eq!(shared.ledger.created().len(), written);
    for commands in shared.by_key().into_values() {
        check_history(commands);
    }
    let found = shared.peers[0].gateway.rescan().await.unwrap();
    assert_eq!((found.recorded, found.removals), (0, 0), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_those_who_create_a_key_one_wins() {
    let shared = Shared::new(3).await;
    for key in (0..8).map(|number| format!("k{number}")) {
        let puts = shared.clients().into_iter().cycle().take(6).map(|client| {
            let key = key.clone();
            tokio::spawn(async move {
                let headers = [("if-none-match", "*")];
                client.put_with("inbox", &key, &headers, "x").await.status
            })
        });
        let puts: Vec<_> = puts.collect();
        let mut statuses: Vec<u16> = join_all(puts)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412, 412, 412, 412, 412]);
    }
    assert_eq!(shared.ledger.commands().len(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_counter_loses_no_step() {
    const STEPS: usize = 6;
    let shared = Shared::new(3).await;
    let first = &shared.peers[0].client;
    first.put("inbox", "counter", "0").await.expect(200);
    let tasks: Vec<_> = (shared.clients().into_iter())
        .map(|client| tokio::spawn(async move { count(&client, STEPS).await }))
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let counter = first.get("inbox", "counter").await.expect(200).text();
    assert_eq!(counter, (3 * STEPS).to_string());
}

async fn count(client: &Client, mut steps: usize) {
    while steps > 0 {
        let got = client.get("inbox", "counter").await.expect(200);
        let next = got.text().parse::<u64>().unwrap() + 1;
        let headers = [("if-match", got.header("etag").unwrap())];
        let put = client.put_with("inbox", "counter", &headers, next.to_string());
        match put.await.status {
            200 => steps -= 1,
            status => assert_eq!(status, 412),
        }
    }
}

#[tokio::test]
async fn one_that_opens_disturbs_no_other() {
    let mut shared = Shared::new(1).await;
    let client = shared.peers[0].client.clone();
    client.put("inbox", "k", "one").await.expect(200);
    let mut late = client.begin("PUT", "inbox", "k", &[], &[], 4).await;
    late.write_all(b"la").await.unwrap();
    // Its body has a file once the second half of this is asked for.
    let large = vec![b'x'; 3 << 20];
    let mut slow = client
        .begin("PUT", "inbox", "slow", &[], &[], large.len())
        .await;
    slow.write_all(&large[..2 << 20]).await.unwrap();
    while shared.temporaries() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let opened = shared.join(limits()).await;
    opened.gateway.rescan().await.unwrap();
    assert_eq!(shared.temporaries(), 1);
    late.write_all(b"te").await.unwrap();
    slow.write_all(&large[2 << 20..]).await.unwrap();
    finish(late).await.expect(200);
    finish(slow).await.expect(200);
    let opened = &shared.peers[1].client;
    assert_eq!(opened.get("inbox", "k").await.expect(200).text(), "late");
    assert_eq!(opened.get("inbox", "slow").await.expect(200).body, large);
    for commands in shared.by_key().into_values() {
        check_history(commands);
    }
}

#[tokio::test]
async fn a_folder_is_shared_by_all_or_by_none() {
    let shared = Shared::new(2).await;
    let alone = config(shared.folder.path(), limits(), HOUR, false);
    let ledger: Arc<dyn ObjectLedger> = shared.ledger.clone();
    let refused = Gateway::open(alone, ledger);
    assert!(matches!(refused, Err(OpenError::InUse { .. })));
}

#[tokio::test]
async fn keys_that_are_no_paths_are_seen_by_all() {
    let shared = Shared::new(2).await;
    let [a, b] = &shared.clients()[..] else {
        panic!("two were opened")
    };
    let keys = ["../x", "a", "a/b", "z//"];
    for key in ["a/b", "../x", "z//", "a"] {
        b.list("inbox", &[]).await.expect(200);
        a.put("inbox", key, key).await.expect(200);
        assert_eq!(b.get("inbox", key).await.expect(200).text(), key);
    }
    assert_eq!(b.list("inbox", &[]).await.elements("Key"), keys);
    for key in keys {
        b.delete("inbox", key).await.expect(204);
        a.get("inbox", key).await.refused(404, "NoSuchKey");
    }
    assert!(a.list("inbox", &[]).await.elements("Key").is_empty());
    for commands in shared.by_key().into_values() {
        check_history(commands);
    }
}

async fn upload(client: &Client) -> String {
    let created = client.send("POST", "inbox", "big", &[("uploads", "")], &[], b"");
    created.await.expect(200).element("UploadId").unwrap()
}

async fn part(client: &Client, id: &str, number: &str, body: &str) -> String {
    let query = [("partNumber", number), ("uploadId", id)];
    let put = client.send("PUT", "inbox", "big", &query, &[], body.as_bytes());
    let etag = put.await.expect(200).header("etag").unwrap().to_owned();
    format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
}

async fn complete(client: &Client, id: &str, parts: &str) -> Reply {
    let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    let query = [("uploadId", id)];
    (client.send("POST", "inbox", "big", &query, &[], body.as_bytes())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_through_several_gateways_becomes_one_object_or_none() {
    let shared = Shared::new(3).await;
    let [a, b, c] = &shared.clients()[..] else {
        panic!("three were opened")
    };
    let abort = async |id: &str| {
        c.send("DELETE", "inbox", "big", &[("uploadId", id)], &[], b"")
            .await
    };

    let id = upload(a).await;
    let parts = [
        part(a, &id, "1", "1111").await,
        part(b, &id, "2", "22").await,
    ]
    .concat();
    let (first, second) = tokio::join!(complete(a, &id, &parts), complete(b, &id, &parts));
    // One of them completes it, and the other finds it completed.
    let (first, second) = (first.expect(200), second.expect(200));
    assert_eq!(first.element("ETag"), second.element("ETag"));
    assert_eq!(shared.ledger.commands().len(), 1);
    abort(&id).await.refused(404, "NoSuchUpload");
    assert_eq!(c.get("inbox", "big").await.expect(200).text(), "111122");

    let id = upload(a).await;
    let parts = part(b, &id, "1", "no").await;
    abort(&id).await.expect(204);
    complete(a, &id, &parts).await.refused(404, "NoSuchUpload");
    assert_eq!(c.get("inbox", "big").await.expect(200).text(), "111122");
    assert_eq!(shared.ledger.commands().len(), 1);
}

#[tokio::test]
async fn the_leader_records_what_comes_from_outside_and_nothing_twice() {
    let shared = Shared::new(2).await;
    shared.watch();
    for (number, client) in shared.clients().iter().enumerate() {
        let key = format!("k{number}");
        client.put("inbox", &key, "x").await.expect(200);
    }
    std::fs::write(shared.path("by-hand"), "x").unwrap();
    shared.ledger.until(3).await;
    // Events come in order: when this one was handled, so were the others.
    std::fs::write(shared.path("after"), "x").unwrap();
    shared.ledger.until(4).await;
    let keys: Vec<String> = shared.by_key().into_keys().collect();
    assert_eq!(keys, ["after", "by-hand", "k0", "k1"]);
    assert_eq!(shared.ledger.commands().len(), 4);
}
