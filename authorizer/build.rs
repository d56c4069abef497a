//! Generates the routes of the contract that require a scope.

use std::error::Error;
use std::fmt::Write as _;

use contract::{Route, generate};

fn main() -> Result<(), Box<dyn Error>> {
    let mut routes = String::from("&[\n");
    for Route { method, path, scope } in generate::contract()?.routes() {
        writeln!(routes, "    Route {{ method: {method:?}, path: {path:?}, scope: {scope:?} }},")?;
    }
    routes.push(']');
    generate::write("routes.rs", &routes)
}
