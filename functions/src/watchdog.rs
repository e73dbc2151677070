//! Kills the function processes if this process dies without having done so (`kill -9`, a crash).
//!
//! A small shell waits at the other end of a pipe and keeps a list of process groups. When the
//! pipe closes, whatever the reason, it kills those still on the list, grandchildren included,
//! which a death signal for the child alone (`PR_SET_PDEATHSIG`) would not reach.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::Pid;

/// Lines are `+ID` and `-ID`. Plain POSIX shell.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
groups=' '
while read -r line; do
  id=${line#?}
  case $line in
    +*) groups="$groups$id " ;;
    -*) case $groups in *" $id "*) groups="${groups%% $id *} ${groups#* $id }" ;; esac ;;
  esac
done
for id in $groups; do kill -KILL "-$id" 2>/dev/null; done
"#;

/// The list of process groups that must not outlive this process.
#[derive(Clone, Default)]
pub(crate) struct Watchdog(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    groups: Vec<Pid>,
    shell: Option<Shell>,
}

struct Shell {
    input: Option<ChildStdin>,
    process: Child,
}

impl Watchdog {
    /// Puts a process group on the list.
    pub(crate) fn add(&self, group: Pid) {
        let mut state = self.lock();
        state.groups.push(group);
        state.tell(format!("+{}\n", group.as_raw_nonzero()));
    }

    /// Takes a process group from the list, before its id can belong to somebody else.
    pub(crate) fn remove(&self, group: Pid) {
        let mut state = self.lock();
        state.groups.retain(|known| *known != group);
        state.tell(format!("-{}\n", group.as_raw_nonzero()));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Tells the shell; one that is gone is replaced and told everything.
    fn tell(&mut self, line: String) {
        if let Some(shell) = &mut self.shell
            && shell.tell(&line).is_ok()
        {
            return;
        }
        let started = Shell::start().and_then(|mut shell| {
            for group in &self.groups {
                shell.tell(&format!("+{}\n", group.as_raw_nonzero()))?;
            }
            Ok(shell)
        });
        match started {
            Ok(shell) => self.shell = Some(shell),
            Err(error) => {
                self.shell = None;
                tracing::warn!(%error, "cannot start the watchdog: functions would outlive a crash");
            }
        }
    }
}

impl Shell {
    fn start() -> std::io::Result<Self> {
        let mut process = Command::new("/bin/sh")
            .args(["-c", SCRIPT])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Self {
            input: process.stdin.take(),
            process,
        })
    }

    fn tell(&mut self, line: &str) -> std::io::Result<()> {
        match &mut self.input {
            Some(input) => input.write_all(line.as_bytes()),
            None => Err(std::io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        self.input = None;
        // It ends by itself now; waiting only keeps it from staying behind as a zombie.
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests;
