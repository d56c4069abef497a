//! `/usage` and `/admin/usage`: what tenants used, and what it cost.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use service::domain::month::Month;
use service::domain::time::Timestamp;
use service::runtime::aws;

use crate::support::{Api, Caller, Response};

const ALL: &str = "/admin/usage";
const ACME: &str = local::seed::DEMO[0].id;
const GLOBEX: &str = local::seed::DEMO[1].id;
/// A month that has long begun.
const MARCH: &str = "2026-03";

fn this_month() -> String {
    Month::of(Timestamp::now()).to_string()
}

/// Writes the row of a tenant's month, with these numbers.
async fn report(api: &Api, tenant: &str, month: &str, figures: &[(&str, &str)]) {
    let numbers = figures.iter().map(|(name, number)| ((*name).to_owned(), AttributeValue::N((*number).to_owned())));
    let mut item: HashMap<_, _> = numbers.collect();
    item.insert("pk".into(), AttributeValue::S(format!("T#{tenant}#USAGE")));
    item.insert("sk".into(), AttributeValue::S(month.to_owned()));
    let client = aws::dynamodb(&api.aws_config(), aws::connector());
    client.put_item().table_name("Table").set_item(Some(item)).send().await.unwrap();
}

/// A month's figures, which are round in money.
const FIGURES: [(&str, &str); 9] = [
    ("leased", "2000"),
    ("requests", "1000"),
    ("errors", "10"),
    ("bytesIn", "5"),
    ("bytesOut", "300000"),
    ("readUnits", "1000.5"),
    ("writeUnits", "3000"),
    ("memoryMs", "1024000"),
    ("updates", "200"),
];

/// Round prices.
const PRICES: &str = r#"{"lambdaGbSecondArm64": "1", "lambdaGbSecondX86": "1", "lambdaRequest": "0.001",
    "readUnit": "0.002", "writeUnit": "0.01", "gatewayRequest": "0.003", "transferOutGb": "1000",
    "storageGbMonth": "1000", "logsGb": "1000"}"#;

#[tokio::test]
async fn a_tenant_reads_its_own_month() {
    let api = Api::start().await;
    report(&api, ACME, &this_month(), &FIGURES).await;
    let acme = api.caller("acme").await;
    let expected = json!({
        "period": this_month(), "plan": "free", "limit": 10_000, "remaining": 8000, "requests": 1000, "errors": 10,
        "bytesIn": 5, "bytesOut": 300_000, "readUnits": 1000.5, "writeUnits": 3000.0, "lambdaGbSeconds": 1.0,
    });
    assert_eq!(acme.get("/usage").await.expect(200).json(), expected);
    assert_eq!(acme.get(&format!("/usage?period={}", this_month())).await.expect(200).json(), expected);

    // A month without requests, and somebody else's.
    let march = acme.get(&format!("/usage?period={MARCH}")).await.expect(200).json();
    assert_eq!((&march["period"], &march["requests"], &march["remaining"]), (&json!(MARCH), &json!(0), &json!(10_000)));
    let globex = api.caller("globex").await.get("/usage").await.expect(200).json();
    assert_eq!((&globex["plan"], &globex["requests"]), (&json!("pro"), &json!(0)));
    api.shutdown().await;
}

#[tokio::test]
async fn the_limit_is_the_operators_word() {
    let api = Api::start().await;
    let (acme, operator) = (api.caller("acme").await, api.caller("operator").await);
    report(&api, ACME, &this_month(), &FIGURES).await;
    let limit = async || {
        let usage = acme.get("/usage").await.expect(200).json();
        (usage["plan"].clone(), usage["limit"].clone(), usage["remaining"].clone())
    };
    assert_eq!(limit().await, (json!("free"), json!(10_000), json!(8000)));
    // The token is the same as before, with its cached result of the authorizer.
    let path = format!("/admin/tenants/{ACME}");
    operator.patch(&path, &json!({"quota": {"requests": 1500}})).await.expect(200);
    assert_eq!(limit().await, (json!("free"), json!(1500), json!(0)));
    operator.patch(&path, &json!({"quota": null, "plan": "standard"})).await.expect(200);
    assert_eq!(limit().await, (json!("standard"), json!(500_000), json!(498_000)));
    assert_eq!(acme.get("/usage").await.json()["requests"], 1000, "the change leaves the figures alone");
    api.shutdown().await;
}

#[tokio::test]
async fn a_period_is_a_month_that_has_begun() {
    let api = Api::start().await;
    let (globex, operator) = (api.caller("globex").await, api.caller("operator").await);
    let next = Month::of(Timestamp::now()).next().to_string();
    for period in ["", "2026", "2026-3", "2026-13", "2026-03-01", "now", &next, "9999-12"] {
        globex.get(&format!("/usage?period={period}")).await.expect_problem(400, "invalid_parameter");
        operator.get(&format!("{ALL}?period={period}")).await.expect_problem(400, "invalid_parameter");
    }
    globex.get(&format!("/usage?tenant={ACME}")).await.expect_problem(400, "invalid_parameter");
    operator.get(&format!("{ALL}?tenant={ACME}")).await.expect_problem(400, "invalid_parameter");
    operator.get(&format!("{ALL}?cursor=junk")).await.expect_problem(400, "invalid_cursor");
    api.shutdown().await;
}

