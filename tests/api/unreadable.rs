//! Items that are not stored as the service writes them: each is reported, none is in the way of others, and each can be
//! replaced or deleted.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::support::{Api, Caller, Response};

const LIST: &str = "/collections/notes/records";
const GLOBEX: &str = local::seed::DEMO[1].id;

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// A defect that a record can have, and whether a PUT repairs it.
fn defects() -> Vec<(&'static str, AttributeValue, bool)> {
    vec![
        ("data", text("{\"a\":"), true),
        ("data", text("[]"), true),
        ("data", AttributeValue::N("1".into()), true),
        ("expiresAt", text("soon"), true),
        ("expiresAt", AttributeValue::N("1e30".into()), true),
        ("createdAt", AttributeValue::Bool(true), false),
        ("updatedAt", text("now"), true),
        ("version", text("one"), false),
        ("version", AttributeValue::N("-1".into()), false),
    ]
}

/// Writes the records `a`, `b` and `c`, and breaks `b`.
async fn break_one(api: &Api, globex: &Caller<'_>, attribute: &str, value: &AttributeValue) {
    for id in ["a", "b", "c"] {
        globex.put(&format!("{LIST}/{id}"), &json!({"data": {"id": id}})).await;
    }
    api.overwrite((&format!("T#{GLOBEX}#R#notes"), "b"), attribute, value.clone()).await;
}

fn ids(response: &Response, list: &str) -> Vec<String> {
    let page = response.json();
    let items = page[list].as_array().cloned().unwrap_or_default();
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// All ids of a list, and those that cannot be read, page by page.
async fn all(caller: &Caller<'_>, path: &str) -> (Vec<String>, Vec<String>) {
    let (mut found, mut unreadable) = (Vec::new(), Vec::new());
    let mut next = Some(path.to_owned());
    while let Some(path) = next {
        let page = caller.get(&path).await.expect(200);
        found.extend(ids(&page, "items"));
        unreadable.extend(ids(&page, "unreadable"));
        next = page.header("link").strip_prefix("</v1").map(|link| link.split('>').next().unwrap().to_owned());
    }
    (found, unreadable)
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_list_tells_what_it_cannot_show_and_goes_on() {
    let api = Api::start().await;
    let (globex, operator) = (api.caller("globex").await, api.caller("operator").await);
    for (attribute, value, _) in defects() {
        break_one(&api, &globex, attribute, &value).await;
        for (order, expected) in [("asc", ["a", "c"]), ("desc", ["c", "a"])] {
            for limit in [1, 2, 3, 100] {
                let (found, unreadable) = all(&globex, &format!("{LIST}?limit={limit}&order={order}")).await;
                assert_eq!((found, unreadable), (strings(&expected), strings(&["b"])), "{attribute} {value:?}");
            }
        }
        let page = globex.get(LIST).await.expect(200).json();
        assert_eq!(page["unreadable"][0].get("version").is_some(), attribute != "version", "{page}");

        let export = operator.get(&format!("/admin/tenants/{GLOBEX}/export")).await.expect(200);
        let lines: Vec<Value> = export.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3, "{export:?}");
        let lost = &lines[2]["unreadable"];
        assert_eq!((&lost["collection"], &lost["id"]), (&json!("notes"), &json!("b")), "{lost}");

        let path = format!("{LIST}/b");
        globex.get(&path).await.expect_problem(500, "record_unreadable");
        globex.patch(&path, &json!({"data": {}})).await.expect_problem(500, "record_unreadable");
        globex.delete(&path).await.expect(204);
        globex.get(&path).await.expect_problem(404, "record_not_found");
        assert_eq!(all(&globex, LIST).await, (strings(&["a", "c"]), vec![]));
    }
    api.shutdown().await;
}

#[tokio::test]
async fn a_record_that_cannot_be_read_can_be_replaced() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    let path = format!("{LIST}/b");
    for (n, (attribute, value, mends)) in defects().into_iter().enumerate() {
        let body = json!({"data": {"new": true}});
        for way in ["alone", "once", "together"] {
            break_one(&api, &globex, attribute, &value).await;
            let response = match way {
                "alone" => globex.put(&path, &body).await,
                "once" => {
                    globex.call("PUT", &path).json(&body).header("idempotency-key", &format!("key-{n}")).send().await
                }
                _ => {
                    let put = json!({"op": "put", "collection": "notes", "id": "b", "data": {"new": true}});
                    globex.post("/transactions", &json!({"operations": [put]})).await
                }
            };
            if mends {
                response.expect(200);
                let read = globex.get(&format!("{path}?consistent=true")).await.expect(200).json();
                assert_eq!((&read["data"], read.get("expiresAt")), (&body["data"], None), "{way} {attribute}");
            } else {
                assert_eq!(response.status, 500, "{way} {attribute}: {response:?}");
            }
            globex.delete(&path).await.expect(204);
        }
    }
    api.shutdown().await;
}

