//! The fold: what each event changes in the tables. One batch is one transaction, rows and
//! checkpoint together, so that a crash leaves all of it or nothing.
//!
//! The result depends on the events and their order alone, never on how they were batched: a
//! rebuild gives the same rows.

mod catalog;
mod executions;
mod notifications;
mod objects;
mod reconciles;
mod statistics;

use daybook_domain::LedgerEvent;
use daybook_event_store::RecordedEvent;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use thiserror::Error;

use self::catalog::Wanters;
use self::statistics::Tally;
pub(crate) use self::statistics::{HOUR_US, MINUTE_US};
use crate::decode::Prepared;

/// Why a batch was not folded. Nothing of it is in the tables.
#[derive(Debug, Error)]
pub enum FoldError {
    /// The file cannot be written. Free space or mend the disk and restart; the rows are derived,
    /// so deleting the file is safe.
    #[error("read model cannot be written")]
    Storage(#[from] rusqlite::Error),
    /// A batch does not continue where the model is. A fault of the program.
    #[error("event {found} does not come after {checkpoint}, the last one folded")]
    OutOfOrder {
        /// The model's checkpoint.
        checkpoint: u64,
        /// The position of the batch's first event.
        found: u64,
    },
}

pub(crate) type Folded<T> = Result<T, rusqlite::Error>;

/// Folds a batch and moves the checkpoint to its last event.
pub(crate) fn fold_batch(conn: &mut Connection, batch: &[Prepared]) -> Result<(), FoldError> {
    let (Some(first), Some(last)) = (batch.first(), batch.last()) else {
        return Ok(());
    };
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let checkpoint: i64 = tx.query_row("SELECT position FROM checkpoint", [], |row| row.get(0))?;
    if pos(&first.recorded) <= checkpoint {
        return Err(FoldError::OutOfOrder {
            checkpoint: checkpoint.unsigned_abs(),
            found: first.recorded.position.0,
        });
    }
    let mut fold = Fold {
        wanters: Wanters::load(&tx)?,
        tally: Tally::default(),
        tx: &tx,
    };
    for prepared in batch {
        fold.apply(prepared)?;
    }
    fold.tally.write(&tx, &last.recorded)?;
    tx.prepare_cached("UPDATE checkpoint SET position = ?1, event_id = ?2, recorded_at = ?3")?
        .execute(params![
            pos(&last.recorded),
            last.recorded.event_id.to_string(),
            at(&last.recorded)
        ])?;
    tx.commit()?;
    Ok(())
}

/// One batch being folded.
struct Fold<'a> {
    tx: &'a Transaction<'a>,
    wanters: Wanters,
    tally: Tally,
}

impl Fold<'_> {
    fn apply(&mut self, prepared: &Prepared) -> Folded<()> {
        self.index(&prepared.recorded)?;
        let recorded = &prepared.recorded;
        match &prepared.event {
            Some(LedgerEvent::Object(event)) => self.object(recorded, event),
            Some(LedgerEvent::Execution(event)) => self.execution(prepared, event),
            Some(LedgerEvent::Pipeline(event)) => self.pipeline(recorded, event),
            Some(LedgerEvent::Function(event)) => self.function(recorded, event),
            Some(LedgerEvent::Replay(event)) => self.replay(recorded, event),
            Some(LedgerEvent::Reconcile(event)) => self.reconcile(recorded, event),
            Some(LedgerEvent::Export(event)) => self.export(recorded, event),
            // Known from the list of all events alone.
            Some(LedgerEvent::Worker(_) | LedgerEvent::IntakeSource(_)) | None => Ok(()),
        }
    }

    /// Every event, for the audit trail.
    fn index(&mut self, recorded: &RecordedEvent) -> Folded<()> {
        let metadata = &recorded.metadata;
        self.run(
            "INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                pos(recorded),
                recorded.stream.as_str(),
                int(recorded.version.0),
                recorded.event_id.to_string(),
                &*recorded.event_type,
                recorded.schema_version,
                at(recorded),
                metadata.actor,
                metadata.correlation_id,
                metadata.causation_id,
            ],
        )?;
        self.tally.count("events", &recorded.event_type, 1);
        Ok(())
    }

    /// Runs one statement, prepared once a connection.
    fn run(&self, sql: &str, params: impl rusqlite::Params) -> Folded<usize> {
        self.tx.prepare_cached(sql)?.execute(params)
    }
}

fn pos(recorded: &RecordedEvent) -> i64 {
    int(recorded.position.0)
}

fn at(recorded: &RecordedEvent) -> i64 {
    recorded.recorded_at.as_microsecond()
}

/// SQLite's integers have a sign. What does not fit is far beyond what is counted here.
pub(crate) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
