//! Everything together, with functions that do nothing.

use std::os::unix::fs::symlink;

use serde_json::Value;
use service::tenant::TenantId;

use super::*;

const TEMPLATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml");
const HANGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/runtime/testdata/hang");

/// The functions of the template, by the names of their binaries.
fn functions() -> Vec<String> {
    let template = Template::read(TEMPLATE.as_ref(), &BTreeMap::new()).unwrap();
    template.functions.into_iter().map(|function| function.name).collect()
}

fn options(folder: &Path) -> Options {
    for name in functions() {
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
    assert_eq!(get(format!("{base}/_local/functions")).await.as_array().unwrap().len(), functions().len());
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
