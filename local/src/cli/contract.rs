//! The command `cargo run -- contract`, which joins the pieces of the contract.

use std::error::Error;
use std::fs;
use std::path::Path;

use ::contract::{Contract, FILE, join};

use super::Place;

/// Writes the contract beside the template, unless it is up to date.
pub(super) fn write(place: &Place) -> Result<(), Box<dyn Error>> {
    let template = place.template()?;
    let workspace = crate::workspace(&template);
    let joined = joined(workspace)?;
    let path = workspace.join(FILE);
    if fs::read_to_string(&path).is_ok_and(|current| current == joined) {
        println!("{} is up to date", path.display());
    } else {
        fs::write(&path, joined).map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        println!("{} was written", path.display());
    }
    Ok(())
}

/// Returns the joined contract of the workspace in this folder, unless it is one for which nothing can be built.
pub(super) fn joined(workspace: &Path) -> Result<String, Box<dyn Error>> {
    let joined = join(workspace)?;
    Contract::parse(&joined)?;
    Ok(joined)
}
