//! Notices what comes into the folders, and goes from them, from outside the gateway.
//!
//! The system's file notifications tell which files were closed after writing, moved in, moved out
//! or removed; these are looked at once. They may get lost, and some file systems have none, so every folder is
//! also listed now and then. What a gateway itself wrote, this one or another that shares the
//! folder, is seen here too: a moment later its index knows the file as it is, and that is that.
//! Under load nothing else would be affordable. What the index does not know is looked at.
//!
//! Of the processes that share a folder, one leads and does all that. The others try for the lead
//! every few seconds, and get it when the leader's end has released it. A new leader lists the
//! folder at once, since the old one may have left writes that it had not recorded; it does the
//! same when it finds that another process has died.

use std::collections::{BTreeMap, HashMap};
use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use daybook_domain::stored_object::Channel;
use daybook_domain::{BucketName, ObjectKey};
use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::error::StoreError;
use crate::gateway::Gateway;
use crate::local::file_lock::Held;
use crate::local::key_path::{PRIVATE, key_of};
use crate::local::scan::ScanReport;
use crate::local::store::{Bucket, blocking};

/// How long what is seen is gathered before it is looked at: by then most of a gateway's own
/// writes are in its index.
const GATHER: Duration = Duration::from_millis(50);

/// After notifications were lost the folders are listed, and then not again for so many times as
/// long as that took; nor within [`LISTING_PAUSE`].
const LISTING_SHARE: u32 = 20;
const LISTING_PAUSE: Duration = Duration::from_secs(1);

/// How often a folder is walked through in which others come and go, to watch them.
const WALKS: usize = 5;

/// A path that something happened to.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    path: PathBuf,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// A file may count now.
    File,
    /// A folder came in with whatever is in it.
    Folder,
    /// A file or a folder went, and something else may have come since.
    Gone,
}

pub(crate) async fn run(gateway: Arc<Gateway>, shutdown: CancellationToken) {
    let (sender, mut seen) = mpsc::channel(gateway.limits.watch_queue);
    let missed = Arc::new(AtomicBool::new(false));
    let mut watch = Watch {
        watcher: start(sender, &missed),
        gateway: &gateway,
        led: BTreeMap::new(),
        later: Later::default(),
    };
    let every = |period| {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    };
    let limits = &gateway.limits;
    let mut lead = every(limits.lead_every);
    let mut rescan = every(limits.rescan_every);
    let mut sweep = every(limits.sweep_every);
    let mut catch_up = every(LISTING_PAUSE);
    let mut next_listing = Instant::now();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            Some(first) = seen.recv() => {
                sleep(GATHER).await;
                let mut gathered = vec![first];
                while let Ok(seen) = seen.try_recv() {
                    gathered.push(seen);
                }
                for seen in watch.unknown(gathered).await {
                    watch.look_at(seen).await;
                }
            }
            () = watch.later.due() => {
                let due = watch.later.take().collect();
                for seen in watch.unknown(due).await {
                    watch.look_at(seen).await;
                }
            }
            _ = lead.tick() => watch.lead().await,
            _ = rescan.tick() => watch.list_all(&missed).await,
            _ = sweep.tick() => watch.sweep().await,
            _ = catch_up.tick() => {
                if missed.load(Ordering::Acquire) && Instant::now() >= next_listing {
                    let begun = Instant::now();
                    watch.list_all(&missed).await;
                    next_listing = Instant::now() + begun.elapsed() * LISTING_SHARE;
                }
            }
        }
    }
}

/// Starts the system's notifications. Without them the listings remain.
fn start(sender: mpsc::Sender<Seen>, missed: &Arc<AtomicBool>) -> Option<RecommendedWatcher> {
    let missed = Arc::clone(missed);
    let handler = move |event: notify::Result<Event>| match event {
        Ok(event) if event.need_rescan() => missed.store(true, Ordering::Release),
        Ok(event) => {
            for seen in concerned(event) {
                if sender.try_send(seen).is_err() {
                    missed.store(true, Ordering::Release);
                }
            }
        }
        Err(error) => {
            tracing::warn!(%error, "the folders cannot be watched in full");
            missed.store(true, Ordering::Release);
        }
    };
    match notify::recommended_watcher(handler) {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            tracing::warn!(%error, "there are no file notifications; the folders are only listed now and then");
            None
        }
    }
}

