use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, mpsc};
use std::thread;

use super::*;

const WAITERS: usize = 8;

/// Lets one sync run until all waiters have come, and counts the syncs after it.
fn together(result: fn() -> io::Result<()>) -> (usize, Vec<io::Result<()>>) {
    let (syncs, later) = (DirSyncs::default(), AtomicUsize::new(0));
    let folder = Path::new("/a/folder");
    let (began, first_began) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let arriving = Barrier::new(WAITERS + 1);
    let results = thread::scope(|scope| {
        let syncs = &syncs;
        let first = scope.spawn(move || {
            syncs.sync(folder, |_| {
                began.send(()).unwrap();
                released.recv().map_err(io::Error::other)
            })
        });
        first_began.recv().unwrap();
        let waiters: Vec<_> = (0..WAITERS)
            .map(|_| {
                scope.spawn(|| {
                    arriving.wait();
                    syncs.sync(folder, |_| {
                        later.fetch_add(1, Ordering::Relaxed);
                        result()
                    })
                })
            })
            .collect();
        arriving.wait();
        // All of them wait for the turn after the running one: it has one handle of its own, one
        // in the folder and one for each waiter.
        loop {
            let folder = Arc::clone(&lock(&syncs.folders)[folder]);
            let next = lock(&folder.turns).next.clone();
            if next.is_some_and(|turn| Arc::strong_count(&turn) == WAITERS + 2) {
                break;
            }
            thread::yield_now();
        }
        release.send(()).unwrap();
        first.join().unwrap().unwrap();
        waiters
            .into_iter()
            .map(|waiter| waiter.join().unwrap())
            .collect()
    });
    assert!(
        lock(&syncs.folders).is_empty(),
        "nothing is kept of a folder"
    );
    (later.into_inner(), results)
}

#[test]
fn those_who_come_while_one_runs_share_the_next() {
    let (later, results) = together(|| Ok(()));
    assert_eq!(later, 1);
    assert!(results.iter().all(Result::is_ok));
}

#[test]
fn a_failure_is_everybodys() {
    let (later, results) = together(|| Err(io::Error::from_raw_os_error(5)));
    assert_eq!(later, 1);
    for result in results {
        assert_eq!(result.unwrap_err().raw_os_error(), Some(5));
    }
}

#[test]
fn each_folder_is_flushed_for_itself() {
    let syncs = DirSyncs::default();
    for folder in ["/a", "/b", "/a"] {
        let mut flushed = None;
        syncs
            .sync(Path::new(folder), |path| {
                flushed = Some(path.to_owned());
                Ok(())
            })
            .unwrap();
        assert_eq!(flushed.as_deref(), Some(Path::new(folder)));
    }
}
