//! Between logs in memory and in SQLite: whole copies, interrupted ones, and what is refused.

use std::sync::Arc;

use futures::FutureExt;

use super::*;
use crate::check::tests::{Damaged, filled};
use crate::memory::MemoryEventLog;
use crate::sqlite::{SqliteEventLog, SqliteOptions};

const LIMITS: PageLimits = PageLimits {
    max_events: 7,
    target_bytes: 1_000,
};

fn end(log: &dyn EventLog) -> End<'_> {
    End {
        log,
        contiguous: true,
    }
}

fn gappy(log: &dyn EventLog) -> End<'_> {
    End {
        log,
        contiguous: false,
    }
}

async fn copied(source: End<'_>, target: End<'_>) -> Result<CopyReport, CopyError> {
    copy(source, target, LIMITS, |_| {}).await
}

async fn all(log: &dyn EventLog) -> Vec<RecordedEvent> {
    log.read_all(Position::START, 1_000).await.unwrap()
}

/// The first events of a log, in a log of their own.
async fn beginning(log: &dyn EventLog, events: usize) -> Arc<MemoryEventLog> {
    let target = MemoryEventLog::new();
    let first = log.read_all(Position::START, events).await.unwrap();
    target.import(first).await.unwrap();
    target
}

#[tokio::test]
async fn a_copy_is_equal_to_its_source() {
    let (source, target) = (filled(50, 100).await, MemoryEventLog::new());
    let report = copied(end(&*source), end(&*target)).await.unwrap();
    assert_eq!((report.resumed_after, report.copied), (0, 50));
    assert!(report.equal);
    assert_eq!(report.source, report.target);
    assert_eq!(report.source.head, Position(50));
    assert_eq!(all(&*source).await, all(&*target).await);
    let again = copied(end(&*source), end(&*target)).await.unwrap();
    assert_eq!(
        (again.resumed_after, again.copied, again.equal),
        (50, 0, true)
    );
}

#[tokio::test]
async fn nothing_is_copied_from_an_empty_log() {
    let (source, target) = (MemoryEventLog::new(), MemoryEventLog::new());
    let report = copied(end(&*source), end(&*target)).await.unwrap();
    assert_eq!((report.copied, report.equal), (0, true));
}

#[tokio::test]
async fn sqlite_and_memory_hold_the_same_after_a_copy_each_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.sqlite");
    let sqlite = SqliteEventLog::open(&path, SqliteOptions::default()).unwrap();
    let source = filled(50, 100).await;
    let there = copied(end(&*source), end(&*sqlite)).await.unwrap();
    sqlite.close().await;
    let read = SqliteEventLog::open_read_only(&path).unwrap();
    let back = MemoryEventLog::new();
    let report = copied(end(&*read), end(&*back)).await.unwrap();
    assert!(there.equal && report.equal);
    assert_eq!(report.target, there.source);
    assert_eq!(all(&*back).await, all(&*source).await);
}

#[tokio::test]
async fn an_interrupted_copy_goes_on_where_it_was() {
    let source = filled(50, 100).await;
    for there in [1, 7, 49] {
        let target = beginning(&*source, there).await;
        let report = copied(end(&*source), end(&*target)).await.unwrap();
        assert_eq!(report.resumed_after, there as u64);
        assert_eq!(report.copied, 50 - there as u64);
        assert!(report.equal);
    }
}

#[tokio::test]
async fn logs_with_gaps_are_counted() {
    let plain = filled(20, 100).await;
    let mut spread = Damaged::new(plain.clone(), |_| {});
    spread.spread = 5;
    let target = beginning(&*plain, 6).await;
    let report = copied(gappy(&spread), end(&*target)).await.unwrap();
    assert_eq!((report.resumed_after, report.copied), (6, 14));
    assert_eq!(
        (report.source.head, report.target.head),
        (Position(100), Position(20))
    );
    assert!(report.equal);

    let mut target = Damaged::new(beginning(&*plain, 6).await, |_| {});
    target.spread = 5;
    let report = copied(end(&*plain), gappy(&target)).await.unwrap();
    assert_eq!(
        (report.resumed_after, report.copied, report.equal),
        (6, 14, true)
    );
}

