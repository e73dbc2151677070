//! Reading: pooled sessions that are lent out, one for each read.

use std::time::Duration;

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, Timeouts,
};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::codec::{COLUMNS, PageDecoder, damaged, escape, stream_name, to_sql};
use super::error::{OpenError, Remedy, describe, remedy};
use super::follower::HEAD;
use super::options::PostgresOptions;
use super::session::Connector;
use super::wait::{Backoff, Patience};
use crate::{Direction, Position, ReadError, RecordedEvent, StreamName, StreamVersion};

/// Lends out sessions. Cheap to clone.
#[derive(Clone)]
pub(super) struct Readers {
    pool: Pool,
    patience: Duration,
}

impl Readers {
    pub(super) fn new(connector: &Connector, options: &PostgresOptions) -> Result<Self, OpenError> {
        let recycling = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let config = connector.config().clone();
        let manager = Manager::from_connect(config, connector.clone(), recycling);
        let pool = Pool::builder(manager)
            .max_size(options.readers.max(1))
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts {
                wait: Some(options.patience),
                create: Some(options.attempt_timeout),
                recycle: Some(options.attempt_timeout),
            })
            .build()
            .map_err(|error| OpenError::Config(error.to_string()))?;
        Ok(Self {
            pool,
            patience: options.patience,
        })
    }

    pub(super) async fn read_all(
        &self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        // Positions have no gaps, so a limit is a last position, and the plan needs no guess.
        let last = after.0.saturating_add(limit as u64);
        let sql = format!(
            "SELECT {COLUMNS} FROM events e WHERE e.position > $1 AND e.position <= $2 \
             ORDER BY e.position"
        );
        let rows = self.rows(&sql, &[&to_sql(after.0), &to_sql(last)]).await?;
        let mut decoder = PageDecoder::default();
        let missing = decoder.missing(&rows)?;
        if !missing.is_empty() {
            let sql = "SELECT position, stream FROM events \
                       WHERE position = ANY($1) AND stream IS NOT NULL";
            for row in self.rows(sql, &[&missing]).await? {
                let id: i64 = row.try_get(0).map_err(damaged)?;
                decoder.know(id, stream_name(row.try_get(1).map_err(damaged)?));
            }
        }
        let events = rows.iter().map(|row| decoder.decode(row));
        let events = events.collect::<Result<Vec<_>, _>>()?;
        check_contiguous(after, &events)?;
        Ok(events)
    }

    pub(super) async fn read_stream(
        &self,
        stream: &StreamName,
        from: Option<StreamVersion>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let (compare, order, default) = match direction {
            Direction::Forward => (">=", "ASC", 0),
            Direction::Backward => ("<=", "DESC", i64::MAX),
        };
        let from = from.map_or(default, |version| to_sql(version.0));
        let sql = format!(
            "SELECT {COLUMNS} FROM events e \
             WHERE e.stream_id = (SELECT f.stream_id FROM events f WHERE f.stream = $1) \
             AND e.version {compare} $2 ORDER BY e.version {order} LIMIT $3"
        );
        let name = escape(stream.as_str());
        let limit = to_sql(limit as u64);
        let rows = self.rows(&sql, &[&name, &from, &limit]).await?;
        let mut decoder = PageDecoder::default();
        if let Some(row) = rows.first() {
            decoder.know(row.try_get(1).map_err(damaged)?, stream.clone());
        }
        rows.iter().map(|row| decoder.decode(row)).collect()
    }

    pub(super) async fn head(&self) -> Result<Position, ReadError> {
        let rows = self.rows(HEAD, &[]).await?;
        let row = rows
            .first()
            .ok_or_else(|| damaged("the head row is missing"))?;
        let position: i64 = row.try_get(0).map_err(damaged)?;
        Ok(Position(position.unsigned_abs()))
    }

    /// The rows of one statement that can be repeated, which is tried again while the database is
    /// away.
    pub(super) async fn rows(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, ReadError> {
        let patience = Patience::new(self.patience);
        let mut backoff = Backoff::default();
        loop {
            let why = match self.attempt(sql, parameters).await {
                Ok(rows) => return Ok(rows),
                Err(Attempt::Final(error)) => return Err(error),
                Err(Attempt::Repeatable(why)) => why,
            };
            if patience.is_over() {
                return Err(ReadError::Unavailable(why));
            }
            tracing::debug!(why, "a read failed, trying again");
            backoff.wait().await;
        }
    }

    async fn attempt(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Attempt> {
        let session = self.session().await?;
        let statement = session.prepare_cached(sql).await;
        let rows = match statement {
            Ok(statement) => session.query(&statement, parameters).await,
            Err(error) => Err(error),
        };
        rows.map_err(|error| {
            let why = describe(&error);
            match remedy(&error) {
                Remedy::GiveUp => Attempt::Final(ReadError::Unavailable(why)),
                Remedy::RepeatElsewhere => {
                    // It must not be lent out again.
                    let _ = Object::take(session);
                    Attempt::Repeatable(why)
                }
                Remedy::Repeat | Remedy::Unknown => Attempt::Repeatable(why),
            }
        })
    }

    async fn session(&self) -> Result<Object, Attempt> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Closed => Attempt::Final(ReadError::Unavailable("the log is closed".into())),
            PoolError::Backend(error) => Attempt::Repeatable(describe(&error)),
            error => Attempt::Repeatable(error.to_string()),
        })
    }

    /// A session for a transaction; tried once.
    pub(super) async fn lend(&self) -> Result<Object, ReadError> {
        self.session().await.map_err(|attempt| match attempt {
            Attempt::Final(error) => error,
            Attempt::Repeatable(why) => ReadError::Unavailable(why),
        })
    }

    /// Later reads are refused.
    pub(super) fn close(&self) {
        self.pool.close();
    }
}

/// Whoever skips an event never sees it: so nobody may.
fn check_contiguous(after: Position, events: &[RecordedEvent]) -> Result<(), ReadError> {
    for (event, wanted) in events.iter().zip(after.0.saturating_add(1)..) {
        if event.position.0 != wanted {
            let found = event.position;
            return Err(damaged(format!(
                "position {wanted} is missing, {found} is there"
            )));
        }
    }
    Ok(())
}

enum Attempt {
    Final(ReadError),
    Repeatable(String),
}
