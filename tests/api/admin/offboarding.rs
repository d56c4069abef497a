//! The end of a tenant: requests that are under way, writes that come late, and functions that die do not leave anything.

use local::runtime::Invoke;
use serde_json::{Value, json};
use testkit::dynamodb::{DynamoDb, Fault};

use super::{NOTE, TENANTS, onboard, operator};
use crate::support::{Api, Caller, Response, read};

const POOLED: &str = "01K0P001ED0000000000000000";

/// A tenant that shares its API key, so that API Gateway lets it in for as long as it caches its policies.
async fn pooled(operator: &Caller<'_>) -> String {
    onboard(operator, &json!({"id": POOLED, "name": "Small", "plan": "pro", "key": "pooled"})).await
}

/// Something of every kind that a tenant can have.
async fn fill(tenant: &Caller<'_>) {
    for n in 0..30 {
        let record = json!({"data": {"n": n}});
        tenant.call("PUT", &format!("/collections/notes/records/r{n}")).json(&record).send().await.expect(201);
    }
    tenant.put("/collections/other/records/first", &json!({"data": {}})).await.expect(201);
    let keyed = tenant.call("POST", "/collections/other/records").header("idempotency-key", "a-key-of-some-length");
    keyed.json(&json!({"data": {}})).send().await.expect(201);
    tenant.post("/tokens", &json!({"name": "t", "scopes": ["records:read"]})).await.expect(201);
}

async fn status(operator: &Caller<'_>, id: &str) -> Value {
    operator.get(&format!("{TENANTS}/{id}")).await.expect(200).json()["status"].clone()
}

async fn write(tenant: &Caller<'_>) -> Response {
    tenant.put(NOTE, &json!({"data": {}})).await
}

#[tokio::test]
async fn what_a_tenant_owns_is_removed_when_its_requests_have_ended_and_looked_for_again() {
    let api = Api::start().await;
    let operator = operator(&api).await;
    let id = onboard(&operator, &json!({"name": "Initech", "plan": "pro"})).await;
    let path = format!("{TENANTS}/{id}");
    fill(&api.caller(&id).await).await;
    let before = api.items_of(&id).await;

    operator.delete(&path).await.expect(202);
    assert!(api.local.keys().list().iter().all(|key| key.value != id), "its API key is gone at once");
    api.sweep().await;
    operator.delete(&path).await.expect(202);
    let waiting = operator.get(&path).await.json();
    assert_eq!((&waiting["status"], &waiting["purged"]), (&json!("offboarding"), &json!(0)));
    let reserved: Vec<_> = before.iter().filter(|(pk, _)| pk.starts_with("TENANTNAME#")).cloned().collect();
    assert_eq!(api.items_of(&id).await, before);

    api.age_change(&id).await;
    api.sweep().await;
    let left = api.items_of(&id).await;
    let rows = [(format!("T#{id}#COLLECTIONS"), "notes".to_owned()), (format!("T#{id}#COLLECTIONS"), "other".into())];
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(rows.iter().chain(&reserved).all(|one| left.contains(one)), "{left:?}");
    api.sweep().await;
    assert_eq!(status(&operator, &id).await, "offboarding");

    api.age_change(&id).await;
    api.sweep().await;
    let gone = operator.get(&path).await.json();
    // 32 records, a stored reply, a machine token, two collections.
    assert_eq!((&gone["status"], &gone["purged"], gone.get("change")), (&json!("offboarded"), &json!(36), None));
    assert_eq!(api.items_of(&id).await, []);
    api.shutdown().await;
}

#[tokio::test]
async fn a_tenant_that_is_still_signed_in_gets_the_reason_and_writes_no_more() {
    let api = Api::start().await;
    let operator = operator(&api).await;
    let id = pooled(&operator).await;
    let small = api.caller(&id).await;
    fill(&small).await;
    operator.delete(&format!("{TENANTS}/{id}")).await.expect(202);
    // Its policy is cached, and units may be held.
    let mut confirmed = 0;
    while let 200 | 201 = write(&small).await.status {
        confirmed += 1;
        assert!(confirmed < 100, "units are held in small blocks");
    }
    // Another execution environment, which holds none.
    api.local.functions().kill("records");
    let denied = write(&small).await.expect_problem(403, "tenant_offboarded");
    assert_eq!(denied.header("retry-after"), "", "a retry is of no use");
    small.get(NOTE).await.expect_problem(403, "tenant_offboarded");
    assert_eq!(status(&operator, &id).await, "offboarding");
    api.finish_offboarding(&id).await;
    assert_eq!(status(&operator, &id).await, "offboarded");
    assert_eq!(api.items_of(&id).await, []);
    small.get("/collections").await.expect_problem(403, "tenant_offboarded");
    api.shutdown().await;
}

#[tokio::test]
async fn a_write_that_is_under_way_or_late_leaves_nothing() {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
    let operator = operator(&api).await;
    let id = pooled(&operator).await;
    let small = api.caller(&id).await;
    write(&small).await.expect(201);
    // The authorizer has let the write in, it has its unit, and waits for the table.
    table.next([Some(Fault::Hold)]);
    let late = tokio::spawn(small.call("PUT", "/collections/notes/records/late").json(&json!({"data": {}})).send());
    table.stalled().await;
    operator.delete(&format!("{TENANTS}/{id}")).await.expect(202);
    api.age_change(&id).await;
    api.sweep().await;
    let records = async || {
        let items = api.items_of(&id).await;
        items.into_iter().filter(|(pk, _)| pk.contains("#R#")).map(|(_, sk)| sk).collect::<Vec<_>>()
    };
    assert_eq!(records().await, [] as [&str; 0]);
    table.release();
    late.await.unwrap();
    assert_eq!(records().await, ["late"]);
    // The second look finds it, so there is a third.
    for expected in ["offboarding", "offboarded"] {
        api.age_change(&id).await;
        api.sweep().await;
        assert_eq!(records().await, [] as [&str; 0]);
        assert_eq!(status(&operator, &id).await, expected);
    }
    assert_eq!(api.items_of(&id).await, []);
    api.shutdown().await;
}

