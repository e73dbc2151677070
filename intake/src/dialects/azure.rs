//! Azure Blob Storage through Event Grid, in its own schema and in that of CloudEvents ("Azure Blob
//! Storage as an Event Grid source").
//!
//! The subject names the blob as it is; the URL in `data` names it once more, encoded. A container's
//! name belongs to its account.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::json;

use super::{no_news, s3::unquoted};
use crate::key::{self, Coding, decode_text};
use crate::reader::{Attribute, Fields, Place, bucket, shortened};
use crate::{
    Change, Handshake, Ignored, Notification, Reason, Rejection, Reply, Source, Told, identity,
    order,
};

/// The version of Event Grid's schema that is known.
const METADATA_VERSION: &str = "1";

/// The longest code that is repeated to Event Grid; it sends UUIDs.
const MAX_CODE: usize = 256;

/// Calls after which the content is still to come. The documentation names those after which it is
/// there (`PutBlob`, `PutBlockList`, `CopyBlob`, `FlushWithClose`, `SftpCommit`); what is in neither
/// list counts as there, since a missed object is worse than one looked at early.
const NOT_COMMITTED: &[&str] = &["CreateFile", "SftpCreate", "CreateDirectory"];

/// What both schemas say of an event, under different names.
pub(crate) struct Event<'e> {
    /// Its id.
    pub id: Attribute<'e>,
    /// The resource: `topic` or `source`.
    pub resource: Attribute<'e>,
    /// Its type.
    pub kind: Attribute<'e>,
    /// What it tells of.
    pub subject: Attribute<'e>,
    /// When it happened.
    pub time: Attribute<'e>,
}

/// An element in Event Grid's own schema.
pub(crate) fn event_grid(fields: Fields<'_, '_>) -> Result<Told, Rejection> {
    let version = fields.filled("metadataVersion")?;
    if let Some(version) = version.filter(|version| *version != METADATA_VERSION) {
        let sentence = format!("version {} is not known", shortened(version));
        return Err(fields.reject("metadataVersion", Reason::UnsupportedVersion, sentence));
    }
    let attributes = Event {
        id: fields.attribute("id")?,
        resource: fields.attribute("topic")?,
        kind: fields.attribute("eventType")?,
        subject: fields.attribute("subject")?,
        time: fields.attribute("eventTime")?,
    };
    attributes.kind.need()?;
    event(&attributes, &fields.need_part("data")?)
}

/// One event.
pub(crate) fn event(event: &Event<'_>, data: &Fields<'_, '_>) -> Result<Told, Rejection> {
    let event_name = event.kind.need()?;
    let change = match event_name {
        "Microsoft.EventGrid.SubscriptionValidationEvent" => return validation(data),
        "Microsoft.EventGrid.SubscriptionDeletedEvent" => {
            return Ok(Told::Ignored {
                reason: Ignored::ControlMessage,
                what: "the subscription at Event Grid was deleted".to_owned(),
            });
        }
        "Microsoft.Storage.BlobCreated" => {
            let api = data.filled("api")?;
            if let Some(api) = api.filter(|api| NOT_COMMITTED.contains(api)) {
                return Ok(Told::Ignored {
                    reason: Ignored::NotCommitted,
                    what: format!("{api} announces a blob whose content is still to come"),
                });
            }
            Change::Created
        }
        "Microsoft.Storage.BlobDeleted" => Change::Removed,
        name if name.starts_with("Microsoft.Storage.") => Change::Other,
        name => {
            let sentence = format!("the event {} is not one of Blob Storage", shortened(name));
            return Err(event.kind.place.reject(Reason::UnknownSource, sentence));
        }
    };
    let resource = event.resource.need()?;
    let account = account_of(resource).ok_or_else(|| {
        let sentence = "it names no storage account";
        event.resource.place.reject(Reason::UnknownSource, sentence)
    })?;
    let subject_place = event.subject.place;
    let subject = event.subject.filled().unwrap_or_default();
    let Some((container, blob)) = named_by(subject) else {
        if change == Change::Other {
            return Ok(no_news(event_name));
        }
        let sentence = format!("{} names no blob", shortened(subject));
        return Err(subject_place.reject(Reason::SubjectInvalid, sentence));
    };
    if let Some(url) = data.filled("url")?
        && !leads_to(url, account, container, blob)
    {
        let sentence = "it leads to another blob than the one that the subject names";
        return Err(data.reject("url", Reason::InconsistentEnvelope, sentence));
    }
    let bucket = bucket(container, &subject_place)?;
    let key = key::decode(blob, Coding::Plain, &subject_place)?;
    let sequencer = data.filled("sequencer")?;
    let authority = format!("{}/{account}", Source::AzureBlob);
    let otherwise = match sequencer {
        Some(_) => None,
        None => Some(event.id.need()?),
    };
    let identity = identity::of(&[
        Some(&authority),
        Some(bucket.as_str()),
        Some(key.as_str()),
        Some(event_name),
        sequencer,
        otherwise,
    ]);
    Ok(Told::Notification(Box::new(Notification {
        source: Source::AzureBlob,
        account: Some(account.to_owned()),
        bucket,
        key,
        version_id: None,
        etag: data.filled("eTag")?.map(|etag| unquoted(etag).to_owned()),
        size: data.size("contentLength")?,
        sequencer: sequencer.map(str::to_owned),
        event_time: event.time.time()?,
        event_name: event_name.to_owned(),
        region: None,
        change,
        order: order::text(&authority, sequencer),
        channel: authority,
        identity,
    })))
}

