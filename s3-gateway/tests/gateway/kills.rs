//! Processes that share a folder are killed at any moment, again and again. In the end the ledger
//! and the folder say the same, and nothing that was acknowledged is missing.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use daybook_domain::stored_object::ObjectCommand;
use daybook_s3_gateway::{LedgerError, ObjectLedger};
use tokio::sync::mpsc;

use super::client::Client;
use super::sharing::{Shared, limits};
use super::succession::Process;

/// How often one of the two processes is killed.
const KILLS: usize = 8;

/// A ledger that several processes append to, one line a command.
pub struct FileLedger(pub PathBuf);

#[async_trait]
impl ObjectLedger for FileLedger {
    async fn record(&self, command: ObjectCommand) -> Result<(), LedgerError> {
        let mut file = (std::fs::File::options().append(true).create(true))
            .open(&self.0)
            .unwrap();
        let line = format!("{}\n", Line::of(&command).text());
        file.write_all(line.as_bytes()).unwrap();
        Ok(())
    }
}

/// What counts of a command.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Line {
    key: String,
    removed: bool,
    version: String,
    sequencer: String,
}

impl Line {
    fn of(command: &ObjectCommand) -> Line {
        let (key, removed, version, order) = match command {
            ObjectCommand::RecordCreated(it) => (&it.key, false, &it.version, &it.order),
            ObjectCommand::RecordRemoved(it) => (&it.key, true, &it.version, &it.order),
            _ => panic!("{command:?}"),
        };
        Line {
            key: key.to_string(),
            removed,
            version: version.version_id.clone().unwrap(),
            sequencer: order.clone().unwrap().sequencer,
        }
    }

    fn text(&self) -> String {
        let Line {
            key,
            removed,
            version,
            sequencer,
        } = self;
        format!("{key} {removed} {version} {sequencer}")
    }

    fn parse(text: &str) -> Line {
        let [key, removed, version, sequencer] = text.split(' ').collect::<Vec<_>>()[..] else {
            panic!("a torn line: {text}")
        };
        Line {
            key: key.to_owned(),
            removed: removed.parse().unwrap(),
            version: version.to_owned(),
            sequencer: sequencer.to_owned(),
        }
    }
}

/// Writes and removes until it is told to stop or its process is gone; says which versions were
/// acknowledged.
async fn write(
    client: Client,
    number: usize,
    stop: Arc<AtomicBool>,
    acknowledged: mpsc::UnboundedSender<String>,
) {
    for round in number.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let (client, key) = (client.clone(), format!("k{}", round % 3));
        // The client panics when its connection breaks.
        let request = tokio::spawn(async move {
            match round % 4 {
                3 => client.delete("inbox", &key).await,
                _ => client.put("inbox", &key, round.to_string()).await,
            }
        });
        match request.await {
            Ok(reply) => {
                let version = reply.header("x-amz-version-id").map(str::to_owned);
                acknowledged.send(version.unwrap_or_default()).unwrap();
            }
            Err(_) => return,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_nothing_acknowledged_is_lost() {
    let mut shared = Shared::new(0).await;
    let (folder, file) = (shared.folder.path(), shared.folder.path().join("ledger"));
    let mut processes = Vec::new();
    for _ in 0..2 {
        processes.push(Process::start_recording(folder, &file).await);
    }
    let mut versions = HashSet::new();
    for kill in 0..KILLS {
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, mut acknowledged) = mpsc::unbounded_channel();
        let writers: Vec<_> = (0..6)
            .map(|number| {
                let client = processes[number % 2].client.clone();
                tokio::spawn(write(client, number, Arc::clone(&stop), sender.clone()))
            })
            .collect();
        drop(sender);
        // The moment differs from time to time, if only by what the machine does.
        for _ in 0..7 + 3 * kill {
            versions.extend(acknowledged.recv().await);
        }
        processes[kill % 2].child.kill().await.unwrap();
        for _ in 0..4 {
            versions.extend(acknowledged.recv().await);
        }
        stop.store(true, Ordering::SeqCst);
        for writer in writers {
            writer.await.unwrap();
        }
        while let Some(version) = acknowledged.recv().await {
            versions.insert(version);
        }
        processes[kill % 2] = Process::start_recording(folder, &file).await;
    }
    for mut process in processes {
        process.child.kill().await.unwrap();
    }
    // A last one finds what is left.
    let client = shared.join(limits()).await.client.clone();
    let found = shared.peers[0].gateway.rescan().await.unwrap();
    assert_eq!((found.unsettled, found.failed.len()), (0, 0), "{found:?}");
    // The machine went on, so the journals of the dead were needed no more.
    let journals = std::fs::read_dir(shared.path(".daybook/journal"));
    assert_eq!(journals.into_iter().flatten().count(), 0);

    let text = std::fs::read_to_string(&file).unwrap();
    let left = shared.ledger.commands();
    let lines = (text.lines().map(Line::parse)).chain(left.iter().map(Line::of));
    let mut keys: BTreeMap<String, Vec<Line>> = BTreeMap::new();
    let mut seen = HashSet::new();
    // One that was recorded and not marked so is proposed again.
    for line in lines.filter(|line| seen.insert(line.clone())) {
        versions.remove(&line.version);
        keys.entry(line.key.clone()).or_default().push(line);
    }
    versions.remove("");
    assert!(versions.is_empty(), "not in the ledger: {versions:?}");
    for (key, lines) in keys {
        let created: Vec<_> = lines.iter().filter(|line| !line.removed).collect();
        assert!(created.is_sorted_by(|a, b| a.sequencer < b.sequencer));
        let last = lines.iter().max_by_key(|line| &line.sequencer).unwrap();
        let got = client.get("inbox", &key).await;
        let there = got.header("x-amz-version-id");
        assert_eq!(there, (!last.removed).then_some(last.version.as_str()));
    }
}
