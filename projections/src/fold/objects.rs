//! Objects and their versions.

use std::collections::BTreeMap;

use daybook_domain::stored_object::{Channel, ObjectCreated, ObjectEvent, ObjectRemoved};
use daybook_event_store::RecordedEvent;
use rusqlite::{OptionalExtension, params};

use super::notifications::{ACCEPTED, Delivered};
use super::{Fold, Folded, at, int, pos};
use crate::query::BUCKET_STATUS;
use crate::status::{ObjectStatus, execution_status};

impl Fold<'_> {
    pub(super) fn object(&mut self, recorded: &RecordedEvent, event: &ObjectEvent) -> Folded<()> {
        match event {
            ObjectEvent::ObjectCreated(event) => {
                self.delivered(recorded, &accepted_creation(event))?;
                self.object_created(recorded, event)
            }
            ObjectEvent::ObjectRemoved(event) => {
                self.delivered(recorded, &accepted_removal(event))?;
                self.object_removed(recorded, event)
            }
            ObjectEvent::NotificationDisregarded(event) => self.disregarded(recorded, event),
        }
    }

    fn object_created(&mut self, recorded: &RecordedEvent, event: &ObjectCreated) -> Folded<()> {
        let version = &event.version;
        let size = version.size.map(int);
        let (bucket, key) = (event.bucket.as_str(), event.key.as_str());
        let current = self.current(bucket, key)?;
        if event.repeated
            && current.as_ref().is_some_and(|(.., present)| !present)
            && self.reappeared(event)?
        {
            return Ok(());
        }
        // Nothing starts anew for a repeated write: the same content as the current version, which
        // goes on to speak for the object.
        let spoken_for = current
            .clone()
            .filter(|(.., present)| event.repeated && *present);
        let (wanted, status) = match &spoken_for {
            Some((_, status, _)) => (Vec::new(), status.clone()),
            None => {
                let shadow = event.produced_by.as_ref().and_then(|by| by.shadow.as_ref());
                let wanted = match shadow {
                    None => self.wanters.of(&event.bucket, &event.key),
                    // Nothing starts for what a shadow run wrote.
                    Some(_) => Vec::new(),
                };
                let status = ObjectStatus::of([], !wanted.is_empty()).as_str().to_owned();
                (wanted, status)
            }
        };
        let by = event.produced_by.as_ref();
        self.run(
            "INSERT INTO object_versions VALUES
               (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, NULL, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
            params![
                pos(recorded),
                bucket,
                key,
                version.identity(),
                version.version_id,
                version.etag,
                size,
                version.modified_at.map(|time| time.as_microsecond()),
                at(recorded),
                channel_name(&event.channel),
                event.event_name,
                by.map(|by| by.execution.to_string()),
                by.map(|by| by.function.as_str()),
                by.map(|by| by.attempt),
                serde_json::Value::from(wanted).to_string(),
                status,
            ],
        )?;
        self.tally.happened(recorded, "", "objects_created", 1);
        // One that was recorded late is not the object.
        if spoken_for.is_some() || event.older {
            return Ok(());
        }
        if let Some((_, before, true)) = current {
            self.count_object(bucket, &before, -1);
        }
        self.run(
            "INSERT INTO objects VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6)
             ON CONFLICT (bucket, key) DO UPDATE SET
               version = ?3, status = ?4, present = 1, etag = ?5, size = ?6",
            params![bucket, key, pos(recorded), status, version.etag, size],
        )?;
        self.count_object(bucket, &status, 1);
        Ok(())
    }

    /// Makes an earlier version the object again, with what became of it. Returns whether there
    /// is one.
    fn reappeared(&mut self, event: &ObjectCreated) -> Folded<bool> {
        let (bucket, key) = (event.bucket.as_str(), event.key.as_str());
        let version = self
            .tx
            .prepare_cached(
                "SELECT position, status FROM object_versions
                 WHERE bucket = ?1 AND key = ?2 AND identity = ?3 ORDER BY position DESC LIMIT 1",
            )?
            .query_row(params![bucket, key, event.version.identity()], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
            })
            .optional()?;
        let Some((position, status)) = version else {
            return Ok(false);
        };
        self.run(
            "UPDATE objects SET version = ?3, status = ?4, present = 1, etag = ?5, size = ?6
             WHERE bucket = ?1 AND key = ?2",
            params![
                bucket,
                key,
                position,
                status,
                event.version.etag,
                event.version.size.map(int)
            ],
        )?;
        self.run(
            "UPDATE object_versions SET removed_at = NULL WHERE position = ?1",
            params![position],
        )?;
        self.count_object(bucket, &status, 1);
        Ok(true)
    }

    fn object_removed(&mut self, recorded: &RecordedEvent, event: &ObjectRemoved) -> Folded<()> {
        let (bucket, key) = (event.bucket.as_str(), event.key.as_str());
        let Some((version, status, present)) = self.current(bucket, key)? else {
            // It was gone before it was ever seen: there is nothing to show but the event.
            return Ok(());
        };
        if present {
            self.count_object(bucket, &status, -1);
        }
        self.run(
            "UPDATE objects SET present = 0 WHERE bucket = ?1 AND key = ?2",
            params![bucket, key],
        )?;
        self.run(
            "UPDATE object_versions SET removed_at = ?2 WHERE position = ?1",
            params![version, at(recorded)],
        )?;
        self.tally.happened(recorded, "", "objects_removed", 1);
        Ok(())
    }

    /// Derives the status of an object version again, after one of its runs changed.
    pub(super) fn refresh_object(&mut self, version: i64) -> Folded<()> {
        let (wanted, before): (String, String) = self
            .tx
            .prepare_cached("SELECT wanted, status FROM object_versions WHERE position = ?1")?
            .query_row([version], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let wanted: Vec<String> = serde_json::from_str(&wanted).unwrap_or_default();
        let newest = self.newest_runs(version)?;
        let waiting = wanted.iter().any(|pipeline| !newest.contains_key(pipeline));
        let runs = newest.values().filter_map(|name| execution_status(name));
        let status = ObjectStatus::of(runs, waiting).as_str();
        if status == before {
            return Ok(());
        }
        self.run(
            "UPDATE object_versions SET status = ?2 WHERE position = ?1",
            params![version, status],
        )?;
        let object: Option<(bool, String)> = self
            .tx
            .prepare_cached("SELECT present, bucket FROM objects WHERE version = ?1")?
            .query_row([version], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        if let Some((present, bucket)) = object {
            self.run(
                "UPDATE objects SET status = ?2 WHERE version = ?1",
                params![version, status],
            )?;
            if present {
                self.count_object(&bucket, &before, -1);
                self.count_object(&bucket, status, 1);
            }
        }
        Ok(())
    }

    /// An object that is there comes to have a status, or has it no more.
    fn count_object(&mut self, bucket: &str, status: &str, change: i64) {
        self.tally.count("object_status", status, change);
        self.tally
            .count(BUCKET_STATUS, &format!("{bucket}/{status}"), change);
    }

    /// The status of each pipeline's newest run for an object version. What ran as a shadow was not
    /// to change anything.
    fn newest_runs(&self, version: i64) -> Folded<BTreeMap<String, String>> {
        let mut statement = self.tx.prepare_cached(
            "SELECT pipeline, status FROM executions
             WHERE object_version = ?1 AND shadow IS NULL ORDER BY position",
        )?;
        let rows = statement.query_map([version], |row| Ok((row.get(0)?, row.get(1)?)))?;
        // A later row of the same pipeline takes the place of the earlier one.
        rows.collect()
    }

    /// Version, status and presence of the object under a key.
    fn current(&self, bucket: &str, key: &str) -> Folded<Option<(i64, String, bool)>> {
        self.tx
            .prepare_cached(
                "SELECT version, status, present FROM objects WHERE bucket = ?1 AND key = ?2",
            )?
            .query_row([bucket, key], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()
    }
}

fn accepted_creation(event: &ObjectCreated) -> Delivered<'_> {
    Delivered {
        bucket: &event.bucket,
        key: &event.key,
        version: &event.version,
        channel: &event.channel,
        told: event.told.as_ref(),
        event_name: Some(&event.event_name),
        verdict: ACCEPTED,
        reason: None,
        why: "this version was new",
        repeats: 0,
    }
}

fn accepted_removal(event: &ObjectRemoved) -> Delivered<'_> {
    Delivered {
        bucket: &event.bucket,
        key: &event.key,
        version: &event.version,
        channel: &event.channel,
        told: event.told.as_ref(),
        event_name: Some(&event.event_name),
        verdict: ACCEPTED,
        reason: None,
        why: "the object is gone",
        repeats: 0,
    }
}

fn channel_name(channel: &Channel) -> &str {
    match channel {
        Channel::Gateway => "gateway",
        Channel::Watcher => "watcher",
        Channel::Listing => "listing",
        Channel::Notification(source) => source,
    }
}
