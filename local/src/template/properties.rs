//! The properties of SAM's and CloudFormation's resources that have a meaning on this machine, in the template's spelling.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::ApiStage;

/// A number or a boolean, which is a text if it comes from a `!Ref`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lenient<T>(pub(super) T);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(deserializer)? {
            Value::String(text) => text,
            value => value.to_string(),
        };
        text.parse().map(Self).map_err(|error| D::Error::custom(format_args!("`{text}`: {error}")))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FunctionProperties {
    #[serde(default = "default_timeout")]
    pub(super) timeout: Lenient<u64>,
    #[serde(default = "default_memory")]
    pub(super) memory_size: Lenient<u32>,
    pub(super) reserved_concurrent_executions: Option<Lenient<usize>>,
    #[serde(default)]
    pub(super) environment: Environment,
    #[serde(default)]
    pub(super) logging_config: LoggingConfig,
    #[serde(default)]
    pub(super) events: BTreeMap<String, Event>,
}

// Lambda's own defaults: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-lambda-function.html
fn default_timeout() -> Lenient<u64> {
    Lenient(3)
}

fn default_memory() -> Lenient<u32> {
    Lenient(128)
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Environment {
    pub(super) variables: BTreeMap<String, Lenient<String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct LoggingConfig {
    pub(super) application_log_level: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Event {
    pub(super) r#type: String,
    #[serde(default)]
    pub(super) properties: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ApiEvent {
    pub(super) method: String,
    pub(super) path: String,
    #[serde(default)]
    pub(super) auth: EventAuth,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct EventAuth {
    pub(super) authorizer: Option<String>,
    pub(super) api_key_required: Option<Lenient<bool>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ApiProperties {
    pub(super) stage_name: String,
    #[serde(default)]
    pub(super) auth: ApiAuth,
    #[serde(default)]
    pub(super) cors: Option<CorsProperty>,
    #[serde(default)]
    pub(super) gateway_responses: BTreeMap<String, GatewayResponseProperties>,
    #[serde(default)]
    pub(super) binary_media_types: Vec<String>,
    pub(super) minimum_compression_size: Option<Lenient<usize>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ApiAuth {
    pub(super) default_authorizer: Option<String>,
    pub(super) api_key_required: Option<Lenient<bool>>,
    #[serde(default)]
    pub(super) authorizers: BTreeMap<String, AuthorizerProperties>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AuthorizerProperties {
    pub(super) function_arn: String,
    pub(super) function_payload_type: Option<String>,
    #[serde(default)]
    pub(super) identity: Identity,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Identity {
    pub(super) header: Option<String>,
    pub(super) validation_expression: Option<String>,
    pub(super) reauthorize_every: Option<Lenient<u64>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum CorsProperty {
    Origin(String),
    Settings(CorsSettings),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CorsSettings {
    pub(super) allow_origin: Option<String>,
    pub(super) allow_methods: Option<String>,
    pub(super) allow_headers: Option<String>,
    pub(super) max_age: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GatewayResponseProperties {
    pub(super) status_code: Option<Lenient<u16>>,
    #[serde(default)]
    pub(super) response_parameters: ResponseParameters,
    #[serde(default)]
    pub(super) response_templates: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ResponseParameters {
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PlanProperties {
    pub(super) usage_plan_name: Option<String>,
    #[serde(default)]
    pub(super) api_stages: Vec<ApiStage>,
    pub(super) throttle: Throttle,
    pub(super) quota: Option<Quota>,
    #[serde(default)]
    pub(super) tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Throttle {
    pub(super) rate_limit: Lenient<f64>,
    pub(super) burst_limit: Lenient<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Quota {
    pub(super) limit: Lenient<u64>,
    pub(super) period: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    pub(super) key: String,
    pub(super) value: String,
}
