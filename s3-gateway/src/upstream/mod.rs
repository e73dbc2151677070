//! Buckets of other S3 stores: requests come in as for a local bucket and are passed on.
//!
//! ```text
//!  client ─ s3s ─> Operations ─> upstream::{reading, writing, …} ─ aws-sdk-s3 ─> the other store
//!                                              │
//!                                              └─> ObjectLedger, once the store has the object
//! ```
//! Policies, fencing and lineage are those of local buckets. Bodies flow through in both
//! directions: what is in memory of one is a few chunks, or one part where its length is unknown.
//! The last chunk of a body is held back until its checksums are right and the fence is passed, so
//! that what fails either never becomes an object there.

mod connect;
mod convert;
mod copying;
mod description;
mod digest;
mod events;
mod failing;
mod fence;
mod idle;
mod incoming;
mod listing;
mod multipart;
mod order;
mod part_copies;
mod parts;
mod reading;
mod relay;
mod removing;
mod sources;
mod survey;
mod tagging;
#[cfg(test)]
mod tests;
mod writing;

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use aws_sdk_s3::Client;
use daybook_domain::{BucketName, ObjectKey};
use s3s::{S3Error, S3Result};
use tokio::sync::{Mutex, OnceCell};

pub(crate) use copying::{Copied, is_replace};
pub(crate) use description::Description;
pub(crate) use sources::{Source, SourceObject};
pub(crate) use survey::UpstreamPlace;

use crate::clock;
use crate::config::{Limits, UpstreamBucket, UpstreamLimits};
use crate::error::StoreError;
use crate::grants::{Principal, Scope};
use crate::ledger::ObjectLedger;
use crate::policy::Access;
use crate::trace;
use order::Order;

/// A bucket of another store.
pub(crate) struct Upstream {
    pub(crate) name: BucketName,
    /// When this process came to know it; the store is not asked for its listing of buckets.
    pub(crate) created_at: SystemTime,
    config: UpstreamBucket,
    limits: Limits,
    ledger: Arc<dyn ObjectLedger>,
    order: Order,
    /// Whether the store keeps versions, and when it was asked.
    versions_kept: Mutex<Option<(Instant, bool)>>,
    /// Made at the first request: nothing is asked of the store or of anybody before.
    client: OnceCell<Client>,
}

impl Upstream {
    /// Waits until nobody writes to the key.
    pub(crate) async fn quiet(&self, key: &ObjectKey) {
        drop(self.order.turn(key).await);
    }

    pub(crate) fn new(
        name: BucketName,
        config: UpstreamBucket,
        limits: Limits,
        ledger: Arc<dyn ObjectLedger>,
    ) -> Self {
        Self {
            name,
            created_at: clock::now(),
            config,
            limits,
            ledger,
            order: Order::default(),
            versions_kept: Mutex::default(),
            client: OnceCell::new(),
        }
    }

    /// Whether the store of the other bucket is this one, seen with the same key, so that it can
    /// copy between them by itself.
    pub(crate) fn shares_store_with(&self, other: &Self) -> bool {
        self.config.store == other.config.store
    }

    async fn client(&self) -> &Client {
        let made = self
            .client
            .get_or_init(|| connect::client(&self.config.store, &self.limits.upstream));
        made.await
    }

    /// The bucket's name at its store.
    fn there(&self) -> &str {
        &self.config.bucket
    }

    fn bounds(&self) -> &UpstreamLimits {
        &self.limits.upstream
    }

    /// The key of a request, if the sender may do this to it.
    fn allowed(&self, who: &Principal, access: Access, key: &str) -> S3Result<ObjectKey> {
        let key = crate::service::object_key(key)?;
        who.check(access, &self.name, &key)
            .map_err(crate::service::denied)?;
        if access == Access::Write {
            who.check_openness(&self.name)
                .map_err(crate::service::denied)?;
        }
        Ok(key)
    }

    /// Refuses unless the sender may touch something in the bucket.
    fn touched(&self, who: &Principal) -> S3Result<()> {
        if who.policy.touches(Access::Write, self.name.as_str()) {
            return Ok(());
        }
        self.listable(who)
    }

    /// Refuses unless the sender may read something in the bucket.
    fn listable(&self, who: &Principal) -> S3Result<()> {
        who.check_bucket(Access::Read, &self.name)
            .map_err(crate::service::denied)
    }
}

/// Refuses where the invocation is over.
fn open(scope: Option<&Arc<Scope>>) -> Result<(), StoreError> {
    match scope {
        Some(scope) if scope.pass().is_none() => Err(StoreError::Fenced),
        _ => Ok(()),
    }
}

/// Runs what must come to its end, also where nobody waits for its answer any more: what a store
/// has taken is still recorded.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = S3Result<T>> + Send + 'static,
) -> S3Result<T> {
    tokio::spawn(trace::carried(work))
        .await
        .map_err(S3Error::internal_error)?
}
