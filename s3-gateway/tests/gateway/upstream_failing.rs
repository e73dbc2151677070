//! Other stores that fail: what the client is told, and what is recorded of it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use daybook_s3_gateway::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::client::{Reply, finish};
use super::stub::{Act, Stub};
use super::upstream::{Front, big, scope};
use super::world::World;

async fn front(stub: &Stub) -> Front {
    Front::new(stub.endpoint(), Limits::default()).await
}

/// Impatient with stores.
fn hasty() -> Limits {
    let mut limits = Limits::default();
    limits.upstream.read_timeout = Duration::from_secs(1);
    limits
}

#[track_caller]
fn names_the_store(reply: &Reply, endpoint: &str) {
    let message = reply.element("Message").unwrap();
    assert!(message.contains("bucket raw"), "{message}");
    assert!(message.contains(endpoint), "{message}");
}

#[tokio::test]
async fn what_can_be_sent_again_is() {
    let stub = Stub::new(|number, method| match (number, method) {
        (0, _) => Act::Refuse(500, "InternalError"),
        (1, _) => Act::Reset,
        _ => Act::Answer(200),
    })
    .await;
    let front = front(&stub).await;
    front.client.put("raw", "k", "small").await.expect(200);
    let [created] = &front.ledger.created()[..] else {
        panic!("one object");
    };
    assert_eq!(created.version.etag.as_deref(), Some("abc"));
    assert_eq!(created.version.size, Some(5));
    assert!(created.version.stamp.is_some());
}

#[tokio::test]
async fn a_body_that_cannot_be_sent_again_is_asked_for_again() {
    for act in [Act::Refuse(500, "InternalError"), Act::Reset] {
        let stub = Stub::new(move |_, _| act).await;
        let front = front(&stub).await;
        let reply = front.client.put("raw", "k", big()).await;
        reply.refused(503, "SlowDown");
        assert_eq!(stub.asked.load(Ordering::SeqCst), 1, "{act:?}");
        assert!(front.ledger.commands().is_empty());
    }
}

#[tokio::test]
async fn a_store_that_refuses_keeps_its_word() {
    let stub = Stub::new(|_, _| Act::Refuse(403, "AccessDenied")).await;
    let front = front(&stub).await;
    for body in [b"small".to_vec(), big()] {
        front
            .client
            .put("raw", "k", body)
            .await
            .refused(403, "AccessDenied");
    }
    front
        .client
        .get("raw", "k")
        .await
        .refused(403, "AccessDenied");
    assert!(front.ledger.commands().is_empty());
}

#[tokio::test]
async fn that_the_store_does_not_know_the_gateway_is_not_the_clients_fault() {
    for code in ["InvalidAccessKeyId", "SignatureDoesNotMatch"] {
        let stub = Stub::new(move |_, _| Act::Refuse(403, code)).await;
        let front = front(&stub).await;
        let reply = front.client.get("raw", "k").await;
        let reply = reply.refused(503, "ServiceUnavailable");
        names_the_store(&reply, &stub.endpoint());
        assert!(reply.text().contains(code));
    }
}

#[tokio::test]
async fn an_object_that_ends_early_does_not_look_whole() {
    let stub = Stub::new(|_, _| Act::Truncate(1000, 400)).await;
    let front = front(&stub).await;
    let mut begun = front.client.begin("GET", "raw", "k", &[], &[], 0).await;
    let mut answer = Vec::new();
    // Where the answer was under way the connection may be reset.
    let _ = begun.read_to_end(&mut answer).await;
    let text = String::from_utf8_lossy(&answer);
    let head = text.find("\r\n\r\n").map_or(0, |at| at + 4);
    assert!(text.contains("content-length: 1000"), "{text}");
    assert!(answer.len() - head < 1000);
    let copy = [("x-amz-copy-source", "raw/k")];
    front
        .client
        .put_with("local", "k", &copy, "")
        .await
        .refused(503, "SlowDown");
    front
        .client
        .get("local", "k")
        .await
        .refused(404, "NoSuchKey");
}

