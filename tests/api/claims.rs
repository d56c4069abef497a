//! The user pool's trigger: the real function with a table, and its scopes beside the contract and the template.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use claims::scopes;
use contract::Scopes;
use local::runtime::{Invoke, InvokeError};
use local::template::{Template, yaml};
use serde_json::{Value, json};
use service::domain::issuer::{Issuers, PlainHttp};
use service::runtime::aws;
use testkit::dynamodb::{DynamoDb, Fault};

use crate::support::contract::scopes as contract_scopes;
use crate::support::{Api, read, workspace};

const ACME: &str = "01K0ACME000000000000000000";
const MACHINE: &str = "claims-machine.json";
const USER: &str = "claims-user.json";

/// The stack with its user pool. The authorizer is not invoked: nobody here has the pool's keys.
async fn start() -> Api {
    Api::start_with_parameter("UserPool", "true").await
}

fn event(name: &str) -> Value {
    serde_json::from_str(&read(&format!("events/{name}"))).unwrap()
}

async fn invoke(api: &Api, event: &Value) -> Result<Value, InvokeError> {
    let response = api.local.functions().invoke("claims", event.to_string().into_bytes()).await?;
    Ok(serde_json::from_slice(&response).unwrap())
}

/// The part of the response about the access token. The rest has to be the event, and nothing about the ID token.
fn access_token(event: &Value, response: &Value) -> Value {
    let token = &response["response"]["claimsAndScopeOverrideDetails"]["accessTokenGeneration"];
    let mut expected = event.clone();
    expected["response"] = json!({"claimsAndScopeOverrideDetails": {"accessTokenGeneration": token}});
    assert_eq!(*response, expected);
    token.clone()
}

/// Scopes as the user pool names them.
fn prefixed(scopes: &[&str]) -> Vec<String> {
    scopes.iter().map(|scope| format!("{}{scope}", scopes::PREFIX)).collect()
}

/// Writes the row of a machine client, as docs/reference/issuers.md describes it.
async fn bind(api: &Api, client: &str, tenant: &str) {
    let row = [("pk", format!("CLIENT#{client}")), ("sk", "CLIENT".into()), ("tenant", tenant.into())];
    let row = row.map(|(name, value)| (name.to_owned(), AttributeValue::S(value)));
    let put =
        aws::dynamodb(&api.aws_config(), aws::connector()).put_item().table_name("Table").set_item(Some(row.into()));
    put.send().await.unwrap();
}

#[tokio::test]
async fn a_user_gets_the_tenant_and_the_scopes_of_the_groups() {
    let api = start().await;
    let event = event(USER);
    let response = invoke(&api, &event).await.unwrap();
    assert_eq!(
        access_token(&event, &response),
        json!({
            "claimsToAddOrOverride": {"tenant": ACME},
            "scopesToAdd": prefixed(&scopes::of_groups(&["member".to_owned()])),
            "scopesToSuppress": [],
        })
    );
    api.shutdown().await;
}

#[tokio::test]
async fn a_client_has_the_tenant_of_its_row_and_none_that_it_names_itself() {
    let api = start().await;
    let event = event(MACHINE);
    assert_ne!(event["request"]["clientMetadata"]["tenant"], Value::Null);
    let response = invoke(&api, &event).await.unwrap();
    assert_eq!(
        access_token(&event, &response),
        json!({
            "claimsToAddOrOverride": {},
            "scopesToAdd": [],
            "scopesToSuppress": ["tenantry/records:read", "tenantry/records:write"],
        })
    );

    bind(&api, event["callerContext"]["clientId"].as_str().unwrap(), ACME).await;
    let response = invoke(&api, &event).await.unwrap();
    assert_eq!(
        access_token(&event, &response),
        json!({"claimsToAddOrOverride": {"tenant": ACME}, "scopesToAdd": [], "scopesToSuppress": []})
    );
    api.shutdown().await;
}

#[tokio::test]
async fn without_the_table_or_with_an_invalid_row_a_client_gets_no_token() {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| {
        options.dynamodb_endpoint = Some(table.endpoint.clone());
        options.overrides.insert("UserPool".into(), "true".into());
    })
    .await;
    let event = event(MACHINE);
    let failed = async |expected: &str| {
        let failed = invoke(&api, &event).await;
        assert!(matches!(&failed, Err(InvokeError::Function { message, .. }) if message == expected), "{failed:?}");
    };
    table.fail_always(Some(Fault::Fail));
    failed("Unavailable").await;
    table.fail_always(None);
    bind(&api, event["callerContext"]["clientId"].as_str().unwrap(), "acme").await;
    failed("Unavailable").await;
    // A user's token does not need the table.
    table.fail_always(Some(Fault::Fail));
    assert!(invoke(&api, &self::event(USER)).await.is_ok());
    api.shutdown().await;
}

