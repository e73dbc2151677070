//! Opening sessions: all of them with the same settings.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Error, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::OpenError;
use super::options::PostgresOptions;
use super::{tls, url};

/// A process that was stopped amid a transaction must not hold up the others for longer.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(5);
/// How long a session waits for a row that another one holds before it says so.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// PostgreSQL cuts off longer names.
const MAX_SCHEMA_NAME: usize = 60;

/// The two halves of a session.
pub(super) type Session = (
    Client,
    Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>,
);

/// Opens sessions to the one database. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connector {
    config: Config,
    tls: MakeRustlsConnect,
}

impl Connector {
    /// Reads the URL, and the certificates that it names.
    pub(super) fn new(url: &str, options: &PostgresOptions) -> Result<Self, OpenError> {
        check_schema_name(&options.schema)?;
        let target = url::parse(url)?;
        let tls = tls::connector(&target.trust)?;
        let mut config = target.config;
        let given = config.get_options().map(|given| format!("{given} "));
        config.options(format!(
            "{}{}",
            given.unwrap_or_default(),
            settings(&options.schema)
        ));
        Ok(Self { config, tls })
    }

    /// Where sessions go.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// A session whose connection is still to be driven.
    pub(super) async fn open(&self) -> Result<Session, Error> {
        self.config.connect(self.tls.clone()).await
    }

    /// A session that is driven until it is dropped.
    pub(super) async fn driven(&self) -> Result<Driven, Error> {
        let (client, driving) = self.client().await?;
        Ok(Driven { client, driving })
    }

    /// A session with a task that drives it.
    async fn client(&self) -> Result<(Client, JoinHandle<()>), Error> {
        let (client, connection) = self.open().await?;
        let driving = tokio::spawn(async move {
            if let Err(error) = connection.await {
                let error = super::error::describe(&error);
                tracing::warn!(error, "a session with PostgreSQL has ended");
            }
        });
        Ok((client, driving))
    }
}

/// A session and the task that drives it, which ends with it.
pub(super) struct Driven {
    pub(super) client: Client,
    driving: JoinHandle<()>,
}

impl Drop for Driven {
    fn drop(&mut self) {
        self.driving.abort();
    }
}

impl deadpool_postgres::Connect for Connector {
    fn connect(
        &self,
        _config: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + '_>> {
        Box::pin(self.client())
    }
}

/// What each session is told at its start, whatever the server's, the database's or the role's
/// defaults are.
fn settings(schema: &str) -> String {
    let idle_ms = IDLE_IN_TRANSACTION.as_millis();
    let lock_ms = LOCK_TIMEOUT.as_millis();
    [
        format!("search_path={schema}"),
        // Acknowledged means on disk, and at the standby where there is a synchronous one.
        "synchronous_commit=on".into(),
        "default_transaction_isolation=read\\ committed".into(),
        format!("idle_in_transaction_session_timeout={idle_ms}"),
        format!("lock_timeout={lock_ms}"),
        // It would break off the wait for a standby and have the commit reported as done.
        "statement_timeout=0".into(),
        // All we ask goes by an index, also while statistics say that the table is empty.
        "enable_seqscan=off".into(),
        "enable_bitmapscan=off".into(),
        "enable_hashjoin=off".into(),
        "enable_mergejoin=off".into(),
        "plan_cache_mode=force_generic_plan".into(),
        "jit=off".into(),
        "work_mem=32MB".into(),
        "client_min_messages=warning".into(),
    ]
    .map(|setting| format!("-c {setting}"))
    .join(" ")
}

/// The name goes into SQL as it is.
fn check_schema_name(name: &str) -> Result<(), OpenError> {
    let mut characters = name.chars();
    let starts = characters
        .next()
        .is_some_and(|first| first.is_ascii_lowercase() || first == '_');
    let goes_on =
        characters.all(|next| next.is_ascii_lowercase() || next.is_ascii_digit() || next == '_');
    if starts && goes_on && name.len() <= MAX_SCHEMA_NAME && !name.starts_with("pg_") {
        return Ok(());
    }
    Err(OpenError::Config(format!(
        "the schema {name:?} is not made of lower-case letters, digits and underscores"
    )))
}
