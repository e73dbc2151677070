//! Reading the rows: filters, orders and pages.
//!
//! Every list is paged by key: a cursor names the order's value and the position of the row that it
//! stands after, so that pages neither skip nor repeat when rows come in between, also where many
//! rows have the same value.

mod catalog;
mod events;
mod executions;
mod objects;
mod reconciles;
mod statistics;

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

pub use catalog::{ExportRow, FunctionRow, PipelineRow, ReplayRow, RevisionRow};
pub use events::{EventFilter, EventRow, StreamFilter};
pub use executions::{
    AccessRow, AttemptRow, CostRow, ExecutionFilter, ExecutionOrder, ExecutionRow, FailureRow,
    StepRow, Touched,
};
pub use objects::{NotificationRow, ObjectFilter, ObjectOrder, ObjectRow};
pub(crate) use reconciles::{BUCKET_STATUS, became};
pub use reconciles::{CompletenessRow, ReconcileRow};
pub use statistics::{StatisticsBucket, StatisticsRows};

/// Which part of a list to return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// At most so many rows.
    pub size: usize,
    /// Whether they are the last ones rather than the first ones.
    pub from_end: bool,
    /// Only rows after this one, in the order of the list.
    pub after: Option<Cursor>,
    /// Only rows before this one, in the order of the list.
    pub before: Option<Cursor>,
}

impl Page {
    /// The first rows of a list.
    pub fn first(size: usize) -> Self {
        Self {
            size,
            from_end: false,
            after: None,
            before: None,
        }
    }
}

/// The place of a row in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The value by which the list is ordered.
    pub key: CursorKey,
    /// The position of the row, which settles ties.
    pub position: u64,
}

/// The value by which a list is ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CursorKey {
    /// Nothing but the position.
    Position,
    /// A number.
    Integer(i64),
    /// A text.
    Text(String),
}

/// A part of a list.
#[derive(Clone, Debug)]
pub struct Paged<T> {
    /// The rows in the order of the list, each with its cursor.
    pub rows: Vec<(Cursor, T)>,
    /// Whether there is something before the first one.
    pub has_previous: bool,
    /// Whether there is something after the last one.
    pub has_next: bool,
}

/// The conditions of a query with their values.
#[derive(Default)]
pub(crate) struct Conditions {
    clauses: Vec<String>,
    values: Vec<Value>,
}

impl Conditions {
    /// Adds a condition; each `?` in it takes one of the values.
    pub(crate) fn add<const N: usize>(&mut self, clause: &str, values: [Value; N]) {
        self.clauses.push(clause.to_owned());
        self.values.extend(values);
    }

    /// Adds a condition if there is a value for it.
    pub(crate) fn maybe(&mut self, clause: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.add(clause, [value.into()]);
        }
    }

    /// Adds a condition that a column starts with a text. No pattern, so nothing needs escaping;
    /// the first half lets an index serve it.
    pub(crate) fn starts_with(&mut self, column: &str, prefix: &str) {
        let length = i64::try_from(prefix.chars().count()).unwrap_or(i64::MAX);
        let clause = format!("{column} >= ? AND substr({column}, 1, ?) = ?");
        let prefix = Value::from(prefix.to_owned());
        self.add(&clause, [prefix.clone(), length.into(), prefix]);
    }

    /// Adds a condition that a column has one of some values, if there are any.
    pub(crate) fn one_of(&mut self, column: &str, values: &[String]) {
        if values.is_empty() {
            return;
        }
        let marks = vec!["?"; values.len()].join(", ");
        self.clauses.push(format!("{column} IN ({marks})"));
        self.values
            .extend(values.iter().map(|value| Value::from(value.clone())));
    }
}

/// What a list is made of.
pub(crate) struct Listing {
    pub(crate) columns: &'static str,
    pub(crate) from: &'static str,
    /// The expression of the position.
    pub(crate) position: &'static str,
    /// The expression of the order, if it is not the position.
    pub(crate) key: Option<&'static str>,
    pub(crate) descending: bool,
}

impl Listing {
    /// Reads one page.
    pub(crate) fn read<T>(
        &self,
        conn: &Connection,
        mut conditions: Conditions,
        page: &Page,
        read_row: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Paged<T>> {
        if let Some(after) = &page.after {
            self.bound(&mut conditions, after, !self.descending);
        }
        if let Some(before) = &page.before {
            self.bound(&mut conditions, before, self.descending);
        }
        let direction = if self.descending == page.from_end {
            "ASC"
        } else {
            "DESC"
        };
        let key = self.key.unwrap_or("NULL");
        let order = match self.key {
            Some(key) => format!("{key} {direction}, {} {direction}", self.position),
            None => format!("{} {direction}", self.position),
        };
        let clauses = match conditions.clauses.is_empty() {
            true => "1".to_owned(),
            false => conditions.clauses.join(" AND "),
        };
        let sql = format!(
            "SELECT {}, {key} AS cursor_key, {} AS cursor_position FROM {} WHERE {clauses} \
             ORDER BY {order} LIMIT {}",
            self.columns,
            self.position,
            self.from,
            page.size + 1,
        );
        let mut statement = conn.prepare_cached(&sql)?;
        let mut rows = statement
            .query_map(params_from_iter(conditions.values), |row| {
                Ok((cursor_of(row)?, read_row(row)?))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let more = rows.len() > page.size;
        rows.truncate(page.size);
        if page.from_end {
            rows.reverse();
        }
        Ok(Paged {
            rows,
            has_previous: if page.from_end {
                more
            } else {
                page.after.is_some()
            },
            has_next: if page.from_end {
                page.before.is_some()
            } else {
                more
            },
        })
    }

    fn bound(&self, conditions: &mut Conditions, cursor: &Cursor, greater: bool) {
        let sign = if greater { ">" } else { "<" };
        let position = Value::from(crate::fold::int(cursor.position));
        match (self.key, &cursor.key) {
            (None, _) => conditions.add(&format!("{} {sign} ?", self.position), [position]),
            (Some(key), value) => {
                let value = match value {
                    CursorKey::Position => Value::Null,
                    CursorKey::Integer(number) => Value::from(*number),
                    CursorKey::Text(text) => Value::from(text.clone()),
                };
                let clause = format!("({key}, {}) {sign} (?, ?)", self.position);
                conditions.add(&clause, [value, position]);
            }
        }
    }
}

fn cursor_of(row: &Row<'_>) -> rusqlite::Result<Cursor> {
    let key = match row.get("cursor_key")? {
        Value::Integer(number) => CursorKey::Integer(number),
        Value::Text(text) => CursorKey::Text(text),
        _ => CursorKey::Position,
    };
    Ok(Cursor {
        key,
        position: unsigned(row, "cursor_position")?,
    })
}

pub(crate) fn unsigned(row: &Row<'_>, column: &str) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::unsigned_abs)
}

pub(crate) fn maybe_unsigned(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<u64>> {
    let value: Option<i64> = row.get(column)?;
    Ok(value.map(i64::unsigned_abs))
}
