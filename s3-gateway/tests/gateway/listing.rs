use std::time::Duration;

use daybook_s3_gateway::Limits;

use super::client::Client;
use super::restored::unhesitating;
use super::world::{Serving, World, config, serve};

const HOUR: Duration = Duration::from_secs(3600);

const KEYS: [&str; 9] = [
    "a", "b/1", "b/2", "b/c/1", "b/c/2", "b0", "d/", "d/x", "é f",
];

async fn filled() -> World {
    let world = World::new().await;
    for key in KEYS {
        world.client.put("inbox", key, key).await.expect(200);
    }
    world
}

/// Everything that pages of this size add up to, keys and prefixes.
pub async fn pages(client: &Client, v2: bool, size: &str, more: &[(&str, &str)]) -> Vec<String> {
    let mut all = Vec::new();
    let mut next: Option<String> = None;
    for _ in 0..50 {
        let mut query = vec![("max-keys", size)];
        query.extend_from_slice(more);
        if v2 {
            query.push(("list-type", "2"));
        }
        if let Some(next) = &next {
            query.push((if v2 { "continuation-token" } else { "marker" }, next));
        }
        let page = client.list("inbox", &query).await.expect(200);
        let keys = page.elements("Key");
        let prefixes = page.elements("CommonPrefixes");
        let prefixes = prefixes
            .iter()
            .map(|p| p.replace("<Prefix>", "").replace("</Prefix>", ""));
        all.extend(prefixes.chain(keys.clone()));
        if page.element("IsTruncated").as_deref() != Some("true") {
            all.sort();
            return all;
        }
        next = page
            .element(if v2 {
                "NextContinuationToken"
            } else {
                "NextMarker"
            })
            .or_else(|| keys.last().cloned());
    }
    panic!("the pages never end");
}

#[tokio::test]
async fn pages_of_any_size_add_up() {
    let world = filled().await;
    for (more, expect) in [
        (vec![], KEYS.to_vec()),
        (vec![("prefix", "b/")], vec!["b/1", "b/2", "b/c/1", "b/c/2"]),
        (vec![("delimiter", "/")], vec!["a", "b/", "b0", "d/", "é f"]),
        (
            vec![("delimiter", "/"), ("prefix", "b/")],
            vec!["b/1", "b/2", "b/c/"],
        ),
        (
            vec![("delimiter", "c/")],
            vec!["a", "b/1", "b/2", "b/c/", "b0", "d/", "d/x", "é f"],
        ),
        (vec![("prefix", "absent")], vec![]),
        (
            vec![("prefix", "b")],
            vec!["b/1", "b/2", "b/c/1", "b/c/2", "b0"],
        ),
    ] {
        for size in ["1", "2", "3", "1000"] {
            for v2 in [true, false] {
                let listed = pages(&world.client, v2, size, &more).await;
                assert_eq!(listed, expect, "{more:?} by {size}, version 2: {v2}");
            }
        }
    }
}

#[tokio::test]
async fn a_listing_tells_size_and_etag_also_of_files_put_there_by_hand() {
    let world = unhesitating().await;
    let list = async || {
        let page = world.client.list("inbox", &[("list-type", "2")]).await;
        page.expect(200)
    };
    std::fs::write(world.path("inbox", "by-hand"), "hello").unwrap();
    assert_eq!(list().await.element("KeyCount").as_deref(), Some("0"));
    // A read takes it in at once, and so does whoever looks through the folder.
    world.client.get("inbox", "by-hand").await.expect(200);
    std::fs::write(world.path("inbox", "found"), "hello, too").unwrap();
    let page = list().await;
    assert_eq!(page.elements("Key"), ["by-hand"]);
    assert_eq!(
        page.elements("ETag"),
        ["\"5d41402abc4b2a76b9719d911017c592\""]
    );
    assert_eq!(page.elements("Size"), ["5"]);
    assert_eq!(page.element("KeyCount").as_deref(), Some("1"));
    assert_eq!(world.gateway.rescan().await.unwrap().recorded, 2);
    let page = list().await;
    assert_eq!(page.elements("Key"), ["by-hand", "found"]);
    assert_eq!(page.elements("Size"), ["5", "10"]);
}

