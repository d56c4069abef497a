//! The command `cargo run -- new orders --ops create,get,list,change`, which adds a business function to the workspace.
//!
//! | module | what it decides |
//! |---|---|
//! | `noun` | the names of the function's parts |
//! | `operations` | which operations fit together, and the form of the ids |
//! | `role` | the actions on the table that the operations need |
//! | `template` | the places in `template.yaml` |
//! | `text` | the content of the new files, from those in `files/` |

mod noun;
mod operations;
mod role;
mod template;
mod text;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Place, TEMPLATE, contract};
use crate::binaries::cargo;
use crate::terminal::output;
use noun::{Noun, TAKEN, capitalized};
use operations::{Operation, Operations};

/// The files of a function, each with its text.
const FILES: [(&str, &str); 6] = [
    ("Cargo.toml", include_str!("new/files/Cargo.toml.txt")),
    ("src/main.rs", include_str!("new/files/main.rs.txt")),
    ("src/lib.rs", include_str!("new/files/lib.rs.txt")),
    ("openapi.yaml", include_str!("new/files/openapi.yaml.txt")),
    ("events.yaml", include_str!("new/files/events.yaml.txt")),
    ("tests/api.rs", include_str!("new/files/api.rs.txt")),
];
const BLOCK: &str = include_str!("new/files/template.yaml.txt");

#[derive(Debug, Args)]
pub(super) struct New {
    /// A noun in the plural, which names the function, its path, its kind of items and its scopes.
    #[arg(value_parser = Noun::parse)]
    noun: Noun,
    /// The singular, which names the type of an item and the problem codes [default: derived from the noun].
    #[arg(long, value_name = "NAME")]
    singular: Option<String>,
    /// The operations on the items.
    #[arg(long, required = true, value_delimiter = ',', value_name = "OPERATIONS")]
    ops: Vec<Operation>,
}

/// The reason why the function cannot be added. Nothing was written.
#[derive(Debug, thiserror::Error)]
enum NotAdded {
    #[error("{} exists", .0.display())]
    Folder(PathBuf),
    #[error("the workspace has or uses a package `{0}`: choose another noun")]
    Package(String),
    #[error("{TEMPLATE} has the resource {0}: choose another noun")]
    Resource(String),
    #[error(
        "the type `{0}` would have the name of another one, of the function, of `service::function` or of Rust: choose \
         another noun, or the singular with --singular NAME"
    )]
    Type(String),
    #[error("{} cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
}

/// The texts with which the workspace has the function.
struct Plan {
    folder: PathBuf,
    /// The function's files.
    files: Vec<(PathBuf, String)>,
    template: String,
}

impl New {
    pub(super) async fn add(self, place: &Place) -> Result<(), Box<dyn Error>> {
        let Self { noun, singular, ops } = self;
        let noun = match singular {
            Some(singular) => noun.with_singular(&singular)?,
            None => noun,
        };
        let operations = Operations::new(ops)?;
        output(format_args!(
            "The singular of {plural} is {singular}: the type is {}, and the problem code is {singular}_not_found. To change \
             the singular, pass --singular NAME.\n",
            noun.singular_type(),
            plural = noun.plural(),
            singular = noun.singular(),
        ));
        let path = place.template()?;
        let workspace = crate::workspace(&path);
        let Plan { folder, files, template } = plan(workspace, &path, &noun, &operations)?;
        write_all(&files)?;
        // The contract shows whether anything in it has the names of the function already.
        if let Err(error) = contract::joined(workspace) {
            fs::remove_dir_all(&folder)?;
            return Err(error);
        }
        write_all(&[(path.clone(), template)])?;
        contract::write(place)?;
        finish(workspace, &noun).await?;
        output(format_args!("{}", report(&noun)));
        Ok(())
    }
}

