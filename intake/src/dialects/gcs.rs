//! Google Cloud Storage: through Pub/Sub ("Pub/Sub notifications for Cloud Storage"), Eventarc
//! (CloudEvents), the events of first-generation functions, and object change notifications.
//!
//! A generation is both the version and the order. Names are as they are in all of them; what a
//! message says twice has to agree.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use daybook_domain::BucketName;
use jiff::Timestamp;

use crate::json::{self, Json};
use crate::key::{self, Coding, decode_text};
use crate::reader::{Fields, Place, bucket, is_int64, shortened, time};
use crate::{
    Change, Delivery, Limits, Notification, Reason, Rejection, Source, Told, identity, order,
};

/// What a message says of an object, apart from the object's own description.
pub(crate) struct Said<'j> {
    /// The event's name as it was sent.
    pub event_name: &'j str,
    /// What it means.
    pub change: Change,
    /// When.
    pub time: Option<Timestamp>,
    /// The bucket, where the message names it.
    pub bucket: Option<Cow<'j, str>>,
    /// The object, in all the ways in which the message may have written it.
    pub name: Vec<Cow<'j, str>>,
    /// The generation, where the message names it.
    pub generation: Option<Cow<'j, str>>,
}

/// A Pub/Sub message: `attributes` say what happened, `data` describes the object.
pub(crate) fn pubsub(message: &Fields<'_, '_>, limits: &Limits) -> Result<Told, Rejection> {
    let attributes = message.need_part("attributes")?;
    let event_name = attributes.need("eventType")?;
    let said = Said {
        event_name,
        change: change(event_name, attributes.has("overwrittenByGeneration")),
        time: attributes.time("eventTime")?,
        bucket: Some(attributes.need("bucketId")?.into()),
        name: vec![attributes.need("objectId")?.into()],
        generation: attributes.filled("objectGeneration")?.map(Cow::Borrowed),
    };
    let format = attributes.filled("payloadFormat")?;
    let data = message.filled("data")?;
    let place = message.place.member("data");
    match (format, data) {
        (Some("NONE"), _) | (None, None) => told(&said, None, &attributes.place),
        (_, None) => Err(message.missing("data")),
        (_, Some(data)) => {
            let data = unbase64(data, &place)?;
            let within = place.within();
            let data = json::parse(&data, limits, &within)?;
            let object = Fields::of(&data, within)?;
            told(&said, Some(&object), &attributes.place)
        }
    }
}

/// A Pub/Sub push that was told to unwrap messages and write attributes as headers: the body is the
/// object's description.
pub(crate) fn unwrapped(delivery: &Delivery, object: &Fields<'_, '_>) -> Result<Told, Rejection> {
    let need = |name| {
        let found = delivery.header(name).filter(|value| !value.is_empty());
        found.ok_or_else(|| Place::header(name).reject(Reason::MissingField, "it is missing"))
    };
    let event_name = need("eventType")?;
    let event_time = delivery.header("eventTime");
    let said = Said {
        event_name,
        change: change(
            event_name,
            delivery.header("overwrittenByGeneration").is_some(),
        ),
        time: event_time
            .map(|text| time(text, &Place::header("eventTime")))
            .transpose()?,
        bucket: Some(need("bucketId")?.into()),
        name: spellings(need("objectId")?),
        generation: delivery.header("objectGeneration").map(Cow::Borrowed),
    };
    told(&said, Some(object), &Place::header("objectId"))
}

/// An object change notification, as `watchAll` of the JSON API asks for: a header says what
/// happened, the body is the object's description.
pub(crate) fn watched(state: &str, object: &Fields<'_, '_>) -> Result<Told, Rejection> {
    let (event_name, change) = match state {
        "not_exists" => ("not_exists", Change::Removed),
        // Also said of changed metadata.
        "exists" if object.int64("metageneration")?.as_deref() == Some("1") => {
            ("exists", Change::Created)
        }
        "exists" => ("exists", Change::Other),
        other => {
            let sentence = format!("the state {} is not known", shortened(other));
            return Err(
                Place::header("x-goog-resource-state").reject(Reason::UnrecognisedShape, sentence)
            );
        }
    };
    let said = Said {
        event_name,
        change,
        time: object.time("updated")?,
        bucket: None,
        name: Vec::new(),
        generation: None,
    };
    told(&said, Some(object), &object.place)
}

