//! The contract, `openapi.yaml`, as build scripts and `local` read it: its routes, and the scopes that they require.
//!
//! A new scope needs no entry anywhere else in the code: the authorizer's policies, the scopes of `claims` and those of the
//! local issuer are derived from the contract by this package.

pub mod generate;
mod join;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use saphyr::{LoadableYamlNode, ScanError, Yaml};

pub use join::{BASE, JoinError, join};

/// The name of the file, which is beside `template.yaml`.
pub const FILE: &str = "openapi.yaml";

const METHODS: [&str; 6] = ["get", "head", "post", "put", "patch", "delete"];

/// The beginning of the paths that are for operators, who act for no tenant.
pub const OPERATORS: &str = "/admin/";

/// The reason why a contract cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// The file cannot be read.
    #[error("the contract {} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The text is not valid YAML.
    #[error("the contract is not valid YAML: {0}")]
    Syntax(#[from] ScanError),
    /// The text is YAML, but has no paths.
    #[error("the contract has no `paths`")]
    NoPaths,
    /// A path is not a string.
    #[error("a path of the contract is not a string")]
    Path,
    /// A scope does not have the form of one.
    #[error("the x-required-scope of {method} {path} is not a noun, a colon and a verb in lower case: records:read")]
    Scope {
        /// The method of the operation.
        method: String,
        /// The path of the operation.
        path: String,
    },
    /// A scope is required by an operation for operators and by one for tenants.
    #[error("operations under {OPERATORS} and others require the same scope {0}: an operator has scopes of its own")]
    Shared(String),
}

/// An operation that requires a scope. The others are public: API Gateway does not invoke the authorizer for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The HTTP method, in upper case.
    pub method: String,
    /// The path without the stage, with `{parameters}`.
    pub path: String,
    /// The scope that a token needs for the operation.
    pub scope: String,
}

/// The scopes of a contract, in alphabetical order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scopes {
    /// The scopes that a tenant's tokens can have.
    pub tenant: Vec<String>,
    /// The scopes that only an operator's tokens can have.
    pub operator: Vec<String>,
}

/// A contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    routes: Vec<Route>,
    scopes: Scopes,
}

impl Contract {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, ContractError> {
        let text = fs::read_to_string(path).map_err(|source| ContractError::Read { path: path.to_owned(), source })?;
        Self::parse(&text)
    }

    /// Reads the text of a contract.
    pub fn parse(text: &str) -> Result<Self, ContractError> {
        let documents = Yaml::load_from_str(text)?;
        let paths = documents.first().and_then(|contract| contract.as_mapping_get("paths"));
        let mut routes = Vec::new();
        for (path, operations) in paths.and_then(Yaml::as_mapping).ok_or(ContractError::NoPaths)? {
            let path = path.as_str().ok_or(ContractError::Path)?;
            for method in METHODS {
                let operation = operations.as_mapping_get(method);
                let Some(scope) = operation.and_then(|one| one.as_mapping_get("x-required-scope")) else { continue };
                let method = method.to_uppercase();
                let Some(scope) = scope.as_str().filter(|scope| is_scope(scope)) else {
                    return Err(ContractError::Scope { method, path: path.to_owned() });
                };
                routes.push(Route { method, path: path.to_owned(), scope: scope.to_owned() });
            }
        }
        let scopes = scopes(&routes)?;
        Ok(Self { routes, scopes })
    }

    /// Returns the routes that require a scope, in the order of the contract.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Returns the scopes.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.scopes
    }
}

fn is_scope(text: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    text.split_once(':').is_some_and(|(noun, verb)| is_word(noun) && is_word(verb))
}

fn scopes(routes: &[Route]) -> Result<Scopes, ContractError> {
    let of = |operators: bool| -> BTreeSet<&str> {
        let routes = routes.iter().filter(|route| route.path.starts_with(OPERATORS) == operators);
        routes.map(|route| &*route.scope).collect()
    };
    let (tenant, operator) = (of(false), of(true));
    if let Some(shared) = tenant.intersection(&operator).next() {
        return Err(ContractError::Shared((*shared).to_owned()));
    }
    let list = |scopes: BTreeSet<&str>| scopes.into_iter().map(ToOwned::to_owned).collect();
    Ok(Scopes { tenant: list(tenant), operator: list(operator) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(paths: &str) -> Result<Contract, ContractError> {
        Contract::parse(&format!("openapi: 3.1.0\npaths:\n{paths}"))
    }

    #[test]
    fn routes_have_the_scope_of_their_operation() {
        let contract = parse(
            "  /b: { parameters: [], post: { x-required-scope: b:write }, get: { x-required-scope: b:read } }\n  \
             /health: { get: { security: [] } }\n  /admin/a: { delete: { x-required-scope: a:admin } }\n",
        )
        .unwrap();
        let routes: Vec<_> = contract.routes().iter().map(|one| [&*one.method, &*one.path, &*one.scope]).collect();
        assert_eq!(routes, [["GET", "/b", "b:read"], ["POST", "/b", "b:write"], ["DELETE", "/admin/a", "a:admin"]]);
        let Scopes { tenant, operator } = contract.scopes();
        assert_eq!((&tenant[..], &operator[..]), (&["b:read".into(), "b:write".into()][..], &["a:admin".into()][..]));
    }

    #[test]
    fn a_scope_is_a_noun_and_a_verb() {
        for scope in ["read", "'b:'", "':read'", "B:read", "b:read:all", "b read", "7", "[]", "''"] {
            let error = parse(&format!("  /b: {{ get: {{ x-required-scope: {scope} }} }}\n")).unwrap_err();
            assert!(error.to_string().starts_with("the x-required-scope of GET /b is not"), "{scope}: {error}");
        }
    }

    #[test]
    fn tenants_and_operators_share_no_scope() {
        let error =
            parse("  /b: { get: { x-required-scope: b:read } }\n  /admin/b: { get: { x-required-scope: b:read } }\n");
        assert!(matches!(error, Err(ContractError::Shared(scope)) if scope == "b:read"));
    }

    #[test]
    fn a_text_without_paths_is_no_contract() {
        for text in ["", "7", "openapi: 3.1.0\n", "paths: []\n"] {
            assert!(matches!(Contract::parse(text), Err(ContractError::NoPaths)), "{text}");
        }
        assert!(Contract::read(Path::new("nowhere.yaml")).unwrap_err().to_string().contains("nowhere.yaml"));
    }
}
