//! What an object's status is, from the runs for it.

use daybook_domain::execution::Status;

/// How far an object version is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectStatus {
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
    /// No pipeline wanted it when it arrived, and none ran since.
    Unmatched,
}

impl ObjectStatus {
    /// The name as stored and as the query side says it.
    pub fn as_str(self) -> &'static str {
        match self {
            ObjectStatus::Pending => "PENDING",
            ObjectStatus::Running => "RUNNING",
            ObjectStatus::Succeeded => "SUCCEEDED",
            ObjectStatus::Failed => "FAILED",
            ObjectStatus::TimedOut => "TIMED_OUT",
            ObjectStatus::Aborted => "ABORTED",
            ObjectStatus::Unmatched => "UNMATCHED",
        }
    }

    /// The status of an object version. Of each pipeline's runs for it only the newest one counts,
    /// so that a successful redrive makes good what failed before. Among several pipelines the
    /// least finished one speaks, and of finished ones the worst: running, pending, failed, timed
    /// out, aborted, succeeded. `waiting` says that a pipeline wanted it and has not begun yet.
    pub(crate) fn of(newest_runs: impl IntoIterator<Item = Status>, waiting: bool) -> Self {
        let waiting = waiting.then_some(ObjectStatus::Pending);
        newest_runs
            .into_iter()
            .map(ObjectStatus::from)
            .chain(waiting)
            .max_by_key(|status| status.urgency())
            .unwrap_or(ObjectStatus::Unmatched)
    }

    fn urgency(self) -> u8 {
        match self {
            ObjectStatus::Unmatched => 0,
            ObjectStatus::Succeeded => 1,
            ObjectStatus::Aborted => 2,
            ObjectStatus::TimedOut => 3,
            ObjectStatus::Failed => 4,
            ObjectStatus::Pending => 5,
            ObjectStatus::Running => 6,
        }
    }
}

impl From<Status> for ObjectStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Pending => ObjectStatus::Pending,
            Status::Running => ObjectStatus::Running,
            Status::Succeeded => ObjectStatus::Succeeded,
            Status::Failed => ObjectStatus::Failed,
            Status::TimedOut => ObjectStatus::TimedOut,
            Status::Aborted => ObjectStatus::Aborted,
        }
    }
}

/// An execution's status from its stored name.
pub(crate) fn execution_status(name: &str) -> Option<Status> {
    [
        Status::Pending,
        Status::Running,
        Status::Succeeded,
        Status::Failed,
        Status::TimedOut,
        Status::Aborted,
    ]
    .into_iter()
    .find(|status| status.as_str() == name)
}
