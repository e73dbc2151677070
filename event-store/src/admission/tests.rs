use super::{Plan, plan};
use crate::{Expected, StreamVersion};

fn check(expected: Expected, actual: Option<u64>, count: usize, plan_wanted: Plan) {
    assert_eq!(
        plan(expected, actual.map(StreamVersion), count),
        plan_wanted,
        "{expected:?} on {actual:?} with {count} events"
    );
}

#[test]
fn plans() {
    let exact = |version| Expected::Exact(StreamVersion(version));
    let compare = |first, last| Plan::CompareIds {
        first: StreamVersion(first),
        last: StreamVersion(last),
    };
    check(Expected::NoStream, None, 1, Plan::Append);
    check(exact(4), Some(4), 2, Plan::Append);
    check(exact(4), None, 2, Plan::Conflict);
    check(exact(4), Some(3), 1, Plan::Conflict);
    check(exact(4), Some(5), 2, Plan::Conflict);
    check(exact(4), Some(6), 2, compare(5, 6));
    check(exact(4), Some(9), 2, compare(5, 6));
    check(Expected::NoStream, Some(0), 1, compare(0, 0));
    check(Expected::NoStream, Some(0), 2, Plan::Conflict);
}
