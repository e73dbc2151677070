//! What stores told of a key, and what became of it: the deliveries that were accepted, which made a
//! version or a removal, and those that led to nothing.

use daybook_domain::stored_object::{
    Channel, NotificationDisregarded, ObjectVersion, Told, Verdict,
};
use daybook_domain::{BucketName, ObjectKey};
use daybook_event_store::RecordedEvent;
use rusqlite::params;

use super::{Fold, Folded, at, int, pos};

/// The verdict on what made the version or the removal that its event records.
pub(super) const ACCEPTED: &str = "ACCEPTED";

/// One delivery and its verdict.
pub(super) struct Delivered<'a> {
    pub(super) bucket: &'a BucketName,
    pub(super) key: &'a ObjectKey,
    pub(super) version: &'a ObjectVersion,
    pub(super) channel: &'a Channel,
    pub(super) told: Option<&'a Told>,
    pub(super) event_name: Option<&'a str>,
    pub(super) verdict: &'static str,
    pub(super) reason: Option<&'a str>,
    pub(super) why: &'a str,
    pub(super) repeats: u64,
}

impl Fold<'_> {
    /// Writes down a delivery. What no notification told of is none.
    pub(super) fn delivered(
        &mut self,
        recorded: &RecordedEvent,
        delivered: &Delivered<'_>,
    ) -> Folded<()> {
        let Channel::Notification(channel) = delivered.channel else {
            return Ok(());
        };
        let told = delivered.told;
        // Before stores were told apart from their channels, the channel was the store.
        let source = told.map_or(channel.as_str(), |told| told.source.as_str());
        let event_name = told.map(|told| told.event_name.as_str());
        let event_time = told.and_then(|told| told.event_time);
        self.run(
            "INSERT INTO notifications VALUES
               (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
            params![
                pos(recorded),
                delivered.bucket.as_str(),
                delivered.key.as_str(),
                delivered.verdict,
                delivered.reason,
                delivered.why,
                delivered.version.version_id,
                delivered.version.etag,
                delivered.version.size.map(int),
                channel,
                source,
                event_name.or(delivered.event_name),
                event_time.map(|time| time.as_microsecond()),
                told.and_then(|told| told.sequencer.as_deref()),
                told.and_then(|told| told.region.as_deref()),
                int(delivered.repeats),
                at(recorded),
            ],
        )?;
        self.tally.count("notifications", delivered.verdict, 1);
        let by_source = format!("{source}/{}", delivered.verdict);
        self.tally.count("notifications_by_source", &by_source, 1);
        Ok(())
    }

    pub(super) fn disregarded(
        &mut self,
        recorded: &RecordedEvent,
        event: &NotificationDisregarded,
    ) -> Folded<()> {
        let verdict = match event.verdict {
            Verdict::Duplicate => "DUPLICATE",
            Verdict::Stale => "STALE",
            Verdict::Ignored => "IGNORED",
        };
        self.delivered(
            recorded,
            &Delivered {
                bucket: &event.bucket,
                key: &event.key,
                version: &event.version,
                channel: &event.channel,
                told: event.told.as_ref(),
                event_name: None,
                verdict,
                reason: event.reason.as_deref(),
                why: &event.why,
                repeats: event.repeats,
            },
        )
    }
}
