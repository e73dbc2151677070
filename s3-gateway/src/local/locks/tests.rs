use tempfile::TempDir;

use super::super::scan::prepare;
use super::*;

const LONG: Duration = Duration::from_secs(600);

fn key(name: &str) -> Digest {
    Digest::of_key(name)
}

/// The locks of so many processes that share a folder.
fn processes(root: &TempDir, count: usize) -> Vec<Arc<KeyLocks>> {
    prepare(root.path()).unwrap();
    let open = || Arc::new(KeyLocks::new(FolderLock::open(root.path(), true).ok()));
    (0..count).map(|_| open()).collect()
}

#[tokio::test]
async fn a_key_is_locked_for_one_task_of_one_process() {
    let root = TempDir::new().unwrap();
    let [a, b] = &processes(&root, 2)[..] else {
        unreachable!("two were asked for")
    };
    let held = a.lock(key("k"), LONG).await.unwrap();
    assert!(a.try_lock(key("k")).unwrap().is_none());
    assert!(b.try_lock(key("k")).unwrap().is_none());
    let refused = b.lock(key("k"), Duration::from_millis(5)).await;
    assert!(matches!(refused, Err(StoreError::Busy)), "{refused:?}");
    drop(b.lock(key("other"), LONG).await.unwrap());
    drop(held);
    drop(b.lock(key("k"), LONG).await.unwrap());
    assert!(a.try_lock(key("k")).unwrap().is_some());
    assert!(a.held().is_empty() && b.held().is_empty());
}

#[tokio::test]
async fn who_waits_in_another_process_comes_before_ones_own_next() {
    let root = TempDir::new().unwrap();
    let [a, b] = &processes(&root, 2)[..] else {
        unreachable!("two were asked for")
    };
    let observer = FolderLock::open(root.path(), true).unwrap();
    let served: Arc<Mutex<Vec<&str>>> = Arc::default();
    let next = |locks: &Arc<KeyLocks>, name| {
        let (locks, served) = (Arc::clone(locks), Arc::clone(&served));
        tokio::spawn(async move {
            let _guard = locks.lock(key("k"), LONG).await.unwrap();
            served.lock().unwrap().push(name);
        })
    };
    let held = a.lock(key("k"), LONG).await.unwrap();
    let theirs = next(b, "theirs");
    while observer.try_hold(Slot::Turn(key("k"))).unwrap().is_some() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let own = next(a, "own");
    tokio::task::yield_now().await;
    drop(held);
    own.await.unwrap();
    theirs.await.unwrap();
    assert_eq!(*served.lock().unwrap(), ["theirs", "own"]);
}
