//! Servers that people's functions run in: scripts of `tests/clients` that print `listening URL`
//! first, and then a line for each thing that a test wants to know.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::PATIENCE;
use super::clients::installed;

/// A running script. Dropping it kills it.
pub(crate) struct Helper {
    /// `http://ADDRESS:PORT`.
    pub(crate) url: String,
    got: Arc<Mutex<Vec<Value>>>,
    _child: Child,
}

impl Helper {
    /// Starts a script in Node.js (`.cjs`) or Python, and waits until it listens.
    pub(crate) async fn start(script: &str, arguments: &[&str]) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("clients")
            .join(script);
        let mut command = match script.ends_with(".cjs") {
            true => Command::new("node"),
            false => Command::new(installed("DAYBOOK_TEST_PYTHON")),
        };
        if script.ends_with(".cjs") {
            command.env("NODE_MODULES", installed("DAYBOOK_TEST_NODE_MODULES"));
        }
        let mut child = command
            .arg(path)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        let stdout = child.stdout.take().expect("it is piped");
        let got = Arc::new(Mutex::new(Vec::new()));
        let (found, url) = tokio::sync::oneshot::channel();
        let keep = Arc::clone(&got);
        tokio::spawn(async move {
            let mut found = Some(found);
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                match line.split_once(' ') {
                    Some(("listening", url)) => {
                        let found = found.take().expect("it says that once");
                        let _ = found.send(url.to_owned());
                    }
                    Some(("got", what)) => {
                        let what = serde_json::from_str(what).expect("JSON");
                        keep.lock().expect("nobody panics with it").push(what);
                    }
                    _ => println!("{line}"),
                }
            }
        });
        let url = tokio::time::timeout(PATIENCE, url).await;
        Self {
            url: url.expect("it listens in time").expect("it says where"),
            got,
            _child: child,
        }
    }

    /// What it was given so far.
    pub(crate) fn got(&self) -> Vec<Value> {
        self.got.lock().expect("nobody panics with it").clone()
    }
}
