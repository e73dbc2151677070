//! Buckets of another store: a second gateway, reached only over HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use daybook_domain::stored_object::{Channel, ObjectCommand, ObjectVersion, ProducedBy};
use daybook_domain::{BucketName, Chain, ExecutionId, FunctionName, ObjectKey, ShadowId};
use daybook_s3_gateway::{
    BucketConfig, GatewayConfig, InvocationScope, Limits, LocalBucket, OperatorKey, Policy,
    Publish, TriggerObject, UpstreamBucket, UpstreamKey, UpstreamStore,
};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use super::client::{Client, Reply, finish};
use super::world::{MemoryLedger, Serving, World, serve};

/// More than is read before it is sent.
pub const BIG: usize = 3 << 20;

/// A gateway with the buckets `raw` and `cooked` of another store, and one in a folder.
pub struct Front {
    pub serving: Serving,
    pub ledger: Arc<MemoryLedger>,
    pub client: Client,
    _folder: TempDir,
}

impl Front {
    /// `endpoint` is the store's, where the buckets are called `inbox` and `results`.
    pub async fn new(endpoint: String, limits: Limits) -> Front {
        let folder = TempDir::new().unwrap();
        let mut buckets = BTreeMap::new();
        for (name, there) in [("raw", "inbox"), ("cooked", "results")] {
            let store = UpstreamStore {
                region: "us-east-1".to_owned(),
                endpoint: Some(endpoint.clone()),
                path_style: true,
                profile: None,
                key: Some(UpstreamKey {
                    access_key: "tests".to_owned(),
                    secret_key: "a-secret".to_owned(),
                }),
            };
            let upstream = UpstreamBucket {
                bucket: there.to_owned(),
                store,
                checksums: true,
            };
            let name = BucketName::parse(name).unwrap();
            buckets.insert(name, BucketConfig::Upstream(upstream));
        }
        let local = LocalBucket {
            root: folder.path().join("local"),
            retain: Duration::from_secs(3600),
        };
        buckets.insert(
            BucketName::parse("local").unwrap(),
            BucketConfig::Local(local),
        );
        let key = OperatorKey {
            name: "tests".to_owned(),
            access_key: "tests".to_owned(),
            secret_key: "a-secret".to_owned(),
            read: vec!["*".to_owned()],
            write: vec!["*".to_owned()],
        };
        let config = GatewayConfig {
            buckets,
            keys: vec![key],
            region: "us-east-1".to_owned(),
            limits,
            shared: false,
            created: None,
        };
        let ledger = Arc::new(MemoryLedger::default());
        let serving = serve(config, &ledger).await;
        Front {
            client: serving.client.clone(),
            serving,
            ledger,
            _folder: folder,
        }
    }

    /// A client with a key made for a function, which may read `raw` and write `cooked`.
    pub fn function(&self) -> Client {
        let policy = Policy {
            read: vec!["raw/*".to_owned()],
            write: vec!["cooked/*".to_owned()],
        };
        let name = FunctionName::parse("uppercase").unwrap();
        let credentials = self.serving.gateway.grants().issue(&name, policy);
        Client {
            address: self.client.address,
            access_key: credentials.access_key,
            secret_key: credentials.secret_key,
        }
    }
}

/// A store, and a gateway in front of it.
pub async fn pair() -> (World, Front) {
    let back = World::new().await;
    let front = Front::new(endpoint(&back), Limits::default()).await;
    (back, front)
}

pub fn endpoint(back: &World) -> String {
    format!("http://{}", back.client.address)
}

pub fn scope(trigger: Option<(&str, ObjectVersion)>) -> InvocationScope {
    InvocationScope {
        execution: ExecutionId(Uuid::from_u128(1)),
        task: 1,
        attempt: 2,
        function: FunctionName::parse("uppercase").unwrap(),
        publish: Publish::Immediately,
        shadow: None,
        chain: Chain::default(),
        trigger: trigger.map(|(key, version)| TriggerObject {
            bucket: BucketName::parse("raw").unwrap(),
            key: ObjectKey::parse(key).unwrap(),
            version,
        }),
    }
}

pub fn big() -> Vec<u8> {
    (0..BIG).map(|at| (at % 251) as u8).collect()
}

