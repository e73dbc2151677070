//! Copying a whole log into another one, whatever the two engines are, with a proof at the end.
//!
//! ```text
//!  source ── read_all ──> page ── import ──> target
//!     └──────── read back: count, head, one hash ────────┘  equal?
//! ```
//! A copy that was interrupted goes on where the target ends, after the first and the last event
//! there have been found equal to the source's; the proof covers the rest. Events that the source
//! takes meanwhile are copied as well, until nothing is left. That is a copy of a moving thing: to
//! move a ledger, stop what writes to the source first, or what is appended between the last look
//! and the switch stays behind. Nobody else may append to the target.

use serde::Serialize;
use thiserror::Error;

use crate::envelope::EnvelopeHash;
use crate::pages::{PageLimits, Pages, Progress, Step, weight};
use crate::{AppendError, EventLog, Position, ReadError, RecordedEvent};

/// One end of a copy.
#[derive(Clone, Copy)]
pub struct End<'a> {
    /// The log.
    pub log: &'a dyn EventLog,
    /// Whether its engine leaves no gaps between positions. Events get new positions if they must.
    pub contiguous: bool,
}

/// What a copy came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CopyReport {
    /// How many events were there before.
    pub resumed_after: u64,
    /// How many this copy added.
    pub copied: u64,
    /// What the source holds, up to where it was copied.
    pub source: Summary,
    /// What the target holds, read back.
    pub target: Summary,
    /// Whether both hold the same.
    pub equal: bool,
}

/// All that a log holds, in three figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// How many events.
    pub events: u64,
    /// The position of the last one.
    pub head: Position,
    /// The hash over all envelopes; see [`EnvelopeHash`].
    pub sha256: String,
}

