//! `/collections/{collection}/records`: one record.

use serde_json::{Value, json};
use testkit::dynamodb::DynamoDb;

use crate::support::{Api, Caller, Response};

mod bad_input;
mod conditional;
mod lists;

const NOTE: &str = "/collections/notes/records/welcome";
const GLOBEX_ID: &str = local::seed::DEMO[1].id;

/// A tenant of an ample plan.
async fn globex(api: &Api) -> Caller<'_> {
    api.caller("globex").await
}

#[tokio::test]
async fn a_record_is_created_under_an_id_from_the_server() {
    let api = Api::start().await;
    let globex = globex(&api).await;
    let created = globex.post("/collections/notes/records", &json!({"data": {"n": 1}})).await.expect(201);
    let record = created.json();
    assert_eq!(created.header("location"), format!("/v1/collections/notes/records/{}", record["id"].as_str().unwrap()));
    assert_eq!(created.header("etag"), format!("\"{}\"", record["version"]));
    assert_eq!((&record["collection"], &record["data"]), (&json!("notes"), &json!({"n": 1})));
    assert_eq!(record["createdAt"], record["updatedAt"]);
    let read = globex.follow(created.header("location")).await.expect(200);
    assert_eq!((read.json(), read.header("etag")), (record, created.header("etag")));
    api.shutdown().await;
}

#[tokio::test]
async fn a_put_creates_and_then_replaces() {
    let api = Api::start().await;
    let globex = globex(&api).await;
    let created =
        globex.put(NOTE, &json!({"data": {"a": 1}, "expiresAt": "2099-01-01T00:00:00+01:00"})).await.expect(201);
    assert_eq!(created.header("location"), format!("/v1{NOTE}"));
    assert_eq!(created.json()["expiresAt"], "2098-12-31T23:00:00Z");
    let replaced = globex.put(NOTE, &json!({"data": {"b": 2}})).await.expect(200);
    let (before, after) = (created.json(), replaced.json());
    assert_eq!(after["data"], json!({"b": 2}));
    assert_eq!(after["createdAt"], before["createdAt"]);
    assert!(after["version"].as_u64() > before["version"].as_u64());
    assert_eq!(after.get("expiresAt"), None);
    assert_eq!(globex.get(&format!("{NOTE}?consistent=true")).await.expect(200).json(), after);
    api.shutdown().await;
}

#[tokio::test]
async fn a_patch_merges() {
    let api = Api::start().await;
    let globex = globex(&api).await;
    let patch = json!({"data": {"a": null, "b": {"c": 3}}, "expiresAt": "2099-01-01T00:00:00Z"});
    globex.patch(NOTE, &patch).await.expect_problem(404, "record_not_found");
    let created = globex.put(NOTE, &json!({"data": {"a": 1, "b": {"d": 4}}})).await.expect(201).json();
    let patched = globex.patch(NOTE, &patch).await.expect(200).json();
    assert_eq!(patched["data"], json!({"b": {"c": 3, "d": 4}}));
    assert_eq!(patched["expiresAt"], "2099-01-01T00:00:00Z");
    assert_eq!(patched["createdAt"], created["createdAt"]);
    assert_eq!(globex.get(NOTE).await.json(), patched);
    // Members that a patch does not name stay, and null ends the expiry.
    let patched_again = globex.patch(NOTE, &json!({"data": {}})).await.expect(200).json();
    assert_eq!((&patched_again["data"], &patched_again["expiresAt"]), (&patched["data"], &patched["expiresAt"]));
    let ended = globex.patch(NOTE, &json!({"expiresAt": null})).await.expect(200).json();
    assert_eq!((&ended["data"], ended.get("expiresAt")), (&patched["data"], None));
    api.shutdown().await;
}

#[tokio::test]
async fn null_means_no_expiry_wherever_one_can_be_written() {
    let api = Api::start().await;
    let globex = globex(&api).await;
    let never = json!({"data": {}, "expiresAt": null});
    let token = json!({"name": "x", "scopes": ["records:read"], "expiresAt": null});
    let operations =
        ["create", "put"].map(|op| json!({"op": op, "collection": "notes", "id": op, "data": {}, "expiresAt": null}));
    for response in [
        globex.put(NOTE, &never).await.expect(201),
        globex.put(NOTE, &never).await.expect(200),
        globex.post("/collections/notes/records", &never).await.expect(201),
        globex.patch(NOTE, &json!({"expiresAt": null})).await.expect(200),
        globex.post("/tokens", &token).await.expect(201),
    ] {
        assert_eq!(response.json().get("expiresAt"), None);
    }
    globex.post("/transactions", &json!({ "operations": operations })).await.expect(200);
    api.shutdown().await;
}

