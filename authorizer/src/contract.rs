//! The contract's routes, from `openapi.yaml` at build time.

/// A route that needs a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The HTTP method, in upper case.
    pub method: &'static str,
    /// The path without the stage, with `{parameters}`.
    pub path: &'static str,
    /// The scope that a token needs for it.
    pub scope: &'static str,
}

/// Every route that needs a scope.
pub const ROUTES: &[Route] = include!(concat!(env!("OUT_DIR"), "/routes.rs"));

/// Whether a scope is one of the contract's.
pub(crate) fn is_known(scope: &str) -> bool {
    ROUTES.iter().any(|route| route.scope == scope)
}
