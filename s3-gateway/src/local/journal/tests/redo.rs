//! What is made of a journal at the next start.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use daybook_domain::ObjectKey;
use uuid::Uuid;

use super::world::{KEYS, REMAINS, World};
use crate::local::conditions::WriteConditions;
use crate::local::journal::{FOLDER, locked};
use crate::local::key_path::{hidden_path, private};
use crate::local::settings::Versioning;

#[tokio::test]
async fn what_was_recorded_is_written_again() {
    for remains in REMAINS {
        let world = World::new();
        let run = world.start().await;
        let mut stamps = Vec::new();
        for key in KEYS {
            stamps.push(run.put(key, "content").await);
        }
        drop(run);
        assert_eq!(world.segments().len(), 1);
        world.start_machine_anew();
        for key in KEYS {
            remains(&world, key);
        }
        // The second start finds nothing to do any more.
        for _ in 0..2 {
            let run = world.start().await;
            for stamp in &stamps {
                run.check(stamp, "content").await;
                assert_eq!(world.ledger.history(&stamp.key), [Some(stamp.stamp)]);
            }
            assert_eq!(world.segments(), Vec::<PathBuf>::new());
        }
    }
}

#[tokio::test]
async fn what_was_not_recorded_is_not_written_again() {
    for remains in REMAINS {
        let world = World::new();
        let run = world.start().await;
        for key in KEYS {
            run.put(key, "content").await;
            world.ledger.forget(key);
        }
        drop(run);
        world.start_machine_anew();
        for key in KEYS {
            remains(&world, key);
        }
        let run = world.start().await;
        for key in KEYS {
            assert!(run.get(key).await.is_none());
            assert!(!world.path(key).exists());
            assert_eq!(world.ledger.history(key), [], "nothing came, nothing went");
        }
        assert_eq!(world.segments(), Vec::<PathBuf>::new());
    }
}

#[tokio::test]
async fn a_whole_object_that_was_not_recorded_is_proposed() {
    let world = World::new();
    let run = world.start().await;
    let stamp = run.put("k", "content").await;
    world.ledger.forget("k");
    drop(run);
    let path = world.path("k");
    xattr::remove(&path, "user.daybook.recorded").unwrap();
    world.start_machine_anew();
    let run = world.start().await;
    run.check(&stamp, "content").await;
    assert_eq!(world.ledger.history("k"), [Some(stamp.stamp)]);
}

#[tokio::test]
async fn what_was_removed_or_overwritten_stays_so() {
    for remains in REMAINS {
        let world = World::new();
        let run = world.start().await;
        let removed = run.put("removed", "content").await;
        world.ledger.remove("removed");
        drop(run);
        world.start_machine_anew();
        remains(&world, "removed");
        let run = world.start().await;
        assert!(run.get("removed").await.is_none());
        assert_eq!(world.ledger.history("removed"), [Some(removed.stamp), None]);
    }
    let world = World::new();
    let run = world.start().await;
    let first = run.put("k", "content").await;
    assert!(run.bucket.journal.may_hold(first.stamp).unwrap());
    run.put("k", "newer").await;
    // This one was synced by itself.
    let second = run.put("k", "newest").await;
    // What is kept, and the rest of what is done to an object, needs no journal.
    let inner = &run.bucket.journal.inner;
    assert_eq!(*locked(&inner.hardened), [world.path("k")]);
    run.put("other", "content").await;
    assert!(run.delete("other").await);
    run.put("tagged", "content").await;
    let tagged = ObjectKey::parse("tagged").unwrap();
    let set = run.bucket.set_tags(tagged, None, BTreeMap::new(), None);
    set.await.unwrap();
    let hardened = ["k", "other", "tagged"].map(|key| world.path(key));
    assert_eq!(*locked(&inner.hardened), hardened);
    drop(run);
    world.start_machine_anew();
    let run = world.start().await;
    run.check(&second, "newest").await;
    // The oldest one is kept, and its record does not bring it back.
    let key = ObjectKey::parse("k").unwrap();
    let kept = run
        .bucket
        .open(&key, Some(&first.version_id))
        .await
        .unwrap();
    assert_eq!(io::read_to_string(&kept.file).unwrap(), "content");
}

