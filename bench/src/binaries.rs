//! The binaries to measure, as cargo makes them for Lambda.

use std::path::{Path, PathBuf};

use local::binaries::cargo;

use crate::Error;

/// The functions, in the order of the report.
pub(crate) const FUNCTIONS: [&str; 8] =
    ["authorizer", "records", "transactions", "tenants", "tokens", "usage", "health", "claims"];

/// `records` without quotas and metering.
pub(crate) const UNMETERED: &str = "unmetered";

/// The folder of the benchmark's workspace.
const BENCH: &str = env!("CARGO_MANIFEST_DIR");
/// The folder of the functions' workspace.
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The release directory of cargo.
#[derive(Debug)]
pub(crate) struct Programs(PathBuf);

impl Programs {
    /// Returns the binaries in the directory of this executable, and builds them before if `build` is set.
    pub(crate) async fn beside_this(build: bool) -> Result<Self, Error> {
        let executable = std::env::current_exe()?;
        let directory = executable.parent().filter(|directory| directory.ends_with("release"));
        let directory = directory.ok_or("measure release binaries: cargo run --release")?;
        if build {
            let target = directory.parent().ok_or("there is no target directory")?;
            // The functions are built as `cargo lambda build` does for `sam build`. The others are built one by one, so that
            // the default features of the floors stay theirs.
            let functions = FUNCTIONS.iter().flat_map(|name| ["--bin", name]).collect();
            for (workspace, what) in
                [(WORKSPACE, functions), (BENCH, vec!["--package", UNMETERED]), (BENCH, vec!["--package", "floors"])]
            {
                let mut cargo = cargo();
                cargo.current_dir(workspace).args(["build", "--release"]).args(&what).arg("--target-dir").arg(target);
                let status = cargo.status().await?;
                if !status.success() {
                    return Err(format!("cargo build {}: {status}", what.join(" ")).into());
                }
            }
        }
        Ok(Self(directory.to_owned()))
    }

    /// Returns the path of the binary of that name.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Returns the directory of the binaries.
    pub(crate) fn directory(&self) -> &Path {
        &self.0
    }

    /// Returns the template by which the functions are configured.
    pub(crate) fn template() -> PathBuf {
        Path::new(WORKSPACE).join("template.yaml")
    }
}
