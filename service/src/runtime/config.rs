//! A function's configuration: environment variables, read once in `main`.

use std::env;

use crate::domain::issuer::{Issuers, IssuersError, PlainHttp};
use crate::domain::quota::{Quotas, WhenUnavailable};

/// The configuration of every function.
#[derive(Debug, Clone)]
pub struct Config {
    /// `TABLE_NAME`: the name of the DynamoDB table.
    pub table: String,
    /// `CORS_ALLOWED_ORIGIN`: the origin whose scripts may read responses in a browser, or `*`. Empty or absent: none.
    pub cors_allowed_origin: Option<String>,
    /// The region, the credentials and the endpoints of AWS.
    pub aws: AwsConfig,
}

/// The environment variables that Lambda sets for every function.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>
#[derive(Clone)]
pub struct AwsConfig {
    /// `AWS_REGION`.
    pub region: String,
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: String,
    /// `AWS_SESSION_TOKEN`, which is always set on Lambda.
    pub session_token: Option<String>,
    /// `AWS_ENDPOINT_URL_DYNAMODB`: another endpoint of `DynamoDB`, for example a local one. Empty or absent: that of the
    /// region.
    pub dynamodb_endpoint: Option<String>,
    /// `AWS_ENDPOINT_URL_API_GATEWAY`: another endpoint of API Gateway's management API, for example a local one. Empty
    /// or absent: that of the region.
    pub api_gateway_endpoint: Option<String>,
    /// `AWS_SAM_LOCAL`, which `sam local` sets: the function runs in a container on a developer's machine, outside of any
    /// stack, but with the credentials of an AWS account.
    pub sam_local: bool,
}

impl AwsConfig {
    /// Returns the configuration for a `DynamoDB` on this computer, which accepts any credentials.
    pub fn local(dynamodb_endpoint: impl Into<String>) -> Self {
        Self {
            region: "us-east-1".to_owned(),
            access_key_id: "local".to_owned(),
            secret_access_key: "local".to_owned(),
            session_token: None,
            dynamodb_endpoint: Some(dynamodb_endpoint.into()),
            api_gateway_endpoint: None,
            sam_local: false,
        }
    }
}

impl std::fmt::Debug for AwsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AwsConfig")
            .field("region", &self.region)
            .field("dynamodb_endpoint", &self.dynamodb_endpoint)
            .finish_non_exhaustive()
    }
}

/// A required environment variable is not set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {0} is not set")]
pub struct MissingVariable(pub &'static str);

impl Config {
    /// Reads the environment variables.
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
                sam_local: optional("AWS_SAM_LOCAL").is_some(),
            },
        })
    }
}

/// The configuration of a function that holds tenants to their quotas and meters their usage.
#[derive(Debug, Clone)]
pub struct MeterConfig {
    /// `QUOTAS`: the plans' monthly quotas in requests, as a JSON object with a member for each plan.
    pub quotas: Quotas,
    /// `QUOTA_WHEN_UNAVAILABLE`: whether requests are served while no unit can be leased, `refuse` or `allow`.
    pub when_unavailable: WhenUnavailable,
    /// `AWS_LAMBDA_FUNCTION_MEMORY_SIZE`, in MB.
    pub memory_mb: u64,
}

/// The reason why a function cannot start with its environment variables.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A required environment variable is not set.
    #[error(transparent)]
    Missing(#[from] MissingVariable),
    /// An environment variable has an invalid value.
    #[error("the environment variable {0} has an invalid value")]
    Invalid(&'static str),
}

impl MeterConfig {
    /// Reads the environment variables.
    pub fn from_env() -> Result<Self, ConfigError> {
        const MEMORY: &str = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE";
        Ok(Self {
            quotas: quotas()?,
            when_unavailable: when_unavailable()?,
            memory_mb: required(MEMORY)?.parse().map_err(|_| ConfigError::Invalid(MEMORY))?,
        })
    }
}

/// Reads `QUOTA_WHEN_UNAVAILABLE`, which is `refuse` or `allow`.
pub fn when_unavailable() -> Result<WhenUnavailable, ConfigError> {
    const WHEN_UNAVAILABLE: &str = "QUOTA_WHEN_UNAVAILABLE";
    match required(WHEN_UNAVAILABLE)?.as_str() {
        "refuse" => Ok(WhenUnavailable::Refuse),
        "allow" => Ok(WhenUnavailable::Allow),
        _ => Err(ConfigError::Invalid(WHEN_UNAVAILABLE)),
    }
}

/// Reads `QUOTAS`, a JSON object with each plan's monthly quota in requests.
pub fn quotas() -> Result<Quotas, ConfigError> {
    const QUOTAS: &str = "QUOTAS";
    serde_json::from_str(&required(QUOTAS)?).map_err(|_| ConfigError::Invalid(QUOTAS))
}

/// The issuers of the stack, and whether JWKS keys may be fetched over plain HTTP.
#[derive(Debug, Clone)]
pub struct IssuersConfig {
    /// `ISSUERS`, which the operator configures, and `USER_POOL_ISSUERS`, the stack's user pool.
    pub issuers: Issuers,
    /// `AWS_SAM_LOCAL`: whether the function runs on a developer's machine. SAM CLI sets it to `true` in its containers,
    /// and `local` in its processes. Lambda does not set it.
    pub plain_http: PlainHttp,
}

/// The reason why the issuers cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum IssuersConfigError {
    /// A required environment variable is not set.
    #[error(transparent)]
    Missing(#[from] MissingVariable),
    /// An issuer cannot be trusted.
    #[error(transparent)]
    Issuers(#[from] IssuersError),
}

impl IssuersConfig {
    /// Reads the environment variables.
    pub fn from_env() -> Result<Self, IssuersConfigError> {
        let is_development = optional("AWS_SAM_LOCAL").as_deref() == Some("true");
        let plain_http = if is_development { PlainHttp::ThisMachine } else { PlainHttp::Never };
        let read = |name| Ok::<_, IssuersConfigError>(Issuers::parse(&required(name)?, plain_http)?);
        Ok(Self { issuers: read("ISSUERS")?.with(read("USER_POOL_ISSUERS")?)?, plain_http })
    }
}

/// Reads an environment variable that has to be set and not be empty.
pub fn required(name: &'static str) -> Result<String, MissingVariable> {
    optional(name).ok_or(MissingVariable(name))
}

/// Reads an environment variable that may be absent. An empty one counts as absent.
#[must_use]
pub fn optional(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
