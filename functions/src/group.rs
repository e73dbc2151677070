//! A process group and the thread that waits for its leader: the group is killed as a whole, also
//! what its leader left behind, and only while its id is certainly still its own.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{io, thread};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::host::Shared;
use crate::meter::{Bounds, Metered};

/// Enough to wait, and to remove a folder afterwards.
const WATCHER_STACK_BYTES: usize = 512 << 10;

/// A process group, killed only while its id is certainly still its own.
pub(crate) struct Group {
    pub(crate) id: Pid,
    reaped: Mutex<bool>,
}

impl Group {
    /// Kills all of it.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Sends a signal to all of it.
    pub(crate) fn signal(&self, signal: Signal) {
        let reaped = self.lock();
        if !*reaped {
            // Fails only if nobody is left.
            let _ = rustix::process::kill_process_group(self.id, signal);
        }
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.reaped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches a child on a thread of its own until it ends; then kills what it left behind in its
/// group, before reaping it frees the group's id, and removes its folder.
pub(crate) fn watch(
    shared: &Arc<Shared>,
    child: Child,
    temporary: TempDir,
    bounds: Bounds,
) -> io::Result<(Arc<Metered>, watch::Receiver<Option<String>>)> {
    let id = Pid::from_child(&child);
    shared.watchdog.add(id);
    shared.processes.send_modify(|count| *count += 1);
    let group = Arc::new(Group {
        id,
        reaped: Mutex::new(false),
    });
    let metered = Arc::new(Metered::new(
        Arc::clone(&group),
        temporary.path().to_owned(),
        bounds,
    ));
    shared.meter.add(Arc::clone(&metered));
    let (sender, exited) = watch::channel(None);
    let (watched, watching) = (Arc::clone(shared), Arc::clone(&group));
    let child = Arc::new(Mutex::new(child));
    let waited = Arc::clone(&child);
    let thread = thread::Builder::new()
        .name(format!("watch-{}", id.as_raw_nonzero()))
        .stack_size(WATCHER_STACK_BYTES)
        .spawn(move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while let Err(rustix::io::Errno::INTR) =
                rustix::process::waitid(WaitId::Pid(id), options)
            {}
            let status = reap(&watched, &watching, &waited);
            let _ = sender.send(Some(in_words(status)));
            drop(temporary);
            watched.processes.send_modify(|count| *count -= 1);
        });
    if let Err(error) = thread {
        let _ = reap(shared, &group, &child);
        shared.processes.send_modify(|count| *count -= 1);
        return Err(error);
    }
    Ok((metered, exited))
}

/// Kills the group and reaps its leader.
fn reap(shared: &Shared, group: &Group, child: &Mutex<Child>) -> io::Result<ExitStatus> {
    group.kill();
    shared.meter.remove(group.id);
    let mut reaped = group.lock();
    *reaped = true;
    shared.watchdog.remove(group.id);
    child.lock().unwrap_or_else(PoisonError::into_inner).wait()
}

fn in_words(status: io::Result<ExitStatus>) -> String {
    match status.map(|status| (status.code(), status.signal())) {
        Ok((Some(code), _)) => format!("exit status {code}"),
        Ok((_, Some(signal))) => match signal {
            6 => "signal: aborted".to_owned(),
            9 => "signal: killed".to_owned(),
            11 => "signal: segmentation fault".to_owned(),
            15 => "signal: terminated".to_owned(),
            other => format!("signal: {other}"),
        },
        _ => "exit status unknown".to_owned(),
    }
}
