//! What a reconcile asks of a bucket. The gateway answers it; tests have a shelf of their own.

use async_trait::async_trait;
use daybook_domain::reconcile::ReconcileStarted;
use daybook_domain::stored_object::ListedVersion;
use daybook_domain::{BucketName, ObjectKey};
use daybook_s3_gateway::{DescribedVersion, Gateway, SurveyError, SurveyedKey};

use super::merge::{Pages, ReadAhead};
use super::{Problem, inventory};

/// Pages of a bucket's keys, in order.
pub(crate) type SurveyedPages = Box<dyn Pages<SurveyedKey>>;

/// The buckets that can be compared.
#[async_trait]
pub(crate) trait Buckets: Send + Sync {
    /// Whether whoever writes to the bucket has the key locked until the ledger has the write.
    fn locks_keys(&self, bucket: &BucketName) -> bool;

    /// Has recorded what was put there and taken out by hand.
    async fn settle_by_hand(&self, bucket: &BucketName) -> Result<(), SurveyError>;

    /// The keys that begin so and come after one.
    fn survey(
        &self,
        bucket: &BucketName,
        prefix: &str,
        after: Option<&ObjectKey>,
    ) -> Result<SurveyedPages, SurveyError>;

    /// The keys of an S3 Inventory report, in the place of a survey.
    async fn report(
        &self,
        asked: &ReconcileStarted,
        manifest: &str,
        after: Option<&ObjectKey>,
    ) -> Result<SurveyedPages, Problem>;

    /// The versions that a key has at this moment, the newest first. `None` while somebody writes to
    /// it by hand.
    async fn look_at(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
    ) -> Result<Option<Vec<ListedVersion>>, SurveyError>;

    /// What the bucket tells of a version that was listed; `None` if it is gone since.
    async fn describe(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        listed: &ListedVersion,
    ) -> Result<Option<DescribedVersion>, SurveyError>;
}

#[async_trait]
impl Buckets for Gateway {
    fn locks_keys(&self, bucket: &BucketName) -> bool {
        self.is_local(bucket)
    }

    async fn settle_by_hand(&self, bucket: &BucketName) -> Result<(), SurveyError> {
        Gateway::settle_by_hand(self, bucket).await
    }

    fn survey(
        &self,
        bucket: &BucketName,
        prefix: &str,
        after: Option<&ObjectKey>,
    ) -> Result<SurveyedPages, SurveyError> {
        let survey = Gateway::survey(self, bucket, prefix, after)?;
        Ok(Box::new(ReadAhead::of(survey)))
    }

    async fn report(
        &self,
        asked: &ReconcileStarted,
        manifest: &str,
        after: Option<&ObjectKey>,
    ) -> Result<SurveyedPages, Problem> {
        let report = inventory::open(self, asked, manifest, after).await?;
        Ok(Box::new(report))
    }

    async fn look_at(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
    ) -> Result<Option<Vec<ListedVersion>>, SurveyError> {
        Gateway::look_at(self, bucket, key).await
    }

    async fn describe(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        listed: &ListedVersion,
    ) -> Result<Option<DescribedVersion>, SurveyError> {
        Gateway::describe(self, bucket, key, listed).await
    }
}
