//! Outputs that are published on success: seen by their attempt alone before, by all afterwards, and
//! by nobody if it does not succeed.

use std::sync::Arc;
use std::time::Duration;

use daybook_domain::stored_object::ObjectCommand;
use daybook_domain::{Chain, ExecutionId, FunctionName};
use daybook_s3_gateway::{
    Activity, AttemptId, Fate, InvocationScope, Limits, Policy, Publish, PublishError,
};
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use super::client::{Client, finish};
use super::sharing::Shared;
use super::world::{Serving, World};

fn attempt(number: u32) -> AttemptId {
    AttemptId {
        execution: ExecutionId(Uuid::from_u128(1)),
        task: 1,
        attempt: number,
    }
}

/// A function whose outputs are published on success, in an open attempt.
struct Function {
    client: Client,
    gateway: Arc<daybook_s3_gateway::Gateway>,
}

impl Function {
    fn begin(gateway: &Arc<daybook_s3_gateway::Gateway>, operator: &Client, of: AttemptId) -> Self {
        let name = FunctionName::parse("f").unwrap();
        let policy = Policy {
            read: vec!["*".to_owned()],
            write: vec!["results/*".to_owned(), "inbox/*".to_owned()],
        };
        let grants = gateway.grants();
        let key = grants.issue(&name, policy);
        let scope = InvocationScope {
            execution: of.execution,
            task: of.task,
            attempt: of.attempt,
            function: name,
            trigger: None,
            publish: Publish::OnSuccess,
            shadow: None,
            chain: Chain::default(),
        };
        grants.begin(&key.access_key, scope);
        Self {
            client: Client {
                address: operator.address,
                access_key: key.access_key,
                secret_key: key.secret_key,
            },
            gateway: Arc::clone(gateway),
        }
    }

    fn of(world: &World, number: u32) -> Self {
        Self::begin(&world.gateway, &world.client, attempt(number))
    }

    fn end(&self) -> Activity {
        self.gateway.grants().end(&self.client.access_key)
    }

    async fn listed(&self, query: &[(&str, &str)]) -> Vec<String> {
        let reply = self.client.list("results", query).await.expect(200);
        reply.elements("Key")
    }
}

fn staged_folders(world: &World) -> Vec<String> {
    world.own_files("results", "staged")
}

