//! `/invoices` over HTTP, as a tenant uses it, against the real binaries. Each response is held to the contract.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do: by a panic")]

use serde_json::{Value, json};
use testkit::{Api, Call, Caller, Response};

/// The body of an invoice for this customer.
fn draft(customer: &str) -> Value {
    json!({ "customer": customer, "lines": [{ "text": "Hours", "quantity": 3, "unitPrice": 12_000 }] })
}

async fn create(caller: &Caller<'_>, customer: &str) -> Response {
    caller.post("/invoices", &draft(customer)).await.expect(201)
}

fn send(caller: &Caller<'_>, number: u64) -> Call {
    caller.call("POST", &format!("/invoices/{number}/send"))
}

/// The numbers of the invoices in a page.
fn numbers(page: &Response) -> Vec<u64> {
    page.json()["items"].as_array().unwrap().iter().map(|invoice| invoice["id"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn invoices_are_numbered_without_gaps_for_each_tenant() {
    let api = Api::start().await;
    let (acme, globex) = (api.caller("acme").await, api.caller("globex").await);
    let keyed = || acme.call("POST", "/invoices").header("idempotency-key", "first").json(&draft("Initech"));
    let created = keyed().send().await.expect(201);
    assert_eq!(created.header("location"), "/v1/invoices/1");
    assert!(!created.header("ratelimit").is_empty() && !created.header("ratelimit-policy").is_empty(), "{created:?}");
    let invoice = created.json();
    assert_eq!((&invoice["id"], &invoice["total"], invoice.get("sentAt")), (&json!(1), &json!(36_000), None));

    // A replay takes no number.
    let replayed = keyed().send().await.expect(201);
    assert_eq!((&replayed.text, replayed.header("idempotent-replayed")), (&created.text, "true"));
    for number in [2, 3] {
        assert_eq!(create(&acme, "Initech").await.json()["id"], number);
    }
    assert_eq!(create(&globex, "Initech").await.json()["id"], 1);
    api.shutdown().await;
}

#[tokio::test]
async fn invoices_are_listed_by_number_and_by_customer() {
    let api = Api::start().await;
    // The rate of its plan is higher than that of the other demo tenant.
    let globex = api.caller("globex").await;
    for customer in ["Initech", "Hooli", "Initech"] {
        create(&globex, customer).await;
    }
    for (query, expected) in [
        ("", &[1, 2, 3][..]),
        ("?order=desc", &[3, 2, 1]),
        ("?customer=Initech", &[1, 3]),
        ("?customer=Initech&order=desc", &[3, 1]),
        ("?customer=Unknown", &[]),
    ] {
        assert_eq!(numbers(&globex.get(&format!("/invoices{query}")).await.expect(200)), expected, "{query}");
    }
    for query in ["limit=2", "limit=1&customer=Initech"] {
        let first = globex.get(&format!("/invoices?{query}")).await.expect(200);
        let cursor = first.json()["next"].as_str().unwrap().to_owned();
        let second = globex.get(&format!("/invoices?{query}&cursor={cursor}")).await.expect(200);
        assert_eq!(numbers(&second), [3], "{query}");
        // A cursor belongs to its list.
        let foreign = globex.get(&format!("/invoices?customer=Hooli&cursor={cursor}")).await;
        foreign.expect_problem(400, "invalid_cursor");
    }
    api.shutdown().await;
}

#[tokio::test]
async fn an_invoice_is_read_and_sent_once() {
    let api = Api::start().await;
    let acme = api.caller("acme").await;
    let created = create(&acme, "Initech").await;
    let etag = created.header("etag");
    assert_eq!(acme.get("/invoices/1").await.expect(200).text, created.text);
    acme.call("GET", "/invoices/1").header("if-none-match", etag).send().await.expect(304);

    send(&acme, 1).header("if-match", "\"1\"").send().await.expect_problem(412, "precondition_failed");
    let sent = send(&acme, 1).header("if-match", etag).send().await.expect(200);
    assert!(sent.json()["sentAt"].is_string(), "{sent:?}");
    assert_ne!(sent.header("etag"), etag);
    send(&acme, 1).send().await.expect_problem(409, "invoice_sent");
    assert_eq!(acme.get("/invoices/1?consistent=true").await.expect(200).text, sent.text);
    api.shutdown().await;
}

#[tokio::test]
async fn an_invalid_body_is_rejected_with_its_place() {
    let api = Api::start().await;
    let acme = api.caller("acme").await;
    let line = |quantity: i64| json!({ "text": "Hours", "quantity": quantity, "unitPrice": 1 });
    for (body, pointer) in [
        (json!({ "customer": "", "lines": [line(1)] }), "#/customer"),
        (json!({ "customer": "Initech", "lines": [] }), "#/lines"),
        (json!({ "customer": "Initech", "lines": [line(1), line(0)] }), "#/lines/1/quantity"),
        (json!({ "customer": "Initech", "lines": [line(1)], "total": 0 }), "#/total"),
    ] {
        let rejected = acme.post("/invoices", &body).await.expect_problem(400, "invalid_body");
        assert_eq!(rejected.json()["errors"][0]["pointer"], pointer, "{rejected:?}");
    }
    // Nothing was created, so no number is missing.
    assert_eq!(create(&acme, "Initech").await.json()["id"], 1);
    api.shutdown().await;
}

#[tokio::test]
async fn a_tenant_has_its_own_invoices_and_a_token_its_scopes() {
    let api = Api::start().await;
    let (acme, globex) = (api.caller("acme").await, api.caller("globex").await);
    create(&acme, "Initech").await;
    let foreign = globex.get("/invoices/1").await.expect_problem(404, "invoice_not_found");
    let absent = globex.get("/invoices/2").await.expect_problem(404, "invoice_not_found");
    assert_eq!(foreign.anonymous(), absent.anonymous());
    send(&globex, 1).send().await.expect_problem(404, "invoice_not_found");
    assert_eq!(numbers(&globex.get("/invoices").await.expect(200)), [0; 0]);
    acme.get("/invoices/first").await.expect_problem(400, "invalid_parameter");

    let reader = api.caller_with("acme", &[("scope", "invoices:read")]).await;
    reader.get("/invoices/1").await.expect(200);
    reader.post("/invoices", &draft("Initech")).await.expect_problem(403, "insufficient_scope");
    send(&reader, 1).send().await.expect_problem(403, "insufficient_scope");
    let other = api.caller_with("acme", &[("scope", "records:read")]).await;
    other.get("/invoices/1").await.expect_problem(403, "insufficient_scope");
    api.shutdown().await;
}
