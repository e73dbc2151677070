//! A process that serves a shared folder is killed, and another makes good what it left.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use daybook_domain::stored_object::ObjectCommand;
use daybook_domain::{Chain, ExecutionId, FunctionName};
use daybook_s3_gateway::{
    Gateway, InvocationScope, LedgerError, Limits, ObjectLedger, Policy, Publish,
};
use rustix::process::{Pid, Signal};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::client::{Client, finish};
use super::kills::FileLedger;
use super::sharing::{Shared, limits};
use super::world::config;

/// Where this binary, started as [`another_process`], finds the folder.
const FOLDER: &str = "DAYBOOK_TEST_SHARED_FOLDER";

/// How long the other process may run functions.
const LEASE: Duration = Duration::from_secs(1);

/// A file in which it has everything recorded. Without one it never gets anything recorded.
const LEDGER: &str = "DAYBOOK_TEST_LEDGER";

/// A gateway in a process of its own.
pub struct Process {
    pub child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub client: Client,
}

impl Process {
    async fn start(folder: &Path) -> Process {
        Process::run(&mut Process::command(folder)).await
    }

    pub async fn start_recording(folder: &Path, ledger: &Path) -> Process {
        Process::run(Process::command(folder).env(LEDGER, ledger)).await
    }

    fn command(folder: &Path) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "succession::another_process", "--nocapture"])
            .env(FOLDER, folder)
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    async fn run(command: &mut Command) -> Process {
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let mut process = Process {
            child,
            lines: BufReader::new(stdout).lines(),
            client: Client {
                address: ([127, 0, 0, 1], 0).into(),
                access_key: "tests".to_owned(),
                secret_key: "a-secret".to_owned(),
            },
        };
        process.client.address = process.says("listening").await.parse().unwrap();
        process
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        rustix::process::kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Waits for a line that begins like this and gives the rest of it.
    async fn says(&mut self, word: &str) -> String {
        while let Some(line) = self.lines.next_line().await.unwrap() {
            if let Some((_, rest)) = line.split_once(&format!("{word} ")) {
                return rest.to_owned();
            }
        }
        panic!("the process ended before it said {word}")
    }
}

/// Says what it is asked to record, and leaves it at that.
struct Stuck;

#[async_trait]
impl ObjectLedger for Stuck {
    async fn record(&self, command: ObjectCommand) -> Result<(), LedgerError> {
        match command {
            ObjectCommand::RecordCreated(it) => say(format_args!("created {}", it.key)),
            ObjectCommand::RecordRemoved(it) => say(format_args!("removed {}", it.key)),
            other => say(format_args!("{other:?}")),
        }
        std::future::pending().await
    }
}

#[expect(clippy::print_stdout, reason = "what the parent process reads")]
fn say(what: std::fmt::Arguments<'_>) {
    println!("{what}");
}

/// The body of the other process; by itself it does nothing.
#[tokio::test]
async fn another_process() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let config = config(folder.as_ref(), limits(), Duration::from_secs(60), true);
    let ledger: Arc<dyn ObjectLedger> = match std::env::var_os(LEDGER) {
        Some(path) => Arc::new(FileLedger(path.into())),
        None => Arc::new(Stuck),
    };
    let gateway = Gateway::open(config, ledger).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    say(format_args!("listening {}", listener.local_addr().unwrap()));
    let (grants, function) = (gateway.grants(), FunctionName::parse("f").unwrap());
    let policy = Policy {
        read: Vec::new(),
        write: vec!["inbox/*".to_owned()],
    };
    let key = grants.issue(&function, policy);
    let scope = InvocationScope {
        execution: ExecutionId(Uuid::from_u128(1)),
        task: 1,
        attempt: 1,
        function,
        trigger: None,
        publish: Publish::Immediately,
        shadow: None,
        chain: Chain::default(),
    };
    grants.valid_until(Some(Instant::now() + LEASE));
    grants.begin(&key.access_key, scope);
    say(format_args!("key {} {}", key.access_key, key.secret_key));
    let shutdown = CancellationToken::new();
    tokio::spawn(Arc::clone(&gateway).watch(shutdown.clone()));
    gateway.serve(listener, shutdown).await.unwrap();
}

