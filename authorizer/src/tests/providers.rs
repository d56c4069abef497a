//! Tests of the entries in `docs/reference/issuers.md`, with tokens as their providers document them.

use super::*;
use crate::testing::stack;

/// The entries of the page's JSON blocks.
fn entries() -> Vec<Value> {
    let page = include_str!("../../../docs/reference/issuers.md");
    let blocks = page.split("\n```json\n").skip(1).map(|rest| rest.split("\n```").next().unwrap());
    blocks.flat_map(|block| serde_json::from_str::<Vec<Value>>(block).unwrap()).collect()
}

/// The only entry whose issuer contains this text.
fn entry(of: &str) -> Value {
    let found: Vec<_> = entries().into_iter().filter(|entry| entry["issuer"].as_str().unwrap().contains(of)).collect();
    let [entry] = &found[..] else { panic!("{of}: {found:?}") };
    entry.clone()
}

#[test]
fn every_entry_can_be_configured() {
    assert_eq!(stack(&json!(entries())).issuers.into_vec().len(), 5);
}

#[tokio::test]
async fn a_token_of_each_provider_has_tenant_and_scopes() {
    let providers = [
        (
            "cognito-idp",
            json!({
                "aud": null, "client_id": "1example23456789", "token_use": "access", "version": 2,
                "cognito:groups": ["member"], "scope": "openid tenantry/records:read tenantry/records:write",
            }),
        ),
        (
            "auth0.com",
            json!({
                "aud": ["https://api.example.com", "https://example.eu.auth0.com/userinfo"], "azp": "client",
                "tenant": null, "https://api.example.com/tenant": ACME,
                "scope": "openid profile", "permissions": ["records:read", "records:write"],
            }),
        ),
        (
            "okta.com",
            json!({
                "aud": "https://api.example.com", "ver": 1, "cid": "client", "uid": "00u1",
                "scope": null, "scp": ["openid", "records:read", "records:write"],
            }),
        ),
        (
            "microsoftonline.com",
            json!({
                "aud": "11112222-bbbb-3333-cccc-4444dddd5555", "ver": "2.0", "azp": "client", "azpacr": "0",
                "scope": null, "scp": "access records:delete", "roles": ["records:read", "records:write"],
            }),
        ),
    ];
    for (provider, own) in providers {
        let mut settings = entry(provider);
        // The issuer and its JWKS are replaced by those of the test.
        let members = settings.as_object_mut().unwrap();
        members.retain(|name, _| !["issuer", "jwksUri"].contains(&name.as_str()));
        if !members.contains_key("audiences") {
            members.insert("audiences".to_owned(), json!([]));
        }
        let authorizer = new_world().authorizer(&settings);
        let token = RSA.token(&header(&RSA, &json!({"typ": "JWT"})), &claims(&own));
        let response = authorize(&authorizer, &format!("Bearer {token}")).await.unwrap();
        assert!(allows(&response), "{provider}");
        assert_eq!(response.context["tenant"], ACME, "{provider}");
        assert_eq!(response.context["scopes"], "records:read records:write", "{provider}");
    }
}
