//! Notices what comes into the folders from outside the gateway.
//!
//! The system's file notifications tell which files were closed after writing or moved in; these
//! are looked at once. They may get lost, and some file systems have none, so every folder is
//! also listed now and then. What the gateway itself wrote is seen here too and found recorded.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use daybook_domain::ObjectKey;
use daybook_domain::stored_object::Channel;
use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::error::StoreError;
use crate::gateway::Gateway;
use crate::local::key_path::{PRIVATE, key_of};
use crate::local::store::Bucket;

/// A path that something happened to.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Seen {
    path: PathBuf,
    /// A folder that came in with whatever is in it, not a file.
    folder: bool,
}

pub(crate) async fn run(gateway: Arc<Gateway>, shutdown: CancellationToken) {
    let (sender, mut seen) = mpsc::channel(gateway.limits.watch_queue);
    let missed = Arc::new(AtomicBool::new(false));
    // Kept for as long as the loop runs: dropping it ends the watch.
    let _watcher = start(&gateway, sender, &missed);
    let mut rescan = interval(gateway.limits.rescan_every);
    rescan.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sweep = interval(gateway.limits.sweep_every);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut later = Later::default();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            Some(seen) = seen.recv() => look_at(&gateway, seen, &mut later).await,
            () = later.due() => {
                for seen in later.take() {
                    look_at(&gateway, seen, &mut later).await;
                }
            }
            _ = rescan.tick() => list(&gateway, &missed, &mut later).await,
            _ = sweep.tick() => gateway.sweep().await,
        }
        if missed.swap(false, Ordering::AcqRel) {
            list(&gateway, &missed, &mut later).await;
        }
    }
}

/// Starts the system's notifications. Without them the listings remain.
fn start(
    gateway: &Gateway,
    sender: mpsc::Sender<Seen>,
    missed: &Arc<AtomicBool>,
) -> Option<RecommendedWatcher> {
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
    let mut watcher = match notify::recommended_watcher(handler) {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::warn!(%error, "there are no file notifications; the folders are only listed now and then");
            return None;
        }
    };
    for bucket in gateway.buckets.values() {
        if let Err(error) = watcher.watch(&bucket.root, RecursiveMode::Recursive) {
            tracing::warn!(bucket = %bucket.name, %error, "the folder is only listed now and then");
        }
    }
    Some(watcher)
}

/// The paths of an event after which a file may count, outside the gateway's own folders.
fn concerned(event: Event) -> Vec<Seen> {
    let folder = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Any)) => false,
        EventKind::Create(CreateKind::Folder) => true,
        _ => return Vec::new(),
    };
    let own = |path: &PathBuf| path.components().any(|part| part.as_os_str() == PRIVATE);
    let paths = event.paths.into_iter().filter(|path| !own(path));
    paths.map(|path| Seen { path, folder }).collect()
}

async fn look_at(gateway: &Gateway, seen: Seen, later: &mut Later) {
    let mut buckets = gateway.buckets.values();
    let Some(bucket) = buckets.find(|bucket| seen.path.starts_with(&bucket.root)) else {
        return;
    };
    let relative = seen
        .path
        .strip_prefix(&bucket.root)
        .unwrap_or(&seen.path)
        .to_owned();
    if seen.folder {
        // Files may have been put into it before the system watched it; give them time.
        later.add(
            gateway,
            Seen {
                folder: false,
                ..seen
            },
        );
        return;
    }
    if seen.path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
        look_below(gateway, bucket, relative, later).await;
        return;
    }
    let Some(key) = key_of(&relative).and_then(|key| ObjectKey::parse(key).ok()) else {
        return;
    };
    match bucket.settle_key(&key, &Channel::Watcher).await {
        Ok(recorded) => tracing::debug!(bucket = %bucket.name, %key, recorded, "saw a file change"),
        Err(StoreError::Changing) => later.add(gateway, seen),
        Err(error) => {
            tracing::warn!(bucket = %bucket.name, %key, %error, "a file could not be recorded; it will be tried again");
            later.add(gateway, seen);
        }
    }
}

async fn look_below(gateway: &Gateway, bucket: &Arc<Bucket>, relative: PathBuf, later: &mut Later) {
    let path = bucket.root.join(&relative);
    match bucket
        .rescan_below(relative, gateway.limits.settle_after)
        .await
    {
        Ok(report) if report.unsettled == 0 && report.failed.is_empty() => {}
        Ok(_) => later.add(
            gateway,
            Seen {
                path,
                folder: false,
            },
        ),
        Err(error) => tracing::warn!(bucket = %bucket.name, %error, "a folder could not be listed"),
    }
}

async fn list(gateway: &Gateway, missed: &AtomicBool, later: &mut Later) {
    missed.store(false, Ordering::Release);
    match gateway.rescan().await {
        Ok(report) => {
            if report.unsettled > 0 {
                for bucket in gateway.buckets.values() {
                    let path: &Path = &bucket.root;
                    later.add(
                        gateway,
                        Seen {
                            path: path.to_owned(),
                            folder: false,
                        },
                    );
                }
            }
            for failure in &report.failed {
                tracing::warn!(failure, "left for the next listing");
            }
        }
        Err(error) => tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the folders could not be listed"
        ),
    }
}

/// Paths to look at again once they had time to settle.
#[derive(Debug, Default)]
struct Later {
    paths: HashSet<Seen>,
    at: Option<Instant>,
}

impl Later {
    fn add(&mut self, gateway: &Gateway, seen: Seen) {
        if self.paths.len() < gateway.limits.watch_queue {
            self.paths.insert(seen);
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

    fn take(&mut self) -> HashSet<Seen> {
        self.at = None;
        std::mem::take(&mut self.paths)
    }
}
