use std::process::ExitStatus;

use rustix::process::{Signal, kill_process};

use super::*;

/// A process group of a shell and its child, both sleeping.
fn sleepers() -> (Child, Pid) {
    let child = Command::new("/bin/sh")
        .args(["-c", "sleep 600 & sleep 600"])
        .process_group(0)
        .spawn()
        .unwrap();
    let pid = Pid::from_child(&child);
    (child, pid)
}

fn killed(status: ExitStatus) -> bool {
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(9)
}

#[test]
fn kills_what_is_on_the_list_when_the_pipe_closes() {
    let watchdog = Watchdog::default();
    let (mut first, first_id) = sleepers();
    let (mut second, second_id) = sleepers();
    let (mut third, third_id) = sleepers();
    for id in [first_id, second_id, third_id] {
        watchdog.add(id);
    }
    watchdog.remove(second_id);
    drop(watchdog);
    assert!(killed(first.wait().unwrap()));
    assert!(killed(third.wait().unwrap()));
    assert!(
        second.try_wait().unwrap().is_none(),
        "was no longer on the list"
    );
    rustix::process::kill_process_group(second_id, Signal::KILL).unwrap();
    second.wait().unwrap();
}

#[test]
fn starts_again_with_the_whole_list() {
    let watchdog = Watchdog::default();
    let (mut first, first_id) = sleepers();
    watchdog.add(first_id);
    {
        let mut state = watchdog.lock();
        let shell = state.shell.as_mut().unwrap();
        kill_process(Pid::from_child(&shell.process), Signal::KILL).unwrap();
        shell.process.wait().unwrap();
    }
    let (mut second, second_id) = sleepers();
    watchdog.add(second_id);
    drop(watchdog);
    assert!(killed(first.wait().unwrap()));
    assert!(killed(second.wait().unwrap()));
}
