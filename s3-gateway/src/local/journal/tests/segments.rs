//! The journal while it is written.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use uuid::Uuid;

use super::StandIn;
use super::world::{REMAINS, Run, World};
use crate::local::journal::{FOLDER, locked};
use crate::local::key_path::private;
use crate::local::settings::Versioning;

#[tokio::test]
async fn what_is_closed_in_order_leaves_nothing() {
    let world = World::new();
    let run = world.start().await;
    let stamp = run.put("k", "content").await;
    assert!(run.bucket.journal.may_hold(stamp.stamp).unwrap());
    let bucket = Arc::clone(&run.bucket);
    tokio::task::spawn_blocking(move || bucket.journal.close())
        .await
        .unwrap();
    assert!(!run.bucket.journal.may_hold(stamp.stamp).unwrap());
    assert!(!world.root().join(private(FOLDER)).exists());
    // Late writes go to the disk by themselves.
    let late = run.put("late", "content").await;
    assert!(!world.root().join(private(FOLDER)).exists());
    run.check(&late, "content").await;
}

#[tokio::test]
async fn a_bucket_that_needs_no_journal_has_none() {
    let mut world = World::new();
    world.limits.journaled_bytes = 7;
    let run = world.start().await;
    let large = run.put("large", "contents").await;
    assert_eq!(world.segments(), Vec::<PathBuf>::new());
    let small = run.put("small", "content").await;
    assert_eq!(world.segments().len(), 1);
    run.check(&large, "contents").await;
    run.check(&small, "content").await;
    // What replaces something is synced as a whole.
    let before = fs::read(&world.segments()[0]).unwrap();
    run.put("small", "newer").await;
    run.bucket.set_versioning(Versioning::Enabled).unwrap();
    run.bucket.set_versioning(Versioning::Suspended).unwrap();
    run.put("suspended", "newer").await;
    assert!(fs::read(&world.segments()[0]).unwrap() == before);
}

