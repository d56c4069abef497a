//! The IAM policy, which allows the routes of a token's scopes.
//!
//! API Gateway applies one policy to every route, and a `*` in it matches any text, including `/`. So the pattern of an
//! allowed route may match requests of a longer route that is not allowed, which the policy then denies explicitly.
//! This works only if no two routes of the contract match each other's requests, which a test checks.
//!
//! API Gateway routes a path with a trailing slash like the path without it, but evaluates the policy for the path as
//! it was sent (<https://github.com/localstack/localstack/issues/6533>). So a policy lists both.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html>

use std::collections::BTreeSet;
use std::sync::LazyLock;

use aws_lambda_events::apigw::ApiGatewayCustomAuthorizerPolicy;
use aws_lambda_events::iam::{IamPolicyEffect, IamPolicyStatement};

use crate::contract::{ROUTES, Route};

const ACTION: &str = "execute-api:Invoke";

/// A route as it is written in policies.
struct Pattern {
    scope: &'static str,
    /// `GET/collections/*/records` and `GET/collections/*/records/`, or `GET/collections/*/records/*` alone.
    texts: Vec<String>,
    /// The indexes of the other routes whose requests the texts match as well.
    covers: Vec<usize>,
}

static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| patterns(ROUTES));

fn patterns(routes: &[Route]) -> Vec<Pattern> {
    // The control character stands for a parameter's value: it equals no literal segment and has no `/`.
    let requests: Vec<[String; 2]> = routes.iter().map(|route| with_slash(spell(route, "\u{1}"))).collect();
    let covers = |texts: &[String], own: usize| {
        let matched =
            |other: usize| requests[other].iter().any(|request| texts.iter().any(|text| matches(text, request)));
        (0..routes.len()).filter(|other| *other != own && matched(*other)).collect()
    };
    let pattern = |(index, route): (usize, &Route)| {
        let text = spell(route, "*");
        let texts = if text.ends_with('*') { vec![text] } else { with_slash(text).into() };
        Pattern { scope: route.scope, covers: covers(&texts, index), texts }
    };
    routes.iter().enumerate().map(pattern).collect()
}

/// A path, without and with a trailing slash.
fn with_slash(path: String) -> [String; 2] {
    let with_slash = format!("{path}/");
    [path, with_slash]
}

fn spell(route: &Route, parameter: &str) -> String {
    let segments = route.path.split('/').map(|segment| if segment.starts_with('{') { parameter } else { segment });
    format!("{}{}", route.method, segments.collect::<Vec<_>>().join("/"))
}

/// Whether a pattern with `*` matches a text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text.strip_prefix(head).is_some_and(|rest| {
            rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| matches(tail, &rest[at..]))
        }),
    }
}

/// The part of a method ARN that identifies the API and the stage:
/// `arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5/v1`.
pub(crate) fn api_of(method_arn: &str) -> Option<&str> {
    let (after_api, _) = method_arn.match_indices('/').nth(1)?;
    method_arn.starts_with("arn:").then(|| &method_arn[..after_api])
}

/// Returns the policy of a token with these scopes, which allows all of their routes and nothing else.
#[must_use]
pub fn policy(api: &str, scopes: &[String]) -> ApiGatewayCustomAuthorizerPolicy {
    let granted = |pattern: &Pattern| scopes.iter().any(|scope| scope == pattern.scope);
    let resources = |patterns: Vec<&Pattern>| {
        patterns.into_iter().flat_map(|pattern| &pattern.texts).map(|text| format!("{api}/{text}")).collect()
    };
    let allowed: Vec<&Pattern> = PATTERNS.iter().filter(|pattern| granted(pattern)).collect();
    if allowed.is_empty() {
        return deny_all(api);
    }
    let covered: BTreeSet<usize> = allowed.iter().flat_map(|pattern| &pattern.covers).copied().collect();
    let covered: Vec<&Pattern> =
        covered.into_iter().map(|index| &PATTERNS[index]).filter(|pattern| !granted(pattern)).collect();

    let mut statements = vec![statement(IamPolicyEffect::Allow, resources(allowed))];
    if !covered.is_empty() {
        statements.push(statement(IamPolicyEffect::Deny, resources(covered)));
    }
    document(statements)
}

