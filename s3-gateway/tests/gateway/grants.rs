use std::time::{Duration, Instant};

use daybook_domain::stored_object::ObjectVersion;
use daybook_domain::{BucketName, Chain, ExecutionId, FunctionName, ObjectKey};
use daybook_s3_gateway::{InvocationScope, Limits, Policy, Publish, TriggerObject};
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use super::client::{Client, Reply, finish};
use super::world::World;

fn uppercase() -> FunctionName {
    FunctionName::parse("uppercase").unwrap()
}

fn policy() -> Policy {
    Policy {
        read: vec!["inbox/*".to_owned()],
        write: vec!["results/*".to_owned()],
    }
}

fn scope(trigger: Option<(&str, &Reply)>) -> InvocationScope {
    InvocationScope {
        execution: ExecutionId(Uuid::from_u128(1)),
        task: 1,
        attempt: 2,
        function: uppercase(),
        trigger: trigger.map(|(key, put)| TriggerObject {
            bucket: BucketName::parse("inbox").unwrap(),
            key: ObjectKey::parse(key).unwrap(),
            version: ObjectVersion {
                version_id: put.header("x-amz-version-id").map(str::to_owned),
                ..ObjectVersion::default()
            },
        }),
        publish: Publish::Immediately,
        shadow: None,
        chain: Chain::default(),
    }
}

/// A client with a key made for the function.
fn function(world: &World) -> Client {
    let credentials = world.gateway.grants().issue(&uppercase(), policy());
    Client {
        address: world.client.address,
        access_key: credentials.access_key,
        secret_key: credentials.secret_key,
    }
}

#[tokio::test]
async fn a_key_is_void_outside_an_invocation_and_unknown_once_revoked() {
    let world = World::new().await;
    world.client.put("inbox", "k", "hello").await.expect(200);
    let grants = world.gateway.grants();
    let function = function(&world);
    function
        .get("inbox", "k")
        .await
        .refused(403, "AccessDenied");
    grants.begin(&function.access_key, scope(None));
    function.get("inbox", "k").await.expect(200);
    grants.end(&function.access_key);
    function
        .get("inbox", "k")
        .await
        .refused(403, "AccessDenied");
    grants.revoke(&function.access_key);
    function
        .get("inbox", "k")
        .await
        .refused(403, "InvalidAccessKeyId");
}

#[tokio::test]
async fn an_invocation_is_held_to_its_policy_and_its_doings_are_known() {
    let world = World::new().await;
    let put = world.client.put("inbox", "k", "hello").await.expect(200);
    let grants = world.gateway.grants();
    let function = function(&world);
    grants.begin(&function.access_key, scope(None));
    for _ in 0..2 {
        function.get("inbox", "k").await.expect(200);
    }
    let written = function.put("results", "out/k", "HELLO").await.expect(200);
    let refused = function
        .put("inbox", "k", "x")
        .await
        .refused(403, "AccessDenied");
    let message = "function uppercase may not write inbox/k: add write = [\"inbox/*\"]";
    assert_eq!(refused.element("Message").as_deref(), Some(message));
    function
        .get("results", "out/k")
        .await
        .refused(403, "AccessDenied");
    function
        .list("results", &[])
        .await
        .refused(403, "AccessDenied");
    assert_eq!(
        function
            .list("inbox", &[])
            .await
            .expect(200)
            .elements("Key"),
        ["k"]
    );
    let copy = [("x-amz-copy-source", "results/out/k")];
    function
        .put_with("results", "copy", &copy, "")
        .await
        .refused(403, "AccessDenied");

    let activity = grants.end(&function.access_key);
    let version = |reply: &Reply| reply.header("x-amz-version-id").map(str::to_owned);
    let [read] = &activity.read[..] else {
        panic!("{activity:?}")
    };
    assert_eq!(
        (read.key.as_str(), read.size, read.version_id.clone()),
        ("k", Some(5), version(&put))
    );
    let [write] = &activity.written[..] else {
        panic!("{activity:?}")
    };
    assert_eq!(
        (write.key.as_str(), write.version_id.clone()),
        ("out/k", version(&written))
    );
    assert_eq!(activity.refused.len(), 3, "{:?}", activity.refused);
    assert_eq!(activity.refused[0], message);
    assert_eq!(grants.end(&function.access_key), Default::default());

    let produced = world
        .ledger
        .created()
        .last()
        .unwrap()
        .produced_by
        .clone()
        .unwrap();
    assert_eq!(
        (produced.execution, produced.attempt),
        (ExecutionId(Uuid::from_u128(1)), 2)
    );
}

