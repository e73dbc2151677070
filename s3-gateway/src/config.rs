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
    pub buckets: BTreeMap<BucketName, BucketConfig>,
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

/// Where a bucket keeps its objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BucketConfig {
    /// In a folder of this machine.
    Local(LocalBucket),
    /// In a bucket of another S3 store.
    Upstream(UpstreamBucket),
}

/// A bucket that is a local folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalBucket {
    /// The folder. It is created if it is missing.
    pub root: PathBuf,
    /// How long overwritten and deleted versions are kept.
    pub retain: Duration,
}

/// A bucket of another S3 store, to which requests are passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamBucket {
    /// Its name there.
    pub bucket: String,
    /// The store.
    pub store: UpstreamStore,
    /// Whether the checksums that clients give are passed on. Some older stores know none.
    pub checksums: bool,
}

/// A store and the way into it. What two buckets have in common if the store can copy from one to
/// the other by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamStore {
    /// Its region.
    pub region: String,
    /// Its URL; without one it is AWS.
    pub endpoint: Option<String>,
    /// Whether the bucket stands in the path, as most stores but AWS want it.
    pub path_style: bool,
    /// The profile of the AWS configuration files to use, instead of the default one.
    pub profile: Option<String>,
    /// The key; without one it is looked for where AWS's own tools do.
    pub key: Option<UpstreamKey>,
}

/// A key of another store.
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamKey {
    /// The access key id.
    pub access_key: String,
    /// The secret. Never shown again.
    pub secret_key: String,
}

impl fmt::Debug for UpstreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamKey")
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
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
    /// The largest object that goes to the disk by way of the bucket's journal, in bytes, and at most
    /// 1 MiB. That saves small objects most of their syncs, and writes them twice. 0 for none.
    pub journaled_bytes: u64,
    /// The size of one of the two files that a journal has at most, in bytes.
    pub journal_segment_bytes: u64,
    /// How long an object may be on disk in the journal only. Then the file system is synced.
    pub journal_flush_every: Duration,
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
    /// What holds for buckets of other stores.
    pub upstream: UpstreamLimits,
}

/// The bounds of what is asked of other stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamLimits {
    /// How long a connection to a store may take.
    pub connect_timeout: Duration,
    /// How long a store may keep silent: before it answers, in the middle of an answer, and while
    /// it should take the next bytes of a body.
    pub read_timeout: Duration,
    /// How long a store may take for what it does by itself: a copy, or putting parts together.
    pub finish_timeout: Duration,
    /// How often a request is tried that can be sent again.
    pub attempts: u32,
    /// Bodies up to this size are read before they are sent, so that they can be sent again.
    pub replay_bytes: u64,
    /// The size of the parts in which a body of unknown length is sent; each is read first. A body
    /// has 10,000 parts at most.
    pub part_bytes: u64,
    /// The largest object that a store copies in one request, in bytes.
    pub max_copy_bytes: u64,
}

impl Default for UpstreamLimits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(30),
            finish_timeout: Duration::from_secs(15 * 60),
            attempts: 3,
            replay_bytes: 1 << 20,
            part_bytes: 8 << 20,
            max_copy_bytes: 5 << 30,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_put_bytes: 5 << 30,
            journaled_bytes: 64 << 10,
            journal_segment_bytes: 16 << 20,
            journal_flush_every: Duration::from_secs(5),
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
            upstream: UpstreamLimits::default(),
        }
    }
}
