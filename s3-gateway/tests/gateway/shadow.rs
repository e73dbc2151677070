//! Shadow runs: what they write goes elsewhere, and they alone see it where they wrote it.

use daybook_domain::{Chain, ExecutionId, FunctionName, ShadowId};
use daybook_s3_gateway::{Activity, InvocationScope, Policy, Publish};
use uuid::Uuid;

use super::client::Client;
use super::world::World;

/// A function that runs as the shadow `s`.
struct Shadow {
    client: Client,
    world: World,
}

impl Shadow {
    async fn new() -> Self {
        let world = World::new().await;
        for key in ["a", "b", "p/1"] {
            world.client.put("results", key, "real").await.expect(200);
        }
        let client = Self::begin(&world);
        Self { client, world }
    }

    fn begin(world: &World) -> Client {
        let function = FunctionName::parse("f").unwrap();
        let policy = Policy {
            read: vec!["results/*".to_owned()],
            write: vec!["results/*".to_owned()],
        };
        let grants = world.gateway.grants();
        let key = grants.issue(&function, policy);
        let scope = InvocationScope {
            execution: ExecutionId(Uuid::from_u128(1)),
            task: 1,
            attempt: 1,
            function,
            trigger: None,
            publish: Publish::OnSuccess,
            shadow: Some(ShadowId::parse("s").unwrap()),
            chain: Chain::default(),
        };
        grants.begin(&key.access_key, scope);
        Client {
            address: world.client.address,
            access_key: key.access_key,
            secret_key: key.secret_key,
        }
    }

    fn end(&self) -> Activity {
        self.world.gateway.grants().end(&self.client.access_key)
    }

    async fn listed(&self, query: &[(&str, &str)]) -> Vec<String> {
        self.client
            .list("results", query)
            .await
            .expect(200)
            .elements("Key")
    }

    async fn real(&self, key: &str) -> String {
        self.world
            .client
            .get("results", key)
            .await
            .expect(200)
            .text()
    }
}

#[tokio::test]
async fn what_a_shadow_writes_lies_apart_and_is_read_back() {
    let shadow = Shadow::new().await;
    let own = &shadow.client;
    assert_eq!(own.get("results", "a").await.text(), "real");
    own.put("results", "a", "mine").await.expect(200);
    own.put("results", "new", "mine").await.expect(200);
    let copy = [("x-amz-copy-source", "results/a")];
    own.put_with("results", "copy", &copy, "").await.expect(200);
    for key in ["a", "new", "copy"] {
        assert_eq!(own.get("results", key).await.expect(200).text(), "mine");
        let there = shadow.real(&format!("shadow/s/{key}")).await;
        assert_eq!(there, "mine", "whoever looks for it finds it");
    }
    let part = own
        .get_with("results", "a", &[("range", "bytes=1-2")])
        .await;
    assert_eq!(part.expect(206).text(), "in");
    assert_eq!(own.get("results", "b").await.text(), "real");
    assert_eq!(shadow.real("a").await, "real");
    shadow
        .world
        .client
        .get("results", "new")
        .await
        .refused(404, "NoSuchKey");

    let activity = shadow.end();
    assert!(!activity.staged, "it is not published again");
    let keys = |list: &[daybook_s3_gateway::ObjectAccess]| -> Vec<String> {
        list.iter().map(|it| it.key.to_string()).collect()
    };
    let written = ["shadow/s/a", "shadow/s/new", "shadow/s/copy"];
    assert_eq!(keys(&activity.written), written);
    let read = ["a", "shadow/s/a", "shadow/s/new", "shadow/s/copy", "b"];
    assert_eq!(keys(&activity.read), read);
    for created in &shadow.world.ledger.created()[3..] {
        let by = created.produced_by.as_ref().unwrap();
        assert_eq!(by.shadow.as_ref().unwrap().as_str(), "s");
    }
}

