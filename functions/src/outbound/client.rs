//! The HTTP client: one request, one answer of bounded size.
//!
//! It follows no redirect, and takes no proxy from the environment: where a request goes is what
//! the config says, or nowhere.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

use super::address::{AddressRefused, Resolver};
use crate::runtime_api::RESPONSE_LIMIT_BYTES;

/// Connections that nobody uses are closed after this time, before servers do so (those of Node.js
/// after 5 s): a
/// request on one that is being closed would be lost.
const POOL_IDLE: Duration = Duration::from_secs(4);

/// A client with connections of its own.
pub struct HttpClient(Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>);

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum CallError {
    /// The address may not be called.
    Refused(String),
    /// There was no connection, or it broke. In the latter case the request may have had its effect.
    Broken(String),
    /// The answer is larger than [`RESPONSE_LIMIT_BYTES`].
    TooLarge,
}

impl HttpClient {
    /// A client. Fails where `https` is meant and the system has no certificate authorities.
    /// Addresses that are not of the public internet are refused unless `private_addresses`.
    pub fn new(
        connect_timeout: Duration,
        private_addresses: bool,
        https: bool,
    ) -> io::Result<Self> {
        let mut connector = HttpConnector::new_with_resolver(Resolver { private_addresses });
        connector.set_nodelay(true);
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(connect_timeout));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(https)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self(client))
    }

    /// Sends a request once. Dropping the future closes its connection.
    pub async fn call(&self, request: Request<Bytes>) -> Result<Answer, CallError> {
        let response = self.0.request(request.map(Full::new)).await;
        let (head, body) = response.map_err(|error| unanswered(&error))?.into_parts();
        let body = Limited::new(body, RESPONSE_LIMIT_BYTES).collect().await;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => CallError::TooLarge,
            false => CallError::Broken(chain(&*error)),
        })?;
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        })
    }
}

/// TLS by rustls with ring, as everywhere in this program, trusting what the system trusts.
fn tls(https: bool) -> io::Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    Ok(match https {
        true => builder.with_native_roots()?.with_no_client_auth(),
        false => builder
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth(),
    })
}

fn unanswered(error: &(dyn StdError + 'static)) -> CallError {
    let mut cause = Some(error);
    while let Some(this) = cause {
        let inner = this
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        if let Some(refused) = inner.and_then(|inner| inner.downcast_ref::<AddressRefused>()) {
            return CallError::Refused(refused.to_string());
        }
        cause = this.source();
    }
    CallError::Broken(chain(error))
}

/// An error with its reasons, each said once.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(this) = cause {
        let text = this.to_string();
        if !told.ends_with(&text) {
            told = format!("{told}: {text}");
        }
        cause = this.source();
    }
    told
}
