//! Writing to a journal together: those who come while a frame is written share the next one, as
//! those who sync a folder do ([`crate::local::dir_syncs`]). Called on blocking threads.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Condvar, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use uuid::Uuid;

use super::format::{Frame, HEADER_BYTES};
use super::segment::Segment;
use super::{End, Inner, Ticket, locked};
use crate::clock;
use crate::local::durable;

/// The segments of one process: one is written while the other waits for its checkpoint.
const SEGMENTS: usize = 2;

/// What is written at once at most, unless a single record is larger.
const MAX_FRAME_BYTES: u64 = 1 << 20;

/// Who writes what to where.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Whether a frame is being written.
    pub(super) writing: bool,
    /// What those wait for who came since that one began.
    pub(super) next: Option<Next>,
    pub(super) active: Option<Used>,
    /// Those that wait for their checkpoint, and those whose checkpoint failed.
    pub(super) full: Vec<Used>,
    pub(super) spare: Vec<Arc<Segment>>,
    /// Nothing goes into the journal any more, since a checkpoint failed.
    pub(super) broken: bool,
    /// After a segment could not be made or written none is begun before then.
    pub(super) none_before: Option<Instant>,
    pub(super) end: End,
}

/// A segment with something in it.
#[derive(Debug)]
pub(super) struct Used {
    pub(super) segment: Arc<Segment>,
    /// When the first record was written to it.
    pub(super) since: Instant,
    /// Writers that have their record in it, and whose object may not have its name yet.
    pub(super) underway: usize,
    /// The stamps of what is in it.
    pub(super) holds: HashSet<Uuid>,
    /// Whether its checkpoint failed.
    pub(super) failed: bool,
}

/// The frame that is being put together.
#[derive(Debug)]
pub(super) struct Next {
    turn: Arc<Turn>,
    frame: Frame,
    /// One for each who has a record in it.
    stamps: Vec<Uuid>,
}

/// One write, for all who have a record in it.
#[derive(Debug, Default)]
struct Turn {
    /// Where it went; `None` if it did not.
    written: OnceLock<Option<Arc<Segment>>>,
    ended: Condvar,
}

