//! The connection string: what the client makes of it, what it must not be given, and what it
//! would trip over.
//!
//! The client panics on files that it cannot read, takes credentials as they are escaped in the
//! URL, and repeats the whole URL in its errors. So credentials are taken out before it sees the
//! string, and files are looked at first.

use std::fmt;
use std::fs;

use eventstore::{ClientSettings, Credentials, NodePreference};
use percent_encoding::percent_decode_str;

/// The schemes that name such a server, and the client's word for each.
const SCHEMES: [(&str, &str); 8] = [
    ("esdb", "esdb"),
    ("esdb+discover", "esdb+discover"),
    ("kurrentdb", "esdb"),
    ("kurrentdb+discover", "esdb+discover"),
    ("kurrent", "esdb"),
    ("kurrent+discover", "esdb+discover"),
    ("kdb", "esdb"),
    ("kdb+discover", "esdb+discover"),
];

/// How a file of certificates begins.
const PEM_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";

/// Where the server is, and who asks. It never shows the password.
#[derive(Clone)]
pub(super) struct Address {
    /// Without credentials.
    pub(super) settings: ClientSettings,
    pub(super) credentials: Option<Credentials>,
    shown: String,
}

impl Address {
    /// Takes `esdb://`, `kurrentdb://` and their `+discover` forms. Errors do not repeat the URL.
    pub(super) fn parse(url: &str) -> Result<Address, String> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or("it has no scheme, such as esdb://")?;
        let wanted = scheme.to_ascii_lowercase();
        let (_, scheme) = SCHEMES
            .into_iter()
            .find(|(known, _)| *known == wanted)
            .ok_or("its scheme is neither esdb nor kurrentdb, with or without +discover")?;

        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (Some(user), hosts),
            None => (None, authority),
        };
        if hosts.is_empty() {
            return Err("it names no host".into());
        }
        let shown = format!("{scheme}://{hosts}{tail}");
        let settings: ClientSettings = shown
            .parse()
            .map_err(|error: eventstore::ClientSettingsParseError| reason(&error, &shown))?;
        let credentials = user.map(credentials).transpose()?;
        check(&settings, credentials.is_some())?;
        Ok(Address {
            settings,
            credentials,
            shown,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown.fmt(f)
    }
}

fn credentials(user: &str) -> Result<Credentials, String> {
    let (login, password) = user.split_once(':').unwrap_or((user, ""));
    let plain = |escaped: &str| {
        let plain = percent_decode_str(escaped).decode_utf8();
        plain.map(|text| text.into_owned())
    };
    match (plain(login), plain(password)) {
        (Ok(login), Ok(password)) => Ok(Credentials::new(login, password)),
        _ => Err("its credentials are not escaped UTF-8".into()),
    }
}

/// The client's error repeats the whole string where it cannot be parsed at all.
fn reason(error: &eventstore::ClientSettingsParseError, shown: &str) -> String {
    match error.error() {
        Some(error) => error.to_string(),
        None => error.message().replace(shown, "it"),
    }
}

fn check(settings: &ClientSettings, has_credentials: bool) -> Result<(), String> {
    let preference = settings.node_preference();
    if preference != NodePreference::Leader {
        return Err(format!(
            "nodePreference is {preference}: only the leader shows at once what was appended"
        ));
    }
    if !settings.is_secure_mode_enabled() && has_credentials {
        return Err(
            "credentials would be sent in the clear with tls=false: leave them out (an insecure \
             server does not ask for any) or use TLS"
                .into(),
        );
    }
    if let Some(path) = settings.tls_ca_file() {
        check_pem("tlsCaFile", path, PEM_CERTIFICATE)?;
    }
    if let Some((certificate, key)) = settings.user_certificate() {
        check_pem("userCertFile", certificate, PEM_CERTIFICATE)?;
        check_pem("userKeyFile", key, "PRIVATE KEY-----")?;
    }
    Ok(())
}

fn check_pem(parameter: &str, path: &str, wanted: &str) -> Result<(), String> {
    let text = fs::read_to_string(path)
        .map_err(|error| format!("{parameter} {path} cannot be read: {error}"))?;
    if !text.contains(wanted) {
        return Err(format!("{parameter} {path} is no PEM file with {wanted:?}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
