//! What stores tell of an object: each write is one version, through however many channels it is
//! told, however often, and in whatever order.
//!
//! ```text
//!  RecordNotification ─┬─ created ─ delivered before? ─ a known version? ─ too late? ─> ObjectCreated
//!                      ├─ removed ─ delivered before? ─ too late? ─ of what is there? ─> ObjectRemoved
//!                      └─ other ──────────────────────────────────────────────┐
//!                                   everything else ─> NotificationDisregarded <┘ or, for what
//!                                                      is on record enough times, nothing
//! ```

use std::cmp::Ordering;

use jiff::Timestamp;

use super::command::{Happened, IgnoredBy, OrderRule, RecordNotification};
use super::memory::{Remembered, Telling};
use super::{
    Channel, NotificationDisregarded, ObjectCreated, ObjectEvent, ObjectRemoved, ObjectState,
    ObjectVersion, OrderMark, RecordCreated, StoredObject, Verdict,
};
use crate::Context;

/// Repetitions are recorded when there are this many times as many as are on record (a factor), so that
/// a flood of n grows the log by log n.
const REPEATS_RECORDED_AT: u64 = 10;

/// How long after a store's own time of a write the gateway may come to record it as its own, where
/// nothing but content says that it is the same, in seconds: longer than a request to a store takes.
const GATEWAY_FOLLOWS_WITHIN_SECS: i64 = 60;

/// How much later than a known version, by the clocks of those who told of it, an event may be and
/// still tell of that version, where nothing but content says so, in seconds. S3 itself bears clocks
/// that are 15 minutes wrong.
const SAME_WRITE_WITHIN_SECS: i64 = 15 * 60;

/// How far two times of one write may differ, in seconds: some channels tell times in whole ones.
const COARSEST_TIME_SECS: i64 = 1;

/// What is answered to the one who delivered a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The verdict; `None` where it was accepted.
    pub verdict: Option<Verdict>,
    /// Why, in a word.
    pub reason: Option<&'static str>,
}

/// Words for why a notification led to nothing. They are part of answers and of events.
pub mod reasons {
    /// The same event was delivered before.
    pub const REPEATED: &str = "repeated-delivery";
    /// The version is on record, from another channel or from an equal event.
    pub const KNOWN_VERSION: &str = "known-version";
    /// A newer event of the same authority was recorded.
    pub const OLDER: &str = "older-sequencer";
    /// It is no newer than versions that are not remembered any more, and may be one of them.
    pub const FORGOTTEN: &str = "forgotten";
    /// The version was removed before its arrival was told.
    pub const REMOVED: &str = "removed-before";
    /// It tells of something else than an arrival.
    pub const NOT_A_CREATE: &str = "not-a-create";
    /// The bucket's filter takes other keys, which begin otherwise.
    pub const PREFIX: &str = "prefix";
    /// The bucket's filter takes other keys, which end otherwise.
    pub const SUFFIX: &str = "suffix";
    /// The bucket's filter takes other events.
    pub const EVENT_TYPE: &str = "event-type";
    /// It is an output of what runs aside, which the gateway records.
    pub const SHADOW: &str = "shadow";
    /// The gateway's own record of a write that a notification had told of.
    pub const TOLD_BEFORE: &str = "told-before";

    /// The word itself, if it is one of these.
    pub fn known(word: Option<&str>) -> Option<&'static str> {
        let all = [
            REPEATED,
            KNOWN_VERSION,
            OLDER,
            FORGOTTEN,
            REMOVED,
            NOT_A_CREATE,
            PREFIX,
            SUFFIX,
            EVENT_TYPE,
            SHADOW,
            TOLD_BEFORE,
        ];
        all.into_iter().find(|known| Some(*known) == word)
    }
}

