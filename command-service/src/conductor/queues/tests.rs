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
    // At most two wait for each.
    let next = |queues: &mut Queues| queues.next_start(function_of, |_, waiting| waiting >= 2);
    for number in [1, 2] {
        assert_eq!(next(&mut queues), Some(id(number)));
        queues.push_task(slow.clone(), id(number));
    }
    assert_eq!(next(&mut queues), Some(id(5)));
    assert_eq!(next(&mut queues), None);
    // Those that were held go in their order, before what came later.
    queues.push_start(id(7));
    queues.push_start(id(3));
    for expected in [3, 4, 6, 7] {
        assert_eq!(next(&mut queues), None);
        let begun = queues.next_task(|_| Some(())).unwrap().0;
        assert_eq!(next(&mut queues), Some(id(expected)));
        queues.push_task(slow.clone(), id(expected));
        assert_ne!(begun, id(expected));
    }
    assert_eq!(queues.waiting(&slow), 2);
    assert_eq!(queues.all_waiting().collect::<Vec<_>>(), [(&slow, 2)]);
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
    assert_eq!((queues.waiting(&busy), queues.waiting(&free)), (1, 0));
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
