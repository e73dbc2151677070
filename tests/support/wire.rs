//! An S3 client that hides nothing: one connection a request, headers as given, Signature Version
//! 4 over all of them, and the answer as it came.

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A client for one endpoint under one key.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    address: String,
    access_key: String,
    secret_key: String,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// The HTTP status.
    pub(crate) status: u16,
    /// Its headers, their names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// Its body.
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }

    /// S3's error code; empty where there is none.
    pub(crate) fn code(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let rest = text.split_once("<Code>").map_or("", |(_, rest)| rest);
        rest.split_once("</Code>")
            .map_or(String::new(), |(code, _)| code.to_owned())
    }
}

impl Client {
    /// A client for `http://ADDRESS:PORT`.
    pub(crate) fn new(endpoint: &str, access_key: &str, secret_key: &str) -> Self {
        Self {
            address: endpoint.trim_start_matches("http://").to_owned(),
            access_key: access_key.to_owned(),
            secret_key: secret_key.to_owned(),
        }
    }

    /// One request and its answer. An empty key names the bucket.
    pub(crate) async fn send(
        &self,
        method: &str,
        bucket: &str,
        key: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let mut stream = self.begin(method, bucket, key, headers, body.len()).await;
        // The server may answer and close before it has read everything.
        let _ = stream.write_all(body).await;
        let mut bytes = Vec::new();
        // A reset after the answer is as good as an end.
        let _ = stream.read_to_end(&mut bytes).await;
        parse(&bytes)
    }

    /// Sends the head of a request. The body, of just this length, is the caller's to send, and the
    /// answer the caller's to read.
    pub(crate) async fn begin(
        &self,
        method: &str,
        bucket: &str,
        key: &str,
        headers: &[(&str, &str)],
        length: usize,
    ) -> TcpStream {
        let head = self.head(method, bucket, key, headers, length);
        let mut stream = TcpStream::connect(&self.address)
            .await
            .expect("the gateway listens");
        stream.write_all(head.as_bytes()).await.expect("it reads");
        stream
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the edge: a signature carries the time"
    )]
    fn head(
        &self,
        method: &str,
        bucket: &str,
        key: &str,
        headers: &[(&str, &str)],
        length: usize,
    ) -> String {
        let path = match key {
            "" => format!("/{bucket}"),
            key => format!("/{bucket}/{}", encoded(key)),
        };
        let date = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let day = &date[..8];
        let mut all: Vec<(String, String)> = headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), (*value).to_owned()))
            .collect();
        all.push(("host".to_owned(), self.address.clone()));
        all.push(("x-amz-date".to_owned(), date.clone()));
        if !all.iter().any(|(name, _)| name == "x-amz-content-sha256") {
            let unsigned = "UNSIGNED-PAYLOAD".to_owned();
            all.push(("x-amz-content-sha256".to_owned(), unsigned));
        }
        all.sort();
        let payload = all
            .iter()
            .find(|(name, _)| name == "x-amz-content-sha256")
            .map_or("", |(_, value)| value);
        let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(";");
        let lines: String = all
            .iter()
            .map(|(name, value)| format!("{name}:{value}\n"))
            .collect();
        let canonical = format!("{method}\n{path}\n\n{lines}\n{names}\n{payload}");
        let scope = format!("{day}/us-east-1/s3/aws4_request");
        let digest = hex::encode(Sha256::digest(canonical));
        let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{digest}");
        let key = hmac(
            format!("AWS4{}", self.secret_key).as_bytes(),
            day.as_bytes(),
        );
        let key = hmac(&hmac(&hmac(&key, b"us-east-1"), b"s3"), b"aws4_request");
        let signature = hex::encode(hmac(&key, to_sign.as_bytes()));
        let lines: String = all
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        format!(
            "{method} {path} HTTP/1.1\r\n{lines}authorization: AWS4-HMAC-SHA256 \
             Credential={}/{scope}, SignedHeaders={names}, Signature={signature}\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n",
            self.access_key
        )
    }
}

/// A whole answer.
pub(crate) fn parse(bytes: &[u8]) -> Reply {
    let end = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("a whole head");
    let head = String::from_utf8(bytes[..end].to_vec()).expect("a head is text");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    Reply {
        status: status
            .expect("a status line")
            .parse()
            .expect("a status is a number"),
        headers: lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect(),
        body: bytes[end + 4..].to_vec(),
    }
}

fn encoded(key: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    key.bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

/// HMAC-SHA256 (RFC 2104).
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x36))
        .chain_update(text);
    let outer = Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x5c))
        .chain_update(inner.finalize());
    outer.finalize().to_vec()
}
