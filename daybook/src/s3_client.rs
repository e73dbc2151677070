//! A small S3 client over loopback, for the demo, the benchmark and the built-in function.
//!
//! Requests are made without any normalisation of the path, so that every legal key arrives as it
//! is; signing is `aws-sigv4`'s.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is in the path of a request (Signature Version 4, "UriEncode").
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

/// How long a connection is kept without a request.
const IDLE: Duration = Duration::from_secs(30);

/// A client for one endpoint under one key.
#[derive(Clone)]
pub(crate) struct S3Client {
    endpoint: String,
    region: String,
    credentials: Credentials,
    http: Client<HttpConnector, Full<Bytes>>,
}

impl S3Client {
    pub(crate) fn new(endpoint: &str, region: &str, access_key: &str, secret_key: &str) -> Self {
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

    /// The client that a function's environment describes.
    pub(crate) fn from_env() -> Result<Self> {
        let variable =
            |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
        Ok(Self::new(
            &variable("AWS_ENDPOINT_URL")?,
            &variable("AWS_REGION")?,
            &variable("AWS_ACCESS_KEY_ID")?,
            &variable("AWS_SECRET_ACCESS_KEY")?,
        ))
    }

    pub(crate) async fn get(&self, bucket: &str, key: &str) -> Result<Bytes> {
        self.send(Method::GET, bucket, key, Bytes::new()).await
    }

    pub(crate) async fn put(&self, bucket: &str, key: &str, body: Bytes) -> Result<()> {
        self.send(Method::PUT, bucket, key, body).await.map(|_| ())
    }

    async fn send(&self, method: Method, bucket: &str, key: &str, body: Bytes) -> Result<Bytes> {
        let what = format!("{method} {bucket}/{key}");
        let request = self.signed(method, bucket, key, body)?;
        let response = self
            .http
            .request(request)
            .await
            .with_context(|| format!("{what} failed"))?;
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .with_context(|| format!("the answer to {what} broke off"))?
            .to_bytes();
        if status != StatusCode::OK {
            bail!("{what} was answered {status}: {}", error_of(&body));
        }
        Ok(body)
    }

    #[expect(clippy::disallowed_methods, reason = "a signature carries the time")]
    fn signed(
        &self,
        method: Method,
        bucket: &str,
        key: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>> {
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

/// The code and message of an S3 error document, as far as they can be found.
fn error_of(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let part = |tag: &str| {
        let (_, rest) = text.split_once(&format!("<{tag}>"))?;
        rest.split_once(&format!("</{tag}>"))
            .map(|(inner, _)| inner.to_owned())
    };
    match (part("Code"), part("Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        _ => text.into_owned(),
    }
}
