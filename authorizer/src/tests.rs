//! Tests of valid and invalid tokens with the whole authorizer. `docs/reference/tokens.md` has a table of the
//! rejections.

mod providers;

use std::time::Duration;

use aws_lambda_events::iam::IamPolicyEffect;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

mod algorithms;
mod issuers;
mod kinds;
mod machine_tokens;
mod responses;
mod tenants;

use super::*;
use crate::testing::{ACME, EC, ED, ISSUER, JWKS_URI, OTHER_RSA, RSA, Signer, World, new_world, row};

const API: &str = "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5/v1";

fn now() -> u64 {
    jsonwebtoken::get_current_timestamp()
}

/// The header of a valid token, with changes. Null removes a member.
fn header(signer: &Signer, changes: &Value) -> Value {
    merged(json!({"alg": signer.algorithm, "typ": "at+jwt", "kid": signer.kid()}), changes)
}

/// The claims of a valid token, with changes. Null removes a member.
fn claims(changes: &Value) -> Value {
    let good = json!({
        "iss": ISSUER, "sub": "user-1", "aud": "tenantry", "iat": now(), "exp": now() + 60,
        "tenant": ACME, "scope": "openid records:read",
    });
    merged(good, changes)
}

fn merged(mut members: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            members.as_object_mut().unwrap().remove(name);
        } else {
            members[name] = value.clone();
        }
    }
    members
}

/// The header of a request with a valid token, with changes to its claims.
fn with_claims(changes: &Value) -> String {
    format!("Bearer {}", RSA.token(&header(&RSA, &json!({})), &claims(changes)))
}

fn good_token() -> String {
    RSA.token(&header(&RSA, &json!({})), &claims(&json!({})))
}

async fn authorize(authorizer: &Authorizer, authorization: &str) -> Result<Response, AuthorizeError> {
    let event = json!({"type": "TOKEN", "authorizationToken": authorization, "methodArn": format!("{API}/GET/x")});
    authorizer.authorize(serde_json::from_value(event).unwrap()).await
}

fn allows(response: &Response) -> bool {
    response.policy_document.statement[0].effect == IamPolicyEffect::Allow
}

async fn rejection(authorizer: &Authorizer, authorization: &str) -> Option<Rejection> {
    let whole = authorize(authorizer, authorization).await;
    let rejection = authorizer.verify(authorization).await.err();
    assert_eq!(rejection.is_some(), matches!(whole, Err(AuthorizeError::Unauthorized)), "{rejection:?} {whole:?}");
    rejection
}

#[tokio::test]
async fn a_valid_token_gets_policy_context_and_api_key() {
    let response = authorize(&new_world().authorizer(&json!({})), &with_claims(&json!({}))).await.unwrap();
    assert!(allows(&response));
    assert_eq!(response.principal_id.as_deref(), Some("user-1"));
    assert_eq!(response.usage_identifier_key.as_deref(), Some("the-key-of-acme-0000"));
    let context = [
        ("challenge", "Bearer error=\"insufficient_scope\""),
        ("issuer", ISSUER),
        ("plan", "free"),
        ("reason", "insufficient_scope"),
        ("scopes", "records:read"),
        ("subject", "user-1"),
        ("tenant", ACME),
    ];
    assert_eq!(response.context.iter().map(|(name, value)| (&name[..], &value[..])).collect::<Vec<_>>(), context);
}

#[tokio::test]
async fn a_quota_of_the_tenants_own_is_in_the_context() {
    let world = new_world();
    let mut row = row("active", ISSUER);
    row["quota"] = json!({"N": "1000"});
    world.state().tenant = Some(row);
    let response = authorize(&world.authorizer(&json!({})), &with_claims(&json!({}))).await.unwrap();
    assert_eq!(response.context["quota"], "1000");
}

