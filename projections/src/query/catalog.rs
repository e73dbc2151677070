//! Pipelines, functions, replays and exports.

use rusqlite::{OptionalExtension, Row};

use super::{Conditions, Listing, Page, Paged, maybe_unsigned, unsigned};
use crate::pool::{ReadModelError, Reader};

/// A pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineRow {
    /// The name.
    pub name: String,
    /// The newest revision.
    pub revision: u32,
    /// SHA-256 over definition and triggers.
    pub sha256: String,
    /// The state machine as JSON, or a reference into the blob store.
    pub definition: String,
    /// Which objects it wants, as JSON.
    pub triggers: String,
    /// Whether it takes no objects for now.
    pub paused: bool,
    /// Whether it is out of the config.
    pub retired: bool,
    /// Who made the newest revision.
    pub actor: String,
    /// When, in microseconds.
    pub revised_at_us: i64,
}

/// A function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionRow {
    /// The name.
    pub name: String,
    /// The newest revision.
    pub revision: u32,
    /// SHA-256 of the package.
    pub sha256: String,
    /// The size of the package in bytes.
    pub package_bytes: u64,
    /// The runtime, as the config names it.
    pub runtime: String,
    /// The handler, as the config names it.
    pub handler: String,
    /// How long an attempt may take, in milliseconds.
    pub timeout_ms: u64,
    /// The memory limit in bytes.
    pub memory_bytes: u64,
    /// Who made the newest revision.
    pub actor: String,
    /// When, in microseconds.
    pub revised_at_us: i64,
}

/// A revision of a pipeline or a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevisionRow {
    /// From 1.
    pub revision: u32,
    /// Its SHA-256.
    pub sha256: String,
    /// Who made it.
    pub actor: String,
    /// When, in microseconds.
    pub revised_at_us: i64,
}

/// A bulk re-run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayRow {
    /// The id.
    pub id: String,
    /// The pipeline.
    pub pipeline: String,
    /// How it was chosen, as JSON.
    pub selection: String,
    /// The log position at which it was chosen.
    pub at_position: u64,
    /// How many executions it runs again.
    pub planned: u64,
    /// How many of them are started.
    pub done: u64,
    /// Where it stands.
    pub phase: String,
    /// Who asked.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
    /// When it began, in microseconds.
    pub started_at_us: i64,
    /// When it ended, in microseconds.
    pub stopped_at_us: Option<i64>,
}

/// An export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportRow {
    /// The id.
    pub id: String,
    /// Which part of the ledger, as JSON.
    pub range: String,
    /// In which format.
    pub format: String,
    /// Who asked.
    pub actor: String,
    /// When, in microseconds.
    pub started_at_us: i64,
    /// When it was delivered, in microseconds.
    pub completed_at_us: Option<i64>,
    /// How many events were delivered.
    pub events: Option<u64>,
    /// SHA-256 of the delivered lines.
    pub sha256: Option<String>,
}

impl Reader {
    /// All pipelines, by name.
    pub async fn pipelines(&self) -> Result<Vec<PipelineRow>, ReadModelError> {
        self.call(|conn| {
            conn.prepare_cached("SELECT * FROM pipelines ORDER BY name")?
                .query_map([], pipeline_row)?
                .collect()
        })
        .await
    }

    /// A pipeline by its name.
    pub async fn pipeline(&self, name: &str) -> Result<Option<PipelineRow>, ReadModelError> {
        let sql = "SELECT * FROM pipelines WHERE name = ?1";
        self.one(sql, name, pipeline_row).await
    }

    /// The revisions of a pipeline, oldest first.
    pub async fn pipeline_revisions(&self, name: &str) -> Result<Vec<RevisionRow>, ReadModelError> {
        let sql = "SELECT * FROM pipeline_revisions WHERE name = ?1 ORDER BY position";
        self.revisions(sql, name).await
    }

    /// All functions, by name.
    pub async fn functions(&self) -> Result<Vec<FunctionRow>, ReadModelError> {
        self.call(|conn| {
            conn.prepare_cached("SELECT * FROM functions ORDER BY name")?
                .query_map([], function_row)?
                .collect()
        })
        .await
    }

    /// A function by its name.
    pub async fn function(&self, name: &str) -> Result<Option<FunctionRow>, ReadModelError> {
        let sql = "SELECT * FROM functions WHERE name = ?1";
        self.one(sql, name, function_row).await
    }

