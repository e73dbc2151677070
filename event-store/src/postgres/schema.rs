//! Making the tables and bringing them up to date.

use refinery_core::error::Kind;
use refinery_core::{Migration, Runner};
use tokio_postgres::Client;

use super::error::{OpenError, describe};
use super::session::Connector;

/// In order; once released, none of them changes.
const MIGRATIONS: [(&str, &str); 1] = [(
    "V1__log",
    include_str!("../../migrations/postgres/V1__log.sql"),
)];
/// Where it is noted which of them a schema has.
const HISTORY_TABLE: &str = "schema_history";

/// Brings the schema up to date. Several services may start at the same time: one does it, the
/// others wait and find it done. A schema that is newer than this program is refused.
pub(super) async fn migrate(connector: &Connector, schema: &str) -> Result<(), OpenError> {
    let session = connector.driven().await;
    let mut session = session.map_err(|error| OpenError::Connect(describe(&error)))?;
    let refuse = |why: String| OpenError::Schema {
        schema: schema.to_owned(),
        why,
    };
    let prepared = prepare(&session.client, schema).await;
    prepared
        .map_err(|error| refuse(describe(&error)))?
        .map_err(refuse)?;
    let migrations = MIGRATIONS
        .into_iter()
        .map(|(name, sql)| Migration::unapplied(name, sql))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| refuse(error.to_string()))?;
    let mut runner = Runner::new(&migrations)
        .set_abort_divergent(true)
        .set_abort_missing(true);
    runner.set_migration_table_name(HISTORY_TABLE);
    // The lock goes with the session.
    let done = runner.run_async(&mut session.client).await;
    done.map(|_| ()).map_err(|error| match error.kind() {
        Kind::MissingVersion(found) => refuse(format!("{found} is newer than this program")),
        Kind::DivergentVersion(_, found) => {
            refuse(format!("{found} is not the one that this program knows"))
        }
        Kind::Connection(_, source) => refuse(match source.downcast_ref() {
            Some(source) => describe(source),
            None => source.to_string(),
        }),
        _ => refuse(error.to_string()),
    })
}

/// Takes the lock, and makes the schema where it is missing. The inner error is what does not fit.
async fn prepare(
    client: &Client,
    schema: &str,
) -> Result<Result<(), String>, tokio_postgres::Error> {
    // Another service may be at it for longer than a row may be held.
    client.batch_execute("SET lock_timeout = 0").await?;
    let lock = "SELECT pg_advisory_lock(hashtextextended('daybook.' || $1::text, 0))";
    client.execute(lock, &[&schema]).await?;
    let row = client
        .query_one(
            "SELECT current_setting('server_encoding'), to_regnamespace($1::text) IS NULL",
            &[&schema],
        )
        .await?;
    let encoding: &str = row.get(0);
    if encoding != "UTF8" {
        return Ok(Err(format!(
            "the database's encoding is {encoding}, UTF8 is needed"
        )));
    }
    // Asked for first: even IF NOT EXISTS needs the right to make one.
    if row.get(1) {
        let make = format!("CREATE SCHEMA IF NOT EXISTS {schema}");
        client.batch_execute(&make).await?;
    }
    Ok(Ok(()))
}
