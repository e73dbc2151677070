//! Given events, when a command, then events.

use super::*;

fn revise(sha256: &str, handler: &str) -> FunctionCommand {
    FunctionCommand::Revise {
        function: "upper".parse().unwrap(),
        sha256: sha256.to_owned(),
        package_bytes: 10,
        settings: FunctionSettings {
            runtime: "python".to_owned(),
            handler: handler.to_owned(),
            timeout_ms: 30_000,
            memory_bytes: 1 << 28,
        },
        actor: "cli:ada".to_owned(),
    }
}

#[test]
fn each_change_of_code_or_settings_is_a_revision() {
    let context = Context {
        now: jiff::Timestamp::UNIX_EPOCH,
        seed: 7,
    };
    let mut function = Function::default();
    let mut decided = |command: FunctionCommand| {
        let events = function.decide(command, &context).unwrap();
        for event in &events {
            function = std::mem::take(&mut function).evolve(event);
        }
        (events.len(), function.current.as_ref().unwrap().revision)
    };
    assert_eq!(decided(revise("aa", "x")), (1, 1));
    assert_eq!(decided(revise("aa", "x")), (0, 1));
    assert_eq!(decided(revise("bb", "x")), (1, 2));
    assert_eq!(decided(revise("bb", "y")), (1, 3));
    assert_eq!(decided(revise("aa", "x")), (1, 4));
}
