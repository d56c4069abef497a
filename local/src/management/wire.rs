//! The JSON of the management calls: the bodies of requests, API keys, usage plans and memberships.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ApiError;
use crate::gateway::keys::{ApiKey, KeyChange, NewKey};
use crate::template::Plan;

/// The body of `CreateApiKey`.
/// <https://docs.aws.amazon.com/apigateway/latest/api/API_CreateApiKey.html>
///
/// `generateDistinctId` is ignored, because it is deprecated, and every id differs from the value.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateApiKey {
    value: Option<String>,
    name: Option<String>,
    description: Option<String>,
    customer_id: Option<String>,
    #[serde(default)]
    enabled: bool,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

impl From<CreateApiKey> for NewKey {
    fn from(body: CreateApiKey) -> Self {
        let CreateApiKey { value, name, description, customer_id, enabled, tags } = body;
        Self { value, name, description, customer_id, enabled, tags }
    }
}

/// The body of `UpdateApiKey`.
/// <https://docs.aws.amazon.com/apigateway/latest/api/API_UpdateApiKey.html>
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UpdateApiKey {
    #[serde(default)]
    patch_operations: Vec<PatchOperation>,
}

#[derive(Debug, Deserialize)]
struct PatchOperation {
    op: String,
    path: String,
    value: Option<String>,
}

impl UpdateApiKey {
    /// Returns the change, or an error if any part of it is not supported.
    pub(super) fn change(self) -> Result<KeyChange, ApiError> {
        let mut change = KeyChange::default();
        for PatchOperation { op, path, value } in self.patch_operations {
            let Some(value) = value.filter(|_| op == "replace") else {
                return Err(ApiError::BadRequest(format!(
                    "{path}: local supports only `replace` with a value, not `{op}`"
                )));
            };
            match path.as_str() {
                "/name" => change.name = Some(value),
                "/description" => change.description = Some(value),
                "/customerId" => change.customer_id = Some(value),
                "/enabled" => {
                    let enabled = value.to_lowercase().parse();
                    let malformed =
                        |_| ApiError::BadRequest(format!("/enabled should be true or false, not `{value}`"));
                    change.enabled = Some(enabled.map_err(malformed)?);
                }
                _ => return Err(ApiError::BadRequest(format!("Invalid patch path `{path}`"))),
            }
        }
        Ok(change)
    }
}

/// The body of `CreateUsagePlanKey`.
/// <https://docs.aws.amazon.com/apigateway/latest/api/API_CreateUsagePlanKey.html>
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateUsagePlanKey {
    pub(super) key_id: String,
    pub(super) key_type: String,
}

/// The only type of an API key in a usage plan.
pub(super) const KEY_TYPE: &str = "API_KEY";

/// Returns the JSON of an API key, with its value if that was requested.
pub(super) fn api_key(key: &ApiKey, with_value: bool) -> Value {
    let ApiKey { id, value, name, description, customer_id, enabled, plan: _, tags, created, updated } = key;
    without_nulls(json!({
        "id": id,
        "value": with_value.then_some(value),
        "name": name,
        "description": description,
        "customerId": customer_id,
        "enabled": enabled,
        "createdDate": created,
        "lastUpdatedDate": updated,
        "stageKeys": [],
        "tags": tags,
    }))
}

/// Returns the JSON of an API key's membership in a usage plan.
pub(super) fn usage_plan_key(key: &ApiKey) -> Value {
    without_nulls(json!({ "id": key.id, "type": KEY_TYPE, "value": key.value, "name": key.name }))
}

/// Returns the JSON of a usage plan.
pub(super) fn usage_plan(plan: &Plan) -> Value {
    let Plan { id, name: _, usage_plan_name, tags, stages, rate, burst, quota } = plan;
    without_nulls(json!({
        "id": id,
        "name": usage_plan_name,
        "apiStages": stages,
        "throttle": { "rateLimit": rate, "burstLimit": burst },
        "quota": quota.map(|limit| json!({ "limit": limit, "offset": 0, "period": "MONTH" })),
        "tags": tags,
    }))
}

/// Removes null members, because SDKs differ in how they read them.
fn without_nulls(mut value: Value) -> Value {
    if let Some(members) = value.as_object_mut() {
        members.retain(|_, member| !member.is_null());
    }
    value
}
