//! Connections that serve several requests.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::World;

/// Reads one answer's head and the body that it announces.
async fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|l| l.strip_prefix("content-length: "));
            if body.len() >= length.unwrap().parse().unwrap() {
                return text;
            }
        }
        let read = stream.read_buf(&mut bytes).await.unwrap();
        assert!(read > 0, "closed within an answer: {text}");
    }
}

#[tokio::test]
async fn an_answer_says_so_where_the_connection_ends_behind_it() {
    let world = World::new().await;
    let mut stream = TcpStream::connect(world.client.address).await.unwrap();
    let read = b"GET /inbox/k HTTP/1.1\r\nhost: x\r\n\r\n";
    let whole = b"PUT /inbox/k HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
    for request in [&read[..], whole, read] {
        stream.write_all(request).await.unwrap();
        let told = answer(&mut stream).await;
        assert!(told.starts_with("http/1.1 403 "), "{told}");
        assert!(!told.contains("\r\nconnection: close\r\n"), "{told}");
    }
    // The rest of this one is on its way when it is refused.
    let head =
        b"PUT /inbox/k HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let told = answer(&mut stream).await;
    assert!(told.starts_with("http/1.1 403 "), "{told}");
    assert!(told.contains("\r\nconnection: close\r\n"), "{told}");
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0);
}