#[tokio::test]
async fn a_deleted_record_is_gone_and_its_versions_do_not_come_back() {
    let api = Api::start().await;
    let globex = globex(&api).await;
    globex.delete(NOTE).await.expect_problem(404, "record_not_found");
    let old = globex.put(NOTE, &json!({"data": {}})).await.expect(201);
    globex.delete(NOTE).await.expect(204);
    globex.get(NOTE).await.expect_problem(404, "record_not_found");
    globex.delete(NOTE).await.expect_problem(404, "record_not_found");
    let new = globex.put(NOTE, &json!({"data": {}})).await.expect(201);
    assert!(new.json()["version"].as_u64() > old.json()["version"].as_u64());
    let stale = globex.call("PUT", NOTE).json(&json!({"data": {}})).header("if-match", old.header("etag")).send().await;
    stale.expect_problem(412, "precondition_failed");
    api.shutdown().await;
}

#[tokio::test]
async fn what_was_written_is_what_is_read() {
    let api = Api::start().await;
    let globex = globex(&api).await;
    let data = concat!(
        r#"{"digits":[0,-0,1.0,1.10,1.5E300,-1e-300,123456789012345678901234567890.123456789],"#,
        r#""text":"é😀 \u0000\ufffd ﷽","":"","nothing":null,"flags":[true,false],"#,
        r#""nested":{"$serde_json::private::Number":"7","$serde_json::private::RawValue":"[1]","pk":"T#x"}}"#
    );
    let body = format!("{{ \"data\" : {data} }}");
    let responses: [Response; 3] = [
        globex.call("PUT", NOTE).body("application/json", body).send().await.expect(201),
        globex.get(NOTE).await.expect(200),
        globex.call("PATCH", NOTE).body("application/json", r#"{"data":{"gone":null}}"#).send().await.expect(200),
    ];
    for response in responses {
        assert!(response.text.contains(data), "{}", response.text);
    }
    let listed = globex.get("/collections/notes/records").await.expect(200);
    assert!(listed.text.contains(data), "{}", listed.text);

    // However it is spelled, it is the same text, of the same size.
    let text = "漢".repeat(100_000);
    let escaped = text.replace('漢', r"\u6f22");
    for text in [&text, &escaped] {
        let body = format!(r#"{{"data":{{"text":"{text}"}}}}"#);
        globex.call("PUT", NOTE).body("application/json", body).send().await.expect(200);
    }
    let read = globex.get(&format!("{NOTE}?consistent=true")).await.expect(200);
    assert!(read.text.ends_with(&format!(r#""data":{{"text":"{text}"}}}}"#)));
    api.shutdown().await;
}

#[tokio::test]
async fn an_expired_record_is_gone_at_once_for_everybody() {
    let api = Api::start().await;
    let globex = globex(&api).await;
    let ids = ["read", "put", "only-put", "patch", "delete"];
    let paths = ids.map(|id| format!("/collections/brief/records/{id}"));
    let mut versions = Vec::new();
    for (id, path) in ids.into_iter().zip(&paths) {
        let body = json!({"data": {"old": true}, "expiresAt": "2099-01-01T00:00:00Z"});
        let created = globex.put(path, &body).await.expect(201).json();
        versions.push(created["version"].as_u64());
        globex.get(path).await.expect(200);
        api.expire(GLOBEX_ID, "brief", id).await;
    }

    let [read, put, only_put, patch, delete] = &paths;
    globex.get(read).await.expect_problem(404, "record_not_found");
    globex.get(&format!("{read}?consistent=true")).await.expect_problem(404, "record_not_found");
    assert_eq!(globex.get("/collections/brief/records").await.json(), json!({"items": [], "next": null}));
    globex.patch(patch, &json!({"data": {}})).await.expect_problem(404, "record_not_found");
    globex.delete(delete).await.expect_problem(404, "record_not_found");
    let body = json!({"data": {"new": true}});
    let replace = |path: &str| globex.call("PUT", path).json(&body).header("if-match", "*").send();
    replace(put).await.expect_problem(412, "precondition_failed");
    let anew = globex.put(put, &body).await.expect(201).json();
    let only = globex.call("PUT", only_put).json(&body).header("if-none-match", "*").send().await.expect(201).json();
    for (record, old) in [(&anew, versions[1]), (&only, versions[2])] {
        assert_eq!((&record["data"], record.get("expiresAt")), (&body["data"], None));
        assert_eq!(record["createdAt"], record["updatedAt"]);
        assert!(record["version"].as_u64() > old);
    }
    assert_eq!(globex.get(put).await.expect(200).json(), anew);
    api.shutdown().await;
}

#[tokio::test]
async fn a_warm_call_makes_one_request_to_the_table() {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
    let globex = globex(&api).await;
    globex.put(NOTE, &json!({"data": {}})).await.expect(201);
    table.take();

    let id = "/collections/notes/records/other";
    let json = |value: Value| Some(value);
    for (method, path, body, operations) in [
        ("POST", "/collections/notes/records", json(json!({"data": {}})), &["PutItem"][..]),
        ("PUT", id, json(json!({"data": {"a": 1}})), &["UpdateItem"]),
        ("PUT", id, json(json!({"data": {"a": 2}})), &["UpdateItem"]),
        ("GET", id, None, &["GetItem"]),
        ("GET", "/collections/notes/records", None, &["Query"]),
        ("GET", "/collections/notes/records?limit=1&order=desc", None, &["Query"]),
        ("GET", "/collections", None, &["Query"]),
        ("PATCH", id, json(json!({"data": {"a": 3}})), &["GetItem", "UpdateItem"]),
        ("DELETE", id, None, &["DeleteItem"]),
        ("DELETE", id, None, &["DeleteItem"]),
        ("GET", "/collections/NOT-A-NAME/records", None, &[]),
    ] {
        let call = globex.call(method, path);
        if let Some(body) = body { call.json(&body) } else { call }.send().await;
        let seen: Vec<String> = table.take().into_iter().map(|seen| seen.operation).collect();
        assert_eq!(seen, operations, "{method} {path}");
    }
    api.shutdown().await;
}

#[tokio::test]
async fn reads_are_strongly_consistent_on_request() {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
    let globex = globex(&api).await;
    globex.get(NOTE).await.expect(404);
    for path in [NOTE, "/collections/notes/records", "/collections"] {
        for (query, consistent) in [("", false), ("?consistent=false", false), ("?consistent=true", true)] {
            table.take();
            globex.get(&format!("{path}{query}")).await;
            let [seen] = &table.take()[..] else { panic!("one request for {path}") };
            assert_eq!(seen.body["ConsistentRead"], consistent, "{path}{query}");
        }
    }
    api.shutdown().await;
}

#[tokio::test]
async fn the_largest_record_is_written_and_read() {
    let api = Api::start().await;
    let globex = globex(&api).await;
    let sized = |bytes: usize| format!(r#"{{"data":{{"text":"{}"}}}}"#, "x".repeat(bytes - r#"{"text":""}"#.len()));
    let put = |body: String| globex.call("PUT", NOTE).body("application/json", body).send();
    put(sized(350 * 1024 + 1)).await.expect_problem(413, "data_too_large");
    globex.get(NOTE).await.expect(404);
    let largest = sized(350 * 1024);
    put(largest.clone()).await.expect(201);
    assert!(globex.get(NOTE).await.expect(200).text.ends_with(&largest[1..]));
    // One byte more than the largest, by a merge.
    globex.patch(NOTE, &json!({"data": {"a": 0}})).await.expect_problem(413, "data_too_large");
    put(format!(r#"{{"data":{{}}{}}}"#, " ".repeat(1024 * 1024))).await.expect_problem(413, "body_too_large");
    put(format!(r#"{{"data":{{}}{}}}"#, " ".repeat(10 * 1024 * 1024))).await.expect_problem(413, "body_too_large");
    api.shutdown().await;
}
