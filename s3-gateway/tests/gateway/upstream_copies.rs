//! Copies within another store, and between it and a folder.

use daybook_s3_gateway::Limits;

use super::upstream::{Front, big, endpoint, pair};
use super::world::World;

#[tokio::test]
async fn copies_go_within_a_store_and_between_it_and_a_folder() {
    let (_back, front) = pair().await;
    let client = &front.client;
    let body = big();
    let headers = [("x-amz-meta-a", "b"), ("content-type", "text/x")];
    client
        .put_with("raw", "from", &headers, &body)
        .await
        .expect(200);
    for (source, bucket) in [
        ("raw/from", "cooked"),
        ("cooked/copy", "local"),
        ("local/copy", "raw"),
        ("local/copy", "cooked"),
    ] {
        let copy = [("x-amz-copy-source", source)];
        let copied = client.put_with(bucket, "copy", &copy, "").await.expect(200);
        assert!(copied.element("ETag").is_some(), "{}", copied.text());
        assert!(copied.element("LastModified").is_some());
        let got = client.get(bucket, "copy").await.expect(200);
        assert_eq!(got.body, body, "{source} to {bucket}");
        for (name, value) in headers {
            assert_eq!(got.header(name), Some(value));
        }
        assert_eq!(got.header("x-amz-meta-daybook-stamp"), None);
    }
    let created = front.ledger.created();
    let names: Vec<_> = created.iter().map(|it| it.event_name.as_str()).collect();
    assert_eq!(names[0], "ObjectCreated:Put");
    assert_eq!(names[1..], ["ObjectCreated:Copy"; 4]);
    let mut stamps: Vec<_> = created.iter().map(|it| it.version.stamp.unwrap()).collect();
    stamps.sort_unstable();
    stamps.dedup();
    assert_eq!(stamps.len(), 5, "each copy has a stamp of its own");

    let replaced = [
        ("x-amz-copy-source", "raw/from"),
        ("x-amz-metadata-directive", "REPLACE"),
        ("x-amz-meta-c", "d"),
    ];
    client
        .put_with("raw", "from", &replaced, "")
        .await
        .expect(200);
    let got = client.get("raw", "from").await.expect(200);
    assert_eq!(got.header("x-amz-meta-a"), None);
    assert_eq!(got.header("x-amz-meta-c"), Some("d"));
    let to_itself = [("x-amz-copy-source", "raw/from")];
    client
        .put_with("raw", "from", &to_itself, "")
        .await
        .refused(400, "InvalidRequest");
    let unmet = [
        ("x-amz-copy-source", "raw/from"),
        ("x-amz-copy-source-if-match", "\"other\""),
    ];
    for bucket in ["cooked", "local"] {
        client
            .put_with(bucket, "unmet", &unmet, "")
            .await
            .refused(412, "PreconditionFailed");
    }
}

#[tokio::test]
async fn what_is_too_large_for_one_copy_goes_in_parts() {
    let back = World::new().await;
    let mut limits = Limits::default();
    limits.upstream.max_copy_bytes = 6 << 20;
    let front = Front::new(endpoint(&back), limits).await;
    let client = &front.client;
    let body: Vec<u8> = (0..(13 << 20)).map(|at| (at % 253) as u8).collect();
    client.put("local", "large", &body).await.expect(200);
    for (source, key) in [("local/large", "streamed"), ("raw/streamed", "copied")] {
        let copy = [("x-amz-copy-source", source)];
        let copied = client.put_with("raw", key, &copy, "").await.expect(200);
        assert!(copied.element("ETag").unwrap().contains('-'), "{source}");
        let got = client.get("raw", key).await.expect(200);
        assert!(got.body == body, "{source}");
    }
}

#[tokio::test]
async fn parts_are_copied_within_a_store_and_from_a_folder() {
    let (_back, front) = pair().await;
    let client = &front.client;
    client.put("local", "l", "from a folder").await.expect(200);
    let first = vec![7_u8; 5 << 20];
    client.put("raw", "r", &first).await.expect(200);
    for bucket in ["cooked", "local"] {
        let upload = client
            .send("POST", bucket, "p", &[("uploads", "")], &[], b"")
            .await
            .expect(200);
        let id = upload.element("UploadId").unwrap();
        let mut parts = String::from("<CompleteMultipartUpload>");
        for (number, source, range) in [
            ("1", "raw/r", "bytes=0-5242879"),
            ("2", "local/l", "bytes=5-12"),
        ] {
            let query = [("uploadId", id.as_str()), ("partNumber", number)];
            let headers = [
                ("x-amz-copy-source", source),
                ("x-amz-copy-source-range", range),
            ];
            let part = client
                .send("PUT", bucket, "p", &query, &headers, b"")
                .await
                .expect(200);
            let etag = part.element("ETag").unwrap();
            let line = format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>");
            parts.push_str(&line);
        }
        parts.push_str("</CompleteMultipartUpload>");
        let query = [("uploadId", id.as_str())];
        client
            .send("POST", bucket, "p", &query, &[], parts.as_bytes())
            .await
            .expect(200);
        let got = client.get(bucket, "p").await.expect(200);
        assert_eq!(got.body[..first.len()], first);
        assert_eq!(&got.body[first.len()..], b"a folder");
    }
}
