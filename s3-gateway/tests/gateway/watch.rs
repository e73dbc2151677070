use std::sync::Arc;
use std::time::Duration;

use daybook_domain::stored_object::Channel;
use daybook_s3_gateway::Limits;

use super::world::World;

async fn watched() -> World {
    let limits = Limits {
        // Only the watcher can be in time.
        rescan_every: Duration::from_secs(3600),
        settle_after: Duration::from_millis(100),
        ..Limits::default()
    };
    let world = World::with(limits, Duration::from_secs(60)).await;
    // A file that is there before: once it is recorded, the watch is running.
    std::fs::write(world.path("inbox", "before"), "x").unwrap();
    tokio::spawn(Arc::clone(&world.gateway).watch(world.shutdown.clone()));
    world.ledger.until(1).await;
    world
}

#[tokio::test]
async fn a_file_dropped_into_the_folder_is_recorded() {
    let world = watched().await;
    std::fs::write(world.path("inbox", "report.csv"), "hello").unwrap();
    world.ledger.until(2).await;
    let created = world.ledger.created();
    assert_eq!(
        (created[1].key.as_str(), &created[1].channel),
        ("report.csv", &Channel::Watcher)
    );

    // Moved in: there in one step, never opened for writing.
    let outside = world.folder.path().join("moved");
    std::fs::write(&outside, "moved").unwrap();
    std::fs::rename(&outside, world.path("inbox", "moved")).unwrap();
    world.ledger.until(3).await;
    assert_eq!(world.ledger.created()[2].key.as_str(), "moved");
}

#[tokio::test]
async fn a_folder_that_comes_with_files_is_recorded_whole() {
    let world = watched().await;
    let outside = world.folder.path().join("day/hour");
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::write(outside.join("a"), "a").unwrap();
    std::fs::write(outside.join("b"), "b").unwrap();
    std::fs::rename(world.folder.path().join("day"), world.path("inbox", "day")).unwrap();
    world.ledger.until(3).await;
    let mut keys: Vec<String> = world
        .ledger
        .created()
        .iter()
        .map(|c| c.key.to_string())
        .collect();
    keys.sort();
    assert_eq!(keys, ["before", "day/hour/a", "day/hour/b"]);
}

#[tokio::test]
async fn folders_that_are_made_later_are_watched_too() {
    let world = watched().await;
    std::fs::create_dir(world.path("inbox", "day")).unwrap();
    std::fs::write(world.path("inbox", "day/1"), "x").unwrap();
    world.ledger.until(2).await;
    // It was seen with its folder; these are only seen by themselves.
    std::fs::write(world.path("inbox", "day/2"), "x").unwrap();
    world.ledger.until(3).await;
    std::fs::create_dir_all(world.path("inbox", "day/hour/minute")).unwrap();
    std::fs::write(world.path("inbox", "day/hour/minute/3"), "x").unwrap();
    world.ledger.until(4).await;
    std::fs::write(world.path("inbox", "day/hour/minute/4"), "x").unwrap();
    world.ledger.until(5).await;
    std::fs::rename(world.path("inbox", "day"), world.path("inbox", "night")).unwrap();
    // Removals and new objects of the four.
    world.ledger.until(13).await;
    std::fs::write(world.path("inbox", "night/hour/5"), "x").unwrap();
    world.ledger.until(14).await;
    let created = world.ledger.created();
    assert_eq!(created.last().unwrap().key.as_str(), "night/hour/5");
}

#[tokio::test]
async fn what_the_gateway_wrote_is_not_recorded_again() {
    let world = watched().await;
    world.client.put("inbox", "k", "hello").await.expect(200);
    // Events come in order: when this one was handled, so was the gateway's own.
    std::fs::write(world.path("inbox", "after"), "x").unwrap();
    world.ledger.until(3).await;
    let keys: Vec<String> = world
        .ledger
        .created()
        .iter()
        .map(|c| c.key.to_string())
        .collect();
    assert_eq!(keys, ["before", "k", "after"]);
}
