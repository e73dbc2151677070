//! CloudEvents 1.0, in its JSON format and in HTTP headers (CloudEvents specification, JSON event
//! format and HTTP protocol binding). What an event says is its vendor's.

use std::borrow::Cow;

use bytes::Bytes;

use super::azure::{self, Event};
use super::gcs::{self, Said};
use crate::json;
use crate::key::decode_text;
use crate::reader::{Attribute, Fields, Place, shortened, time};
use crate::{Change, Delivery, Handshake, Limits, Reason, Rejection, Reply, Settings, Told};

/// The version of the specification that is known.
const SPECVERSION: &str = "1.0";

const NO_DATA: &str = "it has no data";

/// What a type begins with.
const GCS: &str = "google.cloud.storage.object.v1.";
const PUBSUB: &str = "google.cloud.pubsub.topic.v1.messagePublished";

/// The attributes that count.
struct Attributes<'j> {
    source: Cow<'j, str>,
    kind: Cow<'j, str>,
    subject: Option<Cow<'j, str>>,
    time: Option<jiff::Timestamp>,
}

/// An event in the JSON format.
pub(crate) fn structured(event: Fields<'_, '_>, limits: &Limits) -> Result<Told, Rejection> {
    let version = need(&event, "specversion")?;
    check_version(version, &event.place.member("specversion"))?;
    need(&event, "id")?;
    let attributes = Attributes {
        source: need(&event, "source")?.into(),
        kind: need(&event, "type")?.into(),
        subject: event.filled("subject")?.map(Cow::Borrowed),
        time: event.time("time")?,
    };
    if event.value("data").is_some() && event.value("data_base64").is_some() {
        let sentence = "it has data and data_base64, and only one can be meant";
        return Err(event.place.reject(Reason::CeAmbiguousData, sentence));
    }
    let of_azure = Event {
        id: event.attribute("id")?,
        resource: event.attribute("source")?,
        kind: event.attribute("type")?,
        subject: event.attribute("subject")?,
        time: event.attribute("time")?,
    };
    let told = |data| match (is_azure(&attributes.kind), data) {
        (true, None) => Err(event.missing("data")),
        (true, Some(data)) => azure::event(&of_azure, &data),
        (false, data) => told(&attributes, data, &event.place, limits),
    };
    match event.filled("data_base64")? {
        None => told(event.part("data")?),
        Some(data) => {
            let place = event.place.member("data_base64");
            let data = gcs::unbase64(data, &place)?;
            let within = place.within();
            let data = json::parse(&data, limits, &within)?;
            told(Some(Fields::of(&data, within)?))
        }
    }
}

/// Whether a request carries an event's attributes in its headers.
pub(crate) fn is_binary(delivery: &Delivery) -> bool {
    ["ce-specversion", "ce-type", "ce-id", "ce-source"]
        .iter()
        .any(|name| delivery.header(name).is_some())
}

/// An event with its attributes in headers and its data, if it has some, as the body.
pub(crate) fn binary(
    delivery: &Delivery,
    data: Option<Fields<'_, '_>>,
    limits: &Limits,
) -> Result<Told, Rejection> {
    let version = need_header(delivery, "ce-specversion")?;
    check_version(&version, &Place::header("ce-specversion"))?;
    let id = need_header(delivery, "ce-id")?;
    let time_said = header(delivery, "ce-time")?;
    let place = Place::header("ce-type");
    let attributes = Attributes {
        source: need_header(delivery, "ce-source")?,
        kind: need_header(delivery, "ce-type")?,
        subject: header(delivery, "ce-subject")?,
        time: time_said
            .as_deref()
            .map(|text| time(text, &Place::header("ce-time")))
            .transpose()?,
    };
    if is_azure(&attributes.kind) {
        let data = data.ok_or_else(|| place.reject(Reason::MissingField, NO_DATA))?;
        let of_azure = Event {
            id: Attribute::header("ce-id", Some(&id)),
            resource: Attribute::header("ce-source", Some(&attributes.source)),
            kind: Attribute::header("ce-type", Some(&attributes.kind)),
            subject: Attribute::header("ce-subject", attributes.subject.as_deref()),
            time: Attribute::header("ce-time", time_said.as_deref()),
        };
        return azure::event(&of_azure, &data);
    }
    told(&attributes, data, &place, limits)
}

