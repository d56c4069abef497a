//! The contract as generators of clients read it: each rule here was broken once, and a generator made code of it that
//! did not compile, lost digits or sent what could only fail.

use serde_json::Value;

use crate::support::contract::{CONTRACT, operations, resolve};
use crate::support::read;

/// A part of the contract, with the JSON Pointer that leads to it.
struct Part {
    pointer: String,
    value: &'static Value,
}

/// All parts of the contract but the insides of examples, which are data.
fn parts() -> Vec<Part> {
    fn collect(pointer: String, value: &'static Value, found: &mut Vec<Part>) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    // A schema may describe a member of this name, which is an object then and no example.
                    if !["example", "examples"].contains(&name.as_str()) {
                        collect(format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1")), member, found);
                    }
                }
            }
            Value::Array(elements) => {
                elements.iter().enumerate().for_each(|(n, one)| collect(format!("{pointer}/{n}"), one, found));
            }
            _ => {}
        }
        found.push(Part { pointer, value });
    }
    let mut found = Vec::new();
    collect(String::new(), &CONTRACT, &mut found);
    found
}

/// The parts that a rule finds fault with.
fn offenders(is_wrong: impl Fn(&Part) -> bool) -> Vec<String> {
    parts().into_iter().filter(is_wrong).map(|part| part.pointer).collect()
}

fn has_type(value: &Value, name: &str) -> bool {
    match value.get("type") {
        Some(Value::String(one)) => one == name,
        Some(Value::Array(many)) => many.iter().any(|one| one == name),
        _ => false,
    }
}

#[test]
fn every_number_has_its_width() {
    let formats = |kind| match kind {
        "integer" => ["int32", "int64"],
        _ => ["float", "double"],
    };
    for kind in ["integer", "number"] {
        let wrong = offenders(|part| {
            let format = part.value.get("format").and_then(Value::as_str).unwrap_or_default();
            has_type(part.value, kind) && !formats(kind).contains(&format)
        });
        assert_eq!(wrong, Vec::<String>::new(), "without a format, clients take 32 bits");
    }
}

#[test]
fn an_integer_of_32_bits_is_bounded() {
    let wrong = offenders(|part| {
        part.value.get("format").is_some_and(|format| format == "int32")
            && part.value.get("maximum").and_then(Value::as_i64).is_none_or(|most| most > i64::from(i32::MAX))
    });
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_object_states_whether_it_may_have_other_members() {
    // A problem may have members of its kind, and so it is open.
    let wrong = offenders(|part| {
        has_type(part.value, "object")
            && part.value.get("additionalProperties").is_none()
            && !part.pointer.starts_with("/components/schemas/Problem")
            && !part.pointer.starts_with("/components/schemas/TransactionProblem")
    });
    assert_eq!(wrong, Vec::<String>::new(), "clients in TypeScript take an object without members for an empty one");
}

#[test]
fn every_schema_of_one_value_or_some_has_a_type() {
    let wrong = offenders(|part| {
        (part.value.get("const").is_some() || part.value.get("enum").is_some_and(Value::is_array))
            && part.value.get("type").is_none()
    });
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn what_generators_cannot_express_is_not_used() {
    let wrong = offenders(|part| {
        let reference = part.value.get("$ref").and_then(Value::as_str);
        // A reference to anything but a component is lost by some generators, and `not` becomes a type without values.
        reference.is_some_and(|reference| reference.split('/').count() != 4) || part.value.get("not").is_some()
    });
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn headers_that_openapi_reserves_are_not_parameters() {
    for operation in operations() {
        let parameters = operation.definition.get("parameters").and_then(Value::as_array);
        for parameter in parameters.into_iter().flatten().map(resolve) {
            let reserved = ["Accept", "Content-Type", "Authorization"];
            assert!(
                !reserved.contains(&parameter["name"].as_str().unwrap()),
                "{} {}",
                operation.method,
                operation.path
            );
        }
    }
}

#[test]
fn a_member_that_may_be_left_out_has_no_default() {
    let wrong = offenders(|part| {
        let member = part.pointer.rsplit('/').nth(1) == Some("properties");
        member && part.value.get("default").is_some()
    });
    assert_eq!(
        wrong,
        Vec::<String>::new(),
        "openapi-typescript takes a member with a default for one that is always there"
    );
}

/// A console fills in the example of a parameter, and a request with a made-up one fails.
#[test]
fn only_parameters_of_paths_have_examples() {
    let wrong = offenders(|part| {
        let place = part.value.get("in").and_then(Value::as_str);
        place.is_some_and(|place| place != "path") && part.value.get("example").is_some()
    });
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn alternatives_that_share_a_member_have_a_discriminator() {
    let wrong = offenders(|part| {
        let Some(alternatives) = part.value.get("oneOf").and_then(Value::as_array) else { return false };
        let objects = alternatives.iter().map(resolve).filter(|schema| has_type(schema, "object")).count();
        objects > 1 && part.value.get("discriminator").is_none()
    });
    assert_eq!(wrong, Vec::<String>::new());
    for part in parts() {
        let Some(discriminator) = part.value.get("discriminator") else { continue };
        let property = discriminator["propertyName"].as_str().unwrap();
        for (name, reference) in discriminator["mapping"].as_object().unwrap() {
            let schema = CONTRACT.pointer(&reference.as_str().unwrap()[1..]).unwrap();
            assert_eq!(schema["properties"][property]["const"], **name, "{}", part.pointer);
        }
    }
}

#[test]
fn no_description_points_to_a_file_that_a_tenant_does_not_have() {
    let text = CONTRACT.to_string();
    for pointer in ["docs/", ".md", "template.yaml", "README"] {
        assert!(!text.contains(pointer), "{pointer}");
    }
}

/// The codes of problems in a text: in a table of docs/reference/problems.md, or in a list of the contract.
fn codes(lines: &str, prefix: &str) -> std::collections::BTreeSet<String> {
    let lines = lines.lines().map(str::trim).filter(|line| line.starts_with(prefix));
    let heads = lines.map(|line| line.trim_start_matches("| ").split([':', '|']).next().unwrap());
    heads.flat_map(|head| head.split('`').skip(1).step_by(2)).map(ToOwned::to_owned).collect()
}

#[test]
fn the_contract_has_the_codes_of_the_docs() {
    let contract = CONTRACT["components"]["schemas"]["Problem"]["properties"]["code"]["description"].as_str().unwrap();
    let failures = &CONTRACT["components"]["schemas"]["OperationFailure"]["properties"]["code"]["enum"];
    let mut promised = codes(contract, "- `");
    promised.extend(failures.as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned()));
    assert_eq!(promised, codes(&read("docs/reference/problems.md"), "| `"));
}
