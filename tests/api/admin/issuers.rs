//! Issuers of one tenant.

use std::collections::BTreeMap;
use std::process::Stdio;

use local::issuer::Issuer;
use local::runtime::{ATTACHED, LogFormat, RuntimeOptions, environment};
use local::template::Template;
use local::{guard, management};
use serde_json::{Value, json};
use service::domain::tenant::TenantId;
use service::domain::tenant_key;
use service::runtime::aws;
use service::store::Store;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinHandle;

use super::{NOTE, TENANTS, onboard, operator};
use crate::support::contract::scopes;
use crate::support::{Api, Caller, binaries, workspace};

/// An issuer that the stack does not know, on a port of its own.
struct Own {
    folder: TempDir,
    url: String,
    issuer: Issuer,
    server: JoinHandle<std::io::Result<()>>,
}

impl Own {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let issuer = Issuer::open(Some(folder.path()), &url, &[], scopes()).unwrap();
        let server = tokio::spawn(axum::serve(listener, issuer.router()).into_future());
        Self { folder, url, issuer, server }
    }

    /// As an operator adds it, with further members.
    fn config(&self, more: &Value) -> Value {
        let jwks = self.issuer.jwks_url();
        let mut config = json!({"issuer": self.issuer.url(), "jwksUri": jwks, "audiences": ["tenantry"]});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config
    }

    /// A client whose tokens, each another one, name this tenant.
    fn caller<'a>(&self, api: &'a Api, tenant: &str) -> Caller<'a> {
        api.caller_of(Some(&self.issuer.token(tenant, None, None, None).unwrap().access_token))
    }

    /// A client whose tokens name a tenant by this opaque key.
    fn caller_with_key<'a>(&self, api: &'a Api, key: &str) -> Caller<'a> {
        let issuer = Issuer::open(Some(self.folder.path()), &self.url, &[("user", key)], scopes()).unwrap();
        api.caller_of(Some(&issuer.token("user", None, None, None).unwrap().access_token))
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[tokio::test]
async fn an_issuer_works_without_a_deployment_and_for_its_tenant_only() {
    let (api, own) = (Api::start().await, Own::start().await);
    let operator = operator(&api).await;
    let globex = local::seed::DEMO[1].id;
    let added = own.config(&json!({}));
    let id = onboard(&operator, &json!({"name": "Initech", "plan": "pro", "issuers": [added]})).await;
    let path = format!("{TENANTS}/{id}");
    let issuers = operator.get(&path).await.expect(200).json()["issuers"].clone();
    assert_eq!(issuers, json!([own.config(&json!({"scopeClaim": "scope"}))]));

    own.caller(&api, &id).put(NOTE, &json!({"data": {"of": "initech"}})).await.expect(201);
    // Whomever a token names: the issuer is Initech's.
    let note = own.caller(&api, globex).get(NOTE).await.expect(200).json();
    assert_eq!(note["data"], json!({"of": "initech"}));
    api.caller("globex").await.get(NOTE).await.expect(404);
    api.caller(&id).await.get(NOTE).await.expect_problem(403, "tenant_unknown");

    // With a claim that has to name the tenant, it speaks for nobody else, either. The authorizer keeps what it read.
    let issuers = json!([own.config(&json!({"tenantClaim": "tenant"}))]);
    operator.patch(&path, &json!({"issuers": issuers})).await.expect(200);
    api.local.functions().kill("authorizer");
    own.caller(&api, &id).get(NOTE).await.expect(200);
    own.caller(&api, globex).get(NOTE).await.expect_problem(403, "tenant_unknown");

    operator.patch(&path, &json!({"issuers": []})).await.expect(200);
    api.local.functions().kill("authorizer");
    own.caller(&api, &id).get(NOTE).await.expect_problem(401, "unauthorized");
    api.caller_with(&id, &[("scope", "records:read")]).await.get(NOTE).await.expect(200);
    api.shutdown().await;
}

#[tokio::test]
async fn an_issuer_is_one_tenants_until_it_is_dropped_or_offboarded() {
    let (api, own) = (Api::start().await, Own::start().await);
    let operator = operator(&api).await;
    let issuers = json!([own.config(&json!({})), "https://login.example"]);
    let first = onboard(&operator, &json!({"name": "First", "plan": "free", "issuers": issuers})).await;
    let second = onboard(&operator, &json!({"name": "Second", "plan": "free"})).await;
    let second_id = second.clone();
    let [first, second] = [first, second].map(|id| format!("{TENANTS}/{id}"));

    let third = json!({"id": TenantId::generate().as_str(), "name": "Third", "plan": "free", "issuers": issuers});
    operator.post(TENANTS, &third).await.expect_problem(409, "issuer_taken");
    operator.get(&format!("{TENANTS}/{}", third["id"].as_str().unwrap())).await.expect(404);
    let patch = json!({"issuers": issuers});
    operator.patch(&second, &patch).await.expect_problem(409, "issuer_taken");
    assert_eq!(operator.get(&second).await.json()["issuers"], json!([]));
    operator.patch(&first, &patch).await.expect(200);

    operator.patch(&first, &json!({"issuers": ["https://login.example"]})).await.expect(200);
    operator.patch(&second, &patch).await.expect(200);
    operator.patch(&first, &patch).await.expect_problem(409, "issuer_taken");

    operator.delete(&second).await.expect(202);
    operator.patch(&first, &patch).await.expect_problem(409, "issuer_taken");
    api.finish_offboarding(&second_id).await;
    let gone = operator.get(&second).await.expect(200).json();
    assert_eq!((&gone["status"], &gone["issuers"]), (&json!("offboarded"), &json!([])));
    operator.patch(&first, &patch).await.expect(200);
    api.shutdown().await;
}

