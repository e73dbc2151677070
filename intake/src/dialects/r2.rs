//! Cloudflare R2, whose messages come through a queue (R2 documentation, "Event notifications").
//! Keys are as they are. Nothing puts writes in order.

use super::s3::unquoted;
use crate::key::{self, Coding};
use crate::reader::Fields;
use crate::{Change, Notification, Rejection, Source, Told, identity};

/// One message.
pub(crate) fn message(message: &Fields<'_, '_>) -> Result<Told, Rejection> {
    let event_name = message.need("action")?;
    let change = match event_name {
        "PutObject" | "CopyObject" | "CompleteMultipartUpload" => Change::Created,
        "DeleteObject" | "LifecycleDeletion" => Change::Removed,
        _ => Change::Other,
    };
    let account = message.need("account")?;
    let bucket = message.bucket("bucket")?;
    let object = message.need_part("object")?;
    let key = object.text("key")?.ok_or_else(|| object.missing("key"))?;
    let key = key::decode(key, Coding::Plain, &object.place.member("key"))?;
    let etag = object.filled("eTag")?.map(unquoted);
    let size = object.size("size")?;
    let event_time = message.time("eventTime")?;
    let copied = message.part("copySource")?;
    let (copied_bucket, copied_key) = match &copied {
        Some(copied) => (copied.filled("bucket")?, copied.filled("object")?),
        None => (None, None),
    };
    let size_text = size.map(|size| size.to_string());
    let identity = identity::of(&[
        Some(Source::CloudflareR2.as_str()),
        Some(account),
        Some(bucket.as_str()),
        Some(key.as_str()),
        Some(event_name),
        message.filled("eventTime")?,
        etag,
        size_text.as_deref(),
        copied_bucket,
        copied_key,
    ]);
    Ok(Told::Notification(Box::new(Notification {
        source: Source::CloudflareR2,
        account: Some(account.to_owned()),
        bucket,
        key,
        version_id: None,
        etag: etag.map(str::to_owned),
        size,
        sequencer: None,
        event_time,
        event_name: event_name.to_owned(),
        region: None,
        change,
        channel: format!("{}/{account}", Source::CloudflareR2),
        order: None,
        identity,
    })))
}
