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
    let next = |queues: &mut Queues| queues.next_start(|_| None, |_, _| true);
    let order: Vec<_> = std::iter::from_fn(|| next(&mut queues)).collect();
    assert_eq!(order, [id(1), id(2), id(3)]);
    queues.push_start(id(1));
    assert_eq!(next(&mut queues), Some(id(1)));
}

#[test]
fn what_is_for_a_full_queue_is_not_started_and_holds_up_nothing_else() {
    let mut queues = Queues::default();
    let (slow, fast): (FunctionName, FunctionName) =
        ("slow".parse().unwrap(), "fast".parse().unwrap());
    for number in 1..=6 {
        queues.push_start(id(number));
    }
    let function_of = |it: ExecutionId| {
        let of = if it == id(5) { &fast } else { &slow };
        Some(of.clone())
    };
    let full = |function: &FunctionName, _| *function == slow;
    let next = |queues: &mut Queues| queues.next_start(function_of, full);
    let any = |queues: &mut Queues| queues.next_start(function_of, |_, _| false);
    assert_eq!(any(&mut queues), Some(id(1)));
    assert_eq!(next(&mut queues), Some(id(5)));
    assert_eq!(next(&mut queues), None);
    // Those that were held go in their order, before what came later.
    queues.push_start(id(7));
    queues.push_start(id(3));
    for expected in [2, 3] {
        assert_eq!(next(&mut queues), None);
        assert_eq!(any(&mut queues), Some(id(expected)));
    }
    // Where they are for another function now, they are asked about anew.
    queues.unhold();
    let elsewhere = queues.next_start(|_| Some(fast.clone()), full);
    assert_eq!(elsewhere, Some(id(4)));
    let rest: Vec<_> = std::iter::from_fn(|| any(&mut queues)).collect();
    assert_eq!(rest, [id(6), id(7)]);
    // It is told whether somebody waits here.
    queues.push_start(id(8));
    queues.push_task(slow.clone(), id(1));
    assert_eq!(queues.next_start(function_of, |_, waits| waits), None);
    assert_eq!(
        queues.next_start(function_of, |_, waits| !waits),
        Some(id(8))
    );
}

#[test]
fn what_is_being_started_counts_until_it_is_known() {
    let mut starting = Starting::default();
    let function: FunctionName = "slow".parse().unwrap();
    starting.begin(id(1), function.clone());
    starting.begin(id(2), function.clone());
    assert_eq!(starting.count(&function), 2);
    starting.end(id(1));
    starting.end(id(1));
    starting.end(id(9));
    assert_eq!(starting.count(&function), 1);
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