#[tokio::test]
async fn a_malformed_token_is_rejected() {
    let authorizer = new_world().authorizer(&json!({}));
    let good = good_token();
    let (input, _) = good.rsplit_once('.').unwrap();
    for (authorization, why) in [
        (String::new(), Rejection::MissingBearer),
        ("Bearer ".into(), Rejection::MissingBearer),
        (good.clone(), Rejection::MissingBearer),
        (format!("Basic {good}"), Rejection::MissingBearer),
        ("Bearer junk".into(), Rejection::NotJwt),
        ("Bearer a.b".into(), Rejection::NotJwt),
        ("Bearer a.b.c.d.e".into(), Rejection::NotJwt),
        ("Bearer !.!.!".into(), Rejection::NotJwt),
        (format!("Bearer {good}.x"), Rejection::NotJwt),
        (format!("Bearer {input}."), Rejection::BadSignature),
        (format!("Bearer {good}{}", "A".repeat(8 * 1024)), Rejection::TooLong),
    ] {
        assert_eq!(rejection(&authorizer, &authorization).await, Some(why), "{authorization}");
    }
}

#[tokio::test]
async fn headers_that_are_not_allowed_are_rejected() {
    let authorizer = new_world().authorizer(&json!({}));
    for (changes, why) in [
        (json!({"alg": "none"}), Rejection::AlgorithmNotAllowed),
        (json!({"alg": "HS256"}), Rejection::AlgorithmNotAllowed),
        (json!({"alg": "ES512"}), Rejection::AlgorithmNotAllowed),
        (json!({"alg": "ES256K"}), Rejection::AlgorithmNotAllowed),
        (json!({"alg": "rs256"}), Rejection::AlgorithmNotAllowed),
        (json!({"alg": "RS512"}), Rejection::OtherAlgorithm),
        (json!({"alg": "ES256"}), Rejection::OtherAlgorithm),
        (json!({"alg": 7}), Rejection::NotJwt),
        (json!({"kid": null}), Rejection::MissingKeyId),
        (json!({"kid": 7}), Rejection::NotJwt),
        (json!({"kid": "unknown"}), Rejection::UnknownKey),
        (json!({"kid": "ec"}), Rejection::OtherAlgorithm),
        (json!({"crit": ["exp"]}), Rejection::Critical),
        (json!({"crit": []}), Rejection::Critical),
    ] {
        let token = RSA.token(&header(&RSA, &changes), &claims(&json!({})));
        assert_eq!(rejection(&authorizer, &format!("Bearer {token}")).await, Some(why), "{changes}");
    }
}

/// Parsers that use the first and the last duplicate would understand such a token differently.
#[tokio::test]
async fn a_duplicate_member_is_rejected_wherever_it_is() {
    let authorizer = new_world().authorizer(&json!({}));
    let (header, claims) = (header(&RSA, &json!({})).to_string(), claims(&json!({})).to_string());
    let with = |text: &str, member: &str| format!("{},{member}}}", text.strip_suffix('}').unwrap());
    assert_eq!(rejection(&authorizer, &format!("Bearer {}", RSA.token_of(&header, &claims))).await, None);
    for member in [
        r#""tenant":"01K0G10BEX0000000000000000""#,
        r#""scope":"records:write""#,
        r#""aud":"other""#,
        r#""exp":99999999999"#,
        r#""iss":"https://issuer.example""#,
        r#""sub":"user-1""#,
        r#""\u0073ub":"user-2""#,
        r#""x":1,"x":1"#,
        r#""realm_access":{"roles":["a"],"roles":["b"]}"#,
        r#""x":[{"y":{"z":1,"z":2}}]"#,
    ] {
        let token = format!("Bearer {}", RSA.token_of(&header, &with(&claims, member)));
        assert_eq!(rejection(&authorizer, &token).await, Some(Rejection::DuplicateMember), "{member}");
    }
    for member in [r#""alg":"RS256""#, r#""kid":"rsa""#, r#""typ":"JWT""#, r#""x":1,"x":1"#] {
        let token = format!("Bearer {}", RSA.token_of(&with(&header, member), &claims));
        assert_eq!(rejection(&authorizer, &token).await, Some(Rejection::DuplicateMember), "{member}");
    }
}

