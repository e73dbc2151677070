//! The function host: runs programs that speak the AWS Lambda Runtime API, so that handlers
//! written for AWS Lambda run here unchanged, with their official runtime interface clients.
//!
//! ```text
//!  command service ── reserve, invoke ──> FunctionHost ── one pool a function
//!                                             │
//!              StorageAccess (the gateway)    │  starts, watches, kills
//!         issue, begin, end, revoke <─────────┤
//!                                             v
//!   Session: Runtime API on its own   <── GET next ──    process group of one function
//!   loopback port, one per process    ── invocation ──>  (node, python3, bootstrap, ...)
//!                                     <── response ───
//! ```
//!
//! Invocations come from the command service and outcomes go back to it; nothing is kept here.
//! A process handles one invocation at a time. Its storage credentials are valid from
//! [`StorageAccess::begin`] to [`StorageAccess::end`] only, and are revoked before it is killed,
//! so that what a superseded attempt still tries to write is refused.
//!
//! Functions may run elsewhere instead (`remote`): then there is no process and no gateway between.
//! Processes run from read-only copies of their packages, named by digest (`code.rs`), within limits
//! (`meter`) and confined (`sandbox`).

mod attempt;
mod builtin_errors;
mod clock;
mod code;
mod environment;
mod group;
mod host;
mod invocation;
mod launch;
mod logs;
mod masks;
mod meter;
pub mod outbound;
mod package;
mod peer;
mod pool;
mod process;
mod remote;
mod report;
mod response;
mod runtime_api;
mod sandbox;
mod session;
mod spec;
mod storage;
mod watchdog;

pub use builtin_errors::{
    ADDRESS_REFUSED, FUNCTION_UNKNOWN, HTTP_SOCKET, HTTP_STATUS, INIT_ERROR, INIT_TIMEOUT,
    INVALID_ENTRYPOINT, INVALID_RESPONSE, LAMBDA, LAMBDA_CLIENT, LAMBDA_UNKNOWN, OUT_OF_DISK,
    OUT_OF_MEMORY, PAYLOAD_TOO_LARGE, RESPONSE_TOO_LARGE, RUNTIME_CRASH, RUNTIME_EXIT,
    SHADOW_REFUSED, TOO_MANY_PROCESSES, TRUNCATED_RESPONSE,
};
pub use host::{FunctionHost, FunctionStatus, LiveLogs, Prepared};
pub use invocation::{Invocation, Outcome, OutcomeResult};
pub use launch::LoadError;
pub use logs::{LOG_LIMIT_BYTES, LOG_LIMIT_LINES};
pub use masks::MASK_LEAST_BYTES;
pub use package::{Archive, Fingerprint, LoadedCode, Package, fingerprint};
pub use pool::Slot;
pub use remote::{
    EventMode, HttpHeaders, HttpSpec, HttpUrl, LambdaArn, LambdaSpec, RemoteSpec, TargetError,
};
pub use runtime_api::{PAYLOAD_LIMIT_BYTES, RESPONSE_LIMIT_BYTES};
pub use sandbox::{SandboxMode, SandboxPart, SandboxReport, UnknownSandboxMode, launch};
pub use spec::{FunctionSpec, HostOptions, Runtime, UnknownRuntime};
pub use storage::{InvocationScope, StorageAccess, StorageActivity, StorageCredentials};

#[cfg(test)]
mod testing;