#[tokio::test]
async fn an_object_goes_through_and_comes_back_as_it_was() {
    let (back, front) = pair().await;
    let headers = [
        ("content-type", "text/plain"),
        ("cache-control", "no-cache"),
        ("x-amz-meta-origin", "here"),
    ];
    let put = front
        .client
        .put_with("raw", "a b/ü+%.txt", &headers, "hello")
        .await
        .expect(200);
    let got = front.client.get("raw", "a b/ü+%.txt").await.expect(200);
    assert_eq!(got.body, b"hello");
    assert_eq!(got.header("etag"), put.header("etag"));
    for (name, value) in headers {
        assert_eq!(got.header(name), Some(value));
    }
    assert_eq!(got.header("x-amz-meta-daybook-stamp"), None);

    // The store has it with the stamp, which is the ledger's.
    let there = back.client.get("inbox", "a b/ü+%.txt").await.expect(200);
    assert_eq!(there.body, b"hello");
    let [created] = &front.ledger.created()[..] else {
        panic!("one object");
    };
    let stamp = created.version.stamp.unwrap().to_string();
    assert_eq!(
        there.header("x-amz-meta-daybook-stamp"),
        Some(stamp.as_str())
    );
    assert_eq!(created.bucket.as_str(), "raw");
    assert_eq!(created.key.as_str(), "a b/ü+%.txt");
    assert_eq!(created.channel, Channel::Gateway);
    assert_eq!(created.version.size, Some(5));
    assert_eq!(
        created.version.version_id.as_deref(),
        there.header("x-amz-version-id")
    );
    assert_eq!(created.order.as_ref().unwrap().authority, "gateway");

    let head = [("range", "bytes=1-3")];
    let part = front
        .client
        .get_with("raw", "a b/ü+%.txt", &head)
        .await
        .expect(206);
    assert_eq!(part.body, b"ell");
    assert_eq!(part.header("content-range"), Some("bytes 1-3/5"));
    let beyond = [("range", "bytes=9-")];
    front
        .client
        .get_with("raw", "a b/ü+%.txt", &beyond)
        .await
        .refused(416, "InvalidRange");
    let same = [("if-none-match", put.header("etag").unwrap())];
    let unmodified = front.client.get_with("raw", "a b/ü+%.txt", &same).await;
    assert_eq!(unmodified.status, 304);
    assert_eq!(unmodified.header("etag"), put.header("etag"));
    front
        .client
        .get("raw", "missing")
        .await
        .refused(404, "NoSuchKey");
    let head = front
        .client
        .send("HEAD", "raw", "missing", &[], &[], b"")
        .await;
    assert_eq!(head.status, 404);
}

#[tokio::test]
async fn a_body_that_is_not_what_was_said_becomes_no_object() {
    let (back, front) = pair().await;
    for body in [b"small".to_vec(), big()] {
        for wrong in [
            ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA=="),
            ("x-amz-checksum-crc32", "AAAAAA=="),
        ] {
            front
                .client
                .put_with("raw", "wrong", &[wrong], &body)
                .await
                .refused(400, "BadDigest");
        }
        let new = [("if-none-match", "*")];
        front
            .client
            .put_with("raw", "once", &new, &body)
            .await
            .expect(200);
        front
            .client
            .put_with("raw", "once", &new, &body)
            .await
            .refused(412, "PreconditionFailed");
        front.client.delete("raw", "once").await.expect(204);
    }
    back.client
        .get("inbox", "wrong")
        .await
        .refused(404, "NoSuchKey");
    let keys: Vec<_> = front.ledger.created();
    assert!(keys.iter().all(|created| created.key.as_str() == "once"));
    assert_eq!(keys.len(), 2);
}

