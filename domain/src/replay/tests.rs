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

fn start(count: u128) -> ReplayCommand {
    ReplayCommand::Start {
        replay: ReplayId(Uuid::nil()),
        selection: Selection {
            pipeline: "upper".parse().unwrap(),
            status: None,
            since: None,
            until: None,
        },
        position: 9,
        plan: (0..count)
            .map(|id| ExecutionId(Uuid::from_u128(id)))
            .collect(),
        actor: "cli:ada".to_owned(),
        reason: None,
    }
}

fn given(commands: Vec<ReplayCommand>) -> Replay {
    commands
        .into_iter()
        .fold(Replay::default(), |replay, command| {
            let events = replay.decide(command, &context()).unwrap();
            events
                .iter()
                .fold(replay, |replay, event| replay.evolve(event))
        })
}

fn types(replay: &Replay, command: ReplayCommand) -> Vec<&'static str> {
    let events = replay.decide(command, &context()).unwrap();
    events.iter().map(Event::event_type).collect()
}

#[test]
fn it_goes_on_until_its_plan_is_done() {
    let replay = given(vec![start(3)]);
    assert!(types(&replay, start(3)).is_empty());
    assert_eq!(
        types(&replay, ReplayCommand::Progress { done: 2 }),
        ["ReplayProgressed"]
    );
    let replay = given(vec![start(3), ReplayCommand::Progress { done: 2 }]);
    assert!(types(&replay, ReplayCommand::Progress { done: 2 }).is_empty());
    assert_eq!(
        types(&replay, ReplayCommand::Progress { done: 3 }),
        ["ReplayProgressed", "ReplayCompleted"]
    );
}

#[test]
fn an_empty_plan_is_done_at_once() {
    assert_eq!(
        types(&Replay::default(), start(0)),
        ["ReplayStarted", "ReplayCompleted"]
    );
}

#[test]
fn a_cancelled_replay_goes_no_further() {
    let cancel = || ReplayCommand::Cancel {
        actor: "cli:ada".to_owned(),
    };
    let replay = given(vec![start(3), cancel()]);
    assert!(types(&replay, cancel()).is_empty());
    let progress = replay.decide(ReplayCommand::Progress { done: 1 }, &context());
    assert_eq!(progress, Err(ReplayError::Cancelled));
    assert_eq!(
        Replay::default().decide(cancel(), &context()),
        Err(ReplayError::Unknown)
    );
}
