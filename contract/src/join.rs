//! The contract in pieces: `openapi/base.yaml` has the product's operations, and a function's own can be beside its code, in
//! `functions/<noun>/openapi.yaml`. They are joined into `openapi.yaml`, a committed file,
//! because linters, generators of clients and the authorizer's build script read one complete file.
//!
//! A piece has the members `tags`, `paths` and `components`, each as a block, indented by two spaces. The text is joined and
//! not the data, so that comments and formatting survive.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use saphyr::{LoadableYamlNode, ScanError, Yaml};

use crate::FILE;

/// The path of the base in the workspace. A workspace without one has that of this repository.
pub const BASE: &str = "openapi/base.yaml";

/// The folder whose subfolders can have a piece.
const FOLDER: &str = "functions";

/// The members of a piece. Each is appended to that of the base.
const MEMBERS: [&str; 3] = ["tags", "paths", "components"];

/// The first lines of the joined file.
const HEADER: &str = "\
# `cargo run -- contract` writes this file from openapi/base.yaml, and from the openapi.yaml of each function that has one.
# Change those, and run it again.
#
";

/// The reason why the pieces cannot be joined.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// A file or folder cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A piece is not valid YAML.
    #[error("{name} is not valid YAML: {source}")]
    Syntax {
        /// The path of the piece.
        name: String,
        /// The cause.
        source: ScanError,
    },
    /// A piece has a member that only the base can have.
    #[error("{name} has the member `{member}`, but a piece of the contract can only have {}", MEMBERS.join(", "))]
    Member {
        /// The path of the piece.
        name: String,
        /// The member.
        member: String,
    },
    /// Two pieces define the same thing.
    #[error("{name} and {other} both have {entry}")]
    Twice {
        /// The path of the piece.
        name: String,
        /// The path of the other piece.
        other: String,
        /// What both have.
        entry: String,
    },
    /// The joined text does not mean what its pieces mean.
    #[error(
        "the pieces cannot be joined as text, at {0}: write `tags`, `paths`, `components` and its members as blocks, \
         each on a line of its own, and indent by two spaces"
    )]
    Form(String),
}

/// A file with a part of the contract.
#[derive(Debug)]
struct Piece {
    /// The path in the workspace.
    name: String,
    text: String,
}

/// Returns the complete contract of the workspace in this folder.
pub fn join(workspace: &Path) -> Result<String, JoinError> {
    let has_base = workspace.join(BASE).is_file();
    let repository = || Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(workspace);
    let base = Piece::read(if has_base { workspace } else { repository() }, BASE.to_owned())?;
    let mut pieces = Vec::new();
    for noun in subfolders(&workspace.join(FOLDER))? {
        let name = format!("{FOLDER}/{noun}/{FILE}");
        if workspace.join(&name).is_file() {
            pieces.push(Piece::read(workspace, name)?);
        }
    }
    join_pieces(&base, &pieces)
}

