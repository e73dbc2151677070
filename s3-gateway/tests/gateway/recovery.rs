use std::sync::Arc;
use std::time::{Duration, SystemTime};

use daybook_domain::stored_object::{Channel, ObjectCommand};
use daybook_s3_gateway::Limits;

use super::world::World;

/// Makes a file old enough to count as settled.
fn settle(path: &std::path::Path, age_s: u64) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(age_s))
        .unwrap();
}

#[tokio::test]
async fn leftovers_of_a_crash_are_removed() {
    let world = World::new().await;
    // As it was before each process had a folder of its own, and as it is now.
    let dead = world.path("inbox", ".daybook/tmp/0123456789abcdef0123456789abcdef");
    std::fs::create_dir(&dead).unwrap();
    std::fs::write(dead.join("half"), "half").unwrap();
    std::fs::write(world.path("inbox", ".daybook/tmp/half"), "half").unwrap();
    let before = world.own_files("inbox", "tmp").len();
    let world = world.reopen().await;
    assert_eq!(world.temporaries("inbox"), Vec::<std::path::PathBuf>::new());
    assert_eq!((before, world.own_files("inbox", "tmp").len()), (3, 1));
    assert_eq!(world.gateway.rescan().await.unwrap().recorded, 0);
}

#[tokio::test]
async fn a_stop_in_order_leaves_no_journal() {
    let world = World::new().await;
    let journal = world.path("inbox", ".daybook/journal");
    world
        .client
        .put("inbox", "large", vec![b'x'; 65 << 10])
        .await
        .expect(200);
    assert!(!journal.exists());
    world
        .client
        .put("inbox", "small", "hello")
        .await
        .expect(200);
    assert_eq!(world.own_files("inbox", "journal").len(), 1);
    assert!(!world.path("results", ".daybook/journal").exists());
    let world = world.reopen().await;
    assert!(!journal.exists());
    let got = world.client.get("inbox", "small").await.expect(200);
    assert_eq!(got.text(), "hello");
    assert_eq!(world.gateway.rescan().await.unwrap().recorded, 0);
}

#[tokio::test]
async fn a_write_that_was_not_acknowledged_is_recorded_as_it_was() {
    let world = World::new().await;
    world.ledger.fail(true);
    for key in ["plain", "../hidden"] {
        world.client.put("inbox", key, "hello").await.expect(503);
    }
    world.ledger.fail(false);
    let world = world.reopen().await;
    let report = world.gateway.rescan().await.unwrap();
    assert_eq!(
        (report.recorded, report.unsettled, report.failed.len()),
        (2, 0, 0)
    );
    for created in world.ledger.created() {
        assert_eq!(created.channel, Channel::Listing);
        let got = world
            .client
            .get("inbox", created.key.as_str())
            .await
            .expect(200);
        assert_eq!(
            got.header("x-amz-version-id"),
            created.version.version_id.as_deref()
        );
    }
    assert_eq!(world.gateway.rescan().await.unwrap().recorded, 0);
}

#[tokio::test]
async fn an_unrecorded_version_is_recorded_before_it_is_overwritten() {
    let world = World::new().await;
    world.ledger.fail(true);
    world.client.put("inbox", "k", "one").await.expect(503);
    world.ledger.fail(false);
    world.client.put("inbox", "k", "two").await.expect(200);
    let sizes: Vec<_> = world
        .ledger
        .created()
        .iter()
        .map(|c| (c.channel.clone(), c.order.clone()))
        .collect();
    let [(Channel::Listing, first), (Channel::Gateway, second)] = &sizes[..] else {
        panic!("both, in order: {sizes:?}")
    };
    assert!(first.as_ref().unwrap().sequencer < second.as_ref().unwrap().sequencer);
}