#[tokio::test]
async fn a_removal_that_was_broken_off_is_not_undone() {
    for versioning in [Versioning::Never, Versioning::Enabled] {
        let world = World::new();
        let run = world.start().await;
        if versioning == Versioning::Enabled {
            run.bucket.set_versioning(versioning).unwrap();
        }
        let stamp = run.put("k", "content").await;
        *world.ledger.removals_fail.lock().unwrap() = true;
        assert!(!run.delete("k").await);
        *world.ledger.removals_fail.lock().unwrap() = false;
        drop(run);
        world.start_machine_anew();
        let run = world.start().await;
        assert!(run.get("k").await.is_none());
        assert_eq!(world.ledger.history("k"), [Some(stamp.stamp), None]);
        // The next start has nothing to add.
        drop(run);
        world.start_machine_anew();
        let run = world.start().await;
        assert!(run.get("k").await.is_none());
        assert_eq!(world.ledger.history("k").len(), 2);
        let key = ObjectKey::parse("k").unwrap();
        let kept = run
            .bucket
            .open(&key, Some(&stamp.version_id))
            .await
            .unwrap();
        assert_eq!(io::read_to_string(&kept.file).unwrap(), "content");
    }
}

#[tokio::test]
async fn the_next_object_of_a_key_is_not_mistaken_for_the_first() {
    let world = World::new();
    let run = world.start().await;
    let first = run.put("k", "content").await;
    assert!(run.delete("k").await);
    let second = run.put("k", "newer").await;
    drop(run);
    world.start_machine_anew();
    fs::remove_file(world.path("k")).unwrap();
    let run = world.start().await;
    run.check(&second, "newer").await;
    let expected = [Some(first.stamp), None, Some(second.stamp)];
    assert_eq!(world.ledger.history("k"), expected);
}

#[tokio::test]
async fn with_versioning_each_version_is_there_again() {
    let world = World::new();
    let run = world.start().await;
    run.bucket.set_versioning(Versioning::Enabled).unwrap();
    let first = run.put("k", "content").await;
    let second = run.put("k", "newer").await;
    let key = ObjectKey::parse("k").unwrap();
    let id = Some(second.version_id.clone());
    let none = WriteConditions::default();
    run.bucket.remove(key, id, none, None).await.unwrap();
    let other = run.put("other", "content").await;
    drop(run);
    world.start_machine_anew();
    fs::remove_file(world.path("other")).unwrap();
    let run = world.start().await;
    run.check(&first, "content").await;
    run.check(&other, "content").await;
}

#[tokio::test]
async fn tags_that_were_changed_stay_changed() {
    let world = World::new();
    let run = world.start().await;
    let written = run.put("k", "content").await;
    let tags = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
    let key = ObjectKey::parse("k").unwrap();
    let tagged = run
        .bucket
        .set_tags(key, None, tags.clone(), None)
        .await
        .unwrap();
    assert_eq!((&tagged.tags, tagged.stamp), (&tags, written.stamp));
    drop(run);
    world.start_machine_anew();
    let run = world.start().await;
    run.check(&tagged, "content").await;
}

#[tokio::test]
async fn files_that_came_by_hand_stay() {
    let world = World::new();
    let run = world.start().await;
    for key in ["moved", "edited", "appended", "touched"] {
        run.put(key, "content").await;
    }
    drop(run);
    world.start_machine_anew();
    let by_hand = world.folder.path().join("by-hand");
    fs::write(&by_hand, "by hand").unwrap();
    fs::rename(&by_hand, world.path("moved")).unwrap();
    fs::write(world.path("edited"), "changed").unwrap();
    fs::write(world.path("appended"), "content and more").unwrap();
    for key in ["moved", "edited", "appended", "touched"] {
        let file = File::options().write(true).open(world.path(key)).unwrap();
        let long_ago = UNIX_EPOCH + Duration::from_secs(1_000_000);
        file.set_modified(long_ago).unwrap();
    }
    let run = world.start().await;
    for (key, text) in [
        ("moved", "by hand"),
        ("edited", "changed"),
        ("appended", "content and more"),
        ("touched", "content"),
    ] {
        assert_eq!(run.get(key).await.unwrap().1, text);
        assert_eq!(world.ledger.history(key).len(), 2, "{key} is a new version");
    }
}

#[tokio::test]
async fn a_file_by_hand_that_lost_its_bytes_is_no_reason_to_lose_the_object() {
    let world = World::new();
    let run = world.start().await;
    let stamp = run.put("k", "content").await;
    drop(run);
    world.start_machine_anew();
    // Touched a moment before the power failed, and then torn.
    world.tear("k", b"\0\0\0");
    let file = File::options().write(true).open(world.path("k")).unwrap();
    let later = UNIX_EPOCH + Duration::from_nanos(stamp.mtime_ns.cast_unsigned() + 5_000);
    file.set_modified(later).unwrap();
    let run = world.start().await;
    run.check(&stamp, "content").await;
}

