use std::collections::BTreeSet;
use std::path::Path;

use super::world::World;

fn hostile() -> Vec<String> {
    let mut keys: Vec<String> = [
        "a",
        "a/b",
        "a/b/c",
        "a//b",
        "/lead",
        "//",
        "/",
        "trail/",
        "../x",
        "x/../y",
        "..",
        ".",
        "./z",
        "a+b",
        "a%2Fb",
        "a%b",
        "sp ace",
        "emoji😀",
        "é",
        ".daybook/tmp/x",
        ".DayBook/x",
        "tab\tx",
        "line\nx",
        "a\\b",
        "q?x=1&y",
        "#h",
        "a'b\"<>&",
        "CON",
        "~",
        "*",
        "a.b",
        "a0",
    ]
    .map(str::to_owned)
    .into();
    keys.push("k".repeat(1024));
    keys.push("n".repeat(256));
    keys.push(format!("{}/{}", "d".repeat(255), "e".repeat(255)));
    keys
}

#[tokio::test]
async fn hostile_keys_are_keys_like_any_other_and_stay_in_their_bucket() {
    let world = World::new().await;
    let keys = hostile();
    for key in &keys {
        world.client.put("inbox", key, key).await.expect(200);
    }
    let world = world.reopen().await;
    for key in &keys {
        assert_eq!(
            world.client.get("inbox", key).await.expect(200).text(),
            *key
        );
    }
    let mut listed = Vec::new();
    let mut after = String::new();
    loop {
        let query = [
            ("list-type", "2"),
            ("encoding-type", "url"),
            ("max-keys", "4"),
            ("start-after", &after),
        ];
        let page = world.client.list("inbox", &query).await.expect(200);
        let page: Vec<String> = page.elements("Key").iter().map(|key| decode(key)).collect();
        let Some(last) = page.last() else { break };
        after.clone_from(last);
        listed.extend(page);
    }
    let mut sorted = keys.clone();
    sorted.sort_unstable();
    assert_eq!(listed, sorted);

    let outside: BTreeSet<_> = entries(world.folder.path())
        .chain(entries(&world.folder.path().join("buckets")))
        .collect();
    let expect = ["buckets", "inbox", "results"].map(str::to_owned);
    assert_eq!(outside, expect.into());

    for key in &keys {
        world.client.delete("inbox", key).await.expect(204);
        world
            .client
            .get("inbox", key)
            .await
            .refused(404, "NoSuchKey");
    }
    assert_eq!(
        world
            .client
            .list("inbox", &[("list-type", "2")])
            .await
            .elements("Key")
            .len(),
        0
    );
    assert_eq!(world.ledger.commands().len(), 2 * keys.len());
}

#[tokio::test]
async fn a_key_of_1025_bytes_is_too_long() {
    let world = World::new().await;
    world
        .client
        .put("inbox", &"k".repeat(1025), "x")
        .await
        .refused(400, "KeyTooLongError");
}

#[tokio::test]
async fn a_file_and_a_folder_of_one_name() {
    let world = World::new().await;
    for (first, second) in [("a", "a/b"), ("c/d", "c")] {
        world.client.put("inbox", first, "first").await.expect(200);
        world
            .client
            .put("inbox", second, "second")
            .await
            .expect(200);
        assert_eq!(
            world.client.get("inbox", first).await.expect(200).text(),
            "first"
        );
        assert_eq!(
            world.client.get("inbox", second).await.expect(200).text(),
            "second"
        );
        assert_eq!(std::fs::read(world.path("inbox", first)).unwrap(), b"first");
    }
    // Where the way becomes free, the next write of the key is a plain file again.
    world.client.delete("inbox", "a").await.expect(204);
    world.client.put("inbox", "a/b", "third").await.expect(200);
    assert_eq!(std::fs::read(world.path("inbox", "a/b")).unwrap(), b"third");
    assert_eq!(
        world.client.get("inbox", "a/b").await.expect(200).text(),
        "third"
    );
    let listed = world
        .client
        .list("inbox", &[("list-type", "2")])
        .await
        .elements("Key");
    assert_eq!(listed, ["a/b", "c", "c/d"]);
}

#[tokio::test]
async fn a_file_put_by_hand_over_a_hidden_object_takes_its_place_for_good() {
    let world = World::new().await;
    world.client.put("inbox", "a/b", "x").await.expect(200);
    let hidden = world.client.put("inbox", "a", "hidden").await.expect(200);
    std::fs::remove_dir_all(world.path("inbox", "a")).unwrap();
    std::fs::write(world.path("inbox", "a"), "by hand").unwrap();
    assert_eq!(
        world.client.get("inbox", "a").await.expect(200).text(),
        "by hand"
    );
    world.client.delete("inbox", "a").await.expect(204);
    world
        .client
        .get("inbox", "a")
        .await
        .refused(404, "NoSuchKey");
    let world = world.reopen().await;
    world
        .client
        .get("inbox", "a")
        .await
        .refused(404, "NoSuchKey");
    let version = hidden.header("x-amz-version-id").unwrap();
    let kept = world.client.get_version("inbox", "a", version).await;
    assert_eq!(kept.expect(200).text(), "hidden");
}

#[tokio::test]
async fn an_empty_folder_does_not_stand_in_the_way() {
    let world = World::new().await;
    world.client.put("inbox", "a/b", "x").await.expect(200);
    world.client.delete("inbox", "a/b").await.expect(204);
    world.client.put("inbox", "a", "plain").await.expect(200);
    assert_eq!(std::fs::read(world.path("inbox", "a")).unwrap(), b"plain");
}

#[tokio::test]
async fn symbolic_links_lead_nowhere() {
    let world = World::new().await;
    let outside = world.folder.path().join("secret");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("file"), "secret").unwrap();
    std::os::unix::fs::symlink(outside.join("file"), world.path("inbox", "file")).unwrap();
    std::os::unix::fs::symlink(&outside, world.path("inbox", "folder")).unwrap();
    for key in ["file", "folder/file"] {
        world
            .client
            .get("inbox", key)
            .await
            .refused(404, "NoSuchKey");
        world.client.put("inbox", key, "mine").await.expect(200);
        assert_eq!(
            world.client.get("inbox", key).await.expect(200).text(),
            "mine"
        );
        world.client.delete("inbox", key).await.expect(204);
    }
    assert_eq!(
        world.client.list("inbox", &[]).await.elements("Key").len(),
        0
    );
    assert_eq!(std::fs::read(outside.join("file")).unwrap(), b"secret");
    assert_eq!(entries(&outside).count(), 1);
}

fn entries(path: &Path) -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir(path).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap())
}

fn decode(text: &str) -> String {
    let bytes = percent_encoding::percent_decode_str(text);
    bytes.decode_utf8().unwrap().into_owned()
}
