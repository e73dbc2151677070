//! Leases on the memory log, in virtual time.

use std::sync::Mutex;

use daybook_event_store::blobs::BlobStore;
use tokio::time::{advance, sleep};

use super::*;
use crate::gated_log::{Gate, GatedLog};

const LENGTH: Duration = Duration::from_secs(15);
const OBSERVER: WorkerId = WorkerId(Uuid::max());

struct Given {
    ledger: Ledger,
    door: Arc<GatedLog>,
    worker: WorkerId,
    lease: Lease,
    fenced: Arc<Mutex<Vec<Instant>>>,
    _dir: tempfile::TempDir,
}

impl Given {
    async fn joined() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let blobs = BlobStore::open(dir.path().to_str().unwrap()).unwrap();
        let door = GatedLog::open();
        let ledger = Ledger::new(door.clone(), blobs, true);
        let worker = WorkerId(Uuid::from_u128(7));
        let fenced = Arc::<Mutex<Vec<Instant>>>::default();
        let told = fenced.clone();
        let fence: Fence = Arc::new(move |until| told.lock().unwrap().push(until.into()));
        let sent = Instant::now();
        let given = Self {
            lease: Lease::begin(Some(LENGTH), sent, fence),
            ledger,
            door,
            worker,
            fenced,
            _dir: dir,
        };
        let join = WorkerCommand::Join {
            worker,
            host: "laptop".to_owned(),
            version: "0.1.0".to_owned(),
            lease_ms: Some(15_000),
            functions: Default::default(),
        };
        given.command(join).await;
        given
    }

    async fn command(&self, command: WorkerCommand) {
        let origin = Origin {
            command: CommandId(Uuid::from_u128(1)),
            correlation: String::new(),
            causation: None,
            actor: "tests".to_owned(),
            traceparent: None,
        };
        let stream = stream_of(self.worker);
        let executed = self.ledger.execute::<Worker>(&stream, command, &origin);
        executed.await.unwrap();
    }

    fn keep(&self) -> tokio::task::JoinHandle<()> {
        let (lease, ledger, worker) = (self.lease.clone(), self.ledger.clone(), self.worker);
        tokio::spawn(async move { lease.keep(&ledger, worker).await })
    }

    async fn renewals(&self) -> u64 {
        let state: Worker = self
            .ledger
            .load(&stream_of(self.worker))
            .await
            .unwrap()
            .unwrap();
        state.renewal
    }
}

#[tokio::test(start_paused = true)]
async fn while_it_is_wanted_it_counts_and_goes_on() {
    let given = Given::joined().await;
    let _kept = given.keep();
    given.lease.want(true);
    let term = given.lease.hold().await.unwrap();
    sleep(LENGTH * 10).await;
    assert!(!term.is_cancelled());
    assert_eq!(given.renewals().await, 29);
    let fenced = given.fenced.lock().unwrap().clone();
    assert!(fenced.windows(2).all(|two| two[0] < two[1]));
    assert!(*fenced.last().unwrap() > Instant::now());
}

#[tokio::test(start_paused = true)]
async fn an_idle_one_lapses_without_a_word_and_comes_back_when_wanted() {
    let given = Given::joined().await;
    let _kept = given.keep();
    let term = given.lease.hold().await.unwrap();
    sleep(LENGTH * 10).await;
    assert!(term.is_cancelled());
    assert_eq!(given.renewals().await, 0);
    given.lease.want(true);
    let term = given.lease.hold().await.unwrap();
    assert!(!term.is_cancelled());
    assert_eq!(given.renewals().await, 1);
}

/// The log does not answer: what runs ends before the others may take over, and not when it
/// answers again.
#[tokio::test(start_paused = true)]
async fn without_an_answer_its_term_ends_before_the_lease() {
    let given = Given::joined().await;
    let _kept = given.keep();
    given.lease.want(true);
    let term = given.lease.hold().await.unwrap();
    let began = Instant::now();
    given.door.set(Gate::Shut);
    term.cancelled().await;
    assert!(began.elapsed() < LENGTH);
    given.door.set(Gate::Open);
    let next = given.lease.hold().await.unwrap();
    assert!(!next.is_cancelled());
    assert!(term.is_cancelled());
}

/// A renewal counts from when it was first sent: the others may have seen it then.
#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_late_gives_no_time() {
    let given = Given::joined().await;
    let _kept = given.keep();
    given.lease.want(true);
    given.door.set(Gate::Shut);
    sleep(LENGTH / 2).await;
    let answered = Instant::now();
    given.door.set(Gate::Open);
    sleep(Duration::from_millis(1)).await;
    let until = given.fenced.lock().unwrap()[1];
    assert!(until < answered + LENGTH * 3 / 4, "{:?}", until - answered);
}

#[tokio::test(start_paused = true)]
async fn one_that_others_took_for_gone_is_told_and_holds_nothing() {
    let given = Given::joined().await;
    let kept = given.keep();
    let term = given.lease.hold().await.unwrap();
    advance(LENGTH).await;
    let expire = WorkerCommand::Expire {
        worker: given.worker,
        renewal: 0,
        observer: OBSERVER,
    };
    given.command(expire).await;
    given.lease.want(true);
    kept.await.unwrap();
    assert!(term.is_cancelled());
    assert!(given.lease.hold().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn one_that_is_alone_always_counts() {
    let given = Given::joined().await;
    let lease = Lease::begin(
        None,
        Instant::now(),
        Arc::new(|_| panic!("nothing to fence")),
    );
    sleep(LENGTH * 10).await;
    assert!(!lease.hold().await.unwrap().is_cancelled());
    assert_eq!(given.renewals().await, 0);
}
