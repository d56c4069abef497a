//! The binaries to measure, as cargo makes them for Lambda.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use local::binaries::cargo;
use local::template::Template;

use crate::Error;

/// `records` without quotas and metering.
pub(crate) const UNMETERED: &str = "unmetered";
/// A function with a kind of its own.
pub(crate) const KINDS: &str = "kinds";

/// The folder of the benchmark's workspace.
const BENCH: &str = env!("CARGO_MANIFEST_DIR");
/// The folder of the functions' workspace.
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The binaries in the release directory of cargo.
#[derive(Debug)]
pub(crate) struct Programs {
    directory: PathBuf,
    functions: Vec<String>,
}

impl Programs {
    /// Returns the binaries in the directory of this executable, and builds them before if `build` is set.
    pub(crate) async fn beside_this(build: bool) -> Result<Self, Error> {
        let executable = std::env::current_exe()?;
        let directory = executable.parent().filter(|directory| directory.ends_with("release"));
        let directory = directory.ok_or("measure release binaries: cargo run --release")?;
        let template = Template::read(&Self::template(), &BTreeMap::new())?;
        let functions: Vec<_> = template.functions.into_iter().map(|function| function.name).collect();
        if build {
            let target = directory.parent().ok_or("there is no target directory")?;
            // The functions are built as `cargo lambda build` does for `sam build`. The floors are built by themselves, so that
            // their default features stay theirs.
            let bins = functions.iter().flat_map(|name| ["--bin", name]).collect();
            for (workspace, what) in [
                (WORKSPACE, bins),
                (BENCH, vec!["--package", UNMETERED, "--package", KINDS]),
                (BENCH, vec!["--package", "floors"]),
            ] {
                let mut cargo = cargo();
                cargo.current_dir(workspace).args(["build", "--release"]).args(&what).arg("--target-dir").arg(target);
                let status = cargo.status().await?;
                if !status.success() {
                    return Err(format!("cargo build {}: {status}", what.join(" ")).into());
                }
            }
        }
        Ok(Self { directory: directory.to_owned(), functions })
    }

    /// Returns the names of the functions of the template.
    pub(crate) fn functions(&self) -> &[String] {
        &self.functions
    }

    /// Returns the path of the binary of that name.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Returns the directory of the binaries.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the template by which the functions are configured.
    pub(crate) fn template() -> PathBuf {
        Path::new(WORKSPACE).join("template.yaml")
    }
}
