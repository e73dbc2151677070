//! `Retry`: which error is tried again, when, and how often (Amazon States Language, "Retrying
//! after error").

use serde_json::{Map, Value};

use super::AslError;
use super::parse::{known_fields, seconds};

/// The highest `MaxAttempts` (Amazon States Language, "Retrying after error").
const MAX_ATTEMPTS: u64 = 99_999_999;
/// The highest `MaxDelaySeconds`, exclusive (Step Functions developer guide, "Error handling").
const MAX_DELAY_SECONDS: u64 = 31_622_400;

/// One entry of `Retry`.
#[derive(Clone, Debug, PartialEq)]
pub struct Retrier {
    /// The names of the errors that it answers.
    pub error_equals: Vec<String>,
    /// The delay before the first retry, in seconds.
    pub interval_seconds: u64,
    /// How often it retries; 0 is never.
    pub max_attempts: u64,
    /// What the delay is multiplied with at each further retry.
    pub backoff_rate: f64,
    /// The longest delay, in seconds.
    pub max_delay_seconds: Option<u64>,
    /// Whether the delay is drawn by chance.
    pub jitter: JitterStrategy,
}

/// Whether the delay is drawn by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JitterStrategy {
    /// Between nothing and the computed delay.
    Full,
    /// As computed.
    None,
}

impl Retrier {
    /// Whether it answers an error.
    ///
    /// `States.ALL` is every error but `States.DataLimitExceeded` and `States.Runtime`;
    /// `States.TaskFailed` is every error of a task but `States.Timeout` (Step Functions developer
    /// guide, "Error names").
    pub fn matches(&self, error: &str) -> bool {
        self.error_equals.iter().any(|name| match name.as_str() {
            "States.ALL" => error != "States.DataLimitExceeded" && error != "States.Runtime",
            "States.TaskFailed" => !matches!(
                error,
                "States.Timeout" | "States.DataLimitExceeded" | "States.Runtime"
            ),
            name => name == error,
        })
    }

    /// The delay before the retry with this number (from 1), in milliseconds. `fraction` is chance,
    /// from 0 to 1.
    pub fn delay_ms(&self, retry: u64, fraction: f64) -> u64 {
        let power = i32::try_from(retry.saturating_sub(1)).unwrap_or(i32::MAX);
        let longest = self.max_delay_seconds.unwrap_or(MAX_DELAY_SECONDS) as f64;
        let seconds = (self.interval_seconds as f64 * self.backoff_rate.powi(power)).min(longest);
        let drawn = match self.jitter {
            JitterStrategy::Full => seconds * fraction,
            JitterStrategy::None => seconds,
        };
        (drawn * 1000.0) as u64
    }
}

pub(super) fn parse(
    retrier: &Map<String, Value>,
    place: &str,
    is_last: bool,
) -> Result<Retrier, AslError> {
    known_fields(
        retrier,
        place,
        &[
            "ErrorEquals",
            "IntervalSeconds",
            "MaxAttempts",
            "BackoffRate",
            "MaxDelaySeconds",
            "JitterStrategy",
            "Comment",
        ],
    )?;
    let max_delay_seconds = seconds(retrier, "MaxDelaySeconds", place)?;
    let interval_seconds = seconds(retrier, "IntervalSeconds", place)?.unwrap_or(1);
    if max_delay_seconds.is_some_and(|most| most >= MAX_DELAY_SECONDS || most <= interval_seconds) {
        return Err(AslError::new(
            format!("{place}/MaxDelaySeconds"),
            format!(
                "MaxDelaySeconds must be greater than IntervalSeconds and less than {MAX_DELAY_SECONDS}"
            ),
        ));
    }
    Ok(Retrier {
        error_equals: error_equals(retrier, place, is_last)?,
        interval_seconds,
        max_attempts: max_attempts(retrier, place)?,
        backoff_rate: backoff_rate(retrier, place)?,
        max_delay_seconds,
        jitter: jitter(retrier, place)?,
    })
}

fn error_equals(
    retrier: &Map<String, Value>,
    place: &str,
    is_last: bool,
) -> Result<Vec<String>, AslError> {
    let place = format!("{place}/ErrorEquals");
    let wrong = || {
        AslError::new(
            &place,
            "ErrorEquals must be a non-empty array of error names",
        )
    };
    let names: Vec<String> = retrier
        .get("ErrorEquals")
        .and_then(Value::as_array)
        .ok_or_else(wrong)?
        .iter()
        .map(|name| name.as_str().map(str::to_owned).ok_or_else(wrong))
        .collect::<Result<_, _>>()?;
    if names.is_empty() {
        return Err(wrong());
    }
    if names.iter().any(|name| name == "States.ALL") && (names.len() > 1 || !is_last) {
        return Err(AslError::new(
            place,
            "States.ALL must stand alone, and in the last retrier",
        ));
    }
    Ok(names)
}

fn max_attempts(retrier: &Map<String, Value>, place: &str) -> Result<u64, AslError> {
    match retrier.get("MaxAttempts").map(Value::as_u64) {
        None => Ok(3),
        Some(Some(attempts @ 0..=MAX_ATTEMPTS)) => Ok(attempts),
        Some(_) => Err(AslError::new(
            format!("{place}/MaxAttempts"),
            format!("MaxAttempts must be a whole number from 0 to {MAX_ATTEMPTS}"),
        )),
    }
}

fn backoff_rate(retrier: &Map<String, Value>, place: &str) -> Result<f64, AslError> {
    match retrier.get("BackoffRate").map(Value::as_f64) {
        None => Ok(2.0),
        Some(Some(rate)) if rate >= 1.0 => Ok(rate),
        Some(_) => Err(AslError::new(
            format!("{place}/BackoffRate"),
            "BackoffRate must be a number of at least 1.0",
        )),
    }
}

fn jitter(retrier: &Map<String, Value>, place: &str) -> Result<JitterStrategy, AslError> {
    match retrier.get("JitterStrategy").map(Value::as_str) {
        None | Some(Some("NONE")) => Ok(JitterStrategy::None),
        Some(Some("FULL")) => Ok(JitterStrategy::Full),
        Some(_) => Err(AslError::new(
            format!("{place}/JitterStrategy"),
            "JitterStrategy must be FULL or NONE",
        )),
    }
}
