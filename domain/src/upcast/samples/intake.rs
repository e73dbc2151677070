//! Samples of the events of one who delivers.

use super::uuid;
use crate::intake_source::{HandshakeAnswered, HandshakeKind, IntakeSourceEvent};

pub(super) fn samples() -> Vec<(&'static str, IntakeSourceEvent)> {
    let answered = |kind, subject: Option<&str>| {
        HandshakeAnswered {
            source: "sns".to_owned(),
            kind,
            subject: subject.map(str::to_owned),
            answered: [uuid(1), uuid(2)].into(),
        }
        .into()
    };
    let topic = "arn:aws:sns:eu-west-1:111122223333:arrivals";
    vec![
        (
            "full",
            answered(HandshakeKind::SnsSubscription, Some(topic)),
        ),
        ("event-grid", answered(HandshakeKind::EventGrid, Some("/x"))),
        (
            "web-hook",
            answered(HandshakeKind::WebHook, Some("eventgrid.azure.net")),
        ),
        (
            "google-channel",
            answered(HandshakeKind::GoogleChannel, Some("c1")),
        ),
        ("bare", answered(HandshakeKind::EventGrid, None)),
    ]
}
