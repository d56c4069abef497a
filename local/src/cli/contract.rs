//! The command `cargo run -- contract`, which joins the pieces of the contract.

use std::error::Error;
use std::fs;

use ::contract::{Contract, FILE, join};

use super::Place;

/// Writes the contract beside the template, unless it is up to date.
pub(super) fn write(place: &Place) -> Result<(), Box<dyn Error>> {
    let template = place.template()?;
    let workspace = local::workspace(&template);
    let joined = join(workspace)?;
    // A contract for which nothing can be built is not written.
    Contract::parse(&joined)?;
    let path = workspace.join(FILE);
    if fs::read_to_string(&path).is_ok_and(|current| current == joined) {
        println!("{} is up to date", path.display());
    } else {
        fs::write(&path, joined).map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        println!("{} was written", path.display());
    }
    Ok(())
}
