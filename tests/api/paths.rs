//! One resource has one path, however a client spells it.

use serde_json::json;

use crate::support::contract::{Operation, operations};
use crate::support::{Api, Response};

/// A path of the operation, for something that does not exist.
fn path(operation: &Operation) -> String {
    operation
        .path
        .replace("{collection}", "nothing")
        .replace("{id}", "01K0N1TECH0000000000000000")
        .replace("{tenant}", "01K0N1TECH0000000000000000")
}

/// The parts of two responses that must not differ.
fn comparable(response: &Response) -> (u16, Vec<(String, String)>, String) {
    let own = ["x-amzn-requestid", "x-amz-apigw-id", "date", "ratelimit"];
    let headers = response.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let headers = headers.filter(|(name, _)| !own.contains(&name.as_str())).collect();
    (response.status, headers, response.text.replace(response.header("x-amzn-requestid"), "id"))
}

#[tokio::test]
async fn a_slash_at_the_end_changes_nothing_on_any_route() {
    let api = Api::start().await;
    let (tenant, operator) = (api.caller("globex").await, api.caller("operator").await);
    let stranger = api.caller_with("acme", &[("scope", "openid")]).await;
    for operation in operations() {
        let caller = if operation.path.starts_with("/admin/") { &operator } else { &tenant };
        let path = path(&operation);
        for (caller, is_stranger) in [(caller, false), (&stranger, true)] {
            // Nothing is written: there is no body, and no such record, tenant or token.
            let plain = caller.call(&operation.method, &path).send().await;
            let slash = caller.call(&operation.method, &format!("{path}/")).send().await;
            assert_eq!(comparable(&slash), comparable(&plain), "{} {path}", operation.method);
            let denied = is_stranger && operation.definition.get("x-required-scope").is_some();
            assert_eq!(plain.status == 403, denied, "{} {path}: {plain:?}", operation.method);
        }
    }
    api.shutdown().await;
}

#[tokio::test]
async fn locations_links_and_idempotency_keys_know_one_spelling() {
    const KEY: &str = "0123456789-0123456789-0123456789";
    let api = Api::start().await;
    let (globex, operator) = (api.caller("globex").await, api.caller("operator").await);
    let record = json!({"data": {}});
    for (caller, path, body) in [
        (&globex, "/collections/notes/records", &record),
        (&globex, "/tokens", &json!({"name": "a", "scopes": ["records:read"]})),
        (&operator, "/admin/tenants", &json!({"name": "Initech", "plan": "free"})),
    ] {
        let call = |path: &str| caller.call("POST", path).json(body).header("idempotency-key", KEY);
        let created = call(&format!("{path}/")).send().await.expect(201);
        let location = created.header("location");
        assert_eq!(location, format!("/v1{path}/{}", created.json()["id"].as_str().unwrap()));
        // Operators' routes have no idempotency keys.
        if path != "/admin/tenants" {
            let repeated = call(path).send().await.expect(201);
            assert_eq!((repeated.header("idempotent-replayed"), repeated.header("location")), ("true", location));
        }
    }

    let put = |path: &str| globex.call("PUT", path).json(&record).header("idempotency-key", KEY);
    let created = put("/collections/notes/records/%7Etilde/").send().await.expect(201);
    assert_eq!(created.header("location"), "/v1/collections/notes/records/~tilde");
    assert_eq!(
        put("/collections/n%6Ftes/records/~tilde").send().await.expect(201).header("idempotent-replayed"),
        "true"
    );

    for path in ["/collections/notes/records/?limit=1", "/collections/%6Eotes/records?limit=1"] {
        let page = globex.get(path).await.expect(200);
        assert!(page.header("link").starts_with("</v1/collections/notes/records?limit=1&cursor="), "{page:?}");
    }
    api.shutdown().await;
}

#[tokio::test]
async fn needless_percent_encoding_is_the_same_path() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    for id in ["~tilde", "a.b", "A-Z_9"] {
        let encoded = id.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02x}"));
        globex.put(&format!("/collections/notes/records/{id}"), &json!({"data": {"id": id}})).await.expect(201);
        let found = globex.get(&format!("/collections/notes/records/{encoded}")).await.expect(200);
        assert_eq!(found.json()["id"], id);
        globex.delete(&format!("/collections/%6e%6F%74es/records/{encoded}")).await.expect(204);
        globex.get(&format!("/collections/notes/records/{id}")).await.expect(404);
    }
    // Characters that an id must not contain are rejected in encoded form as well, and nothing is decoded twice.
    for id in ["a%2Fb", "%257E", "%20", "%FF", "a%00", "%C3%A9"] {
        let path = format!("/collections/notes/records/{id}");
        globex.get(&path).await.expect_problem(400, "invalid_parameter");
    }
    api.shutdown().await;
}
