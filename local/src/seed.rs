//! Who is there at first: two tenants to play with, and an operator.

use serde_json::{Value, json};
use service::domain::tenant::{Status, TenantId};
use service::store::{Fault, Store};

use crate::gateway::ApiKeys;
use crate::runtime::{Invoke, InvokeError};

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
pub(crate) const OPERATOR_SCOPE: &str = "tenants:admin";

/// The names of the demo tenants, each with the id that it stands for.
#[must_use]
pub fn names() -> Vec<(&'static str, &'static str)> {
    DEMO.iter().map(|tenant| (tenant.name, tenant.id)).collect()
}

/// The event of an operator who onboards a demo tenant, as API Gateway would make it for the function `tenants`.
pub(crate) fn onboarding(DemoTenant { name, id, plan }: &DemoTenant) -> Value {
    const PATH: &str = "/admin/tenants";
    let headers = json!({ "content-type": "application/json" });
    json!({
        "resource": PATH,
        "path": PATH,
        "httpMethod": "POST",
        "headers": headers,
        "multiValueHeaders": { "content-type": ["application/json"] },
        "requestContext": {
            "resourcePath": PATH,
            "path": format!("/v1{PATH}"),
            "httpMethod": "POST",
            "requestId": format!("seed-{name}"),
            "authorizer": { "subject": OPERATOR, "scopes": OPERATOR_SCOPE },
        },
        "body": json!({ "id": id, "name": name, "plan": plan }).to_string(),
        "isBase64Encoded": false,
    })
}

/// Onboards the demo tenants that are not there, through the function that operators use, and leaves the others as they
/// are. What is kept of the keys of those that are let in, but was lost, is made again.
pub(crate) async fn seed(functions: &impl Invoke, store: &Store, keys: &ApiKeys) -> Result<(), SeedError> {
    for demo in &DEMO {
        // A test holds that all are ids.
        let Ok(id) = TenantId::parse(demo.id) else { continue };
        let Some(row) = store.tenant_get(&id).await? else {
            let answer = functions.invoke("tenants", onboarding(demo).to_string().into_bytes()).await?;
            let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
            if answer["statusCode"] == 201 {
                continue;
            }
            return Err(SeedError::Refused(answer["body"].as_str().unwrap_or_default().to_owned()));
        };
        if row.status == Status::Active && keys.find(&row.api_key).is_none() {
            keys.put(&row.api_key, &row.plan);
        }
    }
    Ok(())
}

/// Why a demo tenant is not there.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The table cannot be read.
    #[error(transparent)]
    Table(#[from] Fault),
    /// The function does not answer.
    #[error(transparent)]
    Function(#[from] InvokeError),
    /// The function does not onboard it.
    #[error("{0}")]
    Refused(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_demo_tenant_has_an_id() {
        for demo in DEMO {
            assert_eq!(TenantId::parse(demo.id).unwrap().as_str(), demo.id);
        }
    }
}
