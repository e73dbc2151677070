//! A full disk refuses appends; with space again the log goes on, nothing lost or half written.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::vfs::plan_for;
use super::{Story, append_some, open};
use crate::conformance::fixture::append;
use crate::{EventLog, Expected};

/// The disk is full from the k-th write on, for each k.
#[tokio::test]
async fn a_disk_that_is_full_at_any_write_loses_nothing() {
    for k in 1.. {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.sqlite");
        let plan = plan_for(folder.path());
        let mut log = open(&path);
        plan.fill_up_at(k);
        let mut story = Story::default();
        append_some(&log, &mut story).await;
        let failed = plan.has_failed();
        plan.heal();
        if !failed {
            break;
        }
        log.close().await;
        drop(log);
        log = open(&path);
        story.check(&log).await;
    }
}

/// With a real file system, where the test may mount one.
#[tokio::test]
async fn a_real_full_disk_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(folder.path()) else {
        eprintln!("NOT RUN: a small tmpfs cannot be mounted here, which takes root");
        return;
    };
    let path = disk.0.join("events.sqlite");
    let ballast = disk.0.join("ballast");
    std::fs::write(&ballast, vec![0; 1024 * 1024]).unwrap();
    let mut log = open(&path);
    let mut story = Story::default();
    for number in 0..100_000 {
        let (stream, id) = (format!("s-{number}"), number * 100);
        let events = append(&stream, Expected::NoStream, id..id + 20);
        story.append(&log, vec![events]).await;
        if story.refused() > 0 {
            break;
        }
    }
    assert_eq!(story.refused(), 1, "the disk was never full");
    std::fs::remove_file(&ballast).unwrap();
    log.close().await;
    drop(log);
    log = open(&path);
    story.check(&log).await;
}

/// A file system of 4 MiB.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path) -> Option<Self> {
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
            .arg(at)
            .output();
        mount.ok()?.status.success().then(|| Self(at.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: the log may still have its files open when a test fails.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