#[tokio::test]
async fn figures_are_for_those_who_may_see_them() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    globex.get(ALL).await.expect_problem(403, "insufficient_scope");
    api.caller("operator").await.get("/usage").await.expect_problem(403, "insufficient_scope");
    let reader = api.caller_with("globex", &[("scope", "records:read")]).await;
    reader.get("/usage").await.expect_problem(403, "insufficient_scope");
    api.caller_of(None).get("/usage").await.expect_problem(401, "unauthorized");

    let made = globex.post("/tokens", &json!({"name": "meter", "scopes": ["usage:read"]})).await.expect(201).json();
    let meter = api.caller_of(made["token"].as_str());
    meter.get("/usage").await.expect(200);
    meter.get("/collections").await.expect_problem(403, "insufficient_scope");
    api.shutdown().await;
}

/// The pages of a list, in either form.
async fn pages(operator: &Caller<'_>, accept: &str, first: &str) -> Vec<Response> {
    let mut pages = Vec::new();
    let mut next = Some(first.to_owned());
    while let Some(path) = next {
        let response = operator.call("GET", &path).header("accept", accept).send().await.expect(200);
        assert_eq!(response.header("vary"), "Accept");
        let link = response.header("link").split(['<', '>']).nth(1).map(ToOwned::to_owned);
        next = link.map(|link| link.strip_prefix("/v1").unwrap().to_owned());
        pages.push(response);
    }
    pages
}

#[tokio::test]
async fn an_operator_reads_what_everybody_used_and_what_it_cost() {
    let api = Api::start_with_parameter("Prices", PRICES).await;
    let operator = api.caller("operator").await;
    let onboard = async |name: &str| {
        let tenant = operator.post("/admin/tenants", &json!({"name": name, "plan": "free"})).await.expect(201);
        tenant.json()["id"].as_str().unwrap().to_owned()
    };
    let formula = onboard("=HYPERLINK(\"https://evil.example\")").await;
    let (gone, forgotten) = (onboard("Gone, and \"missed\"").await, onboard("Forgotten").await);
    report(&api, ACME, MARCH, &FIGURES).await;
    report(&api, &gone, MARCH, &[("requests", "1")]).await;
    for id in [&gone, &forgotten] {
        operator.delete(&format!("/admin/tenants/{id}")).await.expect(202);
        api.finish_offboarding(id).await;
    }

    let found = pages(&operator, "application/json", &format!("{ALL}?period={MARCH}&limit=2")).await;
    assert_eq!(found.len(), 3);
    let items: Vec<Value> = found.iter().flat_map(|page| page.json()["items"].as_array().unwrap().clone()).collect();
    let ids: Vec<_> = items.iter().map(|item| item["tenant"].as_str().unwrap()).collect();
    assert_eq!(ids, [ACME, GLOBEX, &formula, &gone], "one that was gone before has no line");
    assert_eq!((&items[3]["name"], &items[3]["status"]), (&json!("Gone, and \"missed\""), &json!("offboarded")));
    assert!(items.iter().all(|item| item["period"] == MARCH));
    assert_eq!(
        items[0]["cost"],
        json!({
            "currency": "USD",
            "measured": {
                "lambdaDuration": "1.000000", "lambdaRequests": "1.000000", "reads": "2.001000",
                // 3,000 units, and 200 of counting.
                "writes": "32.000000",
            },
            "estimated": {
                "gatewayRequests": "3.000000",
                // 300,000 bytes, and 700 beside each of 1,000 bodies.
                "transferOut": "1.000000",
                // 3,000 units of 1,024 bytes.
                "storage": "3.072000",
                "logs": "1.000000",
            },
            "total": "44.073000",
        })
    );
    assert_eq!((&items[0]["updates"], &items[0]["remaining"]), (&json!(200), &json!(8000)));
    assert_eq!(items[1]["cost"]["total"], "0.000000");

    let tables = pages(&operator, "text/csv", &format!("{ALL}?period={MARCH}&limit=3")).await;
    assert_eq!(tables.len(), 2);
    let mut lines = Vec::new();
    for table in &tables {
        assert_eq!(table.header("content-type"), "text/csv; charset=utf-8; header=present");
        let mut of_page = table.text.split_terminator("\r\n");
        assert!(of_page.next().unwrap().starts_with("\"tenant\",\"name\","), "each page is a table");
        lines.extend(of_page);
    }
    let [acme, globex, formula_line, gone_line] = &lines[..] else { panic!("{lines:?}") };
    assert!(
        acme.starts_with(&format!("\"{ACME}\",\"acme\",\"active\",\"free\",\"{MARCH}\",10000,8000,1000,10,5,300000,"))
    );
    assert!(acme.ends_with(",44.073000") && globex.ends_with(",0.000000"), "{acme} {globex}");
    assert!(formula_line.starts_with(&format!("\"{formula}\",\"'=HYPERLINK(\"\"https://evil.example\"\")\",")));
    assert!(gone_line.starts_with(&format!("\"{gone}\",\"Gone, and \"\"missed\"\"\",\"offboarded\",")));
    api.shutdown().await;
}

