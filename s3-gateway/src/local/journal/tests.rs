use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use daybook_domain::stored_object::{ObjectCommand, ObjectVersion};
use daybook_domain::{BucketName, ObjectKey};
use s3s::checksum::ChecksumHasher;
use tempfile::TempDir;
use uuid::Uuid;

use super::format::Header;
use super::{FOLDER, locked};
use crate::config::{BucketConfig, GatewayConfig, Limits, LocalBucket};
use crate::gateway::Gateway;
use crate::ledger::{LedgerError, ObjectLedger, Standing};
use crate::local::commit::Write;
use crate::local::conditions::WriteConditions;
use crate::local::key_path::{hidden_path, plain_path, private};
use crate::local::receive::receive;
use crate::local::settings::Versioning;
use crate::local::stamp::{Headers, Stamp};
use crate::local::store::Bucket;

pub(super) type StandIn = Box<dyn Fn() -> io::Result<()> + Send + Sync>;

const HOUR: Duration = Duration::from_secs(3600);
/// A plain key, one in a folder, and one that cannot be a path.
const KEYS: [&str; 3] = ["k", "a/b/k", "../k"];

/// What it knows of each key: the stamps of what was written, and where it was removed.
#[derive(Default)]
struct Known {
    keys: Mutex<HashMap<String, Vec<Option<Uuid>>>>,
    removals_fail: Mutex<bool>,
    /// How many questions are answered before it is away.
    answers: Mutex<Option<usize>>,
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
    fn forget(&self, key: &str) {
        self.keys.lock().unwrap().remove(key);
    }

    fn remove(&self, key: &str) {
        let mut keys = self.keys.lock().unwrap();
        keys.get_mut(key).unwrap().push(None);
    }

    fn history(&self, key: &str) -> Vec<Option<Uuid>> {
        let keys = self.keys.lock().unwrap();
        keys.get(key).cloned().unwrap_or_default()
    }
}

/// A bucket's folder and what is known of it, through any number of runs.
struct World {
    folder: TempDir,
    ledger: Arc<Known>,
    limits: Limits,
    shared: bool,
}

/// One run.
struct Run {
    gateway: Arc<Gateway>,
    bucket: Arc<Bucket>,
}

impl World {
    fn new() -> Self {
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
    fn open(&self) -> Run {
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
    async fn start(&self) -> Run {
        let run = self.open();
        let report = run.gateway.rescan().await.unwrap();
        assert_eq!(report.failed, Vec::<String>::new());
        run
    }

    fn root(&self) -> PathBuf {
        // As the gateway has it.
        let folder = self.folder.path().canonicalize().unwrap();
        folder.join("inbox")
    }

    /// Where a key's object is.
    fn path(&self, key: &str) -> PathBuf {
        let relative = plain_path(key).unwrap_or_else(|| hidden_path(key));
        self.root().join(relative)
    }

    fn segments(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.root().join(private(FOLDER)));
        let entries = entries.into_iter().flatten();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }

    /// From now on the journals are those of an earlier run of the machine.
    fn start_machine_anew(&self) {
        for path in self.segments() {
            let file = File::options().read(true).write(true).open(path).unwrap();
            let header = Header::read(&file).unwrap().unwrap().unwrap();
            let boot = Uuid::from_u128(7);
            let header = Header { boot, ..header };
            file.write_all_at(&header.encode(), 0).unwrap();
        }
    }

    /// Leaves so much of an object, as a power failure may.
    fn tear(&self, key: &str, bytes: &[u8]) {
        let file = File::options().write(true).open(self.path(key)).unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        file.set_len(0).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file.set_modified(modified).unwrap();
    }
}

impl Run {
    async fn put(&self, key: &str, body: &str) -> Stamp {
        self.put_in(&self.bucket, key, body).await
    }

