//! The records of Amazon S3, and those shaped like them: MinIO, Ceph.
//!
//! Sources: S3 user guide, "Event message structure" and "Supported event types"; MinIO
//! `cmd/event-notification.go` and `internal/event`; Ceph `rgw_pubsub.cc`, `rgw_notify.cc` and
//! "Bucket notifications".

use super::no_news;
use crate::key::{self, Coding};
use crate::reader::{Fields, shortened};
use crate::{Change, Ignored, Notification, Reason, Rejection, Source, Told, identity, order};

/// The major version that is known; minor ones only add members.
const MAJOR: &str = "2";

/// What MinIO puts around its record: the same once more. Its stream does without.
#[derive(Clone, Copy, Default)]
pub(crate) struct Envelope<'j> {
    event_name: Option<&'j str>,
    key: Option<&'j str>,
}

impl<'j> Envelope<'j> {
    /// The envelope that a message has, if it has one.
    pub(crate) fn of(message: &Fields<'j, '_>) -> Result<Option<Self>, Rejection> {
        if !message.has("EventName") && !message.has("Key") {
            return Ok(None);
        }
        Ok(Some(Self {
            event_name: message.text("EventName")?,
            key: message.text("Key")?,
        }))
    }
}

/// Whether a message is the one that S3 sends to try a new configuration.
pub(crate) fn is_test_event(message: &Fields<'_, '_>) -> bool {
    matches!(message.text("Event"), Ok(Some("s3:TestEvent"))) && message.has("Bucket")
}

/// What the test message says.
pub(crate) fn test_event() -> Told {
    Told::Ignored {
        reason: Ignored::TestEvent,
        what: "S3 tried whether it can reach us".to_owned(),
    }
}

/// One element of `Records`.
pub(crate) fn record(
    record: &Fields<'_, '_>,
    envelope: Option<Envelope<'_>>,
) -> Result<Told, Rejection> {
    let source = match record.need("eventSource")? {
        "aws:s3" => Source::AwsS3,
        "minio:s3" => Source::Minio,
        "ceph:s3" => Source::Ceph,
        other => {
            let sentence = format!(
                "the source {} is not known, nor how it writes keys",
                shortened(other)
            );
            return Err(record.reject("eventSource", Reason::UnknownSource, sentence));
        }
    };
    let version = record.need("eventVersion")?;
    if version.split('.').next() != Some(MAJOR) {
        let sentence = format!("version {} is not known", shortened(version));
        return Err(record.reject("eventVersion", Reason::UnsupportedVersion, sentence));
    }
    let event_name = without_prefix(record.need("eventName")?);
    let change = change(event_name);
    let s3 = match record.part("s3")? {
        Some(s3) => s3,
        None if change == Change::Other => return Ok(no_news(event_name)),
        None => return Err(record.missing("s3")),
    };
    let object = s3.part("object")?;
    if change == Change::Other && !matches!(&object, Some(object) if has_key(object)) {
        return Ok(no_news(event_name));
    }
    let object = object.ok_or_else(|| s3.missing("object"))?;
    let bucket = s3.need_part("bucket")?.bucket("name")?;
    // What MinIO puts into an envelope it writes as in a form; see `docs/intake.md`.
    let coding = match source {
        Source::AwsS3 => Coding::Form,
        Source::Minio if envelope.is_some() => Coding::Form,
        _ => Coding::Plain,
    };
    let key = object.text("key")?.ok_or_else(|| object.missing("key"))?;
    let key = key::decode(key, coding, &object.place.member("key"))?;
    if let Some(envelope) = envelope {
        let whole = format!("{bucket}/{key}");
        if envelope.key.is_some_and(|told| told != whole) {
            let sentence = "the message's Key names another object than its record";
            return Err(object.reject("key", Reason::InconsistentEnvelope, sentence));
        }
        if envelope
            .event_name
            .is_some_and(|told| without_prefix(told) != event_name)
        {
            let sentence = "the message's EventName is another than its record's";
            return Err(record.reject("eventName", Reason::InconsistentEnvelope, sentence));
        }
    }
    let size = match source {
        Source::Ceph => object.size_or_text("size")?,
        // Go leaves out what is zero.
        Source::Minio if change == Change::Created => Some(object.size("size")?.unwrap_or(0)),
        _ => object.size("size")?,
    };
    let version_id = object.filled("versionId")?;
    let sequencer = object.filled("sequencer")?;
    // Ceph wrote it small once.
    let etag = match (source, object.filled("eTag")?) {
        (Source::Ceph, None) => object.filled("etag")?,
        (_, etag) => etag,
    };
    let etag = etag.map(unquoted);
    let event_time = record.time("eventTime")?;
    let authority = source.as_str();
    let order = match source {
        Source::Ceph => order::little_endian(authority, sequencer),
        _ => order::hexadecimal(authority, sequencer),
    };
    // Events without a sequencer are told apart by what else differs.
    let otherwise = match sequencer {
        Some(_) => None,
        None => record.filled("eventTime")?,
    };
    let identity = identity::of(&[
        Some(authority),
        Some(bucket.as_str()),
        Some(key.as_str()),
        version_id,
        sequencer,
        Some(event_name),
        otherwise,
    ]);
    Ok(Told::Notification(Box::new(Notification {
        source,
        account: None,
        bucket,
        key,
        version_id: version_id.map(str::to_owned),
        etag: etag.map(str::to_owned),
        size,
        sequencer: sequencer.map(str::to_owned),
        event_time,
        event_name: event_name.to_owned(),
        region: record.filled("awsRegion")?.map(str::to_owned),
        change,
        channel: authority.to_owned(),
        order,
        identity,
    })))
}

fn has_key(object: &Fields<'_, '_>) -> bool {
    matches!(object.text("key"), Ok(Some(key)) if !key.is_empty()) || object.text("key").is_err()
}

/// MinIO and old Ceph say `s3:ObjectCreated:Put`, the others `ObjectCreated:Put`.
fn without_prefix(event_name: &str) -> &str {
    event_name.strip_prefix("s3:").unwrap_or(event_name)
}

/// An entity tag without the quotes that some put around it.
pub(super) fn unquoted(etag: &str) -> &str {
    let inner = etag
        .strip_prefix('"')
        .and_then(|etag| etag.strip_suffix('"'));
    inner.unwrap_or(etag)
}

fn change(event_name: &str) -> Change {
    let (family, what) = event_name.split_once(':').unwrap_or((event_name, ""));
    match (family, what) {
        // MinIO's words for changed metadata of an object that was there before.
        ("ObjectCreated", "PutRetention" | "PutLegalHold" | "PutTagging" | "DeleteTagging") => {
            Change::Other
        }
        ("ObjectCreated", _) => Change::Created,
        // Ceph: it arrived from, or was removed by, another zone.
        ("ObjectSynced", "Create") => Change::Created,
        ("ObjectSynced", "Delete" | "DeletionMarkerCreated") => Change::Removed,
        // MinIO: there was nothing to delete.
        ("ObjectRemoved", "NoOP") => Change::Other,
        ("ObjectRemoved" | "LifecycleExpiration", _) => Change::Removed,
        ("ObjectLifecycle", "Expiration:Current") => Change::Removed,
        _ => Change::Other,
    }
}
