//! What build scripts do with the contract: they write a part of it as Rust, so that a function parses nothing at its start.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::{Contract, ContractError, FILE};

/// The variable with the absolute path of the contract, for a workspace outside this repository that builds the authorizer
/// and `claims` for its own contract. `[env]` in its `.cargo/config.toml` sets it, with `relative = true`.
pub const VARIABLE: &str = "TENANTRY_CONTRACT";

/// Returns the contract to build for: the one that [`VARIABLE`] names, or else that of this repository. Cargo runs the build
/// script again when it changes.
pub fn contract() -> Result<Contract, ContractError> {
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name(FILE);
    let path = env::var_os(VARIABLE).map_or_else(own, PathBuf::from);
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    println!("cargo::rerun-if-changed={}", path.display());
    Contract::read(&path)
}

/// Writes an expression of Rust into a file of the build script's output folder, for `include!`.
pub fn write(name: &str, expression: &str) -> Result<(), Box<dyn Error>> {
    Ok(fs::write(Path::new(&env::var("OUT_DIR")?).join(name), expression)?)
}
