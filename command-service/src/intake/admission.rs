//! How much may be under way at once: bytes of deliveries and records. What is beyond is turned away
//! before anything of it is done, so that an overload costs the one who causes it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// How many records may be on their way to the log.
    pub records: usize,
    /// How many bytes of deliveries may be held.
    pub bytes: usize,
    /// When the one who was turned away may come again.
    pub retry_after: Duration,
}

impl Default for AdmissionLimits {
    fn default() -> Self {
        Self {
            records: 10_000,
            bytes: 64 << 20,
            retry_after: Duration::from_secs(1),
        }
    }
}

/// Too much is under way. Come again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overloaded {
    /// When.
    pub retry_after: Duration,
}

/// Lets in what fits.
pub(super) struct Admission {
    limits: AdmissionLimits,
    records: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

/// What was let in; its place is free when this is dropped.
pub(super) struct Admitted {
    _place: OwnedSemaphorePermit,
}

impl Admission {
    pub(super) fn new(limits: AdmissionLimits) -> Self {
        Self {
            limits,
            records: Arc::new(Semaphore::new(limits.records.min(Semaphore::MAX_PERMITS))),
            bytes: Arc::new(Semaphore::new(limits.bytes.min(Semaphore::MAX_PERMITS))),
        }
    }

    pub(super) async fn bytes(&self, bytes: usize, waits: bool) -> Result<Admitted, Overloaded> {
        self.admit(&self.bytes, bytes.min(self.limits.bytes), waits)
            .await
    }

    pub(super) async fn records(
        &self,
        records: usize,
        waits: bool,
    ) -> Result<Admitted, Overloaded> {
        // A delivery with more than may ever be under way goes alone.
        self.admit(&self.records, records.min(self.limits.records), waits)
            .await
    }

    async fn admit(
        &self,
        room: &Arc<Semaphore>,
        wanted: usize,
        waits: bool,
    ) -> Result<Admitted, Overloaded> {
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        let room = room.clone();
        let place = match waits {
            true => room.acquire_many_owned(wanted).await.ok(),
            false => room.try_acquire_many_owned(wanted).ok(),
        };
        match place {
            Some(place) => Ok(Admitted { _place: place }),
            None => Err(Overloaded {
                retry_after: self.limits.retry_after,
            }),
        }
    }
}
