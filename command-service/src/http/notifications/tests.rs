//! What may come as a body, and what not.

use std::io::Write;

use axum::http::{HeaderMap, HeaderValue, header};
use daybook_event_store::blobs::BlobStore;
use daybook_event_store::memory::MemoryEventLog;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use std::sync::Arc;
use tower::ServiceExt;

use super::*;
use crate::commands::Ledger;
use crate::intake::{AdmissionLimits, Answered, IntakeConfig, NoSns, RejectedConfig, SourceConfig};

struct Given {
    router: Router,
    intake: Intake,
    _dir: tempfile::TempDir,
}

fn given(limits: HttpLimits, admission: AdmissionLimits) -> Given {
    let config = IntakeConfig {
        limits: admission,
        ..IntakeConfig::default()
    };
    given_of(limits, config)
}

fn given_of(limits: HttpLimits, config: IntakeConfig) -> Given {
    let dir = tempfile::tempdir().unwrap();
    let blobs = BlobStore::open(dir.path().join("blobs").to_str().unwrap()).unwrap();
    let ledger = Ledger::new(MemoryEventLog::new(), blobs, false);
    let config = IntakeConfig {
        rejected: RejectedConfig {
            folder: Some(dir.path().join("rejected")),
            ..RejectedConfig::default()
        },
        ..config
    };
    let intake = Intake::new(ledger, Arc::new(NoSns), config).unwrap();
    let router = deliveries(intake.clone(), limits).merge(rejections(intake.clone()));
    Given {
        router,
        intake,
        _dir: dir,
    }
}

impl Given {
    async fn send(
        &self,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> (u16, serde_json::Value) {
        let mut request = Request::post("/v1/notifications?a=b%20c");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20)
            .await
            .unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }
}

fn message() -> String {
    serde_json::json!({ "Records": [{
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-west-1",
        "eventTime": "2026-03-04T10:11:12.345Z", "eventName": "ObjectCreated:Put",
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": { "name": "ord" },
            "object": { "key": "a", "size": 3, "eTag": "x", "sequencer": "01" },
        },
    }]})
    .to_string()
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(plain).unwrap();
    packed.finish().unwrap()
}

#[tokio::test]
async fn packed_bodies_are_unpacked() {
    let plain = message().into_bytes();
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(&plain).unwrap();
    let mut bare = DeflateEncoder::new(Vec::new(), Compression::fast());
    bare.write_all(&plain).unwrap();
    for (coding, packed) in [
        ("gzip", gzip(&plain)),
        ("X-GZip", gzip(&plain)),
        ("deflate", zlib.finish().unwrap()),
        ("deflate", bare.finish().unwrap()),
        ("identity", plain.clone()),
    ] {
        let given = given(HttpLimits::default(), AdmissionLimits::default());
        let (status, answer) = given.send(&[("content-encoding", coding)], packed).await;
        assert_eq!(
            (status, &answer["records"][0]["verdict"]),
            (200, &"accepted".into()),
            "{coding}"
        );
    }
}

#[tokio::test]
async fn a_bomb_goes_off_outside() {
    let given = given(HttpLimits::default(), AdmissionLimits::default());
    let bomb = gzip(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 1 << 20);
    let (status, answer) = given.send(&[("content-encoding", "gzip")], bomb).await;
    assert_eq!(
        (status, &answer["records"][0]["reason"]),
        (413, &"too-large".into())
    );
}

