//! Who sends this: tokens and signatures.
//!
//! Tokens and the signature of Backblaze B2 are checked at once. That of Amazon SNS needs a
//! certificate, which the port [`Certificates`] fetches.

mod certificate;
mod sns;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::reader::Place;
use crate::{Authentication, Delivery, Reason, Rejection, Settings};

pub use sns::{CertificateError, Certificates, SnsCheck};
pub(crate) use sns::{is_certificate_url, is_subscribe_url};

/// The header with the signature of Backblaze B2.
const B2_HEADER: &str = "x-bz-event-notification-signature";

/// Whether a request shows a token that is asked for.
pub(crate) fn shows_token(delivery: &Delivery, settings: &Settings) -> bool {
    let mut ways = settings.authentication.iter();
    ways.any(|way| match way {
        Authentication::Bearer(token) => {
            authorization(delivery, "Bearer").is_some_and(|shown| same(shown.as_bytes(), token))
        }
        Authentication::Basic { user, password } => {
            let shown =
                authorization(delivery, "Basic").and_then(|shown| STANDARD.decode(shown).ok());
            let expected = format!("{user}:{}", password.expose_secret());
            shown.is_some_and(|shown| same(&shown, &SecretString::from(expected)))
        }
        Authentication::Header { name, value } => delivery
            .header(name)
            .is_some_and(|shown| same(shown.as_bytes(), value)),
        Authentication::Query { name, value } => delivery
            .parameter(name)
            .is_some_and(|shown| same(shown.as_bytes(), value)),
    })
}

/// The refusal of a request that shows none.
pub(crate) fn no_token() -> Rejection {
    let sentence = "it shows none of the tokens that are asked for here";
    Place::header("authorization").reject(Reason::Unauthenticated, sentence)
}

/// Checks the signature of Backblaze B2 over the body as it came ("Event Notifications Reference
/// Guide", "Verifying the webhook request signature"). A header may hold several, so that a secret
/// can be changed.
pub(crate) fn check_b2(delivery: &Delivery, secrets: &[SecretString]) -> Result<(), Rejection> {
    let place = Place::header(B2_HEADER);
    let Some(header) = delivery.header(B2_HEADER) else {
        return Err(place.reject(Reason::B2Signature, "it is missing"));
    };
    let signatures = header
        .split(',')
        .filter_map(|part| part.trim().strip_prefix("v1="))
        .filter_map(|digits| hex::decode(digits).ok());
    let signed = |signature: &Vec<u8>| {
        secrets.iter().any(|secret| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
            hmac::verify(&key, &delivery.body, signature).is_ok()
        })
    };
    // A sender may not make us try for ever.
    match signatures
        .take(MAX_SIGNATURES)
        .any(|signature| signed(&signature))
    {
        true => Ok(()),
        false => Err(place.reject(Reason::B2Signature, "no known secret has signed this body")),
    }
}

/// Signatures of a header that are tried.
const MAX_SIGNATURES: usize = 4;

fn authorization<'d>(delivery: &'d Delivery, scheme: &str) -> Option<&'d str> {
    let (shown_scheme, rest) = delivery.header("authorization")?.split_once(' ')?;
    shown_scheme
        .eq_ignore_ascii_case(scheme)
        .then(|| rest.trim())
}

/// Compares in a time that says nothing about where they differ.
fn same(shown: &[u8], expected: &SecretString) -> bool {
    let expected = expected.expose_secret().as_bytes();
    !expected.is_empty() && bool::from(shown.ct_eq(expected))
}

#[cfg(test)]
mod tests;
