//! API Gateway fails, or the function dies, at any step: in the end the tenant is whole, or gone without a trace.

use serde_json::json;
use testkit::api_gateway::{Fault as GatewayFault, Operation};
use testkit::dynamodb::{DynamoDb, Fault};

use super::{NOTE, TENANTS, onboard, operator};
use crate::support::{Api, Caller};

const ID: &str = "01K0N1TECH0000000000000000";

/// How many API keys there are beside those of the demo tenants.
fn keys(api: &Api) -> usize {
    api.local.keys().list().iter().filter(|key| key.value == ID).count()
}

/// Where a call of the function dies.
#[derive(Debug, Clone, Copy)]
enum Death {
    /// At this request to the table, counted from 0.
    Table(usize, Fault),
    /// At this call of API Gateway.
    Gateway(usize, GatewayFault),
}

/// Makes a call, and kills the function when it comes to that point. Says whether it came there.
async fn die(api: &Api, table: &DynamoDb, death: Death, call: crate::support::Call) -> bool {
    match death {
        Death::Table(at, fault) => table.next(std::iter::repeat_n(None, at).chain([Some(fault)])),
        Death::Gateway(at, fault) => {
            api.api_gateway.fail_next(std::iter::repeat_n(None, at).chain([Some(fault)]));
        }
    }
    let stalled = async {
        match death {
            Death::Table(..) => table.stalled().await,
            Death::Gateway(..) => api.api_gateway.stalled().await,
        }
        api.local.functions().kill("tenants");
    };
    let mut response = tokio::spawn(call.send());
    let died = tokio::select! {
        () = stalled => true,
        _ = &mut response => false,
    };
    if died {
        response.await.unwrap().expect(502);
    }
    died
}

fn create(operator: &Caller<'_>) -> crate::support::Call {
    operator.call("POST", TENANTS).json(&json!({"id": ID, "name": "Initech", "plan": "free"}))
}

fn deaths() -> impl Iterator<Item = Death> {
    let table = (0..8).flat_map(|at| [Death::Table(at, Fault::Stall), Death::Table(at, Fault::StallDone)]);
    let gateway =
        (0..8).flat_map(|at| [Death::Gateway(at, GatewayFault::Stall), Death::Gateway(at, GatewayFault::StallDone)]);
    table.chain(gateway)
}

#[tokio::test]
async fn an_onboarding_that_dies_anywhere_ends_whole() {
    let mut died = 0;
    for death in deaths() {
        let table = DynamoDb::start().await;
        let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
        let (operator, initech) = (operator(&api).await, api.caller(ID).await);
        // The authorizer has read its rows then, so that only the function's requests are counted.
        operator.get(TENANTS).await.expect(200);
        if !die(&api, &table, death, create(&operator)).await {
            api.shutdown().await;
            continue;
        }
        died += 1;
        let path = format!("{TENANTS}/{ID}");
        let half_made = operator.get(&path).await;
        if half_made.status == 200 && half_made.json()["status"] == "onboarding" {
            initech.get(NOTE).await.expect_problem(403, "tenant_unknown");
            api.age_change(ID).await;
            api.sweep().await;
        } else if half_made.status == 404 {
            assert_eq!(keys(&api), 0, "{death:?}: no key without a tenant");
            create(&operator).send().await.expect(201);
        }
        assert_eq!(operator.get(&path).await.expect(200).json()["status"], "active", "{death:?}");
        assert_eq!(keys(&api), 1, "{death:?}");
        api.local.functions().kill("authorizer");
        api.caller_with(ID, &[("scope", "records:read")]).await.get(NOTE).await.expect_problem(404, "record_not_found");
        api.shutdown().await;
    }
    assert!(died >= 10, "only {died} points were reached");
}

#[tokio::test]
async fn an_offboarding_that_dies_anywhere_ends_without_a_trace() {
    let mut died = 0;
    for death in deaths() {
        let table = DynamoDb::start().await;
        let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
        let (operator, initech) = (operator(&api).await, api.caller(ID).await);
        create(&operator).send().await.expect(201);
        initech.put(NOTE, &json!({"data": {}})).await.expect(201);
        let path = format!("{TENANTS}/{ID}");
        if !die(&api, &table, death, operator.call("DELETE", &path)).await {
            api.shutdown().await;
            continue;
        }
        died += 1;
        let status = operator.get(&path).await.expect(200).json()["status"].as_str().unwrap().to_owned();
        match status.as_str() {
            // It died before it said what it wanted.
            "active" => drop(operator.delete(&path).await.expect(202)),
            status => assert_eq!(status, "offboarding"),
        }
        api.finish_offboarding(ID).await;
        assert_eq!(operator.get(&path).await.expect(200).json()["status"], "offboarded", "{death:?}");
        assert_eq!(keys(&api), 0, "{death:?}: no key without a tenant");
        assert_eq!(api.items_of(ID).await, [], "{death:?}");
        api.shutdown().await;
    }
    assert!(died >= 8, "only {died} points were reached");
}

