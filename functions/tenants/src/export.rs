//! An export as JSON Lines.

use serde::Serialize;
use service::domain::page::Unreadable;
use service::http::Problem;
use service::store::Export;

/// The line of an item that cannot be read, so that an incomplete export shows what is missing.
#[derive(Serialize)]
struct Lost<'a> {
    unreadable: Place<'a>,
}

#[derive(Serialize)]
struct Place<'a> {
    collection: &'a str,
    /// The record that cannot be read. Without it, the whole collection cannot be read.
    #[serde(flatten)]
    record: Option<&'a Unreadable>,
}

/// One line for each record, and for each item that cannot be read.
pub(crate) fn lines(export: &Export) -> Result<String, Problem> {
    let mut lines = String::new();
    for record in &export.records {
        push(record, &mut lines)?;
    }
    for (collection, record) in &export.unreadable {
        push(&Lost { unreadable: Place { collection, record: record.as_ref() } }, &mut lines)?;
    }
    Ok(lines)
}

fn push(line: &impl Serialize, lines: &mut String) -> Result<(), Problem> {
    lines.push_str(&serde_json::to_string(line).map_err(|error| Problem::internal(error.to_string()))?);
    lines.push('\n');
    Ok(())
}
