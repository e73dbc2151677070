//! Learning where the log ends from what others append: by notifications, which come at once but
//! may get lost, and by asking now and then, which may not.

use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_postgres::{AsyncMessage, Client, Error};

use super::error::describe;
use super::head::Head;
use super::session::Connector;
use super::wait::Backoff;
use crate::Position;

/// Reads where the log ends.
pub(super) const HEAD: &str = "SELECT position FROM head";
/// Notifications that wait at most: a newer one replaces what was missed.
const QUEUED_NOTIFICATIONS: usize = 16;

/// Keeps `head` up to date until it is dropped.
pub(super) struct Follower {
    pub(super) connector: Connector,
    pub(super) head: Head,
    pub(super) channel: String,
    pub(super) poll_interval: Duration,
    pub(super) attempt_timeout: Duration,
}

impl Follower {
    pub(super) async fn run(self) {
        let mut backoff = Backoff::default();
        loop {
            let Err(error) = self.follow(&mut backoff).await;
            tracing::warn!(error, "the end of the log is not known, asking again");
            backoff.wait().await;
        }
    }

    /// With one session, for as long as it works.
    async fn follow(&self, backoff: &mut Backoff) -> Result<std::convert::Infallible, String> {
        let opened = self.connector.open().await;
        let (client, mut connection) = opened.map_err(|error| describe(&error))?;
        let (sender, mut notified) = mpsc::channel(QUEUED_NOTIFICATIONS);
        let driving = tokio::spawn(async move {
            let mut messages = stream::poll_fn(|context| connection.poll_message(context));
            while let Some(Ok(message)) = messages.next().await {
                if let AsyncMessage::Notification(notification) = message {
                    // One that does not fit is made up for by the next, or by asking.
                    let _ = sender.try_send(notification.payload().parse::<u64>());
                }
            }
        });
        let _stop = AbortOnDrop(driving.abort_handle());
        let listen = format!("LISTEN {}", self.channel);
        let listening = client.batch_execute(&listen).await;
        listening.map_err(|error| describe(&error))?;
        let mut poll = interval(self.poll_interval.max(MIN_POLL_INTERVAL));
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                notification = notified.recv() => match notification {
                    Some(Ok(position)) => self.head.raise(Position(position)),
                    Some(Err(_)) => poll.reset_immediately(),
                    None => return Err("the session has ended".into()),
                },
                _ = poll.tick() => {
                    self.look_up(&client).await?;
                    *backoff = Backoff::default();
                }
            }
        }
    }

    async fn look_up(&self, client: &Client) -> Result<(), String> {
        let known = self.head.known();
        let asked = tokio::time::timeout(self.attempt_timeout, head(client)).await;
        let position = asked
            .map_err(|_| "no answer in time".to_owned())?
            .map_err(|error| describe(&error))?;
        self.head.looked_up(known, position);
        Ok(())
    }
}

/// Asking more often would be a load of its own.
const MIN_POLL_INTERVAL: Duration = Duration::from_millis(1);

/// Where the log ends.
pub(super) async fn head(client: &Client) -> Result<Position, Error> {
    let row = client.query_one(HEAD, &[]).await?;
    let position: i64 = row.try_get(0)?;
    Ok(Position(position.unsigned_abs()))
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
