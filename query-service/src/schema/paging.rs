//! Relay connections: arguments to a page, rows to edges, cursors to and from text.
//!
//! A cursor is opaque to clients. Inside it names the list's order, the value and the position of
//! the row, so that it stays good when rows come and go, and is refused by a list of another order.

use async_graphql::connection::{Connection, Edge};
use async_graphql::{Error, OutputType, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use daybook_projections::{Cursor, CursorKey, Page, Paged};

/// What a client asks of a connection.
pub(crate) struct PageArgs {
    pub(crate) first: Option<i32>,
    pub(crate) after: Option<String>,
    pub(crate) last: Option<i32>,
    pub(crate) before: Option<String>,
}

impl PageArgs {
    /// The page, if the arguments make one of at most `most` rows. `order` names the list's order.
    pub(crate) fn page(self, order: &str, most: usize) -> Result<Page> {
        let (name, number, from_end) = match (self.first, self.last) {
            (Some(first), None) => ("first", first, false),
            (None, Some(last)) => ("last", last, true),
            (None, None) => {
                return Err(Error::new(format!(
                    "this list needs the argument first or last, from 1 to {most}"
                )));
            }
            (Some(_), Some(_)) => {
                return Err(Error::new("give either first or last, not both"));
            }
        };
        let size = usize::try_from(number)
            .ok()
            .filter(|size| (1..=most).contains(size))
            .ok_or_else(|| Error::new(format!("{name} must be from 1 to {most}, not {number}")))?;
        Ok(Page {
            size,
            from_end,
            after: cursor(self.after, order)?,
            before: cursor(self.before, order)?,
        })
    }
}

/// Rows as a connection.
pub(crate) fn connect<R, N: OutputType>(
    paged: Paged<R>,
    order: &str,
    node: impl Fn(R) -> N,
) -> Connection<String, N> {
    let mut connection = Connection::new(paged.has_previous, paged.has_next);
    connection.edges = paged
        .rows
        .into_iter()
        .map(|(cursor, row)| Edge::new(encode(&cursor, order), node(row)))
        .collect();
    connection
}

/// How many rows a page may have at most, to weigh a query before it runs.
pub(crate) fn cost(first: Option<i32>, last: Option<i32>) -> usize {
    let rows = first.or(last).unwrap_or(1);
    usize::try_from(rows).unwrap_or(1).clamp(1, 1000)
}

fn encode(cursor: &Cursor, order: &str) -> String {
    let position = cursor.position;
    let text = match &cursor.key {
        CursorKey::Position => format!("{order}|{position}|p"),
        CursorKey::Integer(number) => format!("{order}|{position}|i{number}"),
        CursorKey::Text(text) => format!("{order}|{position}|t{text}"),
    };
    URL_SAFE_NO_PAD.encode(text)
}

fn cursor(text: Option<String>, order: &str) -> Result<Option<Cursor>> {
    let Some(text) = text else {
        return Ok(None);
    };
    decode(&text, order).map(Some).ok_or_else(|| {
        Error::new(format!(
            "{text:?} is not a cursor of this list in this order"
        ))
    })
}

fn decode(text: &str, order: &str) -> Option<Cursor> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let rest = text.strip_prefix(order)?.strip_prefix('|')?;
    let (position, key) = rest.split_once('|')?;
    let key = match key.split_at_checked(1)? {
        ("p", "") => CursorKey::Position,
        ("i", number) => CursorKey::Integer(number.parse().ok()?),
        ("t", text) => CursorKey::Text(text.to_owned()),
        _ => return None,
    };
    Some(Cursor {
        key,
        position: position.parse().ok()?,
    })
}

#[cfg(test)]
mod tests;
