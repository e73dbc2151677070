//! A queue that speaks the JSON protocol of SQS, and fails as a test wants.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// How long between two looks at a condition.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// One request, as it came.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) operation: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

#[derive(Default)]
struct Inner {
    messages: Vec<Held>,
    /// Answers of this operation, in place of the next ones.
    failures: VecDeque<(&'static str, u16, Value)>,
    redrive: bool,
    asked: Vec<Asked>,
}

struct Held {
    id: String,
    body: String,
    receives: u32,
    hidden_until: Instant,
}

/// A queue on loopback.
#[derive(Clone)]
pub(super) struct FakeQueue {
    pub(super) address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
    _serving: Arc<AbortOnDropHandle<()>>,
}

impl FakeQueue {
    /// An empty queue, with or without a redrive policy.
    pub(super) async fn start(redrive: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Mutex::new(Inner {
            redrive,
            ..Inner::default()
        }));
        let router = Router::new().fallback(answer).with_state(inner.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            inner,
            _serving: Arc::new(AbortOnDropHandle::new(serving)),
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/123456789012/arrivals", self.address)
    }

    /// Sends messages.
    pub(super) fn send(&self, bodies: &[String]) {
        let mut inner = self.inner.lock().unwrap();
        for body in bodies {
            let id = format!("m{}", inner.messages.len());
            inner.messages.push(Held {
                id,
                body: body.clone(),
                receives: 0,
                hidden_until: Instant::now(),
            });
        }
    }

    /// Answers the next requests of an operation so.
    pub(super) fn fail(&self, operation: &'static str, status: u16, document: Value) {
        let mut inner = self.inner.lock().unwrap();
        inner.failures.push_back((operation, status, document));
    }

    /// The ids of what it still holds.
    pub(super) fn holds(&self) -> Vec<String> {
        let inner = self.inner.lock().unwrap();
        inner.messages.iter().map(|it| it.id.clone()).collect()
    }

    /// The requests of an operation so far.
    pub(super) fn asked(&self, operation: &str) -> Vec<Asked> {
        let inner = self.inner.lock().unwrap();
        let asked = inner.asked.iter().filter(|it| it.operation == operation);
        asked.cloned().collect()
    }

    /// Waits until something holds.
    pub(super) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !holds(self) {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting)
            .await
            .unwrap_or_else(|_| panic!("this did not come true: {what}"));
    }
}

async fn answer(
    State(inner): State<Arc<Mutex<Inner>>>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let target = headers["x-amz-target"].to_str().unwrap();
    let operation = target.strip_prefix("AmazonSQS.").unwrap().to_owned();
    let body: Value = serde_json::from_str(&body).unwrap();
    let answer = {
        let mut inner = inner.lock().unwrap();
        inner.asked.push(Asked {
            operation: operation.clone(),
            headers,
            body: body.clone(),
        });
        let next = inner.failures.iter().position(|it| it.0 == operation);
        match next.and_then(|at| inner.failures.remove(at)) {
            Some((_, status, document)) => {
                (StatusCode::from_u16(status).unwrap(), document.to_string()).into_response()
            }
            None => inner.answer(&operation, &body).to_string().into_response(),
        }
    };
    if operation == "ReceiveMessage" {
        // As long polling does: nobody asks again at once.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    answer
}

impl Inner {
    fn answer(&mut self, operation: &str, body: &Value) -> Value {
        let now = Instant::now();
        let entries = body["Entries"].as_array().cloned().unwrap_or_default();
        match operation {
            "ReceiveMessage" => {
                let most = body["MaxNumberOfMessages"].as_u64().unwrap() as usize;
                let hidden = Duration::from_secs(body["VisibilityTimeout"].as_u64().unwrap());
                let visible = self.messages.iter_mut().filter(|it| it.hidden_until <= now);
                let messages: Vec<Value> = visible
                    .take(most)
                    .map(|it| {
                        it.receives += 1;
                        it.hidden_until = now + hidden;
                        json!({
                            "MessageId": it.id,
                            "ReceiptHandle": format!("{}:{}", it.id, it.receives),
                            "Body": it.body,
                            "Attributes": { "ApproximateReceiveCount": it.receives.to_string() },
                        })
                    })
                    .collect();
                json!({ "Messages": messages })
            }
            "DeleteMessageBatch" => {
                for entry in &entries {
                    let receipt = entry["ReceiptHandle"].as_str().unwrap();
                    let id = receipt.split(':').next().unwrap();
                    self.messages.retain(|it| it.id != id);
                }
                json!({ "Successful": entries })
            }
            "ChangeMessageVisibilityBatch" => {
                for entry in &entries {
                    let receipt = entry["ReceiptHandle"].as_str().unwrap();
                    let id = receipt.split(':').next().unwrap();
                    let hidden = Duration::from_secs(entry["VisibilityTimeout"].as_u64().unwrap());
                    for it in self.messages.iter_mut().filter(|it| it.id == id) {
                        it.hidden_until = now + hidden;
                    }
                }
                json!({ "Successful": entries })
            }
            "GetQueueAttributes" => {
                let waiting = self.messages.len().to_string();
                match self.redrive {
                    true => json!({ "Attributes": {
                        "RedrivePolicy": "{\"maxReceiveCount\":3}",
                        "ApproximateNumberOfMessages": waiting,
                    } }),
                    false => json!({ "Attributes": { "ApproximateNumberOfMessages": waiting } }),
                }
            }
            other => panic!("{other} was asked for"),
        }
    }
}
