//! Files that come back from outside with the content, the time and even the attributes that they
//! or others had before.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use daybook_domain::stored_object::{ObjectEvent, StoredObject};
use daybook_domain::{Aggregate, Context};
use daybook_s3_gateway::Limits;

use super::world::World;

/// A world that does not wait for files to settle: these have the times of fresh ones.
pub async fn unhesitating() -> World {
    let limits = Limits {
        settle_after: Duration::ZERO,
        ..Limits::default()
    };
    World::with(limits, Duration::from_secs(3600)).await
}

/// Copies with the time (`-p`), or with the attributes too (`-a`).
pub fn copy(from: &Path, to: &Path, how: &str) {
    let status = Command::new("cp").arg(how).args([from, to]).status();
    assert!(status.unwrap().success());
}

/// A file outside the buckets that has been as it is for a while.
fn outside(world: &World, name: &str, content: &str) -> std::path::PathBuf {
    let path = world.folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(60))
        .unwrap();
    path
}

/// What the ledger makes of all that it was told of a key: `+` for new work, `=` for a version
/// that starts nothing, `-` for a removal.
pub fn story(world: &World) -> String {
    let context = Context {
        now: jiff::Timestamp::UNIX_EPOCH,
        seed: 7,
    };
    let mut object = StoredObject::default();
    let mut story = String::new();
    for command in world.ledger.commands() {
        for event in object.decide(command, &context).unwrap() {
            story.push(match &event {
                ObjectEvent::ObjectCreated(event) if event.repeated => '=',
                ObjectEvent::ObjectCreated(_) => '+',
                ObjectEvent::ObjectRemoved(_) => '-',
                ObjectEvent::NotificationDisregarded(_) => '!',
            });
            object = object.evolve(&event);
        }
    }
    story
}

#[tokio::test]
async fn a_file_that_comes_back_after_its_removal_is_a_new_write() {
    for how in ["-p", "-a"] {
        let world = World::new().await;
        let file = outside(&world, "file", "one");
        copy(&file, &world.path("inbox", "k"), "-p");
        assert_eq!(world.gateway.rescan().await.unwrap().recorded, 1);
        // `-a` takes the stamp and the mark of the recorded version along.
        copy(&world.path("inbox", "k"), &file, how);
        world.client.delete("inbox", "k").await.expect(204);
        copy(&file, &world.path("inbox", "k"), how);
        assert_eq!(world.gateway.rescan().await.unwrap().recorded, 1, "{how}");
        assert_eq!(world.gateway.rescan().await.unwrap().recorded, 0, "{how}");
        assert_eq!(story(&world), "+-+", "{how}");
        let created = world.ledger.created();
        assert_ne!(created[0].version.stamp, created[1].version.stamp);
        assert_ne!(created[0].version.version_id, created[1].version.version_id);
    }
}

#[tokio::test]
async fn an_older_file_that_is_moved_over_a_newer_one_is_a_new_write() {
    let world = World::new().await;
    let files = [
        outside(&world, "one", "one"),
        outside(&world, "two", "two"),
        outside(&world, "one", "one"),
    ];
    let moving = world.folder.path().join("moving");
    for file in &files {
        copy(file, &moving, "-p");
        std::fs::rename(&moving, world.path("inbox", "k")).unwrap();
        assert_eq!(world.gateway.rescan().await.unwrap().recorded, 1);
    }
    assert_eq!(story(&world), "+++");
}

#[tokio::test]
async fn an_older_version_that_comes_back_with_its_attributes_is_a_new_write() {
    let world = unhesitating().await;
    world.client.put("inbox", "k", "one").await.expect(200);
    let backup = world.folder.path().join("backup");
    copy(&world.path("inbox", "k"), &backup, "-a");
    world.client.put("inbox", "k", "two").await.expect(200);
    copy(&backup, &world.path("inbox", "k"), "-a");
    assert_eq!(world.gateway.rescan().await.unwrap().recorded, 1);
    assert_eq!(story(&world), "+++");
}

#[tokio::test]
async fn the_attributes_of_the_same_key_in_another_bucket_say_nothing() {
    let world = unhesitating().await;
    world.client.put("inbox", "k", "one").await.expect(200);
    copy(&world.path("inbox", "k"), &world.path("results", "k"), "-a");
    assert_eq!(world.gateway.rescan().await.unwrap().recorded, 1);
    let created = world.ledger.created();
    assert_eq!(created[1].bucket.as_str(), "results");
    assert_ne!(created[0].version.stamp, created[1].version.stamp);
}

#[tokio::test]
async fn a_file_that_is_proposed_again_after_a_failure_is_the_same() {
    let world = World::new().await;
    copy(
        &outside(&world, "file", "one"),
        &world.path("inbox", "k"),
        "-p",
    );
    world.ledger.fail(true);
    assert_eq!(world.gateway.rescan().await.unwrap().failed.len(), 1);
    let stamp = |world: &World| xattr::get(world.path("inbox", "k"), "user.daybook").unwrap();
    let before = stamp(&world).expect("it was stamped before it was proposed");
    world.ledger.fail(false);
    let world = world.reopen().await;
    assert_eq!(world.gateway.rescan().await.unwrap().recorded, 1);
    assert_eq!(stamp(&world), Some(before));
}

#[tokio::test]
async fn a_restored_file_without_its_attributes_is_recorded_and_starts_nothing() {
    let world = World::new().await;
    copy(
        &outside(&world, "file", "one"),
        &world.path("inbox", "k"),
        "-p",
    );
    assert_eq!(world.gateway.rescan().await.unwrap().recorded, 1);
    for name in ["user.daybook", "user.daybook.recorded"] {
        xattr::remove(world.path("inbox", "k"), name).unwrap();
    }
    assert_eq!(world.gateway.rescan().await.unwrap().recorded, 1);
    assert_eq!(story(&world), "+=");
}

#[tokio::test]
async fn a_bucket_that_was_copied_as_a_whole_is_what_it_was() {
    let world = World::new().await;
    world.client.put("inbox", "k", "one").await.expect(200);
    let second = world.client.put("inbox", "k", "two").await.expect(200);
    world.shutdown.cancel();
    let (bucket, copied) = (world.path("inbox", ""), world.folder.path().join("copied"));
    copy(&bucket, &copied, "-a");
    std::fs::rename(&bucket, world.folder.path().join("old")).unwrap();
    std::fs::rename(&copied, &bucket).unwrap();
    let world = world.reopen().await;
    assert_eq!(world.gateway.rescan().await.unwrap().recorded, 0);
    let got = world.client.get("inbox", "k").await.expect(200);
    let id = "x-amz-version-id";
    assert_eq!(got.header(id), second.header(id));
}
