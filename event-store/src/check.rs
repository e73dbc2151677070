//! The check of a whole log, through its port: the order of positions and times, the versions of
//! every stream, salts, JSON, and whatever the caller and the engine can say of an event.
//!
//! It reads from the start up to the head that it found, so it can run beside writers. In memory
//! are one page and, for each stream, a 128-bit hash of its name with the version that comes next:
//! 30 to 60 bytes, so 4 million streams take about 210 MB.

use std::collections::HashMap;
use std::fmt::Display;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};

use crate::envelope::EnvelopeHash;
use crate::pages::{PageLimits, Pages, Progress, Step};
use crate::{EventLog, Position, ReadError, RecordedEvent, StreamName};

/// How a log is checked.
#[derive(Clone, Copy, Debug)]
pub struct CheckOptions {
    /// Whether the log's engine leaves no gaps between positions.
    pub contiguous: bool,
    /// How many findings are described; the rest is only counted.
    pub max_findings: usize,
    /// How it is read.
    pub pages: PageLimits,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            contiguous: true,
            max_findings: 100,
            pages: PageLimits::default(),
        }
    }
}

/// After so many events in a row that cannot be read it is not tried any further.
const MAX_UNREADABLE: u64 = 1_000;

/// What the caller found out about an event that is in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// It can be read.
    Read,
    /// It could not be told here whether it can be read.
    NotChecked,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckReport {
    /// The head of the log when the check began, and its end.
    pub head: Position,
    /// How many events were read.
    pub events: u64,
    /// How many streams they are in.
    pub streams: u64,
    /// Of how many events it could not be told whether they can be decoded.
    pub not_checked: u64,
    /// How many findings there are.
    pub found: u64,
    /// The first of them.
    pub findings: Vec<Finding>,
    /// The hash over all envelopes; see [`EnvelopeHash`].
    pub sha256: String,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where, if it is about one position.
    pub position: Option<Position>,
    /// In which stream, if it is about one event.
    pub stream: Option<StreamName>,
    /// What is wrong.
    pub problem: String,
}

