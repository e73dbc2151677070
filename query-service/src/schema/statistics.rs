//! Figures.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_graphql::{Result, SimpleObject};
use daybook_projections::StatisticsRows;
use jiff::{SignedDuration, Timestamp};

use super::enums::{ExecutionStatus, ObjectStatus, Verdict, Window};
use super::execution::gb_seconds;
use super::scalars::{DateTime, Long, Position};
use crate::state::{State, unavailable};

/// What is true now, and what happened in a time.
#[derive(SimpleObject)]
pub(crate) struct Statistics {
    /// The time.
    window: Window,
    /// When it begins; null for all time.
    since: Option<DateTime>,
    /// When it ends.
    until: DateTime,
    /// The position of the log up to which everything is counted.
    position: Position,
    /// How many objects there are now, by status.
    objects_by_status: Vec<ObjectStatusCount>,
    /// How many executions there are now, by status.
    executions_by_status: Vec<ExecutionStatusCount>,
    /// How many verdicts on what stores told are on record, ever, by the kind of the store.
    /// Repetitions of one event are on record when they reach 1, 10, 100 and so on.
    notifications: Vec<NotificationCount>,
    /// What happened in the time, over all pipelines.
    totals: Figures,
    /// What happened in the time, and how executions stand now, by pipeline.
    pipelines: Vec<PipelineStatistics>,
    /// What happened in each part of the time; parts without events are left out.
    series: Vec<StatisticsPart>,
}

/// How many objects.
#[derive(SimpleObject)]
pub(crate) struct ObjectStatusCount {
    /// In this status.
    status: ObjectStatus,
    /// So many.
    count: Long,
}

/// How many executions.
#[derive(SimpleObject)]
pub(crate) struct ExecutionStatusCount {
    /// In this status.
    status: ExecutionStatus,
    /// So many.
    count: Long,
}

/// How many verdicts on what stores told.
#[derive(SimpleObject)]
pub(crate) struct NotificationCount {
    /// The kind of the store, for example `aws:s3`.
    source: String,
    /// The verdict.
    verdict: Verdict,
    /// So many.
    count: Long,
}

/// The figures of one pipeline.
#[derive(SimpleObject)]
pub(crate) struct PipelineStatistics {
    /// Its name.
    pipeline_name: String,
    /// How many of its executions there are now, by status.
    executions_by_status: Vec<ExecutionStatusCount>,
    /// What happened in the time.
    totals: Figures,
}

/// The figures of one part of a time.
#[derive(SimpleObject)]
pub(crate) struct StatisticsPart {
    /// When it begins.
    start: DateTime,
    /// What happened in it.
    totals: Figures,
}

/// What happened.
#[derive(Default, SimpleObject)]
pub(crate) struct Figures {
    /// Object versions that arrived.
    objects_created: Long,
    /// Objects that were removed.
    objects_removed: Long,
    /// Executions that began.
    executions_started: Long,
    /// Executions that succeeded.
    executions_succeeded: Long,
    /// Executions that failed.
    executions_failed: Long,
    /// Executions that took too long.
    executions_timed_out: Long,
    /// Executions that were stopped.
    executions_aborted: Long,
    /// Attempts that workers claimed.
    attempts: Long,
    /// What attempts took, in milliseconds together.
    duration_ms: Long,
    /// What AWS Lambda would bill for attempts, in milliseconds together.
    billed_ms: Long,
    /// The same times the memory of the functions, in gigabyte-seconds as AWS Lambda has them.
    gb_seconds: f64,
    /// What executions took from start to end, in milliseconds together.
    elapsed_ms: Long,
}