    /// The revisions of a function, oldest first.
    pub async fn function_revisions(&self, name: &str) -> Result<Vec<RevisionRow>, ReadModelError> {
        let sql = "SELECT * FROM function_revisions WHERE name = ?1 ORDER BY position";
        self.revisions(sql, name).await
    }

    /// Replays, the newest first.
    pub async fn replays(&self, page: Page) -> Result<Paged<ReplayRow>, ReadModelError> {
        let listing = Listing {
            columns: "*",
            from: "replays",
            position: "position",
            key: None,
            descending: true,
        };
        self.call(move |conn| listing.read(conn, Conditions::default(), &page, replay_row))
            .await
    }

    /// A replay by its id.
    pub async fn replay(&self, id: &str) -> Result<Option<ReplayRow>, ReadModelError> {
        let sql = "SELECT * FROM replays WHERE id = ?1";
        self.one(sql, id, replay_row).await
    }

    /// An export by its id.
    pub async fn export(&self, id: &str) -> Result<Option<ExportRow>, ReadModelError> {
        let sql = "SELECT * FROM exports WHERE id = ?1";
        self.one(sql, id, export_row).await
    }

    async fn one<T: Send + 'static>(
        &self,
        sql: &'static str,
        name: &str,
        read_row: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, ReadModelError> {
        let name = name.to_owned();
        self.call(move |conn| {
            conn.prepare_cached(sql)?
                .query_row([name], read_row)
                .optional()
        })
        .await
    }

    async fn revisions(
        &self,
        sql: &'static str,
        name: &str,
    ) -> Result<Vec<RevisionRow>, ReadModelError> {
        let name = name.to_owned();
        self.call(move |conn| {
            conn.prepare_cached(sql)?
                .query_map([name], revision_row)?
                .collect()
        })
        .await
    }
}

fn pipeline_row(row: &Row<'_>) -> rusqlite::Result<PipelineRow> {
    Ok(PipelineRow {
        name: row.get("name")?,
        revision: row.get("revision")?,
        sha256: row.get("sha256")?,
        definition: row.get("definition")?,
        triggers: row.get("triggers")?,
        paused: row.get("paused")?,
        retired: row.get("retired")?,
        actor: row.get("actor")?,
        revised_at_us: row.get("revised_at")?,
    })
}

fn function_row(row: &Row<'_>) -> rusqlite::Result<FunctionRow> {
    Ok(FunctionRow {
        name: row.get("name")?,
        revision: row.get("revision")?,
        sha256: row.get("sha256")?,
        package_bytes: unsigned(row, "package_bytes")?,
        runtime: row.get("runtime")?,
        handler: row.get("handler")?,
        timeout_ms: unsigned(row, "timeout_ms")?,
        memory_bytes: unsigned(row, "memory_bytes")?,
        actor: row.get("actor")?,
        revised_at_us: row.get("revised_at")?,
    })
}

fn revision_row(row: &Row<'_>) -> rusqlite::Result<RevisionRow> {
    Ok(RevisionRow {
        revision: row.get("revision")?,
        sha256: row.get("sha256")?,
        actor: row.get("actor")?,
        revised_at_us: row.get("revised_at")?,
    })
}

fn replay_row(row: &Row<'_>) -> rusqlite::Result<ReplayRow> {
    Ok(ReplayRow {
        id: row.get("id")?,
        pipeline: row.get("pipeline")?,
        selection: row.get("selection")?,
        at_position: unsigned(row, "at_position")?,
        planned: unsigned(row, "planned")?,
        done: unsigned(row, "done")?,
        phase: row.get("phase")?,
        actor: row.get("actor")?,
        reason: row.get("reason")?,
        started_at_us: row.get("started_at")?,
        stopped_at_us: row.get("stopped_at")?,
    })
}

fn export_row(row: &Row<'_>) -> rusqlite::Result<ExportRow> {
    Ok(ExportRow {
        id: row.get("id")?,
        range: row.get("range")?,
        format: row.get("format")?,
        actor: row.get("actor")?,
        started_at_us: row.get("started_at")?,
        completed_at_us: row.get("completed_at")?,
        events: maybe_unsigned(row, "events")?,
        sha256: row.get("sha256")?,
    })
}
