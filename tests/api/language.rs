//! Tests of the language: code and documentation contain none of the words that the glossary retires, because one word has to
//! mean one thing. CONTRIBUTING.md lists the words to use.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::workspace;

/// A retired word or phrase, in lower case, and what to write in its place.
const RETIRED: [(&str, &str); 14] = [
    ("answer", "response, reply or result"),
    ("answers", "responses, replies or results"),
    ("answered", "responded, served or returned"),
    ("answering", "responding"),
    ("kept", "stored, cached or retained"),
    ("refuse", "deny, reject or fail"),
    ("refused", "denied, rejected or failed"),
    ("refuses", "denies, rejects or fails"),
    ("refusing", "denying, rejecting or failing"),
    ("refusal", "denial, rejection or failure"),
    ("refusals", "denials, rejections or failures"),
    ("sent again", "retried"),
    ("send again", "retry"),
    ("sends again", "retries"),
];

/// Text that contains a retired word and has to stay: stored bytes, and values of public interfaces.
const PERMITTED: [&str; 7] = [
    // The purpose of a derived encryption key. Another text would make stored replies unreadable.
    "b\"tenantry kept answer\"",
    // The `errorType` of the authorizer and of the user pool's trigger.
    "\"Refusal\"",
    // The value of the parameter `QuotaWhenUnavailable`.
    "`refuse`",
    "\"refuse\"",
    "refuse, allow",
    "With refuse",
    "Default: refuse",
];

/// The identifiers of the value of `QuotaWhenUnavailable`.
const PERMITTED_NAMES: [&str; 2] = ["WhenUnavailable::Refuse", "    Refuse,"];

fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut left: Vec<_> = [
        "authorizer",
        "bench",
        "contract",
        "docs",
        "events",
        "examples",
        "functions",
        "local",
        "openapi",
        "service",
        "testkit",
        "tests",
        ".ci",
        ".github",
    ]
    .map(|name| workspace().join(name))
    .into_iter()
    .filter(|folder| folder.is_dir())
    .collect();
    for name in ["README.md", "CONTRIBUTING.md", "SECURITY.md", "template.yaml", "openapi.yaml", "samconfig.toml"] {
        files.push(workspace().join(name));
    }
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !["target", "node_modules", "data"].iter().any(|name| path.ends_with(name)) {
                left.push(path);
            } else if is_prose_or_code(&path) {
                files.push(path);
            }
        }
    }
    files.retain(|path| !path.ends_with("tests/api/language.rs"));
    files
}

fn is_prose_or_code(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    ["rs", "md", "yaml", "yml", "toml", "py", "ts", "json"].iter().any(|known| extension == *known)
        || path.parent() == Some(&workspace().join(".ci"))
}

/// Splits a line into its words in lower case, separated and enclosed by single spaces. `stored_reply` and `StoredReply` are
/// two words each.
fn words(line: &str) -> String {
    let mut words = String::from(" ");
    let mut before = ' ';
    for c in line.chars() {
        if (before.is_lowercase() && c.is_uppercase() || !c.is_alphabetic()) && !words.ends_with(' ') {
            words.push(' ');
        }
        if c.is_alphabetic() {
            words.extend(c.to_lowercase());
        }
        before = c;
    }
    if !words.ends_with(' ') {
        words.push(' ');
    }
    words
}

#[test]
fn no_retired_word_is_used() {
    let files = files();
    assert!(files.len() > 300, "only {} files were found", files.len());
    let mut found = Vec::new();
    for path in files {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (number, line) in text.lines().enumerate() {
            let line =
                PERMITTED.iter().chain(&PERMITTED_NAMES).fold(line.to_owned(), |line, text| line.replace(text, ""));
            let words = words(&line);
            for (word, instead) in RETIRED.iter().filter(|(word, _)| words.contains(&format!(" {word} "))) {
                found.push(format!("{}:{}: `{word}`: write {instead}", path.display(), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "{} retired words:\n{}", found.len(), found.join("\n"));
}

#[test]
fn identifiers_are_split_into_words() {
    assert_eq!(words("    KeptAnswer::no_answer(HTTP2)"), " kept answer no answer http ");
}
