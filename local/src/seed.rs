//! The identities of a new `local`: two demo tenants and an operator. The issuer accepts their names as client ids.

use serde_json::{Value, json};
use service::domain::caller::TENANTS_ADMIN;
use service::domain::tenant::{Status, TenantId};
use service::store::{Fault, Store};

use crate::gateway::ApiKeys;
use crate::runtime::{Invoke, InvokeError};

/// A demo tenant, which has the same id on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DemoTenant {
    /// The name.
    pub name: &'static str,
    /// The id, which is also the value of its API key.
    pub id: &'static str,
    /// The name of its plan.
    pub plan: &'static str,
}

/// The demo tenants.
pub const DEMO: [DemoTenant; 2] = [
    DemoTenant { name: "acme", id: "01K0ACME000000000000000000", plan: "free" },
    DemoTenant { name: "globex", id: "01K0G10BEX0000000000000000", plan: "pro" },
];

/// The identity of the operator, who onboards tenants and belongs to none.
pub const OPERATOR: &str = "operator";

/// Returns the names of the demo tenants, each with its id.
#[must_use]
pub fn names() -> Vec<(&'static str, &'static str)> {
    DEMO.iter().map(|tenant| (tenant.name, tenant.id)).collect()
}

/// Returns the event with which an operator onboards a demo tenant, as API Gateway sends it to the function `tenants`.
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
            "authorizer": { "subject": OPERATOR, "scopes": TENANTS_ADMIN },
        },
        "body": json!({ "id": id, "name": name, "plan": plan }).to_string(),
        "isBase64Encoded": false,
    })
}

/// Onboards the demo tenants that do not exist, through the function that operators use, and leaves the others as they are.
/// The lost API keys of active demo tenants are created again.
pub(crate) async fn seed(functions: &impl Invoke, store: &Store, keys: &ApiKeys) -> Result<(), SeedError> {
    for demo in &DEMO {
        // A test makes sure that all of them are ids.
        let Ok(id) = TenantId::parse(demo.id) else { continue };
        let Some(row) = store.tenant_get(&id).await? else {
            let response = functions.invoke("tenants", onboarding(demo).to_string().into_bytes()).await?;
            let response: Value = serde_json::from_slice(&response).unwrap_or_default();
            if response["statusCode"] == 201 {
                continue;
            }
            return Err(SeedError::Rejected(response["body"].as_str().unwrap_or_default().to_owned()));
        };
        if row.status == Status::Active && keys.find(&row.api_key).is_none() {
            keys.put(&row.api_key, &row.plan);
        }
    }
    Ok(())
}

/// The reason why a demo tenant cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The table cannot be read.
    #[error(transparent)]
    Table(#[from] Fault),
    /// The function does not respond.
    #[error(transparent)]
    Function(#[from] InvokeError),
    /// The function rejects the request, with this body.
    #[error("{0}")]
    Rejected(String),
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
