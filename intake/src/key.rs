//! Keys as notifications write them.
//!
//! Each source, and each of its channels, has its own way, and a key is decoded once: what comes out
//! may well contain `%41` or `+`. See `docs/intake.md` for the sources of each rule.

use std::borrow::Cow;

use daybook_domain::ObjectKey;

use crate::reader::Place;
use crate::{Reason, Rejection};

/// The longest key, in bytes.
const MAX_KEY: usize = 1024;

/// How a key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// As it is.
    Plain,
    /// As in an HTML form: `+` is a space, `%XX` a byte.
    Form,
}

/// Reads a key that stands at `place`.
pub(crate) fn decode(
    text: &str,
    coding: Coding,
    place: &Place<'_>,
) -> Result<ObjectKey, Rejection> {
    let longest = match coding {
        Coding::Plain => MAX_KEY,
        Coding::Form => 3 * MAX_KEY,
    };
    if text.len() > longest {
        return Err(too_long(place));
    }
    let key = match coding {
        Coding::Plain => Cow::Borrowed(text),
        Coding::Form => decode_text(text, true, place)?,
    };
    if key.is_empty() {
        return Err(place.reject(Reason::KeyEmpty, "it is empty"));
    }
    if key.contains('\0') {
        return Err(place.reject(Reason::KeyControlChar, "it contains a NUL"));
    }
    ObjectKey::parse(key.into_owned()).map_err(|_| too_long(place))
}

fn too_long(place: &Place<'_>) -> Rejection {
    place.reject(
        Reason::KeyTooLong,
        format!("it is longer than {MAX_KEY} bytes"),
    )
}

/// Undoes `%XX`, and `+` where that is a space.
pub(crate) fn decode_text<'t>(
    text: &'t str,
    plus_is_space: bool,
    place: &Place<'_>,
) -> Result<Cow<'t, str>, Rejection> {
    let coded = |byte: &u8| *byte == b'%' || plus_is_space && *byte == b'+';
    let Some(first) = text.as_bytes().iter().position(coded) else {
        return Ok(Cow::Borrowed(text));
    };
    let (plain, rest) = text.as_bytes().split_at(first);
    let mut decoded = Vec::with_capacity(text.len());
    decoded.extend_from_slice(plain);
    let mut rest = rest.iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits =
                    [rest.next(), rest.next()].map(|digit| digit.and_then(|d| digit_of(*d)));
                let [Some(high), Some(low)] = digits else {
                    let why = "it has a % that no two hexadecimal digits follow";
                    return Err(place.reject(Reason::KeyBadPercent, why));
                };
                decoded.push(high << 4 | low);
            }
            b'+' if plus_is_space => decoded.push(b' '),
            byte => decoded.push(*byte),
        }
    }
    String::from_utf8(decoded)
        .map(Cow::Owned)
        .map_err(|_| place.reject(Reason::KeyInvalidUtf8, "it is not UTF-8 once decoded"))
}

fn digit_of(letter: u8) -> Option<u8> {
    match letter {
        b'0'..=b'9' => Some(letter - b'0'),
        b'a'..=b'f' => Some(letter - b'a' + 10),
        b'A'..=b'F' => Some(letter - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
