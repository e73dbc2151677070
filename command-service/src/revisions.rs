//! Keeps what runs here and what the ledger knows as the current code the same, in both directions.
//!
//! ```text
//!  code folder changed ─ settled ─> pack ─> blob store ─> FunctionRevised ─> FunctionHost
//!  FunctionRevised by another process ─> blob store ─ unpack ──────────────> FunctionHost
//!                                                         └─> what this worker offers
//! ```
//!
//! The folders are looked at again and again rather than watched: that sees what an editor, an
//! `rsync` and a mount of another machine do alike. A change counts once two looks in a row saw the
//! same. Code that cannot run is reported, and what ran before goes on.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use daybook_domain::FunctionName;
use daybook_domain::execution::CodeRevision;
use daybook_domain::function::{self, Function, FunctionSettings};
use daybook_event_store::blobs::BlobRef;
use daybook_functions::{Fingerprint, FunctionHost, FunctionSpec, Runtime};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::commands::Ledger;
use crate::publish::{PublishError, Running, fingerprint_of, publish_function};

/// How long to wait before a revision that could not be had is asked for again.
const FETCH_PAUSE: Duration = Duration::from_secs(15);

/// Why newer code of a function does not run here, by function.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rejections(Arc<Mutex<HashMap<FunctionName, String>>>);

impl Rejections {
    /// Why newer code of this function does not run here, if there is any.
    pub(crate) fn of(&self, function: &FunctionName) -> Option<String> {
        let rejected = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rejected.get(function).cloned()
    }

    fn set(&self, function: &FunctionName, why: Option<String>) {
        let mut rejected = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match why {
            Some(why) => rejected.insert(function.clone(), why),
            None => rejected.remove(function),
        };
    }
}

/// What runs here, and how to come by something newer.
pub(crate) struct Revisions {
    ledger: Ledger,
    host: Arc<FunctionHost>,
    watched: Vec<Watched>,
    rejections: Rejections,
    /// Whoever changed a folder is not known: this names the machine.
    actor: String,
    rescan: Duration,
    offered: watch::Sender<BTreeMap<FunctionName, String>>,
}

struct Watched {
    running: Running,
    /// What the last look saw, where that was not what was packed.
    seen: Option<Fingerprint>,
    /// When a revision that could not be had is asked for again.
    not_before: Option<Instant>,
}

impl Revisions {
    pub(crate) fn new(
        ledger: Ledger,
        host: Arc<FunctionHost>,
        running: Vec<Running>,
        actor: String,
        rescan: Duration,
    ) -> Self {
        let offered = offer(running.iter());
        let watched = running.into_iter().map(|running| Watched {
            running,
            seen: None,
            not_before: None,
        });
        Self {
            ledger,
            host,
            watched: watched.collect(),
            rejections: Rejections::default(),
            actor,
            rescan,
            offered: watch::Sender::new(offered),
        }
    }

    /// What this process can run, as it changes.
    pub(crate) fn offered(&self) -> watch::Receiver<BTreeMap<FunctionName, String>> {
        self.offered.subscribe()
    }

    /// Why newer code does not run here.
    pub(crate) fn rejections(&self) -> Rejections {
        self.rejections.clone()
    }

