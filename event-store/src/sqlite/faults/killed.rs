//! A writer that is killed, over and over, on one log. The test starts its own program again as
//! that writer, which prints what was acknowledged.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::open;
use crate::conformance::fixture::append;
use crate::{Append, EventLog, Expected, Position};

/// How often the writer is killed; more can be asked for.
const ROUNDS: u64 = 20;
const ROUNDS_VARIABLE: &str = "DAYBOOK_TEST_KILL_ROUNDS";
/// In the environment of the writer: where its log is, and where its ids begin.
const LOG_VARIABLE: &str = "DAYBOOK_TEST_KILLED_LOG";
const FIRST_VARIABLE: &str = "DAYBOOK_TEST_KILLED_FIRST";
/// Ids that one writer may use.
const IDS: u128 = 1_000_000;
const CLIENTS: u128 = 8;
const ACKNOWLEDGED: &str = "acknowledged";

#[tokio::test]
async fn what_a_killed_writer_acknowledged_is_there() {
    let rounds = std::env::var(ROUNDS_VARIABLE);
    let rounds = rounds.map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.sqlite");
    let mut chance = StdRng::seed_from_u64(rounds);
    let (mut head, mut acknowledged_ever) = (Position::START, 0);
    for round in 0..rounds {
        let writer = start_writer(&path, u128::from(round) * IDS);
        let acknowledged = kill_after(writer, chance.random_range(1..60));
        assert!(!acknowledged.is_empty());
        acknowledged_ever += acknowledged.len();
        let log = open(&path);
        head = check_round(&*log, head, &acknowledged).await;
    }
    let log = open(&path);
    assert_eq!(log.check_storage().await.unwrap(), Vec::<String>::new());
    println!("{rounds} writers killed, {acknowledged_ever} appends acknowledged, none lost");
}

/// What is new since the last round has no gap and nothing twice, and all that was acknowledged.
async fn check_round(
    log: &dyn EventLog,
    before: Position,
    acknowledged: &[(u128, Position)],
) -> Position {
    let events = log.read_all(before, usize::MAX).await.unwrap();
    let mut seen = std::collections::HashMap::new();
    for (event, position) in events.iter().zip(before.0 + 1..) {
        assert_eq!(event.position.0, position);
        let twice = seen.insert(event.event_id.as_u128(), event.position);
        assert_eq!(twice, None, "an event is there twice");
    }
    for (id, position) in acknowledged {
        assert_eq!(seen.get(id), Some(position), "of append {id}");
    }
    events.last().map_or(before, |last| last.position)
}

fn start_writer(path: &Path, first: u128) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            &format!("{}::writes_until_killed", module()),
        ])
        .env(LOG_VARIABLE, path)
        .env(FIRST_VARIABLE, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The path of this module as the test runner knows it.
fn module() -> &'static str {
    module_path!().split_once("::").unwrap().1
}

/// Kills the writer when it has told of so many appends; returns all that it told of.
fn kill_after(mut writer: Child, count: usize) -> Vec<(u128, Position)> {
    let mut lines = BufReader::new(writer.stdout.take().unwrap()).split(b'\n');
    let mut acknowledged = Vec::new();
    while acknowledged.len() < count {
        let line = lines
            .next()
            .expect("the writer goes on until killed")
            .unwrap();
        acknowledged.extend(parse(&line));
    }
    writer.kill().unwrap();
    writer.wait().unwrap();
    acknowledged.extend(lines.map_while(Result::ok).filter_map(|line| parse(&line)));
    acknowledged
}

/// Other lines are the test runner's; the last one may be cut short, so each has an end.
fn parse(line: &[u8]) -> Option<(u128, Position)> {
    let line = std::str::from_utf8(line).ok()?;
    let rest = line.split_once(ACKNOWLEDGED)?.1.strip_suffix(" .")?;
    let (id, position) = rest.trim().split_once(' ')?;
    Some((id.parse().ok()?, Position(position.parse().ok()?)))
}

/// The writer: with a log of its own it writes a little and checks that this is all there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_until_killed() {
    if let Ok(path) = std::env::var(LOG_VARIABLE) {
        let first = std::env::var(FIRST_VARIABLE).unwrap().parse().unwrap();
        write(&PathBuf::from(path), first, u128::MAX).await;
    } else {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.sqlite");
        write(&path, 0, 5).await;
        assert_eq!(
            open(&path).head().await.unwrap(),
            Position(5 * CLIENTS as u64)
        );
    }
}

/// Several clients, so that commits are shared; each append is of one event.
async fn write(path: &Path, first: u128, each: u128) {
    let log = open(path);
    let clients = (0..CLIENTS).map(|client| {
        let log = log.clone();
        tokio::spawn(async move {
            for turn in 0..each {
                let id = first + turn * CLIENTS + client;
                let appended = log.append(one(id)).await.unwrap();
                let line = format!("{ACKNOWLEDGED} {id} {} .\n", appended.position);
                std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
            }
        })
    });
    futures::future::join_all(clients.collect::<Vec<_>>()).await;
}

fn one(id: u128) -> Append {
    append(&format!("s-{id}"), Expected::NoStream, id..id + 1)
}