#[tokio::test]
async fn a_sweep_that_dies_anywhere_is_gone_on_with() {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
    let operator = operator(&api).await;
    let id = pooled(&operator).await;
    fill(&api.caller(&id).await).await;
    operator.delete(&format!("{TENANTS}/{id}")).await.expect(202);
    let (mut died, mut at) = (0, 0);
    while status(&operator, &id).await != "offboarded" {
        api.age_change(&id).await;
        table.next(std::iter::repeat_n(None, at).chain([Some([Fault::Stall, Fault::StallDone][at % 2])]));
        let event = read("events/tenants-sweep.json").into_bytes();
        let sweep = api.local.functions().invoke("tenants", event);
        tokio::select! {
            _ = sweep => table.next([]),
            () = table.stalled() => {
                api.local.functions().kill("tenants");
                died += 1;
            }
        }
        at += 1;
        assert!(at < 100, "it does not end");
    }
    assert!(died >= 10, "only {died} points were reached");
    assert_eq!(api.items_of(&id).await, []);
    api.shutdown().await;
}

#[tokio::test]
async fn items_that_a_throttled_table_leaves_over_are_retried() {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
    let operator = operator(&api).await;
    let begin = async |name: &str| {
        let id = onboard(&operator, &json!({"name": name, "plan": "pro", "key": "pooled"})).await;
        fill(&api.caller(&id).await).await;
        operator.delete(&format!("{TENANTS}/{id}")).await.expect(202);
        api.age_change(&id).await;
        table.take();
        id
    };
    let first = begin("First").await;
    api.sweep().await;
    let seen = table.take();
    let batch = seen.iter().position(|seen| seen.operation == "BatchWriteItem").unwrap();
    api.finish_offboarding(&first).await;

    let second = begin("Second").await;
    table.next(std::iter::repeat_n(None, batch).chain([Some(Fault::Unprocessed); 2]));
    api.sweep().await;
    let left = operator.get(&format!("{TENANTS}/{second}")).await.expect(200).json();
    assert_eq!((left.get("failure"), &left["purged"]), (None, &json!(34)));

    // A fault after some were removed leaves the rest to the next sweep, which does not wait as after a failure.
    let third = begin("Third").await;
    table.next(std::iter::repeat_n(None, batch + 4).chain([Some(Fault::Error(400, "ValidationException"))]));
    api.sweep().await;
    let left = operator.get(&format!("{TENANTS}/{third}")).await.expect(200).json();
    assert!(left["purged"].as_u64() > Some(0) && left["purged"].as_u64() < Some(34), "{left}");
    assert_eq!(left.get("failure"), None);
    api.sweep().await;
    assert_eq!(operator.get(&format!("{TENANTS}/{third}")).await.expect(200).json()["purged"], 34);
    api.shutdown().await;
}

#[tokio::test]
async fn offboardings_that_wait_do_not_hold_up_other_changes() {
    let api = Api::start_with(|options| options.seed = false).await;
    let operator = operator(&api).await;
    for n in 0..30 {
        let body = json!({"name": format!("Tenant {n}"), "plan": "free", "key": "pooled"});
        let id = onboard(&operator, &body).await;
        operator.delete(&format!("{TENANTS}/{id}")).await.expect(202);
    }
    // The last in the order of their ids.
    let last = "7ZZZZZZZZZZZZZZZZZZZZZZZZZ";
    onboard(&operator, &json!({"id": last, "name": "Last", "plan": "free", "key": "pooled"})).await;
    operator.delete(&format!("{TENANTS}/{last}")).await.expect(202);
    api.finish_offboarding(last).await;
    assert_eq!(status(&operator, last).await, "offboarded");
    api.shutdown().await;
}

#[tokio::test]
async fn an_offboarding_that_an_earlier_version_began_closes_the_tenants_usage_first() {
    let api = Api::start().await;
    let operator = operator(&api).await;
    let id = pooled(&operator).await;
    let small = api.caller(&id).await;
    write(&small).await.expect(201);
    let row = format!("TENANT#{id}");
    for (attribute, value) in [("status", "offboarding"), ("change", "offboard"), ("pending", "TENANT")] {
        api.overwrite((&row, "TENANT"), attribute, aws_sdk_dynamodb::types::AttributeValue::S(value.into())).await;
    }
    let past = aws_sdk_dynamodb::types::AttributeValue::N("0".into());
    api.overwrite((&row, "TENANT"), "leasedUntil", past).await;
    api.sweep().await;
    assert_eq!(status(&operator, &id).await, "offboarding");
    api.local.functions().kill("records");
    small.get(NOTE).await.expect_problem(403, "tenant_offboarded");
    api.finish_offboarding(&id).await;
    assert_eq!(api.items_of(&id).await, []);
    assert_eq!(status(&operator, &id).await, "offboarded");
    api.shutdown().await;
}
