//! Tests of the documentation: every relative link has a target file, every anchor has a heading, and the configuration
//! page lists every parameter and environment variable.

mod tutorial;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use contract::{Contract, Scopes};
use local::template::yaml;

use crate::support::{read, workspace};

/// A Markdown file without its code blocks, which contain neither links nor headings.
struct Page {
    path: PathBuf,
    lines: Vec<String>,
}

impl Page {
    fn new(path: PathBuf, text: &str) -> Self {
        let mut in_block = false;
        let mut lines = Vec::new();
        for line in text.lines() {
            let is_fence = line.trim_start().starts_with("```");
            in_block ^= is_fence;
            lines.push(if in_block || is_fence { String::new() } else { without_code(line) });
        }
        Self { path, lines }
    }

    /// The anchors of the headings, as GitHub generates them: in lower case, with hyphens for spaces and without
    /// punctuation. A repeated heading gets a number.
    fn anchors(&self) -> BTreeSet<String> {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let headings = self.lines.iter().filter(|line| line.starts_with('#'));
        let texts = headings.filter_map(|line| line.trim_start_matches('#').strip_prefix(' '));
        texts
            .map(|text| {
                let retained = text.trim().chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
                let anchor: String = retained.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect();
                let before = seen.entry(anchor.clone()).or_default();
                *before += 1;
                if *before == 1 { anchor } else { format!("{anchor}-{}", *before - 1) }
            })
            .collect()
    }

    /// The targets of the links `[text](target)`, which may be broken over two lines, and `[name]: target`.
    fn links(&self) -> Vec<String> {
        let text = self.lines.join("\n");
        let inline = text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
        let named = self.lines.iter().filter_map(|line| line.strip_prefix('[')?.split_once("]: "));
        inline.chain(named.map(|(_, target)| target)).map(|target| target.trim().to_owned()).collect()
    }
}

/// Removes links from the code spans of a line. The words of code spans remain, because headings may contain them.
fn without_code(line: &str) -> String {
    let parts = line.split('`').enumerate();
    parts.map(|(n, part)| if n % 2 == 1 { part.replace("](", "") } else { part.to_owned() }).collect()
}

/// The files in a folder and its subfolders, except for built and installed ones.
fn files(folder: PathBuf) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if !path.is_dir() {
                found.push(path);
            } else if !["target", "node_modules", ".git", ".local", ".aws-sam"].contains(&name) {
                folders.push(path);
            }
        }
    }
    found
}

/// The Markdown files in a folder and its subfolders.
fn pages(folder: &Path) -> Vec<Page> {
    let paths = files(folder.canonicalize().unwrap());
    let pages = paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.map(|path| Page::new(path.clone(), &std::fs::read_to_string(path).unwrap())).collect()
}

/// The fault of a relative link of `page`, if it has one.
fn fault(page: &Page, link: &str, anchors: &BTreeMap<PathBuf, BTreeSet<String>>) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let target = if file.is_empty() { page.path.clone() } else { page.path.parent().unwrap().join(file) };
    let Ok(target) = target.canonicalize() else { return Some(format!("{link}: there is no such file")) };
    let anchor = anchor?;
    let found = anchors.get(&target).is_some_and(|anchors| anchors.contains(anchor));
    (!found).then(|| format!("{link}: there is no such heading"))
}

/// All broken links of these pages, each with its page.
fn faults(pages: &[Page]) -> Vec<String> {
    let anchors = pages.iter().map(|page| (page.path.clone(), page.anchors())).collect();
    let mut faults = Vec::new();
    for page in pages {
        let wrong = page.links().into_iter().filter_map(|link| fault(page, &link, &anchors));
        faults.extend(wrong.map(|fault| format!("{}: {fault}", page.path.display())));
    }
    faults
}

#[test]
fn every_relative_link_has_a_target() {
    let pages = pages(&workspace());
    let links: usize = pages.iter().map(|page| page.links().len()).sum();
    assert!(pages.len() > 40 && links > 150, "{} pages and {links} links are not all", pages.len());
    assert_eq!(faults(&pages), Vec::<String>::new());
}

#[test]
fn a_broken_link_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let text = "# Two words, `code`\n\n## Same\n\n## Same\n\n[a](#two-words-code) [b](#same-1) [c](two.md) `[d](e.md)`\n\
                [f](none.md), [g](#same-2)\n[h](two.md#none) [i](https://example.com/none.md) [n](two.md#there)\n\n\
                [j]: k.md\n\n```\n[l](m.md)\n```\n";
    std::fs::write(folder.path().join("one.md"), text).unwrap();
    std::fs::write(folder.path().join("two.md"), "# There\n").unwrap();
    let faults = faults(&pages(folder.path()));
    let links: Vec<_> = faults.iter().map(|fault| fault.split(": ").nth(1).unwrap()).collect();
    assert_eq!(links, ["none.md", "#same-2", "two.md#none", "k.md"]);
}

#[test]
fn the_configuration_lists_every_parameter_and_variable() {
    let docs = read("docs/reference/configuration.md");
    let template = yaml::parse(&read("template.yaml")).unwrap();
    let mut names: BTreeSet<&str> = template["Parameters"].as_object().unwrap().keys().map(String::as_str).collect();
    let functions = template["Resources"].as_object().unwrap().values().map(|resource| &resource["Properties"]);
    for properties in functions.chain([&template["Globals"]["Function"]]) {
        let variables = properties.pointer("/Environment/Variables").and_then(|variables| variables.as_object());
        names.extend(variables.into_iter().flat_map(|variables| variables.keys().map(String::as_str)));
    }
    assert!(names.contains("FreeQuota") && names.contains("TABLE_NAME") && names.contains("BACKSTOPS"), "{names:?}");
    names.retain(|name| !docs.contains(&format!("`{name}`")));
    assert_eq!(names, BTreeSet::new());
}

/// The names are in comments, messages and tests.
#[test]
fn every_page_that_the_code_names_exists() {
    let mut named = 0;
    for path in files(workspace()) {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        for rest in text.split("docs/").skip(1) {
            let is_path = |c: &char| c.is_ascii_alphanumeric() || ['/', '-', '_', '.'].contains(c);
            let page: String = rest.chars().take_while(is_path).collect();
            let Some((page, _)) = page.split_once(".md") else { continue };
            let page = workspace().join("docs").join(page).with_extension("md");
            assert!(page.is_file(), "{} names {}", path.display(), page.display());
            named += 1;
        }
    }
    assert!(named > 30, "{named}");
}

#[test]
fn the_scopes_of_the_base_are_described() {
    let page = read("SECURITY.md");
    let base = Contract::parse(&read(contract::BASE)).unwrap();
    let Scopes { tenant, operator } = base.scopes();
    for scope in tenant.iter().chain(operator) {
        assert!(page.contains(&format!("| `{scope}` | ")), "the table of scopes in SECURITY.md lacks {scope}");
    }
}