#[tokio::test]
async fn what_a_killed_process_left_is_made_good_by_another() {
    for it_leads in [true, false] {
        let mut shared = Shared::new(0).await;
        shared.join(impatient()).await;
        let own = shared.peers[0].client.clone();
        let watch = |shared: &Shared| {
            let Some(peer) = shared.peers.first() else {
                panic!("one was opened")
            };
            tokio::spawn(Arc::clone(&peer.gateway).watch(peer.shutdown.clone()));
        };
        own.put("inbox", "removed", "x").await.expect(200);
        std::fs::write(shared.path("by-hand"), "x").unwrap();
        let mut process = if it_leads {
            let mut process = Process::start(shared.folder.path()).await;
            // Who leads proposes what comes from outside.
            assert_eq!(process.says("created").await, "by-hand");
            watch(&shared);
            process
        } else {
            watch(&shared);
            shared.ledger.until(2).await;
            Process::start(shared.folder.path()).await
        };
        let before = shared.ledger.commands().len();

        // One write is visible and not recorded, one removal too, and one body has half come in.
        let its = process.client.clone();
        let mut put = its.begin("PUT", "inbox", "put", &[], &[], 1).await;
        put.write_all(b"x").await.unwrap();
        assert_eq!(process.says("created").await, "put");
        let _delete = its.begin("DELETE", "inbox", "removed", &[], &[], 0).await;
        assert_eq!(process.says("removed").await, "removed");
        let mut half = its.begin("PUT", "inbox", "half", &[], &[], 4 << 20).await;
        half.write_all(&vec![b'x'; 2 << 20]).await.unwrap();
        let locked = own.put("inbox", "put", "other").await;
        locked.refused(503, "SlowDown");
        assert_eq!(own.get("inbox", "put").await.expect(200).text(), "x");
        assert_eq!(shared.ledger.commands().len(), before);

        process.child.kill().await.unwrap();
        shared.ledger.until(4).await;
        let mut made_good: Vec<String> = shared.ledger.commands()[before..]
            .iter()
            .map(|command| match command {
                ObjectCommand::RecordCreated(it) => format!("+{}", it.key),
                ObjectCommand::RecordRemoved(it) => format!("-{}", it.key),
                other => format!("{other:?}"),
            })
            .collect();
        made_good.sort();
        let expect: &[&str] = if it_leads {
            &["+by-hand", "+put", "-removed"]
        } else {
            &["+put", "-removed"]
        };
        assert_eq!(made_good, expect, "it leads: {it_leads}");
        while own.put("inbox", "put", "other").await.status == 503 {
            // The leader may be looking at it.
        }
        let got = own.get("inbox", "put").await.expect(200);
        assert_eq!(got.text(), "other");
        own.get("inbox", "half").await.refused(404, "NoSuchKey");
        let processes = std::fs::read_dir(shared.path(".daybook/tmp")).unwrap();
        assert_eq!(processes.count(), 1, "it leads: {it_leads}");
    }
}

#[tokio::test]
async fn a_process_that_was_stopped_past_its_lease_writes_nothing_when_it_goes_on() {
    let shared = Shared::new(1).await;
    let mut process = Process::start(shared.folder.path()).await;
    let key = process.says("key").await;
    let over = Instant::now() + LEASE;
    let (access_key, secret_key) = key.split_once(' ').unwrap();
    let function = Client {
        address: process.client.address,
        access_key: access_key.to_owned(),
        secret_key: secret_key.to_owned(),
    };
    let body = vec![b'x'; 3 << 20];
    let mut put = function
        .begin("PUT", "inbox", "k", &[], &[], body.len())
        .await;
    // Half of it has come in when the process is stopped.
    put.write_all(&body[..2 << 20]).await.unwrap();
    while shared.temporaries() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    process.signal(Signal::STOP);
    tokio::time::sleep_until(over.into()).await;
    process.signal(Signal::CONT);
    put.write_all(&body[2 << 20..]).await.unwrap();
    finish(put).await.refused(403, "AccessDenied");
    let own = &shared.peers[0].client;
    own.get("inbox", "k").await.refused(404, "NoSuchKey");
    own.put("inbox", "k", "own").await.expect(200);
}

/// Does not wait long for a key that the other process has.
fn impatient() -> Limits {
    Limits {
        lock_wait: Duration::from_millis(50),
        ..limits()
    }
}