fn plan(workspace: &Path, template: &Path, noun: &Noun, operations: &Operations) -> Result<Plan, Box<dyn Error>> {
    let read = |path: PathBuf| fs::read_to_string(&path).map_err(|source| NotAdded::Read { path, source });
    let folder = workspace.join("functions").join(noun.plural());
    if folder.exists() {
        return Err(NotAdded::Folder(folder).into());
    }
    let lock = read(workspace.join("Cargo.lock"))?;
    if lock.lines().any(|line| line == format!("name = {:?}", noun.plural())) {
        return Err(NotAdded::Package(noun.plural().to_owned()).into());
    }
    let old = read(template.to_owned())?;
    for kind in ["Function", "Logs"] {
        let resource = format!("{}{kind}", noun.plural_type());
        if old.lines().any(|line| line.starts_with(&format!("  {resource}:"))) {
            return Err(NotAdded::Resource(resource).into());
        }
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for name in [noun.singular_type(), noun.plural_type()] {
        let mut words = FILES[2].1.split(|c| !is_word(c)).chain([operations.id()]).chain(TAKEN.iter().copied());
        if words.any(|word| word == name) {
            return Err(NotAdded::Type(name).into());
        }
    }
    let manifest = read(workspace.join("Cargo.toml"))?;
    let has_hack = manifest.lines().any(|line| line.starts_with("workspace-hack = "));
    let holds = |word: &str| if word == "hack" { has_hack } else { operations.holds(word) };
    let names = names(noun, operations);
    let fill = |content: &str| text::fill(content, &names, holds);
    let files = FILES.iter().map(|(name, content)| (folder.join(name), fill(content))).collect();
    let statements = role::statements(noun, operations);
    let block = fill(BLOCK).replace("__statements__\n", &role::yaml(&statements));
    let template = template::insert(&old, noun, block.trim_end(), &statements)?;
    Ok(Plan { folder, files, template })
}

/// Returns the placeholders of the texts. Where one begins with another, the longer one comes first.
fn names(noun: &Noun, operations: &Operations) -> Vec<(&'static str, String)> {
    let creates = if operations.holds("create") || operations.holds("append") {
        ("POST", format!("/{}", noun.plural()))
    } else {
        ("PUT", format!("/{}/first", noun.plural()))
    };
    let id = match operations.id() {
        "Generated" => "01K0ACME000000000000000000",
        "Number" => "1",
        _ => "first",
    };
    vec![
        ("__noun__", noun.plural().to_owned()),
        ("__Noun__", noun.plural_type()),
        ("__singular__", noun.singular().to_owned()),
        ("__Singular__", noun.singular_type()),
        ("__an__", noun.article().to_owned()),
        ("__An__", capitalized(noun.article())),
        ("__Id__", operations.id().to_owned()),
        ("__operations__", operations.names().join(", ")),
        ("__ID__", id.to_owned()),
        ("__METHOD__", creates.0.to_owned()),
        ("__PATH__", creates.1),
    ]
}

fn write_all(files: &[(PathBuf, String)]) -> Result<(), Box<dyn Error>> {
    for (path, content) in files {
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, content));
        written.map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    }
    Ok(())
}

/// Formats the code, since the length of the noun decides where lines break, and adds the package to Cargo.lock.
async fn finish(workspace: &Path, noun: &Noun) -> Result<(), Box<dyn Error>> {
    for arguments in [&["fmt", "--package", noun.plural()][..], &["update", "--workspace", "--offline"]] {
        let output = cargo().args(arguments).current_dir(workspace).output().await?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr);
            return Err(format!("the function was added, but `cargo {}` failed: {message}", arguments[0]).into());
        }
    }
    Ok(())
}

fn report(noun: &Noun) -> String {
    let (noun, title) = (noun.plural(), noun.plural_type());
    format!(
        "functions/{noun}/ is the new function, with its part of the contract and its test.\n\n\
         These files outside of it were changed or added:\n  \
           template.yaml          {title}Function with its routes and its role, {title}Logs, the table of roles, and the scopes\n  \
           openapi.yaml           the contract, joined with functions/{noun}/openapi.yaml\n  \
           events/{noun}-*.json   an event for each operation, made from functions/{noun}/events.yaml\n  \
           Cargo.lock             the package\n\n\
         What is left to do:\n  \
           1. Replace the name by what the {noun} have: in src/lib.rs, openapi.yaml, events.yaml and tests/api.rs of\n     \
              functions/{noun}/.\n  \
           2. cargo run -- contract, after each change of its openapi.yaml or events.yaml.\n  \
           3. cargo test -p {noun}, and everything: .ci/run.\n  \
           4. If machine clients of the user pool may have the scopes {noun}:read and {noun}:write, add them to\n     \
              MachineClient in template.yaml."
    )
}

