//! Tests of the order of the wings of `service`: each imports only those that come before it.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do: by a panic")]

use std::fs;
use std::path::{Path, PathBuf};

/// The wings, lowest first. Each may import itself and those before it.
const WINGS: [&str; 6] = ["domain", "runtime", "store", "ledger", "http", "function"];

/// The crates that the domain must not use: those of AWS, of Lambda, and of HTTP. `aws_lc_rs` is a library for
/// cryptography, and allowed despite its name.
const OUTSIDE: [&str; 5] = ["aws_s", "aws_credential_types", "lambda_", "http::", "hyper"];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Returns the files of a wing: its root, and everything below it.
fn files(wing: &str) -> Vec<PathBuf> {
    let mut files = vec![source().join(wing).with_extension("rs")];
    let folder = source().join(wing);
    let mut folders = if folder.is_dir() { vec![folder] } else { Vec::new() };
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}

/// Returns the lines of code of a file, without comments, and without its tests, which may use everything.
fn code(path: &Path) -> Vec<String> {
    let name = path.file_name().unwrap().to_str().unwrap();
    let is_test = ["tests.rs", "model.rs"].contains(&name) || path.components().any(|part| part.as_os_str() == "model");
    if is_test {
        return Vec::new();
    }
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap().lines();
    code.filter(|line| !line.trim_start().starts_with("//")).map(ToOwned::to_owned).collect()
}

/// Returns what follows each occurrence of a text in a line.
fn after<'a>(line: &'a str, text: &'a str) -> impl Iterator<Item = &'a str> {
    line.match_indices(text).map(move |(at, _)| &line[at + text.len()..])
}

#[test]
fn each_wing_imports_only_those_below_it() {
    let mut arrows = 0;
    for (place, wing) in WINGS.into_iter().enumerate() {
        for path in files(wing) {
            for line in code(&path) {
                for rest in after(&line, "crate::") {
                    let of: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                    let found = WINGS.iter().position(|wing| *wing == of);
                    let found = found.unwrap_or_else(|| panic!("{}: no wing of that name: {line}", path.display()));
                    assert!(found <= place, "{}: `{wing}` must not import `{of}`: {line}", path.display());
                    arrows += usize::from(found < place);
                }
            }
        }
    }
    assert!(arrows > 100, "too few imports were found: {arrows}");
}

#[test]
fn every_module_is_in_a_wing() {
    let mut names: Vec<String> = fs::read_dir(source())
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|name| name != "lib")
        .collect();
    names.sort();
    names.dedup();
    let mut wings = WINGS.map(ToOwned::to_owned).to_vec();
    wings.sort();
    assert_eq!(names, wings);
}

#[test]
fn the_domain_knows_neither_aws_nor_http() {
    for path in files("domain") {
        for line in code(&path) {
            let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
            for word in words {
                let outside = OUTSIDE.into_iter().find(|name| word.starts_with(name));
                assert_eq!(outside, None, "{}: {line}", path.display());
            }
        }
    }
}

#[test]
fn only_the_store_and_the_runtime_know_the_client_of_the_database() {
    for wing in ["domain", "ledger", "http"] {
        for path in files(wing) {
            let code = code(&path).join("\n");
            assert!(!code.contains("aws_sdk_dynamodb"), "{}", path.display());
        }
    }
}

/// The operations of DynamoDB that this service uses, and those that it might.
const CALLS: [&str; 9] = [
    ".batch_get_item()",
    ".batch_write_item()",
    ".delete_item()",
    ".get_item()",
    ".put_item()",
    ".query()",
    ".scan()",
    ".transact_write_items()",
    ".update_item()",
];

#[test]
fn only_the_table_calls_the_database() {
    let mut in_table = 0;
    for path in WINGS.into_iter().flat_map(files) {
        let code = code(&path).join("\n").replace(char::is_whitespace, "");
        let calls: usize = CALLS.iter().map(|call| code.matches(call).count()).sum();
        if path.starts_with(source().join("store/table")) || path == source().join("store/table.rs") {
            in_table += calls;
        } else {
            assert_eq!(calls, 0, "{}", path.display());
        }
    }
    assert!(in_table >= 8, "too few calls were found: {in_table}");
}
