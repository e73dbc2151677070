//! One go at a reconcile, from its last recorded progress to its end.
//!
//! Keys that are equal are counted at once. Those that are to be looked at again wait in a queue, in
//! order, and are settled some at a time. A progress names a key up to which everything is settled:
//! it is marked when the comparison passes the key, and recorded when the queue has.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use daybook_domain::reconcile::{
    Counts, Finding, Reconcile, ReconcileCommand, ReconcilePhase, ReconcileStarted, Source,
    stream_of,
};
use daybook_domain::{ObjectKey, ReconcileId};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::backfill::{self, Backfill};
use super::known::{KnownKeys, all_versions};
use super::live::Live;
use super::merge::{Merge, Pair};
use super::pace::Pace;
use super::settling::{Compared, Settled};
use super::{Problem, Tools};
use crate::commands::CommandError;

/// About how many bytes of keys the findings of one event have at most: an event is one body.
const FINDING_BYTES_AT_ONCE: usize = 256 * 1024;

/// After how many keys it is told how far it is.
const TELL_EVERY: u64 = 1_000;

/// Compares what is left. `Ok` means that it is over.
pub(super) async fn go_on(tools: &Tools, id: ReconcileId) -> Result<(), Problem> {
    let reconcile = tools.ledger.read::<Reconcile>(&stream_of(id)).await;
    let reconcile = reconcile.map_err(Problem::command)?;
    let Some(reconcile) = reconcile.filter(|it| it.phase == Some(ReconcilePhase::Running)) else {
        return Ok(());
    };
    let Some(asked) = reconcile.started else {
        return Ok(());
    };
    let after = reconcile.key;
    if !asked.dry_run && after.is_none() {
        // What was put there by hand a moment ago needs no finding.
        tools.buckets.settle_by_hand(&asked.bucket).await?;
    }
    let backfill = backfill::asked_for(&tools.ledger, &asked).await?;
    // The ledger first: what is written after it was read is found by looking again.
    let (bucket, prefix) = (&asked.bucket, asked.prefix.as_str());
    let known = KnownKeys::begin(&tools.ledger, id, bucket, prefix, after.as_ref()).await?;
    tracing::info!(reconcile = %id, %bucket, position = known.head().0, "a reconcile goes on");
    let merge = match &asked.source {
        Source::Listing => {
            let survey = tools.buckets.survey(bucket, prefix, after.as_ref())?;
            Merge::new(survey, known)
        }
        Source::Inventory { manifest } => {
            let report = tools.buckets.report(&asked, manifest, after.as_ref());
            Merge::new(report.await?, known)
        }
    };
    let run = Run {
        // In folders, who writes has the key locked until the ledger has the write.
        grace: match tools.buckets.locks_keys(bucket) {
            true => Duration::ZERO,
            false => tools.limits.grace,
        },
        pace: Pace::new(asked.rate),
        tools: tools.clone(),
        asked: Arc::new(asked),
        backfill: backfill.map(Arc::new),
        counts: reconcile.counts,
        findings: Vec::new(),
        waiting: VecDeque::new(),
        mark: None,
        progressed: Instant::now(),
        compared: 0,
    };
    run.finish(merge).await
}

struct Run {
    tools: Tools,
    asked: Arc<ReconcileStarted>,
    backfill: Option<Arc<Backfill>>,
    grace: Duration,
    pace: Pace,
    counts: Counts,
    /// What was found behind the mark, or since the last progress where there is none.
    findings: Vec<Finding>,
    waiting: VecDeque<Waiting>,
    mark: Option<Mark>,
    progressed: Instant,
    compared: u64,
}

/// A key that is to be looked at again.
struct Waiting {
    key: ObjectKey,
    since: Instant,
    why: Why,
}

#[derive(Clone, Copy)]
enum Why {
    /// It seems to differ.
    Differs { ours: bool },
    /// It is equal, and the pipeline may never have run for it.
    Unprocessed,
}

/// A progress that can be recorded once so many keys that wait are settled.
struct Mark {
    key: ObjectKey,
    counts: Counts,
    findings: Vec<Finding>,
    left: usize,
}

impl Run {
    async fn finish(mut self, mut merge: Merge) -> Result<(), Problem> {
        while let Some(pair) = merge.next().await? {
            if let Some(due) = self.pace.count() {
                tokio::time::sleep_until(due).await;
            }
            let key = pair.key.clone();
            self.compare(pair).await?;
            self.settle_due().await?;
            self.mark(&key);
            self.record_mark().await?;
            self.compared += 1;
            if self.compared.is_multiple_of(TELL_EVERY) {
                self.tell(&key);
            }
        }
        while !self.waiting.is_empty() {
            self.settle_some().await?;
            self.record_mark().await?;
        }
        self.complete().await
    }

    async fn compare(&mut self, pair: Pair) -> Result<(), Problem> {
        let Pair {
            key,
            listed,
            state,
            ours,
        } = pair;
        let mut compared = Compared::of(&self.asked, &key, &state, &listed, &[]);
        if !compared.differences.is_empty() && state.has_forgotten() {
            let older = all_versions(&self.tools.ledger, &self.asked.bucket, &key).await?;
            compared = Compared::of(&self.asked, &key, &state, &listed, &older);
        }
        if ours || !compared.differences.is_empty() {
            self.wait(key, Why::Differs { ours });
            return Ok(());
        }
        let object = state.object();
        let versions = listed.len() as u64;
        self.counts.keys += u64::from(versions > 0 || object.is_some());
        self.counts.versions += versions;
        self.counts.accounted += versions - compared.filtered;
        self.counts.filtered += compared.filtered;
        let wanted = |backfill: &Backfill| {
            let mut triggers = backfill.pipeline.triggers.iter();
            triggers.any(|trigger| trigger.matches(&self.asked.bucket, &key))
        };
        if object.is_some() && self.backfill.as_deref().is_some_and(wanted) {
            self.wait(key, Why::Unprocessed);
        }
        Ok(())
    }

