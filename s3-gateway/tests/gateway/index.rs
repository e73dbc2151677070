//! The index of a bucket: whatever becomes of it, listings tell what is in the folder.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use daybook_s3_gateway::Limits;
use proptest::prelude::*;

use super::client::Client;
use super::restored::unhesitating;
use super::sharing::Shared;
use super::world::World;

/// All keys with their sizes, in pages of three.
async fn listed(client: &Client, prefix: &str, delimiter: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let mut query = vec![("list-type", "2"), ("max-keys", "3"), ("prefix", prefix)];
        if !delimiter.is_empty() {
            query.push(("delimiter", delimiter));
        }
        if let Some(after) = &after {
            query.push(("continuation-token", after));
        }
        let page = client.list("inbox", &query).await.expect(200);
        all.extend(page.elements("Key").into_iter().zip(page.elements("Size")));
        for rolled in page.elements("CommonPrefixes") {
            let rolled = rolled.replace("<Prefix>", "").replace("</Prefix>", "");
            all.push((rolled, "-".to_owned()));
        }
        after = page.element("NextContinuationToken");
        if after.is_none() {
            all.sort();
            return all;
        }
    }
}

/// The same from a model of the bucket: sizes by key.
fn expected(
    model: &BTreeMap<String, usize>,
    prefix: &str,
    delimiter: &str,
) -> Vec<(String, String)> {
    let mut all = BTreeSet::new();
    for (key, size) in model {
        let Some(rest) = key.strip_prefix(prefix) else {
            continue;
        };
        all.insert(
            match rest.find(delimiter).filter(|_| !delimiter.is_empty()) {
                Some(at) => (
                    format!("{prefix}{}{delimiter}", &rest[..at]),
                    "-".to_owned(),
                ),
                None => (key.clone(), size.to_string()),
            },
        );
    }
    all.into_iter().collect()
}

#[tokio::test]
async fn an_index_that_is_lost_or_damaged_is_made_anew() {
    let damages: [fn(&Path); 5] = [
        |index| std::fs::remove_file(index).unwrap(),
        |index| std::fs::write(index, "not a database at all").unwrap(),
        |index| std::fs::write(index, "").unwrap(),
        |index| {
            let mut file = std::fs::File::options().write(true).open(index).unwrap();
            file.seek(SeekFrom::Start(4096)).unwrap();
            file.write_all(&[0x5a; 20_000]).unwrap();
        },
        |index| {
            // Of another schema.
            let mut file = std::fs::File::options().write(true).open(index).unwrap();
            file.seek(SeekFrom::Start(60)).unwrap();
            file.write_all(&[0, 0, 0, 99]).unwrap();
        },
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        let world = World::new().await;
        for key in ["a", "b/1", "b/2", "../x", "é"] {
            world.client.put("inbox", key, key).await.expect(200);
        }
        world.client.delete("inbox", "b/2").await.expect(204);
        let before = listed(&world.client, "", "").await;
        assert_eq!(before.len(), 4);
        let index = world.path("inbox", ".daybook/index.sqlite");
        world.shutdown.cancel();
        // What is in its log must not make the damage good.
        std::fs::remove_file(index.with_extension("sqlite-wal")).unwrap();
        std::fs::remove_file(index.with_extension("sqlite-shm")).unwrap();
        damage(&index);
        let world = world.reopen().await;
        assert_eq!(
            listed(&world.client, "", "").await,
            before,
            "damage {number}"
        );
        let report = world.gateway.rescan().await.unwrap();
        assert_eq!(
            (report.recorded, report.removals),
            (0, 0),
            "damage {number}"
        );
    }
}

#[tokio::test]
async fn an_index_may_be_removed_while_gateways_use_it() {
    let shared = Shared::new(2).await;
    let [a, b] = [&shared.peers[0].client, &shared.peers[1].client];
    for round in 0..4 {
        for (number, client) in [a, b].into_iter().enumerate() {
            let key = format!("{round}/{number}");
            client.put("inbox", &key, "x").await.expect(200);
        }
        let (before, other) = (listed(a, "", "").await, listed(b, "", "").await);
        assert_eq!((before.len(), &before), (2 * (round + 1), &other));
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(shared.path(&format!(".daybook/index.sqlite{suffix}")));
        }
        // The one finds it gone when it writes, the other when it lists.
        if round % 2 == 0 {
            a.put("inbox", &format!("{round}/0"), "x").await.expect(200);
        }
        assert_eq!(listed(b, "", "").await, before);
        assert_eq!(listed(a, "", "").await, before);
    }
}

