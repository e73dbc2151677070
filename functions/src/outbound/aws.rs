//! Requests to an AWS service: signed by `aws-sigv4`, with credentials from where AWS's own tools
//! find them (`aws-config`). The few requests that a service is sent are made by hand; see ADR 15
//! for why there is no generated client.

use std::time::{Duration, Instant};
use std::{fmt, io};

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use bytes::Bytes;
use hyper::Request;
use tokio::sync::{Mutex, OnceCell};

use super::client::{Answer, CallError, HttpClient, chain};
use super::exception::AwsException;
use crate::clock;

/// How long credentials are used before they are asked for again, and how long before their own
/// end they count as over.
const CREDENTIALS_FOR: Duration = Duration::from_secs(15 * 60);
const EXPIRES_EARLY: Duration = Duration::from_secs(60);

/// As whom a service is called, and where.
#[derive(Clone, Default)]
pub struct AwsAccess {
    /// The region.
    pub region: String,
    /// The profile of the AWS files.
    pub profile: Option<String>,
    /// Access key and secret key; without them they are looked for where AWS's own tools look.
    pub key: Option<(String, String)>,
}

impl fmt::Debug for AwsAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsAccess")
            .field("region", &self.region)
            .field("profile", &self.profile)
            .field("access_key", &self.key.as_ref().map(|(access, _)| access))
            .finish_non_exhaustive()
    }
}

/// A way to one service.
pub struct Aws {
    service: &'static str,
    access: AwsAccess,
    client: HttpClient,
    provider: OnceCell<Option<SharedCredentialsProvider>>,
    cached: Mutex<Option<(Credentials, Instant)>>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum AwsError {
    /// There are no credentials to sign with; why.
    Credentials(String),
    /// The request could not be made, or was not answered; why.
    Unanswered(String),
    /// The answer is too large.
    TooLarge,
}

impl Aws {
    /// Asks for nothing yet. `service` is its name in signatures. Fails where the endpoint is `https`
    /// and the system has no certificate authorities.
    pub fn new(
        service: &'static str,
        access: AwsAccess,
        endpoint: &str,
        connect_timeout: Duration,
    ) -> io::Result<Self> {
        // The endpoint is AWS's own, or the operator's choice: no address is refused.
        let client = HttpClient::new(connect_timeout, true, endpoint.starts_with("https://"))?;
        Ok(Self {
            service,
            access,
            client,
            provider: OnceCell::new(),
            cached: Mutex::default(),
        })
    }

    /// Signs a request and sends it once: whether to try again is for the caller to say.
    pub async fn call(&self, mut request: Request<Bytes>) -> Result<Answer, AwsError> {
        let credentials = self.credentials().await.map_err(AwsError::Credentials)?;
        self.sign(&mut request, credentials)
            .map_err(|error| AwsError::Unanswered(chain(&*error)))?;
        let answer = self
            .client
            .call(request)
            .await
            .map_err(|error| match error {
                CallError::Refused(why) | CallError::Broken(why) => AwsError::Unanswered(why),
                CallError::TooLarge => AwsError::TooLarge,
            })?;
        let refused = AwsException::of(&answer);
        if refused.is_some_and(|refused| refused.is_about_credentials()) {
            // The next request asks for new ones.
            *self.cached.lock().await = None;
        }
        Ok(answer)
    }

    fn sign(
        &self,
        request: &mut Request<Bytes>,
        credentials: Credentials,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let identity = credentials.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.access.region)
            .name(self.service)
            .time(clock::now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let uri = request.uri().to_string();
        let headers = request
            .headers()
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let body = SignableBody::Bytes(request.body());
        let signable = SignableRequest::new(request.method().as_str(), &uri, headers, body)?;
        let (instructions, _) = sign(signable, &params)?.into_parts();
        instructions.apply_to_request_http1x(request);
        Ok(())
    }

    async fn credentials(&self) -> Result<Credentials, String> {
        let mut cached = self.cached.lock().await;
        if let Some((credentials, until)) = &*cached
            && Instant::now() < *until
        {
            return Ok(credentials.clone());
        }
        let provider = self.provider.get_or_init(|| provider(&self.access)).await;
        let provider = provider.as_ref().ok_or("there are no AWS credentials")?;
        let fresh = provider.provide_credentials().await;
        let fresh = fresh.map_err(|error| {
            format!(
                "there are no AWS credentials ({}); give access_key and secret_key, a profile, or \
                 what AWS's own tools look for",
                chain(&error)
            )
        })?;
        let lasts = match fresh.expiry() {
            Some(expiry) => expiry
                .duration_since(clock::now())
                .unwrap_or_default()
                .saturating_sub(EXPIRES_EARLY)
                .min(CREDENTIALS_FOR),
            None => CREDENTIALS_FOR,
        };
        *cached = Some((fresh.clone(), Instant::now() + lasts));
        Ok(fresh)
    }
}

/// Where credentials come from: the config, or where AWS's own tools look.
async fn provider(access: &AwsAccess) -> Option<SharedCredentialsProvider> {
    if let Some((access_key, secret_key)) = &access.key {
        let key = Credentials::from_keys(access_key, secret_key, None);
        return Some(SharedCredentialsProvider::new(key));
    }
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .region(Region::new(access.region.clone()));
    if let Some(profile) = &access.profile {
        loader = loader.profile_name(profile);
    }
    loader.load().await.credentials_provider()
}
