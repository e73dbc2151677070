//! The conformance suite against the fake, beside a busy neighbour, and what only this adapter can
//! get wrong.

mod appends;
mod following;
mod reads;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::fake::Fake;
use super::{ConnectError, EventStoreDbLog, EventStoreDbOptions};
use crate::EventLog;
use crate::conformance::Harness;

struct FakeHarness {
    fake: Option<Fake>,
}

impl FakeHarness {
    fn new() -> Self {
        Self { fake: None }
    }
}

#[async_trait]
impl Harness for FakeHarness {
    async fn open(&mut self) -> Arc<dyn EventLog> {
        let fake = self.fake.insert(Fake::start().await.with_neighbour());
        connect(fake).await
    }

    async fn reopen(&mut self, log: Arc<dyn EventLog>) -> Option<Arc<dyn EventLog>> {
        log.close().await;
        Some(connect(self.fake.as_ref()?).await)
    }

    fn contiguous(&self) -> bool {
        false
    }
}

crate::conformance_suite!(FakeHarness::new());

async fn connect(fake: &Fake) -> Arc<EventStoreDbLog> {
    connect_with(fake, EventStoreDbOptions::default()).await
}

async fn connect_with(fake: &Fake, options: EventStoreDbOptions) -> Arc<EventStoreDbLog> {
    let log = EventStoreDbLog::connect(&fake.url(), options).await;
    log.expect("the fake answers")
}

/// Tries quickly, and looks at the end of the log only when told.
fn impatient() -> EventStoreDbOptions {
    EventStoreDbOptions {
        retry_delay: Duration::from_millis(1),
        poll_interval: Duration::from_secs(3600),
        ..EventStoreDbOptions::default()
    }
}

#[tokio::test]
async fn what_cannot_be_reached_is_named_without_its_password() {
    let fake = Fake::start().await;
    fake.stop();
    let url = format!("esdb://admin:secret@{}", fake.address);
    let error = EventStoreDbLog::connect(&url, impatient()).await;
    let error = error.unwrap_err();
    assert!(matches!(error, ConnectError::Unavailable { .. }));
    let shown = format!("{error} {error:?}");
    assert!(shown.contains(&fake.address.to_string()), "{shown}");
    assert!(!shown.contains("secret"), "{shown}");
}

#[tokio::test]
async fn a_wrong_prefix_is_refused() {
    let options = EventStoreDbOptions {
        stream_prefix: "$mine-".into(),
        ..impatient()
    };
    let error = EventStoreDbLog::connect("esdb://localhost", options).await;
    assert!(matches!(error, Err(ConnectError::Invalid(_))));
}
