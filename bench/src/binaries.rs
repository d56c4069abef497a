//! The binaries to measure, as cargo makes them for Lambda.

use std::path::{Path, PathBuf};

use local::binaries::cargo;

use crate::Error;

/// The functions, in the order of the report.
pub(crate) const FUNCTIONS: [&str; 8] =
    ["authorizer", "records", "transactions", "tenants", "tokens", "usage", "health", "claims"];

/// `records`, but for quotas and metering.
pub(crate) const UNMETERED: &str = "unmetered";

const BUILD: [&str; 2] = ["build", "--release"];
/// Alone, so that their default features stay theirs.
const FLOORS: [&str; 4] = ["--package", "floors", "--features", "on"];

const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The release directory of cargo.
#[derive(Debug)]
pub(crate) struct Programs(PathBuf);

impl Programs {
    /// The binaries in the directory of this executable, built before if `build` says so.
    pub(crate) async fn beside_this(build: bool) -> Result<Self, Error> {
        let executable = std::env::current_exe()?;
        let directory = executable.parent().filter(|directory| directory.ends_with("release"));
        let directory = directory.ok_or("measure release binaries: cargo run --release -p bench")?;
        if build {
            let target = directory.parent().ok_or("there is no target directory")?;
            // As `cargo lambda build` does for `sam build`: binaries of the default members, with their features.
            let functions = FUNCTIONS.iter().chain([&UNMETERED]).flat_map(|name| ["--bin", name]).collect();
            for what in [functions, FLOORS.to_vec()] {
                let mut cargo = cargo();
                cargo.current_dir(WORKSPACE).args(BUILD).args(&what).arg("--target-dir").arg(target);
                let status = cargo.status().await?;
                if !status.success() {
                    return Err(format!("cargo build {}: {status}", what.join(" ")).into());
                }
            }
        }
        Ok(Self(directory.to_owned()))
    }

    /// Where the binary of that name is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The directory of all.
    pub(crate) fn directory(&self) -> &Path {
        &self.0
    }

    /// The template that the functions are configured by.
    pub(crate) fn template() -> PathBuf {
        Path::new(WORKSPACE).join("template.yaml")
    }
}