#[cfg(test)]
mod tests {
    use super::operations::Operation::{Append, Change, Create, Delete, Get, List, Put};
    use super::*;

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
    }

    fn planned(noun: &str, operations: Vec<Operation>) -> Result<Plan, Box<dyn Error>> {
        let (noun, operations) = (Noun::parse(noun)?, Operations::new(operations)?);
        plan(root(), &root().join(TEMPLATE), &noun, &operations)
    }

    #[test]
    fn a_noun_that_exists_is_rejected() {
        for (noun, reason) in [
            ("records", "functions/records exists"),
            ("bytes", "the workspace has or uses a package `bytes`"),
            ("items", "the type `Item` would have the name of another one"),
            ("drafts", "the type `Draft` would have the name of another one"),
            ("boxes", "the type `Box` would have the name of another one"),
            ("scopes", "the type `Scope` would have the name of another one"),
            ("order", "the name must be a noun in the plural"),
        ] {
            let error = planned(noun, vec![Create, Get]).err().unwrap().to_string();
            assert!(error.contains(reason), "{noun}: {error}");
        }
    }

    #[test]
    fn the_names_of_the_interface_for_functions_are_taken() {
        let interface = std::fs::read_to_string(root().join("service/src/function.rs")).unwrap();
        let uses = interface.split("\npub use ").skip(1).filter_map(|text| text.split(';').next());
        let names = uses.flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
        // Only a name of one word can be that of a noun. `Order` is what many APIs sell, and few functions call the other one.
        let is_noun = |name: &&str| {
            name.starts_with(|c: char| c.is_ascii_uppercase())
                && name[1..].bytes().all(|byte| byte.is_ascii_lowercase())
        };
        let names: Vec<_> = names.filter(is_noun).filter(|name| *name != "Order").collect();
        assert!(names.len() > 30, "{names:?}");
        let missing: Vec<_> = names.iter().filter(|name| !TAKEN.contains(*name)).collect();
        assert!(missing.is_empty(), "noun::TAKEN lacks {missing:?}");
    }

    /// Every selection of operations that fit together.
    fn selections() -> impl Iterator<Item = Vec<Operation>> {
        let all = [Create, Append, List, Change, Put, Delete];
        let select = move |bits: usize| -> Vec<Operation> {
            let selected = all.iter().enumerate().filter(|(at, _)| bits & (1 << at) != 0);
            selected.map(|(_, operation)| *operation).chain([Get]).collect()
        };
        (0..1 << all.len()).map(select).filter(|operations| Operations::new(operations.clone()).is_ok())
    }

    #[test]
    fn every_selection_of_operations_gives_complete_files_and_a_valid_contract() {
        let folder = tempfile::tempdir().unwrap();
        let mut count = 0;
        for operations in selections() {
            let Plan { files, template, .. } = planned("orders", operations.clone()).unwrap();
            for text in files.iter().map(|(_, text)| text).chain([&template]) {
                assert!(
                    !text.contains("__") && !text.lines().any(|line| line.starts_with('@')),
                    "{operations:?}: {text}"
                );
            }
            crate::template::yaml::parse(&template).unwrap();
            let piece = files.into_iter().find(|(path, _)| path.ends_with("openapi.yaml")).unwrap().1;
            write_all(&[(folder.path().join("functions/orders/openapi.yaml"), piece)]).unwrap();
            let contract = contract::joined(folder.path()).unwrap();
            assert!(contract.contains("x-problem-codes: [order_not_found]"));
            count += 1;
        }
        // 16 with `create`, 8 with `append`, and 8 with neither.
        assert_eq!(count, 32);
    }
}
