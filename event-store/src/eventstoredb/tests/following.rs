//! Subscribers beside other processes that append.

use std::time::Duration;

use super::{connect_with, impatient};
use crate::conformance::fixture::{exact, given, ids, take, within};
use crate::eventstoredb::EventStoreDbOptions;
use crate::eventstoredb::fake::Fake;
use crate::{EventLog, Expected, Position, ReadError};

#[tokio::test]
async fn the_server_tells_of_what_others_append() {
    let fake = Fake::start().await;
    let (one, other) = (
        connect_with(&fake, impatient()).await,
        connect_with(&fake, impatient()).await,
    );
    let mut subscription = one.clone().subscribe(Position::START);
    let mut expected = Expected::NoStream;
    for id in 0..5 {
        let appended = given(&*other, "a", expected, id..id + 1).await;
        assert_eq!(ids(&take(&mut subscription, 1).await), [id]);
        expected = Expected::Exact(appended.version);
        if id == 2 {
            fake.cut();
        }
    }
}

#[tokio::test]
async fn looking_now_and_then_is_enough() {
    let fake = Fake::start().await;
    fake.refuse_subscriptions();
    let options = EventStoreDbOptions {
        poll_interval: Duration::from_millis(10),
        ..impatient()
    };
    let one = connect_with(&fake, options).await;
    let other = connect_with(&fake, impatient()).await;
    let mut subscription = one.clone().subscribe(Position::START);
    given(&*other, "a", Expected::NoStream, 1..3).await;
    assert_eq!(ids(&take(&mut subscription, 2).await), [1, 2]);
    given(&*other, "a", exact(1), 3..4).await;
    assert_eq!(ids(&take(&mut subscription, 1).await), [3]);
}

#[tokio::test]
async fn a_server_that_was_put_back_stops_its_subscribers() {
    let fake = Fake::start().await;
    let options = EventStoreDbOptions {
        poll_interval: Duration::from_millis(10),
        ..impatient()
    };
    let log = connect_with(&fake, options).await;
    let head = given(&*log, "a", Expected::NoStream, 1..3).await.position;
    let copy = fake.records();
    given(&*log, "a", exact(1), 3..5).await;
    let mut subscription = log.clone().subscribe(Position::START);
    take(&mut subscription, 4).await;
    let reached = subscription.position();

    fake.put_back(copy);
    match within(subscription.next_batch(1)).await {
        Err(ReadError::Ahead {
            position,
            head: end,
        }) => assert_eq!((position, end), (reached, head)),
        other => panic!("{other:?}"),
    }
}