fn told(
    attributes: &Attributes<'_>,
    data: Option<Fields<'_, '_>>,
    place: &Place<'_>,
    limits: &Limits,
) -> Result<Told, Rejection> {
    let no_data = || place.reject(Reason::MissingField, NO_DATA);
    if let Some(event) = attributes.kind.strip_prefix(GCS) {
        let data = data.ok_or_else(no_data)?;
        let (bucket, in_source) = gcs::named_by(&attributes.source);
        // `objects/NAME`, encoded once more where it went through a header.
        let subject = attributes.subject.as_deref();
        let in_subject = subject.map(|subject| subject.strip_prefix("objects/").unwrap_or(subject));
        let name = in_subject.or(in_source);
        return gcs::told(
            &Said {
                event_name: &attributes.kind,
                change: match event {
                    "finalized" => Change::Created,
                    "deleted" | "archived" => Change::Removed,
                    _ => Change::Other,
                },
                time: attributes.time,
                bucket: bucket.map(Cow::Borrowed),
                name: name.map(gcs::spellings).unwrap_or_default(),
                generation: None,
            },
            Some(&data),
            place,
        );
    }
    if attributes.kind == PUBSUB {
        let data = data.ok_or_else(no_data)?;
        return gcs::pubsub(&data.need_part("message")?, limits);
    }
    let sentence = format!(
        "events of the type {} are not known",
        shortened(&attributes.kind)
    );
    Err(place.reject(Reason::UnknownSource, sentence))
}

fn is_azure(kind: &str) -> bool {
    kind.starts_with("Microsoft.")
}

fn need<'j>(event: &Fields<'j, '_>, name: &str) -> Result<&'j str, Rejection> {
    let missing = || event.reject(name, Reason::CeMissingAttribute, "all events have it");
    event.filled(name)?.ok_or_else(missing)
}

fn check_version(version: &str, place: &Place<'_>) -> Result<(), Rejection> {
    if version == SPECVERSION {
        return Ok(());
    }
    let sentence = format!("CloudEvents {} is not known", shortened(version));
    Err(place.reject(Reason::CeSpecversion, sentence))
}

/// A header's value, which is percent-encoded where it is not plain ASCII.
fn header<'d>(delivery: &'d Delivery, name: &str) -> Result<Option<Cow<'d, str>>, Rejection> {
    let Some(value) = delivery.header(name).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    // Not all senders encode a percent sign; what is no encoding is taken as it is.
    let decoded = decode_text(value, false, &Place::header(name));
    Ok(Some(decoded.unwrap_or(Cow::Borrowed(value))))
}

fn need_header<'d>(delivery: &'d Delivery, name: &str) -> Result<Cow<'d, str>, Rejection> {
    let missing = || Place::header(name).reject(Reason::CeMissingAttribute, "all events have it");
    header(delivery, name)?.ok_or_else(missing)
}

/// The question whether an origin may use us as its web hook ("HTTP 1.1 Web Hooks for Event
/// Delivery", 4). The rate that it asks for is granted; overload is answered when it comes.
pub(crate) fn web_hook(delivery: &Delivery, settings: &Settings) -> Result<Told, Rejection> {
    let place = Place::header("webhook-request-origin");
    let origin = delivery
        .header("webhook-request-origin")
        .filter(|origin| !origin.is_empty())
        .ok_or_else(|| place.reject(Reason::MissingField, "it is missing"))?;
    let mut allowed = settings.allowed_origins.iter();
    if !allowed.any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin)) {
        let sentence = format!("{} may not send here", shortened(origin));
        return Err(place.reject(Reason::OriginNotAllowed, sentence));
    }
    let mut headers = vec![
        ("webhook-allowed-origin", origin.to_owned()),
        ("allow", "POST, OPTIONS".to_owned()),
    ];
    if let Some(rate) = delivery.header("webhook-request-rate") {
        let granted = if rate.parse::<u32>().is_ok() {
            rate
        } else {
            "*"
        };
        headers.push(("webhook-allowed-rate", granted.to_owned()));
    }
    Ok(Told::Handshake(Handshake::Reply(Reply {
        headers,
        body: Bytes::new(),
    })))
}
