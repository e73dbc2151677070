//! Given events, when a command, then events.

use uuid::Uuid;

use super::*;
use crate::Event;

#[test]
fn an_export_is_completed_once() {
    let context = Context {
        now: jiff::Timestamp::UNIX_EPOCH,
        seed: 7,
    };
    let started = ExportStarted {
        export: ExportId(Uuid::nil()),
        range: ExportRange {
            after: 0,
            up_to: 9,
            since: None,
            until: None,
        },
        format: "jsonl".to_owned(),
        actor: "cli:ada".to_owned(),
        reason: None,
    };
    let completed = ExportCompleted {
        events: 9,
        sha256: "00".to_owned(),
        actor: "cli:ada".to_owned(),
    };
    let complete = ExportCommand::Complete(completed.clone());
    assert_eq!(
        Export::default().decide(complete.clone(), &context),
        Err(ExportError::Unknown)
    );
    let mut export = Export::default();
    for command in [ExportCommand::Start(started.clone()), complete.clone()] {
        let events = export.decide(command, &context).unwrap();
        assert_eq!(events.len(), 1);
        export = export.evolve(&events[0]);
    }
    assert!(
        export
            .decide(ExportCommand::Start(started), &context)
            .unwrap()
            .is_empty()
    );
    assert!(export.decide(complete, &context).unwrap().is_empty());
    let other = ExportCommand::Complete(ExportCompleted {
        events: 8,
        ..completed.clone()
    });
    assert_eq!(export.decide(other, &context), Err(ExportError::Different));
    let event = ExportEvent::from(completed);
    assert_eq!(
        ExportEvent::from_json(event.event_type(), 1, event.to_json()).unwrap(),
        event
    );
}
