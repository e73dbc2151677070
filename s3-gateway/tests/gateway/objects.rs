use std::path::PathBuf;
use std::time::Duration;

use daybook_domain::stored_object::{Channel, ObjectCommand};
use daybook_s3_gateway::Limits;
use tokio::io::AsyncWriteExt;

use super::client::finish;
use super::world::World;

/// MD5 of `hello`.
const HELLO: &str = "5d41402abc4b2a76b9719d911017c592";

#[tokio::test]
async fn what_is_put_is_on_disk_in_the_ledger_and_read_back_with_its_metadata() {
    let world = World::new().await;
    let headers = [
        ("content-type", "text/plain"),
        ("cache-control", "no-store"),
        ("content-disposition", "attachment"),
        ("content-language", "en"),
        ("content-encoding", "identity"),
        ("expires", "Wed, 21 Oct 2015 07:28:00 GMT"),
        ("x-amz-meta-origin", "here"),
    ];
    let put = world
        .client
        .put_with("inbox", "a/hello.txt", &headers, "hello")
        .await
        .expect(200);
    assert_eq!(put.header("etag"), Some(format!("\"{HELLO}\"").as_str()));
    assert_eq!(
        std::fs::read(world.path("inbox", "a/hello.txt")).unwrap(),
        b"hello"
    );

    let [created] = &world.ledger.created()[..] else {
        panic!("recorded once, before the answer")
    };
    assert_eq!(created.channel, Channel::Gateway);
    assert_eq!(created.event_name, "ObjectCreated:Put");
    assert_eq!(created.version.etag.as_deref(), Some(HELLO));
    assert_eq!(created.version.size, Some(5));
    assert_eq!(
        created.version.version_id.as_deref(),
        put.header("x-amz-version-id")
    );
    assert!(created.version.stamp.is_some() && created.version.modified_at.is_some());
    assert_eq!(created.order.as_ref().unwrap().sequencer.len(), 16);
    assert_eq!(created.produced_by, None);

    for method in ["GET", "HEAD"] {
        let got = world
            .client
            .send(method, "inbox", "a/hello.txt", &[], &[], b"")
            .await
            .expect(200);
        for (name, value) in headers {
            assert_eq!(got.header(name), Some(value), "{method} {name}");
        }
        assert_eq!(got.header("content-length"), Some("5"));
        assert_eq!(got.text(), if method == "GET" { "hello" } else { "" });
    }
}

#[tokio::test]
async fn an_empty_object_is_an_object() {
    let world = World::new().await;
    world.client.put("inbox", "empty", "").await.expect(200);
    let got = world.client.get("inbox", "empty").await.expect(200);
    assert_eq!(got.header("content-length"), Some("0"));
    let got = world
        .client
        .get_with("inbox", "empty", &[("range", "bytes=-1")])
        .await;
    got.refused(416, "InvalidRange");
}

#[tokio::test]
async fn ranges() {
    let world = World::new().await;
    world
        .client
        .put("inbox", "digits", "0123456789")
        .await
        .expect(200);
    for (range, expect) in [
        ("bytes=2-4", "234"),
        ("bytes=8-", "89"),
        ("bytes=-3", "789"),
        ("bytes=-99", "0123456789"),
        ("bytes=5-99", "56789"),
    ] {
        let got = world
            .client
            .get_with("inbox", "digits", &[("range", range)])
            .await
            .expect(206);
        assert_eq!(got.text(), expect, "{range}");
        assert!(got.header("content-range").unwrap().ends_with("/10"));
    }
    let got = world
        .client
        .get_with("inbox", "digits", &[("range", "bytes=10-")])
        .await;
    assert_eq!(
        got.refused(416, "InvalidRange").header("content-range"),
        Some("bytes */10")
    );
}

#[tokio::test]
async fn a_body_of_many_batches_is_whole() {
    let world = World::new().await;
    let body: Vec<u8> = (0..5_000_000_u32).map(|i| (i % 251) as u8).collect();
    world.client.put("inbox", "large", &body).await.expect(200);
    assert!(world.client.get("inbox", "large").await.expect(200).body == body);
    let got = world
        .client
        .get_with("inbox", "large", &[("range", "bytes=1000000-3999999")])
        .await
        .expect(206);
    assert!(got.body == body[1_000_000..4_000_000]);
}

