//! The issuers whose tokens are accepted (`docs/issuers.md`).
//!
//! Those of the stack are in the variables `ISSUERS`, for those of the operator's choice, and `USER_POOL_ISSUERS`, for
//! the user pool. Those that an operator adds for one tenant are in the table.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::tenant::TenantId;

/// The most bytes of an `iss`.
pub const MAX_ISS: usize = 200;
/// The most bytes of a tenant's issuer as JSON: up to 20 of them are on the tenant's row.
const MAX_JSON: usize = 2048;

/// An `OpenID` Connect issuer, and where its tokens say what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Issuer {
    /// The `iss` of its tokens, to the letter.
    pub issuer: String,
    /// Where its keys are; by default `<issuer>/.well-known/jwks.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// The values of `aud` that mean this API.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<String>,
    /// The clients whose tokens are accepted. Without any, every client's are, if they have an audience.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub client_ids: Vec<String>,
    /// The clients whose tokens are operators', where they have no tenant claim.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operator_clients: Vec<String>,
    /// The claim that holds the tenant's id. `None` for a tenant's issuer, whose tokens need not name the tenant.
    #[serde(default = "tenant_claim", skip_serializing_if = "Option::is_none")]
    pub tenant_claim: Option<String>,
    /// Whether the claim holds an opaque key of the tenant in place of its id.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tenant_keys: bool,
    /// The claim that holds the scopes: a string with spaces between them, or an array.
    #[serde(default = "scope_claim")]
    pub scope_claim: String,
    /// What stands before each scope of ours (Cognito: the resource server's identifier and a slash).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope_prefix: String,
    /// The claim that holds roles or groups, as a name or as a JSON Pointer (`/realm_access/roles`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_claim: Option<String>,
    /// The scopes that each role stands for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub role_scopes: BTreeMap<String, Vec<String>>,
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the member's type")]
fn tenant_claim() -> Option<String> {
    Some("tenant".to_owned())
}

fn scope_claim() -> String {
    "scope".to_owned()
}

/// An issuer that belongs to one tenant: its tokens speak for this tenant and no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantIssuer {
    /// The tenant.
    pub tenant: TenantId,
    /// The issuer.
    pub issuer: Issuer,
}

/// The issuers of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuers(Vec<Issuer>);

/// An issuer cannot be trusted as it is given.
#[derive(Debug, thiserror::Error)]
pub enum IssuersError {
    /// It is not of the form.
    #[error("the value is not a JSON array of issuers: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Two entries would compete for the same tokens.
    #[error("the issuer {0} is listed twice")]
    Twice(String),
    /// Its tokens for other APIs would be taken for ours.
    #[error("the issuer {0} has neither audiences nor clientIds")]
    NoAudience(String),
    /// Anybody on the way could replace its keys.
    #[error("the issuer {0} does not give its keys over HTTPS: {1}")]
    NotHttps(String, String),
    /// Its tokens would speak for nobody: only a tenant's issuer need not name the tenant, and not with `tenantKeys`.
    #[error("the issuer {0} has no tenantClaim")]
    NoTenantClaim(String),
    /// The operators of the stack come from the stack's issuers.
    #[error("the issuer {0} is a tenant's and has operatorClients")]
    Operators(String),
    /// It is too long to be kept with a tenant.
    #[error("an issuer is too long: its name has at most {MAX_ISS} bytes, the whole at most {MAX_JSON}")]
    TooLong,
}

impl Issuers {
    /// Reads a variable.
    pub fn parse(json: &str) -> Result<Self, IssuersError> {
        let issuers: Vec<Issuer> = serde_json::from_str(json)?;
        for (index, issuer) in issuers.iter().enumerate() {
            if issuers[..index].iter().any(|other| other.issuer == issuer.issuer) {
                return Err(IssuersError::Twice(issuer.issuer.clone()));
            }
            issuer.check()?;
            if issuer.tenant_claim.is_none() {
                return Err(IssuersError::NoTenantClaim(issuer.issuer.clone()));
            }
        }
        Ok(Self(issuers))
    }

    /// These and those of another variable.
    pub fn with(mut self, others: Self) -> Result<Self, IssuersError> {
        if let Some(twice) = others.0.iter().find(|one| self.0.iter().any(|own| own.issuer == one.issuer)) {
            return Err(IssuersError::Twice(twice.issuer.clone()));
        }
        self.0.extend(others.0);
        Ok(self)
    }

    /// One after the other.
    #[must_use]
    pub fn into_vec(self) -> Vec<Issuer> {
        self.0
    }

    /// Whether an `iss` is one of them.
    #[must_use]
    pub fn has(&self, iss: &str) -> bool {
        self.0.iter().any(|issuer| issuer.issuer == iss)
    }
}

impl Issuer {
    /// Reads an issuer of one tenant. Without `tenantClaim` its tokens need not name the tenant.
    pub fn of_tenant(mut members: Map<String, Value>) -> Result<Self, IssuersError> {
        members.entry("tenantClaim").or_insert(Value::Null);
        let issuer: Self = serde_json::from_value(Value::Object(members))?;
        if issuer.issuer.len() > MAX_ISS || issuer.to_json()?.len() > MAX_JSON {
            return Err(IssuersError::TooLong);
        }
        if !issuer.operator_clients.is_empty() {
            return Err(IssuersError::Operators(issuer.issuer));
        }
        if !may_be_asked(&issuer.issuer) {
            return Err(IssuersError::NotHttps(issuer.issuer.clone(), issuer.issuer));
        }
        if issuer.tenant_keys && issuer.tenant_claim.is_none() {
            return Err(IssuersError::NoTenantClaim(issuer.issuer));
        }
        issuer.check()?;
        Ok(issuer)
    }

