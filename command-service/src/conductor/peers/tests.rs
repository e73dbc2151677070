use super::*;

const LEASE: Duration = Duration::from_secs(15);

fn worker(id: u128) -> WorkerId {
    WorkerId(Uuid::from_u128(id))
}

fn item(id: u128) -> Uuid {
    Uuid::from_u128(id + 1_000)
}

fn live(ids: std::ops::Range<u128>) -> BTreeMap<WorkerId, LiveWorker> {
    let leased = LiveWorker {
        lease_ms: Some(15_000),
        renewal: 3,
        ..LiveWorker::default()
    };
    ids.map(|id| (worker(id), leased.clone())).collect()
}

#[test]
fn each_item_has_one_owner_and_all_get_a_share() {
    let mut shares: BTreeMap<WorkerId, usize> = BTreeMap::new();
    for id in 0..4_000 {
        let owner = owner(item(id), (0..4).map(worker)).unwrap();
        *shares.entry(owner).or_default() += 1;
    }
    assert_eq!(shares.len(), 4);
    assert!(
        shares.values().all(|share| (800..1_200).contains(share)),
        "{shares:?}"
    );
    assert_eq!(owner(item(1), std::iter::empty()), None);
}

#[test]
fn when_a_worker_goes_only_its_own_items_move() {
    let gone = worker(2);
    for id in 0..1_000 {
        let before = owner(item(id), (0..4).map(worker));
        let after = owner(
            item(id),
            (0..4).map(worker).filter(|worker| *worker != gone),
        );
        if before != Some(gone) {
            assert_eq!(after, before);
        }
    }
}

#[test]
fn an_idle_worker_is_never_overdue() {
    let (workers, now) = (live(1..3), Instant::now());
    let mut peers = Peers::new(worker(1));
    peers.heard(worker(2), now);
    assert_eq!(peers.next_due(&workers, now), None);
    assert_eq!(peers.overdue(&workers, now + 10 * LEASE), []);
}

#[test]
fn one_that_has_work_and_does_not_renew_is_overdue_after_its_lease() {
    let (workers, now) = (live(1..3), Instant::now());
    let mut peers = Peers::new(worker(1));
    peers.heard(worker(2), now);
    let later = now + Duration::from_secs(100);
    peers.assign(item(1), Some(worker(2)), later);
    assert_eq!(peers.overdue(&workers, later + LEASE / 2), []);
    assert_eq!(peers.next_due(&workers, later), Some(later + LEASE));
    peers.heard(worker(2), later + LEASE / 2);
    assert_eq!(peers.overdue(&workers, later + LEASE), []);
    let due = later + LEASE + LEASE / 2;
    assert_eq!(peers.overdue(&workers, due), [(worker(2), 3)]);
    assert_eq!(peers.overdue(&workers, due), [], "it was just said");
    assert_eq!(peers.overdue(&workers, due + ASK_AGAIN), [(worker(2), 3)]);
}

#[test]
fn what_is_done_burdens_no_more() {
    let (workers, now) = (live(1..3), Instant::now());
    let mut peers = Peers::new(worker(1));
    peers.assign(item(1), Some(worker(2)), now);
    peers.assign(item(1), Some(worker(1)), now);
    assert!(peers.is_burdened());
    peers.assign(item(1), None, now);
    peers.assign(item(1), None, now);
    assert!(!peers.is_burdened());
    assert_eq!(peers.overdue(&workers, now + 10 * LEASE), []);
}

#[test]
fn this_worker_and_one_without_a_lease_are_never_overdue() {
    let mut workers = live(1..3);
    let now = Instant::now();
    workers.entry(worker(2)).or_default().lease_ms = None;
    let mut peers = Peers::new(worker(1));
    peers.assign(item(1), Some(worker(1)), now);
    peers.assign(item(2), Some(worker(2)), now);
    assert_eq!(peers.overdue(&workers, now + 10 * LEASE), []);
}

#[test]
fn not_all_say_it_at_once() {
    let (workers, now) = (live(1..6), Instant::now());
    let mut dues: Vec<_> = (2..6)
        .map(|me| {
            let mut peers = Peers::new(worker(me));
            peers.assign(item(1), Some(worker(1)), now);
            peers.next_due(&workers, now + LEASE).unwrap() - now - LEASE
        })
        .collect();
    dues.sort();
    assert_eq!(dues, [0, 1, 2, 3].map(|rank| STAGGER * rank));
}