#[tokio::test]
async fn what_a_shadow_removes_is_hidden_from_it_alone() {
    let shadow = Shadow::new().await;
    let own = &shadow.client;
    own.put("results", "a", "mine").await.expect(200);
    own.delete("results", "a").await.expect(204);
    own.get("results", "a").await.refused(404, "NoSuchKey");
    let many = "<Delete><Object><Key>b</Key></Object></Delete>";
    let digest = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        <md5::Md5 as md5::Digest>::digest(many),
    );
    let headers = [("content-md5", digest.as_str())];
    let deleted = own.send(
        "POST",
        "results",
        "",
        &[("delete", "")],
        &headers,
        many.as_bytes(),
    );
    deleted.await.expect(200);
    own.get("results", "b").await.refused(404, "NoSuchKey");
    assert_eq!(shadow.listed(&[]).await, ["p/1"]);
    for key in ["a", "b"] {
        assert_eq!(shadow.real(key).await, "real");
    }
    let gone = shadow.world.client.get("results", "shadow/s/a").await;
    gone.refused(404, "NoSuchKey");
    own.put("results", "b", "again").await.expect(200);
    assert_eq!(own.get("results", "b").await.expect(200).text(), "again");
    // Another attempt sees what was written, and what was removed is there again.
    let other = Shadow::begin(&shadow.world);
    assert_eq!(other.get("results", "a").await.expect(200).text(), "real");
    assert_eq!(other.get("results", "b").await.expect(200).text(), "again");
}

#[tokio::test]
async fn a_shadow_lists_its_objects_among_the_others() {
    let shadow = Shadow::new().await;
    let own = &shadow.client;
    let foreign = &shadow.world.client;
    foreign.put("results", "shadow/t/x", "x").await.expect(200);
    for key in ["a", "c", "p/2", "q/1"] {
        own.put("results", key, "mine!").await.expect(200);
    }
    own.delete("results", "p/1").await.expect(204);
    let all = own.list("results", &[]).await.expect(200);
    assert_eq!(all.elements("Key"), ["a", "b", "c", "p/2", "q/1"]);
    assert_eq!(all.elements("Size"), ["5", "4", "5", "5", "5"]);
    let below = shadow.listed(&[("prefix", "p/")]).await;
    assert_eq!(below, ["p/2"]);
    let rolled = own.list("results", &[("delimiter", "/")]).await.expect(200);
    let prefixes = rolled.elements("Prefix");
    let prefixes: Vec<_> = prefixes.iter().filter(|it| !it.is_empty()).collect();
    assert_eq!(prefixes, ["p/", "q/"]);
    let (mut paged, mut after) = (Vec::new(), String::new());
    loop {
        let query = [
            ("list-type", "2"),
            ("max-keys", "2"),
            ("start-after", &after),
        ];
        let page = shadow.listed(&query).await;
        let Some(last) = page.last() else { break };
        after = last.clone();
        paged.extend(page);
    }
    assert_eq!(paged, ["a", "b", "c", "p/2", "q/1"]);
}

#[tokio::test]
async fn policy_and_conditions_are_about_the_keys_that_a_shadow_names() {
    let shadow = Shadow::new().await;
    let own = &shadow.client;
    let refused = own
        .put("inbox", "a", "x")
        .await
        .refused(403, "AccessDenied");
    let message = "function f may not write inbox/a: add write = [\"inbox/*\"]";
    assert_eq!(refused.element("Message").as_deref(), Some(message));
    let absent = [("if-none-match", "*")];
    own.put_with("results", "a", &absent, "x")
        .await
        .refused(412, "PreconditionFailed");
    own.put_with("results", "n", &absent, "x").await.expect(200);
    own.put_with("results", "n", &absent, "y")
        .await
        .refused(412, "PreconditionFailed");
    own.delete("results", "a").await.expect(204);
    own.put_with("results", "a", &absent, "mine")
        .await
        .expect(200);
    let real = shadow.world.client.get("results", "b").await;
    let as_real = [("if-match", real.header("etag").unwrap())];
    own.put_with("results", "b", &as_real, "mine")
        .await
        .expect(200);
    own.put_with("results", "b", &as_real, "x")
        .await
        .refused(412, "PreconditionFailed");
    let long = "k".repeat(1020);
    own.put("results", &long, "x")
        .await
        .refused(400, "KeyTooLongError");
}