/// Returns the names of the folders in a folder, in alphabetical order. A folder that does not exist has none.
fn subfolders(folder: &Path) -> Result<Vec<String>, JoinError> {
    let failed = |source| JoinError::Read { path: folder.to_owned(), source };
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        names.extend(entry.map_err(failed)?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

fn join_pieces(base: &Piece, pieces: &[Piece]) -> Result<String, JoinError> {
    let mut expected = Entries::new();
    for piece in [base].into_iter().chain(pieces) {
        for (entry, value) in entries(&piece.name, &piece.text)? {
            let is_own = |member: &str| entry.split(' ').next() == Some(member);
            if piece.name != base.name && !MEMBERS.into_iter().any(is_own) {
                return Err(JoinError::Member { name: piece.name.clone(), member: entry });
            }
            if let Some((other, _)) = expected.insert(entry.clone(), (piece.name.clone(), value)) {
                return Err(JoinError::Twice { name: piece.name.clone(), other, entry });
            }
        }
    }

    let mut lines: Vec<String> = HEADER.lines().chain(base.text.lines()).map(ToOwned::to_owned).collect();
    for piece in pieces {
        for member in MEMBERS {
            let own: Vec<&str> = piece.text.lines().collect();
            let Some(block) = Block::find(&own, 0, member) else { continue };
            if member == "components" {
                for kind in block.keys(&own, 2) {
                    if let Some(block) = Block::find(&own, 2, kind) {
                        append(&mut lines, piece, &["components", kind], &own[block.start + 1..block.end]);
                    }
                }
            } else {
                append(&mut lines, piece, &[member], &own[block.start + 1..block.end]);
            }
        }
    }
    let mut joined = lines.join("\n");
    joined.push('\n');
    check(&joined, &expected)?;
    Ok(joined)
}

/// Fails unless the joined text defines what its pieces define.
fn check(joined: &str, expected: &Entries<'_>) -> Result<(), JoinError> {
    let found = entries(FILE, joined).map_err(|error| JoinError::Form(error.to_string()))?;
    let same = |entry: &&String| found.get(*entry) == expected.get(*entry).map(|(_, value)| value);
    match expected.keys().chain(found.keys()).find(|entry| !same(entry)) {
        Some(entry) => Err(JoinError::Form(entry.clone())),
        None => Ok(()),
    }
}

/// Appends lines of a piece to a block, which the path of keys leads to. A missing block is added to the one around it.
fn append(lines: &mut Vec<String>, piece: &Piece, path: &[&str], added: &[&str]) {
    let mut at = lines.len();
    let mut indent = 0;
    let mut missing = Vec::new();
    for key in path {
        let borrowed: Vec<&str> = lines.iter().map(String::as_str).collect();
        match Block::find(&borrowed, indent, key) {
            Some(block) => at = block.end,
            None => missing.push(format!("{:indent$}{key}:", "")),
        }
        indent += 2;
    }
    let blank = (path == ["paths"]).then(String::new);
    let source = format!("{:indent$}# The following is from {}.", "", piece.name);
    let added = added.iter().map(|line| (*line).to_owned());
    lines.splice(at..at, missing.into_iter().chain(blank).chain([source]).chain(added));
}

/// The lines of a key and of its value: `start` is the line of the key, and `end` the one after the last line of the value.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    start: usize,
    end: usize,
}

impl Block {
    /// Finds a key with this indentation. The blank lines and the comments before the next key are not part of the block.
    fn find(lines: &[&str], indent: usize, key: &str) -> Option<Self> {
        let is_key = |line: &&str| key_of(line, indent) == Some(key);
        let start = lines.iter().position(is_key)?;
        let mut end = start + 1;
        for (at, line) in lines.iter().enumerate().skip(start + 1) {
            if line.trim().is_empty() || (line.trim_start().starts_with('#') && indent_of(line) <= indent) {
                continue;
            }
            if indent_of(line) <= indent {
                break;
            }
            end = at + 1;
        }
        Some(Self { start, end })
    }

    /// Returns the keys in the block with this indentation.
    fn keys<'a>(&self, lines: &[&'a str], indent: usize) -> Vec<&'a str> {
        lines[self.start + 1..self.end].iter().filter_map(|line| key_of(line, indent)).collect()
    }
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Returns the key in a line, if the line has this indentation, and the value is in the lines that follow.
fn key_of(line: &str, indent: usize) -> Option<&str> {
    let key = line.split(" #").next()?.trim_end().strip_suffix(':')?;
    (indent_of(line) == indent).then(|| key.trim_start()).filter(|key| !key.starts_with(['#', '-']))
}

/// What the pieces define, under names like `paths /invoices` and `components schemas Invoice`, each with the piece's path.
type Entries<'a> = BTreeMap<String, (String, Yaml<'a>)>;

/// Returns the members of `tags`, of `paths`, and of the members of `components`, and the other members as they are.
fn entries<'a>(name: &str, text: &'a str) -> Result<BTreeMap<String, Yaml<'a>>, JoinError> {
    let documents = Yaml::load_from_str(text).map_err(|source| JoinError::Syntax { name: name.to_owned(), source })?;
    let mut found = BTreeMap::new();
    for (key, value) in documents.into_iter().next().and_then(Yaml::into_mapping).unwrap_or_default() {
        let key = key.as_str().unwrap_or_default().to_owned();
        match (key.as_str(), value) {
            ("tags", Yaml::Sequence(tags)) => {
                for tag in tags {
                    let name = tag.as_mapping_get("name").and_then(Yaml::as_str).unwrap_or_default();
                    found.insert(format!("tags {name}"), tag.clone());
                }
            }
            ("paths", Yaml::Mapping(paths)) => insert(&mut found, "paths", paths),
            ("components", Yaml::Mapping(kinds)) => {
                for (kind, components) in kinds {
                    let kind = format!("components {}", kind.as_str().unwrap_or_default());
                    match components {
                        Yaml::Mapping(components) => insert(&mut found, &kind, components),
                        other => drop(found.insert(kind, other)),
                    }
                }
            }
            (_, value) => drop(found.insert(key, value)),
        }
    }
    Ok(found)
}

