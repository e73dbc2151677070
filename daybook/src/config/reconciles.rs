//! `[reconcile]`: the bounds of reconciles.

use daybook_command_service::ReconcileLimits;
use serde::Deserialize;

use super::ConfigError;
use super::check::Place;

/// `[reconcile]`, as the file has it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReconcileTable {
    pub grace: Option<String>,
    pub retry_after: Option<String>,
    pub attempts: Option<u32>,
    pub progress_every: Option<String>,
    pub findings_at_once: Option<usize>,
    pub keys_at_once: Option<usize>,
    pub keys_waiting: Option<usize>,
    pub looks: Option<u32>,
}

/// More findings than this would not fit into the body of one event.
const MOST_FINDINGS: usize = 4_000;

/// Checks the table.
pub(super) fn check(
    place: &Place<'_>,
    table: &ReconcileTable,
) -> Result<ReconcileLimits, ConfigError> {
    let mut limits = ReconcileLimits::default();
    if let Some(grace) = &table.grace {
        limits.grace = place.parse_duration("reconcile.grace", grace)?;
    }
    for (key, text, target) in [
        ("retry_after", &table.retry_after, &mut limits.retry_after),
        (
            "progress_every",
            &table.progress_every,
            &mut limits.progress_every,
        ),
    ] {
        place.set_positive(&format!("reconcile.{key}"), text.as_deref(), target)?;
    }
    for (key, given, target) in [
        (
            "findings_at_once",
            table.findings_at_once,
            &mut limits.findings_at_once,
        ),
        ("keys_at_once", table.keys_at_once, &mut limits.keys_at_once),
        ("keys_waiting", table.keys_waiting, &mut limits.keys_waiting),
    ] {
        *target = positive(place, key, given, *target)?;
    }
    for (key, given, target) in [
        ("attempts", table.attempts, &mut limits.attempts),
        ("looks", table.looks, &mut limits.looks),
    ] {
        *target = positive(place, key, given, *target)?;
    }
    if limits.findings_at_once > MOST_FINDINGS {
        return place.wrong(
            "reconcile.findings_at_once",
            format!("{MOST_FINDINGS} is the most that one event has room for"),
        );
    }
    Ok(limits)
}

fn positive<N: PartialEq + From<u8>>(
    place: &Place<'_>,
    key: &str,
    given: Option<N>,
    default: N,
) -> Result<N, ConfigError> {
    match given {
        Some(zero) if zero == N::from(0) => place.wrong(
            &format!("reconcile.{key}"),
            "with 0 nothing is ever done; give more, or leave it out for the default",
        ),
        given => Ok(given.unwrap_or(default)),
    }
}
