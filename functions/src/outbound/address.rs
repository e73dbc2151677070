//! Which addresses a function may be at. A URL of the config must not become a way to what only
//! this machine or its network reaches (server-side request forgery), so everything that is not
//! the public internet is refused unless the config allows it.
//!
//! What is checked are the addresses that a name resolves to, at the moment of connecting, and only
//! those that passed are connected to: a name that changes its mind between check and use (DNS
//! rebinding) gains nothing.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::vec;

use hyper::Uri;
use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

/// A host all of whose addresses are refused.
#[derive(Debug)]
pub(crate) struct AddressRefused {
    host: String,
    address: IpAddr,
}

impl fmt::Display for AddressRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is at {}, which is no address of the public internet; set private_addresses = true \
             if it is meant",
            self.host, self.address
        )
    }
}

impl std::error::Error for AddressRefused {}

/// Checks a URL that names an address instead of a host: such a one is never resolved.
pub(crate) fn check_literal(url: &Uri) -> Result<(), AddressRefused> {
    let host = url.host().unwrap_or_default();
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    match literal.parse::<IpAddr>() {
        Ok(address) if !is_public(address) => Err(AddressRefused {
            host: host.to_owned(),
            address,
        }),
        _ => Ok(()),
    }
}

/// Resolves names by the system's resolver, and leaves out the addresses that are refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resolver {
    pub(crate) private_addresses: bool,
}

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let all = self.private_addresses;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            allowed(name.as_str(), found, all).map(Vec::into_iter)
        })
    }
}

fn allowed(
    host: &str,
    found: impl Iterator<Item = SocketAddr>,
    all: bool,
) -> io::Result<Vec<SocketAddr>> {
    let (allowed, refused): (Vec<_>, Vec<_>) = found.partition(|it| all || is_public(it.ip()));
    match refused.first() {
        Some(refused) if allowed.is_empty() => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            AddressRefused {
                host: host.to_owned(),
                address: refused.ip(),
            },
        )),
        _ => Ok(allowed),
    }
}

/// Whether the address belongs to the public internet (IANA's registries of special-purpose
/// addresses; where an IPv6 address carries one of IPv4, that counts).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0
        // Carriers' networks.
        || (a == 100 && b & 0xc0 == 64)
        || (a, b, c) == (192, 0, 0)
        // Benchmarks.
        || (a == 198 && b & 0xfe == 18)
        // Multicast, reserved and broadcast.
        || a >= 224;
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // Unspecified, loopback, IPv4-compatible and IPv4-mapped.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => embedded(high, low),
        // NAT64, and 6to4.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => embedded(high, low),
        // Teredo and its neighbours, documentation.
        [0x2001, second, ..] => second >= 0x200 && second != 0xdb8,
        // Everything else that is given out begins with the bits 001.
        [first, ..] => first & 0xe000 == 0x2000 && first != 0x3fff,
    }
}

#[cfg(test)]
mod tests;
