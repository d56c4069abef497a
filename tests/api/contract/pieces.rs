//! The contract is what its pieces make, and promises the problem codes that functions declare themselves.

use std::collections::BTreeSet;

use service::http::Code;

use crate::support::contract::{operations, own_codes, resolve};
use crate::support::{read, sources, workspace};

#[test]
fn the_contract_is_up_to_date() {
    let joined = contract::join(&workspace()).unwrap();
    assert!(
        read(contract::FILE) == joined,
        "{} is not what its pieces make: run `cargo run -- contract`",
        contract::FILE
    );
}

/// A code of a function's own, with its status.
type OwnCode = (String, u16);

/// The codes that responses of the contract list as a function's own.
fn promised() -> BTreeSet<OwnCode> {
    let mut found = BTreeSet::new();
    for operation in operations() {
        for (status, response) in operation.definition["responses"].as_object().unwrap() {
            let response = resolve(response);
            let place = format!("{} {}, {status}", operation.method, operation.path);
            for code in own_codes(response) {
                let text = response["description"].as_str().unwrap();
                assert!(text.contains(&format!("`{code}`")), "{place}: the description does not name `{code}`");
                let shared = Code::ALL.iter().any(|shared| shared.name() == code);
                assert!(!shared, "{place}: `{code}` is listed by the schema Problem, and not a function's own");
                found.insert((code.to_owned(), status.parse().unwrap_or_else(|_| panic!("{place}: no status"))));
            }
        }
    }
    found
}

/// The codes in a text of Rust, `Code::own("invoice_sent", 409, "Conflict")`.
fn declared_in(text: &str) -> Vec<OwnCode> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let calls = code.split("Code::own(").skip(1);
    let read = |call: &str| {
        let mut arguments = call.split(',').map(str::trim);
        let name = arguments.next()?.strip_prefix('"')?.strip_suffix('"')?;
        Some((name.to_owned(), arguments.next()?.parse().ok()?))
    };
    calls
        .map(|call| read(call).unwrap_or_else(|| panic!("write the name and the status as literals: {call}")))
        .collect()
}

#[test]
fn the_contract_has_the_codes_that_functions_declare() {
    let files = sources(&workspace().join("functions"));
    assert!(files.len() > 20, "only {} files were found", files.len());
    let texts = files.iter().map(|path| std::fs::read_to_string(path).unwrap());
    let declared: BTreeSet<_> = texts.flat_map(|text| declared_in(&text)).collect();
    let promised = promised();
    let missing: Vec<_> = declared.difference(&promised).collect();
    assert!(missing.is_empty(), "no response of the contract has these codes in its x-problem-codes: {missing:?}");
    let unknown: Vec<_> = promised.difference(&declared).collect();
    assert!(unknown.is_empty(), "no function declares these codes of x-problem-codes with this status: {unknown:?}");
}

#[test]
fn a_declaration_is_found_on_one_line_and_on_several() {
    let text = "const A: Code = Code::own(\"a_b\", 409, \"Conflict\");\n/// Code::own(\n    const B: Code =\n Code::own(\n    \
                \"c\",\n    404,\n    \"Not found\",\n);";
    assert_eq!(declared_in(text), [("a_b".to_owned(), 409), ("c".to_owned(), 404)]);
}
