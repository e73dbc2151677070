//! The writer's statements, compiled once: looking one up costs as much as running it.

use rusqlite::{Connection, OptionalExtension, Result, Statement, params};

use super::codec::to_sql;
use crate::{Position, StreamName, StreamVersion};

/// What the writer does to the database.
pub(super) struct Statements<'c> {
    connection: &'c Connection,
    begin: Statement<'c>,
    commit: Statement<'c>,
    insert_block: Statement<'c>,
    insert_append: Statement<'c>,
    insert_stream: Statement<'c>,
    insert_hash: Statement<'c>,
    move_hashed: Statement<'c>,
    insert_type: Statement<'c>,
    find_type: Statement<'c>,
    find_hash: Statement<'c>,
    stream_name: Statement<'c>,
    stream_version: Statement<'c>,
}

impl<'c> Statements<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> Result<Self> {
        let prepare = |sql| connection.prepare(sql);
        Ok(Self {
            connection,
            begin: prepare("BEGIN IMMEDIATE")?,
            commit: prepare("COMMIT")?,
            insert_block: prepare("INSERT INTO blocks (position, events, body) VALUES (?, ?, ?)")?,
            insert_append: prepare(
                "INSERT INTO appends (stream_id, version, position) VALUES (?, ?, ?)",
            )?,
            insert_stream: prepare("INSERT INTO streams (id, name) VALUES (?, ?)")?,
            insert_hash: prepare("INSERT OR IGNORE INTO stream_hashes (hash, id) VALUES (?, ?)")?,
            move_hashed: prepare("UPDATE hashed SET to_id = ?1 WHERE to_id < ?1")?,
            insert_type: prepare("INSERT INTO event_types (name) VALUES (?)")?,
            find_type: prepare("SELECT id FROM event_types WHERE name = ?")?,
            find_hash: prepare("SELECT id FROM stream_hashes WHERE hash = ?")?,
            stream_name: prepare("SELECT name = ?2 FROM streams WHERE id = ?1")?,
            stream_version: prepare(
                "SELECT version FROM appends WHERE stream_id = ? ORDER BY version DESC LIMIT 1",
            )?,
        })
    }

    /// For what is done seldom.
    pub(super) fn connection(&self) -> &'c Connection {
        self.connection
    }

    pub(super) fn begin(&mut self) -> Result<()> {
        self.begin.execute([]).map(|_| ())
    }

    pub(super) fn commit(&mut self) -> Result<()> {
        self.commit.execute([]).map(|_| ())
    }

    /// It may have been rolled back by SQLite itself.
    pub(super) fn roll_back(&self) -> Result<()> {
        if self.connection.is_autocommit() {
            return Ok(());
        }
        self.connection.execute_batch("ROLLBACK")
    }

    pub(super) fn insert_block(&mut self, last: Position, events: u64, body: &[u8]) -> Result<()> {
        let block = params![to_sql(last.0), to_sql(events), body];
        self.insert_block.execute(block).map(|_| ())
    }

    /// One append ends with this version at this position.
    pub(super) fn insert_append(
        &mut self,
        stream_id: i64,
        version: StreamVersion,
        position: Position,
    ) -> Result<()> {
        let append = (stream_id, to_sql(version.0), to_sql(position.0));
        self.insert_append.execute(append).map(|_| ())
    }

    pub(super) fn insert_stream(&mut self, id: i64, name: &StreamName) -> Result<()> {
        self.insert_stream.execute((id, name.as_str())).map(|_| ())
    }

    pub(super) fn insert_hash(&mut self, hash: i64, id: i64) -> Result<()> {
        self.insert_hash.execute((hash, id)).map(|_| ())
    }

    /// All streams up to this number have their hashes in the index.
    pub(super) fn move_hashed(&mut self, to_id: i64) -> Result<()> {
        self.move_hashed.execute([to_id]).map(|_| ())
    }

    /// The number of a type's name, a new one if need be.
    pub(super) fn type_id(&mut self, name: &str) -> Result<i64> {
        let found = self.find_type.query_row([name], |row| row.get(0));
        if let Some(id) = found.optional()? {
            return Ok(id);
        }
        self.insert_type.insert([name])
    }

    /// The indexed streams with this hash.
    pub(super) fn find_hash(&mut self, hash: i64) -> Result<Vec<i64>> {
        self.find_hash
            .query_map([hash], |row| row.get(0))?
            .collect()
    }

    pub(super) fn has_name(&mut self, id: i64, name: &StreamName) -> Result<bool> {
        let same = self
            .stream_name
            .query_row((id, name.as_str()), |row| row.get(0));
        Ok(same.optional()?.unwrap_or(false))
    }

    pub(super) fn stream_version(&mut self, id: i64) -> Result<Option<StreamVersion>> {
        let version = self
            .stream_version
            .query_row([id], |row| row.get::<_, i64>(0));
        let version = version.optional()?;
        Ok(version.map(|version| StreamVersion(version.unsigned_abs())))
    }
}
