//! Copies from and to other stores.
//!
//! Between buckets of one store the store copies by itself; everything else streams through, in
//! parts where it is too large for one request. A copy gets a stamp of its own, so that what the
//! store would copy along has to be read first and said again.

use std::sync::Arc;

use aws_sdk_s3::types::{CompletedPart, MetadataDirective as Directive};
use daybook_domain::ObjectKey;
use s3s::dto::{CopyObjectInput, CopySource, Timestamp};
use s3s::{S3ErrorCode, S3Result, s3_error};

use super::convert;
use super::description::{Description, Seen, describe, described};
use super::events::Landed;
use super::fence::Fence;
use super::incoming::Incoming;
use super::parts::{MAX_PARTS, part_number};
use super::sources::{Source, SourceObject};
use super::writing::{Conditions, Put};
use super::{Upstream, connect, to_its_end};
use crate::clock;
use crate::grants::{Principal, Scope};
use crate::policy::Access;
use crate::service::body::Announced;

/// The parts in which a store copies what is too large for one request.
const COPY_PART_BYTES: u64 = 512 << 20;

/// What became of a copy.
#[derive(Debug)]
pub(crate) struct Copied {
    pub(crate) etag: Option<String>,
    pub(crate) modified: Option<Timestamp>,
    pub(crate) version_id: Option<String>,
    pub(crate) source_version_id: Option<String>,
}

impl Upstream {
    /// Has the store copy an object from another bucket of it, or from this one.
    pub(crate) async fn copy_within(
        self: Arc<Self>,
        who: Principal,
        mut input: CopyObjectInput,
        from: Arc<Upstream>,
        source: Source,
    ) -> S3Result<Copied> {
        let key = self.allowed(&who, Access::Write, &input.key)?;
        let replace = is_replace(&input);
        let same = from.name == self.name && source.key == key && source.version.is_none();
        if same && !replace {
            return Err(s3_error!(
                InvalidRequest,
                "this copy request is illegal because it is trying to copy an object to itself without changing its metadata"
            ));
        }
        let seen = from.look_at(&who, &source).await?;
        let tagging_directive = input.tagging_directive.take();
        let description = with_overrides(seen.description.clone(), &mut input, replace)?;
        description.check(self.limits.max_metadata_bytes)?;
        let version_id = source.version.clone().or_else(|| seen.version_id.clone());
        let copy = Copy {
            from: CopySource::Bucket {
                bucket: from.there().into(),
                key: source.key.as_str().into(),
                version_id: version_id.map(Into::into),
            },
            key,
            seen,
            description,
            tagging_directive: tagging_directive.map(|it| it.as_str().to_owned()),
        };
        let work = async move {
            if copy
                .seen
                .size
                .is_some_and(|size| size > self.bounds().max_copy_bytes)
            {
                self.copy_in_parts(copy, who.scope.as_ref()).await
            } else {
                self.copy_at_once(copy, who.scope.as_ref()).await
            }
        };
        to_its_end(work).await
    }

    async fn copy_at_once(&self, copy: Copy, scope: Option<&Arc<Scope>>) -> S3Result<Copied> {
        let stamp = clock::random_id();
        let turn = self.order.turn(&copy.key).await;
        let request = self.client().await.copy_object();
        let request = request
            .bucket(self.there())
            .key(copy.key.as_str())
            .copy_source(copy.from.format_to_string())
            .set_copy_source_if_match(copy.seen.etag.as_deref().map(convert::quoted))
            .metadata_directive(Directive::Replace)
            .set_tagging_directive(copy.tagging_directive.as_deref().map(Into::into));
        let asked = describe!(request, copy.description.stamped(stamp))
            .customize()
            .config_override(
                aws_sdk_s3::Config::builder().timeout_config(connect::lengthy(self.bounds())),
            )
            .interceptor(Fence(scope.cloned()))
            .send();
        let said = Box::pin(asked).await;
        let said = said.map_err(|error| self.failed(error, S3ErrorCode::NoSuchKey))?;
        let result = said
            .copy_object_result
            .unwrap_or_else(|| aws_sdk_s3::types::CopyObjectResult::builder().build());
        let landed = Landed {
            key: copy.key,
            stamp: Some(stamp),
            etag: convert::bare(result.e_tag.as_deref()),
            version_id: convert::real_version(said.version_id.as_deref()),
            size: copy.seen.size,
            event_name: "ObjectCreated:Copy",
        };
        self.record(landed, scope, &turn).await?;
        Ok(Copied {
            etag: convert::bare(result.e_tag.as_deref()),
            modified: result.last_modified.and_then(convert::from_time),
            version_id: said.version_id,
            source_version_id: said.copy_source_version_id,
        })
    }

