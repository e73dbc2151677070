//! Listings, of what the sender may read.
//!
//! The store makes the pages; what the policy does not allow is left out of them, so that a page
//! may hold less than was asked for. A common prefix is shown where the policy allows some key
//! that could lie below it.

use percent_encoding::percent_decode_str;
use s3s::dto::*;
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result};

use super::Upstream;
use super::convert::{self, word};
use crate::grants::Principal;
use crate::policy::Access;
use crate::service::listing::url_encoded;

/// How keys are written in a store's answer and in ours. The store is always asked to encode
/// them, since XML cannot hold every key.
pub(super) struct Text {
    encoded_there: bool,
    encoded_here: bool,
}

impl Text {
    pub(super) fn new(
        there: Option<&aws_sdk_s3::types::EncodingType>,
        here: Option<&EncodingType>,
    ) -> Self {
        Self {
            encoded_there: there.is_some_and(|it| it.as_str() == EncodingType::URL),
            encoded_here: here.is_some_and(|it| it.as_str() == EncodingType::URL),
        }
    }

    /// As it is.
    pub(super) fn plain(&self, text: String) -> String {
        if !self.encoded_there {
            return text;
        }
        // Stores write a space as they do in forms.
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8_lossy().into_owned()
    }

    /// As the client asked for it.
    pub(super) fn told(&self, text: String) -> String {
        if self.encoded_here {
            url_encoded(&text)
        } else {
            text
        }
    }

    pub(super) fn again(&self, text: String) -> String {
        self.told(self.plain(text))
    }
}

