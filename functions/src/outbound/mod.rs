//! Requests to other servers: one HTTP client for everything in this program that speaks to what the
//! config names (functions behind HTTP, AWS services, certificates), so that where a request may go is
//! decided in one place.
//!
//! ```text
//!  remote functions, the intake ─> Aws (signs) ─> HttpClient ─> Resolver (which addresses) ─> there
//! ```

mod address;
mod aws;
mod client;
mod exception;

pub(crate) use address::check_literal;
pub use aws::{Aws, AwsAccess, AwsError};
pub use client::{Answer, CallError, HttpClient, chain};
pub use exception::AwsException;
