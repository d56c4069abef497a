//! `openapi.yaml` and `template.yaml` agree, and have what generators of clients need.

mod generators;
mod limits;
mod pieces;

use std::collections::{BTreeMap, BTreeSet};

use local::template::{Route, Template};
use serde_json::{Value, json};

use crate::support::contract::{CONTRACT, check_schema, operations, resolve};
use crate::support::{METERED, is_metered, workspace};

/// Whether a route needs a token, and a key that belongs to a plan.
type Routes = BTreeMap<(String, String), (bool, bool)>;

#[test]
fn the_template_has_the_routes_of_the_contract_with_the_same_authentication() {
    let template = Template::read(&workspace().join("template.yaml"), &BTreeMap::new()).unwrap();
    let routed: Routes = template
        .api
        .routes
        .into_iter()
        .map(|route| ((route.path, route.method), (route.authorized, route.api_key_required)))
        .collect();
    let promised: Routes = operations()
        .into_iter()
        .map(|operation| {
            let open = operation.definition.get("security") == Some(&json!([]));
            // No plan limits an operator.
            let limited = !open && !operation.path.starts_with("/admin/");
            ((operation.path.to_owned(), operation.method), (!open, limited))
        })
        .collect();
    let without = |some: &Routes, all: &Routes| -> Vec<_> {
        some.iter().filter(|(route, needs)| all.get(*route) != Some(*needs)).map(|one| format!("{one:?}")).collect()
    };
    assert_eq!(
        without(&promised, &routed),
        [""; 0],
        "template.yaml lacks these routes, or their authentication differs"
    );
    assert_eq!(without(&routed, &promised), [""; 0], "openapi.yaml lacks these routes of template.yaml");
}

/// The contract says of each operation whether it counts against the quota, by the header `RateLimit` of its responses, and
/// the template says it of each function.
#[test]
fn what_counts_against_the_quota_is_the_same_in_the_contract_and_the_template() {
    let template = Template::read(&workspace().join("template.yaml"), &BTreeMap::new()).unwrap();
    for operation in operations() {
        let is_its = |route: &&Route| (&*route.path, &route.method) == (operation.path, &operation.method);
        let Some(route) = template.api.routes.iter().find(is_its) else { continue };
        let function = template.functions.iter().find(|function| function.name == route.function).unwrap();
        let successes = operation.definition["responses"].as_object().unwrap().iter();
        for (status, response) in successes.filter(|(status, _)| status.starts_with(['2', '3'])) {
            let counts = ["RateLimit", "RateLimit-Policy"].map(|name| response["headers"].get(name).is_some());
            let place = format!("{} {}, {status}, of {}", operation.method, operation.path, function.name);
            assert_eq!(
                counts,
                [is_metered(function); 2],
                "{place}: RateLimit and RateLimit-Policy belong to {METERED:?}"
            );
        }
    }
}

#[test]
fn whatever_can_be_read_has_a_head() {
    let operations = operations();
    let paths = |method: &str| -> BTreeMap<&str, Option<&Value>> {
        let of_method = operations.iter().filter(|operation| operation.method == method);
        of_method.map(|operation| (operation.path, operation.definition.get("parameters"))).collect()
    };
    assert_eq!(paths("HEAD"), paths("GET"));
}

#[test]
fn every_response_names_its_request() {
    let paths = operations().into_iter().flat_map(|operation| operation.definition["responses"].as_object().unwrap());
    let components = CONTRACT["components"]["responses"].as_object().unwrap();
    for (name, response) in paths.chain(components) {
        let header = resolve(response).pointer("/headers/x-amzn-RequestId");
        assert!(header.is_some(), "{name}: {response}");
    }
}

#[test]
fn an_operation_is_open_or_has_a_scope() {
    for operation in operations() {
        let open = operation.definition.get("security") == Some(&json!([]));
        let scope = operation.definition.get("x-required-scope").and_then(Value::as_str);
        assert_eq!(scope.is_none(), open, "{} {}", operation.method, operation.path);
    }
}

#[test]
fn the_authorizer_knows_the_scopes_of_the_contract() {
    let known: BTreeSet<_> = authorizer::ROUTES.iter().map(|route| (route.method, route.path, route.scope)).collect();
    let operations = operations();
    let promised: BTreeSet<_> = operations
        .iter()
        .filter_map(|operation| {
            let scope = operation.definition.get("x-required-scope")?.as_str()?;
            Some((&operation.method[..], operation.path, scope))
        })
        .collect();
    assert_eq!(known, promised);
}

#[test]
fn the_stage_is_the_path_of_the_server() {
    let template = Template::read(&workspace().join("template.yaml"), &BTreeMap::new()).unwrap();
    assert_eq!(CONTRACT["servers"][0]["url"], format!("/{}", template.api.stage));
}

#[test]
fn every_path_parameter_is_declared() {
    for operation in operations() {
        let shared = CONTRACT["paths"][operation.path].get("parameters");
        let own = operation.definition.get("parameters");
        let declared: BTreeSet<_> = [shared, own]
            .into_iter()
            .flatten()
            .flat_map(|list| list.as_array().unwrap())
            .map(resolve)
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        let segments = operation.path.split('/').filter_map(|one| one.strip_prefix('{')?.strip_suffix('}'));
        assert_eq!(declared, segments.collect(), "{}", operation.path);
    }
}

/// Every example, of a media type, a parameter or a schema, with the schema that it has to fit.
fn examples(value: &'static Value, found: &mut Vec<(&'static Value, &'static Value)>) {
    let schema = value.get("schema");
    if let (Some(schema), Some(example)) = (schema, value.get("example")) {
        found.push((schema, example));
    }
    if let (Some(schema), Some(examples)) = (schema, value.get("examples").and_then(Value::as_object)) {
        found.extend(examples.values().map(|example| (schema, &example["value"])));
    }
    if let (Some(_), Some(example)) = (value.get("type"), value.get("example")) {
        found.push((value, example));
    }
    match value {
        Value::Object(members) => members.values().for_each(|member| examples(member, found)),
        Value::Array(elements) => elements.iter().for_each(|element| examples(element, found)),
        _ => {}
    }
}

#[test]
fn every_example_fits_its_schema() {
    let mut found = Vec::new();
    examples(&CONTRACT, &mut found);
    assert!(found.len() > 20);
    for (schema, example) in found {
        check_schema(schema, example);
    }
}
