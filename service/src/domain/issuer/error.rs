//! Why an issuer cannot be configured. The texts are for the operator who configures it.

use super::pinned::PinnedError;
use super::{AddressError, MAX_ISS, MAX_JSON};

/// An issuer cannot be trusted as it is given.
#[derive(Debug, thiserror::Error)]
pub enum IssuersError {
    /// It is not of the form.
    #[error("the value is not a JSON array of issuers: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Two entries would compete for the same tokens.
    #[error("the issuer {0} is listed twice")]
    Twice(String),
    /// No token could have it as its `iss`.
    #[error("the issuer's name {0} {1}")]
    Name(String, #[source] AddressError),
    /// Its tokens for other APIs would be taken for ours.
    #[error("the issuer {0} has neither audiences nor clientIds")]
    NoAudience(String),
    /// Keys from there could not be trusted.
    #[error("the issuer {0} must serve its JWKS over HTTPS at a valid address: {1} {2}")]
    Address(String, String, #[source] AddressError),
    /// One of the two would be ignored.
    #[error("the issuer {0} has both jwks and jwksUri")]
    TwoKeySources(String),
    /// The keys in its entry cannot be used.
    #[error("the issuer {0}: its jwks {1}")]
    PinnedKeys(String, #[source] PinnedError),
    /// Its tokens would speak for nobody: only a tenant's issuer need not name the tenant, and not with `tenantKeys`.
    #[error("the issuer {0} has no tenantClaim")]
    NoTenantClaim(String),
    /// The operators of the stack come from the stack's issuers.
    #[error("the issuer {0} belongs to a tenant, so it cannot have operatorClients")]
    Operators(String),
    /// It would speak for tenants of others.
    #[error("the issuer {0} belongs to a tenant, so it cannot have defaultForTenants")]
    Default(String),
    /// It is too long to be kept with a tenant.
    #[error("an issuer is too long: its name can have at most {MAX_ISS} bytes, and its JSON at most {MAX_JSON}")]
    TooLong,
}