#[tokio::test]
async fn right_checksums_are_known_to_the_store() {
    let (back, front) = pair().await;
    let sum = |body: &[u8]| {
        use base64::Engine as _;
        use sha2::Digest;
        base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(body))
    };
    for (key, body) in [("small", b"small".to_vec()), ("big", big())] {
        let sum = sum(&body);
        let headers = [("x-amz-checksum-sha256", sum.as_str())];
        let put = front
            .client
            .put_with("raw", key, &headers, &body)
            .await
            .expect(200);
        assert_eq!(put.header("x-amz-checksum-sha256"), Some(sum.as_str()));
        let mode = [("x-amz-checksum-mode", "ENABLED")];
        for (client, bucket) in [(&back.client, "inbox"), (&front.client, "raw")] {
            let got = client.get_with(bucket, key, &mode).await.expect(200);
            assert_eq!(got.header("x-amz-checksum-sha256"), Some(sum.as_str()));
            assert_eq!(got.body, body);
        }
    }
}

#[tokio::test]
async fn a_trailer_is_held_against_the_body_and_passed_on() {
    let (back, front) = pair().await;
    let body = big();
    let crc = |body: &[u8]| {
        use base64::Engine as _;
        let mut crc = u32::MAX;
        for byte in body {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
            }
        }
        base64::engine::general_purpose::STANDARD.encode((!crc).to_be_bytes())
    };
    let right = crc(&body);
    for (key, sum, status) in [("right", right.as_str(), 200), ("wrong", "AAAAAA==", 400)] {
        let mut sent = format!("{:x}\r\n", body.len()).into_bytes();
        sent.extend_from_slice(&body);
        let end = format!("\r\n0\r\nx-amz-checksum-crc32:{sum}\r\n\r\n");
        sent.extend_from_slice(end.as_bytes());
        let length = body.len().to_string();
        let headers = [
            ("content-encoding", "aws-chunked"),
            ("x-amz-decoded-content-length", length.as_str()),
            ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
            ("x-amz-trailer", "x-amz-checksum-crc32"),
        ];
        let put = front.client.put_with("raw", key, &headers, &sent).await;
        assert_eq!(put.status, status, "{}", put.text());
    }
    let mode = [("x-amz-checksum-mode", "ENABLED")];
    let there = back
        .client
        .get_with("inbox", "right", &mode)
        .await
        .expect(200);
    assert_eq!(there.body, body);
    assert_eq!(there.header("content-encoding"), None);
    assert_eq!(there.header("x-amz-checksum-crc32"), Some(right.as_str()));
    back.client
        .get("inbox", "wrong")
        .await
        .refused(404, "NoSuchKey");
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing() {
    let (back, front) = pair().await;
    let body = big();
    let mut begun = front
        .client
        .begin("PUT", "raw", "half", &[], &[], body.len())
        .await;
    begun.write_all(&body[..BIG / 2]).await.unwrap();
    begun.shutdown().await.unwrap();
    drop(begun);
    // What comes after it on the same key waits for nobody.
    front.client.put("raw", "half", "whole").await.expect(200);
    let got = back.client.get("inbox", "half").await.expect(200);
    assert_eq!(got.body, b"whole");
    assert_eq!(front.ledger.created().len(), 1);
    assert_eq!(back.ledger.created().len(), 1);
}

#[tokio::test]
async fn a_write_of_an_invocation_that_ends_meanwhile_is_fenced() {
    let (back, front) = pair().await;
    let grants = front.serving.gateway.grants();
    let function = front.function();
    grants.begin(&function.access_key, scope(None));
    let body = big();
    let mut begun = function
        .begin("PUT", "cooked", "late", &[], &[], body.len())
        .await;
    begun.write_all(&body[..BIG - 1]).await.unwrap();
    grants.end(&function.access_key);
    begun.write_all(&body[BIG - 1..]).await.unwrap();
    finish(begun).await.refused(403, "AccessDenied");
    back.client
        .get("results", "late")
        .await
        .refused(404, "NoSuchKey");
    assert!(front.ledger.commands().is_empty());
    function
        .put("cooked", "later", "x")
        .await
        .refused(403, "AccessDenied");
}

