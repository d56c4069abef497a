//! Generates the routes of the contract that need a scope, as Rust, so that the authorizer parses nothing at its start.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use saphyr::{LoadableYamlNode, Yaml};

const CONTRACT: &str = "../openapi.yaml";
const METHODS: [&str; 6] = ["get", "head", "post", "put", "patch", "delete"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={CONTRACT}");
    let text = fs::read_to_string(CONTRACT)?;
    let documents = Yaml::load_from_str(&text)?;
    let paths = documents.first().and_then(|contract| contract.as_mapping_get("paths")).and_then(Yaml::as_mapping);

    let mut routes = String::from("&[\n");
    for (path, operations) in paths.ok_or("the contract has no paths")? {
        let path = path.as_str().ok_or("a path is not a string")?;
        for method in METHODS {
            let Some(operation) = operations.as_mapping_get(method) else { continue };
            // An operation without a scope is public: API Gateway does not invoke the authorizer for it.
            let Some(scope) = operation.as_mapping_get("x-required-scope") else { continue };
            let scope = scope.as_str().ok_or("a scope is not a string")?;
            let method = method.to_uppercase();
            writeln!(routes, "    Route {{ method: {method:?}, path: {path:?}, scope: {scope:?} }},")?;
        }
    }
    routes.push(']');
    fs::write(Path::new(&env::var("OUT_DIR")?).join("routes.rs"), routes)?;
    Ok(())
}
