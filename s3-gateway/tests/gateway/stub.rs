//! A store that misbehaves as it is told to: plain HTTP, one answer a connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What it does with a request.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// Takes the body and answers with this status, an empty body and an ETag.
    Answer(u16),
    /// Takes the body and answers with this S3 error.
    Refuse(u16, &'static str),
    /// Closes the connection after the head of the request.
    Reset,
    /// Promises an object of so many bytes and ends after so many.
    Truncate(usize, usize),
    /// Gives an object of so many bytes as fast as they are taken.
    Give(usize),
    /// Promises an object, gives its first byte, and keeps silent.
    FallSilent,
    /// Reads nothing of the body.
    TakeNothing,
}

pub struct Stub {
    pub address: SocketAddr,
    /// The requests so far.
    pub asked: Arc<AtomicUsize>,
    /// The bytes of bodies that it could send so far.
    pub given: Arc<AtomicU64>,
    serving: JoinHandle<()>,
}

impl Stub {
    /// Tells for each request, by its number and its method, what to do.
    pub async fn new(act: impl Fn(usize, &str) -> Act + Send + Sync + 'static) -> Stub {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let given = Arc::new(AtomicU64::new(0));
        let (count, sent) = (Arc::clone(&asked), Arc::clone(&given));
        let act = Arc::new(act);
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (count, sent, act) = (Arc::clone(&count), Arc::clone(&sent), Arc::clone(&act));
                tokio::spawn(async move {
                    // The other side may be gone, which is its business.
                    let _ = serve(stream, &count, &sent, &*act).await;
                });
            }
        });
        Stub {
            address,
            asked,
            given,
            serving,
        }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    count: &AtomicUsize,
    sent: &AtomicU64,
    act: &(impl Fn(usize, &str) -> Act + Sync),
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |length| length.trim().parse::<u64>().unwrap());
    let method = head.split(' ').next().unwrap().to_ascii_uppercase();
    let number = count.fetch_add(1, Ordering::SeqCst);
    let act = act(number, &method);
    let has_etag = "etag: \"abc\"\r\nconnection: close\r\n";
    match act {
        Act::Answer(status) => {
            take(&mut stream, length).await?;
            let answer = format!("HTTP/1.1 {status} X\r\n{has_etag}content-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await?;
        }
        Act::Refuse(status, code) => {
            take(&mut stream, length).await?;
            let body = format!("<Error><Code>{code}</Code><Message>told to</Message></Error>");
            let answer = format!(
                "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await?;
        }
        Act::Reset => stream.set_zero_linger()?,
        Act::Truncate(promised, given) => {
            let head = format!("HTTP/1.1 200 OK\r\n{has_etag}content-length: {promised}\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&vec![b'x'; given]).await?;
        }
        Act::Give(size) => {
            let head = format!("HTTP/1.1 200 OK\r\n{has_etag}content-length: {size}\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            let chunk = vec![b'x'; 64 << 10];
            let mut left = size;
            while left > 0 {
                let next = stream.write(&chunk[..left.min(chunk.len())]).await?;
                sent.fetch_add(next as u64, Ordering::SeqCst);
                left -= next;
            }
        }
        Act::FallSilent => {
            let head = format!("HTTP/1.1 200 OK\r\n{has_etag}content-length: 100\r\n\r\nx");
            stream.write_all(head.as_bytes()).await?;
            // Until the other side gives up.
            stream.read_u8().await?;
        }
        Act::TakeNothing => std::future::pending().await,
    }
    stream.shutdown().await
}

async fn take(stream: &mut TcpStream, length: u64) -> std::io::Result<()> {
    let mut body = stream.take(length);
    tokio::io::copy(&mut body, &mut tokio::io::sink()).await?;
    Ok(())
}
