//! Bodies that are not what their headers say change nothing; bodies that are big take no memory.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest, Md5};
use serde_json::json;
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::wire::{self, Client};
use crate::support::{ACCESS_KEY, Ledger, SECRET_KEY, Server, files_below};

const KEY: &str = "report.txt";

/// The body `123456789`, whose CRC-32 is the check value of the algorithm (cbf43926).
const BODY: &[u8] = b"123456789";
const CRC32: &str = "y/Q5Jg==";

#[tokio::test]
async fn a_body_that_is_not_what_its_headers_say_changes_nothing() {
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    let md5 = BASE64.encode(Md5::digest(BODY));
    let other_md5 = BASE64.encode(Md5::digest(b"another"));
    let sha256 = hex::encode(Sha256::digest(BODY));
    let other_sha256 = hex::encode(Sha256::digest(b"another"));
    let wrong = [
        ("content-md5", other_md5.as_str(), "BadDigest"),
        ("content-md5", "no base64", "InvalidDigest"),
        ("x-amz-checksum-crc32", "AAAAAA==", "BadDigest"),
        (
            "x-amz-content-sha256",
            other_sha256.as_str(),
            "XAmzContentSHA256Mismatch",
        ),
    ];
    for (header, value, code) in wrong {
        check_refused(&server, &ledger, (header, value), code).await;
    }

    // The same over an object that is there: it stays.
    let right = [
        ("content-md5", md5.as_str()),
        ("x-amz-checksum-crc32", CRC32),
        ("x-amz-content-sha256", sha256.as_str()),
    ];
    let reply = server.wire().send("PUT", "inbox", KEY, &right, BODY).await;
    assert_eq!(reply.status, 200, "{}", reply.code());
    server.settled("inbox", KEY).await;
    for (header, value, code) in wrong {
        check_refused(&server, &ledger, (header, value), code).await;
    }
    let kept = server.client().get("inbox", KEY).await.unwrap();
    assert_eq!(kept, BODY);
}

/// Puts [`BODY`] with a header that is wrong: the answer is `code`, and nothing else happens.
async fn check_refused(server: &Server, ledger: &Ledger, header: (&str, &str), code: &str) {
    let before = (state(server).await, files_below(&ledger.path("inbox")));
    let reply = server
        .wire()
        .send("PUT", "inbox", KEY, &[header], BODY)
        .await;
    assert_eq!((reply.status, &*reply.code()), (400, code), "{header:?}");
    let after = (state(server).await, files_below(&ledger.path("inbox")));
    assert_eq!(after, before, "{header:?}");
}

/// The events of the key, and what is stored under it.
async fn state(server: &Server) -> (usize, u16, Vec<u8>) {
    let query = r"query ($first: Int, $after: String, $stream: String) {
        events(first: $first, after: $after, where: { stream: $stream }) {
          nodes { position } pageInfo { hasNextPage endCursor }
        } }";
    let variables = json!({ "stream": format!("object-inbox/{KEY}") });
    let events = server.all(query, "events", variables).await.len();
    let stored = server.wire().send("GET", "inbox", KEY, &[], b"").await;
    let body = if stored.status == 200 {
        stored.body
    } else {
        Vec::new()
    };
    (events, stored.status, body)
}

#[tokio::test]
async fn a_body_that_breaks_off_changes_nothing() {
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    let wire = server.wire();
    let mut stream = wire.begin("PUT", "inbox", KEY, &[], 1_000).await;
    stream.write_all(b"only the beginning").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    if !answer.is_empty() {
        let reply = wire::parse(&answer);
        assert_eq!((reply.status, &*reply.code()), (400, "IncompleteBody"));
    }
    assert_eq!(state(&server).await, (0, 404, Vec::new()));
    server
        .client()
        .put("inbox", KEY, BODY.into())
        .await
        .unwrap();
    let object = server.settled("inbox", KEY).await;
    assert_eq!(object["status"], "SUCCEEDED", "{object:#}");
}

#[tokio::test]
async fn strangers_and_other_buckets_are_refused() {
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    let wrong_secret = Client::new(&server.s3, ACCESS_KEY, "not the secret");
    let unknown_key = Client::new(&server.s3, "AKNOBODY", SECRET_KEY);
    let cases = [
        (server.wire(), "elsewhere", 404, "NoSuchBucket"),
        (wrong_secret, "inbox", 403, "SignatureDoesNotMatch"),
        (unknown_key, "inbox", 403, "InvalidAccessKeyId"),
    ];
    for (client, bucket, status, code) in cases {
        for method in ["PUT", "GET", "DELETE"] {
            let body: &[u8] = if method == "PUT" { BODY } else { b"" };
            let reply = client.send(method, bucket, KEY, &[], body).await;
            let answer = (reply.status, reply.code());
            assert_eq!(answer, (status, code.to_owned()), "{method} {bucket}");
        }
    }
    assert!(server.events(&["ObjectCreated"]).await.is_empty());
    assert!(!ledger.path("elsewhere").exists());
}

const MIB: usize = 1 << 20;
/// How much the server may grow while it takes in and gives out a big object.
const GROWTH_MIB: u64 = 150;

/// In the suite 256 MiB, already far above what the server may grow; `DAYBOOK_TEST_BIG_MIB=1024`
/// makes it a whole GiB. The key is one that no pipeline wants: the built-in function would read
/// the object whole.
#[tokio::test]
async fn a_big_object_takes_no_memory() {
    let mib = std::env::var("DAYBOOK_TEST_BIG_MIB").map_or(256, |text| text.parse().unwrap());
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    let idle = memory_mib(&server, "VmRSS");
    let wire = server.wire();
    let mut part = vec![0_u8; MIB];
    let mut sent = Md5::new();

    let mut stream = wire.begin("PUT", "inbox", "big.bin", &[], mib * MIB).await;
    for number in 0..mib {
        part[..8].copy_from_slice(&number.to_be_bytes());
        sent.update(&part);
        stream.write_all(&part).await.unwrap();
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let reply = wire::parse(&answer);
    assert_eq!(reply.status, 200, "{}", reply.code());
    let etag = hex::encode(sent.finalize());
    assert_eq!(reply.header("etag"), Some(format!("\"{etag}\"").as_str()));

    let mut stream = wire.begin("GET", "inbox", "big.bin", &[], 0).await;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert_eq!(wire::parse(&head).status, 200);
    let mut received = Md5::new();
    for _ in 0..mib {
        stream.read_exact(&mut part).await.unwrap();
        received.update(&part);
    }
    assert_eq!(hex::encode(received.finalize()), etag);

    let most = memory_mib(&server, "VmHWM");
    println!("{mib} MiB in and out: {idle} MiB idle, {most} MiB at most");
    assert!(most < idle + GROWTH_MIB, "{idle} MiB idle, {most} at most");
    let object = server.settled("inbox", "big.bin").await;
    assert_eq!(object["status"], "UNMATCHED", "{object:#}");
    assert_eq!(object["size"], mib * MIB);
}

/// A line of `/proc/PID/status`, in MiB.
fn memory_mib(server: &Server, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.expect("the kernel tells").parse::<u64>().unwrap() / 1_024
}