/// A verdict with its reason in a word and in a sentence.
struct Judged(Verdict, &'static str, String);

impl StoredObject {
    /// What a notification leads to.
    pub(super) fn decide_notification(&self, notified: RecordNotification) -> Vec<ObjectEvent> {
        if let Some(rule) = self.ignoring(&notified) {
            let judged = Judged(Verdict::Ignored, rule.reason, rule.why.clone());
            return self.disregarded(&notified, judged, false);
        }
        match notified.happened {
            Happened::Created => self.decide_told_creation(notified),
            Happened::Removed => self.decide_told_removal(notified),
            Happened::Other => {
                let why = format!("{} is not the arrival of an object", notified.event_name);
                let judged = Judged(Verdict::Ignored, reasons::NOT_A_CREATE, why);
                self.disregarded(&notified, judged, false)
            }
        }
    }

    /// The rule by which a notification is ignored, unless it was taken before there was that rule.
    fn ignoring<'a>(&self, notified: &'a RecordNotification) -> Option<&'a IgnoredBy> {
        let rule = notified.ignored.as_ref()?;
        self.state.told_of(notified).is_none().then_some(rule)
    }

    /// What to answer for a notification that recorded nothing, on the state after it.
    pub fn answer_to_repetition(&self, notified: &RecordNotification) -> Answer {
        let created = notified.happened == Happened::Created;
        let (verdict, reason) = match (created, self.ignoring(notified)) {
            (_, Some(rule)) => (Verdict::Ignored, rule.reason),
            (false, None) => (Verdict::Ignored, reasons::NOT_A_CREATE),
            (true, None) if self.state.is_disregarded(notified) => (Verdict::Stale, reasons::OLDER),
            (true, None) => (Verdict::Duplicate, reasons::REPEATED),
        };
        Answer {
            verdict: Some(verdict),
            reason: Some(reason),
        }
    }

    /// How many repetitions of a notification are on record.
    pub fn recorded_repeats(&self, notified: &RecordNotification) -> u64 {
        let told = self.state.recent.iter().flat_map(|known| &known.told);
        let found = told
            .chain(&self.state.disregarded)
            .find(|telling| telling.event == notified.told.identity);
        found.map_or(0, |telling| telling.repeats)
    }

    fn decide_told_creation(&self, notified: RecordNotification) -> Vec<ObjectEvent> {
        let state = &self.state;
        if let Some((at, index)) = state.told_of(&notified) {
            return self.repeated(&notified, at, index);
        }
        if state.is_disregarded(&notified) {
            let judged = Judged(
                Verdict::Stale,
                reasons::OLDER,
                "it was delivered before, too late already".to_owned(),
            );
            return self.disregarded(&notified, judged, false);
        }
        if let Some(at) = state.recognise(&notified) {
            return self.known(&notified, at);
        }
        if let Some(judged) = state.too_late(&notified) {
            return self.disregarded(&notified, judged, false);
        }
        self.accepted(notified)
    }

    /// A new version.
    fn accepted(&self, notified: RecordNotification) -> Vec<ObjectEvent> {
        let mut version = notified.version.clone();
        if version.unique_id().is_none() && version.stamp.is_none() {
            // Nothing else tells it from an earlier write of the same content.
            version.stamp = Some(notified.told.identity);
        }
        // An older version that comes late is recorded, and is not the object.
        let older = self.state.is_behind_in_time(&notified);
        let mut state = self.state.clone();
        state.versions += 1;
        let seen = Remembered {
            version: version.clone(),
            order: notified.order.clone(),
            told: vec![notified.telling()],
            ..Remembered::default()
        };
        match older {
            true => {
                if let Some(order) = &seen.order {
                    state.advance(order);
                }
                state.remember_older(seen);
            }
            false => {
                state.present = true;
                state.remember(seen);
            }
        }
        let RecordNotification {
            bucket,
            key,
            channel,
            event_name,
            order,
            told,
            ..
        } = notified;
        let created = ObjectCreated {
            bucket,
            key,
            version,
            channel: Channel::Notification(channel),
            event_name,
            order,
            produced_by: None,
            repeated: false,
            older,
            told: Some(told),
            state,
        };
        vec![created.into()]
    }

    /// A version that is on record, of which this channel had not told: its details are noted.
    fn known(&self, notified: &RecordNotification, at: usize) -> Vec<ObjectEvent> {
        let mut state = self.state.clone();
        let known = &mut state.recent[at];
        known.tell(notified.telling());
        let version = &mut known.version;
        let said = &notified.version;
        version.version_id = version.version_id.take().or(said.version_id.clone());
        version.etag = version.etag.take().or(said.etag.clone());
        version.size = version.size.or(said.size);
        if let Some(order) = &notified.order {
            state.advance(order);
        }
        let why = "this version was recorded before".to_owned();
        let judged = Judged(Verdict::Duplicate, reasons::KNOWN_VERSION, why);
        vec![disregard(notified, judged, 0, state)]
    }

    /// The same event once more.
    fn repeated(&self, notified: &RecordNotification, at: usize, index: usize) -> Vec<ObjectEvent> {
        let mut state = self.state.clone();
        let telling = &mut state.recent[at].told[index];
        if !telling.repeats_again(notified.repeats) {
            return Vec::new();
        }
        let repeats = telling.repeats;
        let judged = match notified.happened {
            Happened::Created => Judged(
                Verdict::Duplicate,
                reasons::REPEATED,
                "this event was delivered before".to_owned(),
            ),
            _ => Judged(
                Verdict::Ignored,
                reasons::NOT_A_CREATE,
                "this removal was delivered before".to_owned(),
            ),
        };
        vec![disregard(notified, judged, repeats, state)]
    }

    fn decide_told_removal(&self, notified: RecordNotification) -> Vec<ObjectEvent> {
        let state = &self.state;
        if let Some((at, index)) = state.told_of(&notified) {
            return self.repeated(&notified, at, index);
        }
        let ignored = |why: String| Judged(Verdict::Ignored, reasons::NOT_A_CREATE, why);
        let behind = notified
            .order
            .as_ref()
            .is_some_and(|it| state.is_behind(it));
        if behind || state.is_disregarded(&notified) {
            let judged = ignored("a removal, and a newer event was recorded before".to_owned());
            return self.disregarded(&notified, judged, false);
        }
        let of_one_version = state.removes_one_version(&notified);
        if !state.may_remove(&notified, of_one_version) {
            let judged =
                ignored("a removal, and not of what the ledger knows to be there".to_owned());
            return self.disregarded(&notified, judged, of_one_version);
        }
        let mut state = state.clone();
        state.present = false;
        let telling = Telling {
            removed_version: of_one_version
                .then(|| notified.version.version_id.clone())
                .flatten(),
            ..notified.telling()
        };
        state.remember(Remembered {
            version: notified.version.clone(),
            removed: true,
            order: notified.order.clone().filter(|_| !of_one_version),
            told: vec![telling],
            ..Remembered::default()
        });
        let RecordNotification {
            bucket,
            key,
            version,
            channel,
            event_name,
            order,
            told,
            ..
        } = notified;
        let removed = ObjectRemoved {
            bucket,
            key,
            version,
            channel: Channel::Notification(channel),
            event_name,
            order,
            removed_by: None,
            told: Some(told),
            state,
        };
        vec![removed.into()]
    }

    /// A notification that leads to nothing. A repetition is recorded at powers of ten.
    fn disregarded(
        &self,
        notified: &RecordNotification,
        judged: Judged,
        of_one_version: bool,
    ) -> Vec<ObjectEvent> {
        let mut state = self.state.clone();
        let (event, filtered) = (notified.told.identity, notified.ignored.is_some());
        let mut remembered = state.disregarded.iter_mut();
        let before = remembered.find(|it| it.event == event && it.filtered == filtered);
        let repeats = match before {
            Some(telling) => match telling.repeats_again(notified.repeats) {
                true => telling.repeats,
                false => return Vec::new(),
            },
            None => {
                // What a rule ignores says nothing about the object.
                let removed = notified.happened == Happened::Removed && !filtered;
                let version_id = notified.version.version_id.clone();
                state.remember_disregarded(Telling {
                    removed_version: version_id.filter(|_| removed),
                    filtered,
                    ..notified.telling()
                });
                // A removal is remembered for order, also of what is not known yet.
                if let (true, false, Some(order)) = (removed, of_one_version, &notified.order) {
                    state.advance(order);
                }
                0
            }
        };
        vec![disregard(notified, judged, repeats, state)]
    }

    /// The gateway's own record of a write, where a notification was faster: the store tells of it
    /// as soon as it has the object, and the gateway when it has the store's answer.
    pub(super) fn told_before_gateway(
        &self,
        created: &RecordCreated,
        context: &Context,
    ) -> Option<ObjectEvent> {
        let version = &created.version;
        let at = self.state.recent.iter().rposition(|known| {
            let Some(first) = known.told.first().filter(|_| !known.removed) else {
                return false;
            };
            let is_ours = known
                .version
                .stamp
                .is_some_and(|stamp| stamp != first.event);
            let same_id = match (known.version.unique_id(), version.unique_id()) {
                (Some(a), Some(b)) => Some(a == b),
                _ => None,
            };
            let soon = first.at.is_some_and(|at| {
                (context.now.as_second() - at.as_second()).abs() <= GATEWAY_FOLLOWS_WITHIN_SECS
            });
            !is_ours
                && same_id.unwrap_or_else(|| {
                    soon && known.version.has_content_of(version)
                        && !known.version.differs_by_id(version)
                })
        })?;
        let mut state = self.state.clone();
        let known = &mut state.recent[at];
        known.version = ObjectVersion {
            version_id: version
                .version_id
                .clone()
                .or(known.version.version_id.take()),
            ..version.clone()
        };
        known.execution = created.produced_by.as_ref().map(|by| by.execution);
        known.order.clone_from(&created.order);
        if let Some(order) = &created.order {
            state.advance(order);
        }
        let event = NotificationDisregarded {
            bucket: created.bucket.clone(),
            key: created.key.clone(),
            verdict: Verdict::Duplicate,
            why: "a notification told of this write before the gateway had its answer".to_owned(),
            version: version.clone(),
            channel: created.channel.clone(),
            reason: Some(reasons::TOLD_BEFORE.to_owned()),
            told: None,
            repeats: 0,
            state,
        };
        Some(event.into())
    }
}

