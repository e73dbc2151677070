//! How lists are printed: tables for people, JSON for programs.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

use comfy_table::{ContentArrangement, Table, presets};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

use crate::cli::Format;

/// A column: its heading, and how a row's cell is found.
pub(crate) type Column = (&'static str, fn(&Value) -> String);

/// Prints rows in the format asked for.
pub(crate) fn list(format: Format, rows: &[Value], columns: &[Column]) {
    match format {
        Format::Table => line(table(rows, columns)),
        Format::Json => line(format_args!("{:#}", Value::Array(rows.to_vec()))),
        Format::Jsonl => rows.iter().for_each(line),
    }
}

/// Prints one document: as text for people, if there is one.
pub(crate) fn document(format: Format, value: &Value, text: impl FnOnce() -> String) {
    match format {
        Format::Table => line(text()),
        Format::Json => line(format_args!("{value:#}")),
        Format::Jsonl => line(value),
    }
}

/// Prints a line. Once the reader is gone (`| head`) nobody is left to tell anything, so the
/// program ends.
pub(crate) fn line(text: impl Display) {
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            eprintln!("daybook: standard output cannot be written: {error}");
            std::process::exit(1);
        }
    }
}

/// Ends the program if the reader is gone: who has nothing to print would not notice.
pub(crate) fn end_without_reader() {
    let stdout = std::io::stdout();
    let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
    // Where it cannot be asked, the next line will tell.
    let answered = poll(&mut polled, Some(&Timespec::default())).is_ok();
    if answered && polled[0].revents().intersects(PollFlags::ERR) {
        std::process::exit(0);
    }
}

/// A text with its control characters written out, so that a key or a message of somebody else's
/// neither breaks a line nor steers the terminal. Tabs stay.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            letter if letter.is_control() && letter != '\t' => {
                plain.extend(letter.escape_default())
            }
            letter => plain.push(letter),
        }
    }
    plain
}

/// Rows under headings.
pub(crate) fn table(rows: &[Value], columns: &[Column]) -> String {
    if rows.is_empty() {
        return "(none)".to_owned();
    }
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|(heading, _)| *heading));
    for row in rows {
        table.add_row(columns.iter().map(|(_, cell)| plain(&cell(row))));
    }
    table
        .to_string()
        .lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
}

/// The text of a value: strings without quotes, nothing for null.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A time without its date's noise: `2026-03-04 10:11:12.345`.
pub(crate) fn time(value: &Value) -> String {
    let text = text(value);
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => format!("{time:.3}")
            .replace('T', " ")
            .trim_end_matches('Z')
            .to_owned(),
        Err(_) => text,
    }
}

/// The first characters of an id, enough to tell it from others.
pub(crate) fn short(id: &str) -> &str {
    id.split('-').next().unwrap_or(id)
}
