//! What could not be understood or believed is kept for the person who asks why, bounded in number,
//! size and rate: whoever may send may also send nonsense for ever.
//!
//! Each is a file in a folder, named by its time, so that the oldest go first. It is for people to
//! look at; the log does not know of it, and it may be deleted at any time.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use daybook_intake::Delivery;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::SourceName;
use crate::clock;

/// How much of a header or a parameter is kept.
const MAX_VALUE_CHARS: usize = 512;

/// How many headers and parameters are kept.
const MAX_HEADERS: usize = 64;

/// Parts of the names of headers and parameters whose values are secrets, or stand for one.
const SECRET: &[&str] = &[
    "auth",
    "cookie",
    "token",
    "secret",
    "signature",
    "key",
    "password",
    "code",
    "sig",
];

/// Where rejected deliveries are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedConfig {
    /// The folder; without one they are only counted.
    pub folder: Option<PathBuf>,
    /// How many are kept.
    pub most: usize,
    /// How many bytes they may have together.
    pub most_bytes: u64,
    /// How much of one body is kept.
    pub body_bytes: usize,
    /// How many are written a second; the others of that second are only counted.
    pub a_second: u32,
    /// Of how many messages of queues it is known that they were kept.
    pub messages_remembered: usize,
}

impl Default for RejectedConfig {
    fn default() -> Self {
        Self {
            folder: None,
            most: 1_000,
            most_bytes: 64 << 20,
            body_bytes: 64 << 10,
            a_second: 20,
            messages_remembered: 10_000,
        }
    }
}

/// A delivery that was refused, or of which a record was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RejectedDelivery {
    /// Its name in this list.
    pub id: String,
    /// When it came.
    pub at: Timestamp,
    /// The configured source that it came for.
    pub source: Option<String>,
    /// How it came.
    pub transport: String,
    /// The HTTP method.
    pub method: String,
    /// Why, in a word: that of the first record that was refused.
    pub reason: String,
    /// Where and why, in words.
    pub detail: String,
    /// How many of its records were refused.
    pub records: usize,
    /// The size of the body in bytes.
    pub body_bytes: usize,
    /// The headers, without secrets.
    pub headers: Vec<(String, String)>,
    /// The parameters of the query, without secrets.
    pub query: Vec<(String, String)>,
    /// The beginning of the body as text, if it is text.
    pub body: Option<String>,
    /// The beginning of the body in base64, if it is none.
    pub body_base64: Option<String>,
}

/// Why a delivery was rejected.
pub(super) struct Why {
    /// In a word.
    pub(super) reason: &'static str,
    /// Where and why, in words.
    pub(super) detail: String,
    /// How many of its records were.
    pub(super) records: usize,
}

/// Those that are kept.
pub(super) struct Rejected {
    config: RejectedConfig,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// Names and sizes, the oldest first.
    files: VecDeque<(String, u64)>,
    bytes: u64,
    second: i64,
    in_second: u32,
}