/// The first message of a channel of object change notifications: it only says that it is there.
pub(crate) fn is_sync(delivery: &Delivery) -> bool {
    delivery.header("x-goog-resource-state") == Some("sync") && delivery.body.is_empty()
}

/// What a first-generation function is invoked with: `context` (or the same members without it)
/// says what happened, `data` describes the object.
pub(crate) fn background(event: &Fields<'_, '_>) -> Result<Told, Rejection> {
    let context = event.part("context")?;
    let context = context.as_ref().unwrap_or(event);
    let data = event.need_part("data")?;
    let event_name = context.need("eventType")?;
    let change = match event_name {
        "providers/cloud.storage/eventTypes/object.change" => {
            let first = data.int64("metageneration")?.as_deref() == Some("1");
            match data.text("resourceState")? {
                Some("not_exists") => Change::Removed,
                Some("exists") if first => Change::Created,
                _ => Change::Other,
            }
        }
        name => match name.strip_prefix("google.storage.object.") {
            Some("finalize") => Change::Created,
            Some("delete" | "archive") => Change::Removed,
            Some(_) => Change::Other,
            None => {
                let sentence = format!("the event {} is not one of Cloud Storage", shortened(name));
                return Err(context.reject("eventType", Reason::UnknownSource, sentence));
            }
        },
    };
    // A text, or an object with that text in it.
    let resource = match context.value("resource") {
        Some(Json::Text(resource)) => Some(&**resource),
        Some(Json::Object(_)) => context.need_part("resource")?.filled("name")?,
        _ => None,
    };
    let (bucket, name) = resource.map_or((None, None), named_by);
    let said = Said {
        event_name,
        change,
        time: context.time("timestamp")?,
        bucket: bucket.map(Cow::Borrowed),
        // The resource ends in `#GENERATION` at times.
        name: name.map(spellings).unwrap_or_default(),
        generation: None,
    };
    told(&said, Some(&data), &context.place)
}

/// The bucket and the object in `…/buckets/BUCKET/objects/OBJECT`.
pub(crate) fn named_by(resource: &str) -> (Option<&str>, Option<&str>) {
    let Some((_, rest)) = resource.split_once("/buckets/") else {
        return (None, None);
    };
    match rest.split_once("/objects/") {
        Some((bucket, object)) => (Some(bucket), Some(object)),
        None => (Some(rest), None),
    }
}

/// The ways in which a name may be meant that went through a header or a URL.
pub(crate) fn spellings(name: &str) -> Vec<Cow<'_, str>> {
    let mut spellings = vec![Cow::Borrowed(name)];
    if let Ok(decoded @ Cow::Owned(_)) = decode_text(name, false, &Place::ROOT) {
        spellings.push(decoded);
    }
    if let Some((name, generation)) = name.rsplit_once('#')
        && is_int64(generation)
    {
        spellings.push(Cow::Borrowed(name));
    }
    spellings
}

/// What the event of this name means in Pub/Sub. With `overwritten`, a newer version is there: the
/// object is not gone.
fn change(event_name: &str, overwritten: bool) -> Change {
    match event_name {
        "OBJECT_FINALIZE" => Change::Created,
        "OBJECT_DELETE" | "OBJECT_ARCHIVE" if !overwritten => Change::Removed,
        _ => Change::Other,
    }
}

/// Base64 as JSON carries it.
pub(crate) fn unbase64(text: &str, place: &Place<'_>) -> Result<Vec<u8>, Rejection> {
    let decoded = STANDARD.decode(text);
    decoded.map_err(|_| place.reject(Reason::Base64, "it is not base64"))
}