/// The paths of an event after which a file may count or be missing, outside the gateway's own
/// folders.
fn concerned(event: Event) -> Vec<Seen> {
    let what = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => What::File,
        EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Any)) => What::File,
        EventKind::Create(CreateKind::Folder) => What::Folder,
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) | EventKind::Remove(_) => What::Gone,
        _ => return Vec::new(),
    };
    let own = |path: &PathBuf| path.components().any(|part| part.as_os_str() == PRIVATE);
    let paths = event.paths.into_iter().filter(|path| !own(path));
    paths.map(|path| Seen { path, what }).collect()
}

/// The watch over the folders that this process leads.
struct Watch<'a> {
    gateway: &'a Gateway,
    /// Kept for as long as the loop runs: dropping it ends the watch.
    watcher: Option<RecommendedWatcher>,
    /// The lead, once gained, is kept until the process ends or shuts down, or the bucket goes.
    led: BTreeMap<BucketName, Led>,
    later: Later,
}

/// A bucket's folder whose lead this process has.
struct Led {
    bucket: Arc<Bucket>,
    _lead: Held,
}

impl Watch<'_> {
    fn leads(&self, bucket: &Arc<Bucket>) -> bool {
        let led = self.led.get(&bucket.name);
        led.is_some_and(|led| Arc::ptr_eq(&led.bucket, bucket))
    }

    /// Tries for the lead where another process has it, and looks for dead ones where not.
    async fn lead(&mut self) {
        let buckets = self.gateway.buckets.local();
        self.forget_gone(&buckets);
        for bucket in buckets {
            if self.leads(&bucket) {
                self.look_for_dead(&bucket).await;
                continue;
            }
            match bucket.try_lead() {
                Ok(Some(lead)) => self.take_over(&bucket, lead).await,
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(bucket = %bucket.name, %error, "the lead over the folder cannot be tried for")
                }
            }
        }
    }

    /// Lets go of buckets that were removed over the API; one of the same name is another.
    fn forget_gone(&mut self, buckets: &[Arc<Bucket>]) {
        let watcher = &mut self.watcher;
        self.led.retain(|_, led| {
            let there = buckets
                .iter()
                .any(|bucket| Arc::ptr_eq(bucket, &led.bucket));
            if !there && let Some(watcher) = watcher {
                // Its folders are gone, and with them most likely the watch.
                let root = &led.bucket.root;
                for folder in folders_in(root).into_iter().flatten() {
                    let _ = watcher.unwatch(&folder);
                }
                let _ = watcher.unwatch(root);
            }
            there
        });
    }

    /// Watches a bucket's folder and those in it, but not the gateway's own, in which it writes much
    /// more often than in the others.
    fn watch_anew(&mut self, bucket: &Bucket) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let mut watched = watcher.watch(&bucket.root, RecursiveMode::NonRecursive);
        match folders_in(&bucket.root) {
            Ok(folders) => {
                for folder in folders {
                    watched = watched.and(watch_below(watcher, &folder));
                }
            }
            Err(error) => watched = watched.and(Err(error.into())),
        }
        if let Err(error) = watched {
            tracing::warn!(bucket = %bucket.name, %error, "some of the folder is only listed now and then");
        }
    }

    /// Watches a folder that came, and all in it; those further down are the system's to notice.
    fn watch_also(&mut self, bucket: &Bucket, path: &Path) {
        if path.parent() != Some(&bucket.root) {
            return;
        }
        if let Some(watcher) = &mut self.watcher
            && let Err(error) = watch_below(watcher, path)
        {
            tracing::warn!(bucket = %bucket.name, path = %path.display(), %error, "the folder is only listed now and then");
        }
    }

    async fn take_over(&mut self, bucket: &Arc<Bucket>, lead: Held) {
        tracing::info!(bucket = %bucket.name, "watches the folder from now on");
        let led = Led {
            bucket: Arc::clone(bucket),
            _lead: lead,
        };
        self.led.insert(bucket.name.clone(), led);
        // First, so that nothing comes in unseen between the listing and the watch.
        self.watch_anew(bucket);
        bucket.removals_open.store(true, Ordering::Release);
        self.gateway.recover(bucket).await;
        self.list(bucket).await;
        self.gateway.discard_decided(bucket).await;
    }

    async fn look_for_dead(&mut self, bucket: &Arc<Bucket>) {
        let this = Arc::clone(bucket);
        match blocking(move || Ok(this.bury_dead()?)).await {
            Ok(true) => {
                tracing::info!(bucket = %bucket.name, "another process that served the folder has died");
                self.gateway.recover(bucket).await;
                self.list(bucket).await;
                self.gateway.discard_decided(bucket).await;
            }
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(bucket = %bucket.name, %error, "what dead processes left cannot be removed")
            }
        }
    }

    /// What of it is not just as the index has it.
    async fn unknown(&self, seen: Vec<Seen>) -> Vec<Seen> {
        let buckets = self.gateway.buckets.local();
        let looked = blocking(move || {
            let (mut rest, mut unknown) = (seen, Vec::new());
            for bucket in buckets {
                let within = |seen: &Seen| seen.path.starts_with(&bucket.root);
                let (here, elsewhere) = rest.into_iter().partition(within);
                rest = elsewhere;
                unknown.extend(bucket.not_noted(here, |seen| file_of(&bucket, seen)));
            }
            unknown.extend(rest);
            Ok(unknown)
        });
        match looked.await {
            Ok(unknown) => unknown,
            Err(error) => {
                tracing::warn!(%error, "what was seen is lost until the next listing");
                Vec::new()
            }
        }
    }

    async fn look_at(&mut self, seen: Seen) {
        let buckets = self.gateway.buckets.local();
        let mut buckets = buckets.iter();
        let Some(bucket) = buckets.find(|bucket| seen.path.starts_with(&bucket.root)) else {
            return;
        };
        let relative = seen
            .path
            .strip_prefix(&bucket.root)
            .unwrap_or(&seen.path)
            .to_owned();
        match seen.what {
            What::Folder => {
                self.watch_also(bucket, &seen.path);
                // Files may have been put into it before the system watched it; give them time.
                return self.look_later(seen.path, What::File);
            }
            What::Gone => return self.miss(bucket, seen.path, &relative).await,
            What::File => {}
        }
        match seen.path.symlink_metadata() {
            Ok(meta) if meta.is_dir() => {
                self.watch_also(bucket, &seen.path);
                return self.look_below(bucket, relative).await;
            }
            // It went while its key was locked, or while it was given time.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return self.miss(bucket, seen.path, &relative).await;
            }
            _ => {}
        }
        let Some(key) = object_key(&relative) else {
            return;
        };
        match bucket.settle_key(&key, &Channel::Watcher).await {
            Ok(recorded) => {
                tracing::debug!(bucket = %bucket.name, %key, recorded, "saw a file change")
            }
            Err(StoreError::Changing | StoreError::Busy) => self.look_later(seen.path, What::File),
            Err(error) => {
                tracing::warn!(bucket = %bucket.name, %key, %error, "a file could not be recorded; it will be tried again");
                self.look_later(seen.path, What::File);
            }
        }
    }

    /// Looks what is missing where something was removed.
    async fn miss(&mut self, bucket: &Arc<Bucket>, path: PathBuf, relative: &Path) {
        if relative.as_os_str().is_empty() {
            tracing::warn!(bucket = %bucket.name, root = %bucket.root.display(), "the bucket's folder was removed");
            return;
        }
        let mut report = ScanReport::default();
        let mut missed = bucket
            .settle_vanished_below(relative, &Channel::Watcher, &mut report)
            .await;
        // Another file may lie there by now, of which the object that went must not be mistaken.
        if let (Ok(()), Some(key)) = (&missed, object_key(relative)) {
            missed = bucket
                .settle_vanished(&key, &Channel::Watcher)
                .await
                .map(|_| ());
        }
        match missed {
            Ok(()) if report.failed.is_empty() => {}
            Ok(()) => {
                warn_of_failures(&report);
                self.look_later(path, What::Gone);
            }
            Err(StoreError::Busy) => self.look_later(path, What::Gone),
            Err(error) => {
                tracing::warn!(bucket = %bucket.name, %error, "a removal could not be recorded; the next listing tries again");
            }
        }
    }

    async fn look_below(&mut self, bucket: &Arc<Bucket>, relative: PathBuf) {
        let path = bucket.root.join(&relative);
        match bucket
            .rescan_below(relative, self.gateway.limits.settle_after)
            .await
        {
            Ok(report) if is_complete(&report) => {}
            Ok(_) => self.look_later(path, What::File),
            Err(error) => {
                tracing::warn!(bucket = %bucket.name, %error, "a folder could not be listed")
            }
        }
    }

    /// Lists the folders that this process leads. In the others it has only its own to make good.
    async fn list_all(&mut self, missed: &AtomicBool) {
        let lost = missed.swap(false, Ordering::AcqRel);
        for bucket in self.gateway.buckets.local() {
            if self.leads(&bucket) {
                // What told of a new folder may be among it.
                if lost {
                    self.watch_anew(&bucket);
                }
                self.list(&bucket).await;
            } else {
                let mut report = ScanReport::default();
                if let Err(error) = bucket.settle_removals(&mut report).await {
                    tracing::warn!(bucket = %bucket.name, %error, "removals could not be recorded");
                }
                warn_of_failures(&report);
            }
        }
    }

    async fn list(&mut self, bucket: &Arc<Bucket>) {
        match self.gateway.rescan_bucket(bucket).await {
            Ok(report) => {
                if report.unsettled > 0 {
                    let root: &Path = &bucket.root;
                    self.look_later(root.to_owned(), What::File);
                }
                warn_of_failures(&report);
            }
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the folders could not be listed"
            ),
        }
    }

    async fn sweep(&self) {
        for bucket in self.gateway.buckets.local() {
            if self.leads(&bucket) {
                self.gateway.sweep(&bucket).await;
                self.gateway.discard_decided(&bucket).await;
            }
        }
    }

    fn look_later(&mut self, path: PathBuf, what: What) {
        self.later.add(self.gateway, path, what);
    }
}

