//! Between the types of crate `s3s` and those of the SDK, where they are not the same.

use aws_sdk_s3::primitives::DateTime;
use s3s::dto::{ETag, ETagCondition, Timestamp, TimestampFormat};
use std::time::SystemTime;

/// A word of crate `s3s` as the SDK's type for it.
macro_rules! sdk_word {
    ($value:expr) => {
        $value.map(|word| word.as_str().into())
    };
}
pub(super) use sdk_word;

/// A word of the SDK as the type of crate `s3s` for it.
macro_rules! word {
    ($value:expr) => {
        $value.map(|word| word.as_str().to_owned().into())
    };
}
pub(super) use word;

pub(super) fn etag(text: Option<&str>) -> Option<ETag> {
    let text = text?;
    // Some stores leave the quotes out.
    let parsed = ETag::parse_http_header(text.as_bytes());
    Some(parsed.unwrap_or_else(|_| ETag::Strong(text.trim_matches('"').to_owned())))
}

/// The text within the quotes, as the ledger has it.
pub(super) fn bare(etag: Option<&str>) -> Option<String> {
    self::etag(etag).map(ETag::into_value)
}

pub(super) fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

pub(super) fn condition(condition: &ETagCondition) -> String {
    match condition {
        ETagCondition::Any => "*".to_owned(),
        ETagCondition::ETag(ETag::Strong(value)) => quoted(value),
        ETagCondition::ETag(ETag::Weak(value)) => format!("W/{}", quoted(value)),
    }
}

pub(super) fn from_time(time: DateTime) -> Option<Timestamp> {
    SystemTime::try_from(time).ok().map(Timestamp::from)
}

pub(super) fn to_time(time: &Timestamp) -> Option<DateTime> {
    let mut text = Vec::new();
    time.format(TimestampFormat::DateTime, &mut text).ok()?;
    let text = String::from_utf8(text).ok()?;
    DateTime::from_str(&text, aws_sdk_s3::primitives::DateTimeFormat::DateTime).ok()
}

/// As the ledger has it.
pub(super) fn recorded_time(time: DateTime) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_nanosecond(time.as_nanos()).ok()
}

pub(super) fn http_date(text: Option<&str>) -> Option<Timestamp> {
    Timestamp::parse(TimestampFormat::HttpDate, text?).ok()
}

/// Where a store keeps no versions it names none, or all of them `null`.
pub(super) fn real_version(version: Option<&str>) -> Option<String> {
    version
        .filter(|version| !version.is_empty() && *version != "null")
        .map(str::to_owned)
}
