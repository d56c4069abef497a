//! Tests of tokens that are not access tokens, although the same issuer signed them.

use super::*;

fn token(typ: &Value, changes: &Value) -> String {
    format!("Bearer {}", RSA.token(&header(&RSA, &json!({"typ": typ})), &claims(changes)))
}

#[tokio::test]
async fn a_type_is_a_general_one_or_that_of_access_tokens() {
    let authorizer = new_world().authorizer(&json!({}));
    for typ in [
        json!(null),
        json!("JWT"),
        json!("jwt"),
        json!("JOSE"),
        json!("at+jwt"),
        json!("AT+JWT"),
        json!("application/at+jwt"),
        json!("Application/JWT"),
    ] {
        assert_eq!(rejection(&authorizer, &token(&typ, &json!({}))).await, None, "{typ}");
    }
    for typ in [
        "logout+jwt",
        "dpop+jwt",
        "secevent+jwt",
        "oauth-authz-req+jwt",
        "token-introspection+jwt",
        "kb+jwt",
        "application/logout+jwt",
        "application/x/at+jwt",
        "at+jwt ",
        "JWE",
        "",
    ] {
        assert_eq!(rejection(&authorizer, &token(&json!(typ), &json!({}))).await, Some(Rejection::OtherType), "{typ}");
    }
    assert_eq!(rejection(&authorizer, &token(&json!(7), &json!({}))).await, Some(Rejection::NotJwt));
}

#[tokio::test]
async fn the_settings_of_an_issuer_may_list_the_types_of_its_access_tokens() {
    let authorizer = new_world().authorizer(&json!({"tokenTypes": ["application/at+jwt", "our+jwt"]}));
    for (typ, why) in [
        (json!("at+jwt"), None),
        (json!("application/AT+JWT"), None),
        (json!("our+jwt"), None),
        (json!("JWT"), Some(Rejection::OtherType)),
        (json!(null), Some(Rejection::OtherType)),
        (json!("logout+jwt"), Some(Rejection::OtherType)),
    ] {
        assert_eq!(rejection(&authorizer, &token(&typ, &json!({}))).await, why, "{typ}");
    }
}

const ID_TOKENS: [&str; 6] = [
    r#"{"token_use": "id"}"#,
    r#"{"typ": "ID"}"#,
    r#"{"nonce": "n"}"#,
    r#"{"at_hash": "h"}"#,
    r#"{"c_hash": "h", "typ": "something"}"#,
    r#"{"s_hash": "h"}"#,
];

#[tokio::test]
async fn an_id_token_is_rejected_unless_the_settings_accept_it() {
    let (strict, lenient) =
        (new_world().authorizer(&json!({})), new_world().authorizer(&json!({"acceptIdTokens": true})));
    for changes in ID_TOKENS {
        let token = token(&json!("JWT"), &serde_json::from_str(changes).unwrap());
        assert_eq!(rejection(&strict, &token).await, Some(Rejection::NotAccessToken), "{changes}");
        assert_eq!(rejection(&lenient, &token).await, None, "{changes}");
    }
}

#[tokio::test]
async fn other_kinds_are_always_rejected() {
    for settings in [json!({}), json!({"acceptIdTokens": true})] {
        let authorizer = new_world().authorizer(&settings);
        for changes in [
            json!({"token_use": "refresh"}),
            json!({"token_use": 7}),
            json!({"typ": "Refresh"}),
            json!({"typ": "Offline"}),
            json!({"typ": "Logout"}),
            json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}),
        ] {
            let token = token(&json!("JWT"), &changes);
            assert_eq!(rejection(&authorizer, &token).await, Some(Rejection::NotAccessToken), "{changes}");
        }
    }
}

/// Keycloak put `nonce` into access tokens before version 25.
#[tokio::test]
async fn a_token_that_is_marked_as_an_access_token_may_have_claims_of_id_tokens() {
    let authorizer = new_world().authorizer(&json!({}));
    for (typ, changes) in [
        (json!("JWT"), json!({"typ": "Bearer", "nonce": "n"})),
        (json!("JWT"), json!({"token_use": "access", "nonce": "n"})),
        (json!("at+jwt"), json!({"nonce": "n"})),
        (json!("JWT"), json!({"typ": "of ours", "auth_time": 1, "acr": "1", "amr": ["pwd"], "azp": "a", "sid": "s"})),
        (json!("JWT"), json!({"events": ["a"]})),
    ] {
        assert_eq!(rejection(&authorizer, &token(&typ, &changes)).await, None, "{typ} {changes}");
    }
}