#[tokio::test]
async fn each_gateway_lists_what_the_other_answered() {
    let shared = Shared::new(2).await;
    let clients = [&shared.peers[0].client, &shared.peers[1].client];
    for round in 0..20 {
        let (one, other) = (clients[round % 2], clients[(round + 1) % 2]);
        let key = format!("k{:02}", round / 2);
        if round % 2 == 0 {
            one.put("inbox", &key, "x").await.expect(200);
            assert_eq!(listed(other, &key, "").await.len(), 1);
        } else {
            one.delete("inbox", &key).await.expect(204);
            assert_eq!(listed(other, &key, "").await.len(), 0);
        }
    }
}

#[tokio::test]
async fn a_file_edited_at_the_same_size_and_time_is_another_version() {
    let world = unhesitating().await;
    world.client.put("inbox", "k", "one").await.expect(200);
    assert_eq!(world.gateway.rescan().await.unwrap().recorded, 0);
    let path = world.path("inbox", "k");
    let modified = path.metadata().unwrap().modified().unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "two").unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(modified).unwrap();
    assert_eq!(world.gateway.rescan().await.unwrap().recorded, 1);
    assert_eq!(world.gateway.rescan().await.unwrap().recorded, 0);
    assert_eq!(
        world.client.get("inbox", "k").await.expect(200).text(),
        "two"
    );
}

#[derive(Clone, Debug)]
enum Step {
    Put(&'static str, usize),
    Delete(&'static str),
    /// A file written, moved or removed by hand.
    Write(&'static str, usize),
    Move(&'static str, usize),
    Remove(&'static str),
    Rescan,
    Reopen,
}

/// Keys that get into each other's way, and some that cannot be paths.
const KEYS: [&str; 12] = [
    "a", "a/b", "a/b/c", "a0", "b/", "b//x", "../x", "c/d", "h/1", "h/2", "é", "é/z",
];
/// Those that people write as files. None lies where another one's folder does.
const FILES: [&str; 4] = ["a0", "c/d", "h/1", "h/2"];

fn step() -> impl Strategy<Value = Step> {
    let key = || prop::sample::select(&KEYS[..]);
    let file = || prop::sample::select(&FILES[..]);
    prop_oneof![
        4 => (key(), 1..40usize).prop_map(|(key, size)| Step::Put(key, size)),
        3 => key().prop_map(Step::Delete),
        2 => (file(), 1..40usize).prop_map(|(file, size)| Step::Write(file, size)),
        1 => (file(), 1..40usize).prop_map(|(file, size)| Step::Move(file, size)),
        2 => file().prop_map(Step::Remove),
        1 => Just(Step::Rescan),
        1 => Just(Step::Reopen),
    ]
}

async fn run(steps: Vec<Step>) {
    let limits = Limits {
        settle_after: Duration::ZERO,
        ..Limits::default()
    };
    let mut world = World::with(limits, Duration::from_secs(3600)).await;
    let mut model = BTreeMap::new();
    for step in &steps {
        match step {
            Step::Put(key, size) => {
                let put = world.client.put("inbox", key, vec![b'x'; *size]);
                put.await.expect(200);
                model.insert((*key).to_owned(), *size);
            }
            Step::Delete(key) => {
                world.client.delete("inbox", key).await.expect(204);
                model.remove(*key);
            }
            Step::Write(key, size) | Step::Move(key, size) => {
                let target = world.path("inbox", key);
                std::fs::create_dir_all(target.parent().unwrap()).unwrap();
                let written = match step {
                    Step::Move(..) => world.folder.path().join("moving"),
                    _ => target.clone(),
                };
                std::fs::write(&written, vec![b'y'; *size]).unwrap();
                std::fs::rename(&written, &target).unwrap();
                model.insert((*key).to_owned(), *size);
            }
            Step::Remove(key) => {
                let _ = std::fs::remove_file(world.path("inbox", key));
                model.remove(*key);
            }
            Step::Rescan => {
                let report = world.gateway.rescan().await.unwrap();
                assert!(report.failed.is_empty(), "{report:?}");
            }
            Step::Reopen => world = world.reopen().await,
        }
    }
    world.gateway.rescan().await.unwrap();
    for (prefix, delimiter) in [
        ("", ""),
        ("", "/"),
        ("a", "/"),
        ("a/", ""),
        ("", "b"),
        ("b/", "/"),
    ] {
        let listed = listed(&world.client, prefix, delimiter).await;
        let expect = expected(&model, prefix, delimiter);
        assert_eq!(listed, expect, "{prefix:?} {delimiter:?} after {steps:?}");
    }
    let report = world.gateway.rescan().await.unwrap();
    assert_eq!(
        (report.recorded, report.removals),
        (0, 0),
        "after {steps:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn listings_tell_what_is_there(steps in prop::collection::vec(step(), 1..40)) {
        tokio::runtime::Runtime::new().unwrap().block_on(run(steps));
    }
}
