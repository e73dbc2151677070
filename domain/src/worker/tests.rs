//! Given events, when a command, then events.

use uuid::Uuid;

use super::*;

#[test]
fn a_worker_joins_once_leaves_once_and_never_comes_back() {
    let context = Context {
        now: jiff::Timestamp::UNIX_EPOCH,
        seed: 7,
    };
    let id = WorkerId(Uuid::nil());
    let join = WorkerCommand::Join {
        worker: id,
        host: "laptop".to_owned(),
        version: "0.1.0".to_owned(),
    };
    let leave = WorkerCommand::Leave {
        worker: id,
        why: "stopped".to_owned(),
    };
    assert_eq!(
        Worker::default().decide(leave.clone(), &context),
        Err(WorkerError::Unknown)
    );
    let mut worker = Worker::default();
    for command in [join.clone(), leave.clone()] {
        let events = worker.decide(command.clone(), &context).unwrap();
        assert_eq!(events.len(), 1);
        worker = worker.evolve(&events[0]);
        if command == join {
            assert!(worker.decide(join.clone(), &context).unwrap().is_empty());
        }
    }
    assert!(worker.decide(leave, &context).unwrap().is_empty());
    assert_eq!(worker.decide(join, &context), Err(WorkerError::Left));
}
