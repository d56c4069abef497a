//! The management calls over HTTP, made with the unchanged AWS SDK.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use aws_sdk_apigateway::Client;
use aws_sdk_apigateway::config::retry::RetryConfig;
use aws_sdk_apigateway::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_apigateway::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_apigateway::types::{Op, PatchOperation};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::guard::Guard;
use crate::template::{REGION, Template};

const TEMPLATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml");
const ACME: &str = "01K0ACME000000000000000000";
const GLOBEX: &str = "01K0G10BEX0000000000000000";

/// A server with the calls, and a client for it.
struct Served {
    client: Client,
    url: String,
    keys: ApiKeys,
    server: JoinHandle<()>,
}

impl Served {
    async fn start() -> Self {
        let template = Template::read(TEMPLATE.as_ref(), &BTreeMap::new()).unwrap();
        let keys = ApiKeys::default();
        let management = Management::new(keys.clone(), &template.plans, Guard::new(Vec::new(), true));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}{PATH}", listener.local_addr().unwrap());
        let router = management.router();
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let config = aws_sdk_apigateway::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(&url)
            .region(Region::new(REGION))
            .credentials_provider(Credentials::from_keys("local", "local", None))
            .retry_config(RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(1)))
            .build();
        Self { client: Client::from_conf(config), url, keys, server }
    }

    /// Creates an enabled API key with a value, and returns its id.
    async fn create(&self, value: &str, name: &str) -> String {
        let call = self.client.create_api_key().value(value).name(name).enabled(true);
        call.send().await.unwrap().id.unwrap()
    }

    async fn join(&self, plan: &str, id: &str) {
        let call = self.client.create_usage_plan_key().usage_plan_id(plan).key_id(id).key_type("API_KEY");
        call.send().await.unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Returns the status and the type of an error.
fn error<T, E>(result: Result<T, SdkError<E>>) -> (u16, String)
where
    SdkError<E>: aws_sdk_apigateway::error::ProvideErrorMetadata,
{
    let error = result.err().unwrap();
    let status = error.raw_response().unwrap().status().as_u16();
    (status, error.code().unwrap().to_owned())
}

fn is(status: u16, kind: &str) -> (u16, String) {
    (status, kind.to_owned())
}

fn replace(path: &str, value: &str) -> PatchOperation {
    PatchOperation::builder().op(Op::Replace).path(path).value(value).build()
}

#[tokio::test]
async fn the_life_cycle_of_an_api_key() {
    let served = Served::start().await;
    let Served { client, keys, .. } = &served;

    let call = client.create_api_key().value(ACME).name("acme").enabled(true).generate_distinct_id(true);
    let made = call.tags("tenant", ACME).send().await.unwrap();
    let id = made.id().unwrap();
    assert_eq!((made.value(), made.name(), made.enabled()), (Some(ACME), Some("acme"), true));
    assert_eq!(made.tags().unwrap()["tenant"], ACME);
    assert!(made.created_date().unwrap().secs() > 1_700_000_000);

    let plain = client.get_api_key().api_key(id).send().await.unwrap();
    assert_eq!((plain.id(), plain.value()), (Some(id), None), "a value is returned only on request");
    let full = client.get_api_key().api_key(id).include_value(true).send().await.unwrap();
    assert_eq!((full.value(), full.last_updated_date()), (Some(ACME), made.last_updated_date()));

    let place = client.create_usage_plan_key().usage_plan_id("freeplan").key_id(id).key_type("API_KEY");
    let place = place.send().await.unwrap();
    assert_eq!((place.id(), place.value(), place.r#type()), (Some(id), Some(ACME), Some("API_KEY")));
    let place = client.get_usage_plan_key().usage_plan_id("freeplan").key_id(id).send().await.unwrap();
    assert_eq!((place.id(), place.name()), (Some(id), Some("acme")));
    let members = client.get_usage_plan_keys().usage_plan_id("freeplan").send().await.unwrap();
    assert_eq!(members.items().len(), 1);
    let plans = client.get_usage_plans().key_id(id).send().await.unwrap();
    assert_eq!(plans.items().iter().map(|plan| plan.id().unwrap()).collect::<Vec<_>>(), ["freeplan"]);
    assert_eq!(keys.find(ACME).unwrap().plan.as_deref(), Some("free"));

    let change = client.update_api_key().api_key(id);
    let change = change.patch_operations(replace("/enabled", "false")).patch_operations(replace("/name", "gone"));
    let changed = change.send().await.unwrap();
    assert_eq!((changed.enabled(), changed.name(), changed.value()), (false, Some("gone"), None));
    assert!(!keys.find(ACME).unwrap().enabled);

    client.delete_usage_plan_key().usage_plan_id("freeplan").key_id(id).send().await.unwrap();
    assert_eq!(keys.find(ACME).unwrap().plan, None);
    served.join("proplan", id).await;
    client.delete_api_key().api_key(id).send().await.unwrap();
    assert_eq!(keys.find(ACME), None);
    let members = client.get_usage_plan_keys().usage_plan_id("proplan").send().await.unwrap();
    assert!(members.items().is_empty(), "a key that is deleted leaves its plan");
    assert_eq!(error(client.get_api_key().api_key(id).send().await), is(404, "NotFoundException"));
}

#[tokio::test]
async fn a_value_and_a_membership_exist_once() {
    let served = Served::start().await;
    let Served { client, .. } = &served;
    let id = served.create(ACME, "acme").await;
    let again = client.create_api_key().value(ACME).send().await;
    let conflict = again.as_ref().err().and_then(SdkError::as_service_error).unwrap();
    assert!(conflict.is_conflict_exception());
    assert_eq!(conflict.message(), Some("API Key already exists"));
    let short = client.create_api_key().value("short").send().await;
    assert_eq!(error(short), is(400, "BadRequestException"));

    served.join("freeplan", &id).await;
    let place = |plan: &str, id: &str, kind: &str| {
        client.create_usage_plan_key().usage_plan_id(plan).key_id(id).key_type(kind).send()
    };
    assert_eq!(error(place("freeplan", &id, "API_KEY").await), is(409, "ConflictException"));
    assert_eq!(error(place("proplan", &id, "API_KEY").await), is(409, "ConflictException"));
    assert_eq!(error(place("noplan", &id, "API_KEY").await), is(404, "NotFoundException"));
    assert_eq!(error(place("proplan", "nokey", "API_KEY").await), is(404, "NotFoundException"));
    assert_eq!(error(place("proplan", &id, "OTHER").await), is(400, "BadRequestException"));

    let other = client.get_usage_plan_key().usage_plan_id("proplan").key_id(&id).send().await;
    assert_eq!(error(other), is(404, "NotFoundException"));
    let other = client.delete_usage_plan_key().usage_plan_id("proplan").key_id(&id).send().await;
    assert_eq!(error(other), is(404, "NotFoundException"));
    let unknown = client.delete_api_key().api_key("nokey").send().await;
    assert_eq!(error(unknown), is(404, "NotFoundException"));
}

#[tokio::test]
async fn a_patch_that_cannot_be_made_changes_nothing() {
    let served = Served::start().await;
    let id = served.create(ACME, "acme").await;
    let before = served.keys.get(&id).unwrap();
    let remove = PatchOperation::builder().op(Op::Remove).path("/name").build();
    for broken in [replace("/value", GLOBEX), replace("/enabled", "perhaps"), remove] {
        let change = served.client.update_api_key().api_key(&id).patch_operations(replace("/name", "globex"));
        let rejected = change.patch_operations(broken).send().await;
        assert_eq!(error(rejected), is(400, "BadRequestException"));
    }
    assert_eq!(served.keys.get(&id).unwrap(), before);
}

#[tokio::test]
async fn plans_are_those_of_the_template() {
    let served = Served::start().await;
    let first = served.client.get_usage_plans().limit(2).send().await.unwrap();
    let ids = |plans: &[aws_sdk_apigateway::types::UsagePlan]| {
        plans.iter().map(|plan| plan.id().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(first.items()), ["freeplan", "proplan"]);
    let next = served.client.get_usage_plans().set_position(first.position().map(str::to_owned));
    let next = next.send().await.unwrap();
    assert_eq!((ids(next.items()), next.position()), (vec!["standardplan".to_owned()], None));

    let free = served.client.get_usage_plan().usage_plan_id("freeplan").send().await.unwrap();
    assert_eq!((free.name(), free.tags().unwrap()["plan"].as_str()), (Some("local-free"), "free"));
    let stage = &free.api_stages()[0];
    assert_eq!((stage.api_id(), stage.stage()), (Some("local"), Some("v1")));
    let throttle = free.throttle().unwrap();
    assert!((throttle.rate_limit() - 5.0).abs() < f64::EPSILON);
    assert_eq!((throttle.burst_limit(), free.quota().unwrap().limit()), (10, 100_000));
    let none = served.client.get_usage_plan().usage_plan_id("noplan").send().await;
    assert_eq!(error(none), is(404, "NotFoundException"));
}

#[tokio::test]
async fn api_keys_are_listed_by_page_and_by_the_beginning_of_their_name() {
    let served = Served::start().await;
    for (value, name) in [(ACME, "v1-acme"), (GLOBEX, "v1-globex"), ("0123456789ABCDEFGHIJ", "v2")] {
        served.create(value, name).await;
    }
    let mut values = Vec::new();
    let mut pages = served.client.get_api_keys().limit(1).include_values(true).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        assert!(page.items().len() <= 1);
        values.extend(page.items().iter().map(|key| key.value().unwrap().to_owned()));
    }
    values.sort();
    assert_eq!(values, ["0123456789ABCDEFGHIJ", ACME, GLOBEX]);

    let found = |name: &str| served.client.get_api_keys().name_query(name).send();
    assert_eq!(found("v1-").await.unwrap().items().len(), 2);
    let acme = found("v1-acme").await.unwrap();
    assert_eq!((acme.items().len(), acme.items()[0].value()), (1, None));
    assert!(found("acme").await.unwrap().items().is_empty());
    let much = served.client.get_api_keys().limit(501).send().await;
    assert_eq!(error(much), is(400, "BadRequestException"));
}

#[tokio::test]
async fn a_call_that_is_not_signed_or_not_supported_is_rejected() {
    let served = Served::start().await;
    let client = reqwest::Client::new();
    let unsigned = client.post(format!("{}/apikeys", served.url)).body("{}").send().await.unwrap();
    assert_eq!(unsigned.status(), 401);
    assert_eq!(unsigned.headers()["x-amzn-errortype"], "UnauthorizedException");
    assert!(served.keys.list().is_empty());
    let unknown = served.client.get_rest_apis().send().await;
    assert_eq!(error(unknown), is(404, "UnknownOperationException"));
    let unknown = served.client.create_usage_plan().name("own").send().await;
    assert_eq!(error(unknown), is(404, "UnknownOperationException"));
}
