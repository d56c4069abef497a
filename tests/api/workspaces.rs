//! The other workspaces of this repository build the same code only with the same profiles, and with the same versions of the
//! dependencies. Otherwise the benchmark would not measure what is deployed, and the example would not show what works.

use std::collections::BTreeMap;

use crate::support::{read, workspace};

/// The folders of the examples, if there are any.
pub(crate) fn examples() -> Vec<String> {
    let entries = std::fs::read_dir(workspace().join("examples")).into_iter().flatten();
    let folders = entries.map(|entry| format!("examples/{}", entry.unwrap().file_name().to_str().unwrap()));
    folders.filter(|folder| workspace().join(folder).join("Cargo.lock").is_file()).collect()
}

/// The folders of the other workspaces.
fn others() -> impl Iterator<Item = String> {
    examples().into_iter().chain(["bench".to_owned()])
}

/// The lines of a manifest's table, without comments.
fn table(manifest: &str, name: &str) -> Vec<String> {
    let text = read(manifest);
    let lines = text.lines().skip_while(|line| *line != format!("[{name}]")).skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(ToOwned::to_owned).collect()
}

/// The versions of each package that a workspace locks.
fn locked(lock: &str) -> BTreeMap<String, Vec<String>> {
    let mut versions = BTreeMap::<_, Vec<_>>::new();
    for package in read(lock).split("[[package]]").skip(1) {
        let field = |name: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(&format!("{name} = ")));
            line.unwrap_or_else(|| panic!("{package} has no {name}")).trim_matches('"').to_owned()
        };
        versions.entry(field("name")).or_default().push(field("version"));
    }
    versions
}

/// The part of a version within which releases are compatible: `1`, `0.4`.
fn series(version: &str) -> &str {
    let significant = if version.starts_with("0.") { 2 } else { 1 };
    version.match_indices('.').nth(significant - 1).map_or(version, |(end, _)| &version[..end])
}

#[test]
fn all_workspaces_state_the_same_packages_lints_and_profiles() {
    for manifest in others().map(|folder| format!("{folder}/Cargo.toml")) {
        for name in [
            "workspace.package",
            "workspace.lints.rust",
            "workspace.lints.clippy",
            "profile.dev",
            "profile.dev.build-override",
            "profile.release",
        ] {
            let of_root = table("Cargo.toml", name);
            assert!(!of_root.is_empty(), "there is no [{name}]");
            assert_eq!(table(&manifest, name), of_root, "[{name}] of {manifest}");
        }
        let of_root = table("Cargo.toml", "workspace.dependencies");
        let name = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
        let registry = |line: &&String| !line.contains("path = ");
        for dependency in table(&manifest, "workspace.dependencies").iter().filter(registry) {
            let same = of_root.iter().find(|line| name(line) == name(dependency));
            assert!(same.is_none_or(|same| same == dependency), "{manifest}: {dependency}");
        }
    }
}

#[test]
fn all_workspaces_lock_the_same_versions() {
    let of_root = locked("Cargo.lock");
    for folder in others() {
        for (name, versions) in locked(&format!("{folder}/Cargo.lock")) {
            for version in versions {
                let same = of_root.get(&name).into_iter().flatten().find(|other| series(other) == series(&version));
                assert!(
                    same.is_none_or(|same| *same == version),
                    "{folder}/Cargo.lock has {name} {version}, Cargo.lock {same:?}: copy Cargo.lock to {folder}, and run \
                     cargo there"
                );
            }
        }
    }
}
