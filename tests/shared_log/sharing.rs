//! The processes share the work, and the roles can be apart.

use daybook_event_store::testing::postgres::TestDatabase;
use daybook_s3_gateway::client::S3Client;
use futures::StreamExt;
use futures::future::join_all;
use futures::stream;

use super::{WORKER, claims, quiet_log, told_claims, uppercase};
use crate::support::checks::{check_executions, check_log, complaints_of};
use crate::support::seeds::number;
use crate::support::{Server, eventually};

const WORKERS: usize = 4;
const PUTS_AT_A_TIME: usize = 64;
/// A longer run: `DAYBOOK_TEST_SHARED_OBJECTS=5000`.
const OBJECTS: u64 = 200;

/// Objects are put at each of them in turn; each of them runs some, whoever took them in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_workers_share_what_comes_in_at_any_of_them() {
    let database = TestDatabase::create().await;
    let ledger = uppercase(&database);
    let names: Vec<String> = (0..WORKERS)
        .map(|worker| format!("worker-{worker}"))
        .collect();
    let workers = join_all(names.iter().map(|name| ledger.start_as(name, WORKER))).await;
    let query = ledger.start_as("query", "query").await;
    all_joined(&query).await;

    let objects = usize::try_from(number("DAYBOOK_TEST_SHARED_OBJECTS", OBJECTS)).unwrap();
    let clients: Vec<_> = workers.iter().map(Server::client).collect();
    put(&clients, "object", objects).await;
    let log = quiet_log(&query, objects).await;
    check_log(&log);
    assert_eq!(check_executions(&log).len(), objects);

    let shares = claims(&log);
    println!("{shares:?}");
    assert_eq!(shares.len(), WORKERS, "each of them has its share");
    let mut sum = Claims::default();
    for worker in workers {
        sum.add(worker).await;
    }
    println!("{sum:?}");
    assert_eq!(sum.won, objects as u64);
    assert!(sum.lost * 20 < sum.won, "owners do not collide: {sum:?}");
}

/// Owners change with each that comes or goes; what is lost are claims, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_may_come_and_go_meanwhile() {
    let database = TestDatabase::create().await;
    let ledger = uppercase(&database);
    let rounds = usize::try_from(number("DAYBOOK_TEST_SHARED_ROUNDS", 3)).unwrap();
    let each = usize::try_from(number("DAYBOOK_TEST_SHARED_OBJECTS", OBJECTS)).unwrap() / 2;
    let staying = ledger.start_as("staying", WORKER).await;
    let query = ledger.start_as("query", "query").await;
    let mut guest = ledger.start_as("guest-0", WORKER).await;
    let mut sum = Claims::default();
    for round in 1..=rounds {
        let clients = [staying.client()];
        let (name, prefix) = (format!("guest-{round}"), format!("round-{round}"));
        let coming = async {
            let next = ledger.start_as(&name, WORKER).await;
            sum.add(std::mem::replace(&mut guest, next)).await;
        };
        tokio::join!(put(&clients, &prefix, each), coming);
    }
    let log = quiet_log(&query, rounds * each).await;
    check_log(&log);
    assert_eq!(check_executions(&log).len(), rounds * each);
    sum.add(guest).await;
    sum.add(staying).await;
    println!("{sum:?}");
    assert!(sum.won >= (rounds * each) as u64, "{sum:?}");
}

/// How the claims of several processes went.
#[derive(Debug, Default)]
struct Claims {
    won: u64,
    lost: u64,
}

impl Claims {
    /// Stops a worker in order, and adds what it says.
    async fn add(&mut self, worker: Server) {
        assert_eq!(complaints_of(&worker), Vec::<String>::new());
        let (status, said) = worker.stop().await;
        assert!(status.success(), "{status}\n{said}");
        let (won, lost) = told_claims(&said);
        self.won += won;
        self.lost += lost;
    }
}

/// Puts objects at the gateways in turn, some at a time.
async fn put(gateways: &[S3Client], prefix: &str, objects: usize) {
    let puts = (0..objects).map(|number| {
        let s3 = gateways[number % gateways.len()].clone();
        async move {
            let (key, body) = (format!("{prefix}-{number}.txt"), format!("text {number}"));
            s3.put("inbox", &key, body.into()).await.unwrap();
        }
    });
    stream::iter(puts)
        .buffer_unordered(PUTS_AT_A_TIME)
        .collect::<()>()
        .await;
}

async fn all_joined(query: &Server) {
    eventually("all workers have joined", || async {
        let joined = query.events(&["WorkerJoined"]).await.len();
        (joined >= WORKERS).then_some(())
    })
    .await;
}

/// Commands go to the one kind, questions to the other.
#[tokio::test]
async fn each_side_answers_for_itself() {
    let database = TestDatabase::create().await;
    let ledger = uppercase(&database);
    let worker = ledger.start_as("worker", WORKER).await;
    let query = ledger.start_as("query", "query").await;
    for server in [&worker, &query] {
        assert_eq!(server.get("/livez").await.0, 200);
        eventually("it is ready", || async {
            (server.get("/readyz").await.0 == 200).then_some(())
        })
        .await;
    }
    assert_eq!(worker.get("/graphql").await.0, 404);
    assert_eq!(query.s3, "");
    worker
        .client()
        .put("inbox", "a.txt", "a".into())
        .await
        .unwrap();
    let object = query.settled("inbox", "a.txt").await;
    assert_eq!(object["status"], "SUCCEEDED");
}

/// Its files are its own.
#[tokio::test]
async fn two_processes_with_one_data_directory_are_refused() {
    let database = TestDatabase::create().await;
    let ledger = uppercase(&database);
    let _first = ledger.start().await;
    let (code, said) = ledger.start_refused().await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("another --data-dir"), "{said}");
}