/// The local issuer is one of the stack, and has no HTTPS.
#[tokio::test]
async fn an_issuer_of_the_stack_is_named_by_its_address_whatever_that_is() {
    let api = Api::start().await;
    let operator = operator(&api).await;
    let stack = api.local.issuer().url();
    let id = onboard(&operator, &json!({"name": "Initech", "plan": "pro", "issuers": [stack]})).await;
    api.caller(&id).await.get(NOTE).await.expect_problem(404, "record_not_found");
    let path = format!("{TENANTS}/{id}");
    operator.patch(&path, &json!({"issuers": ["https://login.example", stack]})).await.expect(200);
    assert_eq!(operator.get(&path).await.json()["issuers"], json!(["https://login.example", stack]));
    for other in [
        format!("{stack}/"),
        format!("{stack}x"),
        "http://127.0.0.1:1/_local".to_owned(),
        "https://login.example@evil.example".to_owned(),
        "https://login.example/#a".to_owned(),
        "https://login.example/ ".to_owned(),
        "login.example".to_owned(),
    ] {
        operator.patch(&path, &json!({"issuers": [other]})).await.expect_problem(400, "invalid_issuer");
    }
    api.shutdown().await;
}

/// As a customer's directory that the operator lists in the stack, which could name any tenant.
#[tokio::test]
async fn a_stacks_issuer_signs_in_tenants_without_issuers_only_if_it_is_configured_to() {
    let own = Own::start().await;
    let mut customers = own.config(&json!({"tenantClaim": "tenant"}));
    let globex = local::seed::DEMO[1].id;
    for (default, status) in [(None, 403), (Some(false), 403), (Some(true), 404)] {
        if let Some(default) = default {
            customers["defaultForTenants"] = json!(default);
        }
        let issuers = json!([customers]).to_string();
        let api = Api::start_with_parameter("Issuers", &issuers).await;
        let response = own.caller(&api, globex).get(NOTE).await.expect(status);
        assert_eq!(response.json()["code"], if status == 403 { "tenant_unknown" } else { "record_not_found" });
        api.shutdown().await;
    }
}

#[tokio::test]
async fn its_tokens_may_be_signed_with_the_algorithms_that_it_lists() {
    let (api, own) = (Api::start().await, Own::start().await);
    let operator = operator(&api).await;
    let [lists_it, lists_another] =
        [json!(["RS256", "PS256"]), json!(["PS256"])].map(|list| own.config(&json!({"algorithms": list})));
    let id = onboard(&operator, &json!({"name": "Initech", "plan": "pro", "issuers": [lists_it]})).await;
    own.caller(&api, &id).get(NOTE).await.expect_problem(404, "record_not_found");
    let path = format!("{TENANTS}/{id}");
    let shown = operator.patch(&path, &json!({"issuers": [lists_another]})).await.expect(200).json();
    assert_eq!(shown["issuers"][0]["algorithms"], json!(["PS256"]));
    // The authorizer keeps what it read for a minute.
    api.local.functions().kill("authorizer");
    own.caller(&api, &id).get(NOTE).await.expect_problem(401, "unauthorized");
    let wrong = json!({"issuers": [own.config(&json!({"algorithms": ["HS256"]}))]});
    operator.patch(&path, &wrong).await.expect_problem(400, "invalid_issuer");
    api.shutdown().await;
}

/// On Lambda, it would reach the Runtime API, which has the requests of all tenants.
#[tokio::test]
async fn a_function_does_not_start_with_keys_over_plain_http_unless_it_is_in_development() {
    let api = Api::start().await;
    let parameters = local::overrides(BTreeMap::new(), api.local.base_url());
    let template = Template::read(&workspace().join("template.yaml"), &parameters).unwrap();
    let options = RuntimeOptions {
        base_url: api.local.base_url().to_owned(),
        api_gateway_endpoint: management::endpoint(api.local.base_url()),
        dynamodb_endpoint: guard::endpoint(api.local.base_url()),
        environments: 1,
        quiet: true,
        log_format: LogFormat::Json,
    };
    for function in ["authorizer", "tenants"] {
        let definition = template.functions.iter().find(|one| one.name == function).unwrap();
        let mut variables = environment(definition, &options, ATTACHED);
        assert_eq!(variables.remove("AWS_SAM_LOCAL").as_deref(), Some("true"));
        let mut command = Command::new(binaries().await.join(function));
        let ended = command.env_clear().envs(variables).stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
        assert!(!ended.status.success(), "{function}");
        let errors = String::from_utf8_lossy(&ended.stderr);
        assert!(errors.contains("NotHttps") && errors.contains(&api.local.issuer().jwks_url()), "{function}: {errors}");
    }
    api.shutdown().await;
}

