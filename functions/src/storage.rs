//! The port through which the host speaks with the storage gateway: credentials for one process,
//! and what an invocation did with them. The gateway, a floor above, implements it.

use std::fmt;

use daybook_domain::execution::{ObjectAccess, TriggerObject};
use daybook_domain::{Chain, ExecutionId, FunctionName, ShadowId};

/// Credentials and scopes for function processes.
///
/// The host calls, for each process: `issue` once; `begin` and `end` around each invocation, never
/// nested; `revoke` once, before the process is killed. None of them may block for long.
pub trait StorageAccess: Send + Sync + 'static {
    /// Makes credentials for one process. They open nothing until [`StorageAccess::begin`].
    fn issue(&self, function: &FunctionName) -> StorageCredentials;

    /// From now on, requests under this key act for the given attempt.
    fn begin(&self, access_key: &str, scope: InvocationScope);

    /// The attempt is over: further requests under this key are refused. Returns what it did.
    fn end(&self, access_key: &str) -> StorageActivity;

    /// The key is void for good.
    fn revoke(&self, access_key: &str);
}

/// Credentials made for one process.
#[derive(Clone, PartialEq, Eq)]
pub struct StorageCredentials {
    /// The access key's id.
    pub access_key: String,
    /// The secret. Never shown by `Debug`.
    pub secret_key: String,
    /// The endpoint, by IP address: `http://127.0.0.1:9000`. SDKs then use path-style addresses.
    pub endpoint: String,
    /// The region that requests are signed for.
    pub region: String,
}

impl fmt::Debug for StorageCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StorageCredentials")
            .field("access_key", &self.access_key)
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// For whom a process acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvocationScope {
    /// The execution.
    pub execution: ExecutionId,
    /// The task within the execution, from 1.
    pub task: u32,
    /// The attempt of the task, from 1.
    pub attempt: u32,
    /// The function.
    pub function: FunctionName,
    /// The object version that triggered it, to which reads are pinned.
    pub trigger: Option<TriggerObject>,
    /// The shadow under which it writes, if it does.
    pub shadow: Option<ShadowId>,
    /// What leads to the objects that it writes.
    pub chain: Chain,
}

/// What an attempt did in the storage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageActivity {
    /// The objects that it read.
    pub read: Vec<ObjectAccess>,
    /// The objects that it wrote.
    pub written: Vec<ObjectAccess>,
    /// Whether it wrote aside, so that somebody has to publish that or to discard it.
    pub staged: bool,
    /// What was refused, with the reason.
    pub refused: Vec<String>,
    /// Whether there was more than the lists hold.
    pub truncated: bool,
}
