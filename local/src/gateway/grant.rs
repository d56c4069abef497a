//! The output of a Lambda authorizer, which API Gateway applies to every route that the token is used for.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html>

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::iam::{Policy, PolicyError};

/// The output for one token. Its policy decides about every route, not only about the one that was requested first.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) principal_id: String,
    pub(super) policy: Policy,
    /// The values as strings, which is how the functions get them.
    pub(super) context: BTreeMap<String, String>,
    pub(super) usage_identifier_key: Option<String>,
}

/// The reason why an output is not valid.
#[derive(Debug, thiserror::Error)]
pub(super) enum GrantError {
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("{0}")]
    Policy(#[from] PolicyError),
    #[error("the context's `{0}` is not a string, number or boolean")]
    Context(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Output {
    principal_id: String,
    policy_document: Value,
    #[serde(default)]
    context: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    usage_identifier_key: Option<String>,
}

impl Grant {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, GrantError> {
        let Output { principal_id, policy_document, context, usage_identifier_key } = serde_json::from_slice(bytes)?;
        let text = |(key, value)| match value {
            Value::String(text) => Ok((key, text)),
            Value::Number(number) => Ok((key, number.to_string())),
            Value::Bool(truth) => Ok((key, truth.to_string())),
            Value::Null | Value::Array(_) | Value::Object(_) => Err(GrantError::Context(key)),
        };
        Ok(Self {
            principal_id,
            policy: Policy::parse(&policy_document, &[])?,
            context: context.unwrap_or_default().into_iter().map(text).collect::<Result<_, _>>()?,
            usage_identifier_key,
        })
    }
}