/// Why a copy did not come to its end. What was copied stays; started again, it goes on there.
#[derive(Debug, Error)]
pub enum CopyError {
    /// The source cannot be read. Mend it, or have it checked (`daybook log check`).
    #[error("the source cannot be read")]
    Source(#[source] ReadError),
    /// The target cannot be read.
    #[error("the target cannot be read")]
    Target(#[source] ReadError),
    /// The target did not take the events.
    #[error("the target does not take the event at position {position} or one after it")]
    Import {
        /// The position in the source of the first event that was not taken.
        position: Position,
        /// What it said.
        #[source]
        source: AppendError,
    },
    /// An event is missing in the source. Have it checked (`daybook log check`).
    #[error("the source has no event at position {0}; it is damaged")]
    Gap(Position),
    /// The target is no beginning of a copy of this source. Copy into an empty log.
    #[error("the target holds something else: {0}; copy into an empty log")]
    OtherContent(String),
}

/// Copies what the target lacks, then proves that both are equal.
pub async fn copy(
    source: End<'_>,
    target: End<'_>,
    limits: PageLimits,
    mut progress: impl FnMut(&Progress),
) -> Result<CopyReport, CopyError> {
    let start = resume(source, target, limits).await?;
    let mut at = start;
    loop {
        let head = source.log.head().await.map_err(CopyError::Source)?;
        if head <= at.position {
            break;
        }
        at = copy_up_to(source, target, at, head, limits, &mut progress).await?;
    }
    let step = Step::ReadingSource;
    let source_summary = summarise(source.log, at.position, limits, step, &mut progress)
        .await
        .map_err(CopyError::Source)?;
    let head = target.log.head().await.map_err(CopyError::Target)?;
    let step = Step::ReadingTarget;
    let target_summary = summarise(target.log, head, limits, step, &mut progress)
        .await
        .map_err(CopyError::Target)?;
    let same_heads = source_summary.head == target_summary.head;
    let comparable = source.contiguous && target.contiguous;
    Ok(CopyReport {
        resumed_after: start.events,
        copied: at.events - start.events,
        equal: source_summary.events == target_summary.events
            && source_summary.sha256 == target_summary.sha256
            && (same_heads || !comparable),
        source: source_summary,
        target: target_summary,
    })
}

/// What the log holds up to a position.
async fn summarise(
    log: &dyn EventLog,
    head: Position,
    limits: PageLimits,
    step: Step,
    progress: &mut impl FnMut(&Progress),
) -> Result<Summary, ReadError> {
    let mut hash = EnvelopeHash::default();
    let mut last = Position::START;
    let mut pages = Pages::new(log, Position::START, head, limits, step);
    while let Some(events) = pages.next().await? {
        for event in &events {
            hash.add(event);
            last = event.position;
        }
        progress(pages.progress());
    }
    Ok(Summary {
        events: hash.events(),
        head: last,
        sha256: hash.to_hex(),
    })
}

/// How far a copy is: how many events, and the position of the last one in the source.
#[derive(Clone, Copy)]
struct At {
    events: u64,
    position: Position,
}

/// Where the copy goes on: behind what the target has, which has to be what the source begins with.
async fn resume(source: End<'_>, target: End<'_>, limits: PageLimits) -> Result<At, CopyError> {
    let there = target.log.head().await.map_err(CopyError::Target)?;
    let Some((events, last)) = nth(target, there, None, limits)
        .await
        .map_err(CopyError::Target)?
    else {
        return Ok(At {
            events: 0,
            position: Position::START,
        });
    };
    agree(source, 1, &first(target).await?, limits).await?;
    let position = agree(source, events, &Some(last), limits).await?;
    Ok(At { events, position })
}

/// The source's position of the event with this ordinal, which has to be the one found.
async fn agree(
    source: End<'_>,
    ordinal: u64,
    found: &Option<RecordedEvent>,
    limits: PageLimits,
) -> Result<Position, CopyError> {
    let head = source.log.head().await.map_err(CopyError::Source)?;
    let reached = nth(source, head, Some(ordinal), limits).await;
    let reached = reached.map_err(CopyError::Source)?;
    let Some((_, expected)) = reached.filter(|(reached, _)| *reached == ordinal) else {
        return Err(CopyError::OtherContent(format!(
            "it has {ordinal} events, more than the source"
        )));
    };
    if !found.as_ref().is_some_and(|found| same(found, &expected)) {
        return Err(CopyError::OtherContent(format!(
            "its event {ordinal} is not the one of the source, {} of stream {}",
            expected.event_type, expected.stream
        )));
    }
    Ok(expected.position)
}

async fn first(target: End<'_>) -> Result<Option<RecordedEvent>, CopyError> {
    let page = target.log.read_all(Position::START, 1).await;
    Ok(page.map_err(CopyError::Target)?.into_iter().next())
}

/// The event with this ordinal (from 1) and the ordinal; the last one up to the head if that is
/// none or less. Where positions have gaps, the events before it have to be counted.
async fn nth(
    end: End<'_>,
    head: Position,
    ordinal: Option<u64>,
    limits: PageLimits,
) -> Result<Option<(u64, RecordedEvent)>, ReadError> {
    if end.contiguous {
        let ordinal = ordinal.unwrap_or(head.0).min(head.0);
        let Some(before) = ordinal.checked_sub(1) else {
            return Ok(None);
        };
        let page = end.log.read_all(Position(before), 1).await?;
        return Ok(page.into_iter().next().map(|event| (ordinal, event)));
    }
    let mut last = None;
    let mut count = 0;
    let mut pages = Pages::new(end.log, Position::START, head, limits, Step::Copying);
    while let Some(events) = pages.next().await? {
        for event in events {
            count += 1;
            last = Some((count, event));
            if Some(count) == ordinal {
                return Ok(last);
            }
        }
    }
    Ok(last)
}

/// Whether two logs hold the same event, wherever it is in them.
fn same(one: &RecordedEvent, other: &RecordedEvent) -> bool {
    let there = RecordedEvent {
        position: other.position,
        ..one.clone()
    };
    there == *other
}

/// Copies up to a position; the next page is read while the last one is written.
async fn copy_up_to(
    source: End<'_>,
    target: End<'_>,
    mut at: At,
    head: Position,
    limits: PageLimits,
    progress: &mut impl FnMut(&Progress),
) -> Result<At, CopyError> {
    let mut pages = Pages::new(source.log, at.position, head, limits, Step::Copying);
    let mut page = pages.next().await.map_err(CopyError::Source)?;
    while let Some(events) = page {
        let done = *pages.progress();
        let (next, imported) =
            futures::join!(pages.next(), import(source, target, at, events, limits));
        at = imported?;
        progress(&done);
        page = next.map_err(CopyError::Source)?;
    }
    if source.contiguous && at.position != head {
        return Err(CopyError::Gap(Position(at.position.0 + 1)));
    }
    at.position = head;
    Ok(at)
}

/// Hands one page over, in batches of bounded weight.
async fn import(
    source: End<'_>,
    target: End<'_>,
    mut at: At,
    events: Vec<RecordedEvent>,
    limits: PageLimits,
) -> Result<At, CopyError> {
    let mut batch = Vec::with_capacity(events.len());
    let mut bytes = 0;
    let mut first = at.position;
    for mut event in events {
        if source.contiguous && event.position.0 != at.position.0 + 1 {
            return Err(CopyError::Gap(Position(at.position.0 + 1)));
        }
        let weight = weight(&event);
        if !batch.is_empty() && bytes + weight > limits.target_bytes {
            hand_over(target, first, std::mem::take(&mut batch)).await?;
            bytes = 0;
        }
        at.events += 1;
        at.position = event.position;
        event.position = Position(at.events);
        if batch.is_empty() {
            first = at.position;
        }
        bytes += weight;
        batch.push(event);
    }
    if !batch.is_empty() {
        hand_over(target, first, batch).await?;
    }
    Ok(at)
}

async fn hand_over(
    target: End<'_>,
    first: Position,
    batch: Vec<RecordedEvent>,
) -> Result<(), CopyError> {
    let imported = target.log.import(batch).await;
    let failed = |source| CopyError::Import {
        position: first,
        source,
    };
    imported.map(|_| ()).map_err(failed)
}

#[cfg(test)]
mod tests;
