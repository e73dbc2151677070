//! A bucket with a journal, through any number of runs of the gateway and the machine.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use daybook_domain::stored_object::{ObjectCommand, ObjectVersion};
use daybook_domain::{BucketName, ObjectKey};
use s3s::checksum::ChecksumHasher;
use tempfile::TempDir;
use uuid::Uuid;

use crate::config::{BucketConfig, GatewayConfig, Limits, LocalBucket};
use crate::gateway::Gateway;
use crate::ledger::{LedgerError, ObjectLedger, Standing};
use crate::local::commit::Write;
use crate::local::conditions::WriteConditions;
use crate::local::journal::FOLDER;
use crate::local::journal::format::Header;
use crate::local::key_path::{hidden_path, plain_path, private};
use crate::local::receive::receive;
use crate::local::stamp::{Headers, Stamp};
use crate::local::store::Bucket;

pub(in crate::local::journal) type StandIn = Box<dyn Fn() -> io::Result<()> + Send + Sync>;

pub(super) const HOUR: Duration = Duration::from_secs(3600);
/// A plain key, one in a folder, and one that cannot be a path.
pub(super) const KEYS: [&str; 3] = ["k", "a/b/k", "../k"];

/// What it knows of each key: the stamps of what was written, and where it was removed.
#[derive(Default)]
pub(super) struct Known {
    pub(super) keys: Mutex<HashMap<String, Vec<Option<Uuid>>>>,
    pub(super) removals_fail: Mutex<bool>,
    /// How many questions are answered before it is away.
    pub(super) answers: Mutex<Option<usize>>,
}

#[async_trait]
impl ObjectLedger for Known {
    async fn record(&self, command: ObjectCommand) -> Result<(), LedgerError> {
        let (key, stamp) = match command {
            ObjectCommand::RecordCreated(it) | ObjectCommand::RecordReappeared(it) => {
                (it.key, it.version.stamp)
            }
            ObjectCommand::RecordRemoved(it) => (it.key, None),
            other => panic!("{other:?}"),
        };
        if stamp.is_none() && *self.removals_fail.lock().unwrap() {
            return Err(LedgerError::Unavailable("told to fail".into()));
        }
        let mut keys = self.keys.lock().unwrap();
        let history = keys.entry(key.to_string()).or_default();
        // As the real one: what is known is no news.
        if stamp.is_none() || !history.contains(&stamp) {
            history.push(stamp);
        }
        Ok(())
    }

    async fn standing(
        &self,
        _: &BucketName,
        key: &ObjectKey,
        version: &ObjectVersion,
    ) -> Result<Standing, LedgerError> {
        if let Some(left) = &mut *self.answers.lock().unwrap() {
            *left = left
                .checked_sub(1)
                .ok_or_else(|| LedgerError::Unavailable("told to fail".into()))?;
        }
        let keys = self.keys.lock().unwrap();
        let history = keys
            .get(key.as_str())
            .map(Vec::as_slice)
            .unwrap_or_default();
        Ok(match history.last() {
            Some(last) if *last == version.stamp => Standing::Current,
            _ if history.contains(&version.stamp) => Standing::Past,
            _ => Standing::Unknown,
        })
    }
}

impl Known {
    pub(super) fn forget(&self, key: &str) {
        self.keys.lock().unwrap().remove(key);
    }

    pub(super) fn remove(&self, key: &str) {
        let mut keys = self.keys.lock().unwrap();
        keys.get_mut(key).unwrap().push(None);
    }

    pub(super) fn history(&self, key: &str) -> Vec<Option<Uuid>> {
        let keys = self.keys.lock().unwrap();
        keys.get(key).cloned().unwrap_or_default()
    }
}

/// A bucket's folder and what is known of it, through any number of runs.
pub(super) struct World {
    pub(super) folder: TempDir,
    pub(super) ledger: Arc<Known>,
    pub(super) limits: Limits,
    pub(super) shared: bool,
}

