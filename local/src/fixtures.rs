//! The events in `events/`, for `sam local invoke` and for tests, which are made from the contract and from a table of each
//! function, `functions/<noun>/events.yaml`:
//!
//! ```yaml
//! - { name: get, call: GET /invoices/1?consistent=true, status: 200 }
//! - { name: append, call: POST /invoices, body: '{"customer":"Globex"}', status: 201 }
//! ```
//!
//! The second one becomes `events/invoices-append.json`. Further members are `headers`, and `scopes`, which are by default the
//! scope that the operation requires. The events of a function are sent in this order, and get these statuses.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::seed::{DEMO, OPERATOR};
use crate::template::{YamlError, yaml};

/// The folder of the events in the workspace.
pub const FOLDER: &str = "events";

/// The name of a function's table.
const TABLE: &str = "events.yaml";

const HOST: &str = "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com";
const CLIENT: &str = "curl/8.7.1";

/// An event of a function.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// The name of the function.
    pub function: String,
    /// The name of the file in [`FOLDER`].
    pub file: String,
    /// The status of the response, if the events before it were sent as well.
    pub status: u16,
    /// The event, as indented JSON.
    pub text: String,
}

/// The reason why the events cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum FixtureError {
    /// A file or folder cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A table, or the contract, is not valid YAML.
    #[error("{} is not valid: {source}", path.display())]
    Yaml {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: YamlError,
    },
    /// A table does not have the form of one.
    #[error("{} is not a list of events: {source}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: serde_json::Error,
    },
    /// The contract has no such operation.
    #[error("{}: the contract has no operation for `{call}`", path.display())]
    Call {
        /// The file.
        path: PathBuf,
        /// The method and path.
        call: String,
    },
}

/// A line of a table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    call: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    scopes: Option<String>,
    body: Option<String>,
    status: u16,
}

/// The part of the contract that the events depend on.
#[derive(Debug, Deserialize)]
struct Contract {
    paths: BTreeMap<String, BTreeMap<String, Value>>,
}

/// The event of a Lambda proxy integration, with the members in the order in which API Gateway documents them.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html>
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    resource: &'a str,
    path: &'a str,
    http_method: &'a str,
    headers: &'a BTreeMap<&'a str, &'a str>,
    multi_value_headers: BTreeMap<&'a str, [&'a str; 1]>,
    query_string_parameters: Option<&'a BTreeMap<String, String>>,
    multi_value_query_string_parameters: Option<BTreeMap<&'a str, [&'a str; 1]>>,
    path_parameters: Option<&'a BTreeMap<&'a str, &'a str>>,
    stage_variables: Option<()>,
    request_context: Value,
    body: Option<&'a str>,
    is_base64_encoded: bool,
}

/// Makes the events of the workspace in this folder, with the text of its contract.
pub fn make(workspace: &Path, contract: &str) -> Result<Vec<Fixture>, FixtureError> {
    let contract: Contract = parse(&workspace.join(contract::FILE), contract)?;
    let folder = workspace.join("functions");
    let mut functions = names(&folder)?;
    functions.sort();
    let mut made = Vec::new();
    for function in functions {
        let path = folder.join(&function).join(TABLE);
        if !path.is_file() {
            continue;
        }
        let text = fs::read_to_string(&path).map_err(|source| FixtureError::Read { path: path.clone(), source })?;
        for row in parse::<Vec<Row>>(&path, &text)? {
            let text =
                event(&contract, &row).ok_or_else(|| FixtureError::Call { path: path.clone(), call: row.call })?;
            made.push(Fixture {
                function: function.clone(),
                file: format!("{function}-{}.json", row.name),
                status: row.status,
                text,
            });
        }
    }
    Ok(made)
}

/// Returns the names of the files in [`FOLDER`] that are events of API Gateway, but are not among those that were made.
pub fn stale(workspace: &Path, made: &[Fixture]) -> Result<Vec<String>, FixtureError> {
    let folder = workspace.join(FOLDER);
    let mut stale = Vec::new();
    for file in names(&folder)? {
        let path = folder.join(&file);
        let text = fs::read_to_string(&path).map_err(|source| FixtureError::Read { path, source })?;
        let event: Value = serde_json::from_str(&text).unwrap_or_default();
        if event.get("httpMethod").is_some() && !made.iter().any(|fixture| fixture.file == file) {
            stale.push(file);
        }
    }
    Ok(stale)
}

/// Returns the names of the entries of a folder. A folder that does not exist has none.
fn names(folder: &Path) -> Result<Vec<String>, FixtureError> {
    let failed = |source| FixtureError::Read { path: folder.to_owned(), source };
    let mut names = Vec::new();
    if folder.is_dir() {
        for entry in fs::read_dir(folder).map_err(failed)? {
            names.extend(entry.map_err(failed)?.file_name().into_string());
        }
    }
    Ok(names)
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path, text: &str) -> Result<T, FixtureError> {
    let value = yaml::parse(text).map_err(|source| FixtureError::Yaml { path: path.to_owned(), source })?;
    serde_json::from_value(value).map_err(|source| FixtureError::Form { path: path.to_owned(), source })
}