#[tokio::test]
async fn what_cannot_be_a_notification_is_refused_and_kept() {
    let limits = HttpLimits {
        max_body: 10_000,
        ..HttpLimits::default()
    };
    let given = given(limits, AdmissionLimits::default());
    let long = vec![b'x'; 10_001];
    let chunks = futures::stream::iter((0..20).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 1_000])));
    for (headers, body, status) in [
        (&[("content-encoding", "br")][..], Body::from("x"), 415),
        (
            &[("content-encoding", "gzip, gzip")][..],
            Body::from("x"),
            415,
        ),
        (
            &[("content-encoding", "gzip")][..],
            Body::from("no gzip"),
            400,
        ),
        (
            &[("content-type", "multipart/form-data; boundary=x")][..],
            Body::from("x"),
            415,
        ),
        // What `curl --data` calls everything: it is read, and is no JSON.
        (
            &[("content-type", "application/x-www-form-urlencoded")][..],
            Body::from("{"),
            400,
        ),
        (&[][..], Body::from(long), 413),
        (&[][..], Body::from_stream(chunks), 413),
        (&[][..], Body::from("{"), 400),
        (&[][..], Body::from(""), 400),
    ] {
        assert_eq!(given.send(headers, body).await.0, status, "{headers:?}");
    }
    assert_eq!(given.intake.rejected(100).len(), 9);
    let request = Request::get("/v1/notifications/rejected?limit=1").body(Body::empty());
    let response = given
        .router
        .clone()
        .oneshot(request.unwrap())
        .await
        .unwrap();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20)
        .await
        .unwrap();
    let listed: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let [newest] = listed["rejected"].as_array().unwrap().as_slice() else {
        panic!("{listed}")
    };
    let path = format!(
        "/v1/notifications/rejected/{}",
        newest["id"].as_str().unwrap()
    );
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = given.router.clone().oneshot(request).await.unwrap();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20)
        .await
        .unwrap();
    let shown: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(shown["query"], serde_json::json!([["a", "b c"]]));
}

#[tokio::test]
async fn without_room_it_is_turned_away_and_room_comes_back() {
    let admission = AdmissionLimits {
        bytes: 100 << 10,
        ..AdmissionLimits::default()
    };
    let given = given(HttpLimits::default(), admission);
    let large = vec![b' '; 200 << 10];
    assert_eq!(given.send(&[], large).await.0, 429);
    assert_eq!(given.send(&[], message()).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let given = given(HttpLimits::default(), AdmissionLimits::default());
    let never = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let (status, answer) = given.send(&[], Body::from_stream(never)).await;
    assert_eq!(
        (status, &answer["records"][0]["reason"]),
        (408, &"too-slow".into())
    );
}

#[tokio::test]
async fn a_source_that_nobody_configured_is_not_there() {
    let given = given(HttpLimits::default(), AdmissionLimits::default());
    for path in ["/v1/notifications/minio", "/v1/notifications/a%20b"] {
        let request = Request::post(path).body(Body::from(message())).unwrap();
        let response = given.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn a_source_for_queues_alone_is_not_there_either() {
    let source = |queues_only| SourceConfig {
        queues_only,
        ..SourceConfig::default()
    };
    let sources = [
        ("pulled".parse().unwrap(), source(true)),
        ("posted".parse().unwrap(), source(false)),
    ];
    let config = IntakeConfig {
        sources: sources.into(),
        ..IntakeConfig::default()
    };
    let given = given_of(HttpLimits::default(), config);
    let post = async |name: &str| {
        let request = Request::post(format!("/v1/notifications/{name}"));
        let request = request.body(Body::from(message())).unwrap();
        let response = given.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20);
        (
            status,
            String::from_utf8(body.await.unwrap().into()).unwrap(),
        )
    };
    let (status, told) = post("pulled").await;
    assert_eq!(status, 404, "{told}");
    // In the words in which one is refused that nobody configured.
    let (_, unknown) = post("nobody").await;
    assert_eq!(told, unknown.replace("nobody", "pulled"));
    assert_eq!(post("posted").await.0, 200);
    // Its queue's messages are taken. It is a duplicate of what came to the other one.
    let delivery = Delivery {
        transport: Transport::Sqs,
        body: message().into(),
        ..nothing()
    };
    let pulled = "pulled".parse().unwrap();
    let delivered = given.intake.deliver(Some(&pulled), delivery).await;
    assert_eq!(delivered.records[0].verdict, Some(Answered::Duplicate));
}

#[test]
fn codings_are_told_apart() {
    let check = |said: &[&str], expect: Option<Coding>| {
        let mut headers = HeaderMap::new();
        for value in said {
            headers.append(
                header::CONTENT_ENCODING,
                HeaderValue::from_str(value).unwrap(),
            );
        }
        assert_eq!(Coding::of(&headers).ok(), expect, "{said:?}");
    };
    check(&[], Some(Coding::Plain));
    check(&["gzip"], Some(Coding::Gzip));
    check(&["gzip", "gzip"], None);
    check(&["zstd"], None);
}
