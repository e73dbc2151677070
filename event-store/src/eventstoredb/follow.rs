//! Follows the end of the log, for the subscriptions of this process.
//!
//! A catch-up subscription of the server to `$all`, filtered to the ledger's streams, tells at once
//! that there is something new; looking at the end now and then makes good what it does not tell.
//! Both only move the watched head: the events are read by position. So the server's checkpoints,
//! which are no positions of events, are left aside, and nothing depends on what a subscription
//! does when its connection is lost.

use std::sync::Arc;

use eventstore::{Error, StreamPosition, SubscribeToAllOptions, SubscriptionFilter};

use super::Shared;
use super::codec::position;
use super::faults::Fault;
use super::reader::place;
use crate::Position;

/// Looks at the end of the log now and then, for as long as the log is open.
pub(super) async fn poll(shared: Arc<Shared>) {
    let mut turns = tokio::time::interval(shared.connection.options().poll_interval);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The first turn comes at once, and the head has just been read.
    turns.tick().await;
    loop {
        turns.tick().await;
        let announced = shared.announced();
        match shared.reader.head(&shared.connection).await {
            // What was announced could be read. So the server was put back to an older state, and
            // subscriptions that are ahead have to hear of it.
            Ok(head) if head < announced => shared.go_back(head),
            Ok(head) => shared.announce(head),
            Err(fault) => tracing::warn!(?fault, "the end of the log cannot be read"),
        }
    }
}

/// Listens to the server, for as long as the log is open.
pub(super) async fn listen(shared: Arc<Shared>) {
    let mut failures = 0;
    loop {
        let mut heard = false;
        let fault = Fault::from(hear(&shared, &mut heard).await);
        if heard {
            failures = 0;
        }
        tracing::warn!(?fault, "the subscription to the server ended, trying again");
        tokio::time::sleep(shared.connection.delay(failures)).await;
        shared.connection.replace_after(&fault);
        failures += 1;
    }
}

/// Announces what the server tells of, until something is wrong.
async fn hear(shared: &Shared, heard: &mut bool) -> Error {
    let filter = SubscriptionFilter::on_stream_name().add_prefix(shared.reader.names().prefix());
    let from = match shared.announced() {
        Position::START => StreamPosition::Start,
        head => StreamPosition::Position(place(head)),
    };
    let call = SubscribeToAllOptions::default()
        .filter(filter)
        .position(from);
    let (client, call) = shared.connection.subscribe_to_all(call);
    let mut subscription = client.subscribe_to_all(&call).await;
    loop {
        match subscription.next().await {
            Ok(event) => {
                *heard = true;
                shared.announce(position(event.get_original_event()));
            }
            Err(error) => return error,
        }
    }
}
