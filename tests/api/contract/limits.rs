//! The limits that the contract states for requests are those of the service: a value at a limit is accepted, and one
//! beyond it is rejected. A limit that is added to the base of the contract and not here fails the test. The limits in the
//! piece of a function are for the tests of that function.

use std::collections::BTreeSet;

use local::template::yaml;
use serde_json::{Value, json};

use crate::support::contract::{CONTRACT, operations};
use crate::support::{Api, Caller, Response, read};

const LIMITS: [&str; 7] = ["minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum", "maxProperties"];

/// Where a limit is (a JSON Pointer below `/components`, or the path of an operation), and which.
type Place = (String, &'static str);

/// The limits of a schema and of all that it is made of.
fn collect(pointer: &str, schema: &'static Value, found: &mut BTreeSet<Place>) {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let pointer = &reference[1..];
        return collect(pointer, CONTRACT.pointer(pointer).unwrap(), found);
    }
    found.extend(LIMITS.iter().filter(|limit| schema[**limit].is_u64()).map(|limit| (pointer.to_owned(), *limit)));
    match schema {
        Value::Object(members) => {
            let inner = members.iter().filter(|(name, _)| !["example", "discriminator"].contains(&name.as_str()));
            inner.for_each(|(name, member)| collect(&format!("{pointer}/{}", name.replace('/', "~1")), member, found));
        }
        Value::Array(elements) => {
            elements.iter().enumerate().for_each(|(n, one)| collect(&format!("{pointer}/{n}"), one, found));
        }
        _ => {}
    }
}

/// The limits of all that requests carry.
fn promised() -> BTreeSet<Place> {
    let base = yaml::parse(&read(contract::BASE)).unwrap();
    let mut found = BTreeSet::new();
    for operation in operations().into_iter().filter(|operation| base["paths"].get(operation.path).is_some()) {
        let shared = CONTRACT["paths"][operation.path].get("parameters");
        let (own, body) = (operation.definition.get("parameters"), operation.definition.get("requestBody"));
        for part in [shared, own, body].into_iter().flatten() {
            collect(operation.path, part, &mut found);
        }
    }
    found
}

/// A number, as many characters, or as many elements; the least number beyond a limit of 0 is -1.
struct Size(i64);

impl Size {
    fn count(&self) -> usize {
        usize::try_from(self.0).unwrap()
    }

    fn text(&self) -> String {
        "x".repeat(self.count())
    }

    /// An address of as many characters.
    fn address(&self) -> String {
        format!("{:x<1$}", "https://login.example/", self.count())
    }

    /// The digits of a ULID, or one too few or too many of them.
    fn ulid(&self) -> String {
        format!("{:0<1$}", "01K0", self.count())
    }

    /// A key of as many characters in quotes, all of them escaped but one where the number is odd.
    fn quoted_key(&self) -> String {
        let inside = self.count() - 2;
        format!("\"{}{}\"", "\\\"".repeat(inside / 2), "x".repeat(inside % 2))
    }
}

/// Those who call, and a tenant that they may change.
struct Callers<'a> {
    tenant: Caller<'a>,
    operator: Caller<'a>,
    changed: String,
}