#[tokio::test]
async fn what_is_staged_is_seen_by_its_attempt_alone_until_it_is_published() {
    let world = World::new().await;
    let before = world.client.put("results", "old", "old").await.expect(200);
    world
        .client
        .put("results", "gone", "gone")
        .await
        .expect(200);
    let function = Function::of(&world, 1);
    let own = &function.client;
    let put = own.put("results", "new", "new").await.expect(200);
    own.put("results", "old", "newer").await.expect(200);
    let copy = [("x-amz-copy-source", "results/new")];
    own.put_with("results", "copy", &copy, "").await.expect(200);
    own.delete("results", "gone").await.expect(204);

    assert_eq!(own.get("results", "new").await.expect(200).text(), "new");
    assert_eq!(own.get("results", "old").await.expect(200).text(), "newer");
    own.get("results", "gone").await.refused(404, "NoSuchKey");
    let head = own.send("HEAD", "results", "copy", &[], &[], b"").await;
    assert_eq!(head.expect(200).header("content-length"), Some("3"));
    assert_eq!(function.listed(&[]).await, ["copy", "new", "old"]);
    let version = put.header("x-amz-version-id").unwrap();
    own.get_version("results", "new", version).await.expect(200);
    // A version by its id is what it is for everybody.
    let version = before.header("x-amz-version-id").unwrap();
    let kept = own.get_version("results", "old", version).await.expect(200);
    assert_eq!(kept.text(), "old");

    let others = &world.client;
    others.get("results", "new").await.refused(404, "NoSuchKey");
    assert_eq!(others.get("results", "old").await.text(), "old");
    assert_eq!(others.get("results", "gone").await.text(), "gone");
    let listed = others.list("results", &[]).await.expect(200);
    assert_eq!(listed.elements("Key"), ["gone", "old"]);
    world.gateway.rescan().await.unwrap();
    assert_eq!(world.ledger.commands().len(), 2, "nobody was told");

    let activity = function.end();
    assert!(activity.staged);
    let written: Vec<_> = activity.written.iter().map(|it| it.key.as_str()).collect();
    assert_eq!(written, ["copy", "new", "old"]);
    assert!(activity.written.iter().all(|it| it.staged));
    world.gateway.seal(attempt(1)).await.unwrap();
    world.gateway.publish(attempt(1)).await.unwrap();

    let got = others.get("results", "new").await.expect(200);
    assert_eq!(got.text(), "new");
    assert_eq!(
        got.header("x-amz-version-id"),
        put.header("x-amz-version-id")
    );
    assert_eq!(others.get("results", "old").await.text(), "newer");
    let kept = others.get_version("results", "old", version).await;
    assert_eq!(kept.expect(200).text(), "old");
    others
        .get("results", "gone")
        .await
        .refused(404, "NoSuchKey");
    let told = world.ledger.commands();
    assert_eq!(told.len(), 2 + 4);
    for command in &told[2..] {
        let by = match command {
            ObjectCommand::RecordCreated(it) => it.produced_by.clone().unwrap(),
            ObjectCommand::RecordRemoved(it) => it.removed_by.clone().unwrap(),
            _ => panic!("{command:?}"),
        };
        assert_eq!((by.execution, by.attempt), (attempt(1).execution, 1));
    }
    // Once more is as good as once.
    world.gateway.publish(attempt(1)).await.unwrap();
    assert_eq!(world.ledger.commands().len(), told.len());
    world.gateway.discard(attempt(1)).await;
    assert_eq!(staged_folders(&world), Vec::<String>::new());
    assert_eq!(others.get("results", "new").await.text(), "new");
    let again = world.gateway.publish(attempt(1)).await.unwrap_err();
    assert!(matches!(again, PublishError::NotHere(_)), "{again}");
    assert_eq!(world.gateway.rescan().await.unwrap().recorded, 0);
}

#[tokio::test]
async fn what_is_discarded_was_never_there() {
    let world = World::new().await;
    world.client.put("results", "old", "old").await.expect(200);
    let function = Function::of(&world, 1);
    function.client.put("results", "old", "x").await.expect(200);
    function.client.put("results", "new", "x").await.expect(200);
    assert!(function.end().staged);
    world.gateway.discard(attempt(1)).await;
    let listed = world.client.list("results", &[]).await;
    assert_eq!(listed.elements("Key"), ["old"]);
    assert_eq!(world.client.get("results", "old").await.text(), "old");
    assert_eq!(staged_folders(&world), Vec::<String>::new());
    assert_eq!(
        world.temporaries("results"),
        Vec::<std::path::PathBuf>::new()
    );
    assert_eq!(world.ledger.commands().len(), 1);
}

#[tokio::test]
async fn conditions_are_held_against_what_the_attempt_sees() {
    let world = World::new().await;
    let old = world.client.put("results", "old", "old").await.expect(200);
    let function = Function::of(&world, 1);
    let own = &function.client;
    let absent = [("if-none-match", "*")];
    own.put_with("results", "old", &absent, "x")
        .await
        .refused(412, "PreconditionFailed");
    own.put_with("results", "new", &absent, "x")
        .await
        .expect(200);
    own.put_with("results", "new", &absent, "y")
        .await
        .refused(412, "PreconditionFailed");
    own.delete("results", "old").await.expect(204);
    let again = own
        .put_with("results", "old", &absent, "z")
        .await
        .expect(200);
    let as_before = [("if-match", old.header("etag").unwrap())];
    own.put_with("results", "old", &as_before, "x")
        .await
        .refused(412, "PreconditionFailed");
    let as_now = [("if-match", again.header("etag").unwrap())];
    own.put_with("results", "old", &as_now, "last")
        .await
        .expect(200);
    // What it takes back itself is not published, nor a removal of what nobody else ever saw.
    own.delete("results", "new").await.expect(204);
    own.get("results", "new").await.refused(404, "NoSuchKey");
    let activity = function.end();
    assert_eq!(activity.written.len(), 1, "{activity:?}");
    world.gateway.publish(attempt(1)).await.unwrap();
    assert_eq!(world.client.get("results", "old").await.text(), "last");
    let listed = world.client.list("results", &[]).await;
    assert_eq!(listed.elements("Key"), ["old"]);
    assert_eq!(
        world.ledger.commands().len(),
        2,
        "the last of three writes counts"
    );
}

