//! What Amazon S3 says through Amazon EventBridge (S3 user guide, "EventBridge event message
//! structure"). Keys are as they are.

use super::{no_news, s3::unquoted};
use crate::key::{self, Coding};
use crate::reader::{Fields, shortened};
use crate::{Change, Notification, Reason, Rejection, Source, Told, identity, order};

/// Its sequencers are not those of S3's own notifications.
const AUTHORITY: &str = "aws:s3/eventbridge";

/// One event.
pub(crate) fn event(event: &Fields<'_, '_>) -> Result<Told, Rejection> {
    // Nobody but AWS can use a source that begins with `aws.`; `detail-type` is anybody's.
    let source = event.need("source")?;
    if source != "aws.s3" {
        let sentence = format!("the source {} is not S3", shortened(source));
        return Err(event.reject("source", Reason::UnknownSource, sentence));
    }
    if let Some(version) = event.filled("version")?.filter(|version| *version != "0") {
        let sentence = format!("version {} is not known", shortened(version));
        return Err(event.reject("version", Reason::UnsupportedVersion, sentence));
    }
    let event_name = event.need("detail-type")?;
    let change = match event_name {
        "Object Created" => Change::Created,
        "Object Deleted" => Change::Removed,
        _ => Change::Other,
    };
    let detail = event.need_part("detail")?;
    let object = match detail.part("object")? {
        Some(object) => object,
        None if change == Change::Other => return Ok(no_news(event_name)),
        None => return Err(detail.missing("object")),
    };
    let bucket = detail.need_part("bucket")?.bucket("name")?;
    let key = object.text("key")?.ok_or_else(|| object.missing("key"))?;
    let key = key::decode(key, Coding::Plain, &object.place.member("key"))?;
    let version_id = object.filled("version-id")?;
    let sequencer = object.filled("sequencer")?;
    let otherwise = match sequencer {
        Some(_) => None,
        None => event.filled("id")?,
    };
    let identity = identity::of(&[
        Some(AUTHORITY),
        Some(bucket.as_str()),
        Some(key.as_str()),
        version_id,
        sequencer,
        Some(event_name),
        otherwise,
    ]);
    Ok(Told::Notification(Box::new(Notification {
        source: Source::AwsS3,
        account: None,
        bucket,
        key,
        version_id: version_id.map(str::to_owned),
        etag: object.filled("etag")?.map(|etag| unquoted(etag).to_owned()),
        size: object.size("size")?,
        sequencer: sequencer.map(str::to_owned),
        event_time: event.time("time")?,
        event_name: event_name.to_owned(),
        region: event.filled("region")?.map(str::to_owned),
        change,
        channel: AUTHORITY.to_owned(),
        order: order::hexadecimal(AUTHORITY, sequencer),
        identity,
    })))
}
