//! The reasons why an issuer cannot be configured. The texts are for the operator who configures it.

use super::pinned::PinnedError;
use super::{AddressError, MAX_ISS, MAX_JSON};

/// The reason why an issuer's configuration is rejected.
#[derive(Debug, thiserror::Error)]
pub enum IssuersError {
    /// The value is not a JSON array of issuers.
    #[error("the value is not a JSON array of issuers: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Two entries would compete for the same tokens.
    #[error("the issuer {0} is listed twice")]
    Twice(String),
    /// The name is not a valid `iss`, so no token could have it.
    #[error("the issuer's name {0} {1}")]
    Name(String, #[source] AddressError),
    /// Without an audience or a client, tokens for other APIs would be accepted.
    #[error("the issuer {0} has neither audiences nor clientIds")]
    NoAudience(String),
    /// JWKS keys from this address could not be trusted.
    #[error("the issuer {0} must serve its JWKS over HTTPS at a valid address: {1} {2}")]
    Address(String, String, #[source] AddressError),
    /// With both a JWKS and an address, one of the two would be ignored.
    #[error("the issuer {0} has both jwks and jwksUri")]
    TwoKeySources(String),
    /// The JWKS in the configuration cannot be used.
    #[error("the issuer {0}: its jwks {1}")]
    PinnedKeys(String, #[source] PinnedError),
    /// Without a tenant claim, its tokens would belong to no tenant. Only a tenant's issuer can omit it, unless it has
    /// `tenantKeys`.
    #[error("the issuer {0} has no tenantClaim")]
    NoTenantClaim(String),
    /// Only the issuers of the stack can issue tokens of operators.
    #[error("the issuer {0} belongs to a tenant, so it cannot have operatorClients")]
    Operators(String),
    /// A tenant's issuer must not be accepted for other tenants.
    #[error("the issuer {0} belongs to a tenant, so it cannot have defaultForTenants")]
    Default(String),
    /// The issuer is too long to be stored in a tenant's row.
    #[error("an issuer is too long: its name can have at most {MAX_ISS} bytes, and its JSON at most {MAX_JSON}")]
    TooLong,
}
