//! Tags on disk: they outlive a restart, wherever they fit, and the ledger does not hear of them.

use super::world::World;

fn document(tags: &[(String, String)]) -> String {
    let tags = tags
        .iter()
        .map(|(key, value)| format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>"));
    format!(
        "<Tagging><TagSet>{}</TagSet></Tagging>",
        tags.collect::<String>()
    )
}

async fn tag(world: &World, tags: &[(String, String)]) {
    let query = [("tagging", "")];
    let body = document(tags);
    let put = world
        .client
        .send("PUT", "inbox", "a", &query, &[], body.as_bytes());
    put.await.expect(200);
}

async fn tags(world: &World) -> Vec<String> {
    let query = [("tagging", "")];
    let told = world.client.send("GET", "inbox", "a", &query, &[], b"");
    told.await.expect(200).elements("Value")
}

#[tokio::test]
async fn they_outlive_a_restart_wherever_they_fit() {
    let mut world = World::new().await;
    world.client.put("inbox", "a", "1").await.expect(200);
    let before = std::fs::metadata(world.path("inbox", "a")).unwrap();
    // 15 KiB are too much for an attribute on most file systems.
    let long = |at: usize| (format!("{at}"), "🎈".repeat(250));
    let large: Vec<_> = (0..10).map(long).collect();
    let small = vec![("a".to_owned(), "1".to_owned())];
    for wanted in [&small, &large, &small] {
        tag(&world, wanted).await;
        world = world.reopen().await;
        let values: Vec<&str> = wanted.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(tags(&world).await, values);
        let got = world.client.get("inbox", "a").await.expect(200);
        assert_eq!(got.text(), "1");
    }
    let after = std::fs::metadata(world.path("inbox", "a")).unwrap();
    assert_eq!(before.modified().unwrap(), after.modified().unwrap());
    world.gateway.rescan().await.unwrap();
    assert_eq!(
        world.ledger.commands().len(),
        1,
        "only the put was recorded"
    );
}

#[tokio::test]
async fn a_kept_version_has_its_own() {
    let world = World::new().await;
    let first = world.client.put("inbox", "a", "1").await.expect(200);
    let first = first.header("x-amz-version-id").unwrap().to_owned();
    tag(&world, &[("k".to_owned(), "first".to_owned())]).await;
    world.client.put("inbox", "a", "2").await.expect(200);
    assert_eq!(tags(&world).await, Vec::<String>::new());
    let query = [("tagging", ""), ("versionId", first.as_str())];
    let told = world.client.send("GET", "inbox", "a", &query, &[], b"");
    assert_eq!(told.await.expect(200).elements("Value"), ["first"]);
    let body = document(&[("k".to_owned(), "changed".to_owned())]);
    let put = world
        .client
        .send("PUT", "inbox", "a", &query, &[], body.as_bytes());
    put.await.expect(200);
    let told = world.client.send("GET", "inbox", "a", &query, &[], b"");
    assert_eq!(told.await.expect(200).elements("Value"), ["changed"]);
    assert_eq!(tags(&world).await, Vec::<String>::new());
}