#[tokio::test]
async fn lineage_and_policies_are_those_of_local_buckets() {
    let (_back, front) = pair().await;
    front.client.put("raw", "in", "hello").await.expect(200);
    let grants = front.serving.gateway.grants();
    let function = front.function();
    grants.begin(&function.access_key, scope(None));
    function.get("raw", "in").await.expect(200);
    function.put("cooked", "out", "HELLO").await.expect(200);
    let refused = function
        .put("raw", "in", "x")
        .await
        .refused(403, "AccessDenied");
    let line = "function uppercase may not write raw/in: add write = [\"raw/*\"]";
    assert_eq!(refused.element("Message").as_deref(), Some(line));
    function
        .get("cooked", "out")
        .await
        .refused(403, "AccessDenied");
    function
        .list("cooked", &[])
        .await
        .refused(403, "AccessDenied");
    let activity = grants.end(&function.access_key);
    let created = front.ledger.created();
    let [read] = &activity.read[..] else {
        panic!("one read: {activity:?}");
    };
    assert_eq!((read.bucket.as_str(), read.key.as_str()), ("raw", "in"));
    assert_eq!(read.version_id, created[0].version.version_id);
    assert_eq!(read.size, Some(5));
    let [written] = &activity.written[..] else {
        panic!("one write: {activity:?}");
    };
    assert_eq!(written.version_id, created[1].version.version_id);
    assert_eq!(written.etag, created[1].version.etag);
    let by = ProducedBy {
        execution: ExecutionId(Uuid::from_u128(1)),
        function: FunctionName::parse("uppercase").unwrap(),
        attempt: 2,
        chain: Chain::default(),
        shadow: None,
    };
    assert_eq!(created[1].produced_by, Some(by));
}

#[tokio::test]
async fn a_read_is_pinned_to_what_triggered_it() {
    let (_back, front) = pair().await;
    front.client.put("raw", "in", "first").await.expect(200);
    let version = front.ledger.created()[0].version.clone();
    front.client.put("raw", "in", "second").await.expect(200);
    let grants = front.serving.gateway.grants();
    let function = front.function();
    grants.begin(&function.access_key, scope(Some(("in", version.clone()))));
    let got = function.get("raw", "in").await.expect(200);
    assert_eq!(got.body, b"first");

    // As it is where the store keeps no versions: the ETag is all that is known.
    let by_etag = ObjectVersion {
        version_id: None,
        ..version
    };
    grants.begin(&function.access_key, scope(Some(("in", by_etag))));
    let gone = function
        .get("raw", "in")
        .await
        .refused(404, "NoSuchVersion");
    let message = gone.element("Message").unwrap();
    assert!(message.starts_with("ObjectVersionGone: "), "{message}");
}

#[tokio::test]
async fn listings_are_the_stores_without_what_one_may_not_read() {
    let (back, front) = pair().await;
    for key in ["a/1", "a/2", "b/1", "c d+e/ü"] {
        back.client.put("inbox", key, "x").await.expect(200);
    }
    let keys = |reply: Reply| reply.expect(200).elements("Key");
    let all = ["a/1", "a/2", "b/1", "c d+e/ü"];
    assert_eq!(keys(front.client.list("raw", &[]).await), all);
    let v2 = [("list-type", "2")];
    assert_eq!(keys(front.client.list("raw", &v2).await), all);
    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let mut query = vec![("list-type", "2"), ("max-keys", "1")];
        if !token.is_empty() {
            query.push(("continuation-token", &token));
        }
        let page = front.client.list("raw", &query).await.expect(200);
        seen.extend(page.elements("Key"));
        match page.element("NextContinuationToken") {
            Some(next) => token = next,
            None => break,
        }
    }
    assert_eq!(seen, all);
    let encoded = [("encoding-type", "url")];
    let reply = front.client.list("raw", &encoded).await;
    assert_eq!(keys(reply)[3], "c%20d%2Be/%C3%BC");

    let policy = Policy {
        read: vec!["raw/b*".to_owned(), "raw/c d*".to_owned()],
        write: Vec::new(),
    };
    let name = FunctionName::parse("some").unwrap();
    let grants = front.serving.gateway.grants();
    let credentials = grants.issue(&name, policy);
    let some = Client {
        access_key: credentials.access_key,
        secret_key: credentials.secret_key,
        ..front.client.clone()
    };
    grants.begin(&some.access_key, scope(None));
    assert_eq!(keys(some.list("raw", &[]).await), ["b/1", "c d+e/ü"]);
    let below = [("delimiter", "/")];
    let folders = some.list("raw", &below).await.expect(200);
    assert_eq!(folders.elements("Prefix")[1..], ["b/", "c d+e/"]);
    // A page of which nothing is shown leads on all the same.
    let first = some.list("raw", &[("max-keys", "1")]).await.expect(200);
    assert_eq!(first.elements("Key"), Vec::<String>::new());
    assert_eq!(first.element("NextMarker").as_deref(), Some("a/1"));
}

