//! Notifications of object stores: what stands in a delivery, in one form for all of them.
//!
//! A [`Delivery`] comes from an HTTP request, a queue, an AWS Lambda invocation or a stream.
//! [`decode`] tells its dialect apart, checks what can be checked at once, and gives [`Item`]s in
//! their order; [`Decoded::authenticate`] does the rest, with certificates that a port fetches. The
//! command service asks the ledger for the verdicts. Nothing here knows the ledger, and nothing
//! here touches the network or the clock.
//!
//! ```text
//! Delivery ─> decode ─> Decoded { messages, items, checks } ─> authenticate ─> items
//!               │                                                   │
//!               └ dialects: one module a vendor                     └ Certificates (port)
//! ```

mod authentication;
mod case;
mod decode;
mod decoded;
mod delivery;
mod dialects;
mod identity;
mod json;
mod key;
mod notification;
mod order;
mod reader;
mod reason;
mod settings;

pub use authentication::{CertificateError, Certificates, SnsCheck};
pub use case::{BadCase, Case};
pub use decode::decode;
pub use decoded::{Decoded, Handshake, Item, Message, Reply, Told};
pub use delivery::{Delivery, Transport};
pub use notification::{Change, Notification, Source};
pub use reason::{Ignored, Reason, Rejection};
pub use settings::{Authentication, Limits, Settings, SnsSettings, SnsSignatures};
