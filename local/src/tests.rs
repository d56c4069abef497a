//! A complete `local`, with functions that do nothing.

use std::os::unix::fs::symlink;

use serde_json::Value;
use service::domain::caller::Operator;
use service::domain::tenant::lifecycle::{KeyKind, ManagedTenant};
use service::domain::tenant::{Status, Tenant, TenantId};
use service::domain::time::Timestamp;

use super::*;

const TEMPLATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml");
const HANGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/runtime/testdata/hang");

/// Returns the names of the binaries of the template's functions, in a stack without a user pool as `local` is.
fn functions() -> Vec<String> {
    let overrides = BTreeMap::from([("UserPool".to_owned(), "false".to_owned())]);
    let template = Template::read(TEMPLATE.as_ref(), &overrides).unwrap();
    template.functions.into_iter().map(|function| function.name).collect()
}

fn options(folder: &Path) -> Options {
    for name in functions() {
        let link = folder.join(name);
        if !link.exists() {
            symlink(HANGS, link).unwrap();
        }
    }
    // A function that does nothing onboards nobody.
    Options { binaries: Binaries::Directory(folder.to_owned()), quiet: true, seed: false, ..Options::new(TEMPLATE) }
}

async fn get(url: String) -> Value {
    reqwest::get(url).await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn one_port_serves_the_functions_the_issuer_and_the_api() {
    let folder = tempfile::tempdir().unwrap();
    let local = Local::start(options(folder.path())).await.unwrap();
    let base = local.base_url();
    assert_eq!(local.url(), format!("{base}/v1"));
    assert_eq!(get(format!("{base}/_local/functions")).await.as_array().unwrap().len(), functions().len());
    let issuer = get(format!("{base}/_local/.well-known/openid-configuration")).await;
    assert_eq!(issuer["issuer"], format!("{base}/_local"));
    // The validation expression rejects the request, so no function is invoked.
    assert_eq!(reqwest::get(format!("{}/collections", local.url())).await.unwrap().status(), 401);
    local.shutdown().await;
}

fn store(local: &Local) -> Store {
    Store::new(aws::dynamodb(&AwsConfig::local(local.dynamodb_endpoint()), aws::connector()), "Table")
}

/// Writes the row of a new tenant, and puts its API key into its usage plan.
async fn onboard(local: &Local) -> Tenant {
    let id = TenantId::generate();
    let (name, plan) = ("Initech".to_owned(), "pro".to_owned());
    let tenant =
        Tenant { api_key: id.to_string(), id, name, plan, status: Status::Onboarding, issuers: vec![], quota: None };
    let mut managed = ManagedTenant::new(tenant, KeyKind::Own, BTreeMap::new(), Timestamp::now());
    store(local).tenant_create(&Operator::schedule(), &mut managed).await.unwrap();
    local.keys().put(&managed.tenant.api_key, &managed.tenant.plan);
    managed.tenant
}

#[tokio::test]
async fn a_data_folder_stores_the_signing_key_the_rows_and_the_api_keys() {
    let folder = tempfile::tempdir().unwrap();
    let data = Data::Folder(folder.path().join("data"));
    let start = || Local::start(Options { data: data.clone(), ..options(folder.path()) });

    let local = start().await.unwrap();
    let jwks = get(format!("{}/_local/jwks.json", local.base_url())).await;
    let tenant = onboard(&local).await;
    let key = local.keys().find(&tenant.api_key);
    assert!(key.is_some());
    local.shutdown().await;

    let local = start().await.unwrap();
    assert_eq!(get(format!("{}/_local/jwks.json", local.base_url())).await, jwks);
    assert_eq!(store(&local).tenant_get(&tenant.id).await.unwrap(), Some(tenant.clone()));
    assert_eq!(local.keys().find(&tenant.api_key), key);
    local.shutdown().await;
}

#[tokio::test]
async fn api_keys_can_be_managed_on_the_same_port() {
    let folder = tempfile::tempdir().unwrap();
    let local = Local::start(options(folder.path())).await.unwrap();
    let call = reqwest::Client::new().get(format!("{}/usageplans", management::endpoint(local.base_url())));
    let plans = call.header("authorization", "AWS4-HMAC-SHA256 -").send().await.unwrap().json::<Value>().await.unwrap();
    assert_eq!(plans["item"].as_array().unwrap().len(), 3);
    local.shutdown().await;
}

#[tokio::test]
async fn another_dynamodb_can_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let first = Local::start(options(folder.path())).await.unwrap();
    let endpoint = first.dynamodb_endpoint().to_owned();
    let second = Options { dynamodb_endpoint: Some(endpoint.clone()), ..options(folder.path()) };
    let second = Local::start(second).await.unwrap();
    assert_eq!(second.dynamodb_endpoint(), endpoint);
    let tenant = onboard(&first).await;
    assert!(store(&second).tenant_get(&tenant.id).await.unwrap().is_some());
    second.shutdown().await;
    first.shutdown().await;
}

#[tokio::test]
async fn a_port_in_use_is_reported_before_anything_is_built() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = Local::start(Options { port, ..Options::new("nowhere.yaml") }).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("cannot listen on 127.0.0.1:{port}")), "{error}");
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_function_that_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let local = Local::start(options(folder.path())).await.unwrap();
    let health = tokio::spawn(reqwest::get(format!("{}/health", local.url())));
    while local.functions().stats().iter().all(|function| function.processes == 0) {
        tokio::task::yield_now().await;
    }
    local.shutdown().await;
    assert_eq!(health.await.unwrap().unwrap().status(), 502);
}