    /// As [`Issuer::of_tenant`] reads it.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    fn check(&self) -> Result<(), IssuersError> {
        if self.audiences.is_empty() && self.client_ids.is_empty() {
            return Err(IssuersError::NoAudience(self.issuer.clone()));
        }
        let uri = self.jwks_uri();
        if !may_be_asked(&uri) {
            return Err(IssuersError::NotHttps(self.issuer.clone(), uri));
        }
        Ok(())
    }

    /// Where the issuer's keys are.
    #[must_use]
    pub fn jwks_uri(&self) -> String {
        let default = || format!("{}/.well-known/jwks.json", self.issuer.trim_end_matches('/'));
        self.jwks_uri.clone().unwrap_or_else(default)
    }
}

/// Whether an `iss` can be that of a tenant's issuer: what is not need not be looked up.
#[must_use]
pub fn is_plausible(iss: &str) -> bool {
    iss.len() <= MAX_ISS && may_be_asked(iss)
}

fn may_be_asked(uri: &str) -> bool {
    uri.starts_with("https://") || is_this_machine(uri)
}

/// Plain HTTP is for development: to this machine, or to it from a container of `sam local`.
fn is_this_machine(uri: &str) -> bool {
    let Some(rest) = uri.strip_prefix("http://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    // What stands before an `@` is a user's name: the host comes after it, and is on no list here.
    !authority.contains('@') && ["127.0.0.1", "localhost", "[::1]", "host.docker.internal"].contains(&host)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_issuer_has_defaults() {
        let issuers = Issuers::parse(r#"[{"issuer":"https://a.example/","audiences":["api"]}]"#).unwrap().into_vec();
        assert_eq!(issuers[0].jwks_uri(), "https://a.example/.well-known/jwks.json");
        assert_eq!((issuers[0].tenant_claim.as_deref(), &issuers[0].scope_claim[..]), (Some("tenant"), "scope"));
        assert_eq!(Issuers::parse("[]").unwrap().into_vec(), []);
    }

    #[test]
    fn what_cannot_be_trusted_is_refused() {
        for (json, error) in [
            ("", "not a JSON array"),
            ("{}", "not a JSON array"),
            (r#"[{"issuer":"https://a.example","audiences":["api"],"audience":"x"}]"#, "unknown field"),
            (r#"[{"issuer":"https://a","audiences":["a"],"tenantClaim":null}]"#, "has no tenantClaim"),
            (r#"[{"issuer":"https://a.example"}]"#, "neither audiences nor clientIds"),
            (r#"[{"issuer":"http://a.example","audiences":["api"]}]"#, "not give its keys over HTTPS"),
            (r#"[{"issuer":"x","jwksUri":"http://localhost.evil/","audiences":["a"]}]"#, "over HTTPS"),
            (r#"[{"issuer":"x","jwksUri":"http://localhost:1@evil/","audiences":["a"]}]"#, "over HTTPS"),
            (r#"[{"issuer":"x","jwksUri":"http://127.0.0.1:80:x@e/","audiences":["a"]}]"#, "over HTTPS"),
            (
                r#"[{"issuer":"https://a","audiences":["a"]},{"issuer":"https://a","clientIds":["b"]}]"#,
                "https://a is listed twice",
            ),
        ] {
            let message = Issuers::parse(json).unwrap_err().to_string();
            assert!(message.contains(error), "{json}: {message}");
        }
    }

    #[test]
    fn an_issuer_is_in_one_of_two_variables() {
        let of = |names: &[&str]| {
            let list: Vec<_> = names.iter().map(|name| json!({"issuer": name, "audiences": ["api"]})).collect();
            Issuers::parse(&json!(list).to_string()).unwrap()
        };
        let both = of(&["https://a", "https://b"]);
        assert_eq!(of(&["https://a"]).with(of(&["https://b"])).unwrap(), both);
        assert_eq!(both.clone().with(of(&[])).unwrap(), both);
        let twice = both.with(of(&["https://c", "https://b"])).unwrap_err();
        assert_eq!(twice.to_string(), "the issuer https://b is listed twice");
    }

    #[test]
    fn keys_on_this_machine_may_come_over_http() {
        for uri in ["http://127.0.0.1:3000/_local/jwks.json", "http://localhost/k", "http://host.docker.internal:1/k"] {
            let json = format!(r#"[{{"issuer":"https://a.example","jwksUri":"{uri}","audiences":["api"]}}]"#);
            assert_eq!(Issuers::parse(&json).unwrap().into_vec()[0].jwks_uri(), uri);
        }
    }

    fn of_tenant(value: Value) -> Result<Issuer, IssuersError> {
        let Value::Object(members) = value else { panic!("{value}") };
        Issuer::of_tenant(members)
    }

    #[test]
    fn an_issuer_of_a_tenant_need_not_name_the_tenant_and_comes_back() {
        for (value, claim) in [
            (json!({"issuer": "https://a", "audiences": ["api"]}), None),
            (json!({"issuer": "https://a", "clientIds": ["c"], "tenantClaim": null}), None),
            (json!({"issuer": "https://a", "audiences": ["api"], "tenantClaim": "org"}), Some("org")),
            (json!({"issuer": "https://a", "audiences": ["api"], "roleScopes": {"a": ["b"]}, "roleClaim": "r"}), None),
        ] {
            let issuer = of_tenant(value).unwrap();
            assert_eq!(issuer.tenant_claim.as_deref(), claim);
            assert_eq!(of_tenant(serde_json::from_str(&issuer.to_json().unwrap()).unwrap()).unwrap(), issuer);
        }
    }

    #[test]
    fn an_issuer_of_a_tenant_makes_no_operators() {
        for (value, error) in [
            (json!({"issuer": "https://a", "audiences": ["api"], "operatorClients": ["x"]}), "has operatorClients"),
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
}
