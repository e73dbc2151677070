//! Room in the queues of functions. Whoever starts many executions lets those go first that wait: what
//! is not started yet waits in the log.

use std::sync::Arc;
use std::time::Duration;

use daybook_domain::FunctionName;
use daybook_functions::FunctionHost;

/// How long to wait before looking again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The queues of this process.
#[derive(Clone)]
pub(crate) struct Room(Option<Arc<FunctionHost>>);

impl Room {
    /// The room that the functions of a host have.
    pub(crate) fn of(host: Arc<FunctionHost>) -> Self {
        Self(Some(host))
    }

    /// Room without end, where no functions run.
    #[cfg(test)]
    pub(crate) fn without_end() -> Self {
        Self(None)
    }

    /// Waits until one more execution may wait for a function.
    pub(crate) async fn wait(&self, function: &FunctionName) {
        while self.0.as_ref().is_some_and(|host| host.is_full(function)) {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}