/// Earlier versions took a year of four digits whose offset leads to one of five, and stored the moment.
#[tokio::test]
async fn an_expiry_after_the_year_9999_is_read_as_its_last_second() {
    const STORED: &str = "253402318799";
    const LAST: &str = "9999-12-31T23:59:59Z";
    let api = Api::start().await;
    let (globex, operator) = (api.caller("globex").await, api.caller("operator").await);
    let beyond = AttributeValue::N(STORED.to_owned());
    break_one(&api, &globex, "expiresAt", &beyond).await;
    assert_eq!(globex.get(&format!("{LIST}/b")).await.expect(200).json()["expiresAt"], LAST);
    let listed = globex.get(LIST).await.expect(200).json();
    assert_eq!((&listed["items"][1]["expiresAt"], listed.get("unreadable")), (&json!(LAST), None));
    let export = operator.get(&format!("/admin/tenants/{GLOBEX}/export")).await.expect(200);
    assert!(export.text.contains(LAST), "{export:?}");
    globex.patch(&format!("{LIST}/b"), &json!({"data": {"a": 1}})).await.expect(200);
    globex.delete(&format!("{LIST}/b")).await.expect(204);

    let made = globex.post("/tokens", &json!({"name": "old", "scopes": ["records:read"]})).await.expect(201).json();
    let id = made["id"].as_str().unwrap();
    let grant = service::domain::machine_token::Secret::parse(made["token"].as_str().unwrap()).unwrap().digest();
    api.overwrite((&format!("T#{GLOBEX}#TOKENS"), id), "expiresAt", beyond.clone()).await;
    api.overwrite((&format!("TOKEN#{grant}"), "TOKEN"), "expiresAt", beyond).await;
    assert_eq!(globex.get("/tokens").await.expect(200).json()["items"][0]["expiresAt"], LAST);
    api.caller_of(made["token"].as_str()).get("/collections").await.expect(200);
    globex.delete(&format!("/tokens/{id}")).await.expect(204);
    api.shutdown().await;
}