#[tokio::test]
async fn a_store_that_keeps_silent_is_given_up() {
    let stub = Stub::new(|_, method| match method {
        "GET" => Act::FallSilent,
        _ => Act::TakeNothing,
    })
    .await;
    let front = Front::new(stub.endpoint(), hasty()).await;
    let mut begun = front.client.begin("GET", "raw", "k", &[], &[], 0).await;
    let mut answer = Vec::new();
    let _ = begun.read_to_end(&mut answer).await;
    assert!(answer.ends_with(b"\r\n\r\nx"));
    // More than fits into what the system keeps for a connection.
    let body = vec![b'x'; 32 << 20];
    let reply = front.client.put("raw", "k", body).await;
    let reply = reply.refused(503, "SlowDown");
    names_the_store(&reply, &stub.endpoint());
    let reply = front.client.put("raw", "k", "small").await;
    reply.refused(503, "ServiceUnavailable");
    assert!(front.ledger.commands().is_empty());
}

#[tokio::test]
async fn a_client_that_reads_slowly_does_not_fill_the_memory() {
    const SIZE: usize = 64 << 20;
    /// What the system keeps for both connections, and a few chunks.
    const AHEAD: u64 = 40 << 20;
    let stub = Stub::new(|_, _| Act::Give(SIZE)).await;
    let front = front(&stub).await;
    let mut begun = front.client.begin("GET", "raw", "k", &[], &[], 0).await;
    let mut chunk = vec![0; 1 << 20];
    let mut read = 0;
    loop {
        let n = begun.read(&mut chunk).await.unwrap();
        if n == 0 {
            break;
        }
        read += n as u64;
        let given = stub.given.load(Ordering::SeqCst);
        assert!(given <= read + AHEAD, "{given} of {read}");
    }
    assert!(read > SIZE as u64);
}

#[tokio::test]
async fn a_store_that_is_down_is_named_and_used_again_when_it_is_back() {
    let back = World::new().await;
    let address = back.client.address;
    let front = Front::new(format!("http://{address}"), Limits::default()).await;
    front.client.put("raw", "k", "before").await.expect(200);
    let back = back.stop().await;
    let reply = front.client.put("raw", "k", "x").await;
    let reply = reply.refused(503, "ServiceUnavailable");
    names_the_store(&reply, &address.to_string());
    let reply = front.client.put("raw", "k", big()).await;
    reply.refused(503, "SlowDown");
    let reply = front.client.get("raw", "k").await;
    reply.refused(503, "ServiceUnavailable");
    let _back = back.start_at(address).await;
    let got = front.client.get("raw", "k").await.expect(200);
    assert_eq!(got.body, b"before");
    front.client.put("raw", "k", big()).await.expect(200);
    assert_eq!(front.ledger.created().len(), 2);
}

#[tokio::test]
async fn a_write_that_the_ledger_does_not_take_is_not_acknowledged() {
    let back = World::new().await;
    let endpoint = format!("http://{}", back.client.address);
    let front = Front::new(endpoint, Limits::default()).await;
    front.ledger.fail(true);
    let reply = front.client.put("raw", "k", "x").await;
    reply.refused(503, "ServiceUnavailable");
    front.ledger.fail(false);
    // The store has it: the client's next attempt is another version.
    back.client.get("inbox", "k").await.expect(200);
    front.client.put("raw", "k", "x").await.expect(200);
    assert_eq!(front.ledger.created().len(), 1);
}

#[tokio::test]
async fn what_the_store_had_before_the_fence_is_that_attempts_write() {
    // Answers the PUT only once the invocation is over.
    let (answer, told) = tokio::sync::watch::channel(false);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (got_all, mut had) = tokio::sync::watch::channel(false);
    let store = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"the end") {
            stream.read_buf(&mut seen).await.unwrap();
        }
        got_all.send_replace(true);
        let mut told = told;
        told.wait_for(|told| *told).await.unwrap();
        let answer = "HTTP/1.1 200 OK\r\netag: \"abc\"\r\nx-amz-version-id: v1\r\n\
                      connection: close\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    let front = Front::new(format!("http://{address}"), Limits::default()).await;
    let grants = front.serving.gateway.grants();
    let function = front.function();
    grants.begin(&function.access_key, scope(None));
    let mut body = big();
    body.extend_from_slice(b"the end");
    let mut begun = function
        .begin("PUT", "cooked", "k", &[], &[], body.len())
        .await;
    begun.write_all(&body).await.unwrap();
    had.wait_for(|had| *had).await.unwrap();
    grants.end(&function.access_key);
    answer.send_replace(true);
    finish(begun).await.expect(200);
    store.await.unwrap();
    let [created] = &front.ledger.created()[..] else {
        panic!("one object");
    };
    assert_eq!(created.version.version_id.as_deref(), Some("v1"));
    assert_eq!(created.produced_by.as_ref().unwrap().attempt, 2);
}
