use super::client::Client;
use super::world::World;

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
async fn pages(client: &Client, v2: bool, size: &str, more: &[(&str, &str)]) -> Vec<String> {
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
    let world = World::new().await;
    std::fs::write(world.path("inbox", "by-hand"), "hello").unwrap();
    let page = world
        .client
        .list("inbox", &[("list-type", "2")])
        .await
        .expect(200);
    assert_eq!(page.elements("Key"), ["by-hand"]);
    assert_eq!(
        page.elements("ETag"),
        ["\"5d41402abc4b2a76b9719d911017c592\""]
    );
    assert_eq!(page.elements("Size"), ["5"]);
    assert_eq!(page.element("KeyCount").as_deref(), Some("1"));
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
