//! The scalars: times, positions and numbers that a GraphQL `Int` (32 bits) cannot hold.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use jiff::Timestamp;

/// A moment: RFC 3339 in UTC with microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DateTime(pub(crate) Timestamp);

impl DateTime {
    pub(crate) fn from_us(time_us: i64) -> Self {
        // Every stored time was a timestamp once.
        Self(Timestamp::from_microsecond(time_us).unwrap_or(Timestamp::UNIX_EPOCH))
    }

    pub(crate) fn as_us(self) -> i64 {
        self.0.as_microsecond()
    }
}

/// A moment as RFC 3339 in UTC with microseconds.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    format!("{time:.6}")
}

/// A moment: RFC 3339, given out in UTC with microseconds, for example
/// `2026-05-04T12:00:00.000000Z`.
#[Scalar(
    name = "DateTime",
    specified_by_url = "https://www.rfc-editor.org/rfc/rfc3339"
)]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => text.parse().map(DateTime).map_err(|_| {
                InputValueError::custom(format!(
                    "{text:?} is not a date and time in the form of RFC 3339, \
                     for example 2026-05-04T12:00:00Z"
                ))
            }),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(rfc3339(self.0))
    }
}

/// A place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position(pub(crate) u64);

/// A place in the log: a whole number from 0, taken as a number or as a string of digits.
#[Scalar(name = "Position")]
impl ScalarType for Position {
    fn parse(value: Value) -> InputValueResult<Self> {
        whole(value).map(Position)
    }

    fn to_value(&self) -> Value {
        Value::from(self.0)
    }
}

/// A whole number of up to 64 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Long(pub(crate) u64);

/// A whole number from 0 that may need more than 32 bits, for example a size in bytes.
#[Scalar(name = "Long")]
impl ScalarType for Long {
    fn parse(value: Value) -> InputValueResult<Self> {
        whole(value).map(Long)
    }

    fn to_value(&self) -> Value {
        Value::from(self.0)
    }
}

fn whole<T: async_graphql::InputType>(value: Value) -> Result<u64, InputValueError<T>> {
    let number = match &value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| InputValueError::custom("a whole number from 0 is expected"))
}