impl Inner {
    /// Has a record on disk. `None` if it could not be written.
    pub(super) fn append(self: &Arc<Self>, record: &[u8], stamp: Uuid) -> Option<Ticket> {
        let most = MAX_FRAME_BYTES.min(self.limits.segment.saturating_sub(HEADER_BYTES));
        let mut state = self.state();
        loop {
            if state.broken || state.end != End::NotYet {
                return None;
            }
            let too_long = |next: &Next| next.frame.len_with(record) > most;
            if !state.next.as_ref().is_some_and(too_long) {
                break;
            }
            state = self
                .taken
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let next = state.next.get_or_insert_with(Next::new);
        next.frame.push(record);
        next.stamps.push(stamp);
        let turn = Arc::clone(&next.turn);
        loop {
            if let Some(written) = turn.written.get() {
                return written.clone().map(|segment| Ticket {
                    inner: Arc::clone(self),
                    segment,
                });
            }
            if state.writing {
                state = turn
                    .ended
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            // Not yet begun, so it is still the next one.
            if let Some(next) = state.next.take() {
                state.writing = true;
                self.taken.notify_all();
                state = self.write(state, next);
                state.writing = false;
                // Who writes the next frame comes before those who are done: the disk is idle.
                if let Some(next) = &state.next {
                    next.turn.ended.notify_one();
                }
                turn.ended.notify_all();
                if state.end != End::NotYet {
                    self.due.notify_all();
                }
            }
        }
    }

    /// Writes a frame, and notes for all who have a record in it where it went.
    fn write<'a>(&'a self, mut state: MutexGuard<'a, State>, next: Next) -> MutexGuard<'a, State> {
        let Next {
            turn,
            frame,
            stamps,
        } = next;
        let members = stamps.len();
        let mut segment = self.room(&mut state, frame.len());
        if segment.is_none() && state.may_make() {
            drop(state);
            let made = self.make();
            state = self.state();
            match made {
                Ok(made) if state.broken => state.spare.push(Arc::new(made)),
                Ok(made) => segment = Some(Arc::new(made)),
                Err(error) => {
                    tracing::warn!(root = %self.root.display(), %error, "the journal gets no segment; objects are synced one by one for a while");
                    state.none_before = Some(Instant::now() + self.limits.flush_every);
                }
            }
        }
        let mut written = None;
        if let Some(segment) = segment {
            if state.use_for(&segment, stamps) {
                self.due.notify_all();
            }
            drop(state);
            let appended = segment.append(frame);
            state = self.state();
            match appended {
                Ok(()) => written = Some(segment),
                Err(error) => {
                    tracing::warn!(root = %self.root.display(), %error, "the journal cannot be written; objects are synced one by one for a while");
                    state.leave(&segment, members);
                    // What is in it from before counts. It is not written to again before its
                    // checkpoint.
                    state.retire();
                    state.none_before = Some(Instant::now() + self.limits.flush_every);
                    self.due.notify_all();
                }
            }
        }
        let _ = turn.written.set(written);
        state
    }

    /// A segment with so much room: the active one, or one that waits to be used.
    fn room(&self, state: &mut State, length: u64) -> Option<Arc<Segment>> {
        if let Some(active) = &state.active {
            if active.segment.room() >= length {
                return Some(Arc::clone(&active.segment));
            }
            state.retire();
            self.due.notify_all();
        }
        match state.rests() {
            true => None,
            false => state.spare.pop(),
        }
    }

    fn make(&self) -> io::Result<Segment> {
        let boot = self.boot.ok_or(io::ErrorKind::Unsupported)?;
        let folder = self.folder();
        durable::create_dirs(&self.root, &folder)?;
        let id = clock::random_id().simple().to_string();
        locked(&self.own).insert(id.clone());
        let made = Segment::create(&folder, id.clone(), &self.lock, boot, self.limits.segment);
        if made.is_err() {
            locked(&self.own).remove(&id);
        }
        made
    }
}

impl State {
    /// Whether no segment is begun for now.
    fn rests(&self) -> bool {
        self.broken || self.none_before.is_some_and(|then| Instant::now() < then)
    }

    fn may_make(&self) -> bool {
        !self.rests() && self.active.iter().len() + self.full.len() + self.spare.len() < SEGMENTS
    }

    /// Notes who has a record in the segment, which is the active one from now on. Returns whether
    /// it was not before.
    fn use_for(&mut self, segment: &Arc<Segment>, stamps: Vec<Uuid>) -> bool {
        let begins = self.active.is_none();
        let used = self.active.get_or_insert_with(|| Used {
            segment: Arc::clone(segment),
            since: Instant::now(),
            underway: 0,
            holds: HashSet::new(),
            failed: false,
        });
        used.underway += stamps.len();
        used.holds.extend(stamps);
        begins
    }

    /// Notes that so many are done with the segment. Returns whether its checkpoint waits for
    /// nobody else.
    pub(super) fn leave(&mut self, segment: &Arc<Segment>, members: usize) -> bool {
        let same = |used: &&mut Used| Arc::ptr_eq(&used.segment, segment);
        if let Some(used) = self.active.as_mut().filter(same) {
            used.underway = used.underway.saturating_sub(members);
            return false;
        }
        let used = self.full.iter_mut().find(same);
        used.is_some_and(|used| {
            used.underway = used.underway.saturating_sub(members);
            used.underway == 0
        })
    }

    /// Leaves the active segment to its checkpoint.
    pub(super) fn retire(&mut self) {
        self.full.extend(self.active.take());
    }
}

impl Next {
    fn new() -> Self {
        Self {
            turn: Arc::default(),
            frame: Frame::new(),
            stamps: Vec::new(),
        }
    }
}
