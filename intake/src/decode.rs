//! Telling dialects apart, and taking transports' wrappings off.
//!
//! A document is told by the members that its dialect always has. One that has those of two dialects
//! is refused, so that nobody who may choose some of the members of a message can have it taken for
//! another one. What is wrapped in what is fixed as well: a queue's message may be one of SNS, one of
//! SNS may not be one of SNS again, and only an invocation carries messages of queues.

use jiff::Timestamp;

use crate::authentication::{self, SnsCheck, is_certificate_url, is_subscribe_url};
use crate::dialects::gcs::{self, unbase64};
use crate::dialects::s3::{self, Envelope};
use crate::dialects::{azure, b2, cloudevents, eventbridge, r2};
use crate::json::{self, Json, Object};
use crate::reader::{Fields, Place, shortened, time};
use crate::{
    Decoded, Delivery, Handshake, Ignored, Item, Limits, Message, Reason, Rejection, Reply,
    Settings, SnsSignatures, Told, Transport,
};

/// How far the clock of SNS may be ahead of ours.
const MAX_SKEW_SECONDS: i64 = 15 * 60;

/// Finds out what a delivery says. `now` is what the age of SNS messages is counted from.
///
/// A delivery that cannot be read at all is one rejection; in one that can, each record stands
/// alone. The items count once [`Decoded::authenticate`] has been through.
pub fn decode(delivery: &Delivery, settings: &Settings, now: Timestamp) -> Decoded {
    let mut decoder = Decoder {
        delivery,
        settings,
        now,
        trusted: true,
        decoded: Decoded::default(),
        current: 0,
        of_the_event: None,
    };
    match decoder.delivery() {
        Ok(()) => decoder.decoded,
        Err(rejection) => Decoded::refused(rejection),
    }
}

/// What a document is wrapped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    /// An HTTP request: SNS has to sign.
    Request,
    /// The event of an AWS Lambda invocation.
    Invocation,
    /// A message of a queue or a stream.
    Queued,
    /// A message that SNS carries.
    Published,
}

/// The dialects of a document that is an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Records,
    TestEvent,
    Sns,
    EventBridge,
    PubSub,
    B2,
    CloudEvent,
    Background,
    EventGrid,
    R2,
    GcsObject,
}

/// The members that a dialect always has, and no two dialects share.
const SHAPES: &[(Shape, &[&str])] = &[
    (Shape::Records, &["Records"]),
    (Shape::TestEvent, &["Service", "Event", "Bucket"]),
    (Shape::Sns, &["Type", "TopicArn"]),
    (Shape::EventBridge, &["detail-type", "detail"]),
    (Shape::PubSub, &["message", "subscription"]),
    (Shape::B2, &["events"]),
    (Shape::CloudEvent, &["specversion"]),
    (Shape::Background, &["context", "data"]),
    (Shape::Background, &["eventType", "resource", "data"]),
    (Shape::EventGrid, &["eventType", "subject", "data"]),
    (Shape::R2, &["action", "bucket", "object"]),
    (Shape::GcsObject, &["kind", "bucket", "name"]),
];

impl Shape {
    fn of(object: &Object<'_>, place: &Place<'_>) -> Result<Self, Rejection> {
        let mut found = None;
        for (shape, members) in SHAPES {
            if !members.iter().all(|name| object.has(name)) {
                continue;
            }
            match found {
                None => found = Some(*shape),
                Some(other) if other == *shape => {}
                Some(_) => {
                    let sentence = "it has the members of two dialects";
                    return Err(place.reject(Reason::InconsistentEnvelope, sentence));
                }
            }
        }
        found.ok_or_else(|| unrecognised(place))
    }
}

fn unrecognised(place: &Place<'_>) -> Rejection {
    place.reject(
        Reason::UnrecognisedShape,
        "it is in none of the known dialects",
    )
}

struct Decoder<'d> {
    delivery: &'d Delivery,
    settings: &'d Settings,
    now: Timestamp,
    /// Whether the request has shown what is asked for, or need not.
    trusted: bool,
    decoded: Decoded,
    /// Which of the messages is being read.
    current: usize,
    /// The message that an invocation's event is, apart from those that it carries.
    of_the_event: Option<usize>,
}

