//! The client of a store: its address, its key, and how patient one is with it.

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Builder, Config, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

use crate::config::{UpstreamLimits, UpstreamStore};

/// The connections that nobody uses are closed after this time, before stores tend to do so.
const POOL_IDLE: Duration = Duration::from_secs(20);

/// A client of the store. Without a key in the configuration one is looked for where AWS's own
/// tools look: the environment, the configuration files, a web identity, the container's and the
/// machine's role. It is asked for when it is needed, and again before it expires.
pub(super) async fn client(store: &UpstreamStore, limits: &UpstreamLimits) -> Client {
    let http = http_client();
    let region = Region::new(store.region.clone());
    let config = match &store.key {
        Some(key) => Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(http)
            .credentials_provider(Credentials::from_keys(
                &key.access_key,
                &key.secret_key,
                None,
            )),
        None => {
            let mut loader = aws_config::defaults(BehaviorVersion::latest())
                .http_client(http)
                .region(region.clone());
            if let Some(profile) = &store.profile {
                loader = loader.profile_name(profile);
            }
            Builder::from(&loader.load().await)
        }
    };
    let timeouts = ordinary(limits);
    let mut config = config
        .region(region)
        .force_path_style(store.path_style)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(limits.attempts))
        // Patience goes by `UpstreamLimits`: a client that is slow to read is no stalled store.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // What the clients of the gateway give is passed on; nothing is added that not all
        // stores know.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    if let Some(endpoint) = &store.endpoint {
        config = config.endpoint_url(endpoint);
    }
    Client::from_conf(config.build())
}

/// For requests that a store answers at once.
pub(super) fn ordinary(limits: &UpstreamLimits) -> TimeoutConfig {
    patience(limits, limits.read_timeout)
}

/// For requests that a store may work on for a while.
pub(super) fn lengthy(limits: &UpstreamLimits) -> TimeoutConfig {
    patience(limits, limits.finish_timeout)
}

/// For requests with a body that flows through: how long each step of that takes is minded where
/// it is passed on.
pub(super) fn streaming(limits: &UpstreamLimits) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(limits.connect_timeout)
        .disable_read_timeout()
        .disable_operation_attempt_timeout()
        .disable_operation_timeout()
        .build()
}

fn patience(limits: &UpstreamLimits, answer: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(limits.connect_timeout)
        .read_timeout(answer)
        .operation_attempt_timeout(limits.connect_timeout + answer)
        .build()
}

/// TLS by rustls with ring, as everywhere in this program.
fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .pool_idle_timeout(POOL_IDLE)
        .build_https()
}
