//! The files that this workspace derives from Tenantry.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do: by a panic")]

use std::fs;
use std::path::{Path, PathBuf};

use local::fixtures::{self, Fixture};
use local::template::yaml;
use serde_json::Value;
use testkit::{read, workspace};

/// The folder of Tenantry, of which this workspace is a part.
fn tenantry() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

#[test]
fn the_contract_and_the_events_are_up_to_date() {
    let joined = contract::join(&workspace()).unwrap();
    assert!(read(contract::FILE) == joined, "run `cargo run -- contract` in {}", workspace().display());
    for Fixture { file, text, .. } in fixtures::make(&workspace(), &joined).unwrap() {
        assert!(read(&format!("events/{file}")) == text, "events/{file}: run `cargo run -- contract`");
    }
}

/// Returns a template without the parts of the team's own function.
fn without_invoices(text: &str) -> Value {
    let mut template = yaml::parse(text).unwrap();
    let resources = template["Resources"].as_object_mut().unwrap();
    resources.retain(|name, _| !name.starts_with("Invoices"));
    let scopes = resources["ResourceServer"]["Properties"]["Scopes"].as_array_mut().unwrap();
    scopes.retain(|scope| !scope["ScopeName"].as_str().unwrap().starts_with("invoices:"));
    template
}

#[test]
fn the_template_is_that_of_tenantry_with_the_function() {
    let own = read("template.yaml");
    assert!(own.contains("InvoicesFunction:"));
    let product = fs::read_to_string(tenantry().join("template.yaml")).unwrap();
    assert!(
        without_invoices(&own) == without_invoices(&product),
        "Tenantry's template.yaml has changed: make the same change to {}",
        workspace().join("template.yaml").display()
    );
}