    async fn copy_in_parts(&self, copy: Copy, scope: Option<&Arc<Scope>>) -> S3Result<Copied> {
        let size = copy.seen.size.unwrap_or_default();
        let part = COPY_PART_BYTES.min(self.bounds().max_copy_bytes);
        let part = part.max(size.div_ceil(MAX_PARTS));
        let begun = self.begin(&copy.key, copy.description, scope).await?;
        let client = self.client().await;
        let copying = async {
            let mut parts = Vec::new();
            let mut at = 0;
            while at < size {
                let end = (at + part).min(size);
                let number = part_number(parts.len())?;
                let asked = client
                    .upload_part_copy()
                    .bucket(self.there())
                    .key(begun.key.as_str())
                    .upload_id(&begun.id)
                    .part_number(number)
                    .copy_source(copy.from.format_to_string())
                    .set_copy_source_if_match(copy.seen.etag.as_deref().map(convert::quoted))
                    .copy_source_range(format!("bytes={at}-{}", end - 1))
                    .customize()
                    .config_override(
                        aws_sdk_s3::Config::builder()
                            .timeout_config(connect::lengthy(self.bounds())),
                    )
                    .interceptor(Fence(scope.cloned()))
                    .send();
                let said = Box::pin(asked).await;
                let said = said.map_err(|error| self.failed(error, S3ErrorCode::NoSuchKey))?;
                let etag = said.copy_part_result.and_then(|result| result.e_tag);
                let copied = CompletedPart::builder()
                    .part_number(number)
                    .set_e_tag(etag)
                    .build();
                parts.push(copied);
                at = end;
            }
            Ok(parts)
        };
        let parts = self.or_abort(&begun, Box::pin(copying).await).await?;
        let ended = self
            .complete(
                &begun,
                parts,
                Conditions::default(),
                Some(size),
                "ObjectCreated:Copy",
            )
            .await;
        let put = self.or_abort(&begun, ended).await?;
        let modified = self.look(&copy.key, None).await?.and_then(|it| it.modified);
        Ok(Copied {
            etag: put.e_tag.map(s3s::dto::ETag::into_value),
            modified: modified.and_then(convert::from_time),
            version_id: put.version_id,
            source_version_id: copy.seen.version_id,
        })
    }

    /// Takes a copy of an object that lies elsewhere.
    pub(crate) async fn copy_from(
        self: Arc<Self>,
        who: Principal,
        mut input: CopyObjectInput,
        object: SourceObject,
    ) -> S3Result<Copied> {
        let key = self.allowed(&who, Access::Write, &input.key)?;
        let replace = is_replace(&input);
        let description = with_overrides(object.description, &mut input, replace)?;
        description.check(self.limits.max_metadata_bytes)?;
        let algorithm = input.checksum_algorithm.take();
        let (length, source_version_id) = (object.length, object.version_id);
        let chunks = object.chunks;
        let work = async move {
            let put = Put {
                key: &key,
                description,
                conditions: Conditions::default(),
                scope: who.scope.as_ref(),
                event_name: "ObjectCreated:Copy",
            };
            let put = if length > self.bounds().max_copy_bytes {
                self.put_large(put, chunks, length).await?
            } else {
                let mut incoming = Incoming::of_object(chunks, length);
                incoming.announced = Announced {
                    algorithm,
                    ..Announced::default()
                };
                self.put_measured(put, incoming, length).await?
            };
            let modified = self.look(&key, None).await?.and_then(|seen| seen.modified);
            Ok(Copied {
                etag: put.e_tag.map(s3s::dto::ETag::into_value),
                modified: modified.and_then(convert::from_time),
                version_id: put.version_id,
                source_version_id,
            })
        };
        to_its_end(work).await
    }
}

/// A copy that the store makes.
struct Copy {
    from: CopySource,
    key: ObjectKey,
    seen: Seen,
    description: Description,
    tagging_directive: Option<String>,
}

pub(crate) fn is_replace(input: &CopyObjectInput) -> bool {
    let directive = input.metadata_directive.as_ref();
    directive.is_some_and(|it| it.as_str() == s3s::dto::MetadataDirective::REPLACE)
}

/// What the copy is described by: as its source, or as the request says.
fn with_overrides(
    source: Description,
    input: &mut CopyObjectInput,
    replace: bool,
) -> S3Result<Description> {
    let said: Description = described!(input);
    if replace {
        return Ok(said);
    }
    Ok(Description {
        bucket_key_enabled: said.bucket_key_enabled,
        encryption: said.encryption,
        encryption_key: said.encryption_key,
        storage_class: said.storage_class,
        tagging: said.tagging,
        ..source
    })
}
