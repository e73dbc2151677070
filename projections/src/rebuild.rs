//! Rebuilding: a second model from the log alone, beside the live one; compared with it at the
//! same position and put in its place.

use std::path::PathBuf;
use std::sync::Arc;

use daybook_event_store::{Position, ReadError};
use rusqlite::Connection;
use thiserror::Error;

use crate::compare::{self, Difference, TableDigest};
use crate::decode::DecodeFault;
use crate::fold::{FoldError, fold_batch};
use crate::model::{self, OpenError};
use crate::projector::{Projector, blocking, prepare_all};
use crate::schema::PROJECTIONS;

/// What a rebuild found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RebuildReport {
    /// The position at which the two models were compared.
    pub position: Position,
    /// The tables that were asked about.
    pub tables: Vec<TableReport>,
    /// Whether they held the same rows.
    pub equal: bool,
    /// Where they did not.
    pub differences: Vec<Difference>,
}

/// One table of a rebuild.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableReport {
    /// The projection that it belongs to.
    pub projection: &'static str,
    /// The table.
    pub table: &'static str,
    /// The rows in the live model.
    pub live_rows: u64,
    /// The rows in the rebuilt model.
    pub rebuilt_rows: u64,
    /// Whether they are the same.
    pub equal: bool,
}

/// Why there was no rebuild. The live model is as it was, unless it says otherwise.
#[derive(Debug, Error)]
pub enum RebuildError {
    /// There is no such projection. Use one of the names, or `all`.
    #[error("there is no projection {0:?}; there are: all, {names}", names = names())]
    Unknown(String),
    /// The second file cannot be made, or not be put in place. Check space and rights, restart.
    #[error("rebuilt model cannot be put in place")]
    Open(#[from] OpenError),
    /// The rows cannot be written. Check the free space.
    #[error("rebuilt model cannot be written")]
    Fold(#[from] FoldError),
    /// The rows cannot be compared.
    #[error("models cannot be compared")]
    Compare(#[from] rusqlite::Error),
    /// An event cannot be read; the live model stopped there too.
    #[error("log cannot be folded")]
    Decode(#[from] DecodeFault),
    /// The log does not answer. Try again later.
    #[error("log cannot be read")]
    Log(#[from] ReadError),
    /// The files cannot be exchanged. Restart: whichever is in place is whole.
    #[error("rebuilt model cannot take the place of the live one")]
    Switch(#[source] std::io::Error),
    /// The live model is not open after an earlier failure. Restart.
    #[error("live model is not open")]
    NotOpen,
}

impl Projector {
    /// Makes the model again from the log, compares it with the live one at the same position and
    /// puts it in its place, whether or not they were equal. `name` is a projection or `all`; as
    /// all projections share one file and one checkpoint, all are made again, and the name says
    /// which ones the report is about.
    pub async fn rebuild(&self, name: &str) -> Result<RebuildReport, RebuildError> {
        self.derived_again(tables_of(name)?, true).await
    }

    /// The same without changing anything: whether the live model is what the log says.
    pub async fn compare(&self) -> Result<RebuildReport, RebuildError> {
        self.derived_again(tables_of("all")?, false).await
    }

    /// In a task of its own: whoever asked may go away, and what was begun is finished.
    async fn derived_again(
        &self,
        tables: Vec<(&'static str, &'static str)>,
        switch: bool,
    ) -> Result<RebuildReport, RebuildError> {
        let this = self.clone();
        let work = tokio::spawn(async move { this.derive_again(&tables, switch).await });
        work.await.unwrap_or(Err(RebuildError::NotOpen))
    }

    async fn derive_again(
        &self,
        tables: &[(&'static str, &'static str)],
        switch: bool,
    ) -> Result<RebuildReport, RebuildError> {
        let shared = &self.shared;
        let live_path = shared.config.path.clone();
        // Two at once must not share a file; the writer's lock below lets one of them switch.
        let suffix = format!(".rebuild-{}", next_ordinal());
        let path = model::with_suffix(&live_path, &suffix);
        let made = path.clone();
        let (mut conn, _) = blocking(move || model::create(&made)).await?;
        let _cleanup = Cleanup(path.clone());

        // Most of the way while the live model goes on, the rest while it stands still.
        let mut at = Position::START;
        (conn, at) = self.catch_up(conn, at, self.position()).await?;
        let mut guard = shared.writer.lock().await;
        let live = guard.as_ref().ok_or(RebuildError::NotOpen)?;
        let position = Position(model::checkpoint(&live.conn)?.position);
        (conn, _) = self.catch_up(conn, at, position).await?;

        let live = guard.take().ok_or(RebuildError::NotOpen)?;
        let rebuilt_path = path.clone();
        let asked = tables.to_vec();
        let (live, conn, report) = blocking(move || {
            let report = report(&live.conn, &conn, &rebuilt_path, &asked, position);
            (live, conn, report)
        })
        .await;
        if !switch || report.is_err() {
            *guard = Some(live);
            return Ok(report?);
        }
        let switched = shared
            .reader
            .while_closed(async || {
                blocking(move || {
                    let (live, _file) = live.into_parts().map_err(RebuildError::Switch)?;
                    close(live)?;
                    close(conn)?;
                    std::fs::rename(&path, &live_path).map_err(RebuildError::Switch)?;
                    let (conn, _) = model::open(&live_path)?;
                    Ok::<_, RebuildError>(model::writer(conn, &live_path)?)
                })
                .await
            })
            .await?;
        *guard = Some(switched);
        Ok(report?)
    }

    async fn catch_up(
        &self,
        mut conn: Connection,
        mut at: Position,
        up_to: Position,
    ) -> Result<(Connection, Position), RebuildError> {
        let shared = &self.shared;
        while at < up_to {
            let mut batch = shared.log.read_all(at, shared.config.batch_events).await?;
            batch.retain(|event| event.position <= up_to);
            let Some(last) = batch.last() else {
                break;
            };
            at = last.position;
            let batch: Vec<_> = batch.into_iter().map(Arc::new).collect();
            let (prepared, fault) = prepare_all(&batch, &shared.blobs).await;
            if let Some(fault) = fault {
                return Err(fault.into());
            }
            let (back, folded) = blocking(move || {
                let folded = fold_batch(&mut conn, &prepared);
                (conn, folded)
            })
            .await;
            folded?;
            conn = back;
        }
        Ok((conn, at))
    }
}

fn report(
    live: &Connection,
    rebuilt: &Connection,
    rebuilt_path: &std::path::Path,
    tables: &[(&'static str, &'static str)],
    position: Position,
) -> rusqlite::Result<RebuildReport> {
    let (before, after) = (compare::digests(live)?, compare::digests(rebuilt)?);
    let find = |digests: &[TableDigest], table: &str| {
        digests.iter().find(|digest| digest.table == table).cloned()
    };
    let mut report = RebuildReport {
        position,
        tables: Vec::new(),
        equal: true,
        differences: Vec::new(),
    };
    for (projection, table) in tables {
        let (Some(before), Some(after)) = (find(&before, table), find(&after, table)) else {
            continue;
        };
        let equal = before == after;
        if !equal {
            report.equal = false;
            let difference = compare::difference(live, rebuilt_path, table)?;
            report.differences.push(difference);
        }
        report.tables.push(TableReport {
            projection,
            table,
            live_rows: before.rows,
            rebuilt_rows: after.rows,
            equal,
        });
    }
    Ok(report)
}

/// Closes a connection with all it wrote in the one file, so that nothing beside it is needed.
fn close(conn: Connection) -> Result<(), RebuildError> {
    // Journal mode DELETE folds the write-ahead log in and removes it, or fails.
    conn.pragma_update(None, "journal_mode", "DELETE")?;
    conn.close().map_err(|(_, error)| error)?;
    Ok(())
}

/// Removes the second file, if it is still there.
struct Cleanup(PathBuf);

impl Drop for Cleanup {
    fn drop(&mut self) {
        if let Err(error) = model::remove(&self.0) {
            tracing::warn!(%error, "the rebuilt model is left behind");
        }
    }
}

fn next_ordinal() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn tables_of(name: &str) -> Result<Vec<(&'static str, &'static str)>, RebuildError> {
    let tables: Vec<_> = PROJECTIONS
        .iter()
        .filter(|(projection, _)| name == "all" || name == *projection)
        .flat_map(|(projection, tables)| tables.iter().map(|table| (*projection, *table)))
        .collect();
    match tables.is_empty() {
        true => Err(RebuildError::Unknown(name.to_owned())),
        false => Ok(tables),
    }
}

fn names() -> String {
    let names: Vec<_> = PROJECTIONS.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}
