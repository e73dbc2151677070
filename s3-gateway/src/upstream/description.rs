//! What an object is beside its bytes: headers, user metadata, and the gateway's stamp in it.
//!
//! The stamp says which write made an object. It is an entry of the user metadata, so that every
//! channel that sees the object sees it too; clients of the gateway do not.

use std::collections::HashMap;

use s3s::dto::{Metadata, Timestamp};
use s3s::{S3Result, s3_error};
use uuid::Uuid;

use super::convert;

/// The entry of the user metadata that holds the stamp: `x-amz-meta-daybook-stamp`.
pub(super) const STAMP: &str = "daybook-stamp";

/// The type of objects that were put without one, as S3 has it.
const DEFAULT_TYPE: &str = "binary/octet-stream";

/// What a write says of an object beside its bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Description {
    pub(crate) cache_control: Option<String>,
    pub(crate) content_disposition: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) content_language: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) metadata: HashMap<String, String>,
    pub(crate) bucket_key_enabled: Option<bool>,
    pub(crate) encryption: Option<String>,
    pub(crate) encryption_key: Option<String>,
    pub(crate) storage_class: Option<String>,
    pub(crate) tagging: Option<String>,
    pub(crate) redirect: Option<String>,
}

impl Description {
    /// Puts a stamp on it; one that a client sent is none.
    pub(super) fn stamped(mut self, stamp: Uuid) -> Self {
        take_stamp(&mut self.metadata);
        self.metadata.insert(STAMP.to_owned(), stamp.to_string());
        self
    }

    /// Refuses user metadata over the bound.
    pub(super) fn check(&self, max_bytes: usize) -> S3Result<()> {
        let size: usize = self.metadata.iter().map(|(n, v)| n.len() + v.len()).sum();
        if size > max_bytes {
            return Err(s3_error!(
                MetadataTooLarge,
                "the user metadata is too large"
            ));
        }
        Ok(())
    }

    pub(super) fn type_or_default(&self) -> String {
        let given = self.content_type.clone();
        given.unwrap_or_else(|| DEFAULT_TYPE.to_owned())
    }
}

/// Takes the stamp out of an object's metadata.
pub(super) fn take_stamp(metadata: &mut HashMap<String, String>) -> Option<Uuid> {
    let mut stamp = None;
    metadata.retain(|name, value| {
        let is_stamp = name.eq_ignore_ascii_case(STAMP);
        if is_stamp {
            stamp = Uuid::parse_str(value).ok();
        }
        !is_stamp
    });
    stamp
}

/// The metadata as clients see it.
pub(super) fn shown(metadata: Option<HashMap<String, String>>) -> (Option<Metadata>, Option<Uuid>) {
    let mut metadata = metadata.unwrap_or_default();
    let stamp = take_stamp(&mut metadata);
    ((!metadata.is_empty()).then_some(metadata), stamp)
}

/// The description in a request of crate `s3s`, taken out of it. What would be lost if it were
/// not passed on, and is not, is refused.
macro_rules! described {
    ($input:expr) => {{
        let encrypted =
            $input.sse_customer_algorithm.is_some() || $input.sse_customer_key.is_some();
        let locked = $input.object_lock_mode.is_some()
            || $input.object_lock_legal_hold_status.is_some()
            || $input.object_lock_retain_until_date.is_some();
        if encrypted || locked {
            return Err(s3s::s3_error!(
                NotImplemented,
                "keys of the customer and object locks are not passed on to other stores"
            ));
        }
        $crate::upstream::Description {
            cache_control: $input.cache_control.take(),
            content_disposition: $input.content_disposition.take(),
            content_encoding: $input
                .content_encoding
                .take()
                .and_then($crate::service::properties::without_aws_chunked),
            content_language: $input.content_language.take(),
            content_type: $input.content_type.take(),
            expires: $input.expires.take(),
            metadata: $input
                .metadata
                .take()
                .unwrap_or_default()
                .into_iter()
                .collect(),
            bucket_key_enabled: $input.bucket_key_enabled.take(),
            encryption: $input
                .server_side_encryption
                .take()
                .map(|it| it.as_str().to_owned()),
            encryption_key: $input.ssekms_key_id.take(),
            storage_class: $input.storage_class.take().map(|it| it.as_str().to_owned()),
            tagging: $input.tagging.take(),
            redirect: $input.website_redirect_location.take(),
        }
    }};
}
pub(super) use described;

/// Gives a request of the SDK its description.
macro_rules! describe {
    ($request:expr, $description:expr) => {{
        let d: $crate::upstream::Description = $description;
        $request
            .content_type(d.type_or_default())
            .set_cache_control(d.cache_control)
            .set_content_disposition(d.content_disposition)
            .set_content_encoding(d.content_encoding)
            .set_content_language(d.content_language)
            .set_expires(
                d.expires
                    .as_ref()
                    .and_then($crate::upstream::convert::to_time),
            )
            .set_metadata(Some(d.metadata))
            .set_bucket_key_enabled(d.bucket_key_enabled)
            .set_server_side_encryption(d.encryption.map(|it| it.as_str().into()))
            .set_ssekms_key_id(d.encryption_key)
            .set_storage_class(d.storage_class.map(|it| it.as_str().into()))
            .set_tagging(d.tagging)
            .set_website_redirect_location(d.redirect)
    }};
}
pub(super) use describe;

/// An object that a store has, as it was seen.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) etag: Option<String>,
    pub(crate) size: Option<u64>,
    pub(crate) version_id: Option<String>,
    pub(crate) modified: Option<aws_sdk_s3::primitives::DateTime>,
    pub(crate) stamp: Option<Uuid>,
    pub(crate) description: Description,
}

impl Seen {
    pub(super) fn of(said: aws_sdk_s3::operation::head_object::HeadObjectOutput) -> Self {
        let expires = convert::http_date(said.expires_string.as_deref());
        let (metadata, stamp) = shown(said.metadata);
        Self {
            etag: convert::bare(said.e_tag.as_deref()),
            size: said
                .content_length
                .and_then(|size| u64::try_from(size).ok()),
            version_id: convert::real_version(said.version_id.as_deref()),
            modified: said.last_modified,
            stamp,
            description: Description {
                cache_control: said.cache_control,
                content_disposition: said.content_disposition,
                content_encoding: said.content_encoding,
                content_language: said.content_language,
                content_type: said.content_type,
                expires,
                metadata: metadata.unwrap_or_default(),
                storage_class: said.storage_class.map(|it| it.as_str().to_owned()),
                redirect: said.website_redirect_location,
                // How a store encrypts a copy is its bucket's business, unless the copy says so.
                ..Description::default()
            },
        }
    }
}