#[tokio::test]
async fn removals_are_recorded_once_there_is_something_to_remove() {
    let (back, front) = pair().await;
    for key in ["one", "two", "three"] {
        front.client.put("raw", key, key).await.expect(200);
    }
    front.client.delete("raw", "one").await.expect(204);
    front.client.delete("raw", "one").await.expect(204);
    let xml = "<Delete><Object><Key>two</Key></Object><Object><Key>none</Key></Object></Delete>";
    let many = front
        .client
        .send("POST", "raw", "", &[("delete", "")], &[], xml.as_bytes())
        .await
        .expect(200);
    assert_eq!(many.elements("Key"), ["two", "none"]);
    let removed: Vec<_> = front
        .ledger
        .commands()
        .into_iter()
        .filter_map(|command| match command {
            ObjectCommand::RecordRemoved(removed) => Some(removed),
            _ => None,
        })
        .collect();
    let keys: Vec<_> = removed.iter().map(|it| it.key.as_str()).collect();
    assert_eq!(keys, ["one", "two"]);
    let created = front.ledger.created();
    assert_eq!(removed[0].version.stamp, created[0].version.stamp);
    let left = back.client.list("inbox", &[]).await.expect(200);
    assert_eq!(left.elements("Key"), ["three"]);
}

#[tokio::test]
async fn an_upload_in_parts_is_passed_on_and_recorded_at_its_end() {
    let (back, front) = pair().await;
    let upload = front
        .client
        .send(
            "POST",
            "raw",
            "parts",
            &[("uploads", "")],
            &[("x-amz-meta-a", "b")],
            b"",
        )
        .await
        .expect(200);
    let id = upload.element("UploadId").unwrap();
    let mut parts = String::from("<CompleteMultipartUpload>");
    let (first, last) = (vec![1_u8; 5 << 20], b"the end".to_vec());
    for (number, body) in [("1", &first), ("2", &last)] {
        let query = [("uploadId", id.as_str()), ("partNumber", number)];
        let part = front
            .client
            .send("PUT", "raw", "parts", &query, &[], body)
            .await
            .expect(200);
        let etag = part.header("etag").unwrap();
        let line = format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>");
        parts.push_str(&line);
    }
    parts.push_str("</CompleteMultipartUpload>");
    let wrong = [("uploadId", id.as_str()), ("partNumber", "3")];
    let md5 = [("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")];
    front
        .client
        .send("PUT", "raw", "parts", &wrong, &md5, &first)
        .await
        .refused(400, "BadDigest");
    let query = [("uploadId", id.as_str())];
    let listed = front.client.send("GET", "raw", "parts", &query, &[], b"");
    let listed = listed.await.expect(200);
    assert_eq!(listed.elements("PartNumber"), ["1", "2"]);
    assert!(front.ledger.commands().is_empty());
    let done = front
        .client
        .send("POST", "raw", "parts", &query, &[], parts.as_bytes())
        .await
        .expect(200);
    assert!(done.element("ETag").unwrap().contains("-2"));
    let got = front.client.get("raw", "parts").await.expect(200);
    assert_eq!(got.body, [first, last].concat());
    assert_eq!(got.header("x-amz-meta-a"), Some("b"));
    assert_eq!(got.header("x-amz-meta-daybook-stamp"), None);
    let [created] = &front.ledger.created()[..] else {
        panic!("one object");
    };
    assert_eq!(created.version.size, Some(got.body.len() as u64));
    let there = back.client.get("inbox", "parts").await.expect(200);
    let stamp = created.version.stamp.unwrap().to_string();
    assert_eq!(
        there.header("x-amz-meta-daybook-stamp"),
        Some(stamp.as_str())
    );
    front
        .client
        .send("DELETE", "raw", "parts", &query, &[], b"")
        .await
        .refused(404, "NoSuchUpload");
}