fn insert<'a>(
    found: &mut BTreeMap<String, Yaml<'a>>,
    kind: &str,
    members: impl IntoIterator<Item = (Yaml<'a>, Yaml<'a>)>,
) {
    found.extend(
        members.into_iter().map(|(key, value)| (format!("{kind} {}", key.as_str().unwrap_or_default()), value)),
    );
}

impl Piece {
    fn read(workspace: &Path, name: String) -> Result<Self, JoinError> {
        let path = workspace.join(&name);
        let text = fs::read_to_string(&path).map_err(|source| JoinError::Read { path, source })?;
        Ok(Self { name, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE_TEXT: &str = "\
# A comment.
openapi: 3.1.0
tags:
  - name: records

paths:
  /records:
    get: { description: \"a: b\" }

# The components.
components:
  parameters:
    limit: { in: query }

  schemas:
    Record: &record
      description: |
        Two lines,

        and paths:
      type: object
    Copy: *record
";

    const INVOICES: &str = "\
# The operations of invoices.
tags:
  - name: invoices
paths:

  # A comment that survives.
  /invoices:
    get: {}
components:
  schemas:
    Invoice: { type: object }
  responses: # Another one.
    Sent: { description: Sent }
";

    fn piece(name: &str, text: &str) -> Piece {
        Piece { name: name.to_owned(), text: text.to_owned() }
    }

    fn joined(pieces: &[&str]) -> Result<String, JoinError> {
        let pieces: Vec<_> =
            pieces.iter().enumerate().map(|(n, text)| piece(&format!("functions/{n}/{FILE}"), text)).collect();
        join_pieces(&piece(BASE, BASE_TEXT), &pieces)
    }

    #[test]
    fn a_piece_is_appended_to_the_members_of_the_base_with_its_comments() {
        let expected = "\
# A comment.
openapi: 3.1.0
tags:
  - name: records
  # The following is from functions/0/openapi.yaml.
  - name: invoices

paths:
  /records:
    get: { description: \"a: b\" }

  # The following is from functions/0/openapi.yaml.

  # A comment that survives.
  /invoices:
    get: {}

# The components.
components:
  parameters:
    limit: { in: query }

  schemas:
    Record: &record
      description: |
        Two lines,

        and paths:
      type: object
    Copy: *record
    # The following is from functions/0/openapi.yaml.
    Invoice: { type: object }
  responses:
    # The following is from functions/0/openapi.yaml.
    Sent: { description: Sent }
";
        assert_eq!(joined(&[INVOICES]).unwrap(), format!("{HEADER}{expected}"));
    }

    #[test]
    fn without_pieces_the_contract_is_the_base() {
        assert_eq!(joined(&[]).unwrap(), format!("{HEADER}{BASE_TEXT}"));
        assert_eq!(joined(&["# Nothing yet.\n"]).unwrap(), format!("{HEADER}{BASE_TEXT}"));
    }

    #[test]
    fn pieces_are_joined_in_their_order() {
        let text = joined(&["paths:\n  /b: {}\n", "paths:\n  /a: {}\n"]).unwrap();
        assert!(text.find("/b:").unwrap() < text.find("/a:").unwrap());
    }

    #[test]
    fn nothing_is_defined_twice() {
        let error = joined(&["paths:\n  /records: {}\n"]).unwrap_err();
        assert_eq!(error.to_string(), "functions/0/openapi.yaml and openapi/base.yaml both have paths /records");
        let error = joined(&[INVOICES, "components:\n  schemas:\n    Invoice: {}\n"]).unwrap_err();
        assert!(error.to_string().ends_with("both have components schemas Invoice"), "{error}");
        let error = joined(&["tags:\n  - name: records\n"]).unwrap_err();
        assert!(error.to_string().ends_with("both have tags records"), "{error}");
    }

    #[test]
    fn a_piece_cannot_change_the_rest_of_the_contract() {
        for text in ["security: []\n", "paths:\n  /a: {}\ninfo: { title: Mine }\n"] {
            assert!(matches!(joined(&[text]), Err(JoinError::Member { .. })), "{text}");
        }
    }

    #[test]
    fn a_piece_of_another_form_is_rejected_and_not_lost() {
        for text in [
            "paths: { /a: {} }\n",
            "paths:\n    /a: {}\n",
            "tags: [{ name: a }]\n",
            "components: { schemas: { A: {} } }\n",
            "components:\n  schemas: { A: {} }\n",
            "components:\n    schemas:\n      A: {}\n",
            "\"paths\":\n  /a: {}\n",
        ] {
            assert!(matches!(joined(&[text]), Err(JoinError::Form(_))), "{text}");
        }
        assert!(matches!(joined(&["paths:\n  /a: }\n"]), Err(JoinError::Syntax { .. })));
    }
}