impl Decoder<'_> {
    fn limits(&self) -> &Limits {
        &self.settings.limits
    }

    fn delivery(&mut self) -> Result<(), Rejection> {
        let root = Place::ROOT;
        let most = self.limits().max_body;
        if self.delivery.body.len() > most {
            let sentence = format!("it is longer than {most} bytes");
            return Err(root.reject(Reason::TooLarge, sentence));
        }
        match self.delivery.transport {
            Transport::Http => self.request(),
            Transport::Lambda => {
                let event = json::parse(&self.delivery.body, self.limits(), &root)?;
                self.document(&event, root, Layer::Invocation)
            }
            Transport::Sqs => {
                let answer = json::parse(&self.delivery.body, self.limits(), &root)?;
                if self.answer(&answer)? {
                    return Ok(());
                }
                self.begin(None, None)?;
                self.document(&answer, root, Layer::Queued)
            }
            Transport::Stream => self.stream(),
        }
    }

    // -- transports

    fn request(&mut self) -> Result<(), Rejection> {
        let (delivery, settings) = (self.delivery, self.settings);
        self.trusted =
            settings.authentication.is_empty() || authentication::shows_token(delivery, settings);
        // Nobody but those who sign can do without a token: no need to read on for anybody else.
        if settings.sns.topics.is_empty() && settings.b2_secrets.is_empty() {
            self.need_token()?;
        }
        self.begin(None, None)?;
        if delivery.method == "OPTIONS" {
            self.need_token()?;
            return self.push(cloudevents::web_hook(delivery, settings));
        }
        if gcs::is_sync(delivery) {
            self.need_token()?;
            return self.push(Ok(Told::Handshake(Handshake::Reply(Reply::default()))));
        }
        let root = Place::ROOT;
        let structured = is_cloudevents(delivery);
        let binary = !structured && cloudevents::is_binary(delivery);
        if binary && delivery.body.is_empty() {
            self.need_token()?;
            return self.push(cloudevents::binary(delivery, None, self.limits()));
        }
        let body = json::parse(&delivery.body, self.limits(), &root)?;
        match &body {
            Json::Object(object) if structured => {
                self.need_token()?;
                let told = cloudevents::structured(Fields::new(object, root), self.limits());
                self.push(told)
            }
            // Ceph sends such headers with its own records.
            Json::Object(object) if binary && !object.has("Records") => {
                self.need_token()?;
                let data = Some(Fields::new(object, root));
                self.push(cloudevents::binary(delivery, data, self.limits()))
            }
            body => self.document(body, root, Layer::Request),
        }
    }

    /// Documents one after the other; one without records only says that the stream is alive.
    fn stream(&mut self) -> Result<(), Rejection> {
        let root = Place::ROOT;
        let documents = json::parse_each(&self.delivery.body, self.limits(), &root)?;
        self.begin(None, None)?;
        for document in &documents {
            let alive = matches!(document, Json::Object(object)
                if matches!(object.get("Records"), Some(Json::Null)));
            if !alive {
                let read = self.document(document, root, Layer::Queued);
                self.or_reject(read)?;
            }
        }
        Ok(())
    }

    /// Reads the answer of a queue; says whether it was one.
    fn answer(&mut self, answer: &Json<'_>) -> Result<bool, Rejection> {
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

    // -- documents

    /// The document that a text holds.
    fn text(&mut self, fields: &Fields<'_, '_>, name: &str, layer: Layer) -> Result<(), Rejection> {
        let text = fields.text(name)?.ok_or_else(|| fields.missing(name))?;
        let place = fields.place.member(name);
        let within = place.within();
        let document = json::parse(text.as_bytes(), self.limits(), &within)?;
        self.document(&document, within, layer)
    }

    fn document(
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

    // -- Amazon SNS

    fn sns(
        &mut self,
        envelope: &Fields<'_, '_>,
        certificate_name: &str,
        layer: Layer,
    ) -> Result<(), Rejection> {
        let settings = &self.settings.sns;
        let kind = envelope.need("Type")?;
        let topic = envelope.need("TopicArn")?;
        let over_http = layer == Layer::Request;
        if over_http {
            self.same_as_header(envelope, "Type", "x-amz-sns-message-type")?;
            self.same_as_header(envelope, "TopicArn", "x-amz-sns-topic-arn")?;
        }
        if over_http || !settings.topics.is_empty() {
            self.check_topic(topic, &envelope.place.member("TopicArn"))?;
        }
        if over_http || settings.signatures == SnsSignatures::Everywhere {
            let url = envelope.need(certificate_name)?;
            if !is_certificate_url(url) {
                let sentence = format!("{} is not at Amazon SNS", shortened(url));
                return Err(envelope.reject(certificate_name, Reason::SnsCertUrl, sentence));
            }
            self.check_age(envelope)?;
            let check = SnsCheck::of(envelope, url, self.current)?;
            if settings.signatures != SnsSignatures::Nowhere {
                self.decoded.checks.push(check);
            }
        }
        match kind {
            "Notification" => {
                let read = self.text(envelope, "Message", Layer::Published);
                self.or_reject(read)
            }
            "SubscriptionConfirmation" if over_http => {
                let url = envelope.need("SubscribeURL")?;
                if !is_subscribe_url(url) {
                    let sentence = format!("{} confirms nothing at Amazon SNS", shortened(url));
                    return Err(envelope.reject("SubscribeURL", Reason::SnsSubscribeUrl, sentence));
                }
                self.push(Ok(Told::Handshake(Handshake::Confirm {
                    url: url.to_owned(),
                    topic: topic.to_owned(),
                    token: envelope.need("Token")?.to_owned(),
                })))
            }
            // Its URL would subscribe anew: it is never fetched.
            "UnsubscribeConfirmation" | "SubscriptionConfirmation" => {
                self.push(Ok(Told::Ignored {
                    reason: Ignored::ControlMessage,
                    what: format!("SNS says {kind}"),
                }))
            }
            other => {
                let sentence = format!("messages of the type {} are not known", shortened(other));
                Err(envelope.reject("Type", Reason::UnrecognisedShape, sentence))
            }
        }
    }

    fn same_as_header(
        &self,
        envelope: &Fields<'_, '_>,
        name: &str,
        header: &str,
    ) -> Result<(), Rejection> {
        let (told, shown) = (envelope.text(name)?, self.delivery.header(header));
        if shown.is_some_and(|shown| told != Some(shown)) {
            let sentence = format!("the header {header} says something else");
            return Err(envelope.reject(name, Reason::InconsistentEnvelope, sentence));
        }
        Ok(())
    }

    fn check_topic(&self, topic: &str, place: &Place<'_>) -> Result<(), Rejection> {
        if self.settings.sns.allows(topic) {
            return Ok(());
        }
        let sentence = format!(
            "{} is not one of the topics that are listened to",
            shortened(topic)
        );
        Err(place.reject(Reason::SnsTopic, sentence))
    }

    fn check_age(&self, envelope: &Fields<'_, '_>) -> Result<(), Rejection> {
        let place = envelope.place.member("Timestamp");
        let sent = time(envelope.need("Timestamp")?, &place)?;
        let Some(max_age) = self.settings.sns.max_age else {
            return Ok(());
        };
        let age = self.now.as_second() - sent.as_second();
        if age < -MAX_SKEW_SECONDS {
            return Err(place.reject(Reason::SnsTimestamp, "it is in the future"));
        }
        if u64::try_from(age).is_ok_and(|age| age > max_age.as_secs()) {
            let sentence = format!("it is longer ago than {max_age:?}");
            return Err(place.reject(Reason::SnsTimestamp, sentence));
        }
        Ok(())
    }

    // -- what comes out

    fn need_token(&self) -> Result<(), Rejection> {
        match self.trusted {
            true => Ok(()),
            false => Err(authentication::no_token()),
        }
    }

    /// Begins a message of the transport: what is said from here on is said by it.
    fn begin(&mut self, id: Option<&str>, receipt: Option<&str>) -> Result<(), Rejection> {
        self.current = self.decoded.messages.len();
        self.check_room(self.current)?;
        self.decoded.messages.push(Message {
            id: id.map(str::to_owned),
            receipt: receipt.map(str::to_owned),
        });
        Ok(())
    }

    /// As [`Self::begin`] for the event that an invocation is, once.
    fn begin_event(&mut self) -> Result<(), Rejection> {
        match self.of_the_event {
            Some(message) => self.current = message,
            None => {
                self.begin(None, None)?;
                self.of_the_event = Some(self.current);
            }
        }
        Ok(())
    }

    fn push(&mut self, told: Result<Told, Rejection>) -> Result<(), Rejection> {
        self.check_room(self.decoded.items.len())?;
        let told = told.unwrap_or_else(Told::Rejected);
        let allowed = &self.settings.sources;
        let told = match told {
            Told::Notification(told) if !allowed.is_empty() && !allowed.contains(&told.source) => {
                let sentence = format!("messages of {} are not expected here", told.source);
                Told::Rejected(Place::ROOT.reject(Reason::SourceNotAllowed, sentence))
            }
            told => told,
        };
        let message = self.current;
        self.decoded.items.push(Item { message, told });
        Ok(())
    }

    /// Turns the failure of one message into an item; that there are too many ends all.
    fn or_reject(&mut self, read: Result<(), Rejection>) -> Result<(), Rejection> {
        match read {
            Ok(()) => Ok(()),
            Err(rejection) => self.push(Err(rejection)),
        }
    }

    fn check_room(&self, count: usize) -> Result<(), Rejection> {
        let most = self.limits().max_items;
        if count < most {
            return Ok(());
        }
        let sentence = format!("it has more than {most} messages or records");
        Err(Place::ROOT.reject(Reason::TooLarge, sentence))
    }
}

/// Whether a request says that it carries CloudEvents in their JSON format.
fn is_cloudevents(delivery: &Delivery) -> bool {
    let media = delivery.header("content-type").unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    [
        "application/cloudevents+json",
        "application/cloudevents-batch+json",
    ]
    .iter()
    .any(|known| media.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests;
