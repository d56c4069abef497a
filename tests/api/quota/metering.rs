//! The metered figures are those that a proxy before the table counts, and those that the client sees.

use std::collections::HashSet;

use serde_json::{Value, json};
use service::domain::units::Units;
use service::domain::usage::Usage;
use testkit::dynamodb::{DynamoDb, Seen};

use super::{GLOBEX, settled, start};
use crate::support::{Api, Caller};

/// The tenant of the plan `free`.
const ACME: &str = local::seed::DEMO[0].id;

/// A tenant's client, which counts.
struct Counting<'a> {
    caller: Caller<'a>,
    usage: Usage,
}

impl Counting<'_> {
    async fn call(&mut self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let call = self.caller.call(method, path);
        let text = body.map(ToString::to_string).unwrap_or_default();
        let call = if body.is_some() { call.body("application/json", text.clone()) } else { call };
        let response = call.send().await;
        assert!(![429, 500, 502, 503].contains(&response.status), "{response:?}");
        self.usage.requests += 1;
        self.usage.errors += u64::from(response.status >= 400);
        self.usage.bytes_in += u64::try_from(text.len()).unwrap();
        self.usage.bytes_out += u64::try_from(response.text.len()).unwrap();
        if response.text.is_empty() { Value::Null } else { response.json() }
    }

    /// 20 requests of all kinds.
    async fn mix(&mut self, round: usize) {
        let list = format!("/collections/c{}/records", round % 3);
        let data = json!({"data": {"text": "x".repeat(round * 97), "round": round}});
        let created = self.call("POST", &list, Some(&data)).await;
        let one = format!("{list}/{}", created["id"].as_str().unwrap());
        let other = format!("{list}/r{}", round % 7);
        self.call("PUT", &other, Some(&data)).await;
        self.call("PUT", &other, Some(&json!({"data": {}}))).await;
        for query in ["", "?consistent=true"] {
            self.call("GET", &format!("{one}{query}"), None).await;
            self.call("GET", &format!("{list}{query}"), None).await;
            self.call("GET", &format!("/collections{query}"), None).await;
        }
        self.call("PATCH", &one, Some(&json!({"data": {"more": true}}))).await;
        let put = json!({"op": "put", "collection": "c1", "id": "t", "data": {"round": round}});
        self.call("POST", "/transactions", Some(&json!({"operations": [put]}))).await;
        self.call("GET", &format!("{list}/missing"), None).await;
        self.call("GET", &format!("{list}?limit=1&order=desc"), None).await;
        self.call("GET", &format!("{list}?limit=0"), None).await;
        self.call("POST", &list, Some(&json!({"data": []}))).await;
        let token = self.call("POST", "/tokens", Some(&json!({"name": "a", "scopes": ["records:read"]}))).await;
        self.call("GET", "/tokens", None).await;
        self.call("DELETE", &format!("/tokens/{}", token["id"].as_str().unwrap()), None).await;
        self.call("DELETE", &other, None).await;
        self.call("DELETE", &other, None).await;
    }
}

/// The requests of a tenant that the proxy has seen: those that name one of its partitions, or the grant of a token that was
/// made together with an item of the tenant's.
fn taken(seen: &[Seen], tenant: &str) -> Units {
    let texts: Vec<_> = seen.iter().map(|one| one.body.to_string()).collect();
    let prefix = format!("T#{tenant}#");
    let own = texts.iter().filter(|text| text.contains(&prefix));
    let grants: HashSet<&str> =
        own.flat_map(|text| text.split('"')).filter(|text| text.starts_with("TOKEN#")).collect();
    let mut sum = Units::default();
    for (one, text) in seen.iter().zip(&texts) {
        if text.contains(&prefix) || text.split('"').any(|part| grants.contains(part)) {
            sum += one.units;
        }
    }
    sum
}

async fn counting<'a>(api: &'a Api, tenant: &str) -> Counting<'a> {
    Counting { caller: api.caller(tenant).await, usage: Usage::default() }
}

async fn check(api: &Api, tenant: &str, counted: Usage, table: &[Seen]) {
    let metered = settled(api, tenant).await.usage;
    let expected = Usage { units: taken(table, tenant), memory_ms: metered.memory_ms, ..counted };
    assert_eq!(metered, expected);
    assert!(metered.units.read > 0.0 && metered.units.write > 0.0);
    assert!(metered.memory_ms >= counted.requests * 256, "a millisecond each at least, of 256 MB");
    assert_eq!(metered.memory_ms % 256, 0);
}

#[tokio::test]
async fn a_thousand_mixed_requests_of_two_tenants_are_metered_as_a_proxy_counts_them() {
    let (table, api): (DynamoDb, Api) = start(&[("FreeRate", "100000"), ("FreeBurst", "100000")]).await;
    let (mut globex, mut acme) = (counting(&api, "globex").await, counting(&api, "acme").await);
    table.take();
    let of_globex = async {
        for round in 0..25 {
            globex.mix(round).await;
        }
    };
    let of_acme = async {
        for round in 0..25 {
            acme.mix(round + 3).await;
        }
    };
    tokio::join!(of_globex, of_acme);
    let seen = table.take();
    assert_eq!(globex.usage.requests + acme.usage.requests, 1000);
    check(&api, GLOBEX, globex.usage, &seen).await;
    check(&api, ACME, acme.usage, &seen).await;
    api.shutdown().await;
}