#[tokio::test]
async fn a_listing_tells_the_algorithm_of_the_checksums() {
    let world = World::new().await;
    let headers = [("x-amz-checksum-algorithm", "CRC32")];
    let put = world.client.put_with("inbox", "with", &headers, "hello");
    put.await.expect(200);
    let page = world.client.list("inbox", &[]).await.expect(200);
    assert_eq!(page.elements("ChecksumAlgorithm"), ["CRC32"]);
    assert_eq!(page.elements("ChecksumType"), ["FULL_OBJECT"]);
}

/// A key that may read what these patterns say, at a gateway whose pages end after so many keys
/// that it may not see.
async fn reader(world: &World, read: &[&str], list_unseen: usize) -> Serving {
    let limits = Limits {
        list_unseen,
        ..Limits::default()
    };
    let mut config = config(&world.folder.path().join("other"), limits, HOUR, false);
    config.keys[0].read = read.iter().map(|text| (*text).to_owned()).collect();
    serve(config, &world.ledger).await
}

#[tokio::test]
async fn of_what_may_not_be_read_nothing_is_listed_and_not_much_looked_at() {
    let world = World::new().await;
    for (read, expect) in [
        (vec!["inbox/b/*"], vec!["b/1", "b/2", "b/c/1", "b/c/2"]),
        (
            vec!["inbox/d/*", "inbox/b/c/*", "results/*"],
            vec!["b/c/1", "b/c/2", "d/", "d/x"],
        ),
        (vec!["inbox/*/1", "inbox/a"], vec!["a", "b/1", "b/c/1"]),
        (
            vec!["inbox/b/c/*", "inbox/b/*"],
            vec!["b/1", "b/2", "b/c/1", "b/c/2"],
        ),
        (vec!["*x"], vec!["d/x"]),
    ] {
        let peer = reader(&world, &read, 2).await;
        for key in KEYS {
            peer.client.put("inbox", key, key).await.expect(200);
        }
        for size in ["1", "2", "1000"] {
            for v2 in [true, false] {
                let listed = pages(&peer.client, v2, size, &[]).await;
                assert_eq!(listed, expect, "{read:?} by {size}, version 2: {v2}");
            }
        }
        // The page ends early where the keys between cannot be stepped over.
        if read == ["*x"] {
            let page = peer
                .client
                .list("inbox", &[("list-type", "2")])
                .await
                .expect(200);
            assert_eq!(page.element("KeyCount").as_deref(), Some("0"));
            assert_eq!(page.element("IsTruncated").as_deref(), Some("true"));
        }
        peer.shutdown.cancel();
        peer.served.await.unwrap();
    }
}

#[tokio::test]
async fn odd_parameters() {
    let world = filled().await;
    let none = world
        .client
        .list("inbox", &[("max-keys", "0")])
        .await
        .expect(200);
    assert_eq!(none.element("IsTruncated").as_deref(), Some("false"));
    world
        .client
        .list("inbox", &[("max-keys", "-1")])
        .await
        .refused(400, "InvalidArgument");
    let token = [("list-type", "2"), ("continuation-token", "not ours")];
    world
        .client
        .list("inbox", &token)
        .await
        .refused(400, "InvalidArgument");
    let encoded = [("encoding-type", "url"), ("prefix", "é f")];
    let page = world.client.list("inbox", &encoded).await.expect(200);
    assert_eq!(page.elements("Key"), ["%C3%A9%20f"]);
    let after = [("list-type", "2"), ("start-after", "b/c/1")];
    let page = world.client.list("inbox", &after).await.expect(200);
    assert_eq!(page.elements("Key"), ["b/c/2", "b0", "d/", "d/x", "é f"]);
    world
        .client
        .list("absent", &[])
        .await
        .refused(404, "NoSuchBucket");
}
