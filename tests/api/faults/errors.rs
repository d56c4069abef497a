//! Every error that DynamoDB documents for the operations that the functions use, on every route: what the client gets.
//! docs/internals/architecture.md has the same table.

use serde_json::{Value, json};
use testkit::dynamodb::{DynamoDb, Fault};

use crate::support::{Api, Caller, Response, read};

const WRITES: &[&str] = &["PutItem", "UpdateItem", "DeleteItem"];
const TRANSACTIONS: &[&str] = &["TransactWriteItems"];
const BATCHES: &[&str] = &["BatchGetItem"];
const ALL: &[&str] = &[];

/// An error, as `docs/internals/architecture.md` names it; the operations that have it; and what a client gets.
struct Error {
    name: &'static str,
    fault: Fault,
    operations: &'static [&'static str],
    status: u16,
}

const fn error(name: &'static str, status: u16, operations: &'static [&'static str], expected: u16) -> Error {
    Error { name, fault: Fault::Error(status, name), operations, status: expected }
}

const fn cancelled(reason: &'static str, expected: u16) -> Error {
    Error { name: reason, fault: Fault::Cancel(reason), operations: TRANSACTIONS, status: expected }
}

const ERRORS: [Error; 21] = [
    error("ProvisionedThroughputExceededException", 400, ALL, 503),
    error("RequestLimitExceeded", 400, ALL, 503),
    error("ThrottlingException", 400, ALL, 503),
    error("InternalServerError", 500, ALL, 503),
    error("ServiceUnavailable", 503, ALL, 503),
    error("TransactionConflictException", 400, WRITES, 409),
    error("ReplicatedWriteConflictException", 400, WRITES, 409),
    error("ItemCollectionSizeLimitExceededException", 400, WRITES, 500),
    error("TransactionInProgressException", 400, TRANSACTIONS, 503),
    error("IdempotentParameterMismatchException", 400, TRANSACTIONS, 500),
    error("ResourceNotFoundException", 400, ALL, 500),
    error("AccessDeniedException", 400, ALL, 500),
    error("UnrecognizedClientException", 400, ALL, 500),
    error("ValidationException", 400, ALL, 500),
    error("InvalidEndpointException", 421, ALL, 500),
    cancelled("TransactionConflict", 409),
    cancelled("ProvisionedThroughputExceeded", 503),
    cancelled("ThrottlingError", 503),
    cancelled("ItemCollectionSizeLimitExceeded", 500),
    cancelled("ValidationError", 500),
    Error { name: "UnprocessedKeys", fault: Fault::Unprocessed, operations: BATCHES, status: 503 },
];

/// A call of a route, and the operations that it needs.
struct Route {
    method: &'static str,
    path: String,
    body: Option<Value>,
    key: bool,
    operations: &'static [&'static str],
    operators: bool,
}

