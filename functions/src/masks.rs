//! Keeps secrets out of what is recorded: where the exact text of one stands, its name is put.
//!
//! What is masked comes in pieces (a pipe is read in chunks), so that the end of a piece is held back
//! as long as a secret may begin there. A secret that is encoded, cut up or reversed is not found.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

/// Shorter ones are not masked: they would be found in what is none.
pub const MASK_LEAST_BYTES: usize = 8;

/// The secrets of one process, the longest first.
#[derive(Clone, Default)]
pub(crate) struct Masks(Arc<Vec<(SecretString, String)>>);

impl Masks {
    /// The secrets by name; each also as it stands within a JSON text.
    pub(crate) fn new<'a>(secrets: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        for (name, secret) in secrets.filter(|(_, it)| it.len() >= MASK_LEAST_BYTES) {
            let label = format!("***{name}***");
            let quoted = serde_json::Value::from(secret).to_string();
            all.insert(quoted[1..quoted.len() - 1].to_owned(), label.clone());
            all.insert(secret.to_owned(), label);
        }
        let mut all: Vec<_> = all.into_iter().collect();
        all.sort_by_key(|(secret, _)| std::cmp::Reverse(secret.len()));
        let secret = |(secret, label): (String, String)| (SecretString::from(secret), label);
        Self(Arc::new(all.into_iter().map(secret).collect()))
    }

    /// A whole text without its secrets.
    pub(crate) fn text(&self, text: &str) -> String {
        let mut held = text.as_bytes().to_vec();
        String::from_utf8_lossy(&self.pass(&mut held, true)).into_owned()
    }

    /// Takes out of `held` what is safe to pass on. The rest may be the beginning of a secret; at the
    /// end (`last`) it is none.
    pub(crate) fn pass(&self, held: &mut Vec<u8>, last: bool) -> Vec<u8> {
        if self.0.is_empty() {
            return std::mem::take(held);
        }
        let mut passed = Vec::with_capacity(held.len());
        let mut at = 0;
        while let Some(rest) = held.get(at..).filter(|rest| !rest.is_empty()) {
            // It may become a longer one yet.
            if !last
                && self
                    .secrets()
                    .any(|(it, _)| it.len() > rest.len() && it.starts_with(rest))
            {
                break;
            }
            let found = self.secrets().find(|(secret, _)| rest.starts_with(secret));
            if let Some((secret, label)) = found {
                passed.extend_from_slice(label.as_bytes());
                at += secret.len();
            } else {
                passed.push(rest[0]);
                at += 1;
            }
        }
        held.drain(..at);
        passed
    }

    fn secrets(&self) -> impl Iterator<Item = (&[u8], &str)> {
        self.0
            .iter()
            .map(|(secret, label)| (secret.expose_secret().as_bytes(), label.as_str()))
    }
}

#[cfg(test)]
mod tests;
