//! An export as JSON Lines.

use serde::Serialize;
use service::domain::page::Unreadable;
use service::http::Problem;
use service::store::{Export, Group};

/// The line of an item that cannot be read, so that an incomplete export shows what is missing.
#[derive(Serialize)]
struct Lost<'a> {
    unreadable: Place<'a>,
}

#[derive(Serialize)]
struct Place<'a> {
    #[serde(flatten)]
    group: &'a Group,
    /// The item that cannot be read. Without it, the whole collection cannot be read.
    #[serde(flatten)]
    item: Option<&'a Unreadable>,
}

/// One line for each record, for each item of a kind, and for each one that cannot be read.
pub(crate) fn lines(export: &Export) -> Result<String, Problem> {
    let mut lines = String::new();
    for record in &export.records {
        push(record, &mut lines)?;
    }
    for item in &export.items {
        push(item, &mut lines)?;
    }
    for (group, item) in &export.unreadable {
        push(&Lost { unreadable: Place { group, item: item.as_ref() } }, &mut lines)?;
    }
    Ok(lines)
}

fn push(line: &impl Serialize, lines: &mut String) -> Result<(), Problem> {
    lines.push_str(&serde_json::to_string(line).map_err(|error| Problem::internal(error.to_string()))?);
    lines.push('\n');
    Ok(())
}
