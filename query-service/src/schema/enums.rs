//! The enums, and the way from the names in the rows to them.

use async_graphql::Enum;

macro_rules! named {
    ($name:ident, $fallback:ident, { $($variant:ident = $text:literal),+ $(,)? }) => {
        impl $name {
            /// From the name in a row. All names that the projections write are known here.
            pub(crate) fn of(name: &str) -> Self {
                match name {
                    $($text => $name::$variant,)+
                    _ => $name::$fallback,
                }
            }

            #[allow(dead_code, reason = "only filters need the way back")]
            pub(crate) fn name(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }
        }
    };
}

/// How far an object version is. Of each pipeline's runs the newest one counts; among pipelines
/// the least finished one speaks, and of finished ones the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum ObjectStatus {
    /// A pipeline wants it, and nothing has run yet.
    Pending,
    /// Something runs.
    Running,
    /// All went well.
    Succeeded,
    /// A run failed.
    Failed,
    /// A run took too long.
    TimedOut,
    /// A run was stopped.
    Aborted,
    /// No pipeline wants it.
    Unmatched,
}

named!(ObjectStatus, Pending, {
    Pending = "PENDING", Running = "RUNNING", Succeeded = "SUCCEEDED", Failed = "FAILED",
    TimedOut = "TIMED_OUT", Aborted = "ABORTED", Unmatched = "UNMATCHED",
});

/// Whether what was read and written is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum Lineage {
    /// All of it passed the gateway.
    Known,
    /// Some of it did not, or may not have: there may be more than what is listed.
    Unknown,
}

/// Where an execution stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum ExecutionStatus {
    /// Nothing has run yet.
    Pending,
    /// At least one attempt has begun.
    Running,
    /// All went well.
    Succeeded,
    /// An error that nothing caught.
    Failed,
    /// It took too long as a whole.
    TimedOut,
    /// Somebody stopped it.
    Aborted,
}

named!(ExecutionStatus, Pending, {
    Pending = "PENDING", Running = "RUNNING", Succeeded = "SUCCEEDED", Failed = "FAILED",
    TimedOut = "TIMED_OUT", Aborted = "ABORTED",
});

/// Where an attempt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum AttemptStatus {
    /// It follows a failure and is not due yet.
    Waiting,
    /// It is due and no worker has claimed it.
    Scheduled,
    /// A worker runs it.
    Running,
    /// The function answered.
    Succeeded,
    /// The function failed.
    Failed,
    /// The function took too long.
    TimedOut,
    /// It ended through no fault of the function.
    Interrupted,
    /// Its execution ended before it.
    Aborted,
}

named!(AttemptStatus, Scheduled, {
    Waiting = "WAITING", Scheduled = "SCHEDULED", Running = "RUNNING", Succeeded = "SUCCEEDED",
    Failed = "FAILED", TimedOut = "TIMED_OUT", Interrupted = "INTERRUPTED", Aborted = "ABORTED",
});

/// Why an execution runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum CauseKind {
    /// The object arrived.
    Trigger,
    /// Somebody asked for this one again.
    Redrive,
    /// A bulk re-run chose it.
    Replay,
    /// A reconcile found that a revision of the function had not processed the object.
    Revision,
}

named!(CauseKind, Trigger, {
    Trigger = "TRIGGER", Redrive = "REDRIVE", Replay = "REPLAY", Revision = "REVISION",
});

/// What became of what a store told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum Verdict {
    /// It was news, and is recorded: a version that arrived, or an object that is gone.
    Accepted,
    /// This version was recorded before.
    Duplicate,
    /// A newer write to the key was recorded before.
    Stale,
    /// Nobody wants to know, by rule.
    Ignored,
}

named!(Verdict, Ignored, {
    Accepted = "ACCEPTED", Duplicate = "DUPLICATE", Stale = "STALE", Ignored = "IGNORED",
});

/// Where a replay stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum ReplayStatus {
    /// It starts executions.
    Running,
    /// All of the plan is started.
    Completed,
    /// Somebody stopped it.
    Cancelled,
}

named!(ReplayStatus, Running, {
    Running = "RUNNING", Completed = "COMPLETED", Cancelled = "CANCELLED",
});

/// Where a reconcile stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum ReconcileStatus {
    /// It compares, or waits until another one of the bucket is over.
    Running,
    /// Somebody wants it to stand still for now.
    Paused,
    /// All is done.
    Completed,
    /// It cannot be done.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

named!(ReconcileStatus, Running, {
    Running = "RUNNING", Paused = "PAUSED", Completed = "COMPLETED", Failed = "FAILED",
    Cancelled = "CANCELLED",
});

/// In which direction a list goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum OrderDirection {
    /// The smallest or earliest first.
    Asc,
    /// The greatest or latest first.
    Desc,
}

/// A time up to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum Window {
    /// The last 60 minutes, by the minute.
    Hour,
    /// The last 24 hours, by the hour.
    Day,
    /// The last 7 days, by the hour.
    Week,
    /// Ever, without parts.
    All,
}
