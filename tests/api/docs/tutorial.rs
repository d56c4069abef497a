//! The code of the tutorial is compiled and tested elsewhere: in the example, and in the documentation of `service`.

use crate::support::{read, workspace};

const TUTORIAL: &str = "docs/guides/add-a-function.md";

/// The example, which may be removed from a copy of this repository.
const EXAMPLE: &str = "examples/invoices";

/// Its files that the tutorial quotes.
const QUOTED: [&str; 5] = [
    "functions/invoices/src/lib.rs",
    "functions/invoices/src/main.rs",
    "functions/invoices/openapi.yaml",
    "functions/invoices/events.yaml",
    "template.yaml",
];

/// The files with code in their documentation, which `cargo test --doc` compiles.
const DOCUMENTED: [&str; 2] = ["service/src/function.rs", "service/src/domain/kind.rs"];

/// The blocks of Rust and of YAML in a page.
fn blocks(page: &str) -> Vec<&str> {
    let of = |language: &str| page.split(&format!("\n```{language}\n")).skip(1).collect::<Vec<_>>();
    ["rust", "yaml"].into_iter().flat_map(of).filter_map(|rest| rest.split("\n```\n").next()).collect()
}

/// The lines of code in the documentation of a file, without those that readers do not see.
fn documented(file: &str) -> String {
    let text = read(file);
    let lines = text.lines().map(str::trim_start).filter_map(|line| {
        let line = line.strip_prefix("//!").or_else(|| line.strip_prefix("///"))?;
        Some(line.strip_prefix(' ').unwrap_or(line))
    });
    lines.filter(|line| !line.starts_with("# ")).collect::<Vec<_>>().join("\n")
}

/// The sources of the code, and whether the example is one of them.
fn sources() -> (Vec<String>, bool) {
    let example = workspace().join(EXAMPLE);
    let has_example = example.is_dir();
    let quoted = QUOTED.into_iter().filter(|_| has_example);
    let quoted = quoted.map(|name| std::fs::read_to_string(example.join(name)).unwrap());
    (DOCUMENTED.map(documented).into_iter().chain(quoted).collect(), has_example)
}

#[test]
fn the_code_of_the_tutorial_is_tested() {
    let page = read(TUTORIAL);
    let blocks = blocks(&page);
    assert!(blocks.len() > 15, "only {} blocks were found", blocks.len());
    let (sources, has_example) = sources();
    let is_tested = |block: &&str| sources.iter().any(|source| source.contains(*block));
    let (tested, other): (Vec<&str>, Vec<&str>) = blocks.into_iter().partition(is_tested);
    assert!(tested.len() >= 4, "too few blocks were found in the documentation of `service`");
    assert!(!has_example || other.is_empty(), "{TUTORIAL} has code that is not in {EXAMPLE}:\n{}", other[0]);
}

/// The interface for functions is one module, so that every other one can change.
#[test]
fn a_function_outside_of_the_product_uses_one_module() {
    let Ok(entries) = std::fs::read_dir(workspace().join(EXAMPLE).join("functions/invoices/src")) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        let text = std::fs::read_to_string(&path).unwrap();
        for used in text.split("service::").skip(1) {
            let is_public = used.starts_with("function") || used.starts_with("scopes!");
            assert!(is_public, "{} uses service::{}", path.display(), used.lines().next().unwrap_or_default());
        }
    }
}