#[tokio::test]
async fn a_rejected_write_changes_nothing() {
    let world = World::new().await;
    world.client.put("inbox", "k", "hello").await.expect(200);
    let zero_sha256 = "0".repeat(64);
    for (name, value, code) in [
        ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==", "BadDigest"),
        ("content-md5", "nonsense", "InvalidDigest"),
        ("x-amz-checksum-crc32", "AAAAAA==", "BadDigest"),
        ("x-amz-checksum-crc32c", "AAAAAA==", "BadDigest"),
        ("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=", "BadDigest"),
        (
            "x-amz-checksum-sha1",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "BadDigest",
        ),
        (
            "x-amz-checksum-sha256",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "BadDigest",
        ),
        (
            "x-amz-content-sha256",
            &zero_sha256,
            "XAmzContentSHA256Mismatch",
        ),
    ] {
        let put = world
            .client
            .put_with("inbox", "k", &[(name, value)], "other")
            .await;
        put.refused(400, code);
    }
    let large = "x".repeat(3000);
    let put = world
        .client
        .put_with("inbox", "k", &[("x-amz-meta-a", &large)], "other")
        .await;
    put.refused(400, "MetadataTooLarge");
    world
        .client
        .put("absent", "k", "other")
        .await
        .refused(404, "NoSuchBucket");

    assert_eq!(
        world.client.get("inbox", "k").await.expect(200).text(),
        "hello"
    );
    assert_eq!(world.ledger.commands().len(), 1);
    assert_eq!(world.temporaries("inbox"), Vec::<PathBuf>::new());
    assert_eq!(world.own_files("inbox", "versions"), Vec::<String>::new());
}

#[tokio::test]
async fn right_checksums_are_kept_and_told() {
    let world = World::new().await;
    for (name, value) in [
        ("content-md5", "XUFAKrxLKna5cZ2REBfFkg=="),
        ("x-amz-checksum-crc32", "NhCmhg=="),
        ("x-amz-checksum-crc32c", "mnG7TA=="),
        ("x-amz-checksum-sha1", "qvTGHdzF6KLavt4PO0gs2a6pQ00="),
        (
            "x-amz-checksum-sha256",
            "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
        ),
    ] {
        world
            .client
            .put_with("inbox", "k", &[(name, value)], "hello")
            .await
            .expect(200);
        let mode = [("x-amz-checksum-mode", "ENABLED")];
        let got = world.client.get_with("inbox", "k", &mode).await.expect(200);
        if name != "content-md5" {
            assert_eq!(got.header(name), Some(value));
        }
    }
}

#[tokio::test]
async fn chunked_bodies_with_a_trailer() {
    let world = World::new().await;
    let put = |key: &'static str, body: &'static str, length: &'static str| {
        let client = world.client.clone();
        async move {
            let headers = [
                ("content-encoding", "aws-chunked"),
                ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
                ("x-amz-decoded-content-length", length),
                ("x-amz-trailer", "x-amz-checksum-crc32"),
            ];
            client.put_with("inbox", key, &headers, body).await
        }
    };
    let good = "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n";
    put("good", good, "5").await.expect(200);
    let got = world.client.get("inbox", "good").await.expect(200);
    assert_eq!(
        (got.text().as_str(), got.header("content-encoding")),
        ("hello", None)
    );

    put(
        "bad",
        "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n",
        "5",
    )
    .await
    .refused(400, "BadDigest");
    put("bad", "5\r\nhello\r\n0\r\n\r\n", "5")
        .await
        .refused(400, "MalformedTrailerError");
    put("bad", "5\r\nhello\r\n", "9")
        .await
        .refused(400, "IncompleteBody");
    put("bad", good, "4").await.refused(400, "IncompleteBody");
    world
        .client
        .get("inbox", "bad")
        .await
        .refused(404, "NoSuchKey");
}

#[tokio::test]
async fn a_client_that_leaves_half_way_changes_nothing() {
    let world = World::new().await;
    let mut half = world.client.begin("PUT", "inbox", "k", &[], &[], 10).await;
    half.write_all(b"12345").await.unwrap();
    half.shutdown().await.unwrap();
    // The answer, if there still is one, comes after the server gave up on the body.
    let mut rest = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut half, &mut rest).await;
    assert!(!String::from_utf8_lossy(&rest).starts_with("HTTP/1.1 200"));
    world
        .client
        .get("inbox", "k")
        .await
        .refused(404, "NoSuchKey");
    assert!(world.ledger.commands().is_empty());
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let limits = Limits {
        max_put_bytes: 10,
        ..Limits::default()
    };
    let world = World::with(limits, Duration::from_secs(60)).await;
    world
        .client
        .put("inbox", "k", "0123456789")
        .await
        .expect(200);
    world
        .client
        .put("inbox", "k", "0123456789x")
        .await
        .refused(400, "EntityTooLarge");
}