/// The folders in a bucket's own that may hold objects.
fn folders_in(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in root.read_dir()? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && !entry.file_name().eq_ignore_ascii_case(PRIVATE) {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}

/// Watches a folder and all in it. One of them that goes meanwhile breaks that off: then it is done
/// again.
fn watch_below(watcher: &mut RecommendedWatcher, folder: &Path) -> notify::Result<()> {
    let mut left = WALKS;
    loop {
        left -= 1;
        match watcher.watch(folder, RecursiveMode::Recursive) {
            Err(error) if matches!(error.kind, notify::ErrorKind::PathNotFound) => {
                if folder.symlink_metadata().is_err() {
                    return Ok(());
                }
                if left == 0 {
                    return Err(error);
                }
            }
            watched => return watched,
        }
    }
}

/// The key that a file is the object of, and the file as it is now.
fn file_of(bucket: &Bucket, seen: &Seen) -> Option<(ObjectKey, Metadata)> {
    let relative = seen.path.strip_prefix(&bucket.root).ok()?;
    let key = object_key(relative).filter(|_| seen.what == What::File)?;
    let meta = seen.path.symlink_metadata().ok()?;
    meta.is_file().then_some((key, meta))
}

fn object_key(relative: &Path) -> Option<ObjectKey> {
    key_of(relative).and_then(|key| ObjectKey::parse(key).ok())
}

fn is_complete(report: &ScanReport) -> bool {
    report.unsettled == 0 && report.failed.is_empty()
}

fn warn_of_failures(report: &ScanReport) {
    for failure in &report.failed {
        tracing::warn!(failure, "left for the next listing");
    }
}

/// Paths to look at again once they had time to settle.
#[derive(Debug, Default)]
struct Later {
    paths: HashMap<PathBuf, What>,
    at: Option<Instant>,
}

impl Later {
    fn add(&mut self, gateway: &Gateway, path: PathBuf, what: What) {
        if self.paths.len() < gateway.limits.watch_queue {
            self.paths.insert(path, what);
        }
        // What does not fit waits for the next listing.
        self.at
            .get_or_insert_with(|| Instant::now() + gateway.limits.settle_after);
    }

    async fn due(&self) {
        match self.at {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    fn take(&mut self) -> impl Iterator<Item = Seen> + use<> {
        self.at = None;
        let paths = std::mem::take(&mut self.paths);
        let seen = |(path, what)| Seen { path, what };
        paths.into_iter().map(seen)
    }
}
