//! The S3 endpoint: buckets that are local folders or lie in other stores, served through crate
//! `s3s`.
//!
//! Requests come from people's tools and from function processes. Every write is durable and
//! recorded through the [`ObjectLedger`] before it is answered; every read and write of a function
//! is noted in its invocation's [`Activity`]; what a key may touch is its [`Policy`]. What was
//! dropped into a folder by hand is found by [`Gateway::watch`] and [`Gateway::rescan`].

mod buckets;
#[cfg(feature = "client")]
pub mod client;
mod clock;
mod config;
mod error;
mod front;
mod gateway;
mod grants;
mod heard;
mod ledger;
mod local;
mod made;
mod policy;
mod publication;
mod server;
mod service;
mod survey;
mod trace;
mod upstream;
mod watch;

pub use config::{
    BucketConfig, CreatedBuckets, GatewayConfig, Limits, LocalBucket, OperatorKey, UpstreamBucket,
    UpstreamKey, UpstreamLimits, UpstreamStore,
};
pub use daybook_domain::execution::{ObjectAccess, TriggerObject};
pub use gateway::{Gateway, OpenError, ScanError};
pub use grants::{
    Activity, Credentials, Grants, InvocationScope, MAX_ACCESSES, MAX_REFUSALS, Publish,
};
pub use heard::{Ended, Heard};
pub use ledger::{AttemptId, Fate, LedgerError, NoAttempt, ObjectLedger, Standing};
#[cfg(feature = "planting")]
pub use local::planting::Planter;
pub use local::scan::ScanReport;
pub use policy::Policy;
pub use publication::PublishError;
pub use survey::{DescribedVersion, Survey, SurveyError, SurveyedKey};
pub use trace::traceparent;
