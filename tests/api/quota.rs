//! Monthly quotas, which any number of execution environments never exceeds, and what tenants read about them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use local::runtime::FunctionStats;
use local::seed::DEMO;
use local::template::Template;
use serde_json::{Value, json};
use service::domain::caller::Caller as TenantCaller;
use service::domain::month::Month;
use service::domain::quota::Row;
use service::domain::time::Timestamp;
use service::runtime::aws;
use service::store::Store;
use testkit::dynamodb::{DynamoDb, Fault};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::support::{Api, Caller, Response, is_metered, workspace};

mod closing;
mod metering;
mod months;

const NOTE: &str = "/collections/notes/records/welcome";
/// The tenant of the plan `pro`.
const GLOBEX: &str = DEMO[1].id;

fn parameters(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// An API whose table can be watched, with a plan `pro` that does not throttle, and these parameters.
async fn start(pairs: &[(&str, &str)]) -> (DynamoDb, Api) {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| {
        options.dynamodb_endpoint = Some(table.endpoint.clone());
        options.environments = 64;
        options.overrides = parameters(&[("ProRate", "100000"), ("ProBurst", "100000")]);
        options.overrides.extend(parameters(pairs));
    })
    .await;
    (table, api)
}

/// An operator gives globex a quota.
async fn set_quota(api: &Api, quota: Value) {
    let path = format!("/admin/tenants/{GLOBEX}");
    api.caller("operator").await.patch(&path, &json!({ "quota": quota })).await.expect(200);
}

async fn set_requests(api: &Api, requests: u64) {
    set_quota(api, json!({ "requests": requests })).await;
}

fn tenant_caller(tenant: &str) -> TenantCaller {
    let fields = [("tenant", tenant), ("plan", "pro"), ("scopes", "usage:read")];
    let fields: HashMap<_, _> = fields.map(|(name, value)| (name.to_owned(), Value::from(value))).into();
    TenantCaller::from_context(&fields).unwrap()
}

fn store(api: &Api) -> Store {
    Store::new(aws::dynamodb(&api.aws_config(), aws::connector()), "Table")
}

/// This month's row of a tenant.
async fn row(api: &Api, tenant: &str) -> Row {
    let access = tenant_caller(tenant).access().unwrap();
    store(api).usage_get(&access, Month::of(Timestamp::now())).await.unwrap()
}

/// The row, after every execution environment has returned the units that it holds.
async fn settled(api: &Api, tenant: &str) -> Row {
    let template = Template::read(&workspace().join("template.yaml"), &BTreeMap::new()).unwrap();
    for function in template.functions.iter().filter(|function| is_metered(function)) {
        api.local.functions().retire(&function.name).await;
    }
    row(api, tenant).await
}

/// The statuses of so many requests at once, with their codes.
async fn fire(caller: &Caller<'_>, requests: usize) -> BTreeMap<(u16, String), u64> {
    // A computer does not accept any number of connections at once, so the rest waits here and not there.
    let connections = Arc::new(Semaphore::new(256));
    let mut calls = JoinSet::new();
    for _ in 0..requests {
        let (connections, call) = (Arc::clone(&connections), caller.call("GET", NOTE));
        calls.spawn(async move {
            let _one = connections.acquire().await.unwrap();
            // Not held to the contract, which takes its time.
            call.try_send().await.unwrap()
        });
    }
    let mut statuses = BTreeMap::new();
    for response in calls.join_all().await {
        let status = if response.status < 400 { (response.status, String::new()) } else { response.problem() };
        *statuses.entry(status).or_default() += 1;
    }
    statuses
}

/// The counts of the function that fires at the table.
fn stats(api: &Api) -> FunctionStats {
    api.local.functions().stats().into_iter().find(|function| function.name == "records").unwrap()
}

