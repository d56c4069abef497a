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

impl Route {
    /// Whether the route is for operators, who act for no tenant, and not for tenants.
    #[must_use]
    pub fn is_operators(&self) -> bool {
        self.path.starts_with("/admin/")
    }
}

/// Whether the contract has this scope for operators, or else for tenants.
pub(crate) fn is_known(scope: &str, operator: bool) -> bool {
    ROUTES.iter().any(|route| route.scope == scope && route.is_operators() == operator)
}