#[tokio::test]
async fn an_unsigned_token_is_rejected() {
    let authorizer = new_world().authorizer(&json!({}));
    for alg in ["none", "None", "NONE", ""] {
        let [header, claims] = [header(&RSA, &json!({"alg": alg})), claims(&json!({}))]
            .map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let rejection = rejection(&authorizer, &format!("Bearer {header}.{claims}.")).await;
        assert_eq!(rejection, Some(Rejection::AlgorithmNotAllowed), "{alg}");
    }
}

#[tokio::test]
async fn a_public_key_is_not_accepted_as_a_shared_secret() {
    let authorizer = new_world().authorizer(&json!({}));
    for alg in ["HS256", "RS256"] {
        let [header, claims] = [header(&RSA, &json!({"alg": alg})), claims(&json!({}))]
            .map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let input = format!("{header}.{claims}");
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &RSA.public_der()), input.as_bytes());
        let token = format!("Bearer {input}.{}", URL_SAFE_NO_PAD.encode(signature));
        let why = if alg == "HS256" { Rejection::AlgorithmNotAllowed } else { Rejection::BadSignature };
        assert_eq!(rejection(&authorizer, &token).await, Some(why), "{alg}");
    }
}

#[tokio::test]
async fn another_key_with_a_known_id_is_rejected() {
    let authorizer = new_world().authorizer(&json!({}));
    let token = OTHER_RSA.token(&header(&RSA, &json!({})), &claims(&json!({})));
    assert_eq!(rejection(&authorizer, &format!("Bearer {token}")).await, Some(Rejection::BadSignature));
}

#[tokio::test]
async fn a_tampered_token_is_rejected() {
    let authorizer = new_world().authorizer(&json!({}));
    let good = good_token();
    let mut parts: Vec<String> = good.split('.').map(ToOwned::to_owned).collect();
    parts[1] = URL_SAFE_NO_PAD.encode(claims(&json!({"scope": "records:read records:write"})).to_string());
    assert_eq!(rejection(&authorizer, &format!("Bearer {}", parts.join("."))).await, Some(Rejection::BadSignature));
}

#[tokio::test]
async fn keys_that_a_token_contains_or_refers_to_are_ignored_and_never_fetched() {
    let world = new_world();
    let authorizer = world.authorizer(&json!({}));
    let changes = json!({
        "jwk": OTHER_RSA.public, "jku": "https://evil.example/jwks.json",
        "x5u": "https://evil.example/cert.pem", "x5c": ["bm90IGEgY2VydA=="],
    });
    let theirs = OTHER_RSA.token(&header(&OTHER_RSA, &changes), &claims(&json!({})));
    assert_eq!(rejection(&authorizer, &format!("Bearer {theirs}")).await, Some(Rejection::BadSignature));
    let ours = RSA.token(&header(&RSA, &changes), &claims(&json!({})));
    assert!(allows(&authorize(&authorizer, &format!("Bearer {ours}")).await.unwrap()));
    assert!(world.state().requested.iter().all(|uri| uri == JWKS_URI || uri.contains("dynamodb")));
}

#[tokio::test]
async fn invalid_claims_are_rejected() {
    let authorizer = new_world().authorizer(&json!({}));
    let bad = |name: &str| Rejection::BadClaim(name.into());
    for (changes, why) in [
        (json!({"iss": "https://other.example"}), Rejection::UnknownIssuer),
        (json!({"iss": format!("{ISSUER}/")}), Rejection::UnknownIssuer),
        (json!({"iss": null}), bad("iss")),
        (json!({"aud": "other"}), Rejection::OtherAudience),
        (json!({"aud": ["other", 7]}), Rejection::OtherAudience),
        (json!({"aud": null}), Rejection::OtherAudience),
        (json!({"exp": now() - 31}), Rejection::Expired),
        (json!({"exp": null}), bad("exp")),
        (json!({"exp": "later"}), bad("exp")),
        (json!({"nbf": now() + 60}), Rejection::NotYetValid),
        (json!({"tenant": null}), bad("tenant")),
        (json!({"tenant": ""}), bad("tenant")),
        (json!({"tenant": 7}), bad("tenant")),
        (json!({"tenant": [ACME]}), bad("tenant")),
        (json!({"tenant": {"id": ACME}}), bad("tenant")),
        (json!({"sub": null}), bad("client_id")),
        (json!({"token_use": "id"}), Rejection::NotAccessToken),
    ] {
        assert_eq!(rejection(&authorizer, &with_claims(&changes)).await, Some(why), "{changes}");
    }
}

