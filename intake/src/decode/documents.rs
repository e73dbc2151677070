//! One document: which dialect it is in, and what is wrapped in it.

use super::{Decoder, Layer, Shape, is_cloudevents, unrecognised};
use crate::authentication;
use crate::dialects::s3::{self, Envelope};
use crate::dialects::{azure, b2, cloudevents, eventbridge, gcs, r2};
use crate::json::{self, Json, Object};
use crate::reader::{Fields, Place};
use crate::{Reason, Rejection, Told};

impl Decoder<'_> {
    /// The document that a text holds.
    pub(super) fn text(
        &mut self,
        fields: &Fields<'_, '_>,
        name: &str,
        layer: Layer,
    ) -> Result<(), Rejection> {
        let text = fields.text(name)?.ok_or_else(|| fields.missing(name))?;
        let place = fields.place.member(name);
        let within = place.within();
        let document = json::parse(text.as_bytes(), self.limits(), &within)?;
        self.document(&document, within, layer)
    }

    pub(super) fn document(
        &mut self,
        document: &Json<'_>,
        place: Place<'_>,
        layer: Layer,
    ) -> Result<(), Rejection> {
        match document {
            Json::Object(object) => self.object(object, place, layer),
            Json::Array(items) => self.list(items, place, layer),
            _ => Err(unrecognised(&place)),
        }
    }

    fn object(
        &mut self,
        object: &Object<'_>,
        place: Place<'_>,
        layer: Layer,
    ) -> Result<(), Rejection> {
        let shape = Shape::of(object, &place)?;
        let fields = Fields::new(object, place);
        if layer == Layer::Request {
            self.check_request(shape)?;
        }
        if layer == Layer::Invocation && shape != Shape::Records {
            self.begin(None, None)?;
        }
        let told = match shape {
            Shape::Records => return self.records(&fields, layer),
            Shape::Sns if layer == Layer::Published => return Err(unrecognised(&place)),
            Shape::Sns => return self.sns(&fields, "SigningCertURL", layer),
            Shape::B2 => return self.b2(&fields),
            Shape::TestEvent if s3::is_test_event(&fields) => Ok(s3::test_event()),
            Shape::TestEvent => Err(unrecognised(&place)),
            Shape::EventBridge => eventbridge::event(&fields),
            Shape::PubSub => gcs::pubsub(&fields.need_part("message")?, self.limits()),
            Shape::CloudEvent => cloudevents::structured(fields, self.limits()),
            Shape::Background => gcs::background(&fields),
            Shape::EventGrid => azure::event_grid(fields),
            Shape::R2 => r2::message(&fields),
            Shape::GcsObject => self.gcs_object(&fields, layer),
        };
        self.push(told)
    }

    /// What a request has to show before its body counts.
    fn check_request(&self, shape: Shape) -> Result<(), Rejection> {
        let delivery = self.delivery;
        match shape {
            Shape::Sns => return Ok(()),
            Shape::B2 if !self.settings.b2_secrets.is_empty() => {
                return authentication::check_b2(delivery, &self.settings.b2_secrets);
            }
            _ => self.need_token()?,
        }
        if delivery.header("x-amz-sns-message-type").is_none() {
            return Ok(());
        }
        let is_raw = delivery.header("x-amz-sns-rawdelivery");
        if is_raw.is_none_or(|raw| !raw.eq_ignore_ascii_case("true")) {
            let sentence = "it calls itself a message of SNS and has not its members";
            let place = Place::header("x-amz-sns-message-type");
            return Err(place.reject(Reason::InconsistentEnvelope, sentence));
        }
        // Nothing is signed then: the topic is only what the sender says.
        match delivery.header("x-amz-sns-topic-arn") {
            Some(topic) if !self.settings.sns.topics.is_empty() => {
                self.check_topic(topic, &Place::header("x-amz-sns-topic-arn"))
            }
            _ => Ok(()),
        }
    }

    fn list(
        &mut self,
        items: &[Json<'_>],
        place: Place<'_>,
        layer: Layer,
    ) -> Result<(), Rejection> {
        if layer == Layer::Request {
            self.need_token()?;
        }
        if layer == Layer::Invocation {
            self.begin(None, None)?;
        }
        if !items.is_empty() && !items.iter().any(|item| matches!(item, Json::Object(_))) {
            return Err(unrecognised(&place));
        }
        for (index, item) in items.iter().enumerate() {
            let place = place.index(index);
            let told = Fields::of(item, place).and_then(|fields| {
                let Json::Object(object) = item else {
                    return Err(unrecognised(&place));
                };
                if is_cloudevents(self.delivery) && layer == Layer::Request {
                    return cloudevents::structured(fields, self.limits());
                }
                match Shape::of(object, &place)? {
                    Shape::CloudEvent => cloudevents::structured(fields, self.limits()),
                    Shape::EventGrid => azure::event_grid(fields),
                    Shape::R2 => r2::message(&fields),
                    _ => Err(unrecognised(&place)),
                }
            });
            self.push(told)?;
        }
        Ok(())
    }

    fn records(&mut self, message: &Fields<'_, '_>, layer: Layer) -> Result<(), Rejection> {
        let envelope = Envelope::of(message)?;
        let list = message.place.member("Records");
        for (index, record) in message.need_array("Records")?.iter().enumerate() {
            let place = list.index(index);
            let read = Fields::of(record, place);
            if layer == Layer::Invocation {
                let told = self.invocation_record(read, envelope);
                self.or_reject(told)?;
            } else {
                self.push(read.and_then(|record| s3::record(&record, envelope)))?;
            }
        }
        Ok(())
    }

    /// A record of an invocation: an S3 event, or a message of SQS or SNS.
    fn invocation_record(
        &mut self,
        record: Result<Fields<'_, '_>, Rejection>,
        envelope: Option<Envelope<'_>>,
    ) -> Result<(), Rejection> {
        if let Ok(record) = &record {
            let queue = matches!(record.text("eventSource"), Ok(Some("aws:sqs")));
            let topic = matches!(record.text("EventSource"), Ok(Some("aws:sns")));
            match (queue, topic) {
                (true, true) => {
                    self.begin(None, None)?;
                    let sentence = "it calls itself a message of SQS and one of SNS";
                    return Err(record.place.reject(Reason::InconsistentEnvelope, sentence));
                }
                (true, false) => {
                    self.begin(record.text("messageId")?, record.text("receiptHandle")?)?;
                    return self.text(record, "body", Layer::Queued);
                }
                (false, true) => {
                    self.begin(None, None)?;
                    let message = record.need_part("Sns")?;
                    return self.sns(&message, "SigningCertUrl", Layer::Invocation);
                }
                (false, false) => {}
            }
        }
        self.begin_event()?;
        self.push(record.and_then(|record| s3::record(&record, envelope)))
    }

    fn b2(&mut self, message: &Fields<'_, '_>) -> Result<(), Rejection> {
        let list = message.place.member("events");
        for (index, event) in message.need_array("events")?.iter().enumerate() {
            let event = Fields::of(event, list.index(index));
            self.push(event.and_then(|event| b2::event(&event)))?;
        }
        Ok(())
    }

    /// An object's description by itself: headers say what happened to it.
    fn gcs_object(&self, object: &Fields<'_, '_>, layer: Layer) -> Result<Told, Rejection> {
        if object.text("kind")? != Some("storage#object") || layer != Layer::Request {
            return Err(unrecognised(&object.place));
        }
        match self.delivery.header("x-goog-resource-state") {
            Some(state) => gcs::watched(state, object),
            None => gcs::unwrapped(self.delivery, object),
        }
    }
}