#[tokio::test]
async fn an_api_gateway_that_fails_does_not_fail_the_operator() {
    let api = Api::start().await;
    let operator = operator(&api).await;
    let api_gateway = &api.api_gateway;
    // Brief faults: throttled, failed, done with the response lost. Nothing is lost, and nothing happens twice.
    for (n, fault) in [GatewayFault::Throttle, GatewayFault::Fail, GatewayFault::LoseResponse].into_iter().enumerate() {
        api_gateway.fail_next([Some(fault); 2]);
        let id = onboard(&operator, &json!({"name": format!("Tenant {n}"), "plan": "free"})).await;
        assert_eq!(api.local.keys().list().iter().filter(|key| key.value == id).count(), 1, "{fault:?}");
        api.caller(&id).await.get(NOTE).await.expect(404);
    }
    // Lasting faults: the operator reads that it takes longer, and the sweep finishes it.
    api_gateway.fail_always(Operation::CreateApiKey, Some(GatewayFault::Fail));
    let begun = create(&operator).send().await.expect(202).json();
    assert_eq!((&begun["status"], &begun["failure"]["code"]), (&json!("onboarding"), &json!("unavailable")));
    let path = format!("{TENANTS}/{ID}");
    assert_eq!(operator.get(&path).await.json()["status"], "onboarding");
    api.caller(ID).await.get(NOTE).await.expect_problem(403, "tenant_unknown");
    api_gateway.fail_always(Operation::CreateApiKey, None);
    api.sweep().await;
    assert_eq!(operator.get(&path).await.json()["status"], "active");
    // The next change of the tenant goes along with it.
    api_gateway.fail_always(Operation::CreateUsagePlanKey, Some(GatewayFault::Fail));
    operator.patch(&path, &json!({"plan": "pro"})).await.expect(202);
    api_gateway.fail_always(Operation::CreateUsagePlanKey, None);
    let suspended = operator.post(&format!("{path}/suspend"), &json!({"reason": "x"})).await.expect(200).json();
    assert_eq!((&suspended["status"], &suspended["plan"]), (&json!("suspended"), &json!("pro")));
    api.shutdown().await;
}

#[tokio::test]
async fn concurrent_changes_of_a_tenant_do_not_interleave() {
    let api = Api::start().await;
    let operator = operator(&api).await;
    let id = onboard(&operator, &json!({"name": "Initech", "plan": "free"})).await;
    let path = format!("{TENANTS}/{id}");
    let calls: Vec<_> = ["pro", "standard", "pro", "standard", "pro", "standard"]
        .into_iter()
        .map(|plan| tokio::spawn(operator.call("PATCH", &path).json(&json!({"plan": plan})).send()))
        .collect();
    let mut served = 0;
    for call in calls {
        let response = call.await.unwrap();
        if response.status == 200 {
            served += 1;
        } else {
            let response = response.expect_problem(409, "tenant_busy");
            assert_ne!(response.header("retry-after"), "", "{response:?}");
        }
    }
    assert!(served >= 1);
    let plan = operator.get(&path).await.json()["plan"].as_str().unwrap().to_owned();
    let keys = api.local.keys().list();
    let key = keys.iter().find(|key| key.value == id).unwrap();
    assert_eq!(key.plan.as_deref(), Some(&plan[..]), "the API key is in the plan of the row");
    api.shutdown().await;
}

#[tokio::test]
async fn a_change_whose_items_are_throttled_is_retried_and_not_logged_as_a_defect() {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
    let operator = operator(&api).await;
    operator.get(TENANTS).await.expect(200);
    // A condition that does not hold means nothing beside an item that is throttled.
    table.next([Some(Fault::ThrottleItem), Some(Fault::ThrottleItem)]);
    create(&operator).send().await.expect(201);
    let path = format!("{TENANTS}/{ID}");
    table.next([None, Some(Fault::ThrottleItem)]);
    operator.patch(&path, &json!({"plan": "pro"})).await.expect(200);
    table.next([None]);
    table.fail_always(Some(Fault::ThrottleItem));
    let failed = operator.patch(&path, &json!({"plan": "free"})).await.expect_problem(503, "unavailable");
    assert_eq!(failed.header("retry-after"), "1");
    table.fail_always(None);
    assert_eq!(operator.get(&path).await.expect(200).json()["plan"], "pro");
    api.shutdown().await;
}

#[tokio::test]
async fn a_tombstone_that_cannot_be_written_is_written_later_with_all_that_goes_with_it() {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
    let operator = operator(&api).await;
    // Up to the last sweep.
    let begin = async || {
        let id = onboard(&operator, &json!({"name": "Initech", "plan": "free"})).await;
        operator.delete(&format!("{TENANTS}/{id}")).await.expect(202);
        api.age_change(&id).await;
        api.sweep().await;
        api.age_change(&id).await;
        table.take();
        id
    };
    begin().await;
    api.sweep().await;
    let last = table.take().len() - 1;
    // The same for another tenant of the name, whose last write fails.
    let id = begin().await;
    let path = format!("{TENANTS}/{id}");
    table.next(std::iter::repeat_n(None, last).chain([Some(Fault::Error(400, "ValidationException"))]));
    api.sweep().await;
    let left = operator.get(&path).await.expect(200).json();
    assert_eq!((&left["status"], &left["failure"]["code"]), (&json!("offboarding"), &json!("unavailable")));
    api.age_change(&id).await;
    api.sweep().await;
    assert_eq!(operator.get(&path).await.json()["status"], "offboarded");
    onboard(&operator, &json!({"name": "Initech", "plan": "free"})).await;
    api.shutdown().await;
}
