//! Who is there at first: two tenants to play with, and an operator.

use service::store::{Fault, Store};
use service::tenant::{Status, Tenant, TenantId};

use crate::gateway::ApiKeys;
use crate::onboard;

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

/// The names of the demo tenants, each with the id that it stands for.
#[must_use]
pub fn names() -> Vec<(&'static str, &'static str)> {
    DEMO.iter().map(|tenant| (tenant.name, tenant.id)).collect()
}

/// The demo tenants' rows, bound to `issuer`.
pub fn tenants(issuer: &str) -> impl Iterator<Item = Tenant> {
    DEMO.iter().filter_map(move |DemoTenant { name, id, plan }| {
        Some(Tenant {
            // A test holds that all are ids.
            id: TenantId::parse(id).ok()?,
            name: (*name).to_owned(),
            plan: (*plan).to_owned(),
            status: Status::Active,
            issuers: vec![issuer.to_owned()],
            api_key: (*id).to_owned(),
        })
    })
}

/// Puts what is missing of a demo tenant, and leaves what an operator has made of it since.
pub(crate) async fn complete(store: &Store, keys: &ApiKeys, demo: Tenant) -> Result<(), Fault> {
    let Some(mut row) = store.tenant(&demo.id).await? else { return onboard(store, keys, &demo).await };
    if demo.issuers.iter().any(|issuer| !row.issuers.contains(issuer)) {
        // On another port the issuer of this machine has another name. What it was called there goes.
        row.issuers.retain(|issuer| !(issuer.starts_with("http://127.0.0.1:") && issuer.ends_with("/_local")));
        row.issuers.extend(demo.issuers);
        store.put_tenant(&row).await?;
    }
    if row.status == Status::Active && keys.find(&row.api_key).is_none() {
        keys.put(&row.api_key, &row.plan);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_demo_tenant_has_a_row() {
        let tenants: Vec<_> = tenants("https://issuer.example").collect();
        assert_eq!(tenants.len(), DEMO.len());
        assert_eq!(tenants[0].issuers, ["https://issuer.example"]);
        assert_eq!(tenants[0].api_key, DEMO[0].id);
    }
}
