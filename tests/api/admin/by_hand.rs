//! Changes that somebody makes to API keys by hand do not stop a change of a tenant, and are undone by it.

use local::gateway::keys::NewKey;
use serde_json::{Value, json};

use super::{NOTE, TENANTS, act, offboard, onboard, operator};
use crate::support::{Api, Caller, Response};

/// The tenant, without a change under way.
fn done(response: Response, status: u16) -> Value {
    let tenant = response.expect(status).json();
    assert_eq!(tenant.get("change"), None, "{tenant}");
    tenant
}

/// Whether a tenant's key is enabled, and its plan.
fn key(api: &Api, value: &str) -> (bool, String) {
    let key = api.local.keys().find(value).unwrap_or_else(|| panic!("no key of the value {value}"));
    (key.enabled, key.plan.unwrap_or_else(|| panic!("the key is in no plan")))
}

async fn onboarded(api: &Api) -> (Caller<'_>, String, String) {
    let operator = operator(api).await;
    let id = onboard(&operator, &json!({"name": "Initech", "plan": "free"})).await;
    let path = format!("{TENANTS}/{id}");
    (operator, id, path)
}

#[tokio::test]
async fn an_api_key_that_was_deleted_is_created_again_by_any_change() {
    let api = Api::start().await;
    let (operator, id, path) = onboarded(&api).await;
    let initech = api.caller(&id).await;

    api.local.keys().remove(&id);
    assert_eq!(done(act(&operator, &id, "suspend").await, 200)["status"], "suspended");
    assert_eq!(key(&api, &id), (false, "free".to_owned()));

    api.local.keys().remove(&id);
    assert_eq!(done(act(&operator, &id, "resume").await, 200)["status"], "active");
    assert_eq!(key(&api, &id), (true, "free".to_owned()));
    initech.get(NOTE).await.expect(404);

    api.local.keys().remove(&id);
    assert_eq!(done(operator.patch(&path, &json!({"plan": "pro"})).await, 200)["plan"], "pro");
    assert_eq!(key(&api, &id), (true, "pro".to_owned()));

    // These need no key.
    api.local.keys().remove(&id);
    done(operator.patch(&path, &json!({"name": "Initrode"})).await, 200);
    operator.post(&format!("{path}/keys"), &json!({})).await.expect(201);
    offboard(&operator, &id).await;
    assert_eq!(api.local.keys().find(&id), None);
    api.shutdown().await;
}

#[tokio::test]
async fn an_api_key_that_was_replaced_is_found() {
    let api = Api::start().await;
    let (operator, id, _) = onboarded(&api).await;
    let replace = || {
        let name = api.local.keys().find(&id).unwrap().name;
        api.local.keys().remove(&id);
        let new = NewKey { name, enabled: true, ..NewKey::of_stack(&id) };
        let key = api.local.keys().create(new).unwrap();
        api.local.keys().join(&key.id, "free").unwrap();
    };
    replace();
    done(act(&operator, &id, "suspend").await, 200);
    assert_eq!(key(&api, &id), (false, "free".to_owned()));
    replace();
    offboard(&operator, &id).await;
    assert_eq!(api.local.keys().find(&id), None, "a key is not left behind because its id is another");
    api.shutdown().await;
}

#[tokio::test]
async fn an_api_key_that_was_taken_from_its_plan_or_disabled_is_repaired_by_a_resumption() {
    let api = Api::start().await;
    let (operator, id, _) = onboarded(&api).await;
    let other = api.local.keys().find(&id).unwrap().id;
    api.local.keys().leave(&other, "free").unwrap();
    api.local.keys().set_enabled(&id, false);
    done(act(&operator, &id, "resume").await, 200);
    assert_eq!(key(&api, &id), (true, "free".to_owned()));
    api.shutdown().await;
}

#[tokio::test]
async fn a_shared_api_key_that_was_deleted_or_disabled_is_repaired() {
    let api = Api::start_with(|options| options.seed = false).await;
    let operator = operator(&api).await;
    let id = onboard(&operator, &json!({"name": "Initech", "plan": "free", "key": "pooled"})).await;
    let initech = api.caller(&id).await;
    let shared = || api.local.keys().list().pop();
    let value = shared().unwrap().value;

    api.local.keys().remove(&value);
    done(act(&operator, &id, "suspend").await, 200);
    assert_eq!(shared(), None, "a suspended tenant needs none");
    done(act(&operator, &id, "resume").await, 200);
    assert_eq!(key(&api, &value), (true, "free".to_owned()));
    api.local.keys().set_enabled(&value, false);
    done(act(&operator, &id, "resume").await, 200);
    initech.get(NOTE).await.expect(404);
    api.shutdown().await;
}
