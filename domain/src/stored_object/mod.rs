//! One key of one bucket: each version is recorded once, in order, and each delivery that leads
//! to nothing gets its verdict.
//!
//! Every event carries the whole (small) state, so that a key that was overwritten a million times
//! loads by reading one event.

mod command;
mod error;
mod event;
mod filter;
mod listed;
mod memory;
mod notified;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use command::{
    Happened, IgnoredBy, ObjectCommand, OrderRule, RecordCreated, RecordNotification, RecordRemoved,
};
pub use error::ObjectError;
pub use event::{
    Channel, NotificationDisregarded, ObjectCreated, ObjectEvent, ObjectRemoved, ObjectVersion,
    OrderMark, ProducedBy, Told, Verdict,
};
pub use filter::{InvalidFilter, NotificationFilter, ignored_by, takes_key};
pub use listed::{Difference, ListedVersion, RecordGone, RecordListed};
pub use memory::{
    Forgotten, OTHER_MARKS, REMEMBERED_DISREGARDED, REMEMBERED_TELLINGS, REMEMBERED_VERSIONS,
    Remembered, Telling,
};
pub use notified::{Answer, reasons};

use crate::{Aggregate, BucketName, Context, ExecutionId, Load, ObjectKey};

/// The name of the stream of an object.
pub fn stream_of(bucket: &BucketName, key: &ObjectKey) -> String {
    format!("object-{bucket}/{key}")
}

/// The object whose stream has a name, if that is the name of one.
pub fn object_of(stream: &str) -> Option<(BucketName, ObjectKey)> {
    // No name of a bucket has a slash.
    let (bucket, key) = stream.strip_prefix("object-")?.split_once('/')?;
    Some((BucketName::parse(bucket).ok()?, ObjectKey::parse(key).ok()?))
}

/// The aggregate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StoredObject {
    /// What is known of the key.
    pub state: ObjectState,
}

/// What is known of a key: small, because each event carries it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ObjectState {
    /// Whether the newest recorded write left an object.
    pub present: bool,
    /// How many versions were recorded.
    pub versions: u64,
    /// The highest order mark of the authority that was first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub highest: Option<OrderMark>,
    /// Those of the other authorities; at most [`OTHER_MARKS`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<OrderMark>,
    /// The newest identities, oldest first; at most [`REMEMBERED_VERSIONS`].
    pub recent: VecDeque<Remembered>,
    /// The newest notifications that led to nothing, oldest first; at most
    /// [`REMEMBERED_DISREGARDED`].
    #[serde(skip_serializing_if = "VecDeque::is_empty")]
    pub disregarded: VecDeque<Telling>,
    /// What is known of the versions that are not remembered any more, if there are such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forgotten: Option<Forgotten>,
}

impl Aggregate for StoredObject {
    const NAME: &'static str = "object";
    const LOAD: Load = Load::NewestEvent;
    type Command = ObjectCommand;
    type Event = ObjectEvent;
    type Error = ObjectError;

    fn decide(
        &self,
        command: ObjectCommand,
        context: &Context,
    ) -> Result<Vec<ObjectEvent>, ObjectError> {
        Ok(match command {
            ObjectCommand::RecordCreated(created) => self.decide_created(created, context),
            ObjectCommand::RecordRemoved(removed) => self.decide_removed(removed),
            ObjectCommand::RecordReappeared(created) => self.decide_reappeared(created),
            ObjectCommand::RecordListed(listed) => self.decide_listed(listed),
            ObjectCommand::RecordGone(gone) => self.decide_gone(gone),
            ObjectCommand::RecordNotification(notified) => self.decide_notification(notified),
        })
    }

    fn evolve(self, event: &ObjectEvent) -> Self {
        let state = match event {
            ObjectEvent::ObjectCreated(event) => &event.state,
            ObjectEvent::ObjectRemoved(event) => &event.state,
            ObjectEvent::NotificationDisregarded(event) => &event.state,
        };
        Self {
            state: state.clone(),
        }
    }
}