const THUMBPRINT: &str = "hpdHm1dLE56IsyCXHs3HEkntTTNq490SU_3EX3eHbHM";

#[tokio::test]
async fn a_token_with_a_binding_that_cannot_be_checked_is_rejected() {
    let authorizer = new_world().authorizer(&json!({"operatorClients": ["console"]}));
    let operator = json!({"tenant": null, "client_id": "console"});
    for confirmation in [
        json!({}),
        json!([]),
        json!(""),
        json!(THUMBPRINT),
        json!(null),
        json!({"x5t#S256": null}),
        json!({"x5t#S256": ""}),
        json!({"x5t#S256": [THUMBPRINT]}),
        json!({"x5t#S256": &THUMBPRINT[1..]}),
        json!({"x5t#S256": format!("{THUMBPRINT}=")}),
        json!({"x5t#S256": format!("{}+", &THUMBPRINT[1..])}),
        json!({"x5t#s256": THUMBPRINT}),
        json!({"jkt": THUMBPRINT}),
        json!({"jwk": RSA.public}),
        json!({"kid": "rsa"}),
        json!({"x5t#S256": THUMBPRINT, "jkt": THUMBPRINT}),
    ] {
        for changes in [&json!({}), &operator] {
            let mut claims = claims(changes);
            claims["cnf"] = confirmation.clone();
            let token = RSA.token(&header(&RSA, &json!({})), &claims);
            let why = rejection(&authorizer, &format!("Bearer {token}")).await;
            assert_eq!(why, Some(Rejection::UnknownBinding), "{confirmation}");
        }
    }
}

#[tokio::test]
async fn the_context_has_the_certificate_to_which_a_token_is_bound() {
    let authorizer = new_world().authorizer(&json!({"operatorClients": ["console"]}));
    let bound = json!({"cnf": {"x5t#S256": THUMBPRINT}});
    let operator = json!({"tenant": null, "client_id": "console", "scope": "tenants:admin"});
    for changes in [json!({}), operator] {
        let claims = merged(claims(&changes), &bound);
        let token = RSA.token(&header(&RSA, &json!({})), &claims);
        let response = authorize(&authorizer, &format!("Bearer {token}")).await.unwrap();
        assert!(allows(&response));
        assert_eq!(response.context["certificate"], THUMBPRINT);
    }
}

#[tokio::test]
async fn valid_claims_are_accepted() {
    let authorizer = new_world().authorizer(&json!({}));
    for changes in [
        json!({"aud": ["other", "tenantry"]}),
        json!({"exp": now() - 25}),
        json!({"nbf": now() + 25}),
        json!({"sub": null, "client_id": "machine"}),
        json!({"token_use": "access"}),
        json!({"scope": ["records:read"]}),
    ] {
        assert!(allows(&authorize(&authorizer, &with_claims(&changes)).await.unwrap()), "{changes}");
    }
}

#[tokio::test]
async fn an_access_token_of_cognito_is_accepted_by_its_client() {
    let settings = json!({"audiences": [], "clientIds": ["app"], "scopePrefix": "tenantry/"});
    let authorizer = new_world().authorizer(&settings);
    let cognito = json!({"aud": null, "client_id": "app", "token_use": "access", "scope": "tenantry/records:read x/y"});
    for (changes, why) in [
        (json!({}), None),
        (json!({"client_id": "other"}), Some(Rejection::OtherClient)),
        (json!({"client_id": null}), Some(Rejection::OtherClient)),
        (json!({"aud": "app"}), Some(Rejection::OtherAudience)),
    ] {
        let token = RSA.token(&header(&RSA, &json!({})), &merged(claims(&cognito), &changes));
        assert_eq!(rejection(&authorizer, &format!("Bearer {token}")).await, why, "{changes}");
    }
}

