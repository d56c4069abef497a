//! The binaries to measure, as cargo makes them for Lambda.

use std::path::{Path, PathBuf};

use local::binaries::cargo;

use crate::Error;

/// The functions, in the order of the report.
pub(crate) const FUNCTIONS: [&str; 4] = ["authorizer", "records", "tokens", "health"];

/// What `cargo lambda build` asks of cargo for `sam build`: a binary of the default members, with their features.
const BUILD_FUNCTIONS: &[&str] =
    &["build", "--release", "--bin", FUNCTIONS[0], "--bin", FUNCTIONS[1], "--bin", FUNCTIONS[2], "--bin", FUNCTIONS[3]];
/// Alone, so that their default features stay theirs.
const BUILD_FLOORS: &[&str] = &["build", "--release", "--package", "floors", "--features", "on"];

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
            for arguments in [BUILD_FUNCTIONS, BUILD_FLOORS] {
                let status =
                    cargo().current_dir(WORKSPACE).args(arguments).arg("--target-dir").arg(target).status().await?;
                if !status.success() {
                    return Err(format!("cargo {}: {status}", arguments.join(" ")).into());
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
