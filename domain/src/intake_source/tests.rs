//! Given events, when a command, then events.

use super::*;

fn ask(number: u128) -> IntakeSourceCommand {
    IntakeSourceCommand::AnswerHandshake {
        source: "sns".to_owned(),
        kind: HandshakeKind::SnsSubscription,
        subject: Some("arn:aws:sns:eu-west-1:111122223333:arrivals".to_owned()),
        identity: Uuid::from_u128(number),
    }
}

fn after(asked: impl IntoIterator<Item = u128>) -> (IntakeSource, usize) {
    let context = Context {
        now: jiff::Timestamp::UNIX_EPOCH,
        seed: 7,
    };
    let mut source = IntakeSource::default();
    let mut last = 0;
    for number in asked {
        let events = source.decide(ask(number), &context).unwrap();
        last = events.len();
        source = events.iter().fold(source, IntakeSource::evolve);
    }
    (source, last)
}

#[test]
fn a_question_that_is_asked_again_is_recorded_once() {
    assert_eq!(after([1]).1, 1);
    assert_eq!(after([1, 1]).1, 0);
    assert_eq!(after([1, 2, 1]).1, 0);
    assert_eq!(after([1, 2, 3]).1, 1);
}

#[test]
fn what_is_remembered_is_bounded() {
    let (source, _) = after(0..100);
    assert_eq!(source.answered.len(), REMEMBERED_HANDSHAKES);
    assert_eq!(source.answered.back(), Some(&Uuid::from_u128(99)));
}
