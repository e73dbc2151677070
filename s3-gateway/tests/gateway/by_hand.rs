//! Files that people remove from a bucket's folder, move out of it, or put in anew.

use std::sync::Arc;
use std::time::Duration;

use daybook_domain::stored_object::{Channel, ObjectCommand, RecordRemoved};
use daybook_s3_gateway::Limits;

use super::restored::{copy, story, unhesitating};
use super::world::World;

fn removed(world: &World) -> Vec<RecordRemoved> {
    let removed = |command| match command {
        ObjectCommand::RecordRemoved(removed) => Some(removed),
        _ => None,
    };
    let commands = world.ledger.commands().into_iter();
    commands.filter_map(removed).collect()
}

/// A gateway that watches its folders and lists them only when it is told to.
async fn watched() -> World {
    let limits = Limits {
        rescan_every: Duration::from_secs(3600),
        settle_after: Duration::ZERO,
        ..Limits::default()
    };
    let world = World::with(limits, Duration::from_secs(3600)).await;
    std::fs::write(world.path("inbox", "before"), "x").unwrap();
    tokio::spawn(Arc::clone(&world.gateway).watch(world.shutdown.clone()));
    world.ledger.until(1).await;
    world
}

async fn keys(world: &World) -> Vec<String> {
    let page = world.client.list("inbox", &[]).await.expect(200);
    page.elements("Key")
}

#[tokio::test]
async fn a_file_that_was_removed_is_missed_once() {
    let world = World::new().await;
    for key in ["a", "b", "../hidden"] {
        world.client.put("inbox", key, "hello").await.expect(200);
    }
    std::fs::remove_file(world.path("inbox", "a")).unwrap();
    let report = world.gateway.rescan().await.unwrap();
    assert_eq!((report.removals, report.failed.len()), (1, 0), "{report:?}");
    assert_eq!(world.gateway.rescan().await.unwrap().removals, 0);
    let created = world.ledger.created();
    let gone = &removed(&world)[0];
    assert_eq!(
        (gone.key.as_str(), &gone.channel, gone.event_name.as_str()),
        ("a", &Channel::Listing, "ObjectRemoved:Delete")
    );
    assert_eq!(gone.version, created[0].version);
    assert!(gone.order.as_ref().unwrap().sequencer > created[0].order.as_ref().unwrap().sequencer);
    assert_eq!(keys(&world).await, ["../hidden", "b"]);

    // While nothing ran.
    let hidden = world.own_files("inbox", "keys").remove(0);
    std::fs::remove_file(world.path("inbox", ".daybook/keys").join(hidden)).unwrap();
    std::fs::remove_file(world.path("inbox", "b")).unwrap();
    let world = world.reopen().await;
    assert_eq!(world.gateway.rescan().await.unwrap().removals, 2);
    assert_eq!(world.gateway.rescan().await.unwrap().removals, 0);
    assert!(keys(&world).await.is_empty());
    assert_eq!(removed(&world).len(), 3);
}

#[tokio::test]
async fn the_watcher_misses_what_is_removed_or_moved_out() {
    let world = watched().await;
    for key in ["k", "day/1", "day/hour/2", "day0", "moved"] {
        world.client.put("inbox", key, "hello").await.expect(200);
    }
    world.ledger.until(6).await;
    std::fs::remove_file(world.path("inbox", "k")).unwrap();
    world.ledger.until(7).await;
    let outside = world.folder.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::rename(world.path("inbox", "moved"), outside.join("moved")).unwrap();
    world.ledger.until(8).await;
    std::fs::rename(world.path("inbox", "day"), outside.join("day")).unwrap();
    world.ledger.until(10).await;
    let gone = removed(&world);
    let mut names: Vec<&str> = gone.iter().map(|gone| gone.key.as_str()).collect();
    names[2..].sort_unstable();
    assert_eq!(names, ["k", "moved", "day/1", "day/hour/2"]);
    assert!(gone.iter().all(|gone| gone.channel == Channel::Watcher));
    // The ledger hears of it first, the index next.
    let listed = async { while keys(&world).await != ["before", "day0"] {} };
    let listed = tokio::time::timeout(Duration::from_secs(30), listed).await;
    assert!(listed.is_ok(), "still listed: {:?}", keys(&world).await);
    // Nothing is left for the listing to find.
    assert_eq!(world.gateway.rescan().await.unwrap().removals, 0);
}

#[tokio::test]
async fn one_that_is_removed_before_its_writer_was_answered_is_missed_as_well() {
    let world = watched().await;
    let path = world.path("inbox", "k");
    world.ledger.remove_when_told(path);
    world.client.put("inbox", "k", "hello").await.expect(200);
    world.ledger.until(3).await;
    let gone = removed(&world);
    let names: Vec<&str> = gone.iter().map(|gone| gone.key.as_str()).collect();
    assert_eq!(names, ["k"]);
    assert_eq!(gone[0].version, world.ledger.created()[1].version);
    assert_eq!(world.gateway.rescan().await.unwrap().removals, 0);
}

