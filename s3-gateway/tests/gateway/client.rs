//! A small S3 client: one connection a request, Signature Version 4, nothing hidden.

use std::net::SocketAddr;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[derive(Clone, Debug)]
pub struct Client {
    pub address: SocketAddr,
    pub access_key: String,
    pub secret_key: String,
}

#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The first element of this name in an XML body.
    pub fn element(&self, name: &str) -> Option<String> {
        self.elements(name).into_iter().next()
    }

    pub fn elements(&self, name: &str) -> Vec<String> {
        let text = self.text();
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let parts = text.split(&open).skip(1);
        let inner = |part: &str| part.split(&close).next().unwrap().replace("&quot;", "\"");
        parts
            .map(|part| inner(part).replace("&amp;", "&"))
            .collect()
    }

    pub fn code(&self) -> String {
        self.element("Code").unwrap_or_default()
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Reply {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Reply {
        assert_eq!(
            (self.status, self.code().as_str()),
            (status, code),
            "{}",
            self.text()
        );
        self
    }
}

impl Client {
    pub async fn put(&self, bucket: &str, key: &str, body: impl AsRef<[u8]>) -> Reply {
        self.send("PUT", bucket, key, &[], &[], body.as_ref()).await
    }

    pub async fn put_with(
        &self,
        bucket: &str,
        key: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Reply {
        self.send("PUT", bucket, key, &[], headers, body.as_ref())
            .await
    }

    pub async fn get(&self, bucket: &str, key: &str) -> Reply {
        self.send("GET", bucket, key, &[], &[], b"").await
    }

    pub async fn get_with(&self, bucket: &str, key: &str, headers: &[(&str, &str)]) -> Reply {
        self.send("GET", bucket, key, &[], headers, b"").await
    }

    pub async fn get_version(&self, bucket: &str, key: &str, version: &str) -> Reply {
        self.send("GET", bucket, key, &[("versionId", version)], &[], b"")
            .await
    }

    pub async fn delete(&self, bucket: &str, key: &str) -> Reply {
        self.send("DELETE", bucket, key, &[], &[], b"").await
    }

    pub async fn list(&self, bucket: &str, query: &[(&str, &str)]) -> Reply {
        self.send("GET", bucket, "", query, &[], b"").await
    }

    pub async fn send(
        &self,
        method: &str,
        bucket: &str,
        key: &str,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let mut begun = self
            .begin(method, bucket, key, query, headers, body.len())
            .await;
        // The server may answer and close before it has read everything.
        let _ = begun.write_all(body).await;
        finish(begun).await
    }

    /// Sends the head of a request whose body follows later.
    pub async fn begin(
        &self,
        method: &str,
        bucket: &str,
        key: &str,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        length: usize,
    ) -> TcpStream {
        let head = self.head(method, bucket, key, query, headers, length);
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }

    fn head(
        &self,
        method: &str,
        bucket: &str,
        key: &str,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        length: usize,
    ) -> String {
        let path = match (bucket, key) {
            ("", _) => "/".to_owned(),
            (bucket, "") => format!("/{bucket}"),
            (bucket, key) => format!("/{bucket}/{}", encode(key, true)),
        };
        let mut query: Vec<String> = query
            .iter()
            .map(|(n, v)| format!("{}={}", encode(n, false), encode(v, false)))
            .collect();
        query.sort();
        let query = query.join("&");
        let date = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let day = &date[..8];
        let mut all: Vec<(String, String)> = headers
            .iter()
            .map(|(n, v)| (n.to_ascii_lowercase(), (*v).to_owned()))
            .collect();
        all.push(("host".to_owned(), self.address.to_string()));
        all.push(("x-amz-date".to_owned(), date.clone()));
        if !all.iter().any(|(n, _)| n == "x-amz-content-sha256") {
            all.push((
                "x-amz-content-sha256".to_owned(),
                "UNSIGNED-PAYLOAD".to_owned(),
            ));
        }
        all.sort();
        let payload = &all
            .iter()
            .find(|(n, _)| n == "x-amz-content-sha256")
            .unwrap()
            .1;
        let names: Vec<&str> = all.iter().map(|(n, _)| n.as_str()).collect();
        let names = names.join(";");
        let lines: String = all.iter().map(|(n, v)| format!("{n}:{v}\n")).collect();
        let canonical = format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{payload}");
        let scope = format!("{day}/us-east-1/s3/aws4_request");
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
            hex::encode(Sha256::digest(canonical))
        );
        let key = hmac(
            format!("AWS4{}", self.secret_key).as_bytes(),
            day.as_bytes(),
        );
        let key = hmac(&hmac(&hmac(&key, b"us-east-1"), b"s3"), b"aws4_request");
        let signature = hex::encode(hmac(&key, to_sign.as_bytes()));
        let target = if query.is_empty() {
            path
        } else {
            format!("{path}?{query}")
        };
        let lines: String = all.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
        format!(
            "{method} {target} HTTP/1.1\r\n{lines}authorization: AWS4-HMAC-SHA256 Credential={}/{scope}, \
             SignedHeaders={names}, Signature={signature}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n",
            self.access_key
        )
    }
}

/// Reads the answer to the end.
pub async fn finish(mut stream: TcpStream) -> Reply {
    let mut bytes = Vec::new();
    // A reset after the answer is as good as an end.
    let _ = stream.read_to_end(&mut bytes).await;
    let end = bytes
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .expect("a whole head");
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned()))
        .collect();
    let chunked = headers
        .iter()
        .any(|(n, v)| n == "transfer-encoding" && v == "chunked");
    assert!(!chunked, "every answer tells its length");
    Reply {
        status,
        headers,
        body: bytes[end + 4..].to_vec(),
    }
}

fn encode(text: &str, keep_slash: bool) -> String {
    let plain =
        |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b) || (keep_slash && b == b'/');
    text.bytes()
        .map(|b| {
            if plain(b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new()
        .chain_update(block.map(|b| b ^ 0x36))
        .chain_update(text);
    let outer = Sha256::new()
        .chain_update(block.map(|b| b ^ 0x5c))
        .chain_update(inner.finalize());
    outer.finalize().to_vec()
}
