//! What a key's state remembers, bounded: the newest writes, who told of each, the order of each
//! authority, and the deliveries that led to nothing.
//!
//! It is a part of every event of the key, so these shapes are storage format.

use std::cmp::Ordering;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ObjectState, ObjectVersion, OrderMark};
use crate::ExecutionId;

/// How many versions of a key are remembered to know a repeated delivery. They are part of each event
/// of the key, so that more would make every event larger; what comes later is told by the order of
/// its channel, or is stale (see [`Forgotten`]).
pub const REMEMBERED_VERSIONS: usize = 16;

/// How many notifications are remembered with one version: more than a store has channels.
pub const REMEMBERED_TELLINGS: usize = 8;

/// How many notifications are remembered that led to nothing new: as many as versions, and for the same
/// reason not more. One that is forgotten is judged anew.
pub const REMEMBERED_DISREGARDED: usize = 16;

/// How many order marks are kept beside [`ObjectState::highest`]: together, more than a store has
/// channels.
pub const OTHER_MARKS: usize = 8;

/// The version id of S3 and its kin for what is written while versions are not kept. Each such write
/// has it.
const NULL_VERSION: &str = "null";

/// A write that was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// What was written or removed.
    pub version: ObjectVersion,
    /// Whether it was a removal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub removed: bool,
    /// The attempt that wrote it: one that repeats itself with the same content is one write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<ExecutionId>,
    /// Its place in the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderMark>,
    /// Whether a repetition has its recorded verdict already: one is enough.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub verdict_given: bool,
    /// The notifications that told of it, oldest first; at most [`REMEMBERED_TELLINGS`]. A channel
    /// tells of a version once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<Telling>,
}

/// A notification that was delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Telling {
    /// The channel: the store's kind, and the way where that has an order of its own.
    pub channel: String,
    /// The identity of the event, see [`super::Told::identity`].
    pub event: Uuid,
    /// Its place in the channel's order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequencer: Option<String>,
    /// When it happened, by the store's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The version that it said is gone, or of the marker that hides the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_version: Option<String>,
    /// How many repetitions are on record.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub repeats: u64,
    /// Whether a rule of the config ignored it. By another config it counts as if it had never been
    /// delivered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub filtered: bool,
}

/// What is known of versions that are not remembered any more: enough to tell what cannot be one of
/// them. Times are those of the store's clock, as far as a channel told them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// The newest time of any of them.
    pub until: Timestamp,
    /// The channels that told of each of them. Their own order knows them all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told_by: Vec<String>,
}

/// How much later than its writer a store may time a write that only its writer has told of, in seconds:
/// longer than a request to a store takes.
const UNTOLD_WITHIN_SECS: i64 = 60;

/// Whether a count says nothing.
pub(super) fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl ObjectState {
    /// The highest mark of an authority.
    pub fn mark_of(&self, authority: &str) -> Option<&OrderMark> {
        let all = self.highest.iter().chain(&self.others);
        all.into_iter().find(|mark| mark.authority == authority)
    }

    /// Whether a mark is below the highest of its authority.
    pub(super) fn is_behind(&self, order: &OrderMark) -> bool {
        let highest = self.mark_of(&order.authority);
        highest.is_some_and(|highest| order.compare(highest) == Some(Ordering::Less))
    }

    /// Takes a mark into account.
    pub(super) fn advance(&mut self, order: &OrderMark) {
        match &mut self.highest {
            None => self.highest = Some(order.clone()),
            Some(highest) if highest.authority == order.authority => raise(highest, order),
            Some(_) => {
                let at = self
                    .others
                    .iter()
                    .position(|it| it.authority == order.authority);
                // The one that was of use last stays longest.
                let mut mark = match at {
                    Some(at) => self.others.remove(at),
                    None => order.clone(),
                };
                raise(&mut mark, order);
                if self.others.len() >= OTHER_MARKS {
                    self.others.remove(0);
                }
                self.others.push(mark);
            }
        }
    }

    /// Remembers a write, and its place in the order.
    pub(super) fn remember(&mut self, seen: Remembered) {
        if let Some(order) = &seen.order {
            self.advance(order);
        }
        self.make_room();
        self.recent.push_back(seen);
    }

    /// Forgets the oldest write where there is no room for one more.
    pub(super) fn make_room(&mut self) {
        if self.recent.len() < REMEMBERED_VERSIONS {
            return;
        }
        let Some(oldest) = self.recent.pop_front().filter(|known| !known.removed) else {
            return;
        };
        let told = oldest.told.iter().filter_map(|telling| telling.at).max();
        let seen = oldest.version.modified_at.map(|at| {
            let slack = SignedDuration::from_secs(UNTOLD_WITHIN_SECS);
            at.checked_add(slack).unwrap_or(at)
        });
        let Some(until) = told.or(seen) else {
            return;
        };
        let channels = || oldest.told.iter().map(|telling| telling.channel.clone());
        match &mut self.forgotten {
            None => {
                let mut told_by: Vec<_> = channels().collect();
                told_by.sort_unstable();
                told_by.dedup();
                self.forgotten = Some(Forgotten { until, told_by });
            }
            Some(forgotten) => {
                forgotten.until = forgotten.until.max(until);
                forgotten.told_by.retain(|it| oldest.was_told_by(it));
            }
        }
    }

    /// Remembers a notification that led to nothing new.
    pub(super) fn remember_disregarded(&mut self, telling: Telling) {
        if self.disregarded.len() >= REMEMBERED_DISREGARDED {
            self.disregarded.pop_front();
        }
        self.disregarded.push_back(telling);
    }

    /// Where the newest write that left an object is remembered, if there is an object.
    pub(super) fn standing(&self) -> Option<&Remembered> {
        self.recent
            .iter()
            .rev()
            .find(|known| !known.removed)
            .filter(|_| self.present)
    }
}

fn raise(mark: &mut OrderMark, order: &OrderMark) {
    if order.compare(mark) != Some(Ordering::Less) {
        mark.clone_from(order);
    }
}

impl Remembered {
    /// Notes that a notification told of it.
    pub(super) fn tell(&mut self, telling: Telling) {
        if self.told.len() >= REMEMBERED_TELLINGS {
            self.told.remove(0);
        }
        self.told.push(telling);
    }

    /// Whether the channel has told of it.
    pub(super) fn was_told_by(&self, channel: &str) -> bool {
        self.told.iter().any(|telling| telling.channel == channel)
    }
}

impl ObjectVersion {
    /// The version id, where it names one write and no other.
    pub(super) fn unique_id(&self) -> Option<&str> {
        self.version_id.as_deref().filter(|id| *id != NULL_VERSION)
    }

    /// Whether the version ids say that these are two writes.
    pub(super) fn differs_by_id(&self, other: &ObjectVersion) -> bool {
        match (&self.version_id, &other.version_id) {
            (Some(a), Some(b)) => a != b,
            _ => false,
        }
    }

    /// Whether it was uploaded in parts (S3 user guide, "Checking object integrity": the entity tag
    /// ends with their number).
    pub(super) fn is_in_parts(&self) -> bool {
        self.etag.as_deref().is_some_and(|etag| etag.contains('-'))
    }

    /// Whether entity tag and size are the same, as far as that can be known.
    pub(super) fn has_content_of(&self, other: &ObjectVersion) -> bool {
        self.etag.is_some()
            && self.size.is_some()
            && self.etag == other.etag
            && self.size == other.size
    }
}