#[tokio::test]
async fn conditions_hold_exactly() {
    let world = World::new().await;
    let put = |headers: &'static [(&'static str, &'static str)]| {
        world.client.put_with("inbox", "k", headers, "hello")
    };
    put(&[("if-match", "\"abc\"")])
        .await
        .refused(404, "NoSuchKey");
    let mut racers = tokio::task::JoinSet::new();
    for i in 0..16 {
        let client = world.client.clone();
        racers.spawn(async move {
            let once = [("if-none-match", "*")];
            client
                .put_with("inbox", "once", &once, i.to_string())
                .await
                .status
        });
    }
    let mut answers = racers.join_all().await;
    answers.sort_unstable();
    assert_eq!(answers, [vec![200], vec![412; 15]].concat());

    put(&[]).await.expect(200);
    put(&[("if-none-match", "*")])
        .await
        .refused(412, "PreconditionFailed");
    put(&[("if-match", "\"abc\"")])
        .await
        .refused(412, "PreconditionFailed");
    put(&[("if-match", "\"5d41402abc4b2a76b9719d911017c592\"")])
        .await
        .expect(200);

    let same = [("if-none-match", "\"5d41402abc4b2a76b9719d911017c592\"")];
    let got = world.client.get_with("inbox", "k", &same).await.expect(304);
    assert_eq!(got.header("etag"), Some(format!("\"{HELLO}\"").as_str()));
    let later = [("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT")];
    world
        .client
        .get_with("inbox", "k", &later)
        .await
        .expect(304);
    let earlier = [("if-unmodified-since", "Wed, 21 Oct 2015 07:28:00 GMT")];
    world
        .client
        .get_with("inbox", "k", &earlier)
        .await
        .refused(412, "PreconditionFailed");
}

#[tokio::test]
async fn overwritten_and_removed_versions_are_kept() {
    let world = World::new().await;
    let first = world.client.put("inbox", "k", "one").await.expect(200);
    let second = world.client.put("inbox", "k", "two").await.expect(200);
    world.client.delete("inbox", "k").await.expect(204);
    world.client.delete("inbox", "k").await.expect(204);
    world
        .client
        .get("inbox", "k")
        .await
        .refused(404, "NoSuchKey");
    for (put, expect) in [(first, "one"), (second, "two")] {
        let version = put.header("x-amz-version-id").unwrap();
        let got = world
            .client
            .get_version("inbox", "k", version)
            .await
            .expect(200);
        assert_eq!(got.text(), expect);
    }
    for version in ["nothing", "..", "../../sequence", ""] {
        let got = world.client.get_version("inbox", "k", version).await;
        assert!(got.status >= 400, "{version}");
    }

    let commands = world.ledger.commands();
    let [
        _,
        ObjectCommand::RecordCreated(created),
        ObjectCommand::RecordRemoved(removed),
    ] = &commands[..]
    else {
        panic!("two writes and one removal, not {commands:?}")
    };
    assert_eq!(removed.version, created.version);
    assert!(removed.order.as_ref().unwrap().sequencer > created.order.as_ref().unwrap().sequencer);
}

#[tokio::test]
async fn copies() {
    let world = World::new().await;
    let headers = [("x-amz-meta-a", "1"), ("content-type", "text/csv")];
    world
        .client
        .put_with("inbox", "a b/ü+%.csv", &headers, "hello")
        .await
        .expect(200);
    let source = ("x-amz-copy-source", "/inbox/a%20b/%C3%BC%2B%25.csv");
    let copied = world
        .client
        .put_with("results", "copy", &[source], "")
        .await
        .expect(200);
    assert_eq!(copied.element("ETag"), Some(format!("\"{HELLO}\"")));
    let got = world.client.get("results", "copy").await.expect(200);
    assert_eq!(got.text(), "hello");
    assert_eq!(
        (got.header("x-amz-meta-a"), got.header("content-type")),
        (Some("1"), Some("text/csv"))
    );
    assert_eq!(
        world.ledger.created().last().unwrap().event_name,
        "ObjectCreated:Copy"
    );

    let source = ("x-amz-copy-source", "results/copy");
    world
        .client
        .put_with("results", "copy", &[source], "")
        .await
        .refused(400, "InvalidRequest");
    let replace = [
        source,
        ("x-amz-metadata-directive", "REPLACE"),
        ("x-amz-meta-b", "2"),
    ];
    world
        .client
        .put_with("results", "copy", &replace, "")
        .await
        .expect(200);
    let got = world.client.get("results", "copy").await.expect(200);
    assert_eq!(
        (got.header("x-amz-meta-a"), got.header("x-amz-meta-b")),
        (None, Some("2"))
    );
    let source = [("x-amz-copy-source", "results/absent")];
    world
        .client
        .put_with("results", "copy", &source, "")
        .await
        .refused(404, "NoSuchKey");
    let unmet = [
        ("x-amz-copy-source", "results/copy"),
        ("x-amz-copy-source-if-match", "\"abc\""),
    ];
    world
        .client
        .put_with("results", "other", &unmet, "")
        .await
        .refused(412, "PreconditionFailed");
}