/// Event Grid asks whether it may send: the answer repeats its code. Its URL is for people.
fn validation(data: &Fields<'_, '_>) -> Result<Told, Rejection> {
    let code = data.need("validationCode")?;
    if code.len() > MAX_CODE {
        let sentence = "it is too long for a code";
        return Err(data.reject("validationCode", Reason::TooLarge, sentence));
    }
    let body = json!({ "validationResponse": code }).to_string();
    Ok(Told::Handshake(Handshake::Reply(Reply {
        headers: vec![("content-type", "application/json".to_owned())],
        body: Bytes::from(body),
    })))
}

/// The account in `/subscriptions/…/Microsoft.Storage/storageAccounts/ACCOUNT`.
fn account_of(resource: &str) -> Option<&str> {
    let mut parts = resource.split('/');
    parts.find(|part| part.eq_ignore_ascii_case("storageAccounts"))?;
    parts.next().filter(|account| {
        (3..=24).contains(&account.len()) && account.bytes().all(|b| b.is_ascii_alphanumeric())
    })
}

/// The container and the blob in `/blobServices/default/containers/CONTAINER/blobs/BLOB`. Event Grid's own
/// samples in the CloudEvents schema have no slash in front.
fn named_by(subject: &str) -> Option<(&str, &str)> {
    let subject = subject.strip_prefix('/').unwrap_or(subject);
    let rest = subject.strip_prefix("blobServices/default/containers/")?;
    let (container, rest) = rest.split_once('/')?;
    let blob = rest.strip_prefix("blobs/")?;
    (!container.is_empty() && !blob.is_empty()).then_some((container, blob))
}

/// Whether a blob's URL may be meant for this blob. What is not a URL of a storage account by its
/// host (an emulator's, a custom domain's) is not judged.
fn leads_to(url: &str, account: &str, container: &str, blob: &str) -> bool {
    let Some((host, path)) = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))
        .and_then(|rest| rest.split_once('/'))
    else {
        return false;
    };
    let Some((first, rest)) = host.split_once('.') else {
        return true;
    };
    if !rest.starts_with("blob.") && !rest.starts_with("dfs.") {
        return true;
    }
    // A second endpoint, which reads, has this behind the account's name.
    let first = first.strip_suffix("-secondary").unwrap_or(first);
    let known = |path: &str| {
        let path = path.replace('\\', "/");
        let blob = blob.replace('\\', "/");
        path == format!("{container}/{blob}") || container == "$root" && path == blob
    };
    let without_query = path.split(['?', '#']).next().unwrap_or(path);
    let decoded = decode_text(without_query, false, &Place::ROOT).unwrap_or(Cow::Borrowed(path));
    first.eq_ignore_ascii_case(account) && (known(&decoded) || known(path))
}
