//! `openapi.yaml`, and whether requests and responses conform to it.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use ::contract::{Contract, Scopes};
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::{Response, read};

/// The contract, as JSON.
pub static CONTRACT: LazyLock<Value> = LazyLock::new(|| local::template::yaml::parse(&read("openapi.yaml")).unwrap());

/// The scopes of the contract.
pub fn scopes() -> &'static Scopes {
    static SCOPES: LazyLock<Contract> = LazyLock::new(|| Contract::parse(&read("openapi.yaml")).unwrap());
    SCOPES.scopes()
}

const METHODS: [&str; 6] = ["get", "head", "post", "put", "patch", "delete"];

/// An operation of the contract.
#[derive(Debug)]
pub struct Operation {
    /// The method, in upper case.
    pub method: String,
    /// The path, with its parameters in braces.
    pub path: &'static str,
    /// The operation object of the contract.
    pub definition: &'static Value,
}

/// All operations of the contract.
#[must_use]
pub fn operations() -> Vec<Operation> {
    let paths = CONTRACT["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            METHODS.iter().filter_map(move |method| {
                let definition = item.get(method)?;
                Some(Operation { method: method.to_uppercase(), path, definition })
            })
        })
        .collect()
}

/// Where a `$ref` leads.
pub fn resolve(value: &'static Value) -> &'static Value {
    match value.get("$ref").and_then(Value::as_str) {
        Some(reference) => CONTRACT.pointer(&reference[1..]).unwrap_or_else(|| panic!("{reference} leads nowhere")),
        None => value,
    }
}

/// Whether a text fits a schema of `#/components/schemas`.
pub fn check_schema(schema: &'static Value, instance: &Value) {
    static VALIDATORS: LazyLock<Mutex<HashMap<String, &'static Validator>>> = LazyLock::new(Mutex::default);
    let validator = *VALIDATORS.lock().unwrap().entry(schema.to_string()).or_insert_with(|| {
        let mut root = json!({ "$schema": "https://json-schema.org/draft/2020-12/schema" });
        root["components"] = CONTRACT["components"].clone();
        root.as_object_mut().unwrap().extend(schema.as_object().unwrap().clone());
        Box::leak(Box::new(jsonschema::validator_for(&root).unwrap()))
    });
    let errors: Vec<String> = validator.iter_errors(instance).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{instance} does not fit {schema}: {errors:?}");
}

/// Panics unless a response conforms to the contract in status, media type, schema and headers.
pub fn check(method: &str, path: &str, response: &Response) {
    let path = path.split('?').next().unwrap_or_default().trim_end_matches('/');
    let operation = operations().into_iter().find(|one| one.method == method && matches(one.path, path));
    let Some(operation) = operation else {
        if method != "OPTIONS" {
            assert!((400..500).contains(&response.status), "{method} {path} is not in the contract: {response:?}");
            // The response to a HEAD has no body to check.
            if method != "HEAD" {
                check_problem(response, &[]);
            }
        }
        return;
    };
    let responses = &operation.definition["responses"];
    let promised = responses.get(response.status.to_string());
    assert!(
        promised.is_some() || response.status >= 400,
        "the contract does not know a {} of {method} {path}: {response:?}",
        response.status
    );
    let promised = resolve(promised.unwrap_or(&responses["default"]));
    for (name, header) in promised["headers"].as_object().into_iter().flatten() {
        let header = resolve(header);
        match response.headers.get(name) {
            Some(value) => check_schema(&header["schema"], &json!(value.to_str().unwrap())),
            None => assert_ne!(header["required"], true, "{method} {path} lacks the header {name}: {response:?}"),
        }
    }
    match promised.get("content").and_then(Value::as_object) {
        None => assert_eq!(response.text, "", "{response:?}"),
        Some(content) => {
            let media_type = response.header("content-type").split(';').next().unwrap_or_default();
            let media = content.get(media_type);
            let media =
                media.unwrap_or_else(|| panic!("{method} {path} may not respond with {media_type}: {response:?}"));
            // Lines of JSON are JSON each.
            let is_text = matches!(media_type, "text/plain" | "application/jsonl" | "text/csv");
            let body = if is_text { json!(response.text) } else { response.json() };
            check_schema(&media["schema"], &body);
        }
    }
    if response.status >= 400 && method != "HEAD" {
        check_problem(response, &own_codes(promised));
    }
}

/// Panics if the body of an accepted request does not conform to the contract, which is incomplete then.
pub fn check_request(method: &str, path: &str, media_type: &str, body: &[u8]) {
    let path = path.split('?').next().unwrap_or_default();
    let operation = operations().into_iter().find(|one| one.method == method && matches(one.path, path));
    let Some(promised) = operation.and_then(|operation| operation.definition.get("requestBody")) else { return };
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_lowercase();
    let content = resolve(promised)["content"].as_object().unwrap();
    // A media type that is not listed means the same as the one that is.
    let media = content.get(&essence).or_else(|| content.values().next()).unwrap();
    check_schema(&media["schema"], &serde_json::from_slice(body).unwrap());
}

/// The codes that only a function of its own gives this response of the contract.
#[must_use]
pub fn own_codes(promised: &'static Value) -> Vec<&'static str> {
    let codes = promised.get("x-problem-codes").map(|codes| codes.as_array().unwrap());
    codes.into_iter().flatten().map(|code| code.as_str().unwrap()).collect()
}

fn check_problem(response: &Response, own_codes: &[&str]) {
    check_schema(&CONTRACT["components"]["schemas"]["Problem"], &response.json());
    assert_eq!(response.header("content-type"), "application/problem+json", "{response:?}");
    let problem = response.json();
    let code = problem["code"].as_str().unwrap();
    assert_eq!(problem["type"], format!("urn:tenantry:problem:{code}"));
    assert_eq!(problem["requestId"], response.header("x-amzn-requestid"), "{response:?}");
    if let Some(status) = problem.get("status") {
        assert_eq!(*status, response.status);
    }
    let shared = CONTRACT["components"]["schemas"]["Problem"]["properties"]["code"]["description"].as_str().unwrap();
    let known = own_codes.contains(&code) || shared.contains(&format!("`{code}`"));
    assert!(known, "neither the schema Problem nor the x-problem-codes of this response have {code}");
}

/// Whether a path is one of a route.
#[must_use]
pub fn matches(route: &str, path: &str) -> bool {
    let (mut route, mut path) = (route.split('/'), path.split('/'));
    loop {
        match (route.next(), path.next()) {
            (None, None) => return true,
            (Some(want), Some(have)) if want == have || (want.starts_with('{') && !have.is_empty()) => {}
            _ => return false,
        }
    }
}