#[tokio::test]
async fn what_the_source_takes_meanwhile_is_copied_too() {
    let (whole, target) = (filled(50, 100).await, MemoryEventLog::new());
    let source = beginning(&*whole, 20).await;
    let mut rest = all(&*whole).await.split_off(20);
    let copy = copy(end(&*source), end(&*target), LIMITS, |progress| {
        // The first page is copied: now ten more come, later the rest.
        if progress.step == Step::Copying && !rest.is_empty() {
            let next: Vec<_> = rest.drain(..rest.len().min(10)).collect();
            let imported = source.import(next).now_or_never();
            imported.expect("memory does not wait").unwrap();
        }
    });
    let report = copy.await.unwrap();
    assert_eq!((report.copied, report.equal), (50, true));
}

#[tokio::test]
async fn a_target_with_other_content_is_refused() {
    let source = filled(20, 100).await;
    let refused = async |target: &dyn EventLog| {
        let before = all(target).await.len();
        let error = copied(end(&*source), end(target)).await.unwrap_err();
        assert_eq!(all(target).await.len(), before);
        assert!(matches!(error, CopyError::OtherContent(_)), "{error}");
        error.to_string()
    };
    // The same streams and ids, at other times and with other salts.
    let said = refused(&*filled(5, 100).await).await;
    assert!(
        said.contains("its event 1 is not the one of the source"),
        "{said}"
    );
    let said = refused(&*beginning(&*filled(30, 100).await, 30).await).await;
    assert!(said.ends_with("; copy into an empty log"), "{said}");
    let mut events = all(&*source).await;
    events.truncate(3);
    events[2].salt = [1; 16];
    let target = MemoryEventLog::new();
    target.import(events).await.unwrap();
    let said = refused(&*target).await;
    assert!(
        said.contains("its event 3 is not the one of the source"),
        "{said}"
    );
}

#[tokio::test]
async fn a_target_that_is_longer_is_refused() {
    let whole = filled(20, 100).await;
    let source = beginning(&*whole, 10).await;
    let error = copied(end(&*source), end(&*whole)).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("20 events, more than the source"),
        "{error}"
    );
}

#[tokio::test]
async fn a_difference_in_the_middle_shows_in_the_proof() {
    let source = filled(20, 100).await;
    let mut events = all(&*source).await;
    events.truncate(10);
    events[4].salt = [1; 16];
    let target = MemoryEventLog::new();
    target.import(events).await.unwrap();
    let report = copied(end(&*source), end(&*target)).await.unwrap();
    assert_eq!(report.source.events, report.target.events);
    assert_ne!(report.source.sha256, report.target.sha256);
    assert!(!report.equal);
}

#[tokio::test]
async fn a_damaged_source_is_not_mended_by_copying() {
    let lost = |event: &mut RecordedEvent| {
        if event.position.0 == 12 {
            event.position = Position::START;
        }
    };
    let source = Damaged::new(filled(20, 100).await, lost);
    let target = MemoryEventLog::new();
    let error = copied(end(&source), end(&*target)).await.unwrap_err();
    assert!(matches!(error, CopyError::Gap(Position(12))), "{error}");
    assert!(all(&*target).await.len() < 12);
}

#[tokio::test]
async fn a_target_that_takes_nothing_says_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.sqlite");
    let made = SqliteEventLog::open(&path, SqliteOptions::default()).unwrap();
    made.close().await;
    let target = SqliteEventLog::open_read_only(&path).unwrap();
    let source = filled(3, 1).await;
    let error = copied(end(&*source), end(&*target)).await.unwrap_err();
    assert!(
        matches!(
            error,
            CopyError::Import {
                position: Position(1),
                ..
            }
        ),
        "{error}"
    );
}
