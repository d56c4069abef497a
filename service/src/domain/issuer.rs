//! The issuers whose tokens are accepted (`docs/reference/issuers.md`).
//!
//! Those of the stack are in the variables `ISSUERS`, for those of the operator's choice, and `USER_POOL_ISSUERS`, for
//! the user pool. Those that an operator adds for one tenant are in the table.

mod address;
mod algorithm;
mod error;
mod pinned;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::tenant::TenantId;
use address::check_name;

pub use address::{AddressError, PlainHttp, check_address};
pub use algorithm::Algorithm;
pub use error::IssuersError;
pub use pinned::PinnedError;

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
    /// The keys themselves, as a JWKS (RFC 7517). They are never fetched then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Value>,
    /// The algorithms that its tokens may be signed with. Without any, a key verifies the algorithm that it names, or
    /// the usual one of its type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub algorithms: Vec<Algorithm>,
    /// The values of the header `typ` that its access tokens have. Without any, they have none or a usual one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_types: Vec<String>,
    /// Whether its ID tokens are accepted in place of access tokens.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accept_id_tokens: bool,
    /// The values of `aud` that mean this API.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<String>,
    /// The clients whose tokens are accepted. Without any, every client's are, if they have an audience.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub client_ids: Vec<String>,
    /// The clients whose tokens are operators', where they have no tenant claim.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operator_clients: Vec<String>,
    /// Whether its tokens may speak for every tenant that lists no issuers. Only an issuer of the stack may.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default_for_tenants: bool,
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

impl Issuers {
    /// Reads a variable.
    pub fn parse(json: &str, plain_http: PlainHttp) -> Result<Self, IssuersError> {
        let issuers: Vec<Issuer> = serde_json::from_str(json)?;
        for (index, issuer) in issuers.iter().enumerate() {
            if issuers[..index].iter().any(|other| other.issuer == issuer.issuer) {
                return Err(IssuersError::Twice(issuer.issuer.clone()));
            }
            check_name(&issuer.issuer).map_err(|cause| IssuersError::Name(issuer.issuer.clone(), cause))?;
            issuer.check()?;
            issuer.check_keys(plain_http)?;
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
    /// Reads an issuer that an operator adds for one tenant. Without `tenantClaim` its tokens need not name the tenant.
    pub fn of_tenant(members: Map<String, Value>, plain_http: PlainHttp) -> Result<Self, IssuersError> {
        let issuer = Self::stored(members)?;
        if issuer.issuer.len() > MAX_ISS || issuer.to_json()?.len() > MAX_JSON {
            return Err(IssuersError::TooLong);
        }
        check_address(&issuer.issuer, plain_http)
            .map_err(|cause| IssuersError::Address(issuer.issuer.clone(), issuer.issuer.clone(), cause))?;
        issuer.check_keys(plain_http)?;
        Ok(issuer)
    }

    /// Reads an issuer of one tenant as it was stored. Its addresses are not checked: rules that came later must not
    /// make a tenant's row unreadable, and the authorizer checks every address before it uses it.
    pub fn stored(mut members: Map<String, Value>) -> Result<Self, IssuersError> {
        members.entry("tenantClaim").or_insert(Value::Null);
        let issuer: Self = serde_json::from_value(Value::Object(members))?;
        if !issuer.operator_clients.is_empty() {
            return Err(IssuersError::Operators(issuer.issuer));
        }
        if issuer.default_for_tenants {
            return Err(IssuersError::Default(issuer.issuer));
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
        Ok(())
    }

    /// Checks where the keys come from: an address, or the issuer's entry itself.
    fn check_keys(&self, plain_http: PlainHttp) -> Result<(), IssuersError> {
        if let Some(jwks) = &self.jwks {
            if self.jwks_uri.is_some() {
                return Err(IssuersError::TwoKeySources(self.issuer.clone()));
            }
            return pinned::check(jwks).map_err(|cause| IssuersError::PinnedKeys(self.issuer.clone(), cause));
        }
        let uri = self.jwks_uri();
        check_address(&uri, plain_http).map_err(|cause| IssuersError::Address(self.issuer.clone(), uri, cause))
    }

    /// Where the issuer's keys are, unless they are pinned.
    #[must_use]
    pub fn jwks_uri(&self) -> String {
        let default = || format!("{}/.well-known/jwks.json", self.issuer.trim_end_matches('/'));
        self.jwks_uri.clone().unwrap_or_else(default)
    }
}

/// Whether an `iss` can be that of a tenant's issuer: one that cannot be need not be looked up.
#[must_use]
pub fn is_plausible(iss: &str, plain_http: PlainHttp) -> bool {
    iss.len() <= MAX_ISS && check_address(iss, plain_http).is_ok()
}

#[cfg(test)]
mod tests;
