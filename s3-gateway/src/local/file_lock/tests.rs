use proptest::prelude::*;
use tempfile::TempDir;

use super::super::scan::prepare;
use super::*;

fn folder() -> TempDir {
    let root = TempDir::new().unwrap();
    prepare(root.path()).unwrap();
    root
}

fn shared(root: &TempDir) -> Arc<FolderLock> {
    FolderLock::open(root.path(), true).unwrap()
}

#[test]
fn a_folder_is_for_one_alone_or_for_all_that_share_it() {
    let root = folder();
    let refused = |shared| {
        let opened = FolderLock::open(root.path(), shared);
        opened.map(|_| ()).map_err(|e| e.kind()) == Err(io::ErrorKind::WouldBlock)
    };
    let sharing = (shared(&root), shared(&root));
    assert!(refused(false));
    drop(sharing);
    let alone = FolderLock::open(root.path(), false).unwrap();
    assert!(refused(true) && refused(false));
    drop(alone);
    assert!(!refused(true));
}

#[test]
fn what_one_holds_the_other_gets_when_it_is_released() {
    let root = folder();
    let (a, b) = (shared(&root), shared(&root));
    let slots = [
        Slot::Leader,
        Slot::Order,
        Slot::Key(Digest(7)),
        Slot::Turn(Digest(7)),
        Slot::Owner(Digest(7)),
    ];
    for slot in slots {
        let held = a.try_hold(slot).unwrap().unwrap();
        assert!(b.try_hold(slot).unwrap().is_none(), "{slot:?}");
        for other in slots.into_iter().filter(|other| *other != slot) {
            assert!(b.try_hold(other).unwrap().is_some(), "{slot:?} {other:?}");
        }
        drop(held);
        assert!(b.try_hold(slot).unwrap().is_some(), "{slot:?}");
    }
    let _held = a.try_hold(Slot::Order).unwrap().unwrap();
    let refused = b.hold_blocking(Slot::Order, Duration::ZERO);
    assert!(refused.unwrap().is_none());
}

#[tokio::test]
async fn who_waits_gets_it_next() {
    let root = folder();
    let (a, b) = (shared(&root), shared(&root));
    let held = a.try_hold(Slot::Leader).unwrap().unwrap();
    let waiting = tokio::spawn(async move { b.hold(Slot::Leader).await.map(|_| ()) });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    drop(held);
    waiting.await.unwrap().unwrap();
}

proptest! {
    #[test]
    fn no_two_slots_share_a_byte(a in 0..1_u64 << DIGEST_BITS, b in 0..1_u64 << DIGEST_BITS) {
        let slots = |n| [Slot::Key(Digest(n)), Slot::Turn(Digest(n)), Slot::Owner(Digest(n))];
        let fixed = [Slot::Folder, Slot::Leader, Slot::Order];
        let all: Vec<Slot> = slots(a).into_iter().chain(slots(b)).chain(fixed).collect();
        for x in &all {
            prop_assert!(x.byte() >= 0);
            for y in &all {
                prop_assert_eq!(x.byte() == y.byte(), x == y);
            }
        }
    }
}

#[test]
fn a_digest_is_read_from_names_of_files() {
    let name = super::super::key_path::digest("k");
    assert!(Digest::of_hex(&name).is_some());
    assert_eq!(Digest::of_hex("0000000000000aa"), Some(Digest(0xaa)));
    assert_eq!(
        Digest::of_hex("fffffffffffffff0"),
        Some(Digest(u64::MAX >> 4))
    );
    for other in ["", "lost+found", "00000000000000", "ééééééééééééééé"] {
        assert_eq!(Digest::of_hex(other), None, "{other}");
    }
}