#[tokio::test]
async fn scopes_come_from_where_the_issuer_puts_them() {
    for (settings, changes, scopes) in [
        (json!({}), json!({"scope": "records:write  records:read records:read"}), "records:read records:write"),
        (json!({}), json!({"scope": 7}), ""),
        (json!({"scopeClaim": "scp"}), json!({"scp": ["records:read", 7]}), "records:read"),
        (json!({"scopePrefix": "api/"}), json!({"scope": "api/records:read records:write"}), "records:read"),
        (
            json!({"roleClaim": "groups", "roleScopes": {"editor": ["records:write", "unknown"]}}),
            json!({"groups": ["editor", "viewer"]}),
            "records:read records:write",
        ),
        (
            json!({"roleClaim": "/realm/roles", "roleScopes": {"editor": ["records:write"]}}),
            json!({"scope": null, "realm": {"roles": ["editor"]}}),
            "records:write",
        ),
        (
            json!({"roleClaim": "/https:~1~1api.example.com~1roles", "roleScopes": {"editor": ["records:write"]}}),
            json!({"scope": null, "https://api.example.com/roles": ["editor"]}),
            "records:write",
        ),
        (
            json!({"roleClaim": "/a~0b~01/c~1d", "roleScopes": {"editor": ["records:write"]}}),
            json!({"scope": null, "a~b~1": {"c/d": "editor"}}),
            "records:write",
        ),
        (
            json!({"roleClaim": "/groups/1", "roleScopes": {"editor": ["records:write"]}}),
            json!({"scope": null, "groups": ["viewer", "editor"]}),
            "records:write",
        ),
    ] {
        let authorizer = new_world().authorizer(&settings);
        let response = authorize(&authorizer, &with_claims(&changes)).await.unwrap();
        assert_eq!(response.context["scopes"], scopes, "{settings} {changes}");
        assert_eq!(allows(&response), !scopes.is_empty());
    }
}

#[tokio::test]
async fn while_the_issuer_fails_a_token_with_a_new_key_is_not_rejected() {
    let world = new_world();
    let authorizer = world.authorizer(&json!({}));
    let new = format!("Bearer {}", RSA.token(&header(&RSA, &json!({"kid": "new"})), &claims(&json!({}))));
    world.state().keys = None;
    authorizer.fetch_keys().await;
    assert!(matches!(authorize(&authorizer, &new).await, Err(AuthorizeError::Unavailable)));
}

#[tokio::test]
async fn an_invalid_method_arn_is_unauthorized() {
    let event = json!({"authorizationToken": with_claims(&json!({})), "methodArn": "junk"});
    let authorizer = new_world().authorizer(&json!({}));
    assert!(matches!(
        authorizer.authorize(serde_json::from_value(event).unwrap()).await,
        Err(AuthorizeError::Unauthorized)
    ));
    assert!(matches!(
        authorizer.authorize(serde_json::from_str("{}").unwrap()).await,
        Err(AuthorizeError::Unauthorized)
    ));
}

/// API Gateway compares this text.
#[test]
fn an_error_has_the_message_that_api_gateway_expects() {
    assert_eq!(Diagnostic::from(AuthorizeError::Unauthorized).error_message, "Unauthorized");
    assert_ne!(Diagnostic::from(AuthorizeError::Unavailable).error_message, "Unauthorized");
}

#[tokio::test]
async fn the_event_of_sam_local_is_authorized() {
    let world = new_world();
    let keys: Value = serde_json::from_str(include_str!("../testdata/jwks.json")).unwrap();
    world.state().keys = keys["keys"].as_array().cloned();
    let event = serde_json::from_str(include_str!("../../events/authorizer.json")).unwrap();
    let response = world.authorizer(&json!({})).authorize(event).await.unwrap();
    assert_eq!(response.context["scopes"], "records:read records:write");
    let resources = &response.policy_document.statement[0].resource;
    assert!(resources.contains(&format!("{API}/DELETE/collections/*/records/*")), "{resources:?}");
}
