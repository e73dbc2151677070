//! All events once, in pages that fit.

use super::*;
use crate::check::tests::{Damaged, filled};

const LIMITS: PageLimits = PageLimits {
    max_events: 10,
    target_bytes: 1_000,
};

async fn sizes(log: &dyn EventLog, after: u64, end: u64) -> Vec<usize> {
    let mut pages = Pages::new(log, Position(after), Position(end), LIMITS, Step::Checking);
    let mut sizes = Vec::new();
    let mut next = after + 1;
    while let Some(events) = pages.next().await.unwrap() {
        for event in &events {
            assert_eq!(event.position.0, next);
            next += 1;
        }
        sizes.push(events.len());
    }
    assert_eq!(next, end + 1);
    assert_eq!(pages.progress().events, end - after);
    assert_eq!(pages.progress().position, Position(end));
    sizes
}

#[tokio::test]
async fn pages_end_where_they_are_told_to() {
    let log = filled(25, 1).await;
    assert_eq!(sizes(&*log, 0, 25).await.iter().sum::<usize>(), 25);
    assert_eq!(sizes(&*log, 7, 12).await.iter().sum::<usize>(), 5);
    assert!(sizes(&*log, 25, 25).await.is_empty());
}

#[tokio::test]
async fn heavy_events_come_in_small_pages() {
    let log = filled(30, 400).await;
    let sizes = sizes(&*log, 0, 30).await;
    // Only the first page is asked for without knowing.
    assert!(sizes[1..].iter().all(|size| *size <= 2), "{sizes:?}");
    let log = filled(30, 5_000).await;
    let sizes = self::sizes(&*log, 0, 30).await;
    assert!(sizes[1..].iter().all(|size| *size == 1), "{sizes:?}");
}

#[tokio::test]
async fn a_log_that_goes_backwards_does_not_hold_it_up() {
    let log = Damaged::new(filled(20, 1).await, |event| event.position.0 = 1);
    let mut pages = Pages::new(&log, Position(5), Position(20), LIMITS, Step::Checking);
    let error = pages.next().await.unwrap_err();
    assert!(matches!(error, ReadError::Damaged(_)), "{error}");
}
