//! Tests of which issuers can be configured.

use serde_json::json;

use super::*;

/// Parses issuers as on Lambda.
fn parse(json: &str) -> Result<Issuers, IssuersError> {
    Issuers::parse(json, PlainHttp::Never)
}

#[test]
fn an_issuer_has_defaults() {
    let issuers = parse(r#"[{"issuer":"https://a.example/","audiences":["api"]}]"#).unwrap().into_vec();
    assert_eq!(issuers[0].jwks_uri(), "https://a.example/.well-known/jwks.json");
    assert_eq!((issuers[0].tenant_claim.as_deref(), &issuers[0].scope_claim[..]), (Some("tenant"), "scope"));
    assert_eq!(parse("[]").unwrap().into_vec(), []);
}

#[test]
fn an_issuer_that_cannot_be_trusted_is_rejected() {
    for (json, error) in [
        ("", "not a JSON array"),
        ("{}", "not a JSON array"),
        (r#"[{"issuer":"https://a.example","audiences":["api"],"audience":"x"}]"#, "unknown field"),
        (r#"[{"issuer":"https://a","audiences":["a"],"tenantClaim":null}]"#, "has no tenantClaim"),
        (r#"[{"issuer":"https://a","audiences":["a"],"algorithms":["HS256"]}]"#, "unknown variant"),
        (r#"[{"issuer":"https://a.example"}]"#, "neither audiences nor clientIds"),
        (r#"[{"issuer":"http://a.example","audiences":["api"]}]"#, "must serve its JWKS over HTTPS"),
        (r#"[{"issuer":"x","jwksUri":"http://localhost.evil/","audiences":["a"]}]"#, "over HTTPS"),
        (r#"[{"issuer":"x","jwksUri":"http://localhost:1@evil/","audiences":["a"]}]"#, "over HTTPS"),
        (r#"[{"issuer":"x","jwksUri":"http://127.0.0.1:80:x@e/","audiences":["a"]}]"#, "over HTTPS"),
        (
            r#"[{"issuer":"https://a","audiences":["a"]},{"issuer":"https://a","clientIds":["b"]}]"#,
            "https://a is listed twice",
        ),
    ] {
        let message = parse(json).unwrap_err().to_string();
        assert!(message.contains(error), "{json}: {message}");
    }
}

#[test]
fn an_issuer_is_in_one_of_two_variables() {
    let of = |names: &[&str]| {
        let list: Vec<_> = names.iter().map(|name| json!({"issuer": name, "audiences": ["api"]})).collect();
        parse(&json!(list).to_string()).unwrap()
    };
    let both = of(&["https://a", "https://b"]);
    assert_eq!(of(&["https://a"]).with(of(&["https://b"])).unwrap(), both);
    assert_eq!(both.clone().with(of(&[])).unwrap(), both);
    let twice = both.with(of(&["https://c", "https://b"])).unwrap_err();
    assert_eq!(twice.to_string(), "the issuer https://b is listed twice");
}

#[test]
fn a_jwks_on_this_computer_may_be_fetched_over_http_in_development() {
    for uri in ["http://127.0.0.1:3000/_local/jwks.json", "http://localhost/k", "http://host.docker.internal:1/k"] {
        let json = format!(r#"[{{"issuer":"https://a.example","jwksUri":"{uri}","audiences":["api"]}}]"#);
        let issuers = Issuers::parse(&json, PlainHttp::ThisMachine).unwrap().into_vec();
        assert_eq!(issuers[0].jwks_uri(), uri);
        assert!(parse(&json).unwrap_err().to_string().contains("over HTTPS"), "{uri}");
        let Value::Object(members) = json!({"issuer": uri, "audiences": ["api"]}) else { unreachable!() };
        assert!(Issuer::of_tenant(members.clone(), PlainHttp::ThisMachine).is_ok());
        assert!(Issuer::of_tenant(members, PlainHttp::Never).is_err(), "{uri}");
        assert_eq!(is_plausible(uri, PlainHttp::ThisMachine), !is_plausible(uri, PlainHttp::Never));
    }
}

#[test]
fn addresses_are_parsed_and_not_compared_by_prefix() {
    for address in [
        "https://login.example@evil.example",
        "https://login.example/#",
        "https://login.example/ ",
        "https://login.example/\n",
        "https://",
        "https:login.example",
    ] {
        let issuer = json!([{"issuer": address, "audiences": ["api"]}]).to_string();
        assert!(parse(&issuer).is_err(), "{address:?}");
        let keys = json!([{"issuer": "https://a.example", "jwksUri": address, "audiences": ["api"]}]).to_string();
        assert!(parse(&keys).is_err(), "{address:?}");
        assert!(of_tenant(json!({"issuer": address, "audiences": ["api"]})).is_err(), "{address:?}");
        assert!(!is_plausible(address, PlainHttp::Never), "{address:?}");
    }
}

#[test]
fn a_tenants_row_stays_readable_whatever_rules_are_added_later() {
    let Value::Object(members) = json!({"issuer": "https://user@a.example/#b", "audiences": ["api"]}) else {
        unreachable!()
    };
    assert!(Issuer::stored(members).is_ok());
}

#[test]
fn keys_are_pinned_in_the_form_of_a_jwks_without_secrets() {
    let key = json!({"kty": "EC", "crv": "P-256", "kid": "a", "x": "eA", "y": "eQ"});
    let with = |name: &str, value: Value| {
        let mut key = key.clone();
        key[name] = value;
        json!({"keys": [key]})
    };
    for (jwks, error) in [
        (json!({"keys": [key]}), None),
        (json!({"keys": []}), Some("is not a JWKS")),
        (json!({}), Some("is not a JWKS")),
        (json!([key]), Some("is not a JWKS")),
        (json!({"keys": ["a"]}), Some("is not a JWKS")),
        (with("kid", json!(7)), Some("without `kid`")),
        (with("d", json!("eA")), Some("a private key")),
        (with("k", json!("eA")), Some("a private key")),
    ] {
        // An issuer with a pinned JWKS needs no address, so its name need not be one.
        let json = json!([{"issuer": "urn:example:a", "audiences": ["api"], "jwks": jwks}]).to_string();
        match (parse(&json), error) {
            (Ok(issuers), None) => assert_eq!(issuers.into_vec()[0].jwks, Some(jwks)),
            (Err(cause), Some(error)) => assert!(cause.to_string().contains(error), "{jwks}: {cause}"),
            (result, _) => panic!("{jwks}: {result:?}"),
        }
    }
    let both = json!([{"issuer": "https://a", "audiences": ["a"], "jwksUri": "https://b", "jwks": {"keys": [key]}}]);
    assert!(parse(&both.to_string()).unwrap_err().to_string().contains("both jwks and jwksUri"));
}

fn of_tenant(value: Value) -> Result<Issuer, IssuersError> {
    let Value::Object(members) = value else { panic!("{value}") };
    Issuer::of_tenant(members, PlainHttp::Never)
}

#[test]
fn an_issuer_of_a_tenant_need_not_name_the_tenant_and_can_be_stored() {
    for (value, claim) in [
        (json!({"issuer": "https://a", "audiences": ["api"]}), None),
        (json!({"issuer": "https://a", "clientIds": ["c"], "tenantClaim": null}), None),
        (json!({"issuer": "https://a", "audiences": ["api"], "tenantClaim": "org"}), Some("org")),
        (json!({"issuer": "https://a", "audiences": ["api"], "roleScopes": {"a": ["b"]}, "roleClaim": "r"}), None),
        (json!({"issuer": "https://a", "audiences": ["api"], "algorithms": ["PS256", "ES384"]}), None),
        (json!({"issuer": "https://a", "audiences": ["api"], "tokenTypes": ["x"], "acceptIdTokens": true}), None),
        (json!({"issuer": "https://a", "audiences": ["api"], "jwks": {"keys": [{"kty": "EC", "kid": "a"}]}}), None),
    ] {
        let issuer = of_tenant(value).unwrap();
        assert_eq!(issuer.tenant_claim.as_deref(), claim);
        assert_eq!(of_tenant(serde_json::from_str(&issuer.to_json().unwrap()).unwrap()).unwrap(), issuer);
    }
}

#[test]
fn an_issuer_of_a_tenant_cannot_issue_tokens_of_operators() {
    for (value, error) in [
        (json!({"issuer": "https://a", "audiences": ["api"], "operatorClients": ["x"]}), "cannot have operatorClients"),
        (
            json!({"issuer": "https://a", "audiences": ["api"], "defaultForTenants": true}),
            "cannot have defaultForTenants",
        ),
        (json!({"issuer": "https://a", "audiences": ["api"], "tenantKeys": true}), "no tenantClaim"),
        (json!({"issuer": "https://a"}), "neither audiences nor clientIds"),
        (json!({"issuer": "a", "audiences": ["api"], "jwksUri": "https://a"}), "over HTTPS"),
        (json!({"issuer": "https://a", "audiences": ["api"], "jwksUri": "http://a"}), "over HTTPS"),
        (json!({"issuer": format!("https://{}", "a".repeat(193)), "audiences": ["api"]}), "too long"),
        (json!({"issuer": "https://a", "audiences": ["a".repeat(2048)]}), "too long"),
        (json!({"issuer": "https://a", "audiences": ["api"], "tenant": "x"}), "unknown field"),
    ] {
        let message = of_tenant(value.clone()).unwrap_err().to_string();
        assert!(message.contains(error), "{value}: {message}");
    }
}
