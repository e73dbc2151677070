//! A small S3 client, for the demo, the benchmark, the built-in function and the tests.
//!
//! Requests are made without any normalisation of the path, so that every legal key arrives as it
//! is; signing is `aws-sigv4`'s. It speaks plain HTTP: it is meant for loopback.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use thiserror::Error;

/// What stays as it is in the path of a request (Signature Version 4, "UriEncode").
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

/// How long a connection is kept without a request.
const IDLE: Duration = Duration::from_secs(30);

/// A client for one endpoint under one key. Cheap to clone.
#[derive(Clone)]
pub struct S3Client {
    endpoint: String,
    region: String,
    credentials: Credentials,
    http: Client<HttpConnector, Full<Bytes>>,
}

/// Why a request did not do what was asked.
#[derive(Debug, Error)]
pub enum S3ClientError {
    /// The server answered with an error; `code` is S3's.
    #[error("{what} was answered {status}: {code}: {message}")]
    Refused {
        /// The request.
        what: String,
        /// The HTTP status.
        status: u16,
        /// S3's error code; empty where the answer had none.
        code: String,
        /// S3's message.
        message: String,
    },
    /// No whole answer came. Whether the request was carried out is not known.
    #[error("{what} failed")]
    Transport {
        /// The request.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl S3Client {
    /// A client for `http://ADDRESS:PORT`.
    pub fn new(endpoint: &str, region: &str, access_key: &str, secret_key: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            region: region.to_owned(),
            credentials: Credentials::new(access_key, secret_key, None, None, "daybook"),
            http: Client::builder(TokioExecutor::new())
                .pool_idle_timeout(IDLE)
                .build(connector),
        }
    }

    /// The whole object.
    pub async fn get(&self, bucket: &str, key: &str) -> Result<Bytes, S3ClientError> {
        self.send(Method::GET, bucket, key, Bytes::new()).await
    }

    /// Writes an object. When it returns `Ok`, the object is durable and recorded.
    pub async fn put(&self, bucket: &str, key: &str, body: Bytes) -> Result<(), S3ClientError> {
        self.send(Method::PUT, bucket, key, body).await.map(|_| ())
    }

    /// Removes an object.
    pub async fn delete(&self, bucket: &str, key: &str) -> Result<(), S3ClientError> {
        self.send(Method::DELETE, bucket, key, Bytes::new())
            .await
            .map(|_| ())
    }

    async fn send(
        &self,
        method: Method,
        bucket: &str,
        key: &str,
        body: Bytes,
    ) -> Result<Bytes, S3ClientError> {
        let what = format!("{method} {bucket}/{key}");
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| S3ClientError::Transport {
            what: what.clone(),
            source,
        };
        let request = self.signed(method, bucket, key, body).map_err(failed)?;
        let response = self
            .http
            .request(request)
            .await
            .map_err(|error| failed(error.into()))?;
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(|error| failed(error.into()))?;
        let body = body.to_bytes();
        if matches!(status, StatusCode::OK | StatusCode::NO_CONTENT) {
            return Ok(body);
        }
        let (code, message) = error_of(&body);
        Err(S3ClientError::Refused {
            what,
            status: status.as_u16(),
            code,
            message,
        })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the edge: a signature carries the time"
    )]
    fn signed(
        &self,
        method: Method,
        bucket: &str,
        key: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
        let uri = format!(
            "{}/{bucket}/{}",
            self.endpoint,
            utf8_percent_encode(key, PATH)
        );
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let identity = self.credentials.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(SystemTime::now())
            .settings(settings)
            .build()?
            .into();
        let signable = SignableRequest::new(
            method.as_str(),
            &uri,
            std::iter::empty(),
            SignableBody::Bytes(&body),
        )?;
        let (instructions, _) = sign(signable, &parameters)?.into_parts();
        let mut request = Request::builder()
            .method(method)
            .uri(&uri)
            .body(Full::new(body.clone()))?;
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }
}

impl fmt::Debug for S3Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Client")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// The code and message of an S3 error document, as far as they can be found.
fn error_of(body: &[u8]) -> (String, String) {
    let text = String::from_utf8_lossy(body);
    let part = |tag: &str| {
        let (_, rest) = text.split_once(&format!("<{tag}>"))?;
        rest.split_once(&format!("</{tag}>"))
            .map(|(inner, _)| inner.to_owned())
    };
    let message = part("Message").unwrap_or_else(|| text.clone().into_owned());
    (part("Code").unwrap_or_default(), message)
}