fn route(method: &'static str, path: &str, body: Option<Value>, operations: &'static [&'static str]) -> Route {
    let operators = path.starts_with("/admin");
    Route { method, path: path.to_owned(), body, key: false, operations, operators }
}

fn once(route: Route) -> Route {
    Route { key: true, operations: TRANSACTIONS, ..route }
}

/// Every route that reads or writes the table, on records of its own.
fn routes(token: &str, round: usize) -> Vec<Route> {
    let record = |id: &str| format!("/collections/errors/records/{id}");
    let data = || Some(json!({"data": {"n": round}}));
    let operations = |op: &str, id: &str| {
        Some(json!({"operations": [{"op": op, "collection": "errors", "id": id, "data": {"n": round}}]}))
    };
    let new_token = || Some(json!({"name": "x", "scopes": ["records:read"]}));
    vec![
        route("GET", &record("get"), None, &["GetItem"]),
        route("GET", "/collections/errors/records", None, &["Query"]),
        route("GET", "/collections", None, &["Query"]),
        route("POST", "/collections/errors/records", data(), &["PutItem"]),
        once(route("POST", "/collections/errors/records", data(), &[])),
        route("PUT", &record("put"), data(), &["UpdateItem"]),
        once(route("PUT", &record("put-once"), data(), &[])),
        route("PATCH", &record("patch"), data(), &["GetItem", "UpdateItem"]),
        route("DELETE", &record("delete"), None, &["DeleteItem"]),
        once(route("DELETE", &record("delete-once"), None, &[])),
        route("POST", "/transactions", operations("put", "transact"), &["BatchGetItem", "TransactWriteItems"]),
        once(route("POST", "/transactions", operations("create", &format!("created-{round}")), &[])),
        route("GET", "/tokens", None, &["Query", "BatchGetItem"]),
        route("POST", "/tokens", new_token(), TRANSACTIONS),
        once(route("POST", "/tokens", new_token(), &[])),
        route("DELETE", &format!("/tokens/{token}"), None, &["GetItem", "TransactWriteItems"]),
        route("GET", "/usage", None, &["GetItem"]),
        route("GET", "/admin/tenants", None, &["Query"]),
        route("POST", "/admin/tenants", Some(json!({"name": format!("t{round}"), "plan": "free"})), TRANSACTIONS),
        route("GET", "/admin/usage", None, &["Query", "BatchGetItem"]),
    ]
}

/// Writes what the routes need, and returns the id of a token.
async fn prepare(globex: &Caller<'_>) -> String {
    for id in ["get", "patch", "delete", "delete-once"] {
        let put = globex.put(&format!("/collections/errors/records/{id}"), &json!({"data": {}})).await;
        assert!([200, 201].contains(&put.status), "{put:?}");
    }
    let token = globex.post("/tokens", &json!({"name": "x", "scopes": ["records:read"]})).await.expect(201).json();
    token["id"].as_str().unwrap().to_owned()
}

fn check(error: &Error, route: &Route, response: &Response) {
    let Route { method, path, key, operators, .. } = route;
    let case = format!("{} at {method} {path}, with a key: {key}", error.name);
    let meets = error.operations.is_empty() || route.operations.iter().any(|one| error.operations.contains(one));
    if !meets {
        assert!((200..300).contains(&response.status), "{case}: {response:?}");
        return;
    }
    let code = match error.status {
        409 if *operators => "tenant_busy",
        409 => "conflict",
        500 => "internal_error",
        _ => "unavailable",
    };
    assert_eq!(response.problem(), (error.status, code.to_owned()), "{case}: {response:?}");
    let seconds = match code {
        "internal_error" => "",
        "tenant_busy" => "5",
        _ => "1",
    };
    assert_eq!(response.header("retry-after"), seconds, "{case}: {response:?}");
    assert!(
        !response.text.contains(error.name) && !response.text.to_lowercase().contains("dynamo"),
        "{case}: {response:?}"
    );
}

#[tokio::test]
async fn every_error_of_the_table_is_reported_as_documented_on_every_route() {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
    let (globex, operator) = (api.caller("globex").await, api.caller("operator").await);
    operator.get("/admin/tenants").await.expect(200);
    for (round, error) in ERRORS.iter().enumerate() {
        let token = prepare(&globex).await;
        let routes = routes(&token, round);
        table.fail_operations(error.operations, Some(error.fault));
        let calls: Vec<_> = routes
            .iter()
            .enumerate()
            .map(|(index, route)| {
                let caller = if route.operators { &operator } else { &globex };
                let mut call = caller.call(route.method, &route.path);
                if let Some(body) = &route.body {
                    call = call.json(body);
                }
                if route.key {
                    call = call
                        .header("idempotency-key", &format!("a-key-that-is-long-enough-for-a-secret-{round}-{index}"));
                }
                tokio::spawn(call.send())
            })
            .collect();
        for (route, call) in routes.iter().zip(calls) {
            check(error, route, &call.await.unwrap());
        }
        table.fail_always(None);
    }
    api.shutdown().await;
}

#[test]
fn every_error_is_documented() {
    let docs = read("docs/internals/architecture.md");
    for Error { name, status, .. } in ERRORS {
        let row = docs.lines().find(|line| line.starts_with("| ") && line.contains(&format!("`{name}`")));
        let row = row.unwrap_or_else(|| panic!("docs/internals/architecture.md lacks a row with {name}"));
        assert!(row.contains(&status.to_string()), "{row} is not {status}");
    }
}