impl Callers<'_> {
    async fn transaction(&self, operation: Value) -> Response {
        self.tenant.post("/transactions", &json!({ "operations": [operation] })).await
    }

    /// A new tenant with these members. The name is one of its own unless they have another.
    async fn onboard(&self, members: Value) -> Response {
        let mut body = json!({"name": format!("Tenant {}", rand::random::<u64>()), "plan": "free"});
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        self.operator.post("/admin/tenants", &body).await
    }

    async fn token(&self, name: &str, scopes: &Value) -> Response {
        self.tenant.post("/tokens", &json!({"name": name, "scopes": scopes})).await
    }

    /// Sends a value of this size where the limit is.
    async fn send(&self, place: &str, size: Size) -> Response {
        const SCHEMAS: &str = "/components/schemas/";
        let check = |collection: &str, id: &str| json!({"op": "check", "collection": collection, "id": id});
        match place.strip_prefix(SCHEMAS).unwrap_or(place) {
            "CollectionName" => self.transaction(check(&size.text(), "a")).await,
            "RecordId" => self.transaction(check("notes", &size.text())).await,
            "IfVersion" => {
                let mut check = check("notes", "a");
                check["ifVersion"] = size.0.into();
                self.transaction(check).await
            }
            "NewTransaction/properties/operations" => {
                let operations: Vec<_> = (0..size.count()).map(|n| check("notes", &n.to_string())).collect();
                self.tenant.post("/transactions", &json!({ "operations": operations })).await
            }
            "/components/parameters/limit/schema" => self.tenant.get(&format!("/collections?limit={}", size.0)).await,
            "Period" => self.tenant.get(&format!("/usage?period={}", &"2020-010"[..size.count()])).await,
            place @ ("/components/parameters/Idempotency-Key/schema" | "/tokens/0/schema") => {
                let (path, body) = if place.starts_with("/tokens") {
                    ("/tokens", json!({"name": "x", "scopes": ["records:read"]}))
                } else {
                    ("/collections/notes/records", json!({"data": {}}))
                };
                let key = if size.0 > 100 { size.quoted_key() } else { size.text() };
                self.tenant.call("POST", path).json(&body).header("idempotency-key", &key).send().await
            }
            "TokenName" => self.token(&size.text(), &json!(["records:read"])).await,
            "Scopes" => self.token("x", &json!(vec!["records:read"; size.count()])).await,
            "TokenId" => self.tenant.delete(&format!("/tokens/{}", size.ulid())).await,
            "TenantId" => self.onboard(json!({ "id": size.ulid() })).await,
            "ShortText" => {
                let responses = [
                    self.onboard(json!({ "name": size.text() })).await,
                    self.onboard(json!({ "labels": {(size.text()): "x"} })).await,
                    self.onboard(json!({ "labels": {"x": size.text()} })).await,
                ];
                let [name, others @ ..] = responses;
                assert!(others.iter().all(|other| other.status == name.status), "{name:?} {others:?}");
                name
            }
            "Labels" => {
                let labels: serde_json::Map<_, _> = (0..size.count()).map(|n| (n.to_string(), json!("x"))).collect();
                self.onboard(json!({ "labels": labels })).await
            }
            "Issuers" => {
                let issuer = |n| json!({"issuer": format!("https://{n}.example"), "audiences": ["api"]});
                self.onboard(json!({ "issuers": (0..size.count()).map(issuer).collect::<Vec<_>>() })).await
            }
            "Issuers/items/oneOf/0" => self.onboard(json!({ "issuers": [size.address()] })).await,
            "TenantIssuer/properties/issuer" => {
                self.onboard(json!({ "issuers": [{"issuer": size.address(), "audiences": ["api"]}] })).await
            }
            "Quota/properties/requests" => self.onboard(json!({ "quota": {"requests": size.0} })).await,
            "KeyRotation/properties/overlap" => {
                let path = format!("/admin/tenants/{}/keys", self.changed);
                self.operator.post(&path, &json!({ "overlap": size.0 })).await
            }
            other => panic!("{other} has a limit that no request here is made for"),
        }
    }
}

#[tokio::test]
async fn a_value_at_a_limit_is_accepted_and_one_beyond_is_rejected() {
    let api = Api::start().await;
    let mut callers =
        Callers { tenant: api.caller("globex").await, operator: api.caller("operator").await, changed: String::new() };
    callers.changed = callers.onboard(json!({})).await.json()["id"].as_str().unwrap().to_owned();
    let promised = promised();
    assert!(promised.len() > 25, "{promised:?}");
    for (pointer, keyword) in promised {
        let schema = CONTRACT.pointer(&pointer).or_else(|| {
            // The one parameter that is an operation's own.
            CONTRACT["paths"]["/tokens"]["post"]["parameters"].pointer(pointer.strip_prefix("/tokens")?)
        });
        let at = schema.unwrap_or_else(|| panic!("{pointer}"))[keyword].as_i64().unwrap();
        let response = callers.send(&pointer, Size(at)).await;
        assert_ne!(response.status, 400, "{keyword} {at} of {pointer}: {response:?}");
        let beyond = if keyword.starts_with("min") { at - 1 } else { at.saturating_add(1) };
        if beyond != at {
            callers.send(&pointer, Size(beyond)).await.expect(400);
        }
    }
    api.shutdown().await;
}
