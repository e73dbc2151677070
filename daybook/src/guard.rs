//! Who may speak to the ledger's listener: on loopback, whoever names it by a loopback host and,
//! from a browser, comes from a page of its own. That keeps foreign pages out, which can make a
//! browser send requests to any port of this machine (DNS rebinding, cross-site requests).

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Refuses requests whose `Host` or `Origin` does not belong to the listener.
pub(crate) async fn check(
    State(listener): State<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    match refusal(request.headers(), request.uri(), listener) {
        None => next.run(request).await,
        Some(why) => (StatusCode::FORBIDDEN, format!("{why}\n")).into_response(),
    }
}

fn refusal(headers: &HeaderMap, uri: &Uri, listener: SocketAddr) -> Option<String> {
    let host = match headers.get(header::HOST) {
        Some(host) => host.to_str().ok().map(str::to_owned),
        None => uri.authority().map(ToString::to_string),
    };
    let Some(host) = host else {
        return Some("the request has no Host header".to_owned());
    };
    if !is_own(&host, listener) {
        return Some(format!(
            "host {host:?} is not one of this listener, {listener}"
        ));
    }
    let origin = headers.get(header::ORIGIN)?.to_str().unwrap_or("");
    match origin.split_once("://") {
        Some(("http" | "https", origin)) if is_own(origin, listener) => None,
        _ => Some(format!(
            "origin {origin:?} is not one of this listener, {listener}"
        )),
    }
}

/// Whether `host[:port]` is the listener by a loopback name.
fn is_own(authority: &str, listener: SocketAddr) -> bool {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()),
        _ => (authority, Some(80)),
    };
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let loopback = name.eq_ignore_ascii_case("localhost")
        || name
            .parse()
            .is_ok_and(|ip: IpAddr| ip.is_loopback() || ip == listener.ip());
    loopback && port == Some(listener.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, origin: Option<&str>, allowed: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        let listener = "127.0.0.1:8080".parse().unwrap();
        let refused = refusal(&headers, &Uri::from_static("/graphql"), listener);
        assert_eq!(refused.is_none(), allowed, "{host} {origin:?}: {refused:?}");
    }

    #[test]
    fn only_its_own_names_and_pages_pass() {
        check("127.0.0.1:8080", None, true);
        check("localhost:8080", None, true);
        check("[::1]:8080", None, true);
        check("localhost", None, false);
        check("127.0.0.1:9000", None, false);
        check("evil.example:8080", None, false);
        check("127.0.0.1:8080", Some("http://localhost:8080"), true);
        check("127.0.0.1:8080", Some("http://evil.example"), false);
        check("127.0.0.1:8080", Some("http://127.0.0.1:9999"), false);
        check("127.0.0.1:8080", Some("null"), false);
    }
}
