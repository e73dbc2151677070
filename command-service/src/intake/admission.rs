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
pub struct Admitted {
    place: OwnedSemaphorePermit,
    room: Arc<Semaphore>,
    retry_after: Duration,
}

impl Admitted {
    /// Takes more room, if there is some.
    pub(crate) fn grow(&mut self, more: usize) -> Result<(), Overloaded> {
        let wanted = u32::try_from(more).unwrap_or(u32::MAX);
        match self.room.clone().try_acquire_many_owned(wanted) {
            Ok(place) => {
                self.place.merge(place);
                Ok(())
            }
            Err(_) => Err(Overloaded {
                retry_after: self.retry_after,
            }),
        }
    }
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

    pub(super) fn try_bytes(&self, bytes: usize) -> Result<Admitted, Overloaded> {
        let wanted = u32::try_from(bytes).unwrap_or(u32::MAX);
        let place = self.bytes.clone().try_acquire_many_owned(wanted).ok();
        self.admitted(place, &self.bytes)
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
        let place = match waits {
            true => room.clone().acquire_many_owned(wanted).await.ok(),
            false => room.clone().try_acquire_many_owned(wanted).ok(),
        };
        self.admitted(place, room)
    }

    fn admitted(
        &self,
        place: Option<OwnedSemaphorePermit>,
        room: &Arc<Semaphore>,
    ) -> Result<Admitted, Overloaded> {
        let retry_after = self.limits.retry_after;
        match place {
            Some(place) => Ok(Admitted {
                place,
                room: room.clone(),
                retry_after,
            }),
            None => Err(Overloaded { retry_after }),
        }
    }
}
