//! Credentials for function processes, and what each invocation did with them.
//!
//! The function host issues one key a process and opens a scope around each invocation. A request
//! takes its scope along from its first moment; when the scope is closed, the request is refused
//! at its next check, the last of which stands directly before a write becomes visible. That is
//! the fence: after [`Grants::end`] returned, nothing that the invocation sent takes effect.
//!
//! A second fence goes by time, see [`Grants::valid_until`]: at the same checks, the keys of all
//! functions are refused once the deadline is over, also in a process that was stopped meanwhile.
//!
//! What an invocation writes with [`Publish::OnSuccess`] is staged, see `local/staged.rs`: its
//! scope knows which keys, and shows them to it alone. What it writes under a shadow goes to other
//! keys, see `local/shadow.rs`.

mod lease;
mod ranges;
mod scope;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use daybook_domain::execution::{ObjectAccess, TriggerObject};
use daybook_domain::stored_object::ObjectVersion;
use daybook_domain::{BucketName, Chain, ExecutionId, FunctionName, ObjectKey, ShadowId};

use crate::clock;
use crate::config::OperatorKey;
use crate::ledger::AttemptId;
use crate::policy::{Access, Policy};
use lease::Lease;
pub(crate) use scope::Scope;

/// Objects kept in each list of an [`Activity`]; a function that reads more than this has its
/// further accesses served, but not listed.
pub const MAX_ACCESSES: usize = 10_000;

/// Refusals kept in an [`Activity`].
pub const MAX_REFUSALS: usize = 100;

/// The keys that exist at this moment: the operators' and the function processes'.
#[derive(Debug)]
pub struct Grants {
    operators: HashMap<String, Operator>,
    functions: Mutex<HashMap<String, Grant>>,
    lease: Arc<Lease>,
    max_staged: usize,
}

/// What a function process signs its requests with.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// For `AWS_ACCESS_KEY_ID`.
    pub access_key: String,
    /// For `AWS_SECRET_ACCESS_KEY`.
    pub secret_key: String,
    /// For `AWS_SESSION_TOKEN`; none is needed.
    pub session_token: Option<String>,
}

/// One invocation: what it runs for, and what its reads are pinned to.
#[derive(Clone, Debug, PartialEq)]
pub struct InvocationScope {
    /// The execution.
    pub execution: ExecutionId,
    /// The task within the execution, from 1.
    pub task: u32,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The function.
    pub function: FunctionName,
    /// The object version that it was started for.
    pub trigger: Option<TriggerObject>,
    /// What leads to the objects that it writes.
    pub chain: Chain,
    /// When what it writes becomes visible. Under a shadow that is with each write.
    pub publish: Publish,
    /// The shadow under which it writes, if it does: each key that it writes gets the shadow's
    /// prefix, and where it reads it sees what was written so.
    pub shadow: Option<ShadowId>,
}

impl InvocationScope {
    fn attempt_id(&self) -> AttemptId {
        AttemptId {
            execution: self.execution,
            task: self.task,
            attempt: self.attempt,
        }
    }
}

/// When what an invocation writes becomes visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Publish {
    /// With each write.
    #[default]
    Immediately,
    /// When [`Gateway::publish`](crate::Gateway::publish) is called for the attempt; until then it
    /// alone sees what it wrote.
    OnSuccess,
}

/// What an invocation did through the gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// The object versions that it read, each once, in the order of first reading.
    pub read: Vec<ObjectAccess>,
    /// The object versions that it wrote; of what it staged, what is to be published.
    pub written: Vec<ObjectAccess>,
    /// Whether there is something to publish: objects, or removals.
    pub staged: bool,
    /// What it was refused, with the policy line that was missing.
    pub refused: Vec<String>,
    /// Whether a list was cut at [`MAX_ACCESSES`] or [`MAX_REFUSALS`].
    pub truncated: bool,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