#[tokio::test]
async fn tags_attributes_and_versions_are_the_stores() {
    let (back, front) = pair().await;
    let (front, back) = (&front.client, &back.client);
    let xml = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
               <Status>Enabled</Status></VersioningConfiguration>";
    let versioning = [("versioning", "")];
    front
        .send("PUT", "raw", "", &versioning, &[], xml.as_bytes())
        .await
        .expect(200);
    for (client, bucket) in [(front, "raw"), (back, "inbox")] {
        let told = client.send("GET", bucket, "", &versioning, &[], b"").await;
        let status = told.expect(200).element("Status");
        assert_eq!(status.as_deref(), Some("Enabled"));
    }
    let tagged = [("x-amz-tagging", "a=b")];
    for body in ["first", "second"] {
        front.put_with("raw", "k", &tagged, body).await.expect(200);
    }
    let tagging = [("tagging", "")];
    let tags = front.send("GET", "raw", "k", &tagging, &[], b"").await;
    assert_eq!(tags.expect(200).elements("Value"), ["b"]);
    let xml = "<Tagging><TagSet><Tag><Key>c</Key><Value>d</Value></Tag></TagSet></Tagging>";
    front
        .send("PUT", "raw", "k", &tagging, &[], xml.as_bytes())
        .await
        .expect(200);
    let tags = back.send("GET", "inbox", "k", &tagging, &[], b"").await;
    assert_eq!(tags.expect(200).elements("Value"), ["d"]);
    front
        .send("DELETE", "raw", "k", &tagging, &[], b"")
        .await
        .expect(204);
    let wanted = [("x-amz-object-attributes", "ObjectSize,ETag")];
    let attributes = [("attributes", "")];
    let told = front
        .send("GET", "raw", "k", &attributes, &wanted, b"")
        .await
        .expect(200);
    assert_eq!(told.element("ObjectSize").as_deref(), Some("6"));
    front.delete("raw", "k").await.expect(204);
    let versions = front.list("raw", &[("versions", "")]).await.expect(200);
    assert_eq!(versions.elements("VersionId").len(), 3);
    let ids = versions.elements("VersionId");
    let bodies = ids.iter().map(|id| front.get_version("raw", "k", id));
    let bodies = futures::future::join_all(bodies).await;
    let bodies: Vec<_> = bodies.iter().filter(|got| got.status == 200).collect();
    assert_eq!(bodies.len(), 2);
    let uploads = [("uploads", "")];
    front
        .send("POST", "raw", "unfinished", &uploads, &[], b"")
        .await
        .expect(200);
    let listed = front.list("raw", &uploads).await.expect(200);
    assert_eq!(listed.elements("Key"), ["unfinished"]);
}

#[tokio::test]
async fn what_has_to_be_held_back_or_redirected_is_not_written_to_another_store() {
    let (back, front) = pair().await;
    front.client.put("raw", "in", "hello").await.expect(200);
    let grants = front.serving.gateway.grants();
    let function = front.function();
    let shadow = InvocationScope {
        shadow: Some(ShadowId::parse("s").unwrap()),
        ..scope(None)
    };
    let on_success = InvocationScope {
        publish: Publish::OnSuccess,
        ..scope(None)
    };
    for (scope, how) in [(shadow, "in a shadow run"), (on_success, "on-success")] {
        grants.begin(&function.access_key, scope);
        function.get("raw", "in").await.expect(200);
        let put = function.put("cooked", "out", "x").await;
        put.refused(403, "AccessDenied");
        let source = [("x-amz-copy-source", "raw/in")];
        let copied = function.put_with("cooked", "out", &source, "").await;
        copied.refused(403, "AccessDenied");
        let deleted = function.delete("cooked", "kept").await;
        deleted.refused(403, "AccessDenied");
        let activity = grants.end(&function.access_key);
        assert!(activity.written.is_empty(), "{activity:?}");
        assert!(activity.refused[0].contains(how), "{:?}", activity.refused);
    }
    let nothing = back.client.get("results", "out").await;
    nothing.refused(404, "NoSuchKey");
}