impl Rejected {
    /// Finds what an earlier process kept.
    pub(super) fn open(config: RejectedConfig) -> io::Result<Self> {
        let mut kept = Kept::default();
        if let Some(folder) = &config.folder {
            fs::create_dir_all(folder)?;
            let mut files = Vec::new();
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                if let Some(id) = id_of(&entry.path()) {
                    files.push((id, entry.metadata()?.len()));
                }
            }
            files.sort();
            kept.bytes = files.iter().map(|(_, bytes)| bytes).sum();
            kept.files = files.into();
        }
        Ok(Self {
            config,
            kept: Mutex::new(kept),
        })
    }

    /// Keeps a delivery, if there is still room in this second. Returns under which name; where nothing
    /// is kept at all, nothing is left to do.
    #[must_use]
    pub(super) fn keep(
        &self,
        source: Option<&SourceName>,
        delivery: &Delivery,
        why: &Why,
    ) -> Option<String> {
        let at = clock::now();
        let chance = clock::random_id().simple().to_string();
        let id = format!("{:013}-{}", at.as_millisecond(), &chance[..8]);
        let Some(folder) = &self.config.folder else {
            return Some(id);
        };
        if !self.room_at(at) {
            return None;
        }
        let beginning = &delivery.body[..delivery.body.len().min(self.config.body_bytes)];
        let kept = of(id.clone(), at, source, (delivery, beginning), why);
        let json = serde_json::to_vec(&kept).ok()?;
        if let Err(error) = fs::write(folder.join(format!("{id}.json")), &json) {
            tracing::warn!(%error, "a rejected delivery could not be kept");
            return None;
        }
        self.kept(folder, id.clone(), json.len() as u64);
        Some(id)
    }

    /// Whether what was kept under a name is still there: newer ones drive out older ones, and people
    /// may delete them.
    pub(super) fn holds(&self, id: &str) -> bool {
        match &self.config.folder {
            None => true,
            Some(folder) => folder.join(format!("{id}.json")).is_file(),
        }
    }

    fn room_at(&self, at: Timestamp) -> bool {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.second != at.as_second() {
            (kept.second, kept.in_second) = (at.as_second(), 0);
        }
        kept.in_second += 1;
        kept.in_second <= self.config.a_second
    }

    fn kept(&self, folder: &Path, id: String, bytes: u64) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.files.push_back((id, bytes));
        kept.bytes += bytes;
        while kept.files.len() > self.config.most || kept.bytes > self.config.most_bytes {
            let Some((oldest, bytes)) = kept.files.pop_front() else {
                break;
            };
            kept.bytes -= bytes;
            let _ = fs::remove_file(folder.join(format!("{oldest}.json")));
        }
    }

    /// The newest ones, newest first, without headers and bodies.
    pub(super) fn list(&self, most: usize) -> Vec<RejectedDelivery> {
        let ids: Vec<String> = {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let newest = kept.files.iter().rev().take(most);
            newest.map(|(id, _)| id.clone()).collect()
        };
        let brief = |kept: RejectedDelivery| RejectedDelivery {
            headers: Vec::new(),
            query: Vec::new(),
            body: None,
            body_base64: None,
            ..kept
        };
        ids.iter()
            .filter_map(|id| self.show(id))
            .map(brief)
            .collect()
    }

    /// One, with all that was kept of it.
    pub(super) fn show(&self, id: &str) -> Option<RejectedDelivery> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let folder = self.config.folder.as_ref()?;
        if id.is_empty() || !id.chars().all(plain) {
            return None;
        }
        let json = fs::read(folder.join(format!("{id}.json"))).ok()?;
        serde_json::from_slice(&json).ok()
    }
}

fn id_of(path: &Path) -> Option<String> {
    let is_json = path
        .extension()
        .is_some_and(|extension| extension == "json");
    let name = path.file_stem().filter(|_| is_json)?;
    name.to_str().map(str::to_owned)
}

fn of(
    id: String,
    at: Timestamp,
    source: Option<&SourceName>,
    (delivery, beginning): (&Delivery, &[u8]),
    why: &Why,
) -> RejectedDelivery {
    // A body that was cut may end within a character.
    let text = match std::str::from_utf8(beginning) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() && beginning.len() < delivery.body.len() => {
            std::str::from_utf8(&beginning[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    };
    RejectedDelivery {
        id,
        at,
        source: source.map(ToString::to_string),
        transport: format!("{:?}", delivery.transport).to_lowercase(),
        method: shortened(&delivery.method),
        reason: why.reason.to_owned(),
        detail: why.detail.clone(),
        records: why.records,
        body_bytes: delivery.body.len(),
        headers: masked(&delivery.headers),
        query: masked(&delivery.query),
        body: text.map(str::to_owned),
        body_base64: text.is_none().then(|| STANDARD.encode(beginning)),
    }
}

/// Names with their values, those of secrets struck out.
fn masked(pairs: &[(String, String)]) -> Vec<(String, String)> {
    let pairs = pairs.iter().take(MAX_HEADERS);
    let masked = pairs.map(|(name, value)| {
        let lower = name.to_ascii_lowercase();
        let value = match SECRET.iter().any(|part| lower.contains(part)) {
            true => "…".to_owned(),
            false => shortened(value),
        };
        (shortened(name), value)
    });
    masked.collect()
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_VALUE_CHARS).collect()
}

#[cfg(test)]
mod tests;
