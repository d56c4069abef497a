//! An export as JSON Lines.

use serde::Serialize;
use service::domain::page::Unreadable;
use service::http::Problem;
use service::store::Export;

/// The line of what cannot be read, so that an export which lacks something says so.
#[derive(Serialize)]
struct Lost<'a> {
    unreadable: Place<'a>,
}

#[derive(Serialize)]
struct Place<'a> {
    collection: &'a str,
    /// One record of the collection, rather than the collection.
    #[serde(flatten)]
    record: Option<&'a Unreadable>,
}

/// A line for each record, and for what cannot be read.
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
