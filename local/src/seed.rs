//! Who is there at first: two tenants to play with, and an operator.

/// A tenant that every machine knows by the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DemoTenant {
    /// What a person calls it.
    pub name: &'static str,
    /// Its id, and the value of its API key.
    pub id: &'static str,
    /// Its plan.
    pub plan: &'static str,
}

/// The demo tenants.
pub const DEMO: [DemoTenant; 2] = [
    DemoTenant { name: "acme", id: "01K0ACME000000000000000000", plan: "free" },
    DemoTenant { name: "globex", id: "01K0G10BEX0000000000000000", plan: "pro" },
];

/// The identity that belongs to no tenant and onboards them.
pub const OPERATOR: &str = "operator";

/// The scope of the [`OPERATOR`].
pub const OPERATOR_SCOPE: &str = "tenants:admin";

#[cfg(test)]
mod tests {
    use ulid::Ulid;

    use super::DEMO;

    #[test]
    fn ids_are_ulids_in_canonical_form() {
        for tenant in DEMO {
            assert_eq!(Ulid::from_string(tenant.id).unwrap().to_string(), tenant.id);
        }
    }
}