/// Returns the event for a line of a table, unless the contract has no such operation.
fn event(contract: &Contract, row: &Row) -> Option<String> {
    let (method, target) = row.call.split_once(' ')?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (resource, parameters, operation) = find(contract, method, path)?;

    let scopes = row.scopes.as_deref().or_else(|| operation.get("x-required-scope")?.as_str());
    let mut headers = BTreeMap::from([
        ("Accept", "*/*"),
        ("Host", HOST),
        ("User-Agent", CLIENT),
        ("X-Amzn-Trace-Id", "Root=1-67f0c2ab-1f2e3d4c5b6a798801234567"),
        ("X-Forwarded-For", "203.0.113.7"),
        ("X-Forwarded-Port", "443"),
        ("X-Forwarded-Proto", "https"),
    ]);
    if scopes.is_some() {
        headers.insert("Authorization", "Bearer eyJ.eyJ.sig");
    }
    if row.body.is_some() {
        headers.insert("Content-Type", "application/json");
    }
    headers.extend(row.headers.iter().map(|(name, value)| (&**name, &**value)));
    let query: BTreeMap<_, _> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();

    let event = Event {
        resource,
        path,
        http_method: method,
        headers: &headers,
        multi_value_headers: headers.iter().map(|(name, value)| (*name, [*value])).collect(),
        query_string_parameters: Some(&query).filter(|query| !query.is_empty()),
        multi_value_query_string_parameters: Some(query.iter().map(|(name, value)| (&**name, [&**value])).collect())
            .filter(|query: &BTreeMap<_, _>| !query.is_empty()),
        path_parameters: Some(&parameters).filter(|parameters| !parameters.is_empty()),
        stage_variables: None,
        request_context: request_context(method, resource, path, scopes),
        body: row.body.as_deref(),
        is_base64_encoded: false,
    };
    serde_json::to_string_pretty(&event).ok().map(|text| text + "\n")
}

/// Returns the path of the contract that a request leads to, its parameters, and the operation.
fn find<'a>(
    contract: &'a Contract,
    method: &str,
    path: &'a str,
) -> Option<(&'a str, BTreeMap<&'a str, &'a str>, &'a Value)> {
    let method = method.to_lowercase();
    let found = contract.paths.iter().filter_map(|(resource, operations)| {
        Some((&**resource, path_parameters(resource, path)?, operations.get(&method)?))
    });
    // API Gateway prefers a path without a parameter.
    found.min_by_key(|(_, parameters, _)| parameters.len())
}

fn path_parameters<'a>(resource: &'a str, path: &'a str) -> Option<BTreeMap<&'a str, &'a str>> {
    let (segments, given) = (resource.split('/'), path.split('/'));
    if segments.clone().count() != given.clone().count() {
        return None;
    }
    let mut parameters = BTreeMap::new();
    for (segment, given) in segments.zip(given) {
        match segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => drop(parameters.insert(name, given)),
            None if segment == given => {}
            None => return None,
        }
    }
    Some(parameters)
}

