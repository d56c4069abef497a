//! A tenant's own quota, and the row of the month that tells the functions.

use serde_json::{Value, json};
use service::domain::month::Month;
use service::domain::time::Timestamp;
use testkit::dynamodb::{DynamoDb, Fault, Seen};

use super::{TENANTS, onboard, operator};
use crate::support::{Api, read};

const MOST: u64 = 100_000;

/// The API, on a table that can be watched.
async fn start() -> (Api, DynamoDb) {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
    (api, table)
}

/// The plans and quotas of this month and the next one on the tenant's rows.
async fn terms(table: &DynamoDb, id: &str) -> Vec<(Value, Value)> {
    let month = Month::of(Timestamp::now());
    let items = table.scan("Table").await;
    let row = |month: Month| {
        let found = items.iter().find(|item| {
            item["pk"]["S"] == format!("T#{id}#USAGE") && item["sk"]["S"].as_str() == Some(&month.to_string())
        });
        found.map(|item| (item["plan"]["S"].clone(), item["quota"]["N"].clone()))
    };
    [month, month.next()].into_iter().filter_map(row).collect()
}

/// The keys that a request writes.
fn written(seen: &Seen) -> Vec<String> {
    let writes = seen.body["TransactItems"].as_array().unwrap().iter();
    let keys = writes.map(|write| match write.get("Put") {
        Some(put) => put["Item"]["pk"]["S"].clone(),
        None => write["Update"]["Key"]["pk"]["S"].clone(),
    });
    keys.map(|key| key.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_change_of_plan_or_quota_is_one_write_with_the_rows_of_the_months() {
    let (api, table) = start().await;
    let operator = operator(&api).await;
    let id = onboard(&operator, &json!({"name": "Initech", "plan": "free"})).await;
    let path = format!("{TENANTS}/{id}");
    assert_eq!(operator.get(&path).await.json()["quota"], Value::Null);
    assert!(terms(&table, &id).await.is_empty(), "its tokens contain all that is to know");

    table.take();
    let changed = operator.patch(&path, &json!({"quota": {"requests": 7}})).await.expect(200).json();
    assert_eq!(changed["quota"], json!({"requests": 7}));
    let writes: Vec<Seen> = table.take().into_iter().filter(|seen| seen.operation.contains("Write")).collect();
    let [write] = &writes[..] else { panic!("{writes:?}") };
    let usage = format!("T#{id}#USAGE");
    assert_eq!(written(write), [format!("TENANT#{id}"), usage.clone(), usage]);
    let both = |plan: &str, quota: Value| vec![(json!(plan), quota); 2];
    assert_eq!(terms(&table, &id).await, both("free", json!("7")));

    // Another plan, and the quota stays; then the plan's.
    operator.patch(&path, &json!({"plan": "pro"})).await.expect(200);
    assert_eq!(terms(&table, &id).await, both("pro", json!("7")));
    let changed = operator.patch(&path, &json!({"quota": null})).await.expect(200).json();
    assert_eq!(changed["quota"], Value::Null);
    assert_eq!(terms(&table, &id).await, both("pro", Value::Null));

    // A change of neither writes neither.
    table.take();
    operator.patch(&path, &json!({"name": "Initrode", "quota": null, "plan": "pro"})).await.expect(200);
    assert!(table.take().iter().all(|seen| !seen.body.to_string().contains("#USAGE")));
    operator.delete(&path).await.expect(202);
    assert_eq!(terms(&table, &id).await, both("pro", Value::Null), "what a tenant used is the operator's to keep");
    api.shutdown().await;
}

#[tokio::test]
async fn a_quota_fits_its_plan() {
    let (api, table) = start().await;
    let operator = operator(&api).await;
    let body = json!({"name": "Initech", "plan": "free", "quota": {"requests": MOST}});
    let id = onboard(&operator, &body).await;
    let path = format!("{TENANTS}/{id}");
    assert_eq!(operator.get(&path).await.json()["quota"], json!({"requests": MOST}));

    let beyond = json!({"requests": MOST + 1});
    let body = json!({"name": "Other", "plan": "free", "quota": beyond});
    operator.post(TENANTS, &body).await.expect_problem(400, "invalid_body");
    let rejected = operator.patch(&path, &json!({"quota": beyond})).await.expect_problem(400, "invalid_body");
    assert!(rejected.text.contains(&MOST.to_string()), "{}", rejected.text);
    for wrong in [
        json!(7),
        json!({}),
        json!({"requests": -1}),
        json!({"requests": 1.5}),
        json!({"requests": "7"}),
        json!({"requests": null}),
        json!({"requests": 7, "period": "month"}),
        json!([7]),
    ] {
        operator.patch(&path, &json!({"quota": wrong})).await.expect_problem(400, "invalid_body");
    }

    operator.patch(&path, &json!({"plan": "standard", "quota": beyond})).await.expect(200);
    operator.patch(&path, &json!({"plan": "free"})).await.expect_problem(409, "change_not_allowed");
    assert_eq!(operator.get(&path).await.json()["plan"], "standard");
    operator.patch(&path, &json!({"plan": "free", "quota": {"requests": 0}})).await.expect(200);
    assert_eq!(terms(&table, &id).await, vec![(json!("free"), json!("0")); 2]);
    api.shutdown().await;
}

#[tokio::test]
async fn a_lease_that_is_in_the_way_is_waited_for() {
    let (api, table) = start().await;
    let operator = operator(&api).await;
    let id = onboard(&operator, &json!({"name": "Initech", "plan": "free"})).await;
    let path = format!("{TENANTS}/{id}");
    // The first request reads the row.
    table.next([None, Some(Fault::Conflict), Some(Fault::Conflict)]);
    operator.patch(&path, &json!({"quota": {"requests": 7}})).await.expect(200);
    assert_eq!(terms(&table, &id).await.len(), 2);
    table.next(std::iter::once(None).chain(std::iter::repeat_n(Some(Fault::Conflict), 4)));
    operator.patch(&path, &json!({"quota": {"requests": 8}})).await.expect_problem(409, "tenant_busy");
    assert_eq!(operator.get(&path).await.json()["quota"], json!({"requests": 7}));
    api.shutdown().await;
}

/// The variable for the functions is of the same plans as the backstops.
#[test]
fn every_plan_has_a_quota_and_a_backstop() {
    let template = local::template::yaml::parse(&read("template.yaml")).unwrap();
    let parameter = |name: &str| template["Parameters"][name]["Default"].as_u64().unwrap();
    for plan in ["Free", "Standard", "Pro"] {
        assert_eq!(parameter(&format!("{plan}Backstop")), 10 * parameter(&format!("{plan}Quota")), "{plan}");
        let of_the_gateway = &template["Resources"][format!("{plan}Plan")]["Properties"]["Quota"];
        assert_eq!(*of_the_gateway, json!({"Limit": {"Ref": format!("{plan}Backstop")}, "Period": "MONTH"}));
    }
}