impl ObjectState {
    /// Where this very event is remembered.
    fn told_of(&self, notified: &RecordNotification) -> Option<(usize, usize)> {
        let event = notified.told.identity;
        self.recent.iter().enumerate().find_map(|(at, known)| {
            let index = known
                .told
                .iter()
                .position(|telling| telling.event == event)?;
            Some((at, index))
        })
    }

    /// Whether this very event led to nothing before.
    fn is_disregarded(&self, notified: &RecordNotification) -> bool {
        let event = notified.told.identity;
        self.disregarded
            .iter()
            .any(|telling| telling.event == event && !telling.filtered)
    }

    /// The version that a notification tells of, if it is on record: by stamp, by the channel's own
    /// order, by version id, and then by content among those of which this channel has not told.
    fn recognise(&self, notified: &RecordNotification) -> Option<usize> {
        let (version, channel) = (&notified.version, notified.channel.as_str());
        let there = || {
            let known = self.recent.iter().enumerate();
            known.filter(|(_, known)| !known.removed && known.is_of_store_of(notified))
        };
        let by_stamp =
            |known: &Remembered| version.stamp.is_some() && known.version.stamp == version.stamp;
        let by_order = |known: &Remembered| {
            notified.order.as_ref().is_some_and(|order| {
                !known.version.differs_by_id(version) && known.has_place(channel, order)
            })
        };
        let by_id = |known: &Remembered| {
            version.unique_id().is_some() && version.unique_id() == known.version.unique_id()
        };
        let by_content = |at: usize, known: &Remembered| {
            version.has_content_of(&known.version)
                && !known.version.differs_by_id(version)
                && !known.was_told_by(channel)
                && self.may_be_that_write(notified, at)
        };
        let newest = there()
            .rev()
            .find(|(_, known)| by_stamp(known) || by_order(known) || by_id(known));
        let found = newest.or_else(|| there().find(|(at, known)| by_content(*at, known)));
        found.map(|(at, _)| at)
    }