impl StoredObject {
    fn decide_created(&self, created: RecordCreated, context: &Context) -> Vec<ObjectEvent> {
        if created.channel == Channel::Gateway
            && let Some(event) = self.told_before_gateway(&created, context)
        {
            return vec![event];
        }
        let RecordCreated {
            bucket,
            key,
            version,
            channel,
            event_name,
            order,
            produced_by,
        } = created;
        if self.is_no_news(&version, order.as_ref(), &channel, false) {
            return Vec::new();
        }
        let repeated = produced_by
            .as_ref()
            .is_some_and(|by| self.state.was_written_by(by.execution, &version))
            || channel.looks_for_itself() && self.state.shows(&version);
        let mut state = self.state.clone();
        state.present = true;
        state.versions += 1;
        state.remember(Remembered {
            version: version.clone(),
            removed: false,
            execution: produced_by.as_ref().map(|by| by.execution),
            order: order.clone(),
            ..Remembered::default()
        });
        vec![
            ObjectCreated {
                bucket,
                key,
                version,
                channel,
                event_name,
                order,
                produced_by,
                repeated,
                older: false,
                told: None,
                state,
            }
            .into(),
        ]
    }

    fn decide_removed(&self, removed: RecordRemoved) -> Vec<ObjectEvent> {
        let RecordRemoved {
            bucket,
            key,
            version,
            channel,
            event_name,
            order,
            removed_by,
        } = removed;
        if order.is_none() && !self.state.present {
            return Vec::new();
        }
        if self.is_no_news(&version, order.as_ref(), &channel, true) {
            return Vec::new();
        }
        let mut state = self.state.clone();
        state.present = false;
        state.remember(Remembered {
            version: version.clone(),
            removed: true,
            execution: removed_by.as_ref().map(|by| by.execution),
            order: order.clone(),
            ..Remembered::default()
        });
        vec![
            ObjectRemoved {
                bucket,
                key,
                version,
                channel,
                event_name,
                order,
                removed_by,
                told: None,
                state,
            }
            .into(),
        ]
    }

    fn decide_reappeared(&self, created: RecordCreated) -> Vec<ObjectEvent> {
        let RecordCreated {
            bucket,
            key,
            version,
            channel,
            event_name,
            order,
            produced_by,
        } = created;
        let is_newest = self.state.present
            && self.state.recent.back().is_some_and(|known| {
                !known.removed && known.version.is_same(&version) == Some(true)
            });
        let is_stale = order.as_ref().is_some_and(|order| {
            let highest = self.state.mark_of(&order.authority);
            highest.is_some_and(|highest| order.compare(highest) != Some(Ordering::Greater))
        });
        if is_newest || is_stale {
            return Vec::new();
        }
        let mut state = self.state.clone();
        state.present = true;
        state.remember(Remembered {
            version: version.clone(),
            removed: false,
            execution: produced_by.as_ref().map(|by| by.execution),
            order: order.clone(),
            ..Remembered::default()
        });
        vec![
            ObjectCreated {
                bucket,
                key,
                version,
                channel,
                event_name,
                order,
                produced_by,
                repeated: true,
                older: false,
                told: None,
                state,
            }
            .into(),
        ]
    }

    /// Whether a sighting is on record, or too late. The gateway's own proposals and the channels
    /// that look for themselves (listing, watcher) come with known versions all the time, so that
    /// nothing is recorded of it.
    fn is_no_news(
        &self,
        version: &ObjectVersion,
        order: Option<&OrderMark>,
        channel: &Channel,
        removed: bool,
    ) -> bool {
        let known = self.state.find(version, order, removed);
        let on_record = known
            .is_some_and(|at| !(channel.looks_for_itself() && self.state.came_again(at, order)));
        on_record || order.is_some_and(|order| self.state.is_behind(order))
    }
}