#[tokio::test]
async fn listings_page_through_own_and_other_objects_alike() {
    let world = World::new().await;
    for key in ["a", "c", "p/1", "q/1", "z"] {
        world.client.put("results", key, "1").await.expect(200);
    }
    let function = Function::of(&world, 1);
    for key in ["b", "c", "p/2", "r/1"] {
        function.client.put("results", key, "22").await.expect(200);
    }
    function.client.delete("results", "q/1").await.expect(204);
    let (mut keys, mut prefixes, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
    let mut token: Option<String> = None;
    for _ in 0..10 {
        let mut query = vec![("list-type", "2"), ("max-keys", "2"), ("delimiter", "/")];
        if let Some(token) = &token {
            query.push(("continuation-token", token));
        }
        let page = function.client.list("results", &query).await.expect(200);
        keys.extend(page.elements("Key"));
        sizes.extend(page.elements("Size"));
        // The first is the one that was asked for, where there is one.
        let found = page
            .elements("Prefix")
            .into_iter()
            .filter(|it| !it.is_empty());
        prefixes.extend(found);
        token = page.element("NextContinuationToken");
        if token.is_none() {
            break;
        }
    }
    assert_eq!(keys, ["a", "b", "c", "z"]);
    assert_eq!(sizes, ["1", "2", "2", "1"]);
    assert_eq!(prefixes, ["p/", "r/"]);
}

#[tokio::test]
async fn a_publication_that_is_broken_off_is_finished_later_and_undoes_nothing() {
    let world = World::new().await;
    world
        .client
        .put("results", "gone", "gone")
        .await
        .expect(200);
    let function = Function::of(&world, 1);
    function
        .client
        .put("results", "k", "published")
        .await
        .expect(200);
    function.client.delete("results", "gone").await.expect(204);
    function.end();
    world.ledger.fail(true);
    let broken = world.gateway.publish(attempt(1)).await.unwrap_err();
    assert!(matches!(broken, PublishError::Bucket { .. }), "{broken}");
    world.ledger.fail(false);
    // It got as far as the folder; somebody goes on from there before it is published again.
    assert_eq!(world.client.get("results", "k").await.text(), "published");
    world.client.put("results", "k", "later").await.expect(200);
    world
        .client
        .put("results", "gone", "here again")
        .await
        .expect(200);
    world.gateway.publish(attempt(1)).await.unwrap();
    assert_eq!(world.client.get("results", "k").await.text(), "later");
    assert_eq!(
        world.client.get("results", "gone").await.text(),
        "here again"
    );
    world.gateway.rescan().await.unwrap();
    let told = world.ledger.commands();
    let of = |key: &str| {
        let commands = told.iter().filter(|command| match command {
            ObjectCommand::RecordCreated(it) => it.key.as_str() == key,
            ObjectCommand::RecordRemoved(it) => it.key.as_str() == key,
            _ => false,
        });
        let kinds = commands.map(|it| matches!(it, ObjectCommand::RecordCreated(_)));
        kinds.collect::<Vec<_>>()
    };
    assert_eq!(of("k"), [true, true]);
    // Written, removed by the attempt, and written again; the ledger tells their order itself.
    assert_eq!(of("gone").len(), 3, "{told:?}");
}

#[tokio::test]
async fn several_may_publish_at_once() {
    let shared = Shared::new(2).await;
    let [one, two] = &shared.peers[..] else {
        panic!("two were opened")
    };
    one.client.put("inbox", "gone", "x").await.expect(200);
    let function = Function::begin(&one.gateway, &one.client, attempt(1));
    for number in 0..20 {
        let key = format!("k{number}");
        function.client.put("inbox", &key, "x").await.expect(200);
    }
    function.client.delete("inbox", "gone").await.expect(204);
    function.end();
    one.gateway.seal(attempt(1)).await.unwrap();
    let publish = |peer: &Serving| {
        let gateway = Arc::clone(&peer.gateway);
        async move { gateway.publish(attempt(1)).await }
    };
    let (first, second, third) = tokio::join!(publish(one), publish(two), publish(one));
    for published in [first, second, third] {
        published.unwrap();
    }
    assert_eq!(shared.ledger.created().len(), 21);
    assert_eq!(shared.ledger.commands().len(), 22);
    let listed = two.client.list("inbox", &[]).await.expect(200);
    assert_eq!(listed.elements("Key").len(), 20);
    two.gateway.discard(attempt(1)).await;
    assert_eq!(shared.temporaries(), 0);
}

#[tokio::test]
async fn at_a_start_what_came_to_nothing_is_removed_and_the_rest_is_kept() {
    let world = World::new().await;
    for number in 1..=3 {
        let function = Function::of(&world, number);
        let key = format!("k{number}");
        function.client.put("results", &key, "x").await.expect(200);
        function.end();
    }
    world.ledger.decide(attempt(1), Fate::Discard);
    world.ledger.decide(attempt(2), Fate::Publish);
    let world = world.reopen().await;
    world.gateway.rescan().await.unwrap();
    let mut left = staged_folders(&world);
    left.sort_unstable();
    assert_eq!(left, [attempt(2).to_string(), attempt(3).to_string()]);
    world.gateway.publish(attempt(2)).await.unwrap();
    assert_eq!(world.client.get("results", "k2").await.text(), "x");
}

#[tokio::test]
async fn a_staged_write_in_flight_is_fenced_off_when_its_attempt_ends() {
    let world = World::new().await;
    let function = Function::of(&world, 1);
    let own = &function.client;
    let mut late = own.begin("PUT", "results", "k", &[], &[], 4).await;
    late.write_all(b"la").await.unwrap();
    // An answer to another request tells that the server got this far.
    own.get("inbox", "absent").await.refused(404, "NoSuchKey");
    let activity = function.end();
    assert!(!activity.staged && activity.written.is_empty());
    late.write_all(b"te").await.unwrap();
    finish(late).await.refused(403, "AccessDenied");
    let sealed = world.gateway.seal(attempt(1)).await;
    assert!(
        matches!(sealed, Err(PublishError::NotHere(_))),
        "{sealed:?}"
    );
    assert_eq!(
        world.temporaries("results"),
        Vec::<std::path::PathBuf>::new()
    );
}

#[tokio::test]
async fn an_attempt_may_stage_so_many_objects() {
    let limits = Limits {
        max_staged: 2,
        ..Limits::default()
    };
    let world = World::with(limits, Duration::from_secs(60)).await;
    let function = Function::of(&world, 1);
    for (key, status) in [("a", 200), ("b", 200), ("a", 200), ("c", 400)] {
        function
            .client
            .put("results", key, "x")
            .await
            .expect(status);
    }
    function.client.delete("results", "a").await.expect(204);
    function.client.put("results", "c", "x").await.expect(200);
}

#[tokio::test]
async fn parts_are_staged_when_they_become_an_object() {
    let limits = Limits {
        min_part_bytes: 4,
        ..Limits::default()
    };
    let world = World::with(limits, Duration::from_secs(60)).await;
    let function = Function::of(&world, 1);
    let own = &function.client;
    let created = own
        .send("POST", "results", "big", &[("uploads", "")], &[], b"")
        .await;
    let id = created.expect(200).element("UploadId").unwrap();
    let query = [("partNumber", "1"), ("uploadId", id.as_str())];
    let part = own
        .send("PUT", "results", "big", &query, &[], b"part")
        .await
        .expect(200);
    let etag = part.header("etag").unwrap();
    let body = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let query = [("uploadId", id.as_str())];
    let done = own
        .send("POST", "results", "big", &query, &[], body.as_bytes())
        .await;
    done.expect(200);
    assert_eq!(own.get("results", "big").await.expect(200).text(), "part");
    world
        .client
        .get("results", "big")
        .await
        .refused(404, "NoSuchKey");
    assert_eq!(world.own_files("results", "uploads"), Vec::<String>::new());
    function.end();
    world.gateway.publish(attempt(1)).await.unwrap();
    assert_eq!(world.client.get("results", "big").await.text(), "part");
}