/// One run.
pub(super) struct Run {
    pub(super) gateway: Arc<Gateway>,
    pub(super) bucket: Arc<Bucket>,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            ledger: Arc::default(),
            limits: Limits {
                // Nothing goes to the disk by itself while a test runs.
                journal_flush_every: HOUR,
                ..Limits::default()
            },
            shared: false,
        }
    }

    /// Opens the bucket, and does not look at journals yet.
    pub(super) fn open(&self) -> Run {
        let local = LocalBucket {
            root: self.root(),
            retain: HOUR,
        };
        let name = BucketName::parse("inbox").unwrap();
        let config = GatewayConfig {
            buckets: BTreeMap::from([(name, BucketConfig::Local(local))]),
            keys: Vec::new(),
            region: "us-east-1".to_owned(),
            limits: self.limits.clone(),
            shared: self.shared,
            created: None,
        };
        let ledger = Arc::clone(&self.ledger);
        let gateway = Gateway::open(config, ledger).unwrap();
        let bucket = gateway.buckets.local().remove(0);
        Run { gateway, bucket }
    }

    /// The start after the end of the last run: nothing failed in it but what a test expects.
    pub(super) async fn start(&self) -> Run {
        let run = self.open();
        let report = run.gateway.rescan().await.unwrap();
        assert_eq!(report.failed, Vec::<String>::new());
        run
    }

    pub(super) fn root(&self) -> PathBuf {
        // As the gateway has it.
        let folder = self.folder.path().canonicalize().unwrap();
        folder.join("inbox")
    }

    /// Where a key's object is.
    pub(super) fn path(&self, key: &str) -> PathBuf {
        let relative = plain_path(key).unwrap_or_else(|| hidden_path(key));
        self.root().join(relative)
    }

    pub(super) fn segments(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.root().join(private(FOLDER)));
        let entries = entries.into_iter().flatten();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }

    /// From now on the journals are those of an earlier run of the machine.
    pub(super) fn start_machine_anew(&self) {
        for path in self.segments() {
            let file = File::options().read(true).write(true).open(path).unwrap();
            let header = Header::read(&file).unwrap().unwrap().unwrap();
            let boot = Uuid::from_u128(7);
            let header = Header { boot, ..header };
            file.write_all_at(&header.encode(), 0).unwrap();
        }
    }

    /// Leaves so much of an object, as a power failure may.
    pub(super) fn tear(&self, key: &str, bytes: &[u8]) {
        let file = File::options().write(true).open(self.path(key)).unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        file.set_len(0).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file.set_modified(modified).unwrap();
    }
}

impl Run {
    pub(super) async fn put(&self, key: &str, body: &str) -> Stamp {
        self.put_in(&self.bucket, key, body).await
    }

    pub(super) async fn put_in(&self, bucket: &Arc<Bucket>, key: &str, body: &str) -> Stamp {
        let chunks = [Ok::<_, io::Error>(Bytes::copy_from_slice(body.as_bytes()))];
        let body = futures::stream::iter(chunks);
        let hasher = ChecksumHasher::default();
        let received = receive(&bucket.temporaries, body, hasher, None, u64::MAX);
        let received = received.await.unwrap();
        let write = Write {
            key: ObjectKey::parse(key).unwrap(),
            etag: hex::encode(received.md5),
            received,
            headers: Headers {
                content_type: Some("text/plain".to_owned()),
                ..Headers::default()
            },
            metadata: BTreeMap::from([("name".to_owned(), key.to_owned())]),
            tags: BTreeMap::new(),
            checksums: Default::default(),
            conditions: WriteConditions::default(),
            event_name: "ObjectCreated:Put",
            upload: None,
            parts: None,
            scope: None,
            staged: None,
        };
        bucket.commit(write).await.unwrap()
    }

    pub(super) async fn delete(&self, key: &str) -> bool {
        let key = ObjectKey::parse(key).unwrap();
        let removed = self
            .bucket
            .remove(key, None, WriteConditions::default(), None);
        removed.await.is_ok()
    }

    pub(super) async fn get(&self, key: &str) -> Option<(Stamp, String)> {
        let opened = self
            .bucket
            .open(&ObjectKey::parse(key).unwrap(), None)
            .await;
        let opened = opened.ok()?;
        let text = io::read_to_string(&opened.file).unwrap();
        Some((opened.stamp, text))
    }

    /// The object is what was written; only its file may be another one.
    pub(super) async fn check(&self, written: &Stamp, body: &str) {
        let (stamp, text) = self.get(&written.key).await.expect("it is there");
        assert_eq!(text, body);
        let place = written.place.clone();
        assert_eq!(Stamp { place, ..stamp }, *written);
        let listed = self.bucket.known_now(&written.key).unwrap().unwrap();
        assert_eq!(listed.stamp, written.stamp);
    }
}

/// What a power failure leaves of an object.
pub(super) const REMAINS: [fn(&World, &str); 5] = [
    |world, key| fs::remove_file(world.path(key)).unwrap(),
    |world, key| world.tear(key, b""),
    |world, key| world.tear(key, b"conte"),
    |world, key| world.tear(key, b"con\0\0\0\0"),
    |world, key| world.tear(key, b"garbage"),
];