/// Puts together what a message says and what describes the object; `place` is where it says so.
pub(crate) fn told(
    said: &Said<'_>,
    object: Option<&Fields<'_, '_>>,
    place: &Place<'_>,
) -> Result<Told, Rejection> {
    let described = object.map(describe).transpose()?;
    let contradiction = |what: &str| {
        let sentence = format!("the message names another {what} than the object's description");
        place.reject(Reason::InconsistentEnvelope, sentence)
    };
    let missing = |what: &str| {
        place.reject(
            Reason::MissingField,
            format!("neither it nor the object's description has a {what}"),
        )
    };
    let (bucket, name, generation) = match &described {
        Some(object) => {
            if said
                .bucket
                .as_ref()
                .is_some_and(|bucket| *bucket != object.bucket.as_str())
            {
                return Err(contradiction("bucket"));
            }
            if !said.name.is_empty() && said.name.iter().all(|name| *name != object.name) {
                return Err(contradiction("object"));
            }
            let told = said.generation.as_deref();
            if told.is_some_and(|told| {
                object
                    .generation
                    .as_deref()
                    .is_some_and(|known| told != known)
            }) {
                return Err(contradiction("generation"));
            }
            let generation = told.or(object.generation.as_deref());
            (object.bucket.clone(), object.name, generation)
        }
        None => {
            let told = said.bucket.as_deref().ok_or_else(|| missing("bucket"))?;
            let name = said.name.first().ok_or_else(|| missing("name"))?;
            (bucket(told, place)?, &**name, said.generation.as_deref())
        }
    };
    let generation = generation.ok_or_else(|| missing("generation"))?;
    if !is_int64(generation) {
        let sentence = format!("{} is no generation", shortened(generation));
        return Err(place.reject(Reason::WrongType, sentence));
    }
    let key_place = match object {
        Some(object) => object.place.member("name"),
        None => *place,
    };
    let key = key::decode(name, Coding::Plain, &key_place)?;
    let authority = Source::GoogleGcs.as_str();
    // All channels tell of the same generations; only what is neither a creation nor a removal
    // happens more than once to one.
    let metageneration = described
        .as_ref()
        .and_then(|object| object.metageneration.as_deref());
    let (kind, metageneration) = match said.change {
        Change::Created => ("created", None),
        Change::Removed => ("removed", None),
        Change::Other => (said.event_name, metageneration),
    };
    let identity = identity::of(&[
        Some(authority),
        Some(bucket.as_str()),
        Some(key.as_str()),
        Some(generation),
        Some(kind),
        metageneration,
    ]);
    Ok(Told::Notification(Box::new(Notification {
        source: Source::GoogleGcs,
        account: None,
        bucket,
        key,
        version_id: Some(generation.to_owned()),
        etag: described.as_ref().and_then(|object| object.etag.clone()),
        size: described.as_ref().and_then(|object| object.size),
        sequencer: Some(generation.to_owned()),
        event_time: said.time,
        event_name: said.event_name.to_owned(),
        region: None,
        change: said.change,
        channel: authority.to_owned(),
        order: order::generation(authority, generation),
        identity,
    })))
}

/// An object's own description (`storage#object` of the JSON API).
struct Described<'j> {
    bucket: BucketName,
    name: &'j str,
    generation: Option<String>,
    metageneration: Option<String>,
    etag: Option<String>,
    size: Option<u64>,
}

fn describe<'j>(object: &Fields<'j, '_>) -> Result<Described<'j>, Rejection> {
    Ok(Described {
        bucket: object.bucket("bucket")?,
        name: object.text("name")?.ok_or_else(|| object.missing("name"))?,
        generation: object.int64("generation")?,
        metageneration: object.int64("metageneration")?,
        etag: object.filled("etag")?.map(str::to_owned),
        size: object.size_or_text("size")?,
    })
}
