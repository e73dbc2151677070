//! Handshakes: what somebody asks before he delivers is done and recorded, once.

use daybook_domain::CommandId;
use daybook_domain::intake_source::{HandshakeKind, IntakeSource, IntakeSourceCommand, stream_of};
use daybook_intake::{Delivery, Handshake};
use uuid::Uuid;

use super::apply::error_chain;
use super::{Intake, SourceName};
use crate::commands::Origin;

/// The namespace of the identities of handshakes.
const NAMESPACE: Uuid = Uuid::from_u128(0x51c0_9de2_77b4_5a1e_8f0d_2b96_e3a7_4c58);

/// What the endpoint without a source is called.
const OPEN: &str = "-";

/// The longest subject that is recorded, in characters.
const MAX_SUBJECT_CHARS: usize = 256;

/// What a handshake is about.
struct Question {
    kind: HandshakeKind,
    subject: Option<String>,
    /// What is the same when it is asked again.
    token: String,
}

impl Question {
    fn of(handshake: &Handshake, delivery: &Delivery) -> Self {
        if let Handshake::Confirm { topic, token, .. } = handshake {
            return Self {
                kind: HandshakeKind::SnsSubscription,
                subject: Some(topic.clone()),
                token: token.clone(),
            };
        }
        let header = |name| {
            let value = delivery.header(name)?;
            Some(value.chars().take(MAX_SUBJECT_CHARS).collect::<String>())
        };
        let (kind, subject) = match delivery.method.as_str() {
            "OPTIONS" => (HandshakeKind::WebHook, header("webhook-request-origin")),
            _ if delivery.header("x-goog-resource-state").is_some() => {
                (HandshakeKind::GoogleChannel, header("x-goog-channel-id"))
            }
            _ => (HandshakeKind::EventGrid, header("aeg-subscription-name")),
        };
        Self {
            kind,
            token: subject.clone().unwrap_or_default(),
            subject,
        }
    }
}

impl Intake {
    /// Does what a handshake asks for, and records it.
    pub(super) async fn shake(
        &self,
        source: Option<&SourceName>,
        handshake: &Handshake,
        delivery: &Delivery,
    ) -> Result<(), String> {
        if let Handshake::Confirm { url, topic, token } = handshake {
            let confirmed = self.0.confirmed.confirm(&*self.0.sns, url, token).await;
            match &confirmed {
                Ok(()) => tracing::info!(topic, "the subscription to a topic is confirmed"),
                Err(why) => tracing::warn!(topic, why, "a subscription could not be confirmed"),
            }
            confirmed
                .map_err(|why| format!("the subscription to {topic} was not confirmed: {why}"))?;
        }
        let Question {
            kind,
            subject,
            token,
        } = Question::of(handshake, delivery);
        let source = source.map_or(OPEN, SourceName::as_str);
        let identity = Uuid::new_v5(&NAMESPACE, format!("{source} {kind:?} {token}").as_bytes());
        let command = IntakeSourceCommand::AnswerHandshake {
            source: source.to_owned(),
            kind,
            subject,
            identity,
        };
        let origin = Origin {
            command: CommandId(identity),
            correlation: identity.to_string(),
            causation: None,
            actor: format!("notification:{source}"),
            traceparent: None,
        };
        let recorded = self
            .0
            .ledger
            .execute::<IntakeSource>(&stream_of(source), command, &origin)
            .await;
        recorded.map(|_| ()).map_err(|error| error_chain(&error))
    }
}
