use std::path::PathBuf;
use std::time::Duration;

use daybook_s3_gateway::Limits;

use super::client::{Client, Reply};
use super::world::World;

async fn small_parts() -> World {
    let limits = Limits {
        min_part_bytes: 4,
        ..Limits::default()
    };
    World::with(limits, Duration::from_secs(60)).await
}

async fn create(client: &Client, headers: &[(&str, &str)]) -> String {
    let reply = client
        .send("POST", "inbox", "big", &[("uploads", "")], headers, b"")
        .await;
    reply.expect(200).element("UploadId").unwrap()
}

async fn part(
    client: &Client,
    id: &str,
    number: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Reply {
    let query = [("partNumber", number), ("uploadId", id)];
    client
        .send("PUT", "inbox", "big", &query, headers, body.as_bytes())
        .await
}

async fn complete(client: &Client, id: &str, parts: &[(&str, &Reply)]) -> Reply {
    let parts: String = parts
        .iter()
        .map(|(number, part)| {
            let etag = part.header("etag").unwrap_or("\"none\"");
            let sum = part.header("x-amz-checksum-crc32");
            let sum = sum.map(|sum| format!("<ChecksumCRC32>{sum}</ChecksumCRC32>"));
            let sum = sum.unwrap_or_default();
            format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag>{sum}</Part>")
        })
        .collect();
    let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    client
        .send(
            "POST",
            "inbox",
            "big",
            &[("uploadId", id)],
            &[],
            body.as_bytes(),
        )
        .await
}

#[tokio::test]
async fn parts_become_one_object_also_across_a_restart() {
    let world = small_parts().await;
    let id = create(
        &world.client,
        &[("x-amz-meta-a", "1"), ("content-type", "text/plain")],
    )
    .await;
    let replaced = part(&world.client, &id, "1", &[], "xxxx").await.expect(200);
    let first = part(&world.client, &id, "1", &[], "1111").await.expect(200);
    let world = world.reopen().await;
    let second = part(&world.client, &id, "2", &[], "22").await.expect(200);
    world
        .client
        .get("inbox", "big")
        .await
        .refused(404, "NoSuchKey");
    let listed = world
        .client
        .list("inbox/big", &[("uploadId", &id)])
        .await
        .expect(200);
    assert_eq!(listed.elements("PartNumber"), ["1", "2"]);

    let refused = [
        (vec![("2", &second), ("1", &first)], "InvalidPartOrder"),
        (vec![("1", &replaced)], "InvalidPart"),
        (vec![("1", &first), ("3", &second)], "InvalidPart"),
        (vec![], "MalformedXML"),
    ];
    for (parts, code) in refused {
        complete(&world.client, &id, &parts)
            .await
            .refused(400, code);
    }
    let done = complete(&world.client, &id, &[("1", &first), ("2", &second)])
        .await
        .expect(200);
    // md5(md5("1111") ++ md5("22"))-2
    let etag = done.element("ETag").unwrap();
    assert!(etag.ends_with("-2\""), "{etag}");
    let got = world.client.get("inbox", "big").await.expect(200);
    assert_eq!(
        (got.text().as_str(), got.header("etag")),
        ("111122", Some(etag.as_str()))
    );
    assert_eq!(
        (got.header("x-amz-meta-a"), got.header("content-type")),
        (Some("1"), Some("text/plain"))
    );
    let [created] = &world.ledger.created()[..] else {
        panic!("recorded once")
    };
    assert_eq!(created.event_name, "ObjectCreated:CompleteMultipartUpload");
    // The client may not have got the answer.
    let again = complete(&world.client, &id, &[("1", &first)]).await;
    assert_eq!(again.expect(200).element("ETag").unwrap(), etag);
    assert_eq!(world.ledger.commands().len(), 1);
    world.client.put("inbox", "big", "other").await.expect(200);
    complete(&world.client, &id, &[("1", &first)])
        .await
        .refused(404, "NoSuchUpload");
    assert_eq!(world.own_files("inbox", "uploads"), Vec::<String>::new());
}

#[tokio::test]
async fn small_parts_wrong_parts_and_unknown_uploads_are_refused() {
    let world = small_parts().await;
    let id = create(&world.client, &[]).await;
    let small = part(&world.client, &id, "1", &[], "1").await.expect(200);
    let last = part(&world.client, &id, "2", &[], "2").await.expect(200);
    let parts = [("1", &small), ("2", &last)];
    complete(&world.client, &id, &parts)
        .await
        .refused(400, "EntityTooSmall");
    let wrong = [("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")];
    part(&world.client, &id, "1", &wrong, "1111")
        .await
        .refused(400, "BadDigest");
    part(&world.client, &id, "0", &[], "1111")
        .await
        .refused(400, "InvalidArgument");
    part(&world.client, &id, "10001", &[], "1111")
        .await
        .refused(400, "InvalidArgument");
    for id in ["../../inbox", "00000000000000000000000000000000"] {
        part(&world.client, id, "1", &[], "1111")
            .await
            .refused(404, "NoSuchUpload");
    }
    let abort = world
        .client
        .send("DELETE", "inbox", "big", &[("uploadId", &id)], &[], b"")
        .await;
    abort.expect(204);
    part(&world.client, &id, "1", &[], "1111")
        .await
        .refused(404, "NoSuchUpload");
    assert!(world.ledger.commands().is_empty());
    assert_eq!(world.temporaries("inbox"), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn checksums_of_parts_and_of_the_whole() {
    let world = small_parts().await;
    // CRC32 of "hello" twice; of the two sums' bytes; of "hellohello".
    let sum = [("x-amz-checksum-crc32", "NhCmhg==")];
    for (kind, expect) in [("COMPOSITE", "-2"), ("FULL_OBJECT", "")] {
        let headers = [
            ("x-amz-checksum-algorithm", "CRC32"),
            ("x-amz-checksum-type", kind),
        ];
        let id = create(&world.client, &headers).await;
        let first = part(&world.client, &id, "1", &sum, "hello")
            .await
            .expect(200);
        let second = part(&world.client, &id, "2", &sum, "hello")
            .await
            .expect(200);
        complete(&world.client, &id, &[("1", &first), ("2", &second)])
            .await
            .expect(200);
        let mode = [("x-amz-checksum-mode", "ENABLED")];
        let got = world
            .client
            .get_with("inbox", "big", &mode)
            .await
            .expect(200);
        assert_eq!(got.header("x-amz-checksum-type"), Some(kind));
        let told = got.header("x-amz-checksum-crc32").unwrap().to_owned();
        assert_eq!(told.ends_with("-2"), expect == "-2", "{told}");
        if kind == "FULL_OBJECT" {
            // A single put of the same bytes must agree.
            let whole = [("x-amz-checksum-crc32", told.as_str())];
            world
                .client
                .put_with("inbox", "whole", &whole, "hellohello")
                .await
                .expect(200);
        }
    }
}

#[tokio::test]
async fn parts_can_be_copied_from_objects() {
    let world = small_parts().await;
    world
        .client
        .put("results", "source", "0123456789")
        .await
        .expect(200);
    let id = create(&world.client, &[]).await;
    let copy = [
        ("x-amz-copy-source", "results/source"),
        ("x-amz-copy-source-range", "bytes=2-6"),
    ];
    let copied = part(&world.client, &id, "1", &copy, "").await.expect(200);
    let etag = copied.element("ETag").unwrap();
    let body = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let reply = world
        .client
        .send(
            "POST",
            "inbox",
            "big",
            &[("uploadId", &id)],
            &[],
            body.as_bytes(),
        )
        .await;
    reply.expect(200);
    assert_eq!(world.client.get("inbox", "big").await.text(), "23456");
    let beyond = [
        ("x-amz-copy-source", "results/source"),
        ("x-amz-copy-source-range", "bytes=2-10"),
    ];
    let id = create(&world.client, &[]).await;
    part(&world.client, &id, "1", &beyond, "")
        .await
        .refused(400, "InvalidArgument");
}
