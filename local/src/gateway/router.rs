//! The routing of a path and a method to a function.
//!
//! Segment by segment, a literal takes precedence over `{parameter}`, which takes precedence over `{proxy+}`:
//!
//! | resources | request | resource |
//! |---|---|---|
//! | `/a/b`, `/a/{x}`, `/{proxy+}` | `/a/b` | `/a/b` |
//! | | `/a/z` | `/a/{x}`, with `x` = `z` |
//! | | `/q/r/s` | `/{proxy+}`, with `proxy` = `q/r/s` |
//!
//! Proxy resources: <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-set-up-simple-proxy.html>.
//!
//! Two rules come from reports of users, because AWS's pages do not mention them. A path with a slash at its end is routed
//! like the path without it (<https://github.com/aws-powertools/powertools-lambda-python/issues/1552>), while the event and
//! the ARN for which a policy is evaluated have the slash (<https://github.com/localstack/localstack/issues/6533>). The
//! event has path parameters as the client sent them, percent-encoded
//! (<https://github.com/serverless/serverless/issues/5037>).

use std::cmp::Ordering;
use std::collections::BTreeMap;

use http::Method;

use crate::template::Route;

/// The stage's resources.
#[derive(Debug)]
pub(super) struct Router {
    stage: String,
    resources: Vec<Resource>,
}

/// A path of the API with its methods.
#[derive(Debug)]
pub(super) struct Resource {
    /// The path as it is in the template.
    pub(super) path: String,
    segments: Vec<Segment>,
    routes: Vec<Route>,
}

/// The resource of a request's path.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) resource: &'a Resource,
    /// The path parameters, percent-encoded as the client sent them.
    pub(super) parameters: BTreeMap<String, String>,
    /// The request's path without the stage.
    pub(super) path: &'a str,
}

/// The target of a method of a resource.
#[derive(Debug)]
pub(super) enum Target<'a> {
    Route(&'a Route),
    /// The `OPTIONS` method that SAM's `Cors` adds.
    Preflight,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Parameter(String),
    Greedy(String),
}

impl Router {
    pub(super) fn new(stage: &str, routes: &[Route]) -> Self {
        let mut by_path: BTreeMap<&str, Vec<Route>> = BTreeMap::new();
        for route in routes {
            by_path.entry(&route.path).or_default().push(route.clone());
        }
        let resources = by_path
            .into_iter()
            .map(|(path, routes)| Resource { path: path.to_owned(), segments: Segment::parse(path), routes })
            .collect();
        Self { stage: stage.to_owned(), resources }
    }

    pub(super) fn stage(&self) -> &str {
        &self.stage
    }

    /// Returns the most specific resource for `path`, which includes the stage.
    pub(super) fn find<'a>(&'a self, path: &'a str) -> Option<Found<'a>> {
        let path = path.strip_prefix('/')?.strip_prefix(self.stage.as_str())?;
        let path = if path.is_empty() { "/" } else { path };
        let inner = path.strip_prefix('/')?;
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        let segments: Vec<&str> = if inner.is_empty() { Vec::new() } else { inner.split('/').collect() };
        self.resources
            .iter()
            .filter_map(|resource| {
                let parameters = resource.parameters(&segments)?;
                Some(Found { resource, parameters, path })
            })
            .min_by(|a, b| a.resource.specificity(b.resource))
    }
}

impl Resource {
    /// Returns the target of `method`, if there is one. `cors` is whether the API has SAM's `Cors`.
    pub(super) fn target(&self, method: &Method, cors: bool) -> Option<Target<'_>> {
        let route = |name: &str| self.routes.iter().find(|route| route.method.eq_ignore_ascii_case(name));
        match route(method.as_str()) {
            Some(route) => Some(Target::Route(route)),
            None if cors && method == Method::OPTIONS => Some(Target::Preflight),
            None => route("ANY").map(Target::Route),
        }
    }

    fn parameters(&self, path: &[&str]) -> Option<BTreeMap<String, String>> {
        let mut parameters = BTreeMap::new();
        let mut rest = path;
        for segment in &self.segments {
            let (first, others) = rest.split_first()?;
            match segment {
                Segment::Literal(text) if text == first => {}
                Segment::Literal(_) => return None,
                Segment::Parameter(_) if first.is_empty() => return None,
                Segment::Parameter(name) => drop(parameters.insert(name.clone(), (*first).to_owned())),
                Segment::Greedy(name) => {
                    parameters.insert(name.clone(), rest.join("/"));
                    return Some(parameters);
                }
            }
            rest = others;
        }
        rest.is_empty().then_some(parameters)
    }

    fn specificity(&self, other: &Self) -> Ordering {
        self.segments.iter().map(Segment::rank).cmp(other.segments.iter().map(Segment::rank))
    }
}

