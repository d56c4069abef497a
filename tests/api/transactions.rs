//! `/transactions`: every operation, and that all of them happen or none.

use serde_json::{Value, json};
use testkit::dynamodb::DynamoDb;

use crate::support::{Api, Caller, Response};

mod bad_input;
mod faults;
mod limits;
mod model;
mod once;
mod transfers;

/// A tenant of an ample plan, and its id.
const GLOBEX: &str = "globex";
const GLOBEX_ID: &str = local::seed::DEMO[1].id;

async fn transact(caller: &Caller<'_>, operations: Value) -> Response {
    caller.post("/transactions", &json!({ "operations": operations })).await
}

/// A record as it is now, or nothing.
async fn read(caller: &Caller<'_>, collection: &str, id: &str) -> Option<Value> {
    let response = caller.get(&format!("/collections/{collection}/records/{id}?consistent=true")).await;
    if response.status == 404 { None } else { Some(response.expect(200).json()) }
}

/// The version that an operation wrote.
fn version(response: &Response, operation: usize) -> u64 {
    response.json()["operations"][operation]["version"].as_u64().unwrap_or_else(|| panic!("{response:?}"))
}

/// Operations that failed, by place and code.
#[track_caller]
fn failures(response: Response) -> Vec<(u64, String)> {
    let problem = response.expect_problem(412, "transaction_failed").json();
    let failures = problem["failures"].as_array().unwrap();
    let failure = |one: &Value| (one["operation"].as_u64().unwrap(), one["code"].as_str().unwrap().to_owned());
    failures.iter().map(failure).collect()
}

