//! What came in, before anybody understood it.

use bytes::Bytes;

/// One delivery, as its transport handed it over.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// How it came.
    pub transport: Transport,
    /// The HTTP method, in upper case; of other transports that of their request.
    pub method: String,
    /// The headers, names in lower case, in their order.
    pub headers: Vec<(String, String)>,
    /// The parameters of the query, decoded, in their order.
    pub query: Vec<(String, String)>,
    /// The body, its transfer and content codings undone.
    pub body: Bytes,
}

/// How a delivery came. It says what else than notifications is to be expected around them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A request to the intake's own endpoint.
    Http,
    /// The answer of a queue that was asked for messages (SQS `ReceiveMessage`, and those of Pub/Sub,
    /// Event Grid and Cloudflare Queues), or the body of one message.
    Sqs,
    /// The event that an AWS Lambda function was invoked with.
    Lambda,
    /// A piece of a stream that was asked for (MinIO `ListenNotification`).
    Stream,
}

impl Delivery {
    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The first parameter of this name.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}
