//! Tenants: the customers whose data, plans and identity providers are isolated from each other.

pub mod lifecycle;

use std::fmt;
use std::time::Duration;

use strum::{AsRefStr, EnumString};
use ulid::Ulid;

/// The time for which the authorizer uses a cached row of a tenant or of a machine token that it cannot read again.
pub const STALE: Duration = Duration::from_hours(1);

/// A tenant's id: a [ULID](https://github.com/ulid/spec), 26 letters and digits, upper case.
///
/// It is also the value of the tenant's API key, which API Gateway requires to have 20 to 128 letters and digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TenantId(String);

/// The text is not a valid tenant id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a tenant id: a ULID of 26 upper-case letters and digits is expected")]
pub struct InvalidTenantId;

impl TenantId {
    /// Generates a new id.
    #[must_use]
    pub fn generate() -> Self {
        Self(Ulid::generate().to_string())
    }

    /// Parses the canonical form only, so that a tenant's id has only one spelling.
    pub fn parse(text: &str) -> Result<Self, InvalidTenantId> {
        let ulid = Ulid::from_string(text).map_err(|_| InvalidTenantId)?;
        if ulid.to_string() == text { Ok(Self(text.to_owned())) } else { Err(InvalidTenantId) }
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The state of a tenant. Only an active tenant's tokens are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsRefStr, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// The tenant is being created, and its API key may not be in its usage plan yet.
    Onboarding,
    /// The tenant is in service.
    Active,
    /// The tenant is denied access until it is resumed.
    Suspended,
    /// The tenant is being removed: its API key first, then its data.
    Offboarding,
    /// The tenant is removed. Its row remains, so that the id is not used again.
    Offboarded,
}

/// A tenant, as the authorizer reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// The id.
    pub id: TenantId,
    /// The name, for people.
    pub name: String,
    /// The plan, which has a rate and a monthly quota.
    pub plan: String,
    /// The state.
    pub status: Status,
    /// The only issuers (`iss`) whose tokens are accepted for the tenant. If there are none, those of the stack are
    /// accepted.
    pub issuers: Vec<String>,
    /// The value of the API key in API Gateway, whose usage plan applies to the tenant's requests.
    pub api_key: String,
    /// The tenant's own monthly quota in requests, if it has one. It takes precedence over the plan's.
    pub quota: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_form_is_an_id() {
        assert_eq!(TenantId::parse("01K0ACME000000000000000000").unwrap().as_str(), "01K0ACME000000000000000000");
        for text in [
            "",
            "acme",
            "01k9y6e3s0acme000000000000",
            "01K9Y6E3S0ACME00000000000",
            "01K0ACME0000000000000000000",
            "01K9Y6E3S0ACMEI00000000000",
            "81K9Y6E3S0ACME000000000000",
            "01K9Y6E3S0ACME00000000000#",
        ] {
            assert_eq!(TenantId::parse(text), Err(InvalidTenantId), "{text}");
        }
    }
}
