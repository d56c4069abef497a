//! The parts of the trigger's event that are used, and its response.
//!
//! These types replace those of `aws_lambda_events`, which reject the trigger source of a machine client (version 3).
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-pre-token-generation.html>

use serde::{Deserialize, Serialize};

/// An event of version 2 or 3, which differ in the trigger sources only.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    trigger_source: String,
    pub(crate) caller_context: CallerContext,
    pub(crate) request: Request,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CallerContext {
    pub(crate) client_id: String,
}

/// The request of the event. `clientMetadata` is left out on purpose, because the caller chooses it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Request {
    user_attributes: Option<Attributes>,
    group_configuration: Option<GroupConfiguration>,
    scopes: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct Attributes {
    #[serde(rename = "custom:tenant")]
    tenant: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupConfiguration {
    groups_to_override: Option<Vec<String>>,
}

impl Event {
    /// Whether the token is for a machine client, without a user.
    pub(crate) fn is_machine_client(&self) -> bool {
        self.trigger_source == "TokenGeneration_ClientCredentials"
    }
}

impl Request {
    /// The user's attribute that names the tenant.
    pub(crate) fn tenant(&self) -> Option<&str> {
        self.user_attributes.as_ref()?.tenant.as_deref()
    }

    /// The user's groups.
    pub(crate) fn groups(&self) -> &[String] {
        self.group_configuration.as_ref().and_then(|groups| groups.groups_to_override.as_deref()).unwrap_or_default()
    }

    /// The scopes that the token would have, with the identifiers of their resource servers.
    pub(crate) fn scopes(&self) -> &[String] {
        self.scopes.as_deref().unwrap_or_default()
    }
}

/// The value of the event's `response`. The ID token is not changed.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Response {
    pub(crate) claims_and_scope_override_details: OverrideDetails,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OverrideDetails {
    pub(crate) access_token_generation: AccessToken,
}

/// The changes to the access token.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AccessToken {
    pub(crate) claims_to_add_or_override: AddedClaims,
    pub(crate) scopes_to_add: Vec<String>,
    pub(crate) scopes_to_suppress: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct AddedClaims {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tenant: Option<String>,
}
