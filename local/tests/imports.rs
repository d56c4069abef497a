//! The imports between the modules of `local`, which must not form a cycle.
//!
//! A module may use what its ancestors define, because that is how Rust nests modules: `runtime::pool` uses
//! `runtime::Limits`. Every other import has to point one way, between files and between top-level modules.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do: by a panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module by the names that lead to it from the crate's root.
type Module = Vec<String>;

/// The modules that each module imports.
type Imports = BTreeMap<Module, BTreeSet<Module>>;

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Returns the modules of the library and of the binary, except tests, each with its code.
fn modules() -> BTreeMap<Module, String> {
    let mut modules = BTreeMap::new();
    let mut folders = vec![source()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
                let name = path.strip_prefix(source()).unwrap().with_extension("");
                let name = name.iter().map(|part| part.to_str().unwrap().to_owned());
                modules.insert(name.filter(|part| part != "lib").collect(), code(&path));
            }
        }
    }
    modules
}

/// Returns the code of a file without comments, and without its tests, which may import everything.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap().lines();
    code.filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Returns the paths that a text begins with, `a::{b, c::d}` as `a::b` and `a::c::d`, and the text behind them.
fn paths(text: &str) -> (Vec<Module>, &str) {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    let (name, mut rest) = text.split_at(end);
    let Some(inner) = rest.strip_prefix("::") else { return (vec![vec![name.to_owned()]], rest) };
    let mut found = Vec::new();
    if let Some(mut members) = inner.strip_prefix('{') {
        while !members.starts_with('}') {
            let (some, behind) = paths(members.trim_start());
            found.extend(some);
            // A member ends where the next one begins: behind it may be `as _`.
            members = behind.trim_start_matches(|c| c != ',' && c != '}').trim_start_matches([',', ' ', '\n']);
        }
        rest = &members[1..];
    } else {
        (found, rest) = paths(inner);
    }
    (found.into_iter().map(|path| [vec![name.to_owned()], path].concat()).collect(), rest)
}

/// Returns the module that a path in the code of `module` leads to, if it is one of this crate.
fn resolve(module: &Module, path: &[String], modules: &BTreeMap<Module, String>) -> Option<Module> {
    let mut base = match path[0].as_str() {
        "crate" | "local" => Module::new(),
        "super" => module[..module.len().checked_sub(1)?].to_vec(),
        "self" => module.clone(),
        child => [module.as_slice(), &[child.to_owned()]].concat(),
    };
    if !modules.contains_key(&base) {
        return None;
    }
    for name in &path[1..] {
        if name == "super" {
            base.pop();
        } else {
            base.push(name.clone());
            if !modules.contains_key(&base) {
                base.pop();
                break;
            }
        }
    }
    Some(base)
}

fn imports() -> Imports {
    let modules = modules();
    let mut imports = Imports::new();
    for (module, code) in &modules {
        let own = imports.entry(module.clone()).or_default();
        let starts = code.char_indices().filter(|(at, c)| {
            let before = code[..*at].chars().next_back();
            let continues = before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
            c.is_ascii_alphabetic() && !continues
        });
        for (at, _) in starts {
            for path in paths(&code[at..]).0.into_iter().filter(|path| path.len() > 1) {
                own.extend(resolve(module, &path, &modules).filter(|found| !module.starts_with(found)));
            }
        }
    }
    imports
}

/// Returns a cycle of imports, if there is one.
fn cycle(imports: &Imports) -> Option<Vec<String>> {
    fn visit<'a>(
        module: &'a Module,
        imports: &'a Imports,
        path: &mut Vec<&'a Module>,
        done: &mut BTreeSet<&'a Module>,
    ) -> Option<Vec<String>> {
        if let Some(at) = path.iter().position(|one| *one == module) {
            return Some(path[at..].iter().map(|one| one.join("::")).collect());
        }
        path.push(module);
        let next = imports.get(module).into_iter().flatten().filter(|next| !done.contains(next)).collect::<Vec<_>>();
        let found = next.into_iter().find_map(|next| visit(next, imports, path, done));
        path.pop();
        done.insert(module);
        found
    }
    let mut done = BTreeSet::new();
    imports.keys().find_map(|module| visit(module, imports, &mut Vec::new(), &mut done))
}

#[test]
fn no_files_import_each_other_in_a_cycle() {
    let imports = imports();
    let arrows: usize = imports.values().map(BTreeSet::len).sum();
    assert!(arrows > 100, "the imports are not found any more: {arrows}");
    assert_eq!(cycle(&imports), None);
}

#[test]
fn no_top_level_modules_import_each_other_in_a_cycle() {
    let mut top = Imports::new();
    for (module, imported) in imports() {
        let own = top.entry(module.into_iter().take(1).collect()).or_default();
        own.extend(imported.into_iter().map(|module| module.into_iter().take(1).collect()));
    }
    for (module, own) in &mut top {
        own.remove(module);
    }
    assert_eq!(cycle(&top), None);
}

#[test]
fn a_cycle_is_found() {
    let module = |name: &str| vec![name.to_owned()];
    let mut imports = Imports::from([(module("a"), BTreeSet::from([module("b")])), (module("b"), BTreeSet::new())]);
    assert_eq!(cycle(&imports), None);
    imports.insert(module("b"), BTreeSet::from([module("a")]));
    assert_eq!(cycle(&imports), Some(vec!["a".to_owned(), "b".to_owned()]));
}