/// Which files there are each time that the file system is synced: only these survive.
fn watch_syncs(run: &Run, root: &Path) -> Arc<Mutex<HashSet<PathBuf>>> {
    let synced = Arc::<Mutex<HashSet<PathBuf>>>::default();
    let (noted, root) = (Arc::clone(&synced), root.to_owned());
    let stand_in: StandIn = Box::new(move || {
        let files = fs::read_dir(&root)?.map(|entry| Ok(entry?.path()));
        let files: io::Result<Vec<_>> = files.collect();
        noted.lock().unwrap().extend(files?);
        Ok(())
    });
    assert!(run.bucket.journal.inner.stand_in.set(stand_in).is_ok());
    synced
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_while_segments_change_under_many_writers() {
    const TASKS: usize = 64;
    const EACH: usize = 12;
    let mut world = World::new();
    world.limits.journal_segment_bytes = 24 << 10;
    let run = Arc::new(world.start().await);
    let synced = watch_syncs(&run, &world.root());
    let writers = (0..TASKS).map(|task| {
        let run = Arc::clone(&run);
        tokio::spawn(async move {
            let mut written = Vec::new();
            for number in 0..EACH {
                let key = format!("k{task}-{number}");
                let body = key.repeat(1 + number * 10);
                written.push((run.put(&key, &body).await, body));
            }
            written
        })
    });
    let mut written = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        written.extend(writer.await.unwrap());
    }
    drop(Arc::into_inner(run).unwrap());
    world.start_machine_anew();
    let synced = synced.lock().unwrap().clone();
    let (mut torn, mut sound) = (0, 0);
    let journaled: Vec<Vec<u8>> = world
        .segments()
        .iter()
        .map(|it| fs::read(it).unwrap())
        .collect();
    for (number, (stamp, _)) in written.iter().enumerate() {
        if synced.contains(&world.path(&stamp.key)) {
            sound += 1;
            continue;
        }
        // While both segments waited for their checkpoint, objects were synced by themselves.
        let name = stamp.version_id.as_bytes();
        let has = |bytes: &Vec<u8>| bytes.windows(name.len()).any(|part| part == name);
        if !journaled.iter().any(has) {
            continue;
        }
        REMAINS[number % REMAINS.len()](&world, &stamp.key);
        torn += 1;
    }
    println!("{torn} torn, {sound} synced, of {}", written.len());
    assert!(torn > 0 && sound > 0, "{torn} torn, {sound} synced");
    let run = world.start().await;
    for (stamp, body) in &written {
        run.check(stamp, body).await;
        assert_eq!(world.ledger.history(&stamp.key), [Some(stamp.stamp)]);
    }
    assert_eq!(world.segments(), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_old_enough_is_brought_to_the_disk() {
    let mut world = World::new();
    world.limits.journal_flush_every = Duration::from_millis(1);
    let run = world.start().await;
    let synced = watch_syncs(&run, &world.root());
    let stamp = run.put("k", "content").await;
    while run.bucket.journal.may_hold(stamp.stamp).unwrap() {
        tokio::task::yield_now().await;
    }
    assert!(synced.lock().unwrap().contains(&world.path("k")));
    // The segment is used again, and what was in it does not come back.
    run.put("next", "content").await;
    while !locked(&run.bucket.journal.inner.state).full.is_empty() {
        tokio::task::yield_now().await;
    }
    drop(run);
    world.start_machine_anew();
    fs::remove_file(world.path("k")).unwrap();
    let run = world.start().await;
    assert!(run.get("k").await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_brought_to_the_disk_is_written_again() {
    let mut world = World::new();
    let run = world.start().await;
    let fails: StandIn = Box::new(|| Err(io::ErrorKind::Other.into()));
    assert!(run.bucket.journal.inner.stand_in.set(fails).is_ok());
    let stamp = run.put("k", "content").await;
    let bucket = Arc::clone(&run.bucket);
    tokio::task::spawn_blocking(move || bucket.journal.close())
        .await
        .unwrap();
    assert_eq!(world.segments().len(), 1, "it is kept");
    drop(run);
    let inode = |world: &World| {
        let meta = fs::metadata(world.path("k")).unwrap();
        std::os::unix::fs::MetadataExt::ino(&meta)
    };
    let before = inode(&world);
    // The machine is the same, and the object looks whole.
    let run = world.start().await;
    run.check(&stamp, "content").await;
    assert_ne!(inode(&world), before, "it is written again");
    assert_eq!(world.segments(), Vec::<PathBuf>::new());
    drop(run);

    // While it goes on it has no journal.
    world.limits.journal_flush_every = Duration::from_millis(1);
    let run = world.start().await;
    let fails: StandIn = Box::new(|| Err(io::ErrorKind::Other.into()));
    assert!(run.bucket.journal.inner.stand_in.set(fails).is_ok());
    run.put("last", "content").await;
    while !locked(&run.bucket.journal.inner.state).broken {
        tokio::task::yield_now().await;
    }
    let before = fs::read(&world.segments()[0]).unwrap();
    let later = run.put("later", "content").await;
    run.check(&later, "content").await;
    assert_eq!(world.segments().len(), 1);
    assert!(fs::read(&world.segments()[0]).unwrap() == before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_have_journals_of_their_own() {
    let mut world = World::new();
    world.shared = true;
    let (one, two) = (world.start().await, world.start().await);
    let mut stamps = vec![
        one.put("one", "content").await,
        two.put("two", "content").await,
    ];
    assert_eq!(world.segments().len(), 2);
    // Neither can tell what is in the other's.
    assert!(two.bucket.journal.may_hold(Uuid::nil()).unwrap());
    // One dies; the other brings its to the disk, and leaves its own alone.
    drop(one);
    two.bucket.recover().unwrap();
    assert_eq!(world.segments().len(), 1);
    assert!(!two.bucket.journal.may_hold(Uuid::nil()).unwrap());
    let three = world.start().await;
    assert_eq!(world.segments().len(), 1);
    stamps.push(three.put("three", "content").await);
    drop((two, three));
    world.start_machine_anew();
    for key in ["two", "three"] {
        fs::remove_file(world.path(key)).unwrap();
    }
    // Both are opened before either looks at what is left; none serves before all is there.
    let (four, five) = (world.open(), world.open());
    let see = async |run: &Run| {
        run.gateway.rescan().await.unwrap();
        for stamp in &stamps {
            run.check(stamp, "content").await;
        }
    };
    tokio::join!(see(&four), see(&five));
    assert_eq!(world.segments(), Vec::<PathBuf>::new());
}