/// Checks the log up to its present head. `decode` says of each event with valid JSON
/// whether it can be read; an error of its own is a finding. Fails only where the log does not answer.
pub async fn check(
    log: &dyn EventLog,
    options: &CheckOptions,
    mut decode: impl AsyncFnMut(&RecordedEvent) -> Result<Decoded, String>,
    mut progress: impl FnMut(&Progress),
) -> Result<CheckReport, ReadError> {
    let head = log.head().await?;
    let mut check = Check::new(options, head);
    for problem in log.check_storage().await? {
        check.find(None, None, problem);
    }
    let mut pages = Pages::new(log, Position::START, head, options.pages, Step::Checking);
    loop {
        match pages.next().await {
            Ok(Some(events)) => {
                for event in &events {
                    if check.event(event) {
                        check.decoded(event, decode(event).await);
                    }
                }
                progress(pages.progress());
            }
            Ok(None) => break,
            Err(ReadError::Damaged(why)) => {
                if !check.unreadable(&mut pages, &why) {
                    break;
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(check.finish())
}

/// A check under way.
struct Check {
    contiguous: bool,
    max_findings: usize,
    position: Position,
    recorded_at: Timestamp,
    unreadable_in_a_row: u64,
    /// The version that comes next, by the hash of the stream's name.
    next_versions: HashMap<[u64; 2], u64>,
    hash: EnvelopeHash,
    report: CheckReport,
}

impl Check {
    fn new(options: &CheckOptions, head: Position) -> Self {
        Self {
            contiguous: options.contiguous,
            max_findings: options.max_findings,
            position: Position::START,
            recorded_at: Timestamp::MIN,
            unreadable_in_a_row: 0,
            next_versions: HashMap::new(),
            hash: EnvelopeHash::default(),
            report: CheckReport {
                head,
                events: 0,
                streams: 0,
                not_checked: 0,
                found: 0,
                findings: Vec::new(),
                sha256: String::new(),
            },
        }
    }

    /// Looks at everything but what the event says; tells whether that can be looked at.
    fn event(&mut self, event: &RecordedEvent) -> bool {
        self.unreadable_in_a_row = 0;
        self.hash.add(event);
        self.order(event);
        self.version(event);
        if event.recorded_at < self.recorded_at {
            let before = self.recorded_at;
            let problem = format!("it was recorded at {}, before {before}", event.recorded_at);
            self.wrong(event, problem);
        }
        self.recorded_at = event.recorded_at;
        if event.salt == [0; 16] {
            self.wrong(event, "it has no salt");
        }
        let json = serde_json::from_slice::<IgnoredAny>(&event.data);
        if let Err(error) = &json {
            self.wrong(event, format!("its data is not JSON: {error}"));
        }
        json.is_ok()
    }

    fn order(&mut self, event: &RecordedEvent) {
        let (last, found) = (self.position, event.position);
        if found <= last {
            self.wrong(event, format!("it comes after position {last}"));
        } else if self.contiguous && found.0 != last.0 + 1 {
            self.missing(last.0 + 1, found.0 - 1);
        }
        self.position = found.max(last);
    }

    fn version(&mut self, event: &RecordedEvent) {
        let next = self.next_versions.entry(key(&event.stream)).or_default();
        let (expected, found) = (*next, event.version.0);
        *next = found.saturating_add(1).max(expected);
        if found != expected {
            self.wrong(
                event,
                format!("it has version {found}, its stream wants {expected}"),
            );
        }
    }

    fn decoded(&mut self, event: &RecordedEvent, decoded: Result<Decoded, String>) {
        match decoded {
            Ok(Decoded::Read) => {}
            Ok(Decoded::NotChecked) => self.report.not_checked += 1,
            Err(why) => self.wrong(event, format!("{} cannot be read: {why}", event.event_type)),
        }
    }

    /// The next event cannot even be had; says whether there is a way past it.
    fn unreadable(&mut self, pages: &mut Pages<'_>, why: &str) -> bool {
        self.unreadable_in_a_row += 1;
        if !self.contiguous || self.unreadable_in_a_row > MAX_UNREADABLE {
            let after = self.position;
            self.find(
                None,
                None,
                format!("nothing after position {after} was checked: {why}"),
            );
            self.position = self.report.head;
            return false;
        }
        self.position = pages.skip();
        self.find(
            Some(self.position),
            None,
            format!("it cannot be read: {why}"),
        );
        true
    }

    fn finish(mut self) -> CheckReport {
        let (last, head) = (self.position, self.report.head);
        if self.contiguous && last < head {
            self.missing(last.0 + 1, head.0);
        } else if last < head {
            let problem = format!("the log ends at {last}, but says that its head is {head}");
            self.find(None, None, problem);
        }
        self.report.events = self.hash.events();
        self.report.streams = self.next_versions.len() as u64;
        self.report.sha256 = self.hash.to_hex();
        self.report
    }

    fn missing(&mut self, first: u64, last: u64) {
        let problem = match last - first {
            0 => "no event has this position".to_owned(),
            more => format!("no event has this position, nor the {more} after it"),
        };
        self.find(Some(Position(first)), None, problem);
    }

    fn wrong(&mut self, event: &RecordedEvent, problem: impl Display) {
        let stream = Some(event.stream.clone());
        self.find(Some(event.position), stream, problem.to_string());
    }

    fn find(&mut self, position: Option<Position>, stream: Option<StreamName>, problem: String) {
        self.report.found += 1;
        if self.report.findings.len() < self.max_findings {
            self.report.findings.push(Finding {
                position,
                stream,
                problem,
            });
        }
    }
}

/// Stands for the stream's name: half a SHA-256, so that no two streams share one.
fn key(stream: &StreamName) -> [u64; 2] {
    let digest: [u8; 32] = Sha256::digest(stream.as_str()).into();
    let word = |from: usize| {
        let bytes = digest[from..].iter().take(8);
        bytes.fold(0, |word, byte| word << 8 | u64::from(*byte))
    };
    [word(0), word(8)]
}

#[cfg(test)]
pub(crate) mod tests;