impl Grants {
    pub(crate) fn new(operators: Vec<OperatorKey>, max_staged: usize) -> Self {
        let operators = operators.into_iter().map(|key| {
            let operator = Operator {
                who: format!("key {}", key.name).into(),
                secret: key.secret_key,
                policy: Arc::new(Policy {
                    read: key.read,
                    write: key.write,
                }),
            };
            (key.access_key, operator)
        });
        Self {
            operators: operators.collect(),
            functions: Mutex::default(),
            lease: Arc::default(),
            max_staged,
        }
    }

    /// Makes a key for one process of the function. It is void until [`Grants::begin`].
    pub fn issue(&self, function: &FunctionName, policy: Policy) -> Credentials {
        let access_key = format!(
            "DBK{}",
            hex::encode_upper(&clock::random_id().as_bytes()[..9])
        );
        let secret_key = format!(
            "{}{}",
            clock::random_id().simple(),
            clock::random_id().simple()
        );
        let grant = Grant {
            who: format!("function {function}").into(),
            secret: secret_key.clone(),
            policy: Arc::new(policy),
            scope: None,
        };
        self.functions().insert(access_key.clone(), grant);
        Credentials {
            access_key,
            secret_key,
            session_token: None,
        }
    }

    /// Opens the key for one invocation. A scope that is still open is closed first. Does nothing
    /// for a key that was revoked.
    pub fn begin(&self, access_key: &str, scope: InvocationScope) {
        let opened = Scope::new(scope, Arc::clone(&self.lease), self.max_staged);
        let opened = Arc::new(opened);
        let replaced = match self.functions().get_mut(access_key) {
            Some(grant) => grant.scope.replace(opened),
            None => None,
        };
        if let Some(replaced) = replaced {
            replaced.close();
        }
    }

    /// Closes the scope and tells what the invocation did. Waits for no request: those in flight
    /// are refused from now on. (It may wait for one `rename` that is happening at this moment.)
    pub fn end(&self, access_key: &str) -> Activity {
        let scope = self
            .functions()
            .get_mut(access_key)
            .and_then(|g| g.scope.take());
        scope.map(|scope| scope.close()).unwrap_or_default()
    }

    /// Sets the moment from which on all keys of functions are refused and their writes fenced;
    /// `None`, the default, sets no limit. A later moment makes the keys good again only for
    /// scopes that are opened from then on: one that was open when the deadline passed is dead.
    ///
    /// The clock is read at each check, the last of which stands directly before a write becomes
    /// visible, so it does not matter whether this process ran at the deadline. When this returns
    /// with a moment that is over, nothing that a function sent takes effect any more. (It may
    /// wait for one `rename` that is happening at this moment.)
    pub fn valid_until(&self, deadline: Option<Instant>) {
        self.lease.set(deadline);
    }

    /// Forgets the key, closing its scope. Later requests with it are `InvalidAccessKeyId`.
    pub fn revoke(&self, access_key: &str) {
        let grant = self.functions().remove(access_key);
        if let Some(scope) = grant.and_then(|grant| grant.scope) {
            scope.close();
        }
    }

    /// The secret of a key, for checking a signature.
    pub(crate) fn secret(&self, access_key: &str) -> Option<String> {
        if let Some(operator) = self.operators.get(access_key) {
            return Some(operator.secret.clone());
        }
        self.functions()
            .get(access_key)
            .map(|grant| grant.secret.clone())
    }

    /// Whether an operator's key of this name is configured.
    pub(crate) fn has_operator(&self, name: &str) -> bool {
        let mut all = self.operators.values();
        all.any(|operator| operator.who.strip_prefix("key ") == Some(name))
    }