/// Returns the policy that allows nothing.
pub(crate) fn deny_all(api: &str) -> ApiGatewayCustomAuthorizerPolicy {
    document(vec![statement(IamPolicyEffect::Deny, vec![format!("{api}/*")])])
}

fn statement(effect: IamPolicyEffect, resource: Vec<String>) -> IamPolicyStatement {
    let mut statement = IamPolicyStatement::default();
    statement.effect = effect;
    statement.action = vec![ACTION.to_owned()];
    statement.resource = resource;
    statement
}

fn document(statement: Vec<IamPolicyStatement>) -> ApiGatewayCustomAuthorizerPolicy {
    let mut document = ApiGatewayCustomAuthorizerPolicy::default();
    document.version = Some("2012-10-17".to_owned());
    document.statement = statement;
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    const API: &str = "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5/v1";

    #[test]
    fn the_api_is_the_part_before_the_method() {
        assert_eq!(api_of(&format!("{API}/GET/collections")), Some(API));
        assert_eq!(api_of(&format!("{API}/GET/")), Some(API));
        for arn in ["", "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5", "a/b/c", "arn:x/v1"] {
            assert_eq!(api_of(arn), None, "{arn}");
        }
    }

    #[test]
    fn a_reader_may_read_on_all_routes_and_write_on_none() {
        let policy = policy(API, &["records:read".into()]);
        let [allow] = &policy.statement[..] else { panic!("{policy:?}") };
        assert_eq!(allow.effect, IamPolicyEffect::Allow);
        assert_eq!(allow.action, ["execute-api:Invoke"]);
        assert_eq!(
            allow.resource,
            [
                format!("{API}/GET/collections"),
                format!("{API}/GET/collections/"),
                format!("{API}/HEAD/collections"),
                format!("{API}/HEAD/collections/"),
                format!("{API}/GET/collections/*/records"),
                format!("{API}/GET/collections/*/records/"),
                format!("{API}/HEAD/collections/*/records"),
                format!("{API}/HEAD/collections/*/records/"),
                format!("{API}/GET/collections/*/records/*"),
                format!("{API}/HEAD/collections/*/records/*"),
            ]
        );
    }

    #[test]
    fn without_a_scope_of_the_contract_nothing_is_allowed() {
        for scopes in [vec![], vec!["admin".to_owned()], vec!["records:*".to_owned()]] {
            let policy = policy(API, &scopes);
            let [deny] = &policy.statement[..] else { panic!("{policy:?}") };
            assert_eq!((deny.effect.clone(), &deny.resource[..]), (IamPolicyEffect::Deny, &[format!("{API}/*")][..]));
        }
    }

    #[test]
    fn a_pattern_knows_the_longer_routes_that_it_matches() {
        let route = |method, path, scope| Route { method, path, scope };
        let patterns = patterns(&[
            route("GET", "/a/{x}", "short"),
            route("GET", "/a/{x}/b", "long"),
            route("POST", "/a/{x}/b", "other method"),
            route("GET", "/a/b", "literal"),
        ]);
        assert_eq!(
            patterns.iter().map(|pattern| &pattern.covers[..]).collect::<Vec<_>>(),
            [&[1, 3][..], &[], &[], &[]]
        );
    }

    #[test]
    fn a_trailing_slash_is_part_of_the_same_route() {
        let route = |method, path, scope| Route { method, path, scope };
        let patterns = patterns(&[route("GET", "/a", "list"), route("GET", "/a/{x}", "one")]);
        assert_eq!(patterns[0].texts, ["GET/a", "GET/a/"]);
        assert_eq!(patterns[1].texts, ["GET/a/*"]);
        // `GET/a/` is a request for the list, and the other pattern would allow it.
        assert_eq!((&patterns[0].covers[..], &patterns[1].covers[..]), (&[][..], &[0][..]));
    }

    /// Otherwise the denial of one route would deny the other one, which may be allowed.
    #[test]
    fn no_two_routes_of_the_contract_cover_each_other() {
        for (index, pattern) in PATTERNS.iter().enumerate() {
            for other in &pattern.covers {
                let other = &PATTERNS[*other];
                assert!(!other.covers.contains(&index), "{:?} and {:?}", pattern.texts, other.texts);
            }
        }
    }
}
