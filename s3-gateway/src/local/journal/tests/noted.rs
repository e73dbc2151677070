//! What the index has of an object, however it got to the disk.

use std::fs;

use daybook_domain::ObjectKey;

use super::world::{KEYS, World};
use crate::config::Limits;

/// Whoever sees the file change has nothing to do about it, and no listing looks at it.
#[tokio::test]
async fn an_object_is_noted_as_it_is_when_its_write_is_answered() {
    for journaled_bytes in [0, Limits::default().journaled_bytes] {
        let mut world = World::new();
        world.limits.journaled_bytes = journaled_bytes;
        let run = world.start().await;
        let file = |key: &&str| {
            let meta = fs::symlink_metadata(world.path(key)).unwrap();
            Some((ObjectKey::parse(*key).unwrap(), meta))
        };
        for key in KEYS {
            for body in ["first", "second"] {
                run.put(key, body).await;
                let unknown = run.bucket.not_noted(vec![key], file);
                assert!(unknown.is_empty(), "{body} {unknown:?} {journaled_bytes}");
            }
            fs::write(world.path(key), "other").unwrap();
            assert_eq!(run.bucket.not_noted(vec![key], file), [key]);
        }
    }
}

/// Those who come while one writes share the next transaction; each finds its own in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn objects_that_are_written_at_once_are_all_noted() {
    let world = World::new();
    let run = world.start().await;
    let keys: Vec<String> = (0..200).map(|number| format!("k/{number}")).collect();
    let written = keys.iter().map(|key| run.put(key, "text"));
    let written = futures::future::join_all(written).await;
    for stamp in written {
        let row = run.bucket.known_now(&stamp.key).unwrap().unwrap();
        assert_eq!(row.stamp, stamp.stamp);
    }
}