/// Returns the context of a request with a token that has these scopes, or of one without a token.
fn request_context(method: &str, resource: &str, path: &str, scopes: Option<&str>) -> Value {
    let [acme, _] = DEMO;
    let is_operators = path.starts_with(contract::OPERATORS);
    let mut identity = json!({
        "cognitoIdentityPoolId": null,
        "accountId": null,
        "cognitoIdentityId": null,
        "caller": null,
        "sourceIp": "203.0.113.7",
        "principalOrgId": null,
        "accessKey": null,
        "cognitoAuthenticationType": null,
        "cognitoAuthenticationProvider": null,
        "userArn": null,
        "userAgent": CLIENT,
        "user": null,
    });
    let mut context = json!({
        "resourceId": "abc123",
        "resourcePath": resource,
        "httpMethod": method,
        "extendedRequestId": "IkTzqFzyliAFeuA=",
        "requestTime": "21/Nov/2026:09:30:00 +0000",
        "path": format!("/v1{path}"),
        "accountId": "123456789012",
        "protocol": "HTTP/1.1",
        "stage": "v1",
        "domainPrefix": "a1b2c3d4e5",
        "requestTimeEpoch": 1_795_253_400_000_u64,
        "requestId": "0d1c6a1e-4f3e-4a52-9f0a-6f1f2b9d7c11",
        "domainName": HOST,
        "deploymentId": "d3pl0y",
        "apiId": "a1b2c3d4e5",
    });
    if let Some(scopes) = scopes {
        let subject = if is_operators { OPERATOR } else { "user-1" };
        context["authorizer"] = json!({
            "subject": subject,
            "scopes": scopes,
            "issuer": "https://issuer.example",
            "reason": "insufficient_scope",
            "principalId": subject,
            "integrationLatency": 12,
        });
        if !is_operators {
            context["authorizer"]["tenant"] = acme.id.into();
            context["authorizer"]["plan"] = acme.plan.into();
            identity["apiKey"] = acme.id.into();
            identity["apiKeyId"] = "k3y1d".into();
        }
    }
    context["identity"] = identity;
    context
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTRACT: &str = "\
paths:
  /invoices: { parameters: [], post: { x-required-scope: \"invoices:write\" } }
  /invoices/{number}: { get: { x-required-scope: \"invoices:read\" } }
  /invoices/totals: { get: { security: [] } }
  /admin/invoices: { get: { x-required-scope: \"invoices:admin\" } }
";

    /// Makes the events of a function `invoices` with this table.
    fn made(table: &str) -> Result<Vec<Fixture>, FixtureError> {
        let workspace = tempfile::tempdir().unwrap();
        fs::create_dir_all(workspace.path().join("functions/invoices")).unwrap();
        fs::write(workspace.path().join("functions/invoices").join(TABLE), table).unwrap();
        make(workspace.path(), CONTRACT)
    }

    fn event(row: &str) -> Value {
        let [fixture] = &made(row).unwrap()[..] else { panic!("{row}") };
        assert_eq!((&*fixture.function, &*fixture.file, fixture.status), ("invoices", "invoices-x.json", 200));
        serde_json::from_str(&fixture.text).unwrap()
    }

    #[test]
    fn a_line_of_the_table_is_an_event_of_the_operation() {
        let event = event("- { name: x, call: GET /invoices/7?consistent=true&q=a%20b, status: 200 }");
        assert_eq!(event["resource"], "/invoices/{number}");
        assert_eq!(event["pathParameters"], json!({"number": "7"}));
        assert_eq!(event["queryStringParameters"], json!({"consistent": "true", "q": "a b"}));
        assert_eq!(event["multiValueQueryStringParameters"]["q"], json!(["a b"]));
        assert_eq!(event["requestContext"]["authorizer"]["scopes"], "invoices:read");
        assert_eq!(event["requestContext"]["authorizer"]["tenant"], DEMO[0].id);
        assert_eq!((&event["body"], event["headers"].get("Content-Type")), (&Value::Null, None));
    }

    #[test]
    fn a_line_can_have_a_body_headers_and_other_scopes() {
        let event = event(
            "- { name: x, call: POST /invoices, body: '{}', headers: { If-Match: '*' }, scopes: a:b, status: 200 }",
        );
        assert_eq!((&event["body"], &event["pathParameters"]), (&json!("{}"), &Value::Null));
        assert_eq!(event["headers"]["Content-Type"], "application/json");
        assert_eq!(event["multiValueHeaders"]["If-Match"], json!(["*"]));
        assert_eq!(event["requestContext"]["authorizer"]["scopes"], "a:b");
    }

    #[test]
    fn an_operator_has_no_tenant_and_an_open_operation_no_caller() {
        let context = &event("- { name: x, call: GET /admin/invoices, status: 200 }")["requestContext"];
        assert_eq!(context["authorizer"]["subject"], OPERATOR);
        assert_eq!((context["authorizer"].get("tenant"), context["identity"].get("apiKey")), (None, None));
        let event = event("- { name: x, call: GET /invoices/totals, status: 200 }");
        assert_eq!(event["resource"], "/invoices/totals");
        assert_eq!((event["requestContext"].get("authorizer"), event["headers"].get("Authorization")), (None, None));
    }

    #[test]
    fn a_table_that_does_not_fit_the_contract_is_rejected() {
        for call in ["GET /invoices", "GET /orders/1", "DELETE /invoices/1", "GET", "GET /invoices/1/lines"] {
            let error = made(&format!("- {{ name: x, call: {call}, status: 200 }}")).unwrap_err().to_string();
            assert!(error.ends_with(&format!("the contract has no operation for `{call}`")), "{error}");
        }
        assert!(matches!(made("- { name: x, call: GET /invoices/1 }"), Err(FixtureError::Form { .. })));
        assert!(matches!(made("- [}"), Err(FixtureError::Yaml { .. })));
    }

    #[test]
    fn only_an_event_of_api_gateway_that_was_not_made_is_stale() {
        let workspace = tempfile::tempdir().unwrap();
        assert_eq!(stale(workspace.path(), &[]).unwrap(), [""; 0]);
        fs::create_dir(workspace.path().join(FOLDER)).unwrap();
        let made = made("- { name: x, call: GET /invoices/1, status: 200 }").unwrap();
        for (file, text) in [("invoices-x.json", "{\"httpMethod\":\"GET\"}"), ("orders-x.json", "{\"httpMethod\":1}")] {
            fs::write(workspace.path().join(FOLDER).join(file), text).unwrap();
        }
        fs::write(workspace.path().join(FOLDER).join("schedule.json"), "{}").unwrap();
        assert_eq!(stale(workspace.path(), &made).unwrap(), ["orders-x.json"]);
    }
}