impl Figures {
    fn add(&mut self, name: &str, value: i64) {
        let figure = match name {
            "objects_created" => &mut self.objects_created,
            "objects_removed" => &mut self.objects_removed,
            "executions_started" => &mut self.executions_started,
            "executions_succeeded" => &mut self.executions_succeeded,
            "executions_failed" => &mut self.executions_failed,
            "executions_timed_out" => &mut self.executions_timed_out,
            "executions_aborted" => &mut self.executions_aborted,
            "attempts" => &mut self.attempts,
            "duration_ms" => &mut self.duration_ms,
            "billed_ms" => &mut self.billed_ms,
            "mib_ms" => {
                self.gb_seconds += gb_seconds(value.max(0).unsigned_abs());
                return;
            }
            "elapsed_ms" => &mut self.elapsed_ms,
            _ => return,
        };
        figure.0 = figure.0.saturating_add_signed(value);
    }
}

/// The statistics of a time up to now.
pub(super) async fn of(state: &Arc<State>, window: Window) -> Result<Statistics> {
    let now: Timestamp = (state.config.clock)();
    let hours = match window {
        Window::Hour => Some(1),
        Window::Day => Some(24),
        Window::Week => Some(7 * 24),
        Window::All => None,
    };
    let since = hours.map(|hours| {
        let span = SignedDuration::from_hours(hours);
        now.checked_sub(span).unwrap_or(Timestamp::MIN)
    });
    let reader = state.projector.reader();
    // Read before the figures: they are at least as new.
    let position = state.projector.position();
    let rows = reader
        .statistics(since.map(Timestamp::as_microsecond), now.as_microsecond())
        .await
        .map_err(unavailable)?;
    Ok(statistics(window, since, now, position.0, rows))
}

fn statistics(
    window: Window,
    since: Option<Timestamp>,
    now: Timestamp,
    position: u64,
    rows: StatisticsRows,
) -> Statistics {
    let mut totals = Figures::default();
    let mut pipelines: BTreeMap<String, PipelineStatistics> = BTreeMap::new();
    for (name, count) in rows.pipelines {
        let Some((pipeline, status)) = name.rsplit_once('/') else {
            continue;
        };
        let status = ExecutionStatus::of(status);
        let count = Long(count);
        entry(&mut pipelines, pipeline)
            .executions_by_status
            .push(ExecutionStatusCount { status, count });
    }
    for ((pipeline, name), value) in rows.totals {
        totals.add(&name, value);
        if !pipeline.is_empty() {
            entry(&mut pipelines, &pipeline).totals.add(&name, value);
        }
    }
    let series = rows.series.into_iter().map(|part| {
        let mut totals = Figures::default();
        for (name, value) in &part.figures {
            totals.add(name, *value);
        }
        let start = DateTime::from_us(part.start_us);
        StatisticsPart { start, totals }
    });
    Statistics {
        window,
        since: since.map(DateTime),
        until: DateTime(now),
        position: Position(position),
        objects_by_status: rows
            .objects
            .into_iter()
            .map(|(name, count)| ObjectStatusCount {
                status: ObjectStatus::of(&name),
                count: Long(count),
            })
            .collect(),
        executions_by_status: rows
            .executions
            .into_iter()
            .map(|(name, count)| ExecutionStatusCount {
                status: ExecutionStatus::of(&name),
                count: Long(count),
            })
            .collect(),
        notifications: rows
            .notifications_by_source
            .into_iter()
            .filter_map(|(name, count)| {
                let (source, verdict) = name.rsplit_once('/')?;
                Some(NotificationCount {
                    source: source.to_owned(),
                    verdict: Verdict::of(verdict),
                    count: Long(count),
                })
            })
            .collect(),
        totals,
        pipelines: pipelines.into_values().collect(),
        series: series.collect(),
    }
}

fn entry<'a>(
    pipelines: &'a mut BTreeMap<String, PipelineStatistics>,
    name: &str,
) -> &'a mut PipelineStatistics {
    pipelines
        .entry(name.to_owned())
        .or_insert_with(|| PipelineStatistics {
            pipeline_name: name.to_owned(),
            executions_by_status: Vec::new(),
            totals: Figures::default(),
        })
}
