//! The signatures of Amazon SNS ("Verifying the signatures of Amazon SNS messages").
//!
//! A message names the certificate that it is signed with by its URL. What makes that worth anything
//! is that the URL leads to Amazon SNS, so its host is compared as a whole; and since anybody can
//! have a topic that SNS signs for, the topic counts as well.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use ring::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RsaParameters,
    UnparsedPublicKey,
};
use thiserror::Error;

use super::certificate;
use crate::dialects::gcs::unbase64;
use crate::reader::{Fields, shortened};
use crate::{Reason, Rejection};

/// The longest URL that is looked at.
const MAX_URL: usize = 2048;

/// Fetches the certificates that SNS signs with. The URL was checked: it leads to Amazon SNS.
#[async_trait]
pub trait Certificates: Send + Sync {
    /// The certificate at a URL, as PEM.
    async fn certificate(&self, url: &str) -> Result<Bytes, CertificateError>;
}

/// There is no certificate.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// It could not be fetched now. The sender should try again later.
    #[error("the certificate of Amazon SNS cannot be fetched: {0}")]
    Unavailable(String),
    /// There is none, and there will be none. The message is refused.
    #[error("there is no such certificate at Amazon SNS: {0}")]
    Refused(String),
}

/// What has to hold before the items of a message count.
#[derive(Clone, PartialEq, Eq)]
pub struct SnsCheck {
    message: usize,
    place: String,
    certificate_url: String,
    algorithm: Algorithm,
    signed: String,
    signature: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Sha1,
    Sha256,
}

impl SnsCheck {
    /// What a message of SNS has to be checked for. `message` is its index in the delivery.
    pub(crate) fn of(
        envelope: &Fields<'_, '_>,
        certificate_url: &str,
        message: usize,
    ) -> Result<Self, Rejection> {
        let version = envelope.need("SignatureVersion")?;
        let algorithm = match version {
            "1" => Algorithm::Sha1,
            "2" => Algorithm::Sha256,
            other => {
                let sentence = format!("signatures of version {} are not known", shortened(other));
                return Err(envelope.reject("SignatureVersion", Reason::SnsSignature, sentence));
            }
        };
        let signature = envelope.text("Signature")?.unwrap_or_default();
        let signature = unbase64(signature, &envelope.place)
            .map_err(|_| envelope.reject("Signature", Reason::SnsSignature, "it is not base64"))?;
        Ok(Self {
            message,
            place: envelope.place.member("Signature").to_string(),
            certificate_url: certificate_url.to_owned(),
            algorithm,
            signed: signed(envelope)?,
            signature,
        })
    }

    /// Which message of the delivery it is about.
    pub fn message(&self) -> usize {
        self.message
    }

    /// Where the certificate is: at Amazon SNS.
    pub fn certificate_url(&self) -> &str {
        &self.certificate_url
    }

    /// Checks the signature with the certificate, a PEM text.
    pub fn verify(&self, certificate: &[u8]) -> Result<(), Rejection> {
        let Some(key) = certificate::rsa_key(certificate) else {
            return Err(self.refuse("its certificate has no RSA key"));
        };
        let parameters: &'static RsaParameters = match self.algorithm {
            Algorithm::Sha1 => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            Algorithm::Sha256 => &RSA_PKCS1_2048_8192_SHA256,
        };
        UnparsedPublicKey::new(parameters, key)
            .verify(self.signed.as_bytes(), &self.signature)
            .map_err(|_| self.refuse("it is not the signature of this message"))
    }

    /// A refusal.
    pub(crate) fn refuse(&self, why: &str) -> Rejection {
        Rejection {
            reason: Reason::SnsSignature,
            place: self.place.clone(),
            sentence: why.to_owned(),
        }
    }
}

impl fmt::Debug for SnsCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnsCheck")
            .field("message", &self.message)
            .field("certificate_url", &self.certificate_url)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// What is signed of a message: some members, in this order, each as its name and its value on lines
/// of their own. A notification without a subject leaves that out.
fn signed(envelope: &Fields<'_, '_>) -> Result<String, Rejection> {
    let names: &[&str] = match envelope.need("Type")? {
        "Notification" => &[
            "Message",
            "MessageId",
            "Subject",
            "Timestamp",
            "TopicArn",
            "Type",
        ],
        _ => &[
            "Message",
            "MessageId",
            "SubscribeURL",
            "Timestamp",
            "Token",
            "TopicArn",
            "Type",
        ],
    };
    let mut signed = String::new();
    for name in names {
        match envelope.text(name)? {
            Some(value) => signed.extend([name, "\n", value, "\n"]),
            None if *name == "Subject" => {}
            None => return Err(envelope.missing(name)),
        }
    }
    Ok(signed)
}

/// Whether a URL leads to a certificate of Amazon SNS.
pub(crate) fn is_certificate_url(url: &str) -> bool {
    path_at_sns(url).is_some_and(|path| path.ends_with(".pem") && !path.contains(['?', '#']))
}

/// Whether a URL confirms a subscription at Amazon SNS.
pub(crate) fn is_subscribe_url(url: &str) -> bool {
    let query = path_at_sns(url).and_then(|path| path.strip_prefix("/?"));
    query.is_some_and(|query| {
        query
            .split('&')
            .any(|part| part == "Action=ConfirmSubscription")
    })
}

/// The rest of a URL behind its host, if that is Amazon SNS in some region. Nothing but the exact
/// host stands between `https://` and the first slash: no user, no port, no other letters.
fn path_at_sns(url: &str) -> Option<&str> {
    let sound = url.len() <= MAX_URL && url.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    let rest = url.strip_prefix("https://").filter(|_| sound)?;
    let (host, path) = rest.split_at(rest.find('/')?);
    let region = host.strip_prefix("sns.")?;
    let region = region
        .strip_suffix(".amazonaws.com")
        .or_else(|| region.strip_suffix(".amazonaws.com.cn"))?;
    is_region(region).then_some(path)
}

/// Whether this looks like a region of AWS, such as `us-gov-west-1`. `sns.s3.amazonaws.com` is the
/// bucket `sns` of somebody.
fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let (Some((number, words)), 3..) = (parts.split_last(), parts.len()) else {
        return false;
    };
    let is_word = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
    words.iter().all(is_word) && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
}