#[tokio::test]
async fn an_object_whose_path_is_taken_now_is_hidden() {
    let world = World::new();
    let run = world.start().await;
    let stamp = run.put("k", "content").await;
    drop(run);
    world.start_machine_anew();
    fs::remove_file(world.path("k")).unwrap();
    fs::create_dir(world.path("k")).unwrap();
    fs::write(world.path("k/inner"), "by hand").unwrap();
    let run = world.start().await;
    run.check(&stamp, "content").await;
    assert!(world.root().join(hidden_path("k")).is_file());
}

#[tokio::test]
async fn it_may_be_broken_off_and_done_again() {
    const COUNT: usize = 5;
    let world = World::new();
    let run = world.start().await;
    let mut stamps = Vec::new();
    for number in 0..COUNT {
        stamps.push(run.put(&format!("k{number}"), "content").await);
    }
    drop(run);
    world.start_machine_anew();
    for stamp in &stamps {
        fs::remove_file(world.path(&stamp.key)).unwrap();
    }
    for answers in 0..COUNT {
        *world.ledger.answers.lock().unwrap() = Some(answers.min(1));
        let run = world.open();
        run.gateway.rescan().await.unwrap_err();
        assert_eq!(world.segments().len(), 1, "nothing is guessed");
    }
    *world.ledger.answers.lock().unwrap() = None;
    let run = world.start().await;
    for stamp in &stamps {
        run.check(stamp, "content").await;
    }
    assert_eq!(world.segments(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn where_only_the_process_died_nothing_is_written_again() {
    let world = World::new();
    let run = world.start().await;
    let stamp = run.put("k", "content").await;
    run.put("by-hand", "content").await;
    drop(run);
    fs::remove_file(world.path("by-hand")).unwrap();
    let run = world.start().await;
    run.check(&stamp, "content").await;
    assert!(run.get("by-hand").await.is_none());
    assert_eq!(world.ledger.history("by-hand").len(), 2);
    assert_eq!(world.segments(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_copy_of_the_bucket_looks_at_its_journal() {
    let world = World::new();
    let run = world.start().await;
    let stamp = run.put("k", "content").await;
    drop(run);
    // The machine is the same, but the file is another.
    for path in world.segments() {
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        File::create(path.with_extension("other")).unwrap();
        fs::write(&path, bytes).unwrap();
        fs::remove_file(path.with_extension("other")).unwrap();
    }
    fs::remove_file(world.path("k")).unwrap();
    let run = world.start().await;
    run.check(&stamp, "content").await;
}

#[tokio::test]
async fn a_damaged_segment_is_kept_and_the_rest_of_it_used() {
    let world = World::new();
    let run = world.start().await;
    let mut stamps = Vec::new();
    for number in 0..3 {
        stamps.push(run.put(&format!("k{number}"), "content").await);
    }
    drop(run);
    world.start_machine_anew();
    for stamp in &stamps {
        fs::remove_file(world.path(&stamp.key)).unwrap();
    }
    // Within the record in the middle.
    let path = world.segments().remove(0);
    let mut bytes = fs::read(&path).unwrap();
    let name = stamps[1].version_id.as_bytes();
    let at = bytes
        .windows(name.len())
        .position(|part| part == name)
        .unwrap();
    bytes[at] ^= 1;
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(&bytes, 0).unwrap();
    let run = world.start().await;
    run.check(&stamps[0], "content").await;
    assert!(run.get("k1").await.is_none());
    run.check(&stamps[2], "content").await;
    assert_eq!(world.segments(), [path.with_extension("damaged")]);
    drop(run);
    // It is in nobody's way.
    world.start().await;
    assert_eq!(world.segments(), [path.with_extension("damaged")]);
}

#[tokio::test]
async fn what_was_never_written_to_is_removed() {
    let world = World::new();
    let run = world.start().await;
    drop(run);
    let folder = world.root().join(private(FOLDER));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(Uuid::from_u128(1).simple().to_string()), "").unwrap();
    let zeros = folder.join(Uuid::from_u128(2).simple().to_string());
    fs::write(zeros, [0; 5000]).unwrap();
    // This one had something in it.
    let mut bytes = vec![0; 5000];
    bytes[4500] = 1;
    let lost = folder.join(Uuid::from_u128(3).simple().to_string());
    fs::write(&lost, bytes).unwrap();
    world.start().await;
    assert_eq!(world.segments(), [lost.with_extension("damaged")]);
}
