//! The names of streams on the server: a prefix that belongs to the ledger, then our own name with
//! the characters escaped that the server or its tools give a meaning to.
//!
//! The prefix is one word ended by a hyphen, so no prefix is the beginning of another one, and a
//! filter for it finds the streams of this ledger alone. The server's category projection takes it
//! for the category.

use std::fmt::Write as _;

use percent_encoding::percent_decode_str;

use crate::StreamName;

/// The longest name on the server, prefix and escapes included. The longest name in a ledger is
/// that of an object, whose bucket and key have at most 1,087 bytes.
pub const MAX_NAME_BYTES: usize = 4 * 1024;

/// Maps between our names and those of the server. Any of our names has one there, and no two
/// share it.
#[derive(Clone, Debug)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    /// Takes a prefix of letters, digits, `_` and `.`, ended by its only hyphen.
    pub(super) fn new(prefix: &str) -> Result<Names, String> {
        let word = prefix.strip_suffix('-').unwrap_or_default();
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        if word.is_empty() || !word.chars().all(allowed) {
            return Err(format!(
                "the stream prefix {prefix:?} is not letters, digits, `_` and `.` ended by one hyphen"
            ));
        }
        let prefix = prefix.to_owned();
        Ok(Names { prefix })
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The name on the server; an error where it would be too long.
    pub(super) fn encode(&self, name: &StreamName) -> Result<String, String> {
        let mut encoded = self.prefix.clone();
        for c in name.as_str().chars() {
            if is_escaped(c) {
                // Writing to a string cannot fail.
                let _ = write!(encoded, "%{:02X}", u32::from(c));
            } else {
                encoded.push(c);
            }
        }
        if encoded.len() > MAX_NAME_BYTES {
            let bytes = encoded.len();
            return Err(format!(
                "the name of the stream has {bytes} bytes on the server, more than {MAX_NAME_BYTES}"
            ));
        }
        Ok(encoded)
    }

    /// Whether a stream of the server is one of ours.
    pub(super) fn is_ours(&self, encoded: &str) -> bool {
        encoded.starts_with(&self.prefix)
    }

    /// Our name of a stream on the server; `None` if [`Names::encode`] cannot have made it.
    pub(super) fn decode(&self, encoded: &str) -> Option<StreamName> {
        let name = encoded.strip_prefix(&self.prefix)?;
        let name = percent_decode_str(name).decode_utf8().ok()?;
        let name = StreamName::new(&*name);
        (self.encode(&name).ok()? == encoded).then_some(name)
    }
}

/// Control characters and spaces, which tools trim or cannot show, the escape itself, and `$`, which
/// marks what belongs to the server.
fn is_escaped(c: char) -> bool {
    c.is_ascii_control() || matches!(c, ' ' | '%' | '$')
}

#[cfg(test)]
mod tests;