#[tokio::test]
async fn a_write_in_flight_is_fenced_off_when_its_invocation_ends() {
    let world = World::new().await;
    let before = world.client.put("results", "k", "before").await.expect(200);
    let grants = world.gateway.grants();
    let function = function(&world);
    // Also when the next invocation of the same process has begun meanwhile.
    for next in [false, true] {
        grants.begin(&function.access_key, scope(None));
        let mut late = function.begin("PUT", "results", "k", &[], &[], 4).await;
        late.write_all(b"la").await.unwrap();
        // An answer to another request tells that the server got this far.
        function
            .get("inbox", "absent")
            .await
            .refused(404, "NoSuchKey");
        let activity = grants.end(&function.access_key);
        assert!(activity.written.is_empty());
        if next {
            grants.begin(&function.access_key, scope(None));
        }
        late.write_all(b"te").await.unwrap();
        let late = finish(late).await;
        if !next {
            late.refused(403, "AccessDenied");
        } else if late.status == 200 {
            // The server read the head only after the next invocation had begun.
            panic!("the late write was taken for one of the next invocation");
        }
        let now = world.client.get("results", "k").await.expect(200);
        assert_eq!(now.text(), "before");
        assert_eq!(
            now.header("x-amz-version-id"),
            before.header("x-amz-version-id")
        );
        grants.end(&function.access_key);
    }
    assert_eq!(world.ledger.commands().len(), 1);
    assert_eq!(
        world
            .own_files("results", "versions")
            .iter()
            .flat_map(|k| { world.own_files("results", &format!("versions/{k}")) })
            .count(),
        0
    );
}

#[tokio::test]
async fn past_the_deadline_nothing_of_a_function_takes_effect() {
    let world = World::new().await;
    let before = world.client.put("results", "k", "before").await.expect(200);
    let grants = world.gateway.grants();
    let function = function(&world);
    let in_an_hour = || Some(Instant::now() + Duration::from_secs(3600));
    grants.valid_until(in_an_hour());
    grants.begin(&function.access_key, scope(None));
    function.put("results", "in-time", "x").await.expect(200);
    let mut late = function.begin("PUT", "results", "k", &[], &[], 4).await;
    late.write_all(b"la").await.unwrap();
    // An answer to another request tells that the server got this far.
    function
        .get("inbox", "absent")
        .await
        .refused(404, "NoSuchKey");
    grants.valid_until(Some(Instant::now()));
    function
        .get("inbox", "absent")
        .await
        .refused(403, "AccessDenied");
    // The lease is had again, as if the process had been stopped in between. What was open stays
    // dead: its request in flight, and new ones.
    grants.valid_until(in_an_hour());
    late.write_all(b"te").await.unwrap();
    finish(late).await.refused(403, "AccessDenied");
    function
        .put("results", "k", "x")
        .await
        .refused(403, "AccessDenied");
    let now = world.client.get("results", "k").await.expect(200);
    let id = "x-amz-version-id";
    assert_eq!(now.header(id), before.header(id));
    let activity = grants.end(&function.access_key);
    assert_eq!(activity.written.len(), 1);

    grants.begin(&function.access_key, scope(None));
    function.put("results", "k", "after").await.expect(200);
    // People's keys have no deadline.
    grants.valid_until(Some(Instant::now()));
    world.client.put("results", "k", "theirs").await.expect(200);
    assert_eq!(world.ledger.commands().len(), 4);
}

#[tokio::test]
async fn the_object_that_triggered_is_read_as_it_was() {
    let world = World::with(Limits::default(), Duration::ZERO).await;
    let first = world.client.put("inbox", "k", "first").await.expect(200);
    let grants = world.gateway.grants();
    let function = function(&world);
    grants.begin(&function.access_key, scope(Some(("k", &first))));
    assert_eq!(function.get("inbox", "k").await.expect(200).text(), "first");
    let second = world.client.put("inbox", "k", "second").await.expect(200);
    assert_eq!(function.get("inbox", "k").await.expect(200).text(), "first");
    let head = function
        .send("HEAD", "inbox", "k", &[], &[], b"")
        .await
        .expect(200);
    assert_eq!(head.header("content-length"), Some("5"));
    let version = second.header("x-amz-version-id").unwrap();
    assert_eq!(
        function
            .get_version("inbox", "k", version)
            .await
            .expect(200)
            .text(),
        "second"
    );
    let copy = [("x-amz-copy-source", "inbox/k")];
    function
        .put_with("results", "copy", &copy, "")
        .await
        .expect(200);
    assert_eq!(
        world.client.get("results", "copy").await.expect(200).text(),
        "first"
    );

    world.client.delete("inbox", "k").await.expect(204);
    assert_eq!(function.get("inbox", "k").await.expect(200).text(), "first");

    // Swept: `retain` is nothing here, and opening sweeps.
    let world = world.reopen().await;
    let function = self::function(&world);
    world
        .gateway
        .grants()
        .begin(&function.access_key, scope(Some(("k", &first))));
    let gone = function
        .get("inbox", "k")
        .await
        .refused(404, "NoSuchVersion");
    assert!(gone.text().contains("ObjectVersionGone"));
}
