//! What a write says about an object beside its bytes: headers, metadata, tags.

use std::collections::BTreeMap;

use hyper::HeaderMap;
use percent_encoding::percent_decode_str;
use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use super::Operations;

/// Tags of one object, and their sizes in characters (S3 user guide, "Object tagging").
const MAX_TAGS: usize = 10;
const MAX_TAG_KEY: usize = 128;
const MAX_TAG_VALUE: usize = 256;

/// The classes that say how an object is to be stored. There is one way here, so they are only
/// labels; those of archives, from which objects have to be restored first, are refused.
const STORAGE_CLASSES: [&str; 7] = [
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
    "EXPRESS_ONEZONE",
];

/// The standard headers of a put, a copy or a new upload, which are kept with the object.
macro_rules! headers_of {
    ($req:expr) => {{
        let as_it_came = $req
            .extensions
            .get::<$crate::service::amend::Amended>()
            .and_then(|amended| amended.expires.clone());
        let input = &mut $req.input;
        let expires = input.expires.take();
        $crate::service::properties::no_foreign_keys(&$req.headers)?;
        $crate::local::stamp::Headers {
            content_type: input.content_type.take(),
            content_encoding: input
                .content_encoding
                .take()
                .and_then($crate::service::properties::without_aws_chunked),
            content_disposition: input.content_disposition.take(),
            content_language: input.content_language.take(),
            cache_control: input.cache_control.take(),
            expires: match expires {
                Some(date) => Some($crate::service::objects::http_date(&date)?),
                None => as_it_came,
            },
            storage_class: $crate::service::properties::storage_class(
                input.storage_class.as_ref(),
            )?,
            website_redirect: input.website_redirect_location.take(),
            encryption: $crate::service::properties::encryption(
                input.server_side_encryption.as_ref(),
            )?,
        }
    }};
}
pub(super) use headers_of;

/// Refuses the headers of an access list that says anything.
macro_rules! no_acl {
    ($input:expr) => {{
        let granted = [
            &$input.grant_full_control,
            &$input.grant_read,
            &$input.grant_read_acp,
            &$input.grant_write_acp,
        ];
        let acl = $input.acl.as_ref().map(|acl| acl.as_str());
        $crate::service::buckets::check_acl(acl, granted.iter().any(|grant| grant.is_some()))
    }};
}
pub(super) use no_acl;

impl Operations {
    /// The user metadata, if it is not too large.
    pub(super) fn metadata(
        &self,
        metadata: Option<Metadata>,
    ) -> S3Result<BTreeMap<String, String>> {
        let metadata: BTreeMap<String, String> = metadata.unwrap_or_default().into_iter().collect();
        let size: usize = metadata
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        if size > self.gateway.limits.max_metadata_bytes {
            return Err(s3_error!(
                MetadataTooLarge,
                "the user metadata is too large"
            ));
        }
        Ok(metadata)
    }
}

/// The tags of an `x-amz-tagging` header: `name=value&…`, encoded as a query is.
pub(super) fn tags_of_header(header: Option<&str>) -> S3Result<BTreeMap<String, String>> {
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        let decoded = percent_decode_str(&spaced).decode_utf8();
        decoded.map(|text| text.into_owned()).map_err(|_| {
            s3_error!(
                InvalidArgument,
                "the header x-amz-tagging is not encoded as a query"
            )
        })
    };
    let pairs = header.unwrap_or_default().split('&');
    let pairs = pairs.filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decode(name)?, decode(value)?))
    });
    checked_tags(pairs.collect::<S3Result<Vec<_>>>()?)
}

/// The tags of a `Tagging` document.
pub(super) fn tags_of_set(set: TagSet) -> S3Result<BTreeMap<String, String>> {
    let pairs = set.into_iter().map(|tag| {
        let name = tag.key.ok_or_else(|| invalid_tag("a tag has no key"))?;
        Ok((name, tag.value.unwrap_or_default()))
    });
    checked_tags(pairs.collect::<S3Result<Vec<_>>>()?)
}

/// Tags as a document tells them.
pub(super) fn tag_set(tags: BTreeMap<String, String>) -> TagSet {
    let tag = |(key, value)| Tag {
        key: Some(key),
        value: Some(value),
    };
    tags.into_iter().map(tag).collect()
}

fn checked_tags(pairs: Vec<(String, String)>) -> S3Result<BTreeMap<String, String>> {
    if pairs.len() > MAX_TAGS {
        return Err(invalid_tag("an object has 10 tags at most"));
    }
    let mut tags = BTreeMap::new();
    for (name, value) in pairs {
        if name.is_empty() || name.chars().count() > MAX_TAG_KEY {
            return Err(invalid_tag("a tag's key has 1 to 128 characters"));
        }
        if value.chars().count() > MAX_TAG_VALUE {
            return Err(invalid_tag("a tag's value has 256 characters at most"));
        }
        if tags.insert(name, value).is_some() {
            return Err(invalid_tag("a tag's key is given twice"));
        }
    }
    Ok(tags)
}

fn invalid_tag(message: &'static str) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidTag, message)
}

/// The class to keep; the standard one goes without saying.
pub(super) fn storage_class(class: Option<&StorageClass>) -> S3Result<Option<String>> {
    let class = class.map(StorageClass::as_str);
    match class {
        None | Some("STANDARD") => Ok(None),
        Some(class) if STORAGE_CLASSES.contains(&class) => Ok(Some(class.to_owned())),
        Some(_) => Err(s3_error!(
            InvalidStorageClass,
            "the storage class is not one of those that can be read at once"
        )),
    }
}

/// What was asked for as encryption at rest. That of the store's own is taken as said of the disk,
/// which is the operator's; keys of others cannot be used.
pub(super) fn encryption(wanted: Option<&ServerSideEncryption>) -> S3Result<Option<String>> {
    match wanted.map(ServerSideEncryption::as_str) {
        None => Ok(None),
        Some("AES256") => Ok(Some("AES256".to_owned())),
        Some("aws:kms" | "aws:kms:dsse") => Err(s3_error!(
            NotImplemented,
            "encryption with keys of a key service is not there"
        )),
        Some(_) => Err(s3_error!(
            InvalidArgument,
            "there is no such server-side encryption"
        )),
    }
}

/// Refuses a request that brings its own key for encryption.
pub(super) fn no_foreign_keys(headers: &HeaderMap) -> S3Result<()> {
    let brings = |name: &str| {
        name.starts_with("x-amz-server-side-encryption-customer-")
            || name.starts_with("x-amz-copy-source-server-side-encryption-customer-")
    };
    if headers.keys().any(|name| brings(name.as_str())) {
        return Err(s3_error!(
            NotImplemented,
            "encryption with keys that come with the request is not there"
        ));
    }
    Ok(())
}

/// `aws-chunked` says how the body travelled, not how the object is encoded.
pub(crate) fn without_aws_chunked(encoding: String) -> Option<String> {
    let is_kept = |coding: &&str| *coding != "aws-chunked" && !coding.is_empty();
    let codings: Vec<&str> = encoding.split(',').map(str::trim).collect();
    let kept: Vec<&str> = codings.iter().copied().filter(is_kept).collect();
    match kept.len() {
        0 => None,
        n if n == codings.len() => Some(encoding),
        _ => Some(kept.join(", ")),
    }
}
