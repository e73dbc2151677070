//! Backblaze B2 (its "Event Notifications Reference Guide"). Keys are as they are. Nothing puts
//! writes in order.

use jiff::Timestamp;

use super::no_news;
use crate::json::Json;
use crate::key::{self, Coding};
use crate::reader::Fields;
use crate::{Change, Ignored, Notification, Reason, Rejection, Source, Told, identity};

/// The version that is known.
const VERSION: u64 = 1;

/// One element of `events`.
pub(crate) fn event(event: &Fields<'_, '_>) -> Result<Told, Rejection> {
    match event.value("eventVersion") {
        Some(Json::Whole(VERSION)) => {}
        None => return Err(event.missing("eventVersion")),
        Some(Json::Whole(_)) => {
            let sentence = "this version is not known";
            return Err(event.reject("eventVersion", Reason::UnsupportedVersion, sentence));
        }
        Some(_) => {
            let sentence = "it should be a whole number";
            return Err(event.reject("eventVersion", Reason::WrongType, sentence));
        }
    }
    let event_name = event.need("eventType")?;
    let change = match event_name.split(':').nth(1) {
        Some("ObjectCreated") => Change::Created,
        Some("ObjectDeleted" | "HideMarkerCreated") => Change::Removed,
        Some("TestEvent") => {
            return Ok(Told::Ignored {
                reason: Ignored::TestEvent,
                what: "B2 tried whether it can reach us".to_owned(),
            });
        }
        _ => Change::Other,
    };
    if change == Change::Other && event.filled("objectName")?.is_none() {
        return Ok(no_news(event_name));
    }
    let id = event.need("eventId")?;
    let bucket = event.bucket("bucketName")?;
    let key = event
        .text("objectName")?
        .ok_or_else(|| event.missing("objectName"))?;
    let key = key::decode(key, Coding::Plain, &event.place.member("objectName"))?;
    Ok(Told::Notification(Box::new(Notification {
        source: Source::BackblazeB2,
        account: None,
        bucket,
        key,
        version_id: event.filled("objectVersionId")?.map(str::to_owned),
        etag: None,
        size: event.size("objectSize")?,
        sequencer: None,
        event_time: milliseconds(event, "eventTimestamp")?,
        event_name: event_name.to_owned(),
        region: None,
        change,
        channel: Source::BackblazeB2.as_str().to_owned(),
        order: None,
        identity: identity::of(&[Some(Source::BackblazeB2.as_str()), Some(id)]),
    })))
}

/// A time in milliseconds since 1970.
fn milliseconds(event: &Fields<'_, '_>, name: &str) -> Result<Option<Timestamp>, Rejection> {
    let parsed = match event.value(name) {
        None => return Ok(None),
        Some(Json::Whole(number)) => i64::try_from(*number)
            .ok()
            .and_then(|number| Timestamp::from_millisecond(number).ok()),
        Some(Json::Negative | Json::Fraction(_)) => None,
        Some(_) => {
            let sentence = "it should be milliseconds since 1970";
            return Err(event.reject(name, Reason::WrongType, sentence));
        }
    };
    let refuse = || event.reject(name, Reason::TimeInvalid, "it is no time");
    parsed.map(Some).ok_or_else(refuse)
}