#[tokio::test]
async fn every_operation_has_its_documented_effect() {
    let api = Api::start().await;
    let globex = api.caller(GLOBEX).await;
    let first = transact(
        &globex,
        json!([
            {"op": "create", "collection": "notes", "data": {"made": true}},
            {"op": "create", "collection": "notes", "id": "mine", "data": {"a": 1}, "expiresAt": "2099-01-01T00:00:00Z"},
            {"op": "put", "collection": "notes", "id": "put", "data": {"b": 1}},
            {"op": "put", "collection": "other", "id": "old", "data": {"old": 1}},
            {"op": "put", "collection": "other", "id": "unchanged", "data": {}},
        ]),
    )
    .await
    .expect(200);
    let ulid = first.json()["operations"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(ulid.len(), 26);
    let made = read(&globex, "notes", &ulid).await.unwrap();
    assert_eq!((&made["data"], &made["version"]), (&json!({"made": true}), &first.json()["operations"][0]["version"]));
    assert_eq!(made["createdAt"], made["updatedAt"]);
    let mine = read(&globex, "notes", "mine").await.unwrap();
    assert_eq!((&mine["data"], &mine["expiresAt"]), (&json!({"a": 1}), &json!("2099-01-01T00:00:00Z")));

    let second = transact(
        &globex,
        json!([
            {"op": "patch", "collection": "notes", "id": "mine", "data": {"a": null, "c": 1.50}, "expiresAt": null},
            {"op": "put", "collection": "notes", "id": "put", "data": {"b": 2}, "expiresAt": "2099-01-01T00:00:00Z"},
            {"op": "delete", "collection": "other", "id": "old"},
            {"op": "check", "collection": "other", "id": "unchanged", "ifVersion": version(&first, 4)},
            {"op": "put", "collection": "notes", "id": ulid, "data": {"again": 1}, "ifVersion": version(&first, 0)},
        ]),
    )
    .await
    .expect(200);
    assert_eq!(
        second.json(),
        json!({"operations": [
            {"op": "patch", "collection": "notes", "id": "mine", "version": version(&first, 1) + 1},
            {"op": "put", "collection": "notes", "id": "put", "version": version(&first, 2) + 1},
            {"op": "delete", "collection": "other", "id": "old"},
            {"op": "check", "collection": "other", "id": "unchanged"},
            {"op": "put", "collection": "notes", "id": ulid, "version": version(&first, 0) + 1},
        ]})
    );
    let patched = read(&globex, "notes", "mine").await.unwrap();
    assert_eq!((&patched["data"], patched.get("expiresAt")), (&json!({"c": 1.5}), None));
    assert_eq!(patched["createdAt"], mine["createdAt"]);
    assert_eq!(read(&globex, "notes", "put").await.unwrap()["expiresAt"], "2099-01-01T00:00:00Z");
    assert_eq!(read(&globex, "other", "old").await, None);
    assert_eq!(read(&globex, "other", "unchanged").await.unwrap()["version"], version(&first, 4));
    let again = read(&globex, "notes", &ulid).await.unwrap();
    assert_eq!((&again["data"], &again["createdAt"]), (&json!({"again": 1}), &made["createdAt"]));

    // A record that a transaction wrote continues like one that a single request wrote.
    let path = "/collections/notes/records/mine";
    let etag = format!("\"{}\"", patched["version"]);
    let replaced = globex.call("PUT", path).json(&json!({"data": {}})).header("if-match", &etag).send().await;
    assert_eq!(replaced.expect(200).json()["version"].as_u64(), patched["version"].as_u64().map(|version| version + 1));
    let collections = globex.get("/collections").await.json();
    let names: Vec<_> = collections["items"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["notes", "other"]);
    api.shutdown().await;
}

#[tokio::test]
async fn every_condition_that_fails_is_named_and_nothing_is_written() {
    let api = Api::start().await;
    let globex = api.caller(GLOBEX).await;
    let there = transact(&globex, json!([{"op": "put", "collection": "notes", "id": "there", "data": {"n": 1}}])).await;
    let (here, wrong) = (version(&there.expect(200), 0), 1_795_253_400_000_007_u64);
    let before = read(&globex, "notes", "there").await;
    let on = |op: &str, id: &str, more: Value| {
        let mut operation = json!({"op": op, "collection": "notes", "id": id});
        if matches!(op, "create" | "put" | "patch") {
            operation["data"] = json!({"n": 2});
        }
        operation.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        operation
    };
    for (failing, code) in [
        (on("create", "there", json!({})), "record_exists"),
        (on("put", "there", json!({"ifVersion": wrong})), "precondition_failed"),
        (on("put", "none", json!({"ifVersion": wrong})), "record_not_found"),
        (on("patch", "none", json!({})), "record_not_found"),
        (on("patch", "none", json!({"ifVersion": here})), "record_not_found"),
        (on("patch", "there", json!({"ifVersion": wrong})), "precondition_failed"),
        (on("delete", "none", json!({})), "record_not_found"),
        (on("delete", "there", json!({"ifVersion": wrong})), "precondition_failed"),
        (on("delete", "none", json!({"ifVersion": wrong})), "record_not_found"),
        (on("check", "none", json!({})), "record_not_found"),
        (on("check", "there", json!({"ifVersion": wrong})), "precondition_failed"),
        (on("check", "none", json!({"ifVersion": here})), "record_not_found"),
    ] {
        // The last of several that would happen.
        let operations = json!([on("create", "new", json!({})), on("put", "newer", json!({})), failing]);
        assert_eq!(failures(transact(&globex, operations).await), [(2, code.to_owned())], "{failing}");
        let listed = globex.get("/collections/notes/records?consistent=true").await.json();
        assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{failing}: {listed}");
        assert_eq!(read(&globex, "notes", "there").await, before, "{failing}");
    }
    // Several at once, in their order.
    let operations = json!([
        on("create", "there", json!({})),
        on("create", "new", json!({})),
        on("delete", "none", json!({})),
        on("check", "nobody", json!({"ifVersion": here})),
    ]);
    let expected = [(0, "record_exists"), (2, "record_not_found"), (3, "record_not_found")];
    assert_eq!(failures(transact(&globex, operations).await), expected.map(|(place, code)| (place, code.to_owned())));
    assert_eq!(read(&globex, "notes", "new").await, None);
    api.shutdown().await;
}

#[tokio::test]
async fn an_expired_record_that_is_still_stored_is_not_a_record() {
    let api = Api::start().await;
    let globex = api.caller(GLOBEX).await;
    let ids = ["create", "put", "if", "patch", "delete", "check", "versioned"];
    let mut versions = Vec::new();
    for id in ids {
        let body = json!({"data": {"old": true}, "expiresAt": "2099-01-01T00:00:00Z"});
        let path = format!("/collections/brief/records/{id}");
        versions.push(globex.put(&path, &body).await.expect(201).json()["version"].as_u64().unwrap());
        api.expire(GLOBEX_ID, "brief", id).await;
    }
    let operation = |op: &str, id: &str| json!({"op": op, "collection": "brief", "id": id});
    let rejected = json!([
        operation("delete", "delete"),
        operation("check", "check"),
        {"op": "put", "collection": "brief", "id": "if", "data": {}, "ifVersion": versions[2]},
        {"op": "check", "collection": "brief", "id": "versioned", "ifVersion": versions[6]},
    ]);
    let expected: Vec<_> = (0..4).map(|place| (place, "record_not_found".to_owned())).collect();
    assert_eq!(failures(transact(&globex, rejected).await), expected);
    let patch = json!([operation("patch", "patch")]);
    assert_eq!(failures(transact(&globex, patch).await), [(0, "record_not_found".to_owned())]);

    let anew = transact(
        &globex,
        json!([
            {"op": "create", "collection": "brief", "id": "create", "data": {"new": 1}},
            {"op": "put", "collection": "brief", "id": "put", "data": {"new": 1}},
        ]),
    );
    let anew = anew.await.expect(200);
    for (place, id) in ["create", "put"].into_iter().enumerate() {
        let record = read(&globex, "brief", id).await.unwrap();
        assert_eq!((&record["data"], record.get("expiresAt")), (&json!({"new": 1}), None));
        assert_eq!(record["createdAt"], record["updatedAt"]);
        assert_eq!(record["version"], version(&anew, place));
        assert!(version(&anew, place) > versions[place], "no version comes back");
    }
    api.shutdown().await;
}

#[tokio::test]
async fn another_tenants_records_are_not_there() {
    let api = Api::start().await;
    let (acme, globex) = (api.caller("acme").await, api.caller(GLOBEX).await);
    let put = json!([{"op": "put", "collection": "notes", "id": "x", "data": {"of": "acme"}}]);
    let theirs = version(&transact(&acme, put).await.expect(200), 0);
    for operation in [
        json!({"op": "check", "collection": "notes", "id": "x"}),
        json!({"op": "check", "collection": "notes", "id": "x", "ifVersion": theirs}),
        json!({"op": "delete", "collection": "notes", "id": "x", "ifVersion": theirs}),
        json!({"op": "patch", "collection": "notes", "id": "x", "data": {}, "ifVersion": theirs}),
        json!({"op": "put", "collection": "notes", "id": "x", "data": {}, "ifVersion": theirs}),
    ] {
        let mut nobodys = operation.clone();
        nobodys["id"] = json!("nobodys");
        let [theirs, nobodys] = [operation, nobodys].map(|operation| transact(&globex, json!([operation])));
        let (theirs, nobodys) = (theirs.await.expect(412), nobodys.await.expect(412));
        assert_eq!(theirs.anonymous(), nobodys.anonymous());
    }
    let created = json!([{"op": "create", "collection": "notes", "id": "x", "data": {"of": "globex"}}]);
    transact(&globex, created).await.expect(200);
    assert_eq!(read(&acme, "notes", "x").await.unwrap()["data"], json!({"of": "acme"}));
    api.shutdown().await;
}

#[tokio::test]
async fn a_token_without_the_scope_is_denied() {
    let api = Api::start().await;
    let reader = api.caller_with(GLOBEX, &[("scope", "records:read")]).await;
    let check = json!([{"op": "check", "collection": "notes", "id": "x"}]);
    transact(&reader, check).await.expect_problem(403, "insufficient_scope");
    assert_eq!(api.invocations("transactions").await, 0);
    api.shutdown().await;
}

#[tokio::test]
async fn a_warm_call_makes_one_request_to_the_table_or_two() {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
    let globex = api.caller(GLOBEX).await;
    let put = json!({"op": "put", "collection": "notes", "id": "a", "data": {}});
    let made = version(&transact(&globex, json!([put])).await.expect(200), 0);
    table.take();
    let other = |op: &str| json!({"op": op, "collection": "notes", "id": "b"});
    let create = |id: &str| json!({"op": "create", "collection": "notes", "id": id, "data": {}});
    let write = "TransactWriteItems";
    for (operations, status, requests) in [
        (json!([create("b"), create("c")]), 200, &[write][..]),
        (json!([create("a"), create("d")]), 412, &[write]),
        (json!([{"op": "put", "collection": "notes", "id": "a", "data": {}, "ifVersion": made}]), 200, &[write]),
        (json!([other("check"), {"op": "delete", "collection": "notes", "id": "c"}]), 200, &[write]),
        (json!([other("patch"), create("c")]), 200, &["BatchGetItem", write]),
        (json!([other("delete"), put]), 200, &["BatchGetItem", write]),
        (json!([other("patch")]), 412, &["BatchGetItem"]),
        (
            json!([{"op": "put", "collection": "new", "id": "a", "data": {}}]),
            200,
            &["BatchGetItem", "UpdateItem", write],
        ),
    ] {
        transact(&globex, operations.clone()).await.expect(status);
        let seen = table.take();
        let names: Vec<_> = seen.iter().map(|seen| &seen.operation[..]).collect();
        assert_eq!(names, requests, "{operations}");
        if names.contains(&"BatchGetItem") {
            assert_eq!(seen[0].body["RequestItems"]["Table"]["ConsistentRead"], true);
        }
    }
    api.shutdown().await;
}
