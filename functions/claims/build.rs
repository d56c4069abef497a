//! Generates the scopes of the contract.

use std::error::Error;

use contract::generate;

fn main() -> Result<(), Box<dyn Error>> {
    let contract = generate::contract()?;
    generate::write("tenant_scopes.rs", &format!("&{:?}", contract.scopes().tenant))?;
    generate::write("operator_scopes.rs", &format!("&{:?}", contract.scopes().operator))
}