impl ObjectState {
    fn find(
        &self,
        version: &ObjectVersion,
        order: Option<&OrderMark>,
        removed: bool,
    ) -> Option<usize> {
        self.recent.iter().rposition(|known| {
            known.removed == removed
                && match known.version.is_same(version) {
                    Some(same) => same,
                    None => order.is_some() && known.order.as_ref() == order,
                }
        })
    }

    /// Whether what was remembered there has been replaced or removed since, and is seen anew, not
    /// told of again: a repetition has the place in the order that it had.
    fn came_again(&self, at: usize, order: Option<&OrderMark>) -> bool {
        let known = &self.recent[at];
        let stands = at + 1 == self.recent.len() && self.present != known.removed;
        let later = match (order, &known.order) {
            (Some(order), Some(known)) => order.compare(known) == Some(Ordering::Greater),
            _ => false,
        };
        !stands && later
    }

    /// Whether the object that is there looks the same: then a file that is found lost its stamp
    /// (restored without attributes, copied onto itself) and is no new work.
    fn shows(&self, version: &ObjectVersion) -> bool {
        let looks = version.weak_identity();
        self.present
            && looks.is_some()
            && self
                .recent
                .back()
                .is_some_and(|known| !known.removed && known.version.weak_identity() == looks)
    }

    /// Whether an attempt of the execution has written this content as the newest version.
    fn was_written_by(&self, execution: ExecutionId, version: &ObjectVersion) -> bool {
        self.present
            && version.etag.is_some()
            && self.recent.back().is_some_and(|known| {
                known.execution == Some(execution)
                    && known.version.etag == version.etag
                    && known.version.size == version.size
            })
    }
}

impl ObjectVersion {
    /// Whether two sightings are of one version: by stamp, then by version id, then by entity tag,
    /// size and time together. `None` where they have nothing in common to compare.
    pub fn is_same(&self, other: &ObjectVersion) -> Option<bool> {
        if let (Some(a), Some(b)) = (self.stamp, other.stamp) {
            return Some(a == b);
        }
        if let (Some(a), Some(b)) = (&self.version_id, &other.version_id) {
            return Some(a == b);
        }
        match (self.weak_identity(), other.weak_identity()) {
            (Some(a), Some(b)) => Some(a == b),
            _ => None,
        }
    }

    fn weak_identity(&self) -> Option<(&str, u64, jiff::Timestamp)> {
        Some((self.etag.as_deref()?, self.size?, self.modified_at?))
    }

    /// A text that names this version among those of its key, the same on every channel that
    /// knows as much of it.
    pub fn identity(&self) -> String {
        if let Some(stamp) = self.stamp {
            return format!("stamp:{stamp}");
        }
        if let Some(version_id) = &self.version_id {
            return format!("version:{version_id}");
        }
        format!(
            "etag:{}:{}:{}",
            self.etag.as_deref().unwrap_or("-"),
            self.size
                .map_or_else(|| "-".to_owned(), |size| size.to_string()),
            self.modified_at
                .map_or_else(|| "-".to_owned(), |time| time.to_string()),
        )
    }
}

impl Channel {
    /// Whether it sees what is there, and not what somebody tells of a write.
    fn looks_for_itself(&self) -> bool {
        matches!(self, Self::Watcher | Self::Listing)
    }
}

impl OrderMark {
    /// Which write is the newer one; `None` where the authorities differ.
    pub fn compare(&self, other: &OrderMark) -> Option<Ordering> {
        if self.authority != other.authority {
            return None;
        }
        let width = self.sequencer.len().max(other.sequencer.len());
        let padded = |text: &str| format!("{text:0<width$}").to_ascii_lowercase();
        Some(padded(&self.sequencer).cmp(&padded(&other.sequencer)))
    }
}

/// The namespace of execution ids and others that follow from an object version.
pub(crate) const NAMESPACE: Uuid = Uuid::from_u128(0x8a6c_5a0e_1d0b_5f55_9a53_6461_7962_6b01);