    /// Whether times and removals allow that an event tells of the version that is remembered there.
    fn may_be_that_write(&self, notified: &RecordNotification, at: usize) -> bool {
        let known = &self.recent[at];
        let removed = self.recent.range(at..).any(|later| later.removed);
        let (Some(told), Some(time)) = (notified.told.event_time, known.time()) else {
            // Nobody knows. What was removed since is more likely to have been written again.
            return !removed;
        };
        let later_by = told.as_second() - time.as_second();
        // A listing has the store's own time, which no event of the write is before.
        if known.is_only_listed() && later_by < -COARSEST_TIME_SECS {
            return false;
        }
        match removed {
            true => later_by.abs() <= COARSEST_TIME_SECS,
            // The store's time of a multipart upload may be that of its beginning.
            false => later_by <= SAME_WRITE_WITHIN_SECS || known.version.is_in_parts(),
        }
    }

    /// Whether the event is older than the newest write by the store's clock, where no order says
    /// anything about the two.
    fn is_behind_in_time(&self, notified: &RecordNotification) -> bool {
        let Some(newest) = self.newest().filter(|it| it.is_of_store_of(notified)) else {
            return false;
        };
        // What only a listing found has no place in the channel's order.
        let marked = notified.order.as_ref();
        let marked = marked.is_some_and(|order| self.mark_of(&order.authority).is_some());
        if marked && !newest.is_only_listed() {
            return false;
        }
        // The time of a write through the gateway is by another clock.
        let of_store = !newest.told.is_empty() || newest.order.is_none();
        match (notified.told.event_time, newest.time()) {
            (Some(at), Some(time)) if of_store => {
                at.as_second() + COARSEST_TIME_SECS < time.as_second()
            }
            _ => false,
        }
    }

