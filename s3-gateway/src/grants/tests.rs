use std::time::Duration;

use uuid::Uuid;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

/// Grants with one function's key.
fn issued() -> (Grants, String) {
    let grants = Grants::new(Vec::new(), 10);
    let function = FunctionName::parse("f").unwrap();
    let key = grants.issue(&function, Policy::default()).access_key;
    (grants, key)
}

/// Opens the key for an invocation.
fn begin(grants: &Grants, key: &str) -> Arc<Scope> {
    let scope = InvocationScope {
        execution: ExecutionId(Uuid::from_u128(1)),
        task: 1,
        attempt: 1,
        function: FunctionName::parse("f").unwrap(),
        trigger: None,
        publish: Publish::Immediately,
        shadow: None,
        chain: Chain::default(),
    };
    grants.begin(key, scope);
    let functions = grants.functions();
    functions[key].scope.clone().unwrap()
}

#[test]
fn without_a_deadline_a_scope_lives_until_it_is_closed() {
    let (grants, key) = issued();
    let scope = begin(&grants, &key);
    assert!(scope.pass().is_some());
    grants.end(&key);
    assert!(scope.pass().is_none());
}

#[test]
fn a_deadline_that_is_moved_in_time_disturbs_nobody() {
    let (grants, key) = issued();
    grants.valid_until(Some(Instant::now() + HOUR));
    let scope = begin(&grants, &key);
    for deadline in [Some(Instant::now() + 2 * HOUR), None] {
        grants.valid_until(deadline);
        assert!(scope.pass().is_some());
        assert!(grants.principal(&key).is_some());
    }
}

#[test]
fn what_was_open_when_the_deadline_passed_stays_dead() {
    for renewed in [Some(Instant::now() + HOUR), None] {
        let (grants, key) = issued();
        let before = begin(&grants, &key);
        grants.valid_until(Some(Instant::now()));
        assert!(before.pass().is_none());
        assert!(grants.principal(&key).is_none());
        // Nor does one live that was opened while no lease was held.
        let between = begin(&grants, &key);
        assert!(between.pass().is_none());
        grants.valid_until(renewed);
        assert!(before.pass().is_none());
        assert!(between.pass().is_none());
        assert!(grants.principal(&key).is_none());
        let after = begin(&grants, &key);
        assert!(after.pass().is_some());
        assert!(grants.principal(&key).is_some());
    }
}

#[test]
fn the_clock_alone_ends_a_scope() {
    let (grants, key) = issued();
    let deadline = Instant::now() + Duration::from_millis(20);
    grants.valid_until(Some(deadline));
    let scope = begin(&grants, &key);
    while Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert!(scope.pass().is_none());
    grants.valid_until(Some(Instant::now() + HOUR));
    assert!(scope.pass().is_none());
}

#[test]
fn operators_keys_have_no_deadline() {
    let operator = OperatorKey {
        name: "o".to_owned(),
        access_key: "o".to_owned(),
        secret_key: "s".to_owned(),
        read: Vec::new(),
        write: Vec::new(),
    };
    let grants = Grants::new(vec![operator], 10);
    grants.valid_until(Some(Instant::now()));
    assert!(grants.principal("o").is_some());
}
