//! What the gateway serves and to whom. Comes from the configuration file, parsed above.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use daybook_domain::BucketName;

/// The buckets, the operators' keys and the limits of a gateway.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// The buckets that exist. Writing to any other is `NoSuchBucket`.
    pub buckets: BTreeMap<BucketName, LocalBucket>,
    /// The keys of people and tools.
    pub keys: Vec<OperatorKey>,
    /// The region that `GetBucketLocation` and `HeadBucket` tell.
    pub region: String,
    /// The bounds.
    pub limits: Limits,
    /// Whether other processes may serve the same folders at the same time. It costs each write a
    /// few locks. Opening is refused where others are there and do not agree on it.
    pub shared: bool,
    /// Where buckets go that operators make over the API; without it they may make none.
    pub created: Option<CreatedBuckets>,
}

/// The buckets that operators make over the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedBuckets {
    /// The folder that holds them, of this process alone.
    pub root: PathBuf,
    /// How long they keep overwritten and deleted versions.
    pub retain: Duration,
}

/// A bucket that is a local folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalBucket {
    /// The folder. It is created if it is missing.
    pub root: PathBuf,
    /// How long overwritten and deleted versions are kept.
    pub retain: Duration,
}

/// A key for people and tools, bound by patterns just as a function is.
#[derive(Clone, PartialEq, Eq)]
pub struct OperatorKey {
    /// The key's name in the configuration, for messages.
    pub name: String,
    /// The access key id.
    pub access_key: String,
    /// The secret. Never shown again.
    pub secret_key: String,
    /// What it may read, as `bucket/key` patterns in which `*` stands for any text.
    pub read: Vec<String>,
    /// What it may write.
    pub write: Vec<String>,
}

impl fmt::Debug for OperatorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperatorKey")
            .field("name", &self.name)
            .field("access_key", &self.access_key)
            .field("read", &self.read)
            .field("write", &self.write)
            .finish_non_exhaustive()
    }
}

/// The bounds of a gateway. The defaults are S3's where S3 has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest body of one `PutObject` or `UploadPart`, in bytes.
    pub max_put_bytes: u64,
    /// The smallest part of a multipart upload except its last, in bytes.
    pub min_part_bytes: u64,
    /// The user metadata of one object, names and values together, in bytes.
    pub max_metadata_bytes: usize,
    /// The head of one HTTP request, in bytes.
    pub max_header_bytes: usize,
    /// How long a client may take to send the head of a request.
    pub header_timeout: Duration,
    /// Connections served at the same time; further ones wait to be accepted.
    pub max_connections: usize,
    /// How long an unfinished multipart upload is kept.
    pub upload_retain: Duration,
    /// How long a file must be unchanged before it counts, where nobody saw it closed.
    pub settle_after: Duration,
    /// How often the folders are listed for changes that the watcher missed.
    pub rescan_every: Duration,
    /// How often versions past their `retain` are swept.
    pub sweep_every: Duration,
    /// How often the lead over a shared folder is tried for, and the leader looks whether another
    /// process has died.
    pub lead_every: Duration,
    /// How long a request waits for a key that other requests, or another process, hold in a
    /// shared folder. A process that is stopped in the middle of a write holds its key.
    pub lock_wait: Duration,
    /// Objects that one attempt may stage, where its outputs are published on success.
    pub max_staged: usize,
    /// Keys that the sender may not see and that one page of a listing looks at; then it ends, and
    /// says that there is more.
    pub list_unseen: usize,
    /// Paths that the watcher has seen and not yet looked at; beyond it, it lists everything.
    pub watch_queue: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_put_bytes: 5 << 30,
            min_part_bytes: 5 << 20,
            max_metadata_bytes: 2048,
            max_header_bytes: 64 << 10,
            header_timeout: Duration::from_secs(30),
            max_connections: 1024,
            upload_retain: Duration::from_secs(7 * 24 * 3600),
            settle_after: Duration::from_secs(2),
            rescan_every: Duration::from_secs(60),
            sweep_every: Duration::from_secs(3600),
            lead_every: Duration::from_secs(2),
            lock_wait: Duration::from_secs(10),
            max_staged: 100_000,
            list_unseen: 10_000,
            watch_queue: 4096,
        }
    }
}
