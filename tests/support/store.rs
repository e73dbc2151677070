//! Another store of S3 objects: moto, the stand-in for AWS that Python's world has. `./test`
//! installs it.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::PATIENCE;
use super::clients::installed;

/// Whose requests these are. The store checks no signature, but gives nothing to nobody.
const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=AK/20260101/us-east-1/s3/aws4_request, \
                      SignedHeaders=host, Signature=0";

/// A running store. Dropping it kills it.
pub(crate) struct Store {
    /// `http://ADDRESS:PORT`.
    pub(crate) endpoint: String,
    _child: Child,
}

impl Store {
    /// Starts one on a free port, with these buckets; the first of them keeps versions.
    pub(crate) async fn start(buckets: &[&str]) -> Self {
        let python = installed("DAYBOOK_TEST_PYTHON");
        let mut child = Command::new(python.with_file_name("moto_server"))
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("moto starts");
        let stderr = child.stderr.take().expect("it is piped");
        let (found, endpoint) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            let mut found = Some(found);
            // To its end, so that it never waits for a reader.
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some((_, url)) = line.split_once("Running on ")
                    && let Some(found) = found.take()
                {
                    let _ = found.send(url.trim().to_owned());
                }
            }
        });
        let endpoint = tokio::time::timeout(PATIENCE, endpoint).await;
        let store = Self {
            endpoint: endpoint
                .expect("it is ready in time")
                .expect("it says where"),
            _child: child,
        };
        for bucket in buckets {
            store.put(bucket, "").await;
        }
        let versions = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                        <Status>Enabled</Status></VersioningConfiguration>";
        let first = buckets.first().expect("a store has a bucket");
        store.put(&format!("{first}?versioning"), versions).await;
        store
    }

    /// An object as the store itself gives it: its head and its body.
    pub(crate) async fn get(&self, path: &str) -> (reqwest::header::HeaderMap, String) {
        let request = reqwest::Client::new().get(format!("{}/{path}", self.endpoint));
        let answer = request.header("authorization", SIGNED).send().await;
        let answer = answer.expect("the store answers");
        let headers = answer.headers().clone();
        (headers, answer.text().await.expect("a whole answer"))
    }

    /// Puts an object, as somebody else does.
    pub(crate) async fn put(&self, path: &str, body: &str) {
        let url = format!("{}/{path}", self.endpoint);
        let request = reqwest::Client::new().put(url).body(body.to_owned());
        let answer = request.header("authorization", SIGNED).send().await;
        let answer = answer.expect("the store answers");
        assert!(answer.status().is_success(), "{answer:?}");
    }
}