impl Upstream {
    pub(crate) async fn list_v1(
        &self,
        req: S3Request<ListObjectsInput>,
        who: Principal,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        let input = req.input;
        self.listable(&who)?;
        let request = self.client().await.list_objects();
        let asked = request
            .bucket(self.there())
            .set_prefix(input.prefix.clone())
            .set_delimiter(input.delimiter.clone())
            .set_marker(input.marker.clone())
            .set_max_keys(input.max_keys)
            .encoding_type(aws_sdk_s3::types::EncodingType::Url)
            .send();
        let said = Box::pin(asked).await;
        let said = said.map_err(|error| self.failed(error, S3ErrorCode::NoSuchBucket))?;
        let text = Text::new(said.encoding_type(), input.encoding_type.as_ref());
        let objects = said.contents.unwrap_or_default();
        let prefixes = said.common_prefixes.unwrap_or_default();
        // Without a delimiter clients go on from the last key that they see, which may be left out.
        let last = objects.last().and_then(|object| object.key.clone());
        let next = said
            .next_marker
            .or(last)
            .filter(|_| said.is_truncated == Some(true));
        Ok(S3Response::new(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: Some(text.told(input.prefix.unwrap_or_default())),
            marker: Some(text.told(input.marker.unwrap_or_default())),
            max_keys: said.max_keys,
            is_truncated: said.is_truncated,
            contents: self.objects(&who, objects, &text),
            common_prefixes: self.prefixes(&who, prefixes, &text),
            delimiter: input.delimiter.map(|it| text.told(it)),
            next_marker: next.map(|it| text.again(it)),
            encoding_type: input.encoding_type,
            ..Default::default()
        }))
    }

    pub(crate) async fn list_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
        who: Principal,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = req.input;
        self.listable(&who)?;
        let request = self.client().await.list_objects_v2();
        let asked = request
            .bucket(self.there())
            .set_prefix(input.prefix.clone())
            .set_delimiter(input.delimiter.clone())
            .set_start_after(input.start_after.clone())
            .set_continuation_token(input.continuation_token.clone())
            .set_max_keys(input.max_keys)
            .encoding_type(aws_sdk_s3::types::EncodingType::Url)
            .send();
        let said = Box::pin(asked).await;
        let said = said.map_err(|error| self.failed(error, S3ErrorCode::NoSuchBucket))?;
        let text = Text::new(said.encoding_type(), input.encoding_type.as_ref());
        let objects = said.contents.unwrap_or_default();
        let contents = self.objects(&who, objects, &text);
        let prefixes = said.common_prefixes.unwrap_or_default();
        let common_prefixes = self.prefixes(&who, prefixes, &text);
        let count =
            contents.as_ref().map_or(0, Vec::len) + common_prefixes.as_ref().map_or(0, Vec::len);
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(text.told(input.prefix.unwrap_or_default())),
            max_keys: said.max_keys,
            key_count: i32::try_from(count).ok(),
            continuation_token: input.continuation_token,
            is_truncated: said.is_truncated,
            next_continuation_token: said.next_continuation_token,
            contents,
            common_prefixes,
            delimiter: input.delimiter.map(|it| text.told(it)),
            encoding_type: input.encoding_type,
            start_after: input.start_after.map(|it| text.told(it)),
            ..Default::default()
        }))
    }

    pub(crate) async fn list_versions(
        &self,
        req: S3Request<ListObjectVersionsInput>,
        who: Principal,
    ) -> S3Result<S3Response<ListObjectVersionsOutput>> {
        let input = req.input;
        self.listable(&who)?;
        let request = self.client().await.list_object_versions();
        let asked = request
            .bucket(self.there())
            .set_prefix(input.prefix.clone())
            .set_delimiter(input.delimiter.clone())
            .set_key_marker(input.key_marker.clone())
            .set_version_id_marker(input.version_id_marker.clone())
            .set_max_keys(input.max_keys)
            .encoding_type(aws_sdk_s3::types::EncodingType::Url)
            .send();
        let said = Box::pin(asked).await;
        let said = said.map_err(|error| self.failed(error, S3ErrorCode::NoSuchBucket))?;
        let text = Text::new(said.encoding_type(), input.encoding_type.as_ref());
        let version = |version: aws_sdk_s3::types::ObjectVersion| {
            Some(ObjectVersion {
                checksum_type: word!(version.checksum_type),
                e_tag: convert::etag(version.e_tag.as_deref()),
                is_latest: version.is_latest,
                key: Some(self.shown(&who, version.key?, &text)?),
                last_modified: version.last_modified.and_then(convert::from_time),
                owner: owner(version.owner),
                size: version.size,
                storage_class: word!(version.storage_class),
                version_id: version.version_id,
                ..Default::default()
            })
        };
        let marker = |marker: aws_sdk_s3::types::DeleteMarkerEntry| {
            Some(DeleteMarkerEntry {
                is_latest: marker.is_latest,
                key: Some(self.shown(&who, marker.key?, &text)?),
                last_modified: marker.last_modified.and_then(convert::from_time),
                owner: owner(marker.owner),
                version_id: marker.version_id,
            })
        };
        let prefixes = said.common_prefixes.unwrap_or_default();
        Ok(S3Response::new(ListObjectVersionsOutput {
            name: Some(input.bucket),
            common_prefixes: self.prefixes(&who, prefixes, &text),
            delete_markers: said
                .delete_markers
                .map(|all| all.into_iter().filter_map(marker).collect()),
            delimiter: input.delimiter.map(|it| text.told(it)),
            encoding_type: input.encoding_type,
            is_truncated: said.is_truncated,
            key_marker: input.key_marker.map(|it| text.told(it)),
            max_keys: said.max_keys,
            next_key_marker: said.next_key_marker.map(|it| text.again(it)),
            next_version_id_marker: said.next_version_id_marker,
            prefix: input.prefix.map(|it| text.told(it)),
            version_id_marker: input.version_id_marker,
            versions: said
                .versions
                .map(|all| all.into_iter().filter_map(version).collect()),
            ..Default::default()
        }))
    }

    fn objects(
        &self,
        who: &Principal,
        objects: Vec<aws_sdk_s3::types::Object>,
        text: &Text,
    ) -> Option<Vec<Object>> {
        let object = |object: aws_sdk_s3::types::Object| {
            Some(Object {
                checksum_type: word!(object.checksum_type),
                e_tag: convert::etag(object.e_tag.as_deref()),
                key: Some(self.shown(who, object.key?, text)?),
                last_modified: object.last_modified.and_then(convert::from_time),
                owner: owner(object.owner),
                size: object.size,
                storage_class: word!(object.storage_class),
                ..Default::default()
            })
        };
        Some(objects.into_iter().filter_map(object).collect())
    }

    /// A key of an answer, if the sender may read it.
    fn shown(&self, who: &Principal, key: String, text: &Text) -> Option<String> {
        let key = text.plain(key);
        let visible = who.policy.allows(Access::Read, self.name.as_str(), &key);
        visible.then(|| text.told(key))
    }

    pub(super) fn prefixes(
        &self,
        who: &Principal,
        prefixes: Vec<aws_sdk_s3::types::CommonPrefix>,
        text: &Text,
    ) -> Option<Vec<CommonPrefix>> {
        let shown = |prefix: aws_sdk_s3::types::CommonPrefix| {
            let prefix = text.plain(prefix.prefix?);
            let visible = who
                .policy
                .may_touch(Access::Read, self.name.as_str(), &prefix);
            visible.then(|| CommonPrefix {
                prefix: Some(text.told(prefix)),
            })
        };
        Some(prefixes.into_iter().filter_map(shown).collect())
    }
}

fn owner(owner: Option<aws_sdk_s3::types::Owner>) -> Option<Owner> {
    owner.map(|owner| Owner {
        display_name: owner.display_name,
        id: owner.id,
    })
}