    fn wait(&mut self, key: ObjectKey, why: Why) {
        self.waiting.push_back(Waiting {
            key,
            since: Instant::now(),
            why,
        });
    }

    /// Settles what may be settled without waiting, once it is enough; and more where too much
    /// waits.
    async fn settle_due(&mut self) -> Result<(), Problem> {
        loop {
            let Some(first) = self.waiting.front() else {
                return Ok(());
            };
            let ready = first.since.elapsed() >= self.grace;
            let enough = self.waiting.len() >= self.tools.limits.keys_at_once;
            let marked = self.mark.is_some();
            if !(ready && (enough || marked)) && self.waiting.len() < self.tools.limits.keys_waiting
            {
                return Ok(());
            }
            self.settle_some().await?;
        }
    }

    /// Settles the next keys, and waits before until that may be done.
    async fn settle_some(&mut self) -> Result<(), Problem> {
        let mut settling = JoinSet::new();
        let mut place = 0;
        while place < self.tools.limits.keys_at_once {
            let Some(next) = self.waiting.pop_front() else {
                break;
            };
            let (tools, asked) = (self.tools.clone(), self.asked.clone());
            let (backfill, grace) = (self.backfill.clone(), self.grace);
            settling.spawn(async move {
                let Waiting { key, since, why } = next;
                let settled = match why {
                    Why::Differs { ours } => {
                        tokio::time::sleep_until(since + grace).await;
                        tools.settle(&asked, &key, ours).await
                    }
                    Why::Unprocessed => match backfill {
                        Some(backfill) => tools.backfill(&asked, &backfill, &key).await,
                        None => Ok(Settled::default()),
                    },
                };
                settled.map(|settled| (place, settled))
            });
            place += 1;
        }
        let mut done = Vec::with_capacity(place);
        while let Some(settled) = settling.join_next().await {
            done.push(settled.map_err(Problem::unavailable)??);
        }
        // In the order of keys, since a progress names one.
        done.sort_unstable_by_key(|(place, _)| *place);
        for (_, settled) in done {
            self.add(settled);
        }
        Ok(())
    }

    fn add(&mut self, settled: Settled) {
        add(&mut self.counts, &settled.counts);
        match self.mark.as_mut().filter(|mark| mark.left > 0) {
            Some(mark) => {
                mark.left -= 1;
                add(&mut mark.counts, &settled.counts);
                mark.findings.extend(settled.findings);
            }
            None => self.findings.extend(settled.findings),
        }
    }

    /// Marks a key up to which all is compared, if progress is due.
    fn mark(&mut self, key: &ObjectKey) {
        let due =
            self.progressed.elapsed() >= self.tools.limits.progress_every || self.has_much_to_say();
        if due && self.mark.is_none() {
            self.mark = Some(Mark {
                key: key.clone(),
                counts: self.counts,
                findings: std::mem::take(&mut self.findings),
                left: self.waiting.len(),
            });
        }
    }

    fn has_much_to_say(&self) -> bool {
        let bytes = || self.findings.iter().map(|it| it.key.as_str().len());
        self.findings.len() >= self.tools.limits.findings_at_once
            || self.findings.len() > FINDING_BYTES_AT_ONCE / 1_024
                && bytes().sum::<usize>() >= FINDING_BYTES_AT_ONCE
    }

    /// Records what was marked, if all before it is settled.
    async fn record_mark(&mut self) -> Result<(), Problem> {
        let Some(mark) = self.mark.take_if(|mark| mark.left == 0) else {
            return Ok(());
        };
        self.progressed = Instant::now();
        let purpose = format!("progress {}", mark.key);
        let progress = ReconcileCommand::Progress {
            key: mark.key,
            counts: mark.counts,
            findings: mark.findings,
        };
        self.command(progress, purpose.as_bytes()).await
    }

    async fn complete(mut self) -> Result<(), Problem> {
        let position = self.tools.ledger.log().head().await?.0;
        let complete = ReconcileCommand::Complete {
            counts: self.counts,
            findings: std::mem::take(&mut self.findings),
            position,
        };
        self.command(complete, b"complete").await
    }

    async fn command(&self, command: ReconcileCommand, purpose: &[u8]) -> Result<(), Problem> {
        let id = self.asked.reconcile;
        match self.tools.command(id, command, purpose).await {
            Ok(_) => Ok(()),
            // Somebody cancelled or paused it meanwhile.
            Err(CommandError::Refused(_)) => Err(Problem::Stopped),
            Err(error) => Err(Problem::command(error)),
        }
    }

    fn tell(&self, key: &ObjectKey) {
        let live = Live {
            key: Some(key.to_string()),
            counts: self.counts,
        };
        self.tools.live.tell(self.asked.reconcile, live);
    }
}

fn add(counts: &mut Counts, more: &Counts) {
    let Counts {
        keys,
        versions,
        accounted,
        missing,
        gone,
        changed,
        recorded,
        filtered,
        unsettled,
        unprocessed,
        started,
    } = counts;
    *keys += more.keys;
    *versions += more.versions;
    *accounted += more.accounted;
    *missing += more.missing;
    *gone += more.gone;
    *changed += more.changed;
    *recorded += more.recorded;
    *filtered += more.filtered;
    *unsettled += more.unsettled;
    *unprocessed += more.unprocessed;
    *started += more.started;
}