#[tokio::test]
async fn a_file_that_is_removed_and_copied_back_is_a_removal_and_a_new_version() {
    for watching in [true, false] {
        let world = match watching {
            true => watched().await,
            false => unhesitating().await,
        };
        let before = world.ledger.commands().len();
        let (file, saved) = (world.path("inbox", "k"), world.folder.path().join("saved"));
        world.client.put("inbox", "k", "hello").await.expect(200);
        copy(&file, &saved, "-p");
        std::fs::remove_file(&file).unwrap();
        if watching {
            world.ledger.until(before + 2).await;
        } else {
            world.gateway.rescan().await.unwrap();
        }
        copy(&saved, &file, "-p");
        if watching {
            world.ledger.until(before + 3).await;
        } else {
            world.gateway.rescan().await.unwrap();
        }
        let ends = story(&world).ends_with("+-+");
        assert!(ends, "{} while watching: {watching}", story(&world));
    }
}

#[tokio::test]
async fn a_file_that_is_moved_out_and_back_is_there_again() {
    let world = unhesitating().await;
    let (file, outside) = (
        world.path("inbox", "k"),
        world.folder.path().join("outside"),
    );
    world.client.put("inbox", "k", "hello").await.expect(200);
    // Nobody looked in between.
    std::fs::rename(&file, &outside).unwrap();
    std::fs::rename(&outside, &file).unwrap();
    let report = world.gateway.rescan().await.unwrap();
    assert_eq!((report.removals, report.recorded), (0, 0));
    // Missed, and put back with its stamp as it was.
    std::fs::rename(&file, &outside).unwrap();
    assert_eq!(world.gateway.rescan().await.unwrap().removals, 1);
    std::fs::rename(&outside, &file).unwrap();
    let world = world.reopen().await;
    assert_eq!(world.gateway.rescan().await.unwrap().recorded, 1);
    let report = world.gateway.rescan().await.unwrap();
    assert_eq!((report.removals, report.recorded), (0, 0));
    assert_eq!(story(&world), "+-+");
    assert_eq!(keys(&world).await, ["k"]);
}

#[tokio::test]
async fn a_write_to_a_key_whose_file_is_gone_comes_after_its_removal() {
    let world = World::new().await;
    world.client.put("inbox", "k", "one").await.expect(200);
    std::fs::remove_file(world.path("inbox", "k")).unwrap();
    world
        .client
        .get("inbox", "k")
        .await
        .refused(404, "NoSuchKey");
    world.client.put("inbox", "k", "two").await.expect(200);
    assert_eq!(story(&world), "+-+");
    std::fs::remove_file(world.path("inbox", "k")).unwrap();
    world.client.delete("inbox", "k").await.expect(204);
    assert_eq!(story(&world), "+-+-");
    world.client.delete("inbox", "k").await.expect(204);
    assert_eq!(world.gateway.rescan().await.unwrap().removals, 0);
    assert_eq!(story(&world), "+-+-");
}

#[tokio::test]
async fn a_removal_that_a_crash_left_in_the_index_is_told_again_and_decides_nothing() {
    let world = World::new().await;
    world.client.put("inbox", "k", "one").await.expect(200);
    let (index, saved) = (
        world.path("inbox", ".daybook"),
        world.folder.path().join("saved"),
    );
    std::fs::create_dir(&saved).unwrap();
    for suffix in ["", "-wal"] {
        let name = format!("index.sqlite{suffix}");
        std::fs::copy(index.join(&name), saved.join(&name)).unwrap();
    }
    std::fs::remove_file(world.path("inbox", "k")).unwrap();
    // What cannot be recorded is not forgotten.
    world.ledger.fail(true);
    assert_eq!(world.gateway.rescan().await.unwrap().failed.len(), 1);
    world.ledger.fail(false);
    assert_eq!(world.gateway.rescan().await.unwrap().removals, 1);
    world.shutdown.cancel();
    for suffix in ["", "-wal"] {
        let name = format!("index.sqlite{suffix}");
        std::fs::rename(saved.join(&name), index.join(&name)).unwrap();
    }
    std::fs::remove_file(index.join("index.sqlite-shm")).unwrap();
    let world = world.reopen().await;
    assert_eq!(keys(&world).await, ["k"]);
    assert_eq!(world.gateway.rescan().await.unwrap().removals, 1);
    assert_eq!(removed(&world).len(), 2);
    assert_eq!(story(&world), "+-");
    assert!(keys(&world).await.is_empty());
}

#[tokio::test]
async fn nothing_is_concluded_from_a_folder_that_is_gone_or_another_one() {
    let world = World::new().await;
    for key in ["a", "b/c"] {
        world.client.put("inbox", key, "hello").await.expect(200);
    }
    let (root, away) = (world.path("inbox", ""), world.folder.path().join("away"));
    std::fs::rename(&root, &away).unwrap();
    // As when its file system is not mounted: first nothing at all, then an empty folder, then
    // one that is a bucket's, too.
    world.gateway.rescan().await.unwrap_err();
    std::fs::create_dir(&root).unwrap();
    world.gateway.rescan().await.unwrap_err();
    std::fs::create_dir(root.join(".daybook")).unwrap();
    world.gateway.rescan().await.unwrap_err();
    world.client.delete("inbox", "a").await.expect(500);
    assert!(removed(&world).is_empty());

    std::fs::remove_dir_all(&root).unwrap();
    std::fs::rename(&away, &root).unwrap();
    let report = world.gateway.rescan().await.unwrap();
    assert_eq!((report.removals, report.recorded), (0, 0), "{report:?}");
    assert_eq!(keys(&world).await, ["a", "b/c"]);
}
