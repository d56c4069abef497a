//! Outside of a deployed stack, as under `sam local`, no API key is made in the account whose credentials are there.

use local::runtime::LogFormat;
use serde_json::json;
use testkit::attached::Attached;

use super::{NOTE, TENANTS, act, offboard, onboard, operator};
use crate::support::Api;

/// The environment variable that `sam local` sets for every function.
const SAM_LOCAL: (&str, &str) = ("AWS_SAM_LOCAL", "true");

#[tokio::test]
async fn sam_local_manages_no_api_keys_of_an_unknown_api() {
    let api = Api::start().await;
    let operator = operator(&api).await;
    let id = onboard(&operator, &json!({"name": "Initech", "plan": "free"})).await;
    let path = format!("{TENANTS}/{id}");
    let calls = api.api_gateway.calls().len();

    let changes = [SAM_LOCAL, ("AWS_ENDPOINT_URL_API_GATEWAY", "")];
    let _tenants = Attached::start_with(&api, "tenants", LogFormat::Text, &changes).await;
    let rejected = operator.post(TENANTS, &json!({"name": "Hooli", "plan": "free"})).await;
    rejected.expect_problem(501, "not_deployed");
    operator.patch(&path, &json!({"plan": "pro"})).await.expect_problem(501, "not_deployed");
    act(&operator, &id, "suspend").await.expect_problem(501, "not_deployed");
    act(&operator, &id, "resume").await.expect_problem(501, "not_deployed");
    operator.delete(&path).await.expect_problem(501, "not_deployed");

    // Nothing was begun either, and what needs no key works.
    let tenant = operator.get(&path).await.expect(200).json();
    assert_eq!((&tenant["status"], &tenant["plan"], tenant.get("change")), (&json!("active"), &json!("free"), None));
    let names = operator.get(TENANTS).await.expect(200).text;
    assert!(!names.contains("Hooli"), "{names}");
    operator.patch(&path, &json!({"labels": {"region": "eu"}})).await.expect(200);
    api.caller(&id).await.get(NOTE).await.expect_problem(404, "record_not_found");
    assert_eq!(api.api_gateway.calls().len(), calls);
}

#[tokio::test]
async fn sam_local_manages_the_api_keys_of_the_api_that_is_configured() {
    let api = Api::start().await;
    let operator = operator(&api).await;
    let _tenants = Attached::start_with(&api, "tenants", LogFormat::Text, &[SAM_LOCAL]).await;
    onboard(&operator, &json!({"name": "Initech", "plan": "free"})).await;
}

#[tokio::test]
async fn no_api_key_is_created_where_the_stack_has_no_plans() {
    let api = Api::start().await;
    let operator = operator(&api).await;
    let keys = api.local.keys().list().len();
    let _tenants = Attached::start_with(&api, "tenants", LogFormat::Text, &[("STACK", "stranger")]).await;
    for key in ["own", "pooled"] {
        let tenant = json!({"name": format!("Initech {key}"), "plan": "free", "key": key});
        let accepted = operator.post(TENANTS, &tenant).await.expect(202).json();
        assert_eq!(accepted["status"], "onboarding");
        assert_eq!(accepted["failure"]["code"], "usage_plan_missing");
        offboard(&operator, accepted["id"].as_str().unwrap()).await;
    }
    assert_eq!(api.local.keys().list().len(), keys);
}
