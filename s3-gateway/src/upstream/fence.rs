//! The fence before requests to a store that change something.
//!
//! It is asked directly before each transmission, so that neither a first attempt nor a repeated
//! one is sent for an invocation that is over.

use std::sync::Arc;

use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;

use crate::error::StoreError;
use crate::grants::Scope;

/// Lets a request pass while the scope is open.
#[derive(Clone, Debug)]
pub(super) struct Fence(pub(super) Option<Arc<Scope>>);

impl Intercept for Fence {
    fn name(&self) -> &'static str {
        "Fence"
    }

    fn read_before_transmit(
        &self,
        _request: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        super::open(self.0.as_ref()).map_err(Into::into)
    }
}

/// Whether an error has its root at the fence.
pub(super) fn stopped(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if matches!(error.downcast_ref(), Some(StoreError::Fenced)) {
            return true;
        }
        next = error.source();
    }
    false
}