#[tokio::test]
async fn many_objects_are_removed_at_once() {
    let world = World::new().await;
    for key in ["a", "b"] {
        world.client.put("inbox", key, "x").await.expect(200);
    }
    let body = "<Delete><Object><Key>a</Key></Object><Object><Key>absent</Key></Object></Delete>";
    let reply = world
        .client
        .send("POST", "inbox", "", &[("delete", "")], &[], body.as_bytes())
        .await;
    assert_eq!(reply.expect(200).elements("Key"), ["a", "absent"]);
    world
        .client
        .get("inbox", "a")
        .await
        .refused(404, "NoSuchKey");
    world.client.get("inbox", "b").await.expect(200);
}

#[tokio::test]
async fn without_the_ledger_a_write_is_not_acknowledged() {
    let world = World::new().await;
    world.ledger.fail(true);
    world
        .client
        .put("inbox", "k", "hello")
        .await
        .refused(503, "ServiceUnavailable");
    world.ledger.fail(false);
    assert_eq!(world.gateway.rescan().await.unwrap().recorded, 1);
    assert_eq!(world.gateway.rescan().await.unwrap().recorded, 0);
    let [created] = &world.ledger.created()[..] else {
        panic!("recorded once")
    };
    assert_eq!(
        (created.channel.clone(), created.version.etag.as_deref()),
        (Channel::Listing, Some(HELLO))
    );
}

#[tokio::test]
async fn wrong_keys_and_signatures_are_told_apart() {
    let world = World::new().await;
    let mut client = world.client.clone();
    client.secret_key = "wrong".to_owned();
    client
        .put("inbox", "k", "x")
        .await
        .refused(403, "SignatureDoesNotMatch");
    client.access_key = "unknown".to_owned();
    client
        .put("inbox", "k", "x")
        .await
        .refused(403, "InvalidAccessKeyId");
    let mut anonymous = tokio::net::TcpStream::connect(world.client.address)
        .await
        .unwrap();
    let head = b"GET /inbox/k HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    anonymous.write_all(head).await.unwrap();
    finish(anonymous).await.refused(403, "AccessDenied");
}

#[tokio::test]
async fn buckets_tell_about_themselves() {
    let world = World::new().await;
    let reply = world
        .client
        .send("GET", "", "", &[], &[], b"")
        .await
        .expect(200);
    assert_eq!(reply.elements("Name"), ["inbox", "results"]);
    world
        .client
        .send("HEAD", "inbox", "", &[], &[], b"")
        .await
        .expect(200);
    world
        .client
        .send("HEAD", "absent", "", &[], &[], b"")
        .await
        .expect(404);
    let create = world.client.send("PUT", "inbox", "", &[], &[], b"").await;
    create.refused(409, "BucketAlreadyOwnedByYou");
    let create = world.client.send("PUT", "absent", "", &[], &[], b"").await;
    create.refused(403, "AccessDenied");
    world
        .client
        .list("inbox", &[("location", "")])
        .await
        .expect(200);
    world
        .client
        .list("inbox", &[("versioning", "")])
        .await
        .expect(200);
}

#[tokio::test]
async fn a_shutdown_closes_idle_connections_and_lets_requests_finish() {
    use tokio::io::AsyncReadExt;
    let world = World::new().await;
    let mut busy = world.client.begin("PUT", "inbox", "k", &[], &[], 5).await;
    busy.write_all(b"he").await.unwrap();
    let mut idle = tokio::net::TcpStream::connect(world.client.address)
        .await
        .unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    // Answered and kept alive: by now the other one has been accepted as well.
    assert!(idle.read(&mut [0; 4096]).await.unwrap() > 0);
    world.shutdown.cancel();
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(10), idle.read_to_end(&mut rest)).await;
    closed.expect("closed at once").unwrap();
    busy.write_all(b"llo").await.unwrap();
    finish(busy).await.expect(200);
    assert_eq!(std::fs::read(world.path("inbox", "k")).unwrap(), b"hello");
}