#[tokio::test]
async fn files_from_outside_are_recorded_once_settled() {
    let world = World::new().await;
    let path = world.path("inbox", "drop/report.csv");
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "hello").unwrap();
    let report = world.gateway.rescan().await.unwrap();
    assert_eq!((report.recorded, report.unsettled), (0, 1));
    settle(&path, 10);
    assert_eq!(world.gateway.rescan().await.unwrap().recorded, 1);
    assert_eq!(world.gateway.rescan().await.unwrap().recorded, 0);

    // Edited in place: another version, although the old stamp is still on the file.
    std::fs::write(&path, "changed").unwrap();
    settle(&path, 5);
    assert_eq!(world.gateway.rescan().await.unwrap().recorded, 1);
    let created = world.ledger.created();
    assert_eq!(created[1].version.size, Some(7));
    assert_ne!(created[0].version.stamp, created[1].version.stamp);
    let got = world
        .client
        .get("inbox", "drop/report.csv")
        .await
        .expect(200);
    assert_eq!(
        (got.text().as_str(), got.header("content-type")),
        ("changed", Some("binary/octet-stream"))
    );
}

#[tokio::test]
async fn an_edited_object_is_not_taken_for_its_old_self() {
    let world = World::new().await;
    let put = world
        .client
        .put_with("inbox", "k", &[("x-amz-meta-a", "1")], "hello")
        .await
        .expect(200);
    std::fs::write(world.path("inbox", "k"), "other").unwrap();
    settle(&world.path("inbox", "k"), 60);
    let got = world.client.get("inbox", "k").await.expect(200);
    assert_eq!(
        (got.text().as_str(), got.header("x-amz-meta-a")),
        ("other", None)
    );
    assert_ne!(
        got.header("x-amz-version-id"),
        put.header("x-amz-version-id")
    );
    assert_eq!(world.gateway.rescan().await.unwrap().recorded, 1);
}

#[tokio::test]
async fn a_copy_by_hand_is_another_object_although_it_carries_the_stamp() {
    let world = World::new().await;
    world.client.put("inbox", "a", "hello").await.expect(200);
    let (from, to) = (world.path("inbox", "a"), world.path("inbox", "b"));
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([from, to])
        .status()
        .unwrap();
    assert!(copied.success());
    settle(&world.path("inbox", "b"), 60);
    assert_eq!(world.gateway.rescan().await.unwrap().recorded, 1);
    assert_eq!(world.ledger.created()[1].key.as_str(), "b");
}

#[tokio::test]
async fn a_removal_that_was_not_recorded_is_made_good() {
    let world = World::new().await;
    world.client.put("inbox", "k", "hello").await.expect(200);
    world.ledger.fail(true);
    world
        .client
        .delete("inbox", "k")
        .await
        .refused(503, "ServiceUnavailable");
    world.ledger.fail(false);
    let world = world.reopen().await;
    assert_eq!(world.gateway.rescan().await.unwrap().removals, 1);
    assert_eq!(world.gateway.rescan().await.unwrap().removals, 0);
    let world = world.reopen().await;
    assert_eq!(world.gateway.rescan().await.unwrap().removals, 0);
    assert!(matches!(
        world.ledger.commands()[..],
        [_, ObjectCommand::RecordRemoved(_)]
    ));
}

