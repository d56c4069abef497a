//! Tests of the rules with the events of `events/` and variations of them. `tests/api/claims.rs` has tests with a
//! table.

use serde_json::{Value, json};

use super::*;

const ACME: &str = "01K0ACME000000000000000000";

fn user() -> Value {
    serde_json::from_str(include_str!("../../../events/claims-user.json")).unwrap()
}

fn machine() -> Value {
    serde_json::from_str(include_str!("../../../events/claims-machine.json")).unwrap()
}

fn request(event: &Value) -> Request {
    Event::deserialize(event).unwrap().request
}

/// The part of the response about the access token.
fn access_token(response: Response) -> Value {
    let mut response = serde_json::to_value(response).unwrap();
    response["claimsAndScopeOverrideDetails"]["accessTokenGeneration"].take()
}

fn response_to_user(event: &Value) -> Value {
    let request = request(event);
    let (tenant, granted) = of_user(&request);
    access_token(response(tenant, &granted, &request))
}

fn response_to_client(event: &Value, tenant: Option<&str>) -> Value {
    let request = request(event);
    let tenant = tenant.map(|id| TenantId::parse(id).unwrap());
    let granted = of_client(tenant.as_ref(), &request);
    access_token(response(tenant, &granted, &request))
}

/// The scopes of the group in the event, as the user pool names them.
fn members() -> Vec<String> {
    scopes::of_groups(&["member".to_owned()]).iter().map(|scope| format!("tenantry/{scope}")).collect()
}

#[test]
fn a_user_gets_the_tenant_and_the_scopes_of_the_groups() {
    assert_eq!(
        response_to_user(&user()),
        json!({
            "claimsToAddOrOverride": {"tenant": ACME},
            "scopesToAdd": members(),
            "scopesToSuppress": [],
        })
    );
}

#[test]
fn a_user_gets_no_scope_by_requesting_it() {
    let mut event = user();
    event["request"]["scopes"] =
        json!(["openid", "tenantry/records:read", "tenantry/tokens:manage", "tenantry/tenants:admin", "other/x"]);
    let response = response_to_user(&event);
    let mut added = members();
    added.retain(|scope| scope != "tenantry/records:read");
    assert_eq!(response["scopesToAdd"], json!(added));
    assert_eq!(response["scopesToSuppress"], json!(["tenantry/tokens:manage", "tenantry/tenants:admin"]));
}

#[test]
fn a_user_without_a_tenant_has_no_scopes_whatever_the_groups() {
    for attributes in [
        Value::Null,
        json!({}),
        json!({"custom:tenant": null}),
        json!({"custom:tenant": ""}),
        json!({"custom:tenant": ACME.to_lowercase()}),
        json!({"tenant": ACME, "dev:custom:tenant": ACME}),
    ] {
        let mut event = user();
        event["request"]["userAttributes"] = attributes;
        event["request"]["groupConfiguration"]["groupsToOverride"] = json!(["admin"]);
        event["request"]["scopes"] = json!(["tenantry/records:read"]);
        assert_eq!(
            response_to_user(&event),
            json!({
                "claimsToAddOrOverride": {},
                "scopesToAdd": [],
                "scopesToSuppress": ["tenantry/records:read"],
            })
        );
    }
}

#[test]
fn a_user_without_a_group_has_neither_scopes_nor_a_tenant() {
    for groups in [Value::Null, json!({}), json!({"groupsToOverride": null}), json!({"groupsToOverride": ["other"]})] {
        let mut event = user();
        event["request"]["groupConfiguration"] = groups;
        assert_eq!(
            response_to_user(&event),
            json!({"claimsToAddOrOverride": {}, "scopesToAdd": [], "scopesToSuppress": []})
        );
    }
}

#[test]
fn a_client_of_a_tenant_keeps_its_scopes_but_never_the_operators() {
    let mut event = machine();
    assert_eq!(
        response_to_client(&event, Some(ACME)),
        json!({"claimsToAddOrOverride": {"tenant": ACME}, "scopesToAdd": [], "scopesToSuppress": []})
    );
    event["request"]["scopes"] = json!(["tenantry/records:read", "tenantry/tenants:admin"]);
    assert_eq!(response_to_client(&event, Some(ACME))["scopesToSuppress"], json!(["tenantry/tenants:admin"]));
}

#[test]
fn a_client_without_a_tenant_keeps_the_operators_scope_only() {
    let mut event = machine();
    event["request"]["scopes"] = json!(["tenantry/records:read", "tenantry/tenants:admin"]);
    assert_eq!(
        response_to_client(&event, None),
        json!({
            "claimsToAddOrOverride": {},
            "scopesToAdd": [],
            "scopesToSuppress": ["tenantry/records:read"],
        })
    );
}

#[test]
fn only_the_event_of_a_machine_client_is_recognized_as_one() {
    assert!(Event::deserialize(&machine()).unwrap().is_machine_client());
    for source in ["HostedAuth", "Authentication", "NewPasswordChallenge", "AuthenticateDevice", "RefreshTokens"] {
        let mut event = user();
        event["triggerSource"] = json!(format!("TokenGeneration_{source}"));
        assert!(!Event::deserialize(&event).unwrap().is_machine_client());
    }
}