fn count(statuses: &BTreeMap<(u16, String), u64>, status: u16, code: &str) -> u64 {
    statuses.get(&(status, code.to_owned())).copied().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_requests_over_many_processes_do_not_exceed_a_quota_of_a_thousand() {
    let (_table, api) = start(&[("FreeRate", "100000"), ("FreeBurst", "100000")]).await;
    set_requests(&api, 1000).await;
    let globex = api.caller("globex").await;
    globex.put(NOTE, &json!({"data": {}})).await.expect(201);
    // Processes that start all at once on a few cores take long, and some would not lease units before the end.
    fire(&api.caller("acme").await, 128).await;
    let mut statuses = fire(&globex, 5000).await;
    let mut served = count(&statuses, 200, "") + 1;
    let processes = stats(&api).processes;
    assert!(processes >= 16, "{processes}");
    let mut rejected = count(&statuses, 429, "quota_exceeded");
    // On a slow computer, a request that got a 503 is retried.
    while served + rejected < 5001 {
        let unavailable = count(&statuses, 503, "unavailable");
        assert_eq!(served + rejected + unavailable, 5001, "{statuses:?}");
        statuses = fire(&globex, usize::try_from(unavailable).unwrap()).await;
        served += count(&statuses, 200, "");
        rejected += count(&statuses, 429, "quota_exceeded");
    }
    assert!((990..=1000).contains(&served), "{served}");

    let row = settled(&api, GLOBEX).await;
    assert_eq!(row.leased, row.usage.requests, "nothing is held, and all is reported");
    assert!(row.leased <= 1000);
    // On a slow computer, a handler may have waited for the table in vain.
    assert_eq!(row.usage.requests - row.usage.errors, served);
    api.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_are_killed_do_not_exceed_a_quota() {
    let (_table, api) = start(&[]).await;
    set_requests(&api, 1000).await;
    let globex = api.caller("globex").await;
    globex.put(NOTE, &json!({"data": {}})).await.expect(201);
    let mut served = 1;
    for _ in 0..5 {
        let before = stats(&api).invocations;
        let killing = async {
            while stats(&api).invocations < before + 300 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            api.local.functions().kill("records");
        };
        let (statuses, ()) = tokio::join!(fire(&globex, 600), killing);
        served += count(&statuses, 200, "");
        let rejected = count(&statuses, 429, "quota_exceeded");
        let died: u64 = statuses.iter().filter(|((status, _), _)| *status >= 500).map(|(_, count)| count).sum();
        assert_eq!(statuses.values().sum::<u64>(), 600);
        assert_eq!(count(&statuses, 200, "") + rejected + died, 600, "{statuses:?}");
    }
    assert!(served <= 1000, "{served}");
    let row = settled(&api, GLOBEX).await;
    assert!((served..=1000).contains(&row.leased), "{} leased", row.leased);
    assert!(row.usage.requests <= row.leased, "{row:?}");
    api.shutdown().await;
}

#[tokio::test]
async fn the_rest_of_a_lease_goes_back_when_an_execution_environment_ends() {
    let (table, api) = start(&[]).await;
    let globex = api.caller("globex").await;
    table.take_updates();
    for _ in 0..4 {
        globex.get(NOTE).await.expect(404);
    }
    // 1, 2 and 4; each update reports what was done before it.
    let held = row(&api, GLOBEX).await;
    assert_eq!((held.leased, held.usage.requests), (7, 3));
    let row = settled(&api, GLOBEX).await;
    assert_eq!((row.leased, row.usage.requests, row.usage.errors, row.updates), (4, 4, 4, 4));
    assert_eq!(table.take_updates().len(), 4);
    api.shutdown().await;
}

#[tokio::test]
async fn only_what_a_killed_execution_environment_held_is_lost() {
    let (_table, api) = start(&[]).await;
    let globex = api.caller("globex").await;
    for round in 1..=3 {
        for _ in 0..4 {
            globex.get(NOTE).await.expect(404);
        }
        assert_eq!(row(&api, GLOBEX).await.leased, round * 7);
        api.local.functions().kill("records");
    }
    assert_eq!(settled(&api, GLOBEX).await.leased, 21);
    api.shutdown().await;
}

fn field(response: &Response, name: &str, parameter: &str) -> u64 {
    let (policy, parameters) = response.header(name).split_once(';').unwrap_or_else(|| panic!("{name}: {response:?}"));
    assert_eq!(policy, "\"monthly\"");
    let value = parameters.split(';').find_map(|one| one.strip_prefix(parameter)?.strip_prefix('='));
    value.unwrap().parse().unwrap()
}

#[tokio::test]
async fn every_response_has_the_quota_and_its_remainder() {
    let (_table, api) = start(&[]).await;
    set_requests(&api, 4).await;
    let globex = api.caller("globex").await;
    let month = Month::of(Timestamp::now());
    let responses = [
        globex.put(NOTE, &json!({"data": {}})).await.expect(201),
        globex.get("/collections/NOT-A-NAME/records").await.expect(400),
        globex.get(NOTE).await.expect(200),
        globex.delete(NOTE).await.expect(204),
        globex.get(NOTE).await.expect_problem(429, "quota_exceeded"),
        globex.get("/tokens").await.expect_problem(429, "quota_exceeded"),
    ];
    for (response, remaining) in responses.iter().zip([3, 2, 1, 0, 0, 0]) {
        assert_eq!(field(response, "ratelimit", "r"), remaining, "{response:?}");
        let left = month.end().since(Timestamp::now()).as_secs();
        assert!((left..left + 10).contains(&field(response, "ratelimit", "t")), "{response:?}");
        assert_eq!(field(response, "ratelimit-policy", "q"), 4);
        assert_eq!(field(response, "ratelimit-policy", "w"), month.end().since(month.start()).as_secs());
    }
    let [.., rejected, _] = responses;
    assert_eq!(rejected.header("retry-after"), field(&rejected, "ratelimit", "t").to_string());
    let problem = rejected.json();
    assert_eq!(problem["violated-policies"], json!(["monthly"]));
    let detail = "The monthly quota of 4 requests is used up. Wait for the next month, or ask for more.";
    assert_eq!(problem["detail"], detail);
    // Nobody else is concerned, nor is what is not counted.
    api.caller("acme").await.get(NOTE).await.expect(404);
    let health = api.caller_of(None).get("/health").await.expect(200);
    assert_eq!(health.header("ratelimit"), "");
    assert_eq!(settled(&api, GLOBEX).await.usage.requests, 4, "a rejected request is not counted");
    api.shutdown().await;
}

#[tokio::test]
async fn a_limit_that_an_operator_changes_counts_from_the_next_lease_on() {
    let (table, api) = start(&[]).await;
    let globex = api.caller("globex").await;
    for _ in 0..4 {
        globex.get(NOTE).await.expect(404);
    }
    // The token's context has nothing about it, and is cached by the gateway.
    set_requests(&api, 2).await;
    globex.get(NOTE).await.expect(404);
    let row = settled(&api, GLOBEX).await;
    assert_eq!((row.leased, row.terms.quota), (5, Some(2)), "what is leased goes on, for a minute at most");
    globex.get(NOTE).await.expect_problem(429, "quota_exceeded");
    // The row was not known, then its terms were, and both said no.
    table.take_updates();
    globex.get(NOTE).await.expect_problem(429, "quota_exceeded");
    assert_eq!(table.take_updates().len(), 0, "a used up quota makes no update each time");

    set_requests(&api, 7).await;
    api.local.functions().retire("records").await;
    for _ in 0..2 {
        globex.get(NOTE).await.expect(404);
    }
    globex.get(NOTE).await.expect_problem(429, "quota_exceeded");
    set_quota(&api, Value::Null).await;
    api.local.functions().retire("records").await;
    globex.get(NOTE).await.expect(404);
    api.shutdown().await;
}

#[tokio::test]
async fn without_the_table_and_without_a_unit_a_request_fails() {
    let (table, api) = start(&[]).await;
    let globex = api.caller("globex").await;
    globex.put(NOTE, &json!({"data": {}})).await.expect(201);
    for fault in [Fault::Fail, Fault::Throttle, Fault::Stall] {
        // The second block: one is used, and one is left.
        globex.get(NOTE).await.expect(200);
        table.fail_updates(Some(fault));
        globex.get(NOTE).await.expect(200);
        api.local.functions().kill("records");
        table.take();
        let started = Instant::now();
        let failed = globex.get(NOTE).await.expect_problem(503, "unavailable");
        assert!(started.elapsed() < Duration::from_secs(4), "{fault:?}: {:?}", started.elapsed());
        assert_eq!(failed.header("retry-after"), "1");
        assert_eq!(table.take().len(), 0, "the handler did not run");
        table.fail_updates(None);
        globex.get(NOTE).await.expect(200);
    }
    api.shutdown().await;
}

#[tokio::test]
async fn an_operator_may_choose_to_serve_without_the_table_and_count_later() {
    let (table, api) = start(&[("QuotaWhenUnavailable", "allow")]).await;
    set_requests(&api, 20).await;
    let globex = api.caller("globex").await;
    table.fail_updates(Some(Fault::Fail));
    for _ in 0..10 {
        globex.get(NOTE).await.expect(404);
    }
    assert_eq!(row(&api, GLOBEX).await.leased, 0);
    table.fail_updates(None);
    for _ in 0..10 {
        globex.get(NOTE).await.expect(404);
    }
    globex.get(NOTE).await.expect_problem(429, "quota_exceeded");
    let row = settled(&api, GLOBEX).await;
    assert_eq!((row.leased, row.usage.requests), (20, 20));
    api.shutdown().await;
}

#[tokio::test]
async fn an_update_whose_response_is_lost_counts_once() {
    let (table, api) = start(&[]).await;
    let globex = api.caller("globex").await;
    globex.get(NOTE).await.expect(404);
    api.local.functions().retire("records").await;
    let mut requests = 1;
    for fates in [
        vec![Some(Fault::LoseResponse)],
        vec![Some(Fault::StallDone)],
        vec![Some(Fault::Conflict), Some(Fault::Conflict)],
        vec![Some(Fault::Fail), Some(Fault::LoseResponse)],
        vec![Some(Fault::LoseResponse), Some(Fault::LoseResponse), Some(Fault::Throttle)],
    ] {
        table.next_updates(fates);
        globex.get(NOTE).await.expect(404);
        requests += 1;
        let row = settled(&api, GLOBEX).await;
        assert_eq!((row.leased, row.usage.requests), (requests, requests), "{row:?}");
    }
    api.shutdown().await;
}

#[tokio::test]
async fn an_update_without_a_response_is_resolved_by_the_next_request() {
    let (table, api) = start(&[]).await;
    let globex = api.caller("globex").await;
    globex.get(NOTE).await.expect(404);
    api.local.functions().retire("records").await;
    // It is done, but the response of every attempt is lost.
    table.fail_updates(Some(Fault::LoseResponse));
    globex.get(NOTE).await.expect_problem(503, "unavailable");
    table.fail_updates(None);
    globex.get(NOTE).await.expect(404);
    let row = settled(&api, GLOBEX).await;
    assert_eq!((row.leased, row.usage.requests), (2, 2), "{row:?}");
    api.shutdown().await;
}

#[tokio::test]
async fn a_busy_tenant_takes_one_update_in_fifty_requests() {
    let (table, api) = start(&[]).await;
    let globex = api.caller("globex").await;
    globex.get(NOTE).await.expect(404);
    table.take_updates();
    for _ in 0..500 {
        globex.get(NOTE).await.expect(404);
    }
    let updates = table.take_updates();
    assert!(updates.len() <= 10, "{} for 500 requests", updates.len());
    assert_eq!(settled(&api, GLOBEX).await.usage.requests, 501);
    api.shutdown().await;
}

#[tokio::test]
async fn a_plan_without_a_quota_lets_nobody_in() {
    let (_table, api) = start(&[]).await;
    let globex = api.caller("globex").await;
    globex.get(NOTE).await.expect(404);
    set_plan(&api, "gone").await;
    api.local.functions().retire("records").await;
    globex.get(NOTE).await.expect_problem(500, "internal_error");
    api.shutdown().await;
}

/// Writes a plan into this month's row, directly into the table.
async fn set_plan(api: &Api, plan: &str) {
    let client = aws::dynamodb(&api.aws_config(), aws::connector());
    let string = |text: &str| AttributeValue::S(text.to_owned());
    let update = client.update_item().table_name("Table").key("pk", string(&format!("T#{GLOBEX}#USAGE")));
    let update = update.key("sk", string(&Month::of(Timestamp::now()).to_string()));
    let update = update.update_expression("SET #p = :p").expression_attribute_names("#p", "plan");
    update.expression_attribute_values(":p", string(plan)).send().await.unwrap();
}
