//! What a `postgres://…` URL says, TLS included: `tokio-postgres` knows fewer words for that than
//! people are used to from `libpq`.

use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};

use super::error::OpenError;

/// How long one host may take to answer, unless the URL says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// When a silent connection is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// How long sent data may go without an answer from the other machine.
const UNANSWERED: Duration = Duration::from_secs(10);

/// Where to connect to, and how far to trust what is found there.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) config: Config,
    pub(super) trust: Trust,
}

/// What the server has to prove when it speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// Nothing: TLS then keeps out those who listen, not those who interfere.
    Anyone,
    /// That it is the host of that name, to the certificate authorities of the system.
    System,
    /// The same, to the authorities in this file.
    File(PathBuf),
}

/// Reads the URL. Several hosts are tried in order; only one that takes writes is used.
pub(super) fn parse(url: &str) -> Result<Target, OpenError> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        let why = "a URL is wanted, as in postgres://user@host:5432/database";
        return Err(OpenError::Config(why.into()));
    }
    let (plain, mode, root) = take_tls_words(url)?;
    let mut config: Config = plain
        .parse()
        .map_err(|error| OpenError::Config(super::error::describe(&error)))?;
    let (ssl_mode, trust) = match (mode.as_deref(), root) {
        (None | Some("prefer"), None) => (SslMode::Prefer, Trust::Anyone),
        (Some("disable"), None) => (SslMode::Disable, Trust::Anyone),
        (Some("require"), None) => (SslMode::Require, Trust::Anyone),
        (Some("verify-full"), None) => (SslMode::Require, Trust::System),
        (Some("verify-full"), Some(root)) if root == "system" => (SslMode::Require, Trust::System),
        (Some("verify-full"), Some(root)) => (SslMode::Require, Trust::File(root.into())),
        (Some("disable" | "prefer" | "require") | None, Some(_)) => {
            let why = "sslrootcert needs sslmode=verify-full";
            return Err(OpenError::Config(why.into()));
        }
        (Some(mode), _) => {
            return Err(OpenError::Config(format!(
                "sslmode is disable, prefer, require or verify-full, not {mode}"
            )));
        }
    };
    config.ssl_mode(ssl_mode);
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    config.keepalives_idle(KEEPALIVE);
    config.keepalives_interval(KEEPALIVE);
    config.tcp_user_timeout(UNANSWERED);
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if config.get_application_name().is_none() {
        config.application_name("daybook");
    }
    Ok(Target { config, trust })
}

/// The URL without `sslmode` and `sslrootcert`, and what they were.
fn take_tls_words(url: &str) -> Result<(String, Option<String>, Option<String>), OpenError> {
    let Some((place, query)) = url.split_once('?') else {
        return Ok((url.to_owned(), None, None));
    };
    let (mut mode, mut root, mut rest) = (None, None, Vec::new());
    for pair in query.split('&') {
        let taken = match pair.split_once('=') {
            Some(("sslmode", value)) => mode.replace(decode(value)?),
            Some(("sslrootcert", value)) => root.replace(decode(value)?),
            _ => {
                rest.push(pair);
                None
            }
        };
        if taken.is_some() {
            return Err(OpenError::Config("a TLS option is there twice".into()));
        }
    }
    let plain = if rest.is_empty() {
        place.to_owned()
    } else {
        format!("{place}?{}", rest.join("&"))
    };
    Ok((plain, mode, root))
}

fn decode(value: &str) -> Result<String, OpenError> {
    percent_encoding::percent_decode_str(value)
        .decode_utf8()
        .map(|value| value.into_owned())
        .map_err(|error| OpenError::Config(error.to_string()))
}
