//! Tenants: the customers whose data, plan and identity providers are kept apart.

pub mod lifecycle;

use std::fmt;
use std::time::Duration;

use ulid::Ulid;

/// How long the authorizer goes on with a row of a tenant or of a machine token that it cannot read again.
pub const STALE: Duration = Duration::from_hours(1);

/// A tenant's id: a [ULID](https://github.com/ulid/spec), 26 letters and digits, upper case.
///
/// It is also the value of the tenant's API key, which API Gateway wants to be 20 to 128 letters and digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TenantId(String);

/// The text is no tenant id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a tenant id: a ULID of 26 upper-case letters and digits is expected")]
pub struct InvalidTenantId;

impl TenantId {
    /// A new id.
    #[must_use]
    pub fn generate() -> Self {
        Self(Ulid::generate().to_string())
    }

    /// Reads the canonical form only, so that one tenant has one id.
    pub fn parse(text: &str) -> Result<Self, InvalidTenantId> {
        let ulid = Ulid::from_string(text).map_err(|_| InvalidTenantId)?;
        if ulid.to_string() == text { Ok(Self(text.to_owned())) } else { Err(InvalidTenantId) }
    }

    /// The id as text.
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

/// Where a tenant is in its life. Only an active one is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Being made: its key may not be in its plan yet.
    Onboarding,
    /// Let in.
    Active,
    /// Not let in, for now.
    Suspended,
    /// Being taken down: its key is gone, its data goes.
    Offboarding,
    /// Gone. What is left says that the id was used.
    Offboarded,
}

impl Status {
    /// As kept in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Onboarding => "onboarding",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Offboarding => "offboarding",
            Self::Offboarded => "offboarded",
        }
    }

    /// The reverse of [`Status::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Onboarding, Self::Active, Self::Suspended, Self::Offboarding, Self::Offboarded]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

/// What is known of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its name, for people.
    pub name: String,
    /// The plan that its requests count against.
    pub plan: String,
    /// Whether it is let in.
    pub status: Status,
    /// The issuers (`iss`) whose tokens may speak for it; no other may. Without any, the stack's own issuers may.
    pub issuers: Vec<String>,
    /// The value of its API key in API Gateway, which puts its requests on the plan.
    pub api_key: String,
    /// Its own monthly quota in requests, if it has one: it stands before the plan's.
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