#[tokio::test]
async fn kept_versions_go_after_retain() {
    for (retain, status) in [(Duration::ZERO, 404), (Duration::from_secs(3600), 200)] {
        let world = World::with(Limits::default(), retain).await;
        let first = world.client.put("inbox", "k", "one").await.expect(200);
        world.client.put("inbox", "k", "two").await.expect(200);
        let world = world.reopen().await;
        let version = first.header("x-amz-version-id").unwrap();
        world
            .client
            .get_version("inbox", "k", version)
            .await
            .expect(status);
        assert_eq!(
            world.client.get("inbox", "k").await.expect(200).text(),
            "two"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_takes_no_folder_from_under_a_write() {
    for (retain, status) in [(Duration::ZERO, 404), (Duration::from_secs(3600), 200)] {
        let limits = Limits {
            sweep_every: Duration::from_micros(100),
            ..Limits::default()
        };
        let world = World::with(limits, retain).await;
        tokio::spawn(Arc::clone(&world.gateway).watch(world.shutdown.clone()));
        // The first version that is kept of a key makes a folder, which is empty for a moment.
        for key in (0..200).map(|number| format!("k{number}")) {
            let first = world.client.put("inbox", &key, "one").await.expect(200);
            world.client.put("inbox", &key, "two").await.expect(200);
            let version = first.header("x-amz-version-id").unwrap();
            let kept = world.client.get_version("inbox", &key, version).await;
            // Without retention it goes at the next sweep; that may not have come yet.
            assert!([200, status].contains(&kept.status), "{}", kept.text());
            world.client.delete("inbox", &key).await.expect(204);
        }
    }
}

#[tokio::test]
async fn a_kept_version_that_never_was_replaced_is_unlinked() {
    let world = World::new().await;
    let put = world.client.put("inbox", "k", "one").await.expect(200);
    let other = world.client.put("inbox", "other", "one").await.expect(200);
    world.client.put("inbox", "other", "two").await.expect(200);
    drop(other);
    // As a crash between the two steps of an overwrite leaves it.
    let [folder] = &world.own_files("inbox", "versions")[..] else {
        panic!("one key has kept versions")
    };
    let digest = hex::encode(<sha2::Sha256 as sha2::Digest>::digest("k"));
    assert_ne!(*folder, digest);
    let versions = world.path("inbox", ".daybook/versions").join(&digest);
    std::fs::create_dir(&versions).unwrap();
    let kept = versions.join(put.header("x-amz-version-id").unwrap());
    std::fs::hard_link(world.path("inbox", "k"), &kept).unwrap();
    let world = world.reopen().await;
    assert!(!kept.exists());
    assert_eq!(
        world.client.get("inbox", "k").await.expect(200).text(),
        "one"
    );
}

#[tokio::test]
async fn uploads_that_nobody_finishes_are_removed() {
    let limits = Limits {
        upload_retain: Duration::ZERO,
        ..Limits::default()
    };
    let world = World::with(limits, Duration::from_secs(60)).await;
    let reply = world
        .client
        .send("POST", "inbox", "big", &[("uploads", "")], &[], b"")
        .await;
    reply.expect(200);
    assert_eq!(world.own_files("inbox", "uploads").len(), 1);
    let world = world.reopen().await;
    assert_eq!(world.own_files("inbox", "uploads").len(), 0);
}

#[tokio::test]
async fn metadata_too_large_for_an_attribute_lies_beside_and_goes_with_its_version() {
    let limits = Limits {
        max_metadata_bytes: 100_000,
        max_header_bytes: 256 << 10,
        ..Limits::default()
    };
    let world = World::with(limits, Duration::ZERO).await;
    let large = "x".repeat(80_000);
    let headers = [("x-amz-meta-large", large.as_str())];
    let first = world
        .client
        .put_with("inbox", "k", &headers, "one")
        .await
        .expect(200);
    let second = world
        .client
        .put_with("inbox", "k", &headers, "two")
        .await
        .expect(200);
    assert_eq!(world.own_files("inbox", "meta").len(), 2);
    for (put, expect) in [(&first, "one"), (&second, "two")] {
        let version = put.header("x-amz-version-id").unwrap();
        let got = world
            .client
            .get_version("inbox", "k", version)
            .await
            .expect(200);
        assert_eq!(
            (got.text().as_str(), got.header("x-amz-meta-large")),
            (expect, Some(large.as_str()))
        );
    }
    let world = world.reopen().await;
    assert_eq!(world.own_files("inbox", "meta").len(), 1);
    assert_eq!(world.gateway.rescan().await.unwrap().recorded, 0);
    let got = world.client.get("inbox", "k").await.expect(200);
    assert_eq!(
        got.header("x-amz-version-id"),
        second.header("x-amz-version-id")
    );
    world.client.delete("inbox", "k").await.expect(204);
    let world = world.reopen().await;
    assert_eq!(world.own_files("inbox", "meta").len(), 0);
}
