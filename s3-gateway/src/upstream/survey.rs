//! What a bucket of another store has, by the store's own listings: of versions where it keeps
//! them, else of objects.

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use aws_sdk_s3::types::{DeleteMarkerEntry, EncodingType, Object, ObjectVersion as StoredVersion};
use daybook_domain::ObjectKey;
use daybook_domain::stored_object::{ListedVersion, ObjectVersion};
use s3s::{S3ErrorCode, S3Result};

use super::Upstream;
use super::convert::{bare, real_version, recorded_time};
use super::events::version;
use super::listing::Text;
use crate::survey::{DescribedVersion, Entry, in_order};

/// How long it is remembered whether the store keeps versions of the bucket.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// How far a walk is.
pub(crate) enum UpstreamPlace {
    /// It has not begun; it is to begin behind this key.
    Before(Option<String>),
    /// It goes on in the listing of versions behind this key, and this version of it.
    Versions(Option<String>, Option<String>),
    /// It goes on in the listing of objects, behind the key or from the token.
    Objects(Option<String>, Option<String>),
    /// It is at its end.
    Done,
}

impl UpstreamPlace {
    pub(crate) fn after(key: Option<String>) -> Self {
        Self::Before(key)
    }
}

impl Upstream {
    /// The next page of a walk; `None` at its end.
    pub(crate) async fn entries(
        &self,
        prefix: &str,
        at: &mut UpstreamPlace,
    ) -> S3Result<Option<Vec<Entry>>> {
        if let UpstreamPlace::Before(key) = at {
            let key = key.take();
            *at = match self.keeps_versions().await? {
                true => UpstreamPlace::Versions(key, None),
                false => UpstreamPlace::Objects(key, None),
            };
        }
        let (entries, next) = match &*at {
            UpstreamPlace::Versions(key, version) => {
                self.versions(prefix, key.clone(), version.clone()).await?
            }
            UpstreamPlace::Objects(key, token) => {
                self.objects_of(prefix, key.clone(), token.clone()).await?
            }
            UpstreamPlace::Before(_) | UpstreamPlace::Done => return Ok(None),
        };
        *at = next;
        Ok(Some(entries))
    }

    /// The versions and markers of one key.
    pub(crate) async fn entries_of(&self, key: &ObjectKey) -> S3Result<Vec<Entry>> {
        // Whoever writes through this gateway has the turn until the ledger has the write.
        let _turn = self.order.turn(key).await;
        if !self.keeps_versions().await? {
            let seen = self.look(key, None).await?;
            let entry = seen.map(|seen| Entry {
                key: key.to_string(),
                latest: true,
                version: Some((version(&seen), None)),
            });
            return Ok(entry.into_iter().collect());
        }
        let mut found = Vec::new();
        let (mut marker, mut version_marker) = (None, None);
        loop {
            // A key comes before all others that begin with it.
            let (page, next) = self.versions(key.as_str(), marker, version_marker).await?;
            let all = page.len();
            found.extend(page.into_iter().filter(|entry| entry.key == key.as_str()));
            match next {
                UpstreamPlace::Versions(next, version)
                    if next.as_deref() == Some(key.as_str()) && all > 0 =>
                {
                    (marker, version_marker) = (next, version);
                }
                _ => return Ok(found),
            }
        }
    }

    /// What a head says of a version.
    pub(crate) async fn describe(
        &self,
        key: &ObjectKey,
        listed: &ListedVersion,
    ) -> S3Result<Option<DescribedVersion>> {
        let id = listed.version.version_id.as_deref();
        let seen = self.look(key, id).await?;
        Ok(seen.map(|seen| DescribedVersion {
            version: version(&seen),
            order: None,
            event_name: None,
            produced_by: None,
        }))
    }

