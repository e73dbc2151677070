//! The client of the server, and how calls are tried again.
//!
//! The client picks a node once and stays with it, and it is dead for good after a connection that
//! did not come about. So a client that may be at fault is replaced by a new one, which asks the
//! cluster anew who leads.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use eventstore::{
    AppendToStreamOptions, Client, Error, ReadAllOptions, ReadStreamOptions, SubscribeToAllOptions,
};

use super::address::Address;
use super::faults::Fault;
use super::options::EventStoreDbOptions;

/// The wait before a try does not double more often than this.
const MAX_DOUBLINGS: u32 = 6;

/// Waits for the server for so long and no longer.
pub(super) async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let answer = tokio::time::timeout(limit, call).await;
    answer.unwrap_or(Err(Error::DeadlineExceeded))
}

pub(super) struct Connection {
    address: Address,
    options: EventStoreDbOptions,
    current: Mutex<Current>,
}

/// The client in use; the generation tells whether somebody else has replaced it already.
#[derive(Clone)]
struct Current {
    client: Client,
    generation: u64,
}

/// Sets the user and the leader on the options of a call, which have no trait in common.
macro_rules! as_user {
    ($self:expr, $call:expr) => {{
        let call = $call.requires_leader(true);
        match $self.address.credentials.clone() {
            Some(credentials) => call.authenticated(credentials),
            None => call,
        }
    }};
}

impl Connection {
    /// Nothing is sent before the first call.
    pub(super) fn new(address: Address, options: EventStoreDbOptions) -> Result<Connection, Fault> {
        let client = Client::new(address.settings.clone())?;
        let generation = 0;
        Ok(Connection {
            address,
            options,
            current: Mutex::new(Current { client, generation }),
        })
    }

    pub(super) fn options(&self) -> &EventStoreDbOptions {
        &self.options
    }

    /// One try of a call. A client that may be at fault is replaced for the next one.
    pub(super) async fn once<T, F, R>(&self, call: F) -> Result<T, Fault>
    where
        F: FnOnce(Client) -> R,
        R: Future<Output = Result<T, Error>>,
    {
        let Current { client, generation } = self.current().clone();
        let fault = match call(client).await {
            Ok(answer) => return Ok(answer),
            Err(error) => Fault::from(error),
        };
        if fault.wants_new_connection() {
            self.renew(generation);
        }
        Err(fault)
    }

    /// A call that changes nothing, tried again where that may help.
    pub(super) async fn reading<T, F, R>(&self, call: F) -> Result<T, Fault>
    where
        F: Fn(Client) -> R,
        R: Future<Output = Result<T, Error>>,
    {
        let mut tries = 0;
        loop {
            match self.once(&call).await {
                Err(fault) if fault.may_pass() && tries + 1 < self.options.attempts => {
                    tracing::debug!(?fault, "a read from EventStoreDB is tried again");
                }
                answer => return answer,
            }
            tokio::time::sleep(self.delay(tries)).await;
            tries += 1;
        }
    }

    /// The wait after so many tries that failed, the last one not counted.
    pub(super) fn delay(&self, tries: u32) -> Duration {
        self.options.retry_delay * 2_u32.pow(tries.min(MAX_DOUBLINGS))
    }

    /// Options of an append with user and deadline.
    pub(super) fn append(&self, call: AppendToStreamOptions) -> AppendToStreamOptions {
        as_user!(self, call).deadline(self.options.call_timeout)
    }

    /// Options of a read of `$all` with user.
    pub(super) fn read_all(&self, call: ReadAllOptions) -> ReadAllOptions {
        as_user!(self, call)
    }

    /// Options of a read of a stream with user.
    pub(super) fn read_stream(&self, call: ReadStreamOptions) -> ReadStreamOptions {
        as_user!(self, call)
    }

    /// Options of a subscription with user and without an end, and the client for it.
    pub(super) fn subscribe_to_all(
        &self,
        call: SubscribeToAllOptions,
    ) -> (Client, SubscribeToAllOptions) {
        (self.current().client.clone(), as_user!(self, call))
    }

    /// Replaces the client after a subscription ended with a fault that it may be the cause of.
    pub(super) fn replace_after(&self, fault: &Fault) {
        let generation = self.current().generation;
        if fault.wants_new_connection() {
            self.renew(generation);
        }
    }

    fn renew(&self, generation: u64) {
        let mut current = self.current();
        if current.generation != generation {
            return;
        }
        match Client::new(self.address.settings.clone()) {
            Ok(client) => {
                let generation = generation + 1;
                *current = Current { client, generation };
            }
            Err(error) => tracing::warn!(%error, "no new client for EventStoreDB"),
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        // It is replaced as a whole, so it is whole even if poisoned.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
