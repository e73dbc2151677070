//! Functions that run elsewhere: at AWS Lambda, or behind HTTP.
//!
//! ```text
//!  reserve ─> Slot ─> invoke ─> run ─┬─> LambdaFunction ─ Invoke, signed ───> AWS
//!                                    └─> HttpFunction ─── CloudEvent, POST ─> framework, Knative, …
//! ```
//! Slots, time-outs, cancelling and the end of the host are as for processes. What is different:
//! they do not pass the gateway, so what they read and write is not known, and that is said
//! (`lineage_known`); and what runs there cannot be stopped from here, so that a call which was
//! given up may still do its work.

mod event;
mod http;
mod lambda;
mod report;
mod target;

use std::time::Instant;

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use self::http::HttpFunction;
use self::lambda::{Called, LambdaFunction};
use self::report::Figures;
pub use self::target::{
    EventMode, HttpHeaders, HttpSpec, HttpUrl, LambdaArn, LambdaSpec, RemoteSpec, TargetError,
};
use crate::attempt::{self, millis};
use crate::builtin_errors::{self as errors, failed};
use crate::host::Shared;
use crate::invocation::{Invocation, Outcome, OutcomeResult};
use crate::package::{LoadedCode, Package};
use crate::pool::Slot;
use crate::spec::HostOptions;

/// What every end says that was ours and not the function's.
const GOES_ON: &str = "what runs at the other end was not stopped and may still do its work";

/// A remote function, ready to be called.
pub(crate) enum Remote {
    Lambda(Box<LambdaFunction>),
    Http(Box<HttpFunction>),
}

impl Remote {
    /// Checks what can be checked without running the function, and says what is known of its code.
    pub(crate) async fn load(
        spec: &RemoteSpec,
        options: &HostOptions,
    ) -> Result<(Self, LoadedCode), String> {
        let connect_timeout = options.remote_connect_timeout;
        match spec {
            RemoteSpec::Lambda(spec) => {
                let function = LambdaFunction::new(spec.clone(), connect_timeout)?;
                let code = described(&function.describe().await?);
                Ok((Self::Lambda(Box::new(function)), code))
            }
            RemoteSpec::Http(spec) => {
                let function = HttpFunction::new(spec.clone(), connect_timeout)?;
                let code = described(&function.describe());
                Ok((Self::Http(Box::new(function)), code))
            }
        }
    }
}

/// The description is what is kept in place of the code, and what the revision's digest is of.
fn described(description: &Value) -> LoadedCode {
    let bytes = Bytes::from(description.to_string());
    LoadedCode {
        sha256: hex::encode(Sha256::digest(&bytes)),
        size: bytes.len() as u64,
        package: Package::Description(bytes),
    }
}

/// Calls the function once.
pub(crate) async fn run(
    shared: &Shared,
    slot: Slot,
    invocation: Invocation,
    remote: &Remote,
) -> Outcome {
    let spec = &slot.pool().spec;
    let mut outcome = attempt::beginning(&invocation);
    if let Some(result) = attempt::refusal(shared, &invocation) {
        outcome.result = result;
        return outcome;
    }
    if invocation.shadow.is_some() {
        let why = "a shadow's writes have to go aside, and those of a function that runs elsewhere \
                   do not pass the gateway";
        outcome.result = failed(errors::SHADOW_REFUSED, why);
        return outcome;
    }
    let timeout = attempt::timeout(spec, &invocation);
    let begun = Instant::now();
    let call = async {
        match remote {
            Remote::Lambda(function) => function.call(&invocation).await,
            Remote::Http(function) => Called {
                result: function.call(&spec.name, &invocation).await,
                logs: String::new(),
                figures: Figures::default(),
            },
        }
    };
    outcome.report.lineage_known = false;
    outcome.result = tokio::select! {
        biased;
        called = call => {
            outcome.logs = called.logs;
            outcome.report.duration_ms = called.figures.duration_ms;
            outcome.report.init_ms = called.figures.init_ms;
            outcome.report.billed_ms = called.figures.billed_ms;
            outcome.report.memory_bytes = called.figures.memory_bytes;
            outcome.report.max_memory_bytes = called.figures.max_memory_bytes;
            called.result
        }
        () = tokio::time::sleep(timeout) => given_up(&invocation, timeout.as_secs_f64()),
        why = attempt::stopped(shared, &invocation) => {
            OutcomeResult::interrupted(format!("{why}; {GOES_ON}"))
        }
    };
    let took = millis(begun.elapsed());
    outcome.report.duration_ms = outcome.report.duration_ms.or(Some(took));
    outcome
}

fn given_up(invocation: &Invocation, seconds: f64) -> OutcomeResult {
    let id = invocation.request_id;
    let message =
        format!("RequestId: {id} Error: Task timed out after {seconds:.2} seconds; {GOES_ON}");
    OutcomeResult::TimedOut {
        cause: json!({ "errorType": errors::TIMED_OUT, "errorMessage": message }).to_string(),
    }
}

#[cfg(test)]
mod tests;
