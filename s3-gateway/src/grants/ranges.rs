//! Which bytes of an object an invocation read, over all its requests.

use daybook_domain::execution::{ByteRange, ObjectAccess};

/// Ranges kept for one object version; beyond it the two that are closest become one.
pub(super) const MAX_RANGES: usize = 100;

/// Adds what another request read of the same version.
pub(super) fn add(known: &mut ObjectAccess, more: Option<Vec<ByteRange>>) {
    let Some(ranges) = known.ranges.as_mut() else {
        return;
    };
    let Some(more) = more else {
        known.ranges = None;
        return;
    };
    ranges.extend(more);
    join(ranges);
    if covers(ranges, known.size) {
        known.ranges = None;
    }
}

/// Puts the ranges in order and makes one of those that touch.
fn join(ranges: &mut Vec<ByteRange>) {
    ranges.sort_unstable();
    let mut joined: Vec<ByteRange> = Vec::with_capacity(ranges.len());
    for range in ranges.drain(..) {
        match joined.last_mut() {
            Some(last) if range.first <= last.last.saturating_add(1) => {
                last.last = last.last.max(range.last);
            }
            _ => joined.push(range),
        }
    }
    while joined.len() > MAX_RANGES {
        let gap = |at: &usize| joined[*at].first - joined[at - 1].last;
        let Some(closest) = (1..joined.len()).min_by_key(gap) else {
            break;
        };
        joined[closest - 1].last = joined[closest].last;
        joined.remove(closest);
    }
    *ranges = joined;
}

fn covers(ranges: &[ByteRange], size: Option<u64>) -> bool {
    match (ranges, size) {
        ([range], Some(size)) => range.first == 0 && range.last.saturating_add(1) >= size,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