    /// Who speaks with this key, whose signature was found right; `None` if the key is void, or
    /// its scope outlived the deadline.
    pub(crate) fn principal(&self, access_key: &str) -> Option<Principal> {
        if let Some(operator) = self.operators.get(access_key) {
            return Some(Principal {
                who: Arc::clone(&operator.who),
                policy: Arc::clone(&operator.policy),
                scope: None,
            });
        }
        let functions = self.functions();
        let grant = functions.get(access_key)?;
        let scope = grant.scope.as_ref()?;
        scope.is_valid().then_some(())?;
        Some(Principal {
            who: Arc::clone(&grant.who),
            policy: Arc::clone(&grant.policy),
            scope: Some(Arc::clone(scope)),
        })
    }

    fn functions(&self) -> std::sync::MutexGuard<'_, HashMap<String, Grant>> {
        // Nothing in here panics half way through a change.
        self.functions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who a request comes from.
#[derive(Clone, Debug)]
pub(crate) struct Principal {
    pub(crate) who: Arc<str>,
    pub(crate) policy: Arc<Policy>,
    /// The invocation, if it is a function's.
    pub(crate) scope: Option<Arc<Scope>>,
}

impl Principal {
    /// Refuses with the message for the client when the policy does not allow the access.
    pub(crate) fn check(
        &self,
        access: Access,
        bucket: &BucketName,
        key: &ObjectKey,
    ) -> Result<(), String> {
        if self.policy.allows(access, bucket.as_str(), key.as_str()) {
            return Ok(());
        }
        Err(self.refuse(access, bucket, Some(key)))
    }

    /// Refuses when the policy allows the access to no object of the bucket.
    pub(crate) fn check_bucket(&self, access: Access, bucket: &BucketName) -> Result<(), String> {
        if self.policy.touches(access, bucket.as_str()) {
            return Ok(());
        }
        Err(self.refuse(access, bucket, None))
    }

    /// Refuses writes to a bucket of another store where they would have to be held back or
    /// redirected: that is for folders alone.
    pub(crate) fn check_openness(&self, bucket: &BucketName) -> Result<(), String> {
        let Some(scope) = &self.scope else {
            return Ok(());
        };
        let how = match (scope.shadow(), scope.stages()) {
            (Some(_), _) => "in a shadow run",
            (None, Some(_)) => "before its attempt has succeeded (publish = \"on-success\")",
            (None, None) => return Ok(()),
        };
        let message = format!(
            "{} may not write to {bucket} {how}: the bucket lies in another store",
            self.who
        );
        scope.note(|seen| seen.refused(message.clone()));
        Err(message)
    }

    pub(crate) fn note_read(&self, access: ObjectAccess) {
        if let Some(scope) = &self.scope {
            scope.note(|seen| seen.read(access));
        }
    }

    /// The shadow under which it writes, if it does.
    pub(crate) fn shadow(&self) -> Option<&ShadowId> {
        self.scope.as_ref()?.shadow()
    }

    /// The version id of this object that reads are pinned to.
    pub(crate) fn pin(&self, bucket: &BucketName, key: &ObjectKey) -> Option<&str> {
        self.pinned(bucket, key)?.version_id.as_deref()
    }

    /// The version of this object that reads are pinned to.
    pub(crate) fn pinned(&self, bucket: &BucketName, key: &ObjectKey) -> Option<&ObjectVersion> {
        let trigger = self.scope.as_ref()?.trigger()?;
        let same = trigger.bucket == *bucket && trigger.key == *key;
        same.then_some(&trigger.version)
    }

    fn refuse(&self, access: Access, bucket: &BucketName, key: Option<&ObjectKey>) -> String {
        let message = Policy::refusal(&self.who, access, bucket, key);
        if let Some(scope) = &self.scope {
            scope.note(|seen| seen.refused(message.clone()));
        }
        message
    }
}

struct Operator {
    who: Arc<str>,
    secret: String,
    policy: Arc<Policy>,
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator")
            .field("who", &self.who)
            .finish_non_exhaustive()
    }
}

struct Grant {
    who: Arc<str>,
    secret: String,
    policy: Arc<Policy>,
    scope: Option<Arc<Scope>>,
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("who", &self.who)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
