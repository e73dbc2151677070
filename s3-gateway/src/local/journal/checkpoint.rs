//! Bringing to the disk what is in the journal, so that it can begin anew. On a thread of its own.

use std::fs;
use std::io;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use super::group::{State, Used};
use super::segment::Segment;
use super::{End, Inner, locked};
use crate::local::durable;

/// What there is to do.
enum Due {
    Checkpoint(Arc<Segment>),
    /// Nothing before so much time is over, if anything.
    Later(Option<Duration>),
}

impl Inner {
    /// Makes checkpoints until the journal ends.
    pub(super) fn checkpoints(&self) {
        let mut state = self.state();
        loop {
            if state.end == End::Dropped {
                return;
            }
            let closes = state.end == End::Closed && !state.writing && state.next.is_none();
            if closes {
                state.retire();
            }
            match self.due(&mut state) {
                Due::Checkpoint(segment) => {
                    drop(state);
                    let done = self.checkpoint(&segment);
                    state = self.state();
                    self.done(&mut state, &segment, done);
                }
                Due::Later(_) if closes && state.full.iter().all(|used| used.failed) => {
                    return self.clear(state);
                }
                Due::Later(None) => {
                    state = self.due.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                Due::Later(Some(pause)) => {
                    let waited = self.due.wait_timeout(state, pause);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    fn due(&self, state: &mut State) -> Due {
        let mut later = None;
        if let Some(active) = &state.active {
            match self.limits.flush_every.checked_sub(active.since.elapsed()) {
                Some(pause) if !pause.is_zero() => later = Some(pause),
                _ => state.retire(),
            }
        }
        let mut ready = state.full.iter();
        match ready.find(|used| used.underway == 0 && !used.failed) {
            Some(used) => Due::Checkpoint(Arc::clone(&used.segment)),
            None => Due::Later(later),
        }
    }

    /// All that its records speak of has its name by now: brings it to the disk.
    fn checkpoint(&self, segment: &Segment) -> io::Result<()> {
        self.sync_volume()?;
        segment.reset()
    }

    fn sync_volume(&self) -> io::Result<()> {
        #[cfg(test)]
        if let Some(stand_in) = self.stand_in.get() {
            return stand_in();
        }
        let volume = self.volume.get().ok_or(io::ErrorKind::NotFound)?;
        Ok(rustix::fs::syncfs(volume)?)
    }

    fn done(&self, state: &mut State, segment: &Arc<Segment>, done: io::Result<()>) {
        let same = |used: &Used| Arc::ptr_eq(&used.segment, segment);
        match done {
            Ok(()) => {
                state.full.retain(|used| !same(used));
                state.spare.push(Arc::clone(segment));
            }
            Err(error) => {
                // The system tells of a failure once, and what it failed to write it may forget. So
                // trying again proves nothing: only the records do, those of both segments.
                tracing::error!(root = %self.root.display(), %error, "what is in the journal could not be brought to the disk; it is kept for the next start, and the bucket goes without a journal until then");
                state.broken = true;
                self.taken.notify_all();
                state.retire();
                for used in &mut state.full {
                    used.failed = true;
                    if let Err(error) = used.segment.suspect() {
                        tracing::error!(segment = used.segment.id, %error, "the journal's segment cannot be marked");
                    }
                }
            }
        }
    }

    /// Removes the files that are needed no more.
    fn clear(&self, mut state: MutexGuard<'_, State>) {
        let spare = std::mem::take(&mut state.spare);
        drop(state);
        for segment in spare {
            if let Err(error) = segment.remove() {
                tracing::debug!(segment = segment.id, %error, "a segment of the journal stays");
            }
            locked(&self.own).remove(&segment.id);
        }
        // Fails while another process has something in it.
        if fs::remove_dir(self.folder()).is_ok() {
            let _ = durable::sync_parent(&self.folder());
        }
    }
}
