//! An error at the k-th call to the file system, for each k that there is.

use std::path::PathBuf;

use super::vfs::plan_for;
use super::{Story, append_some, open, options};
use crate::conformance::fixture::append;
use crate::sqlite::SqliteEventLog;
use crate::{AppendError, EventLog, Expected};

#[tokio::test]
async fn an_error_at_any_call_loses_nothing() {
    let calls = fail_each(false).await;
    assert!(calls > 100, "{calls} calls are no whole story");
}

#[tokio::test]
async fn a_disk_that_is_gone_from_any_call_on_loses_nothing() {
    let calls = fail_each(true).await;
    assert!(calls > 100, "{calls} calls are no whole story");
}

/// Fails each call in turn, and returns how many there were.
async fn fail_each(for_good: bool) -> u64 {
    for k in 1.. {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.sqlite");
        let plan = plan_for(folder.path());
        plan.fail_at(k, for_good);
        let mut story = Story::default();
        let opened = SqliteEventLog::open(&path, options());
        if let Ok(log) = &opened {
            append_some(log, &mut story).await;
            log.close().await;
        }
        let failed = plan.has_failed();
        assert!(failed || opened.is_ok());
        drop(opened);
        plan.heal();
        story.check(&open(&path)).await;
        if !failed {
            assert_eq!(story.refused(), 0, "nothing failed, and yet it was refused");
            return k - 1;
        }
    }
    unreachable!("there is an end to the calls");
}

/// Syncing again would report success for pages that the kernel has dropped.
#[tokio::test]
async fn after_a_failed_sync_nothing_is_written_and_the_log_says_so() {
    let mut stopped = 0;
    for k in 1.. {
        let folder = tempfile::tempdir().unwrap();
        let path: PathBuf = folder.path().join("events.sqlite");
        let plan = plan_for(folder.path());
        let log = open(&path);
        plan.fail_at(k, false);
        let mut story = Story::default();
        append_some(&log, &mut story).await;
        if !plan.has_failed() {
            break;
        }
        if !plan.has_failed_to_sync() {
            continue;
        }
        stopped += 1;
        let wal = path.with_extension("sqlite-wal");
        let (wal_before, before) = (std::fs::read(&wal).unwrap(), std::fs::read(&path).unwrap());
        match log.append(append("later", Expected::NoStream, 1..2)).await {
            Err(AppendError::Unavailable(why)) => assert!(why.contains("restart"), "{why}"),
            other => panic!("{other:?}"),
        }
        log.stopped().await;
        log.close().await;
        assert_eq!(std::fs::read(&wal).unwrap(), wal_before, "call {k}");
        assert_eq!(std::fs::read(&path).unwrap(), before, "call {k}");
        drop(log);
        plan.heal();
        story.check(&open(&path)).await;
    }
    assert!(
        stopped >= 6,
        "each commit has a sync, only {stopped} failed"
    );
}
