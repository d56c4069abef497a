//! A function's configuration: environment variables, read once in `main`.

use std::env;

/// What every function is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// `TABLE_NAME`: the table.
    pub table: String,
    /// `CORS_ALLOWED_ORIGIN`: the origin that browsers may let read answers, or `*`. Empty or absent: none.
    pub cors_allowed_origin: Option<String>,
    /// Where and as whom AWS is called.
    pub aws: AwsConfig,
}

/// The variables that Lambda sets for every function.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>
#[derive(Clone)]
pub struct AwsConfig {
    /// `AWS_REGION`.
    pub region: String,
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: String,
    /// `AWS_SESSION_TOKEN`; always set on Lambda.
    pub session_token: Option<String>,
    /// `AWS_ENDPOINT_URL_DYNAMODB`: another endpoint of `DynamoDB`, for example a local one. Empty or absent: the
    /// region's.
    pub dynamodb_endpoint: Option<String>,
    /// `AWS_ENDPOINT_URL_API_GATEWAY`: another endpoint of API Gateway's management API, for example a local one.
    pub api_gateway_endpoint: Option<String>,
}

impl std::fmt::Debug for AwsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AwsConfig")
            .field("region", &self.region)
            .field("dynamodb_endpoint", &self.dynamodb_endpoint)
            .finish_non_exhaustive()
    }
}

/// A variable that has to be set is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {0} is not set")]
pub struct MissingVariable(pub &'static str);

impl Config {
    /// Reads the environment.
    pub fn from_env() -> Result<Self, MissingVariable> {
        Ok(Self {
            table: required("TABLE_NAME")?,
            cors_allowed_origin: optional("CORS_ALLOWED_ORIGIN"),
            aws: AwsConfig {
                region: required("AWS_REGION")?,
                access_key_id: required("AWS_ACCESS_KEY_ID")?,
                secret_access_key: required("AWS_SECRET_ACCESS_KEY")?,
                session_token: optional("AWS_SESSION_TOKEN"),
                dynamodb_endpoint: optional("AWS_ENDPOINT_URL_DYNAMODB"),
                api_gateway_endpoint: optional("AWS_ENDPOINT_URL_API_GATEWAY"),
            },
        })
    }
}

/// A variable that has to be there and not be empty.
pub fn required(name: &'static str) -> Result<String, MissingVariable> {
    optional(name).ok_or(MissingVariable(name))
}

/// A variable that may be missing, or be empty.
pub(crate) fn optional(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
