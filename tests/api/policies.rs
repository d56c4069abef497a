//! Whatever scopes a token has, its policy allows exactly the routes that the contract allows them.

use std::collections::BTreeSet;

use contract::Scopes;
use local::iam::{Context, Decision, Policy};
use proptest::prelude::*;

use crate::support::contract::scopes;

const API: &str = "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5/v1";

/// Scopes of the contract, and some that are like them.
fn any_scopes() -> impl Strategy<Value = Vec<String>> {
    let Scopes { tenant, operator } = scopes();
    let known: Vec<&str> = tenant.iter().chain(operator).map(String::as_str).collect();
    let scope = prop_oneof![
        4 => prop::sample::select(known.clone()).prop_map(ToOwned::to_owned),
        1 => prop::sample::select(known).prop_map(|scope| format!("{scope}s")),
        1 => "[a-z:*]{0,12}",
    ];
    prop::collection::vec(scope, 0..5)
}

/// A path parameter, which may have any character but a slash.
fn any_segment() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9._~-]{1,20}",
        "[A-Za-z0-9%*?:]{1,20}",
        prop::sample::select(vec!["records", "collections", "health", "*", "%2F", "..", "a%2Frecords"])
            .prop_map(ToOwned::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_policy_allows_what_the_contract_allows(
        scopes in any_scopes(),
        segments in prop::collection::vec(any_segment(), 4),
    ) {
        let document = serde_json::to_value(authorizer::policy(API, &scopes)).unwrap();
        prop_assert!(document.to_string().len() < 8192, "API Gateway takes no more");
        let policy = Policy::parse(&document, &[]).unwrap();
        for route in authorizer::ROUTES {
            let mut given = segments.iter();
            let path: Vec<&str> = route
                .path
                .split('/')
                .map(|segment| if segment.starts_with('{') { given.next().unwrap() } else { segment })
                .collect();
            let granted = scopes.iter().any(|scope| scope == route.scope);
            // API Gateway routes both alike.
            for slash in ["", "/"] {
                let arn = format!("{API}/{}{}{slash}", route.method, path.join("/"));
                let allowed = policy.evaluate("execute-api:Invoke", &arn, &Context::default()) == Decision::Allow;
                prop_assert_eq!(allowed, granted, "{} with {:?}", arn, scopes);
            }
        }
    }

    #[test]
    fn a_policy_is_for_its_own_api_and_stage(scopes in any_scopes()) {
        let document = serde_json::to_value(authorizer::policy(API, &scopes)).unwrap();
        let policy = Policy::parse(&document, &[]).unwrap();
        for other in [API.replace("/v1", "/v2"), API.replace("a1b2c3d4e5", "other"), API.replace("central", "west")] {
            let decision = policy.evaluate("execute-api:Invoke", &format!("{other}/GET/collections"), &Context::default());
            prop_assert_ne!(decision, Decision::Allow);
        }
    }
}

/// 8 KB is what API Gateway's quotas have for the result of an authorizer (of a WebSocket API; for a REST API they name none).
#[test]
fn the_largest_policy_is_half_of_what_api_gateway_may_take() {
    let scopes: BTreeSet<String> = authorizer::ROUTES.iter().map(|route| route.scope.to_owned()).collect();
    let longest = API.replace("arn:aws:", "arn:aws-us-gov:").replace("eu-central-1", "ap-southeast-5");
    let (operators, tenants): (Vec<_>, Vec<_>) = scopes.into_iter().partition(|scope| scope == "tenants:admin");
    for scopes in [operators, tenants] {
        let size = serde_json::to_value(authorizer::policy(&longest, &scopes)).unwrap().to_string().len();
        assert!(size < 4096, "{size} bytes for {scopes:?}");
    }
}
