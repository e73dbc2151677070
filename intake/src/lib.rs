//! Notifications of object stores: what stands in a delivery, in one form for all of them.
//!
//! A [`Delivery`] comes from an HTTP request, a queue, an AWS Lambda invocation or a stream; what
//! was read of it goes to the command service, which asks the ledger for the verdicts. Nothing here
//! knows the ledger, and nothing here touches the network.

mod delivery;
mod notification;

pub use delivery::{Delivery, Transport};
pub use notification::{Change, Notification, Source};
