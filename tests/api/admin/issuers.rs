//! Issuers of one tenant.

use local::issuer::Issuer;
use serde_json::{Value, json};
use service::aws;
use service::store::Store;
use service::tenant::TenantId;
use service::tenant_key;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{NOTE, TENANTS, onboard, operator};
use crate::support::{Api, Caller};

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
        let issuer = Issuer::open(Some(folder.path()), &url, &[]).unwrap();
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
        let issuer = Issuer::open(Some(self.folder.path()), &self.url, &[("user", key)]).unwrap();
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

    let gone = operator.delete(&second).await.expect(202).json();
    assert_eq!((&gone["status"], &gone["issuers"]), (&json!("offboarded"), &json!([])));
    operator.patch(&first, &patch).await.expect(200);
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
    assert!(store.tenant_of_key(&digest).await.unwrap().is_some());
    operator.delete(&path).await.expect(202);
    assert_eq!(store.tenant_of_key(&digest).await.unwrap(), None, "an offboarded tenant leaves none behind");
    assert_eq!(store.tenant_issuer(own.issuer.url()).await.unwrap(), None);
    operator.post(&keys, &json!({})).await.expect_problem(409, "tenant_busy");
    api.shutdown().await;
}
