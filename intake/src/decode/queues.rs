//! The answers of queues that were asked for messages: SQS, Pub/Sub, Cloudflare Queues and the pull
//! delivery of Event Grid. Each message stands alone, and is acknowledged alone.

use super::{Decoder, Layer};
use crate::Rejection;
use crate::dialects::cloudevents;
use crate::dialects::gcs::{self, unbase64};
use crate::json::{self, Json};
use crate::reader::{Fields, Place};

impl Decoder<'_> {
    /// Reads the answer of a queue; says whether it was one.
    pub(super) fn answer(&mut self, answer: &Json<'_>) -> Result<bool, Rejection> {
        let Json::Object(object) = answer else {
            return Ok(false);
        };
        let fields = Fields::new(object, Place::ROOT);
        if object.is_empty() {
            // SQS without a message.
        } else if fields.has("Messages") {
            self.each(&fields, "Messages", Self::sqs_message)?;
        } else if fields.has("receivedMessages") {
            self.each(&fields, "receivedMessages", Self::pubsub_message)?;
        } else if fields.has("result") && fields.has("success") {
            let result = fields.need_part("result")?;
            self.each(&result, "messages", Self::cloudflare_message)?;
        } else if matches!(fields.value("value"), Some(Json::Array(_))) {
            self.each(&fields, "value", Self::event_grid_message)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Reads each message of an array by itself.
    fn each(
        &mut self,
        fields: &Fields<'_, '_>,
        name: &str,
        read: fn(&mut Self, &Fields<'_, '_>) -> Result<(), Rejection>,
    ) -> Result<(), Rejection> {
        let list = fields.place.member(name);
        let messages = match fields.value(name) {
            None => &[][..],
            Some(_) => fields.need_array(name)?,
        };
        for (index, message) in messages.iter().enumerate() {
            let told = match Fields::of(message, list.index(index)) {
                Ok(message) => read(self, &message),
                Err(rejection) => {
                    self.begin(None, None)?;
                    Err(rejection)
                }
            };
            self.or_reject(told)?;
        }
        Ok(())
    }

    fn sqs_message(&mut self, message: &Fields<'_, '_>) -> Result<(), Rejection> {
        self.begin(message.text("MessageId")?, message.text("ReceiptHandle")?)?;
        self.text(message, "Body", Layer::Queued)
    }

    fn pubsub_message(&mut self, received: &Fields<'_, '_>) -> Result<(), Rejection> {
        let message = received.need_part("message")?;
        self.begin(message.text("messageId")?, received.text("ackId")?)?;
        self.push(gcs::pubsub(&message, self.limits()))
    }

    /// Bodies that were sent as JSON come in base64.
    fn cloudflare_message(&mut self, message: &Fields<'_, '_>) -> Result<(), Rejection> {
        self.begin(message.text("id")?, message.text("lease_id")?)?;
        let place = message.place.member("body");
        match message.value("body") {
            Some(Json::Text(body)) if !body.trim_start().starts_with(['{', '[']) => {
                let body = unbase64(body, &place)?;
                let within = place.within();
                let body = json::parse(&body, self.limits(), &within)?;
                self.document(&body, within, Layer::Queued)
            }
            Some(Json::Text(_)) => self.text(message, "body", Layer::Queued),
            Some(body) => self.document(body, place, Layer::Queued),
            None => Err(message.missing("body")),
        }
    }

    fn event_grid_message(&mut self, message: &Fields<'_, '_>) -> Result<(), Rejection> {
        let broker = message.need_part("brokerProperties")?;
        let token = broker.text("lockToken")?;
        self.begin(token, token)?;
        let event = message.need_part("event")?;
        self.push(cloudevents::structured(event, self.limits()))
    }
}
