//! What has to be asked of Amazon SNS itself: the certificates that its messages are signed with, and
//! that a subscription is confirmed. Which URLs may be fetched the intake's dialects decide.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::{Method, Request, StatusCode, Uri};
use bytes::Bytes;
use daybook_functions::outbound::{CallError, HttpClient};
use daybook_intake::{CertificateError, Certificates};
use lru::LruCache;

/// How many certificates are kept: there is one a region, and a new one each year.
const CERTIFICATES_KEPT: NonZeroUsize = NonZeroUsize::new(64).expect("it is not zero");

/// How many confirmed subscriptions are remembered, so that each is confirmed once.
const CONFIRMED_KEPT: NonZeroUsize = NonZeroUsize::new(4_096).expect("it is not zero");

/// The largest certificate that is taken.
const MAX_CERTIFICATE_BYTES: usize = 64 << 10;

/// How long SNS may take to answer; one who delivers waits for it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What has to be asked of Amazon SNS itself.
#[async_trait]
pub trait Sns: Certificates + Send + Sync + 'static {
    /// Fetches the URL that confirms a subscription. An error means: try again.
    async fn confirm(&self, url: &str) -> Result<(), String>;
}

/// Amazon SNS over the network.
pub struct SnsOverHttps {
    connect_timeout: Duration,
    /// Made when it is needed: most have no SNS, and some no certificate authorities.
    client: Mutex<Option<Arc<HttpClient>>>,
    certificates: Mutex<LruCache<String, Bytes>>,
}

impl SnsOverHttps {
    /// Asks for nothing yet.
    pub fn new(connect_timeout: Duration) -> Self {
        Self {
            connect_timeout,
            client: Mutex::default(),
            certificates: Mutex::new(LruCache::new(CERTIFICATES_KEPT)),
        }
    }

    fn client(&self) -> Result<Arc<HttpClient>, String> {
        let mut made = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*made {
            return Ok(client.clone());
        }
        let client = HttpClient::new(self.connect_timeout, false, true).map_err(|error| {
            format!(
                "the system's certificate authorities are not to be had ({error}); install \
                 ca-certificates, or name a file with them in SSL_CERT_FILE"
            )
        })?;
        Ok(made.insert(Arc::new(client)).clone())
    }

    async fn get(&self, url: &str) -> Result<(StatusCode, Bytes), String> {
        let uri: Uri = url.parse().map_err(|_| "it is no URL".to_owned())?;
        if uri.scheme_str() != Some("https") {
            return Err("it is not https".to_owned());
        }
        let client = self.client()?;
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = uri;
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, client.call(request)).await;
        match answer {
            Ok(Ok(answer)) => Ok((answer.status, answer.body)),
            Ok(Err(CallError::Refused(why) | CallError::Broken(why))) => Err(why),
            Ok(Err(CallError::TooLarge)) => Err("the answer is too large".to_owned()),
            Err(_) => Err(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs())),
        }
    }

    fn kept(&self, url: &str) -> Option<Bytes> {
        let mut kept = self
            .certificates
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        kept.get(url).cloned()
    }
}

#[async_trait]
impl Certificates for SnsOverHttps {
    async fn certificate(&self, url: &str) -> Result<Bytes, CertificateError> {
        if let Some(kept) = self.kept(url) {
            return Ok(kept);
        }
        let unavailable = |why: String| {
            CertificateError::Unavailable(format!("the certificate of SNS cannot be had: {why}"))
        };
        let (status, body) = self.get(url).await.map_err(unavailable)?;
        // Others may pass by themselves: too many requests, a proxy in between.
        if matches!(status.as_u16(), 404 | 410) {
            return Err(CertificateError::Refused(format!(
                "SNS has no such certificate ({status})"
            )));
        }
        if !status.is_success() {
            return Err(unavailable(format!("SNS answered {status}")));
        }
        if body.len() > MAX_CERTIFICATE_BYTES {
            return Err(CertificateError::Refused("it is no certificate".to_owned()));
        }
        let mut kept = self
            .certificates
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        kept.put(url.to_owned(), body.clone());
        Ok(body)
    }
}

#[async_trait]
impl Sns for SnsOverHttps {
    async fn confirm(&self, url: &str) -> Result<(), String> {
        match self.get(url).await? {
            (status, _) if status.is_success() => Ok(()),
            (status, _) => Err(format!("SNS answered {status}")),
        }
    }
}

/// Nobody to ask: certificates cannot be had, and nothing is confirmed. For those who look at
/// deliveries without a network.
pub struct NoSns;

#[async_trait]
impl Certificates for NoSns {
    async fn certificate(&self, _: &str) -> Result<Bytes, CertificateError> {
        let why = "nothing is fetched here".to_owned();
        Err(CertificateError::Unavailable(why))
    }
}

#[async_trait]
impl Sns for NoSns {
    async fn confirm(&self, _: &str) -> Result<(), String> {
        Err("nothing is fetched here".to_owned())
    }
}

/// Confirms each subscription once.
pub(super) struct Confirmed(tokio::sync::Mutex<LruCache<String, ()>>);

impl Default for Confirmed {
    fn default() -> Self {
        Self(tokio::sync::Mutex::new(LruCache::new(CONFIRMED_KEPT)))
    }
}

impl Confirmed {
    /// Confirms unless that was done with this token. Several at once wait for each other.
    pub(super) async fn confirm(
        &self,
        sns: &dyn Sns,
        url: &str,
        token: &str,
    ) -> Result<(), String> {
        let mut done = self.0.lock().await;
        if done.get(token).is_none() {
            sns.confirm(url).await?;
            done.put(token.to_owned(), ());
        }
        Ok(())
    }
}
