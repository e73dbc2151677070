//! Who comes next.

use uuid::Uuid;

use super::*;

fn id(number: u128) -> ExecutionId {
    ExecutionId(Uuid::from_u128(number))
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn each_waits_once_and_in_order() {
    let mut queues = Queues::default();
    for number in [1, 2, 1, 3] {
        queues.push_start(id(number));
    }
    let order: Vec<_> = std::iter::from_fn(|| queues.next_start()).collect();
    assert_eq!(order, [id(1), id(2), id(3)]);
    queues.push_start(id(1));
    assert_eq!(queues.next_start(), Some(id(1)));
}

#[test]
fn a_function_without_a_slot_does_not_hold_up_others() {
    let mut queues = Queues::default();
    let (busy, free): (FunctionName, FunctionName) =
        ("busy".parse().unwrap(), "free".parse().unwrap());
    queues.push_task(busy.clone(), id(1));
    queues.push_task(free.clone(), id(2));
    let reserve = |function: &FunctionName| (*function == free).then_some("slot");
    assert_eq!(queues.next_task(reserve), Some((id(2), "slot")));
    assert_eq!(queues.next_task(reserve), None);
    assert!(queues.waits_for(&busy) && !queues.waits_for(&free));
    assert_eq!(queues.next_task(|_| Some("slot")), Some((id(1), "slot")));
}

#[test]
fn timers_come_when_they_are_due() {
    let mut queues = Queues::default();
    for (second, number) in [(30, 1), (10, 2), (20, 3)] {
        queues.push_timer(at(second), id(number));
    }
    assert_eq!(queues.next_timer(), Some(at(10)));
    assert_eq!(queues.due_timers(at(20)), [id(2), id(3)]);
    assert_eq!(queues.next_timer(), Some(at(30)));
}

#[test]
fn the_deadline_of_an_ended_execution_is_forgotten() {
    let mut queues = Queues::default();
    queues.push_deadline(at(10), id(1));
    queues.push_deadline(at(10), id(1));
    queues.forget_deadline(id(1));
    assert_eq!(queues.next_timer(), None);
    queues.push_deadline(at(20), id(1));
    assert_eq!(queues.due_timers(at(20)), [id(1)]);
}