#[tokio::test]
async fn tokens_and_collections_that_cannot_be_read_are_reported() {
    let api = Api::start().await;
    let (globex, operator) = (api.caller("globex").await, api.caller("operator").await);
    let mut tokens = Vec::new();
    for name in ["first", "second", "third"] {
        let made = globex.post("/tokens", &json!({"name": name, "scopes": ["records:read"]})).await.expect(201);
        tokens.push(made.json()["id"].as_str().unwrap().to_owned());
    }
    let partition = format!("T#{GLOBEX}#TOKENS");
    for (attribute, value) in
        [("name", text("")), ("expiresAt", text("never")), ("scopes", text("")), ("createdAt", text(""))]
    {
        api.overwrite((&partition, &tokens[1]), attribute, value).await;
        let expected = (vec![tokens[0].clone(), tokens[2].clone()], vec![tokens[1].clone()]);
        assert_eq!(all(&globex, "/tokens?limit=1").await, expected, "{attribute}");
    }
    globex.delete(&format!("/tokens/{}", tokens[1])).await.expect(204);
    assert_eq!(all(&globex, "/tokens").await, (vec![tokens[0].clone(), tokens[2].clone()], vec![]));

    for collection in ["alpha", "beta", "gamma"] {
        globex.put(&format!("/collections/{collection}/records/one"), &json!({"data": {}})).await.expect(201);
    }
    api.overwrite((&format!("T#{GLOBEX}#COLLECTIONS"), "beta"), "createdAt", text("")).await;
    let page = globex.get("/collections?limit=2").await.expect(200).json();
    assert_eq!((&page["items"][0]["name"], &page["unreadable"]), (&json!("alpha"), &json!([{"id": "beta"}])));
    assert!(page["next"].is_string());
    let mut exported = Vec::new();
    let mut next = Some(format!("/v1/admin/tenants/{GLOBEX}/export"));
    while let Some(path) = next {
        let page = operator.follow(&path).await.expect(200);
        exported.extend(page.text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
        next = page.header("link").strip_prefix('<').map(|link| link.split('>').next().unwrap().to_owned());
    }
    let collections: Vec<_> = exported.iter().map(|record| record["collection"].as_str().unwrap()).collect();
    assert_eq!(collections, ["alpha", "beta", "gamma"]);
    api.shutdown().await;
}

#[tokio::test]
async fn tenants_and_figures_that_cannot_be_read_are_reported() {
    let api = Api::start().await;
    let (globex, operator) = (api.caller("globex").await, api.caller("operator").await);
    let tenants = all(&operator, "/admin/tenants").await.0;
    assert!(tenants.iter().any(|id| id == GLOBEX) && tenants.len() > 1);
    let others: Vec<_> = tenants.iter().filter(|id| *id != GLOBEX).cloned().collect();

    // Metered requests end with a row of the month.
    globex.get("/collections").await.expect(200);
    let month = service::domain::month::Month::of(service::domain::time::Timestamp::now()).to_string();
    api.overwrite((&format!("T#{GLOBEX}#USAGE"), &month), "requests", text("many")).await;
    let usage = operator.get("/admin/usage").await.expect(200).json();
    assert_eq!(usage["unreadable"], json!([{"id": GLOBEX}]));
    assert!(!usage["items"].as_array().unwrap().iter().any(|one| one["tenant"] == GLOBEX));
    let csv = operator.call("GET", "/admin/usage").header("accept", "text/csv").send().await.expect(200);
    assert!(csv.text.contains(&format!("\"{GLOBEX}\",\"\",\"unreadable\",")), "{}", csv.text);

    api.overwrite((&format!("TENANT#{GLOBEX}"), "TENANT"), "status", text("asleep")).await;
    assert_eq!(all(&operator, "/admin/tenants?limit=1").await, (others, vec![GLOBEX.to_owned()]));
    let usage = operator.get("/admin/usage").await.expect(200).json();
    assert_eq!(usage["unreadable"], json!([{"id": GLOBEX}]));
    api.shutdown().await;
}

#[tokio::test]
async fn a_tenant_with_a_broken_token_can_be_offboarded() {
    let api = Api::start().await;
    let operator = api.caller("operator").await;
    let created = operator.post("/admin/tenants", &json!({"name": "Initech", "plan": "free"})).await.expect(201).json();
    let id = created["id"].as_str().unwrap();
    let initech = api.caller(id).await;
    let token = initech.post("/tokens", &json!({"name": "t", "scopes": ["records:read"]})).await.expect(201).json();
    let key = (&*format!("T#{id}#TOKENS"), token["id"].as_str().unwrap());
    api.overwrite(key, "digest", text("")).await;
    operator.delete(&format!("/admin/tenants/{id}")).await.expect(202);
    api.finish_offboarding(id).await;
    let gone = operator.get(&format!("/admin/tenants/{id}")).await.expect(200).json();
    assert_eq!(gone["status"], "offboarded");
    assert!(gone["purged"].as_u64() >= Some(1), "{gone}");
    api.shutdown().await;
}
