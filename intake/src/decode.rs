//! Telling dialects apart, and taking transports' wrappings off.
//!
//! A document is told by the members that its dialect always has. One that has those of two dialects
//! is refused, so that nobody who may choose some of the members of a message can have it taken for
//! another one. What is wrapped in what is fixed as well: a queue's message may be one of SNS, one of
//! SNS may not be one of SNS again, and only an invocation carries messages of queues.

mod documents;
mod queues;
mod topics;

use jiff::Timestamp;

use crate::authentication;
use crate::dialects::{cloudevents, gcs};
use crate::json::{self, Json, Object};
use crate::reader::{Fields, Place};
use crate::{
    Decoded, Delivery, Handshake, Item, Limits, Message, Reason, Rejection, Reply, Settings, Told,
    Transport,
};

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
        for document in documents {
            let read = document.and_then(|document| match &document {
                Json::Object(object) if matches!(object.get("Records"), Some(Json::Null)) => Ok(()),
                document => self.document(document, root, Layer::Queued),
            });
            self.or_reject(read)?;
        }
        Ok(())
    }

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
