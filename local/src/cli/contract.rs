//! The command `cargo run -- contract`, which joins the pieces of the contract, and makes the events that follow from it.

use std::error::Error;
use std::fs;
use std::path::Path;

use ::contract::{Contract, FILE, join};

use super::Place;
use crate::fixtures::{self, FOLDER};
use crate::terminal::output;

/// Writes the contract beside the template, and the events, unless they are up to date.
pub(super) fn write(place: &Place) -> Result<(), Box<dyn Error>> {
    let template = place.template()?;
    let workspace = crate::workspace(&template);
    let joined = joined(workspace)?;
    let events = fixtures::make(workspace, &joined)?;
    replace(&workspace.join(FILE), &joined)?;
    if !events.is_empty() {
        fs::create_dir_all(workspace.join(FOLDER))?;
    }
    for event in &events {
        replace(&workspace.join(FOLDER).join(&event.file), &event.text)?;
    }
    for file in fixtures::stale(workspace, &events)? {
        output(format_args!("{FOLDER}/{file} is in no events.yaml: remove it, or add it to the one of its function"));
    }
    Ok(())
}

/// Returns the joined contract of the workspace in this folder, unless it is one for which nothing can be built.
pub(super) fn joined(workspace: &Path) -> Result<String, Box<dyn Error>> {
    let joined = join(workspace)?;
    Contract::parse(&joined)?;
    Ok(joined)
}

/// Writes a file, unless it has this text already.
fn replace(path: &Path, text: &str) -> Result<(), String> {
    if fs::read_to_string(path).is_ok_and(|current| current == text) {
        return Ok(());
    }
    fs::write(path, text).map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    output(format_args!("{} was written", path.display()));
    Ok(())
}