#[tokio::test]
async fn an_event_of_another_form_is_rejected_without_its_text() {
    let api = start().await;
    for event in [json!({}), json!({"triggerSource": 7, "callerContext": {"clientId": "x"}, "request": {}})] {
        let failed = invoke(&api, &event).await;
        assert!(matches!(&failed, Err(InvokeError::Function { message, .. }) if message == "Unexpected event"));
    }
    api.shutdown().await;
}

/// The names among `some` that are not among `all`.
fn lacking<'a>(all: &BTreeSet<&str>, some: &BTreeSet<&'a str>) -> Vec<&'a str> {
    some.iter().copied().filter(|name| !all.contains(name)).collect()
}

#[test]
fn the_user_pool_has_the_scopes_of_the_contract() {
    let template = yaml::parse(&read("template.yaml")).unwrap();
    let properties = |resource: &str| &template["Resources"][resource]["Properties"];
    let Scopes { tenant, operator } = contract_scopes();
    let promised: BTreeSet<_> = tenant.iter().chain(operator).map(String::as_str).collect();
    let offered = properties("ResourceServer")["Scopes"].as_array().unwrap();
    let offered: BTreeSet<_> = offered.iter().map(|scope| scope["ScopeName"].as_str().unwrap()).collect();
    assert_eq!(lacking(&offered, &promised), [""; 0], "add these scopes to ResourceServer in template.yaml");
    assert_eq!(lacking(&promised, &offered), [""; 0], "no operation requires these scopes of ResourceServer");

    for (client, scopes) in [("MachineClient", tenant), ("OperatorClient", operator)] {
        let scopes: Vec<_> = scopes.iter().map(String::as_str).collect();
        let possible = prefixed(&scopes);
        let allowed = properties(client)["AllowedOAuthScopes"].as_array().unwrap();
        let allowed = allowed.iter().map(|scope| scope.as_str().unwrap()).collect();
        let possible = possible.iter().map(String::as_str).collect();
        assert_eq!(lacking(&possible, &allowed), [""; 0], "{client} has these scopes, which its tokens must not have");
    }
}

#[test]
fn the_trigger_and_the_user_pool_agree() {
    let template = yaml::parse(&read("template.yaml")).unwrap();
    let properties = |resource: &str| &template["Resources"][resource]["Properties"];
    assert_eq!(scopes::PREFIX, format!("{}/", properties("ResourceServer")["Identifier"].as_str().unwrap()));
    let groups = ["ViewerGroup", "MemberGroup", "AdminGroup"].map(|group| properties(group)["GroupName"].clone());
    assert_eq!(groups, scopes::GROUPS);
    let Scopes { tenant, operator } = contract_scopes();
    assert_eq!((scopes::TENANT, scopes::OPERATOR), (&str_slices(tenant)[..], &str_slices(operator)[..]));
}

fn str_slices(scopes: &[String]) -> Vec<&str> {
    scopes.iter().map(String::as_str).collect()
}

#[test]
fn the_authorizer_accepts_the_pool_beside_the_operators_issuers() {
    let template = Template::read(&workspace().join("template.yaml"), &BTreeMap::new()).unwrap();
    let authorizer = template.functions.iter().find(|function| function.name == "authorizer").unwrap();
    let pool = &authorizer.environment["USER_POOL_ISSUERS"];
    let own = r#"[{"issuer":"https://login.example.com","audiences":["tenantry"]}]"#;
    let parse = |json| Issuers::parse(json, PlainHttp::Never).unwrap();
    assert!(parse(own).with(parse(pool)).is_ok());
    let [pool] = &serde_json::from_str::<Vec<Value>>(pool).unwrap()[..] else { panic!("{pool}") };
    assert_eq!(pool["scopePrefix"], scopes::PREFIX);
    assert_eq!(pool["defaultForTenants"], true, "tenants that list no issuers sign in with the pool");
}

/// The assumptions of the rules of the trigger.
#[test]
fn no_user_can_choose_a_tenant_or_a_scope() {
    let template = yaml::parse(&read("template.yaml")).unwrap();
    let properties = |resource: &str| &template["Resources"][resource]["Properties"];
    assert_eq!(properties("Users")["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"], true);
    assert_eq!(properties("Users")["Schema"][0]["Mutable"], false);
    let client = properties("UserClient");
    assert_eq!(client["GenerateSecret"], false);
    assert_eq!(client["AllowedOAuthFlows"], json!(["code"]));
    assert_eq!(client["AllowedOAuthScopes"], json!(["openid", "email"]));
    assert_eq!(client["WriteAttributes"], json!(["email"]));
}