    /// Goes on until the shutdown. `known` is what the log says of the functions.
    pub(crate) async fn run(
        mut self,
        mut known: watch::Receiver<BTreeMap<FunctionName, Function>>,
        shutdown: CancellationToken,
    ) {
        let mut ticks = tokio::time::interval(self.rescan);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => self.look().await,
                changed = known.changed() => if changed.is_err() { return },
            }
            let functions = known.borrow_and_update().clone();
            self.follow(&functions).await;
        }
    }

    /// Looks at all folders, and publishes what was changed and has settled.
    async fn look(&mut self) {
        for index in 0..self.watched.len() {
            let watched = &mut self.watched[index];
            if !watched.running.spec.runtime.has_folder() {
                continue;
            }
            // A folder that is not there is in the midst of being replaced.
            let Some(now) = fingerprint_of(&watched.running.spec).await else {
                watched.seen = None;
                continue;
            };
            if watched.running.packed.as_ref() == Some(&now) {
                watched.seen = None;
            } else if watched.seen.as_ref() != Some(&now) {
                watched.seen = Some(now);
            } else {
                self.publish(index, now).await;
            }
        }
    }

    async fn publish(&mut self, index: usize, now: Fingerprint) {
        let before = &self.watched[index].running;
        let (spec, code) = (before.spec.clone(), before.code.clone());
        let (name, sha256) = (spec.name.clone(), before.folder_sha256.clone());
        let (ledger, host) = (&self.ledger, &self.host);
        let published = publish_function(ledger, host, spec, &self.actor, Some(&sha256)).await;
        let watched = &mut self.watched[index];
        match published {
            // Touched, and not changed; or changed back from what could not run.
            Ok(None) => {
                watched.running.packed = Some(now);
                self.rejections.set(&name, None);
            }
            Ok(Some(running)) => {
                tracing::info!(function = %name, revision = running.code.revision, "the code was changed: a new revision runs");
                self.rejections.set(&name, None);
                watched.running = running;
            }
            Err(error) => {
                // Only another change could make it run; the ledger may be there again later.
                if matches!(error, PublishError::Function(_)) {
                    watched.running.packed = Some(now);
                }
                let why = in_words(&error);
                tracing::error!(function = %name, error = why, revision = code.revision, "the changed code does not run; the revision before it goes on");
                self.rejections.set(&name, Some(why));
            }
        }
        watched.seen = None;
        self.offer();
    }

    /// Runs what other processes have published since.
    async fn follow(&mut self, known: &BTreeMap<FunctionName, Function>) {
        for watched in &mut self.watched {
            let running = &mut watched.running;
            let name = running.spec.name.clone();
            let Some((current, settings)) = known.get(&name).and_then(newest) else {
                continue;
            };
            let waits = watched.not_before.is_some_and(|it| Instant::now() < it);
            if current.revision <= running.code.revision || waits {
                continue;
            }
            match fetch(&self.ledger, &self.host, &running.spec, current, settings).await {
                Ok(()) => {
                    tracing::info!(function = %name, revision = current.revision, "another process changed the code: its revision runs");
                    running.code = current.clone();
                    watched.not_before = None;
                    self.rejections.set(&name, None);
                }
                Err(why) => {
                    tracing::error!(function = %name, error = why, revision = current.revision, "the new revision cannot run here; its tasks are left to others");
                    self.rejections.set(&name, Some(why));
                    watched.not_before = Some(Instant::now() + FETCH_PAUSE);
                }
            }
        }
        self.offer();
    }

    fn offer(&self) {
        let functions = offer(self.watched.iter().map(|watched| &watched.running));
        self.offered.send_if_modified(|offered| {
            let changed = *offered != functions;
            *offered = functions;
            changed
        });
    }
}

fn newest(function: &Function) -> Option<(&CodeRevision, &FunctionSettings)> {
    function.current.as_ref().zip(function.settings.as_ref())
}

fn offer<'a>(running: impl Iterator<Item = &'a Running>) -> BTreeMap<FunctionName, String> {
    running
        .map(|running| (running.spec.name.clone(), running.code.sha256.clone()))
        .collect()
}

/// Has a recorded revision run here: its package comes from the blob store, how it is run from the
/// ledger, all else from the config of this process.
async fn fetch(
    ledger: &Ledger,
    host: &FunctionHost,
    spec: &FunctionSpec,
    code: &CodeRevision,
    settings: &FunctionSettings,
) -> Result<(), String> {
    let runtime: Runtime = settings
        .runtime
        .parse()
        .map_err(|error| format!("{error}"))?;
    if !runtime.has_folder() {
        let why = match runtime {
            Runtime::Builtin => "it is part of another program; install that version here",
            _ => "it runs elsewhere, as the config of another process says; give this one the same",
        };
        return Err(why.to_owned());
    }
    let spec = FunctionSpec {
        runtime,
        handler: settings.handler.clone(),
        timeout: Duration::from_millis(settings.timeout_ms),
        memory_bytes: settings.memory_bytes,
        ..spec.clone()
    };
    let stream = function::stream_of(&spec.name);
    let recorded: Option<Function> = ledger.load(&stream).await.map_err(|it| in_words(&it))?;
    let package = BlobRef {
        sha256: code.sha256.clone(),
        size: recorded.map_or(0, |function| function.package_bytes),
        passing: false,
    };
    let archive = ledger
        .blobs()
        .get(&package)
        .await
        .map_err(|it| in_words(&it))?;
    let prepared = host
        .prepare_package(spec, archive, &code.sha256)
        .await
        .map_err(|it| in_words(&it))?;
    host.install(prepared, Some(code.clone()));
    Ok(())
}

/// An error with what led to it.
fn in_words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        words.push_str(": ");
        words.push_str(&source.to_string());
        next = source.source();
    }
    words
}