#[tokio::test]
async fn a_client_gets_the_form_that_it_accepts() {
    let api = Api::start().await;
    let operator = api.caller("operator").await;
    let media_type = async |accept: &str| {
        let response = operator.call("GET", ALL).header("accept", accept).send().await.expect(200);
        response.header("content-type").split(';').next().unwrap().to_owned()
    };
    assert_eq!(operator.get(ALL).await.header("content-type"), "application/json");
    for accept in ["*/*", "text/html, application/json;q=0.9, */*;q=0.8", "text/csv;q=0.5, application/json"] {
        assert_eq!(media_type(accept).await, "application/json", "{accept}");
    }
    for accept in ["text/csv", "text/*", "application/json;q=0.5, text/csv;q=0.6"] {
        assert_eq!(media_type(accept).await, "text/csv", "{accept}");
    }
    let rejected = operator.call("GET", ALL).header("accept", "application/xml").send().await;
    let rejected = rejected.expect_problem(406, "not_acceptable");
    assert!(rejected.text.contains("application/json or text/csv"), "{}", rejected.text);
    api.shutdown().await;
}

#[tokio::test]
async fn a_spreadsheet_gets_a_byte_order_mark_on_request() {
    let api = Api::start().await;
    let operator = api.caller("operator").await;
    operator.post("/admin/tenants", &json!({"name": "Zoë & Søn", "plan": "free"})).await.expect(201);
    let plain = pages(&operator, "text/csv", &format!("{ALL}?limit=2")).await;
    let marked = pages(&operator, "text/csv", &format!("{ALL}?bom=true&limit=2")).await;
    assert_eq!((plain.len(), marked.len()), (2, 2), "the link to the next page has the parameter as well");
    for (plain, marked) in plain.iter().zip(&marked) {
        assert_eq!(marked.text, format!("\u{feff}{}", plain.text));
        assert_eq!(marked.header("content-type"), plain.header("content-type"));
    }
    assert!(marked[1].text.contains("Zoë & Søn"));
    assert!(operator.get(&format!("{ALL}?bom=true")).await.expect(200).text.starts_with('{'), "JSON has none");
    operator.get(&format!("{ALL}?bom=1")).await.expect_problem(400, "invalid_parameter");
    api.shutdown().await;
}

#[tokio::test]
async fn prices_that_are_none_end_the_start() {
    let api = Api::start_with_parameter("Prices", r#"{"readUnit": 0.5}"#).await;
    api.caller("operator").await.get(ALL).await.expect_problem(502, "internal_error");
    api.shutdown().await;
}

#[tokio::test]
async fn vary_names_origin_beside_accept() {
    let api = Api::start_with_parameter("CorsAllowedOrigin", "https://ops.example").await;
    let response = api.caller("operator").await.get(ALL).await.expect(200);
    let vary: Vec<_> = response.headers.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(vary, ["Accept", "Origin"]);
    api.shutdown().await;
}

#[tokio::test]
async fn a_tenant_without_quota_left_sees_what_it_did() {
    let api = Api::start_with_parameter("FreeQuota", "3").await;
    let (acme, operator) = (api.caller("acme").await, api.caller("operator").await);
    let note = "/collections/notes/records/welcome";
    let written = acme.put(note, &json!({"data": {"n": 1}})).await.expect(201);
    let read = acme.get(note).await.expect(200);
    acme.get("/collections/notes/records/missing").await.expect(404);
    acme.get(note).await.expect_problem(429, "quota_exceeded");
    acme.get("/usage").await.expect(200);
    // It reports what it did as it ends.
    api.local.functions().retire("records").await;

    let usage = acme.get("/usage").await.expect(200).json();
    let shown = |name: &str| usage[name].clone();
    let counts = ["limit", "remaining", "requests", "errors", "bytesIn"].map(shown);
    assert_eq!(counts, [3, 0, 3, 1, r#"{"data":{"n":1}}"#.len()].map(Value::from));
    assert!(usage["bytesOut"].as_u64().unwrap() > (written.text.len() + read.text.len()) as u64);
    assert!(usage["readUnits"].as_f64() >= Some(1.0) && usage["writeUnits"].as_f64() >= Some(1.0), "{usage}");
    assert!(usage["lambdaGbSeconds"].as_f64() > Some(0.0));

    let all = operator.get(ALL).await.expect(200).json();
    let item = &all["items"][0];
    assert_eq!((&item["tenant"], &item["requests"]), (&json!(ACME), &json!(3)));
    assert_eq!(item["cost"]["estimated"]["gatewayRequests"], "0.000011", "3 at 3.50 dollars a million, rounded up");
    api.shutdown().await;
}