impl Segment {
    fn parse(path: &str) -> Vec<Self> {
        path.split('/').filter(|segment| !segment.is_empty()).map(Self::of).collect()
    }

    fn of(text: &str) -> Self {
        match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            None => Self::Literal(text.to_owned()),
            Some(name) => match name.strip_suffix('+') {
                Some(name) => Self::Greedy(name.to_owned()),
                None => Self::Parameter(name.to_owned()),
            },
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Literal(_) => 0,
            Self::Parameter(_) => 1,
            Self::Greedy(_) => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(routes: &[(&str, &str)]) -> Router {
        let routes: Vec<Route> = routes
            .iter()
            .map(|(method, path)| Route {
                method: (*method).to_owned(),
                path: (*path).to_owned(),
                function: "f".to_owned(),
                authorized: false,
                api_key_required: false,
            })
            .collect();
        Router::new("v1", &routes)
    }

    fn found(router: &Router, path: &str) -> Option<(String, Vec<(String, String)>)> {
        router.find(path).map(|found| (found.resource.path.clone(), found.parameters.into_iter().collect()))
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_more_specific_resource_wins_segment_by_segment() {
        let router = router(&[
            ("GET", "/a/{x}"),
            ("GET", "/a/b"),
            ("GET", "/{proxy+}"),
            ("GET", "/a/{x}/c"),
            ("GET", "/{y}/b/c"),
            ("GET", "/"),
        ]);
        assert_eq!(found(&router, "/v1/a/b").unwrap(), ("/a/b".into(), vec![]));
        assert_eq!(found(&router, "/v1/a/z").unwrap(), ("/a/{x}".into(), pairs(&[("x", "z")])));
        assert_eq!(found(&router, "/v1/a/b/c").unwrap(), ("/a/{x}/c".into(), pairs(&[("x", "b")])));
        assert_eq!(found(&router, "/v1/q/r/s").unwrap(), ("/{proxy+}".into(), pairs(&[("proxy", "q/r/s")])));
        assert_eq!(found(&router, "/v1").unwrap().0, "/");
        assert_eq!(found(&router, "/v1/").unwrap().0, "/");
    }

    #[test]
    fn a_trailing_slash_does_not_count() {
        let router = router(&[("GET", "/a/{x}")]);
        assert_eq!(found(&router, "/v1/a/z/").unwrap().1, pairs(&[("x", "z")]));
        assert_eq!(router.find("/v1/a/z/").unwrap().path, "/a/z/");
    }

    #[test]
    fn parameters_stay_percent_encoded() {
        let router = router(&[("GET", "/a/{x}")]);
        assert_eq!(found(&router, "/v1/a/b%2Fc%20d").unwrap().1, pairs(&[("x", "b%2Fc%20d")]));
    }

    #[test]
    fn a_path_without_a_resource_is_not_found() {
        let router = router(&[("GET", "/a/{x}"), ("GET", "/b/{proxy+}")]);
        for path in ["/", "/v1", "/v2/a/z", "/v10/a/z", "/v1a/z", "/v1/a", "/v1/a//", "/v1/a/b/c", "/v1//a/b", "/v1/b"]
        {
            assert!(router.find(path).is_none(), "{path}");
        }
    }

    #[test]
    fn a_route_of_the_method_precedes_cors_and_cors_precedes_any() {
        let router = router(&[("ANY", "/a"), ("OPTIONS", "/b"), ("GET", "/c")]);
        let target = |path, method: Method, cors| {
            router.find(path).and_then(|found| {
                found.resource.target(&method, cors).map(|target| match target {
                    Target::Route(route) => route.method.clone(),
                    Target::Preflight => "preflight".to_owned(),
                })
            })
        };
        assert_eq!(target("/v1/a", Method::OPTIONS, true).unwrap(), "preflight");
        assert_eq!(target("/v1/a", Method::OPTIONS, false).unwrap(), "ANY");
        assert_eq!(target("/v1/b", Method::OPTIONS, true).unwrap(), "OPTIONS");
        assert_eq!(target("/v1/c", Method::GET, true).unwrap(), "GET");
        assert_eq!(target("/v1/c", Method::POST, true), None);
        assert_eq!(target("/v1/c", Method::OPTIONS, false), None);
    }
}
