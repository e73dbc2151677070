//! Given events, when a command, then events.

use std::collections::BTreeMap;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const ID: WorkerId = WorkerId(Uuid::nil());
const OBSERVER: WorkerId = WorkerId(Uuid::max());

#[test]
fn a_worker_joins_once_leaves_once_and_never_comes_back() {
    assert_eq!(decide(&[], leave()), Err(WorkerError::Unknown));
    assert_eq!(decide(&[], renew(1)), Err(WorkerError::Unknown));
    assert_eq!(decide(&[], expire(0)), Err(WorkerError::Unknown));
    assert_eq!(names(&[], join()), ["WorkerJoined"]);
    assert_eq!(names(&[join()], join()), [""; 0]);
    assert_eq!(names(&[join()], leave()), ["WorkerLeft"]);
    assert_eq!(names(&[join(), leave()], leave()), [""; 0]);
    assert_eq!(decide(&[join(), leave()], join()), Err(WorkerError::Left));
    assert_eq!(decide(&[join(), leave()], renew(1)), Err(WorkerError::Left));
}

#[test]
fn what_it_offers_is_recorded_when_it_changes() {
    let offer = |sha256: &str| WorkerCommand::Offer {
        worker: ID,
        functions: BTreeMap::from([("upper".parse().unwrap(), sha256.to_owned())]),
    };
    assert_eq!(decide(&[], offer("aa")), Err(WorkerError::Unknown));
    assert_eq!(names(&[join()], offer("aa")), ["FunctionsOffered"]);
    assert_eq!(names(&[join(), offer("aa")], offer("aa")), [""; 0]);
    assert_eq!(
        names(&[join(), offer("aa")], offer("bb")),
        ["FunctionsOffered"]
    );
    assert_eq!(
        decide(&[join(), leave()], offer("aa")),
        Err(WorkerError::Left)
    );
}

#[test]
fn a_renewal_counts_once() {
    assert_eq!(names(&[join()], renew(1)), ["LeaseRenewed"]);
    assert_eq!(names(&[join(), renew(1)], renew(1)), [""; 0]);
    assert_eq!(names(&[join(), renew(1)], renew(2)), ["LeaseRenewed"]);
}

#[test]
fn who_saw_no_renewal_may_say_that_the_lease_lapsed() {
    assert_eq!(names(&[join()], expire(0)), ["WorkerLeft"]);
    assert_eq!(names(&[join(), renew(1)], expire(1)), ["WorkerLeft"]);
    assert_eq!(names(&[join(), expire(0)], expire(0)), [""; 0]);
    assert_eq!(
        decide(&[join(), expire(0)], renew(1)),
        Err(WorkerError::Left)
    );
}

#[test]
fn a_renewal_that_came_first_saves_it() {
    let refused = decide(&[join(), renew(1)], expire(0));
    assert_eq!(refused, Err(WorkerError::Alive));
}

#[test]
fn a_worker_without_a_lease_does_not_lapse() {
    let alone = WorkerCommand::Join {
        worker: ID,
        host: "laptop".to_owned(),
        version: "0.1.0".to_owned(),
        lease_ms: None,
        functions: BTreeMap::new(),
    };
    assert_eq!(decide(&[alone], expire(0)), Err(WorkerError::Alive));
}

fn any_command() -> impl Strategy<Value = WorkerCommand> {
    prop_oneof![
        Just(join()),
        Just(leave()),
        (0..4_u64).prop_map(renew),
        (0..4_u64).prop_map(expire),
    ]
}

proptest! {
    #[test]
    fn a_command_handled_twice_decides_nothing_new(
        before in prop::collection::vec(any_command(), 0..8),
        command in any_command(),
    ) {
        let worker = given(&before);
        if let Ok(events) = worker.decide(command.clone(), &context()) {
            let after = events.iter().fold(worker, Worker::evolve);
            let again = after.decide(command, &context());
            prop_assert!(again.is_err() || again == Ok(Vec::new()), "{again:?}");
        }
    }
}

fn given(commands: &[WorkerCommand]) -> Worker {
    commands.iter().fold(Worker::default(), |worker, command| {
        let events = worker.decide(command.clone(), &context());
        let events = events.unwrap_or_default();
        events.iter().fold(worker, Worker::evolve)
    })
}

fn decide(
    before: &[WorkerCommand],
    command: WorkerCommand,
) -> Result<Vec<WorkerEvent>, WorkerError> {
    given(before).decide(command, &context())
}

fn names(before: &[WorkerCommand], command: WorkerCommand) -> Vec<&'static str> {
    use crate::Event;
    let events = decide(before, command).unwrap();
    events.iter().map(Event::event_type).collect()
}

fn join() -> WorkerCommand {
    WorkerCommand::Join {
        worker: ID,
        host: "laptop".to_owned(),
        version: "0.1.0".to_owned(),
        lease_ms: Some(15_000),
        functions: BTreeMap::new(),
    }
}

fn renew(renewal: u64) -> WorkerCommand {
    WorkerCommand::Renew {
        worker: ID,
        renewal,
    }
}

fn leave() -> WorkerCommand {
    WorkerCommand::Leave {
        worker: ID,
        why: "stopped".to_owned(),
    }
}

fn expire(renewal: u64) -> WorkerCommand {
    WorkerCommand::Expire {
        worker: ID,
        renewal,
        observer: OBSERVER,
    }
}

fn context() -> Context {
    Context {
        now: jiff::Timestamp::UNIX_EPOCH,
        seed: 7,
    }
}