    async fn put_in(&self, bucket: &Arc<Bucket>, key: &str, body: &str) -> Stamp {
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

    async fn delete(&self, key: &str) -> bool {
        let key = ObjectKey::parse(key).unwrap();
        let removed = self
            .bucket
            .remove(key, None, WriteConditions::default(), None);
        removed.await.is_ok()
    }

    async fn get(&self, key: &str) -> Option<(Stamp, String)> {
        let opened = self
            .bucket
            .open(&ObjectKey::parse(key).unwrap(), None)
            .await;
        let opened = opened.ok()?;
        let text = io::read_to_string(&opened.file).unwrap();
        Some((opened.stamp, text))
    }

    /// The object is what was written; only its file may be another one.
    async fn check(&self, written: &Stamp, body: &str) {
        let (stamp, text) = self.get(&written.key).await.expect("it is there");
        assert_eq!(text, body);
        let place = written.place.clone();
        assert_eq!(Stamp { place, ..stamp }, *written);
        let listed = self.bucket.known_now(&written.key).unwrap().unwrap();
        assert_eq!(listed.stamp, written.stamp);
    }
}

/// What a power failure leaves of an object.
const REMAINS: [fn(&World, &str); 5] = [
    |world, key| fs::remove_file(world.path(key)).unwrap(),
    |world, key| world.tear(key, b""),
    |world, key| world.tear(key, b"conte"),
    |world, key| world.tear(key, b"con\0\0\0\0"),
    |world, key| world.tear(key, b"garbage"),
];

#[tokio::test]
async fn what_was_recorded_is_written_again() {
    for remains in REMAINS {
        let world = World::new();
        let run = world.start().await;
        let mut stamps = Vec::new();
        for key in KEYS {
            stamps.push(run.put(key, "content").await);
        }
        drop(run);
        assert_eq!(world.segments().len(), 1);
        world.start_machine_anew();
        for key in KEYS {
            remains(&world, key);
        }
        // The second start finds nothing to do any more.
        for _ in 0..2 {
            let run = world.start().await;
            for stamp in &stamps {
                run.check(stamp, "content").await;
                assert_eq!(world.ledger.history(&stamp.key), [Some(stamp.stamp)]);
            }
            assert_eq!(world.segments(), Vec::<PathBuf>::new());
        }
    }
}

#[tokio::test]
async fn what_was_not_recorded_is_not_written_again() {
    for remains in REMAINS {
        let world = World::new();
        let run = world.start().await;
        for key in KEYS {
            run.put(key, "content").await;
            world.ledger.forget(key);
        }
        drop(run);
        world.start_machine_anew();
        for key in KEYS {
            remains(&world, key);
        }
        let run = world.start().await;
        for key in KEYS {
            assert!(run.get(key).await.is_none());
            assert!(!world.path(key).exists());
            assert_eq!(world.ledger.history(key), [], "nothing came, nothing went");
        }
        assert_eq!(world.segments(), Vec::<PathBuf>::new());
    }
}

#[tokio::test]
async fn a_whole_object_that_was_not_recorded_is_proposed() {
    let world = World::new();
    let run = world.start().await;
    let stamp = run.put("k", "content").await;
    world.ledger.forget("k");
    drop(run);
    let path = world.path("k");
    xattr::remove(&path, "user.daybook.recorded").unwrap();
    world.start_machine_anew();
    let run = world.start().await;
    run.check(&stamp, "content").await;
    assert_eq!(world.ledger.history("k"), [Some(stamp.stamp)]);
}

#[tokio::test]
async fn what_was_removed_or_overwritten_stays_so() {
    for remains in REMAINS {
        let world = World::new();
        let run = world.start().await;
        let removed = run.put("removed", "content").await;
        world.ledger.remove("removed");
        drop(run);
        world.start_machine_anew();
        remains(&world, "removed");
        let run = world.start().await;
        assert!(run.get("removed").await.is_none());
        assert_eq!(world.ledger.history("removed"), [Some(removed.stamp), None]);
    }
    let world = World::new();
    let run = world.start().await;
    let first = run.put("k", "content").await;
    assert!(run.bucket.journal.may_hold(first.sequence).unwrap());
    let second = run.put("k", "newer").await;
    drop(run);
    world.start_machine_anew();
    let run = world.start().await;
    run.check(&second, "newer").await;
    // The older one is kept, and its record does not bring it back.
    let key = ObjectKey::parse("k").unwrap();
    let kept = run
        .bucket
        .open(&key, Some(&first.version_id))
        .await
        .unwrap();
    assert_eq!(io::read_to_string(&kept.file).unwrap(), "content");
}

#[tokio::test]
async fn a_removal_that_was_broken_off_is_not_undone() {
    for versioning in [Versioning::Never, Versioning::Enabled] {
        let world = World::new();
        let run = world.start().await;
        if versioning == Versioning::Enabled {
            run.bucket.set_versioning(versioning).unwrap();
        }
        let stamp = run.put("k", "content").await;
        *world.ledger.removals_fail.lock().unwrap() = true;
        assert!(!run.delete("k").await);
        *world.ledger.removals_fail.lock().unwrap() = false;
        drop(run);
        world.start_machine_anew();
        let run = world.start().await;
        assert!(run.get("k").await.is_none());
        assert_eq!(world.ledger.history("k"), [Some(stamp.stamp), None]);
        // The next start has nothing to add.
        drop(run);
        world.start_machine_anew();
        let run = world.start().await;
        assert!(run.get("k").await.is_none());
        assert_eq!(world.ledger.history("k").len(), 2);
        let key = ObjectKey::parse("k").unwrap();
        let kept = run
            .bucket
            .open(&key, Some(&stamp.version_id))
            .await
            .unwrap();
        assert_eq!(io::read_to_string(&kept.file).unwrap(), "content");
    }
}

#[tokio::test]
async fn the_next_object_of_a_key_is_not_mistaken_for_the_first() {
    let world = World::new();
    let run = world.start().await;
    let first = run.put("k", "content").await;
    assert!(run.delete("k").await);
    let second = run.put("k", "newer").await;
    drop(run);
    world.start_machine_anew();
    fs::remove_file(world.path("k")).unwrap();
    let run = world.start().await;
    run.check(&second, "newer").await;
    let expected = [Some(first.stamp), None, Some(second.stamp)];
    assert_eq!(world.ledger.history("k"), expected);
}

#[tokio::test]
async fn with_versioning_each_version_is_there_again() {
    let world = World::new();
    let run = world.start().await;
    run.bucket.set_versioning(Versioning::Enabled).unwrap();
    let first = run.put("k", "content").await;
    let second = run.put("k", "newer").await;
    let key = ObjectKey::parse("k").unwrap();
    let id = Some(second.version_id.clone());
    let none = WriteConditions::default();
    run.bucket.remove(key, id, none, None).await.unwrap();
    let other = run.put("other", "content").await;
    drop(run);
    world.start_machine_anew();
    fs::remove_file(world.path("other")).unwrap();
    let run = world.start().await;
    run.check(&first, "content").await;
    run.check(&other, "content").await;
}

#[tokio::test]
async fn tags_that_were_changed_stay_changed() {
    let world = World::new();
    let run = world.start().await;
    let written = run.put("k", "content").await;
    let tags = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
    let key = ObjectKey::parse("k").unwrap();
    let tagged = run
        .bucket
        .set_tags(key, None, tags.clone(), None)
        .await
        .unwrap();
    assert_eq!((&tagged.tags, tagged.stamp), (&tags, written.stamp));
    drop(run);
    world.start_machine_anew();
    let run = world.start().await;
    run.check(&tagged, "content").await;
}

#[tokio::test]
async fn files_that_came_by_hand_stay() {
    let world = World::new();
    let run = world.start().await;
    for key in ["moved", "edited", "appended", "touched"] {
        run.put(key, "content").await;
    }
    drop(run);
    world.start_machine_anew();
    let by_hand = world.folder.path().join("by-hand");
    fs::write(&by_hand, "by hand").unwrap();
    fs::rename(&by_hand, world.path("moved")).unwrap();
    fs::write(world.path("edited"), "changed").unwrap();
    fs::write(world.path("appended"), "content and more").unwrap();
    for key in ["moved", "edited", "appended", "touched"] {
        let file = File::options().write(true).open(world.path(key)).unwrap();
        let long_ago = UNIX_EPOCH + Duration::from_secs(1_000_000);
        file.set_modified(long_ago).unwrap();
    }
    let run = world.start().await;
    for (key, text) in [
        ("moved", "by hand"),
        ("edited", "changed"),
        ("appended", "content and more"),
        ("touched", "content"),
    ] {
        assert_eq!(run.get(key).await.unwrap().1, text);
        assert_eq!(world.ledger.history(key).len(), 2, "{key} is a new version");
    }
}

#[tokio::test]
async fn a_file_by_hand_that_lost_its_bytes_is_no_reason_to_lose_the_object() {
    let world = World::new();
    let run = world.start().await;
    let stamp = run.put("k", "content").await;
    drop(run);
    world.start_machine_anew();
    // Touched a moment before the power failed, and then torn.
    world.tear("k", b"\0\0\0");
    let file = File::options().write(true).open(world.path("k")).unwrap();
    let later = UNIX_EPOCH + Duration::from_nanos(stamp.mtime_ns.cast_unsigned() + 5_000);
    file.set_modified(later).unwrap();
    let run = world.start().await;
    run.check(&stamp, "content").await;
}

#[tokio::test]
async fn an_object_whose_path_is_taken_now_is_hidden() {
    let world = World::new();
    let run = world.start().await;
    let stamp = run.put("k", "content").await;
    drop(run);
    world.start_machine_anew();
    fs::remove_file(world.path("k")).unwrap();
    fs::create_dir(world.path("k")).unwrap();
    fs::write(world.path("k/inner"), "by hand").unwrap();
    let run = world.start().await;
    run.check(&stamp, "content").await;
    assert!(world.root().join(hidden_path("k")).is_file());
}

#[tokio::test]
async fn it_may_be_broken_off_and_done_again() {
    const COUNT: usize = 5;
    let world = World::new();
    let run = world.start().await;
    let mut stamps = Vec::new();
    for number in 0..COUNT {
        stamps.push(run.put(&format!("k{number}"), "content").await);
    }
    drop(run);
    world.start_machine_anew();
    for stamp in &stamps {
        fs::remove_file(world.path(&stamp.key)).unwrap();
    }
    for answers in 0..COUNT {
        *world.ledger.answers.lock().unwrap() = Some(answers.min(1));
        let run = world.open();
        run.gateway.rescan().await.unwrap_err();
        assert_eq!(world.segments().len(), 1, "nothing is guessed");
    }
    *world.ledger.answers.lock().unwrap() = None;
    let run = world.start().await;
    for stamp in &stamps {
        run.check(stamp, "content").await;
    }
    assert_eq!(world.segments(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn where_only_the_process_died_nothing_is_written_again() {
    let world = World::new();
    let run = world.start().await;
    let stamp = run.put("k", "content").await;
    run.put("by-hand", "content").await;
    drop(run);
    fs::remove_file(world.path("by-hand")).unwrap();
    let run = world.start().await;
    run.check(&stamp, "content").await;
    assert!(run.get("by-hand").await.is_none());
    assert_eq!(world.ledger.history("by-hand").len(), 2);
    assert_eq!(world.segments(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_copy_of_the_bucket_looks_at_its_journal() {
    let world = World::new();
    let run = world.start().await;
    let stamp = run.put("k", "content").await;
    drop(run);
    // The machine is the same, but the file is another.
    for path in world.segments() {
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        File::create(path.with_extension("other")).unwrap();
        fs::write(&path, bytes).unwrap();
        fs::remove_file(path.with_extension("other")).unwrap();
    }
    fs::remove_file(world.path("k")).unwrap();
    let run = world.start().await;
    run.check(&stamp, "content").await;
}

#[tokio::test]
async fn what_is_closed_in_order_leaves_nothing() {
    let world = World::new();
    let run = world.start().await;
    let stamp = run.put("k", "content").await;
    assert!(run.bucket.journal.may_hold(stamp.sequence).unwrap());
    let bucket = Arc::clone(&run.bucket);
    tokio::task::spawn_blocking(move || bucket.journal.close())
        .await
        .unwrap();
    assert!(!run.bucket.journal.may_hold(stamp.sequence).unwrap());
    assert!(!world.root().join(private(FOLDER)).exists());
    // Late writes go to the disk by themselves.
    let late = run.put("late", "content").await;
    assert!(!world.root().join(private(FOLDER)).exists());
    run.check(&late, "content").await;
}

#[tokio::test]
async fn a_bucket_that_needs_no_journal_has_none() {
    let mut world = World::new();
    world.limits.journaled_bytes = 7;
    let run = world.start().await;
    let large = run.put("large", "contents").await;
    assert_eq!(world.segments(), Vec::<PathBuf>::new());
    let small = run.put("small", "content").await;
    assert_eq!(world.segments().len(), 1);
    run.check(&large, "contents").await;
    run.check(&small, "content").await;
    // What replaces something is synced as a whole.
    let before = fs::read(&world.segments()[0]).unwrap();
    run.put("small", "newer").await;
    run.bucket.set_versioning(Versioning::Enabled).unwrap();
    run.bucket.set_versioning(Versioning::Suspended).unwrap();
    run.put("suspended", "newer").await;
    assert!(fs::read(&world.segments()[0]).unwrap() == before);
}

/// Which files there are each time that the file system is synced: only these survive.
fn watch_syncs(run: &Run, root: &Path) -> Arc<Mutex<HashSet<PathBuf>>> {
    let synced = Arc::<Mutex<HashSet<PathBuf>>>::default();
    let (noted, root) = (Arc::clone(&synced), root.to_owned());
    let stand_in: StandIn = Box::new(move || {
        let files = fs::read_dir(&root)?.map(|entry| Ok(entry?.path()));
        let files: io::Result<Vec<_>> = files.collect();
        noted.lock().unwrap().extend(files?);
        Ok(())
    });
    assert!(run.bucket.journal.inner.stand_in.set(stand_in).is_ok());
    synced
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_while_segments_change_under_many_writers() {
    const TASKS: usize = 64;
    const EACH: usize = 12;
    let mut world = World::new();
    world.limits.journal_segment_bytes = 24 << 10;
    let run = Arc::new(world.start().await);
    let synced = watch_syncs(&run, &world.root());
    let writers = (0..TASKS).map(|task| {
        let run = Arc::clone(&run);
        tokio::spawn(async move {
            let mut written = Vec::new();
            for number in 0..EACH {
                let key = format!("k{task}-{number}");
                let body = key.repeat(1 + number * 10);
                written.push((run.put(&key, &body).await, body));
            }
            written
        })
    });
    let mut written = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        written.extend(writer.await.unwrap());
    }
    drop(Arc::into_inner(run).unwrap());
    world.start_machine_anew();
    let synced = synced.lock().unwrap().clone();
    let (mut torn, mut sound) = (0, 0);
    let journaled: Vec<Vec<u8>> = world
        .segments()
        .iter()
        .map(|it| fs::read(it).unwrap())
        .collect();
    for (number, (stamp, _)) in written.iter().enumerate() {
        if synced.contains(&world.path(&stamp.key)) {
            sound += 1;
            continue;
        }
        // While both segments waited for their checkpoint, objects were synced by themselves.
        let name = stamp.version_id.as_bytes();
        let has = |bytes: &Vec<u8>| bytes.windows(name.len()).any(|part| part == name);
        if !journaled.iter().any(has) {
            continue;
        }
        REMAINS[number % REMAINS.len()](&world, &stamp.key);
        torn += 1;
    }
    println!("{torn} torn, {sound} synced, of {}", written.len());
    assert!(torn > 0 && sound > 0, "{torn} torn, {sound} synced");
    let run = world.start().await;
    for (stamp, body) in &written {
        run.check(stamp, body).await;
        assert_eq!(world.ledger.history(&stamp.key), [Some(stamp.stamp)]);
    }
    assert_eq!(world.segments(), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_old_enough_is_brought_to_the_disk() {
    let mut world = World::new();
    world.limits.journal_flush_every = Duration::from_millis(1);
    let run = world.start().await;
    let synced = watch_syncs(&run, &world.root());
    let stamp = run.put("k", "content").await;
    while run.bucket.journal.may_hold(stamp.sequence).unwrap() {
        tokio::task::yield_now().await;
    }
    assert!(synced.lock().unwrap().contains(&world.path("k")));
    // The segment is used again, and what was in it does not come back.
    run.put("next", "content").await;
    while !locked(&run.bucket.journal.inner.state).full.is_empty() {
        tokio::task::yield_now().await;
    }
    drop(run);
    world.start_machine_anew();
    fs::remove_file(world.path("k")).unwrap();
    let run = world.start().await;
    assert!(run.get("k").await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_brought_to_the_disk_is_written_again() {
    let mut world = World::new();
    let run = world.start().await;
    let fails: StandIn = Box::new(|| Err(io::ErrorKind::Other.into()));
    assert!(run.bucket.journal.inner.stand_in.set(fails).is_ok());
    let stamp = run.put("k", "content").await;
    let bucket = Arc::clone(&run.bucket);
    tokio::task::spawn_blocking(move || bucket.journal.close())
        .await
        .unwrap();
    assert_eq!(world.segments().len(), 1, "it is kept");
    drop(run);
    let inode = |world: &World| {
        let meta = fs::metadata(world.path("k")).unwrap();
        std::os::unix::fs::MetadataExt::ino(&meta)
    };
    let before = inode(&world);
    // The machine is the same, and the object looks whole.
    let run = world.start().await;
    run.check(&stamp, "content").await;
    assert_ne!(inode(&world), before, "it is written again");
    assert_eq!(world.segments(), Vec::<PathBuf>::new());
    drop(run);

    // While it goes on it has no journal.
    world.limits.journal_flush_every = Duration::from_millis(1);
    let run = world.start().await;
    let fails: StandIn = Box::new(|| Err(io::ErrorKind::Other.into()));
    assert!(run.bucket.journal.inner.stand_in.set(fails).is_ok());
    run.put("last", "content").await;
    while !locked(&run.bucket.journal.inner.state).broken {
        tokio::task::yield_now().await;
    }
    let before = fs::read(&world.segments()[0]).unwrap();
    let later = run.put("later", "content").await;
    run.check(&later, "content").await;
    assert_eq!(world.segments().len(), 1);
    assert!(fs::read(&world.segments()[0]).unwrap() == before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_have_journals_of_their_own() {
    let mut world = World::new();
    world.shared = true;
    let (one, two) = (world.start().await, world.start().await);
    let mut stamps = vec![
        one.put("one", "content").await,
        two.put("two", "content").await,
    ];
    assert_eq!(world.segments().len(), 2);
    // Neither can tell what is in the other's.
    assert!(two.bucket.journal.may_hold(0).unwrap());
    // One dies; the other brings its to the disk, and leaves its own alone.
    drop(one);
    two.bucket.recover().unwrap();
    assert_eq!(world.segments().len(), 1);
    assert!(!two.bucket.journal.may_hold(0).unwrap());
    let three = world.start().await;
    assert_eq!(world.segments().len(), 1);
    stamps.push(three.put("three", "content").await);
    drop((two, three));
    world.start_machine_anew();
    for key in ["two", "three"] {
        fs::remove_file(world.path(key)).unwrap();
    }
    // Both are opened before either looks at what is left; none serves before all is there.
    let (four, five) = (world.open(), world.open());
    let see = async |run: &Run| {
        run.gateway.rescan().await.unwrap();
        for stamp in &stamps {
            run.check(stamp, "content").await;
        }
    };
    tokio::join!(see(&four), see(&five));
    assert_eq!(world.segments(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_damaged_segment_is_kept_and_the_rest_of_it_used() {
    let world = World::new();
    let run = world.start().await;
    let mut stamps = Vec::new();
    for number in 0..3 {
        stamps.push(run.put(&format!("k{number}"), "content").await);
    }
    drop(run);
    world.start_machine_anew();
    for stamp in &stamps {
        fs::remove_file(world.path(&stamp.key)).unwrap();
    }
    // Within the record in the middle.
    let path = world.segments().remove(0);
    let mut bytes = fs::read(&path).unwrap();
    let name = stamps[1].version_id.as_bytes();
    let at = bytes
        .windows(name.len())
        .position(|part| part == name)
        .unwrap();
    bytes[at] ^= 1;
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(&bytes, 0).unwrap();
    let run = world.start().await;
    run.check(&stamps[0], "content").await;
    assert!(run.get("k1").await.is_none());
    run.check(&stamps[2], "content").await;
    assert_eq!(world.segments(), [path.with_extension("damaged")]);
    drop(run);
    // It is in nobody's way.
    world.start().await;
    assert_eq!(world.segments(), [path.with_extension("damaged")]);
}

#[tokio::test]
async fn what_was_never_written_to_is_removed() {
    let world = World::new();
    let run = world.start().await;
    drop(run);
    let folder = world.root().join(private(FOLDER));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(Uuid::from_u128(1).simple().to_string()), "").unwrap();
    let zeros = folder.join(Uuid::from_u128(2).simple().to_string());
    fs::write(zeros, [0; 5000]).unwrap();
    // This one had something in it.
    let mut bytes = vec![0; 5000];
    bytes[4500] = 1;
    let lost = folder.join(Uuid::from_u128(3).simple().to_string());
    fs::write(&lost, bytes).unwrap();
    world.start().await;
    assert_eq!(world.segments(), [lost.with_extension("damaged")]);
}