    /// The bytes of an object, in a temporary file.
    pub(crate) async fn fetch(&self, key: &ObjectKey) -> S3Result<Option<File>> {
        let request = self.client().await.get_object();
        let asked = request.bucket(self.there()).key(key.as_str()).send();
        let said = match Box::pin(asked).await {
            Ok(said) => said,
            Err(error) => {
                let error = self.failed(error, S3ErrorCode::NoSuchKey);
                return match *error.code() == S3ErrorCode::NoSuchKey {
                    true => Ok(None),
                    false => Err(error),
                };
            }
        };
        let mut file = tempfile::tempfile().map_err(s3s::S3Error::internal_error)?;
        let mut body = said.body;
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| self.unreachable(&error.to_string()))?;
            file.write_all(&chunk)
                .map_err(s3s::S3Error::internal_error)?;
        }
        Ok(Some(file))
    }

    /// The bucket's name at its store.
    pub(crate) fn name_there(&self) -> &str {
        self.there()
    }

    /// Whether the store keeps versions of the bucket, as far as it says so. That is remembered for a
    /// while, since it is asked for single keys too.
    async fn keeps_versions(&self) -> S3Result<bool> {
        let mut known = self.versions_kept.lock().await;
        if let Some((since, kept)) = *known
            && since.elapsed() < ASK_AGAIN
        {
            return Ok(kept);
        }
        let kept = self.asks_for_versions().await?;
        *known = Some((Instant::now(), kept));
        Ok(kept)
    }

    async fn asks_for_versions(&self) -> S3Result<bool> {
        let request = self.client().await.get_bucket_versioning();
        if let Ok(said) = Box::pin(request.bucket(self.there()).send()).await {
            return Ok(said.status.is_some());
        }
        // Not every store answers that, or lets everybody ask.
        let request = self.client().await.list_object_versions();
        let asked = request.bucket(self.there()).max_keys(1).send();
        match Box::pin(asked).await {
            Ok(_) => Ok(true),
            Err(error) => {
                let error = self.failed(error, S3ErrorCode::NoSuchBucket);
                // A store that cannot be reached now has not said that it keeps none.
                if error
                    .status_code()
                    .is_none_or(|status| status.is_server_error())
                    && *error.code() != S3ErrorCode::NotImplemented
                {
                    return Err(error);
                }
                tracing::debug!(bucket = %self.name, %error, "the store does not list versions");
                Ok(false)
            }
        }
    }

    async fn versions(
        &self,
        prefix: &str,
        key_marker: Option<String>,
        version_marker: Option<String>,
    ) -> S3Result<(Vec<Entry>, UpstreamPlace)> {
        let request = self.client().await.list_object_versions();
        let asked = request
            .bucket(self.there())
            .prefix(prefix)
            .set_key_marker(key_marker)
            .set_version_id_marker(version_marker)
            .encoding_type(EncodingType::Url)
            .send();
        let said = Box::pin(asked).await;
        let said = said.map_err(|error| self.failed(error, S3ErrorCode::NoSuchBucket))?;
        let text = Text::new(said.encoding_type(), None);
        let versions = said.versions.unwrap_or_default().into_iter();
        let versions = versions.filter_map(|version| version_entry(version, &text));
        let markers = said.delete_markers.unwrap_or_default().into_iter();
        let markers = markers.filter_map(|marker| marker_entry(marker, &text));
        let entries = in_order(versions.collect(), markers.collect());
        let next = match said.is_truncated {
            Some(true) => UpstreamPlace::Versions(
                said.next_key_marker.map(|key| text.plain(key)),
                said.next_version_id_marker,
            ),
            _ => UpstreamPlace::Done,
        };
        Ok((entries, next))
    }

    async fn objects_of(
        &self,
        prefix: &str,
        after: Option<String>,
        token: Option<String>,
    ) -> S3Result<(Vec<Entry>, UpstreamPlace)> {
        let request = self.client().await.list_objects_v2();
        let asked = request
            .bucket(self.there())
            .prefix(prefix)
            .set_start_after(after)
            .set_continuation_token(token)
            .encoding_type(EncodingType::Url)
            .send();
        let said = Box::pin(asked).await;
        let said = said.map_err(|error| self.failed(error, S3ErrorCode::NoSuchBucket))?;
        let text = Text::new(said.encoding_type(), None);
        let objects = said.contents.unwrap_or_default().into_iter();
        let entries = objects.filter_map(|object| object_entry(object, &text));
        let next = match (said.is_truncated, said.next_continuation_token) {
            (Some(true), Some(token)) => UpstreamPlace::Objects(None, Some(token)),
            _ => UpstreamPlace::Done,
        };
        Ok((entries.collect(), next))
    }
}

fn version_entry(version: StoredVersion, text: &Text) -> Option<Entry> {
    let shown = ObjectVersion {
        version_id: real_version(version.version_id.as_deref()),
        etag: bare(version.e_tag.as_deref()),
        size: size(version.size),
        modified_at: version.last_modified.and_then(recorded_time),
        stamp: None,
    };
    Some(Entry {
        key: text.plain(version.key?),
        latest: version.is_latest == Some(true),
        version: Some((shown, None)),
    })
}

fn marker_entry(marker: DeleteMarkerEntry, text: &Text) -> Option<Entry> {
    Some(Entry {
        key: text.plain(marker.key?),
        latest: marker.is_latest == Some(true),
        version: None,
    })
}

fn object_entry(object: Object, text: &Text) -> Option<Entry> {
    let shown = ObjectVersion {
        version_id: None,
        etag: bare(object.e_tag.as_deref()),
        size: size(object.size),
        modified_at: object.last_modified.and_then(recorded_time),
        stamp: None,
    };
    Some(Entry {
        key: text.plain(object.key?),
        latest: true,
        version: Some((shown, None)),
    })
}

fn size(size: Option<i64>) -> Option<u64> {
    size.and_then(|size| u64::try_from(size).ok())
}