#[tokio::test]
async fn what_cannot_be_trusted_is_not_added() {
    let (api, own) = (Api::start().await, Own::start().await);
    let operator = operator(&api).await;
    let of_the_stack = json!({"issuer": api.local.issuer().url(), "audiences": ["tenantry"]});
    let changed = |more: Value| own.config(&more);
    for (issuers, status, code) in [
        (json!([of_the_stack]), 409, "issuer_taken"),
        (json!([changed(json!({"operatorClients": ["operator"]}))]), 400, "invalid_issuer"),
        (json!([changed(json!({"audiences": []}))]), 400, "invalid_issuer"),
        (json!([changed(json!({"defaultForTenants": true}))]), 400, "invalid_issuer"),
        (json!([changed(json!({"jwksUri": "https://user@keys.example"}))]), 400, "invalid_issuer"),
        (json!([changed(json!({"jwks": {"keys": []}, "jwksUri": null}))]), 400, "invalid_issuer"),
        (json!([changed(json!({"jwksUri": "http://keys.example"}))]), 400, "invalid_issuer"),
        (json!([changed(json!({"issuer": "login.example"}))]), 400, "invalid_issuer"),
        (json!([changed(json!({"tenant": "x"}))]), 400, "invalid_issuer"),
        (json!([changed(json!({})), changed(json!({"tenantClaim": "org"}))]), 400, "invalid_issuer"),
        (json!(["https://a.example", "https://a.example"]), 400, "invalid_issuer"),
        (json!([7]), 400, "invalid_body"),
    ] {
        let body = json!({"name": "Initech", "plan": "free", "issuers": issuers});
        operator.post(TENANTS, &body).await.expect_problem(status, code);
    }
    own.caller(&api, local::seed::DEMO[1].id).get(NOTE).await.expect_problem(401, "unauthorized");
    api.shutdown().await;
}

#[tokio::test]
async fn an_opaque_key_stands_for_its_tenant_until_it_is_rotated_out() {
    let (api, own) = (Api::start().await, Own::start().await);
    let operator = operator(&api).await;
    let issuers = json!([own.config(&json!({"tenantClaim": "tenant", "tenantKeys": true}))]);
    let id = onboard(&operator, &json!({"name": "Initech", "plan": "pro", "issuers": issuers})).await;
    let (path, keys) = (format!("{TENANTS}/{id}"), format!("{TENANTS}/{id}/keys"));
    let make = async |body: Value| {
        let made = operator.post(&keys, &body).await.expect(201);
        assert_eq!(made.header("cache-control"), "no-store");
        made.json()["key"].as_str().unwrap().to_owned()
    };
    own.caller(&api, &id).get(NOTE).await.expect_problem(403, "tenant_unknown");
    let first = make(json!({})).await;
    own.caller_with_key(&api, &first).put(NOTE, &json!({"data": {"n": 1}})).await.expect(201);
    let second = make(json!({"overlap": 3600})).await;
    for key in [&first, &second] {
        own.caller_with_key(&api, key).get(NOTE).await.expect(200);
    }
    let shown = operator.get(&path).await.expect(200);
    assert!(!shown.text.contains(&first) && !shown.text.contains(&second), "{}", shown.text);
    let shown = shown.json()["tenantKeys"].clone();
    assert_eq!((shown[0].get("expiresAt").is_some(), shown[1].get("expiresAt")), (true, None), "{shown}");

    let third = make(json!({"overlap": 0})).await;
    // The authorizer keeps what it read for a minute.
    api.local.functions().kill("authorizer");
    for key in [&first, &second] {
        own.caller_with_key(&api, key).get(NOTE).await.expect_problem(403, "tenant_unknown");
    }
    own.caller_with_key(&api, &third).get(NOTE).await.expect(200);

    for body in [json!({"overlap": -1}), json!({"overlap": "1"}), json!({"overlap": 2_592_001}), json!({"key": "x"})] {
        operator.post(&keys, &body).await.expect_problem(400, "invalid_body");
    }
    let nobody = format!("{TENANTS}/01K0N1TECH0000000000000000/keys");
    operator.post(&nobody, &json!({})).await.expect_problem(404, "tenant_not_found");

    let store = Store::new(aws::dynamodb(&api.aws_config(), aws::connector()), "Table");
    let digest = tenant_key::digest(&third).unwrap();
    assert!(store.tenant_key_get(&digest).await.unwrap().is_some());
    operator.delete(&path).await.expect(202);
    api.finish_offboarding(&id).await;
    assert_eq!(store.tenant_key_get(&digest).await.unwrap(), None, "an offboarded tenant leaves none behind");
    assert_eq!(store.issuer_get(own.issuer.url()).await.unwrap(), None);
    operator.post(&keys, &json!({})).await.expect_problem(409, "change_not_allowed");
    api.shutdown().await;
}
