//! The functions' binaries, which cargo builds, or which are in a folder.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use serde::Deserialize;
use tokio::process::Command;

/// The source of the binaries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binaries {
    /// `cargo build`, in the profile and the target directory of the running executable.
    Build,
    /// This directory, which has all of them.
    Directory(PathBuf),
}

/// An error from building or finding the binaries.
#[derive(Debug, thiserror::Error)]
pub enum BinariesError {
    /// The running executable is not in a target directory of cargo, so its profile is not known.
    #[error(
        "this executable was not built by cargo; pass the folder of the functions' binaries with --binaries FOLDER"
    )]
    NoTarget,
    /// Cargo cannot be started.
    #[error("cargo cannot be started: {0}")]
    Cargo(std::io::Error),
    /// The build failed. Cargo has printed the reason.
    #[error("building the functions failed ({0})")]
    Failed(ExitStatus),
    /// The template names a binary that the workspace does not have.
    #[error("there is no binary `{0}`")]
    Missing(String),
}

/// A line of cargo's messages, with the members that are used here.
/// <https://doc.rust-lang.org/cargo/reference/external-tools.html#artifact-messages>
#[derive(Debug, Deserialize)]
struct Message {
    executable: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

impl Binaries {
    /// Returns the binary of each of the named functions in the workspace at `root`.
    pub async fn locate(
        &self,
        root: &Path,
        names: impl IntoIterator<Item = &str>,
    ) -> Result<BTreeMap<String, PathBuf>, BinariesError> {
        let mut built = match self {
            Self::Build => build(root).await?,
            Self::Directory(_) => BTreeMap::new(),
        };
        let mut found = BTreeMap::new();
        for name in names {
            let path = match self {
                Self::Build => built.remove(name),
                Self::Directory(directory) => Some(directory.join(name)).filter(|path| path.is_file()),
            };
            found.insert(name.to_owned(), path.ok_or_else(|| BinariesError::Missing(name.to_owned()))?);
        }
        Ok(found)
    }
}

/// Builds the binaries of the workspace. Cargo prints its progress on standard error, also in a test, where only the
/// output of the test itself is captured. A build can take minutes, and must not look like a program that hangs.
async fn build(root: &Path) -> Result<BTreeMap<String, PathBuf>, BinariesError> {
    let executable = std::env::current_exe().map_err(BinariesError::Cargo)?;
    let Profile { name, target } = Profile::of(&executable).ok_or(BinariesError::NoTarget)?;
    let mut command = cargo();
    command.current_dir(root).args(["build", "--bins", "--message-format", "json-render-diagnostics"]);
    command.args(["--profile", name]).arg("--target-dir").arg(target);
    eprintln!("building the functions, which takes minutes the first time: cargo build --bins");
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn();
    let output = child.map_err(BinariesError::Cargo)?.wait_with_output().await.map_err(BinariesError::Cargo)?;
    if output.status.success() { Ok(executables(&output.stdout)) } else { Err(BinariesError::Failed(output.status)) }
}

/// Returns a command for cargo, as it would run from a shell. It is the cargo that runs this program, if one does.
#[must_use]
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    // `cargo run` and `cargo test` set variables about the package for their child. A build script that watches such a
    // variable would see it change, and would run again.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_of_cargo_run) {
            command.env_remove(name);
        }
    }
    command
}

fn is_of_cargo_run(name: &str) -> bool {
    name.starts_with("CARGO_PKG_")
        || name.starts_with("CARGO_BIN_")
        || matches!(
            name,
            "CARGO_CRATE_NAME"
                | "CARGO_MANIFEST_DIR"
                | "CARGO_MANIFEST_PATH"
                | "CARGO_PRIMARY_PACKAGE"
                | "CARGO_TARGET_TMPDIR"
                | "OUT_DIR"
        )
}

/// The profile and the target directory with which an executable was built.
#[derive(Debug, PartialEq, Eq)]
struct Profile<'a> {
    name: &'a str,
    target: &'a Path,
}

impl<'a> Profile<'a> {
    /// Derives them from the executable's path: `target/debug/local`, or `target/debug/deps/api-0123456789abcdef` for a test.
    fn of(executable: &'a Path) -> Option<Self> {
        let directory = executable.parent()?;
        let directory = if directory.ends_with("deps") { directory.parent()? } else { directory };
        let name = match directory.file_name()?.to_str()? {
            "debug" => "dev",
            name => name,
        };
        // Cargo creates this directory where it builds.
        directory.join(".fingerprint").is_dir().then_some(Self { name, target: directory.parent()? })
    }
}

fn executables(messages: &[u8]) -> BTreeMap<String, PathBuf> {
    messages
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .filter_map(|Message { executable, target }| Some((target?, executable?)))
        .filter(|(target, _)| target.kind.iter().any(|kind| kind == "bin"))
        .map(|(target, executable)| (target.name, executable))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_of_this_test_is_found() {
        let executable = std::env::current_exe().unwrap();
        let profile = Profile::of(&executable).unwrap();
        assert!(executable.starts_with(profile.target));
        assert_eq!(profile.name, if cfg!(debug_assertions) { "dev" } else { "release" });
        assert_eq!(Profile::of(Path::new("/usr/bin/local")), None);
    }

    #[test]
    fn executables_are_the_binaries_among_cargos_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"serde","kind":["lib"]},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"records","kind":["bin"]},"executable":"/t/records"}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"api","kind":["test"]},"executable":"/t/api"}"#,
            "\nno json\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        let expected = BTreeMap::from([("records".to_owned(), PathBuf::from("/t/records"))]);
        assert_eq!(executables(messages.as_bytes()), expected);
    }

    #[tokio::test]
    async fn a_directory_without_the_binary_is_an_error() {
        let here = Binaries::Directory(Path::new(env!("CARGO_MANIFEST_DIR")).to_owned());
        assert!(here.locate(Path::new("."), ["Cargo.toml"]).await.is_ok());
        let error = here.locate(Path::new("."), ["records"]).await.unwrap_err();
        assert_eq!(error.to_string(), "there is no binary `records`");
    }
}
