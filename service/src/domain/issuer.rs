//! The issuers whose tokens are accepted (`docs/reference/issuers.md`).
//!
//! The issuers of the stack are in the environment variables `ISSUERS`, which the operator configures, and
//! `USER_POOL_ISSUERS`, for the stack's user pool. The issuers that an operator adds for single tenants are in the table.

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
/// The most bytes of a tenant's issuer as JSON. The tenant's row contains up to 20 of them.
const MAX_JSON: usize = 2048;

/// The configuration of an `OpenID` Connect issuer: its JWKS keys, and which claims of its tokens have which meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Issuer {
    /// The exact `iss` of its tokens.
    pub issuer: String,
    /// The address of its JWKS. The default is `<issuer>/.well-known/jwks.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// The JWKS itself (RFC 7517), which is then never fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Value>,
    /// The algorithms with which its tokens may be signed. If there are none, a JWKS key verifies the algorithm that it
    /// names, or the usual one for its type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub algorithms: Vec<Algorithm>,
    /// The accepted values of the header `typ` of its access tokens. If there are none, an absent `typ` and the usual
    /// values are accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_types: Vec<String>,
    /// Whether its ID tokens are accepted in place of access tokens.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accept_id_tokens: bool,
    /// The values of `aud` that stand for this API.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<String>,
    /// The clients whose tokens are accepted. If there are none, those of all clients are, provided that they have an
    /// audience.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub client_ids: Vec<String>,
    /// The clients whose tokens are an operator's if they have no tenant claim.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operator_clients: Vec<String>,
    /// Whether its tokens are accepted for every tenant that lists no issuers. Only an issuer of the stack can have this.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default_for_tenants: bool,
    /// The claim with the tenant's id. `None` is for a tenant's issuer, whose tokens need not name the tenant.
    #[serde(default = "tenant_claim", skip_serializing_if = "Option::is_none")]
    pub tenant_claim: Option<String>,
    /// Whether that claim contains an opaque key of the tenant in place of its id.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tenant_keys: bool,
    /// The claim with the scopes: a string in which spaces separate them, or an array.
    #[serde(default = "scope_claim")]
    pub scope_claim: String,
    /// The prefix of each of this API's scopes in a token (Cognito: the resource server's identifier and a slash).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope_prefix: String,
    /// The claim with roles or groups, as a name or as a JSON Pointer (`/realm_access/roles`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_claim: Option<String>,
    /// The scopes that each role grants.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub role_scopes: BTreeMap<String, Vec<String>>,
}

#[expect(clippy::unnecessary_wraps, reason = "serde requires the member's type")]
fn tenant_claim() -> Option<String> {
    Some("tenant".to_owned())
}

fn scope_claim() -> String {
    "scope".to_owned()
}

/// An issuer that belongs to one tenant. Its tokens are accepted for this tenant and no other.
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
    /// Parses the value of an environment variable, a JSON array of issuers, and checks them.
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

    /// Adds the issuers of another environment variable. No issuer may be in both.
    pub fn with(mut self, others: Self) -> Result<Self, IssuersError> {
        if let Some(twice) = others.0.iter().find(|one| self.0.iter().any(|own| own.issuer == one.issuer)) {
            return Err(IssuersError::Twice(twice.issuer.clone()));
        }
        self.0.extend(others.0);
        Ok(self)
    }

    /// Returns the issuers.
    #[must_use]
    pub fn into_vec(self) -> Vec<Issuer> {
        self.0
    }

    /// Returns whether one of them has this `iss`.
    #[must_use]
    pub fn has(&self, iss: &str) -> bool {
        self.0.iter().any(|issuer| issuer.issuer == iss)
    }
}

impl Issuer {
    /// Parses and checks an issuer that an operator adds for one tenant. Without `tenantClaim` its tokens need not name the
    /// tenant.
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

    /// Reads a stored issuer of one tenant. Its addresses are not checked: rules that were added later must not make a
    /// tenant's row unreadable, and the authorizer checks every address before it uses it.
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

    /// Returns the JSON that [`Issuer::of_tenant`] and [`Issuer::stored`] read.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    fn check(&self) -> Result<(), IssuersError> {
        if self.audiences.is_empty() && self.client_ids.is_empty() {
            return Err(IssuersError::NoAudience(self.issuer.clone()));
        }
        Ok(())
    }

    /// Checks the source of the JWKS keys: an address, or the configuration itself.
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

    /// Returns the address of the issuer's JWKS, unless it is in the configuration.
    #[must_use]
    pub fn jwks_uri(&self) -> String {
        let default = || format!("{}/.well-known/jwks.json", self.issuer.trim_end_matches('/'));
        self.jwks_uri.clone().unwrap_or_else(default)
    }
}

/// Returns whether an `iss` can be that of a tenant's issuer. Only then is it worth a read of the table.
#[must_use]
pub fn is_plausible(iss: &str, plain_http: PlainHttp) -> bool {
    iss.len() <= MAX_ISS && check_address(iss, plain_http).is_ok()
}

#[cfg(test)]
mod tests;
