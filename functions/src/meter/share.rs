//! A share of the processor: a group that has used more than its share is stopped until it has made
//! up for it, as the kernel's own quota does for control groups, which a host may not have.

use std::time::{Duration, Instant};

use rustix::process::Signal;

/// How much of its share a group may save up, in time.
const SAVED: Duration = Duration::from_millis(200);

/// The account of one group.
pub(super) struct Share {
    cores: f64,
    /// Seconds of processor time that it may use; less than nothing once it used too much.
    credit: f64,
    before: Option<(Duration, Instant)>,
    stopped: bool,
}

impl Share {
    pub(super) fn new(cores: f64) -> Self {
        Self {
            cores,
            credit: 0.0,
            before: None,
            stopped: false,
        }
    }

    /// What to tell the group, which has used so much until now.
    pub(super) fn after(&mut self, used: Duration, now: Instant) -> Option<Signal> {
        if let Some((used_before, then)) = self.before.replace((used, now)) {
            let earned = now.saturating_duration_since(then).as_secs_f64() * self.cores;
            let most = SAVED.as_secs_f64() * self.cores;
            // Time of a child that nobody waited for is gone from the sum.
            let spent = used.saturating_sub(used_before).as_secs_f64();
            self.credit = (self.credit + earned).min(most) - spent;
        }
        let stops = self.credit < 0.0;
        if stops == self.stopped {
            return None;
        }
        self.stopped = stops;
        Some(if stops { Signal::STOP } else { Signal::CONT })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_wants_two_cores_gets_its_half() {
        let (mut share, mut now) = (Share::new(0.5), Instant::now());
        let (mut used, mut runs) = (Duration::ZERO, true);
        let step = Duration::from_millis(100);
        for _ in 0..100 {
            match share.after(used, now) {
                Some(Signal::STOP) => runs = false,
                Some(_) => runs = true,
                None => {}
            }
            now += step;
            if runs {
                used += step * 2;
            }
        }
        let expected = Duration::from_secs(5);
        assert!(
            used.abs_diff(expected) <= Duration::from_millis(300),
            "{used:?}"
        );
    }

    #[test]
    fn a_group_within_its_share_is_left_alone() {
        let (mut share, mut now, mut used) = (Share::new(1.0), Instant::now(), Duration::ZERO);
        for _ in 0..100 {
            assert_eq!(share.after(used, now), None);
            now += Duration::from_millis(100);
            used += Duration::from_millis(90);
        }
    }
}
