//! Given events, when a command, then events.

use uuid::Uuid;

use super::*;
use crate::Event;

fn context() -> Context {
    Context {
        now: jiff::Timestamp::UNIX_EPOCH,
        seed: 7,
    }
}

fn start() -> ReconcileCommand {
    ReconcileCommand::Start(ReconcileStarted {
        reconcile: ReconcileId(Uuid::nil()),
        bucket: "inbox".parse().unwrap(),
        prefix: String::new(),
        dry_run: true,
        source: Source::Listing,
        position: 9,
        pipeline: None,
        revision: None,
        filters: Vec::new(),
        rate: None,
        actor: "cli:ada".to_owned(),
        reason: None,
    })
}

fn progress(key: &str, keys: u64) -> ReconcileCommand {
    ReconcileCommand::Progress {
        key: key.parse().unwrap(),
        counts: counts(keys),
        findings: Vec::new(),
    }
}

fn complete() -> ReconcileCommand {
    ReconcileCommand::Complete {
        counts: counts(3),
        findings: Vec::new(),
        position: 12,
    }
}

fn cancel() -> ReconcileCommand {
    ReconcileCommand::Cancel {
        actor: "cli:ada".to_owned(),
    }
}

fn fail() -> ReconcileCommand {
    ReconcileCommand::Fail {
        why: "there is no such bucket".to_owned(),
    }
}

fn counts(keys: u64) -> Counts {
    Counts {
        keys,
        ..Counts::default()
    }
}

fn given(commands: Vec<ReconcileCommand>) -> Reconcile {
    let none = Reconcile::default();
    commands.into_iter().fold(none, |reconcile, command| {
        let events = reconcile.decide(command, &context()).unwrap();
        events
            .iter()
            .fold(reconcile, |reconcile, event| reconcile.evolve(event))
    })
}

fn types(reconcile: &Reconcile, command: ReconcileCommand) -> Vec<&'static str> {
    let events = reconcile.decide(command, &context()).unwrap();
    events.iter().map(Event::event_type).collect()
}

#[test]
fn it_goes_on_key_by_key_until_it_is_done() {
    let begun = given(vec![start()]);
    assert!(types(&begun, start()).is_empty());
    assert_eq!(types(&begun, progress("b", 2)), ["ReconcileProgressed"]);
    let further = given(vec![start(), progress("b", 2)]);
    assert_eq!(further.key, Some("b".parse().unwrap()));
    for behind in ["a", "b"] {
        assert!(types(&further, progress(behind, 1)).is_empty());
    }
    let done = given(vec![start(), progress("b", 2), complete()]);
    assert_eq!((done.counts, done.position), (counts(3), Some(12)));
    assert!(types(&done, complete()).is_empty());
}

fn pause() -> ReconcileCommand {
    ReconcileCommand::Pause {
        actor: "cli:ada".to_owned(),
    }
}

fn resume() -> ReconcileCommand {
    ReconcileCommand::Resume {
        actor: "cli:bob".to_owned(),
    }
}

#[test]
fn it_stands_still_while_it_is_paused() {
    let running = given(vec![start(), progress("b", 2)]);
    assert_eq!(types(&running, pause()), ["ReconcilePaused"]);
    assert!(types(&running, resume()).is_empty());
    let paused = given(vec![start(), progress("b", 2), pause()]);
    assert!(types(&paused, pause()).is_empty());
    for further in [progress("c", 3), complete()] {
        let refused = paused.decide(further, &context());
        assert_eq!(refused, Err(ReconcileError::Paused));
    }
    assert_eq!(types(&paused, cancel()), ["ReconcileCancelled"]);
    assert_eq!(types(&paused, resume()), ["ReconcileResumed"]);
    let again = given(vec![start(), progress("b", 2), pause(), resume()]);
    assert_eq!((again.phase, again.key), (running.phase, running.key));
}

#[test]
fn what_is_over_goes_no_further() {
    for end in [complete(), cancel(), fail()] {
        let over = given(vec![start(), end]);
        assert!(types(&over, cancel()).is_empty());
        assert!(types(&over, fail()).is_empty());
        for further in [progress("c", 3), pause(), resume()] {
            let further = over.decide(further, &context());
            assert_eq!(further, Err(ReconcileError::Over));
        }
    }
}

#[test]
fn nothing_happens_before_it_begins() {
    let commands = [
        progress("a", 1),
        complete(),
        cancel(),
        fail(),
        pause(),
        resume(),
    ];
    for command in commands {
        let refused = Reconcile::default().decide(command, &context());
        assert_eq!(refused, Err(ReconcileError::Unknown));
    }
}
