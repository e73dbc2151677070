//! What becomes of the outputs that attempts staged: the gateway's side of publishing on success.
//!
//! The floor above records what was decided, and says so here. Each step may be repeated, and may
//! be taken by several processes at once.

use std::sync::Arc;

use daybook_domain::BucketName;
use thiserror::Error;

use crate::gateway::Gateway;
use crate::ledger::AttemptId;
use crate::local::store::{Bucket, blocking};

/// Why staged outputs could not be sealed or published. Trying again later is safe.
#[derive(Debug, Error)]
pub enum PublishError {
    /// A bucket's folder cannot be used, or its ledger does not answer.
    #[error("what was staged in bucket {bucket} cannot be published")]
    Bucket {
        /// The bucket.
        bucket: BucketName,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No bucket has outputs of the attempt. They are published and gone, or in the folders of
    /// another machine: ask the ledger which.
    #[error("nothing that attempt {0} staged is in the folders of this process")]
    NotHere(AttemptId),
}

impl PublishError {
    fn of(
        bucket: &Bucket,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> PublishError {
        PublishError::Bucket {
            bucket: bucket.name.clone(),
            source: source.into(),
        }
    }
}

impl Gateway {
    /// Makes durable what an attempt staged, whose scope is closed. To be called before its success
    /// is recorded, after which it has to be published.
    pub async fn seal(&self, attempt: AttemptId) -> Result<(), PublishError> {
        let mut found = false;
        for bucket in self.buckets.local() {
            let this = Arc::clone(&bucket);
            let sealed = blocking(move || Ok(this.seal_staged(attempt)?)).await;
            found |= sealed.map_err(|error| PublishError::of(&bucket, error))?;
        }
        found.then_some(()).ok_or(PublishError::NotHere(attempt))
    }

    /// Makes visible what an attempt staged, and has it recorded. To be called once its success is
    /// on record. What was staged is kept until [`Gateway::discard`].
    pub async fn publish(&self, attempt: AttemptId) -> Result<(), PublishError> {
        let mut found = false;
        for bucket in self.buckets.local() {
            let published = bucket.publish_staged(attempt).await;
            found |= published.map_err(|error| PublishError::of(&bucket, error))?;
        }
        found.then_some(()).ok_or(PublishError::NotHere(attempt))
    }

    /// Removes what an attempt staged and nobody will see, or what is left once it was published
    /// and that is on record. What cannot be removed now is found later.
    pub async fn discard(&self, attempt: AttemptId) {
        for bucket in self.buckets.local() {
            let this = Arc::clone(&bucket);
            if let Err(error) = blocking(move || Ok(this.discard_staged(attempt)?)).await {
                tracing::warn!(bucket = %bucket.name, %attempt, %error, "what was staged could not be removed");
            }
        }
    }

    /// Removes from a bucket what was staged by attempts that came to nothing.
    pub(crate) async fn discard_decided(&self, bucket: &Arc<Bucket>) {
        if let Err(error) = bucket.discard_decided().await {
            tracing::warn!(bucket = %bucket.name, %error, "what was staged for nothing could not be removed");
        }
    }
}
