//! Everything together, with functions that do nothing.

use std::os::unix::fs::symlink;

use serde_json::Value;
use service::tenant::{Status, TenantId};

use super::*;

const TEMPLATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml");
const HANGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/runtime/testdata/hang");

fn options(folder: &Path) -> Options {
    for name in ["authorizer", "health", "records"] {
        let link = folder.join(name);
        if !link.exists() {
            symlink(HANGS, link).unwrap();
        }
    }
    Options { binaries: Binaries::Directory(folder.to_owned()), quiet: true, ..Options::new(TEMPLATE) }
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
    assert_eq!(get(format!("{base}/_local/functions")).await.as_array().unwrap().len(), 3);
    let issuer = get(format!("{base}/_local/.well-known/openid-configuration")).await;
    assert_eq!(issuer["issuer"], format!("{base}/_local"));
    // Refused by the expression, so that no function is asked.
    assert_eq!(reqwest::get(format!("{}/collections", local.url())).await.unwrap().status(), 401);

    let acme = TenantId::parse(seed::DEMO[0].id).unwrap();
    let row = local.store.tenant(&acme).await.unwrap().unwrap();
    assert_eq!((row.plan.as_str(), row.issuers), ("free", vec![format!("{base}/_local")]));
    local.shutdown().await;
}

#[tokio::test]
async fn without_a_seed_there_are_no_tenants() {
    let folder = tempfile::tempdir().unwrap();
    let local = Local::start(Options { seed: false, ..options(folder.path()) }).await.unwrap();
    let acme = TenantId::parse(seed::DEMO[0].id).unwrap();
    assert!(local.store.tenant(&acme).await.unwrap().is_none());
    local.shutdown().await;
}

#[tokio::test]
async fn a_data_folder_keeps_the_key_and_the_rows() {
    let folder = tempfile::tempdir().unwrap();
    let data = Data::Folder(folder.path().join("data"));
    let mut keys = Vec::new();
    for seed in [true, false] {
        let local = Local::start(Options { data: data.clone(), seed, ..options(folder.path()) }).await.unwrap();
        keys.push(get(format!("{}/_local/jwks.json", local.base_url())).await);
        let acme = TenantId::parse(seed::DEMO[0].id).unwrap();
        assert!(local.store.tenant(&acme).await.unwrap().is_some());
        local.shutdown().await;
    }
    assert_eq!(keys[0], keys[1]);
}

#[tokio::test]
async fn the_seed_puts_what_is_missing_and_leaves_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let start = || Local::start(Options { data: Data::Folder(data.clone()), ..options(folder.path()) });
    let [acme, globex] = seed::DEMO.map(|tenant| tenant.id);
    let id = TenantId::parse(acme).unwrap();

    let local = start().await.unwrap();
    let mut row = local.store.tenant(&id).await.unwrap().unwrap();
    row.plan = "pro".to_owned();
    // As after a start on another port.
    row.issuers = vec!["http://127.0.0.1:1/_local".to_owned(), "https://issuer.example".to_owned()];
    local.onboard(&row).await.unwrap();
    local.keys().set_enabled(acme, false);
    local.keys().remove(globex);
    let changed = local.keys().find(acme);
    local.shutdown().await;

    let local = start().await.unwrap();
    assert_eq!(local.keys().find(acme), changed, "a key that is there stays as it is");
    let key = local.keys().find(globex).unwrap();
    assert_eq!((key.plan.as_deref(), key.enabled), (Some("pro"), true));
    let row = local.store.tenant(&id).await.unwrap().unwrap();
    let issuer = local.issuer.url().to_owned();
    assert_eq!((row.plan.as_str(), row.issuers), ("pro", vec!["https://issuer.example".to_owned(), issuer]));
    local.shutdown().await;

    let local = start().await.unwrap();
    let mut row = local.store.tenant(&id).await.unwrap().unwrap();
    row.status = Status::Suspended;
    local.store.put_tenant(&row).await.unwrap();
    local.keys().remove(acme);
    local.shutdown().await;
    let local = start().await.unwrap();
    assert_eq!(local.keys().find(acme), None, "who is not let in gets no key back");
    local.shutdown().await;
}

#[tokio::test]
async fn a_key_can_be_managed_beside_the_api() {
    let folder = tempfile::tempdir().unwrap();
    let local = Local::start(options(folder.path())).await.unwrap();
    let call = reqwest::Client::new().get(format!("{}{}/usageplans", local.base_url(), management::PATH));
    let plans = call.header("authorization", "AWS4-HMAC-SHA256 -").send().await.unwrap().json::<Value>().await.unwrap();
    assert_eq!(plans["item"].as_array().unwrap().len(), 3);
    let calls = local.management().calls();
    assert_eq!(calls[0].operation, management::Operation::GetUsagePlans);
    local.shutdown().await;
}

#[tokio::test]
async fn another_dynamodb_can_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let first = Local::start(options(folder.path())).await.unwrap();
    let endpoint = first.dynamodb_endpoint().to_owned();
    let second = Options { dynamodb_endpoint: Some(endpoint.clone()), seed: false, ..options(folder.path()) };
    let second = Local::start(second).await.unwrap();
    assert_eq!(second.dynamodb_endpoint(), endpoint);
    let globex = TenantId::parse(seed::DEMO[1].id).unwrap();
    assert!(second.store.tenant(&globex).await.unwrap().is_some());
    second.shutdown().await;
    first.shutdown().await;
}

#[tokio::test]
async fn a_port_in_use_is_told_before_anything_is_built() {
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