    /// Whether an event that nothing remembered is known by may tell of a version that was recorded
    /// and is not remembered any more. A channel that told of all of these knows by its own order.
    fn may_be_forgotten(&self, notified: &RecordNotification) -> bool {
        let Some(forgotten) = &self.forgotten else {
            return false;
        };
        let knows = notified.order.is_some() && forgotten.told_by.contains(&notified.channel);
        !knows
            && notified
                .told
                .event_time
                .is_some_and(|at| at <= forgotten.until)
    }

    /// Why an arrival is no news any more, if it is none.
    fn too_late(&self, notified: &RecordNotification) -> Option<Judged> {
        if let Some(id) = notified.version.unique_id() {
            let removed = self.recent.iter().filter(|known| known.removed);
            let by_write = removed.clone().any(|it| it.version.unique_id() == Some(id));
            let told = removed.flat_map(|known| &known.told);
            let mut told = told.chain(&self.disregarded);
            if by_write || told.any(|it| it.removed_version.as_deref() == Some(id)) {
                let why = "this version was removed before its arrival was told".to_owned();
                return Some(Judged(Verdict::Stale, reasons::REMOVED, why));
            }
        }
        if self.may_be_forgotten(notified) {
            let why = "it is no newer than versions that are not remembered any more, and may be one of \
                       them; a reconcile compares with all that are on record";
            return Some(Judged(Verdict::Stale, reasons::FORGOTTEN, why.to_owned()));
        }
        // Of two writes that are told without an order (Cloudflare R2) neither is late; but what is older
        // than what a listing found was there when it was listed, or was gone, and what is older than a
        // removal is gone.
        let ends_it = |newest: &Remembered| newest.removed || newest.is_only_listed();
        let by_clock = notified.order.is_some() || self.newest().is_some_and(ends_it);
        if notified.version.unique_id().is_none() && by_clock && self.is_behind_in_time(notified) {
            let why =
                "what was recorded before is newer by the store's clock, and versions are not kept";
            return Some(Judged(Verdict::Stale, reasons::OLDER, why.to_owned()));
        }
        let order = notified.order.as_ref()?;
        let highest = self.mark_of(&order.authority)?;
        let than = match order.compare(highest)? {
            Ordering::Greater => return None,
            Ordering::Less => "is older than",
            // It told of a version that is not remembered any more.
            Ordering::Equal => "is no newer than",
        };
        let why = format!(
            "its sequencer {} {than} {}, which was recorded before",
            order.sequencer, highest.sequencer
        );
        Some(Judged(Verdict::Stale, reasons::OLDER, why))
    }

    /// Whether a removal is of one version alone, and not of what is newest, whatever that is: S3
    /// and its kin say the version id of a marker in the one case, of the version in the other.
    fn removes_one_version(&self, notified: &RecordNotification) -> bool {
        let Some(id) = notified.version.unique_id() else {
            return false;
        };
        // Where the version is the place in the order, a removal says how far the key has come.
        if notified.told.sequencer.as_deref() == Some(id) {
            return false;
        }
        let known = |known: &Remembered| !known.removed && known.version.unique_id() == Some(id);
        match notified.event_name.as_str() {
            // EventBridge does not say which in the name.
            "Object Deleted" => self.recent.iter().any(known),
            name => !name.contains("Marker"),
        }
    }

