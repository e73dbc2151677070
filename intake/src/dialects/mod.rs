//! The dialects: what each vendor's messages look like, one module each.
//!
//! A function here takes one record, already parsed, and says what it tells. Which function that is
//! [`crate::decode`] finds out.

pub(crate) mod azure;
pub(crate) mod b2;
pub(crate) mod cloudevents;
pub(crate) mod eventbridge;
pub(crate) mod gcs;
pub(crate) mod r2;
pub(crate) mod s3;

use crate::{Ignored, Told};

/// A record about something else than an object's content, which need not name one.
fn no_news(event_name: &str) -> Told {
    Told::Ignored {
        reason: Ignored::NotACreate,
        what: format!(
            "{} is not about an object's content",
            crate::reader::shortened(event_name)
        ),
    }
}
