//! The state of one process as the Runtime API sees it. The host puts work in and waits for the
//! answer; the HTTP side (`runtime_api`) moves it along as the process calls.
//!
//! ```text
//! Starting ── next ──> Ready ── work ──> Running ── response | error ──> Responded ── next ──> Ready
//!    └─── init/error ──> InitFailed
//! ```

use bytes::Bytes;
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

/// An invocation on its way to the process.
pub(crate) struct Delivery {
    pub(crate) request_id: Uuid,
    pub(crate) deadline_ms: i64,
    pub(crate) trace_id: String,
    pub(crate) traceparent: Option<String>,
    pub(crate) payload: Bytes,
    pub(crate) reply: oneshot::Sender<Reply>,
}

/// What the process answered.
#[derive(Debug, PartialEq)]
pub(crate) enum Reply {
    Response(Bytes),
    /// The same, sent piece by piece.
    Streamed(Bytes),
    /// An answer that had to be put together.
    Value(serde_json::Value),
    TooLarge,
    /// The connection ended before the answer did.
    Truncated,
    Error(ErrorReport),
}

/// An error that the process reported.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ErrorReport {
    /// From the header `Lambda-Runtime-Function-Error-Type`.
    pub(crate) header_type: Option<String>,
    pub(crate) body: Bytes,
}

#[derive(Default)]
pub(crate) enum Phase {
    #[default]
    Starting,
    InitFailed(ErrorReport),
    Ready,
    Running {
        request_id: Uuid,
        reply: oneshot::Sender<Reply>,
    },
    Responded(Uuid),
}

impl Phase {
    fn name(&self) -> &'static str {
        match self {
            Self::Starting => "RuntimeStarted",
            Self::InitFailed(_) => "RuntimeInitError",
            Self::Ready => "RuntimeReady",
            Self::Running { .. } => "RuntimeRunning",
            Self::Responded(_) => "RuntimeResponseSent",
        }
    }
}

/// Why a call was refused.
#[derive(Debug, PartialEq)]
pub(crate) enum Refusal {
    /// The request id is not that of the current invocation.
    UnknownRequest,
    /// The call does not fit the phase.
    WrongPhase {
        from: &'static str,
        to: &'static str,
    },
}

#[derive(Default)]
pub(crate) struct State {
    phase: Phase,
    work: Option<Box<Delivery>>,
}

/// The state of one process.
#[derive(Default)]
pub(crate) struct Session(watch::Sender<State>);

impl Session {
    /// Waits until the process polls for work, or reports that it could not start.
    pub(crate) async fn initialized(&self) -> Result<(), ErrorReport> {
        let mut states = self.0.subscribe();
        let done = |state: &State| matches!(state.phase, Phase::Ready | Phase::InitFailed(_));
        match states.wait_for(done).await.as_deref() {
            Ok(State {
                phase: Phase::InitFailed(report),
                ..
            }) => Err(report.clone()),
            _ => Ok(()),
        }
    }

    /// Waits until the process polls for work.
    pub(crate) async fn ready(&self) {
        let mut states = self.0.subscribe();
        let _ = states
            .wait_for(|state| matches!(state.phase, Phase::Ready))
            .await;
    }

    /// Hands an invocation over. The process must be ready.
    pub(crate) fn deliver(&self, delivery: Delivery) {
        self.0
            .send_modify(|state| state.work = Some(Box::new(delivery)));
    }

    /// Takes an invocation back that the process has not picked up; false if it has.
    pub(crate) fn withdraw(&self) -> bool {
        self.0.send_if_modified(|state| state.work.take().is_some())
    }

    /// The process asks for work: waits for some. What it is then given is its own.
    pub(crate) async fn next(&self) -> Result<Box<Delivery>, Refusal> {
        let mut refusal = None;
        self.0.send_if_modified(|state| match state.phase {
            Phase::Starting | Phase::Responded(_) => {
                state.phase = Phase::Ready;
                true
            }
            Phase::Ready => false,
            Phase::InitFailed(_) | Phase::Running { .. } => {
                refusal = Some(Refusal::WrongPhase {
                    from: state.phase.name(),
                    to: "Ready",
                });
                false
            }
        });
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        let mut states = self.0.subscribe();
        loop {
            // Never an error: `self` holds the sender.
            let _ = states.wait_for(|state| state.work.is_some()).await;
            let mut taken = None;
            self.0.send_if_modified(|state| {
                taken = state.work.take();
                if let Some(delivery) = &mut taken {
                    // The sender moves into the phase; what goes out keeps a closed one.
                    let reply = std::mem::replace(&mut delivery.reply, oneshot::channel().0);
                    state.phase = Phase::Running {
                        request_id: delivery.request_id,
                        reply,
                    };
                }
                taken.is_some()
            });
            if let Some(delivery) = taken {
                return Ok(delivery);
            }
        }
    }

    /// The process answers the invocation with this id.
    pub(crate) fn answer(
        &self,
        request_id: Option<Uuid>,
        to: &'static str,
        answer: Reply,
    ) -> Result<(), Refusal> {
        let mut result = Ok(());
        self.0.send_if_modified(|state| {
            let current = match &state.phase {
                Phase::Running { request_id, .. } | Phase::Responded(request_id) => {
                    Some(*request_id)
                }
                _ => None,
            };
            if request_id.is_none() || current.is_some_and(|current| Some(current) != request_id) {
                result = Err(Refusal::UnknownRequest);
                return false;
            }
            match std::mem::take(&mut state.phase) {
                Phase::Running { request_id, reply } => {
                    // Nobody waits any more if the invocation timed out a moment ago.
                    let _ = reply.send(answer);
                    state.phase = Phase::Responded(request_id);
                    true
                }
                other => {
                    result = Err(Refusal::WrongPhase {
                        from: other.name(),
                        to,
                    });
                    state.phase = other;
                    false
                }
            }
        });
        result
    }

    /// The process says that it could not start.
    pub(crate) fn init_failed(&self, report: ErrorReport) -> Result<(), Refusal> {
        let mut result = Ok(());
        self.0.send_if_modified(|state| {
            if matches!(state.phase, Phase::Starting) {
                state.phase = Phase::InitFailed(report);
                return true;
            }
            result = Err(Refusal::WrongPhase {
                from: state.phase.name(),
                to: "InitError",
            });
            false
        });
        result
    }
}

#[cfg(test)]
mod tests;