    /// Whether a removal is one of the object that is there.
    fn may_remove(&self, notified: &RecordNotification, of_one_version: bool) -> bool {
        let newest = self.standing().filter(|it| it.is_of_store_of(notified));
        let Some(newest) = newest else {
            return false;
        };
        let ids = (newest.version.unique_id(), notified.version.unique_id());
        let same_version = matches!(ids, (Some(a), Some(b)) if a == b);
        if of_one_version && !same_version && ids.0.is_some() {
            return false;
        }
        // Times of one store's clock can veto what orders of two channels cannot say.
        let told_last = newest.told.iter().filter_map(|telling| telling.at).max();
        let listed_at = newest
            .version
            .modified_at
            .filter(|_| newest.is_only_listed());
        if let (Some(last), Some(at)) = (told_last.or(listed_at), notified.told.event_time)
            && at < last
            && !same_version
        {
            return false;
        }
        match notified.rule {
            OrderRule::Notification => true,
            OrderRule::Gateway => {
                let told = newest
                    .told
                    .iter()
                    .find(|it| it.channel == notified.channel)
                    .and_then(|telling| telling.mark());
                let later = match (&notified.order, told) {
                    (Some(order), Some(told)) => order.compare(&told) == Some(Ordering::Greater),
                    _ => false,
                };
                same_version || later
            }
        }
    }
}

impl Remembered {
    /// Whether it may be known to the store that tells. Two stores may have a bucket of one name:
    /// what another kind of store told of, or another account's, is another write. Channels are
    /// named `KIND`, and `KIND/…` where there are several; those with accounts are one an account.
    fn is_of_store_of(&self, notified: &RecordNotification) -> bool {
        fn kind(channel: &str) -> &str {
            channel.split('/').next().unwrap_or(channel)
        }
        let channel = notified.channel.as_str();
        let has_accounts = notified.told.account.is_some();
        self.told.iter().all(|telling| {
            let told = telling.channel.as_str();
            // Once R2's channel did not have the account.
            told == channel
                || told == kind(channel)
                || (!has_accounts && kind(told) == kind(channel))
        })
    }

    /// Whether nothing but a listing of another store's bucket knows of it.
    fn is_only_listed(&self) -> bool {
        let seen = self.version.modified_at.is_some() && self.version.stamp.is_none();
        self.told.is_empty() && self.order.is_none() && seen
    }

    /// When it was written, by whoever told of it first.
    fn time(&self) -> Option<Timestamp> {
        let told = self.told.iter().find_map(|telling| telling.at);
        told.or(self.version.modified_at)
    }

    /// Whether the channel gave it this place in its order.
    fn has_place(&self, channel: &str, order: &OrderMark) -> bool {
        let told = self.told.iter().filter(|it| it.channel == channel);
        told.filter_map(Telling::mark)
            .any(|mark| mark.compare(order) == Some(Ordering::Equal))
    }
}

impl Telling {
    /// Its place in the channel's order.
    fn mark(&self) -> Option<OrderMark> {
        self.sequencer.as_ref().map(|sequencer| OrderMark {
            authority: self.channel.clone(),
            sequencer: sequencer.clone(),
        })
    }

    /// Counts repetitions up to this many, if it is time to record them.
    fn repeats_again(&mut self, repeats: u64) -> bool {
        let due = self.repeats.saturating_mul(REPEATS_RECORDED_AT).max(1);
        let repeats = repeats.max(1);
        if repeats >= due {
            self.repeats = repeats;
        }
        repeats >= due
    }
}

impl RecordNotification {
    fn telling(&self) -> Telling {
        Telling {
            channel: self.channel.clone(),
            event: self.told.identity,
            sequencer: self.order.as_ref().map(|order| order.sequencer.clone()),
            at: self.told.event_time,
            removed_version: None,
            repeats: 0,
            filtered: false,
        }
    }
}

fn disregard(
    notified: &RecordNotification,
    Judged(verdict, word, why): Judged,
    repeats: u64,
    state: ObjectState,
) -> ObjectEvent {
    NotificationDisregarded {
        bucket: notified.bucket.clone(),
        key: notified.key.clone(),
        verdict,
        why,
        version: notified.version.clone(),
        channel: Channel::Notification(notified.channel.clone()),
        reason: Some(word.to_owned()),
        told: Some(notified.told.clone()),
        repeats,
        state,
    }
    .into()
}

#[cfg(test)]
mod tests;
