//! The public key of an X.509 certificate.
//!
//! The certificate was fetched from Amazon SNS itself, by TLS; that is why it is trusted, and all
//! that is read of it is the key. So this walks to it and judges nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The longest certificate in bytes.
const MAX_CERTIFICATE: usize = 64 * 1024;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OBJECT_ID: u8 = 0x06;
const BIT_STRING: u8 = 0x03;
const VERSION: u8 = 0xa0;

/// 1.2.840.113549.1.1.1
const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// The RSA public key (PKCS #1) of the first certificate in a PEM text.
pub(super) fn rsa_key(pem: &[u8]) -> Option<Vec<u8>> {
    if pem.len() > MAX_CERTIFICATE {
        return None;
    }
    let text = std::str::from_utf8(pem).ok()?;
    let (_, rest) = text.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    let base64: String = body.split_ascii_whitespace().collect();
    let certificate = STANDARD.decode(base64).ok()?;
    key_of(&certificate).map(<[u8]>::to_vec)
}

/// RFC 5280, 4.1: the key is in the seventh member of the part that is signed.
fn key_of(certificate: &[u8]) -> Option<&[u8]> {
    let mut signed = Reader(Reader(Reader(certificate).take(SEQUENCE)?).take(SEQUENCE)?);
    if signed.0.first() == Some(&VERSION) {
        signed.take(VERSION)?;
    }
    signed.take(INTEGER)?; // serial number
    signed.take(SEQUENCE)?; // signature algorithm
    signed.take(SEQUENCE)?; // issuer
    signed.take(SEQUENCE)?; // validity
    signed.take(SEQUENCE)?; // subject
    let mut key_info = Reader(signed.take(SEQUENCE)?);
    let algorithm = Reader(key_info.take(SEQUENCE)?).take(OBJECT_ID)?;
    if algorithm != RSA_ENCRYPTION {
        return None;
    }
    // The first byte says how many bits of the last are not used.
    key_info.take(BIT_STRING)?.strip_prefix(&[0])
}

/// Reads DER values one after the other.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    /// The content of the next value, which has to be of this kind.
    fn take(&mut self, tag: u8) -> Option<&'b [u8]> {
        let (&found, rest) = self.0.split_first()?;
        let (&short, rest) = rest.split_first()?;
        let (length, rest) = match short {
            0..=0x7f => (usize::from(short), rest),
            0x81..=0x83 => {
                let (digits, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
                let length = digits
                    .iter()
                    .fold(0, |sum, digit| sum << 8 | usize::from(*digit));
                (length, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        (found == tag).then_some(content)
    }
}
