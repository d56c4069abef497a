//! A function's configuration: environment variables, read once in `main`.

use std::env;

use crate::domain::issuer::{Issuers, IssuersError, PlainHttp};
use crate::domain::quota::{Quotas, WhenUnavailable};

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
    /// `AWS_ENDPOINT_URL_API_GATEWAY`: another endpoint of API Gateway's management API, for example a local one. Empty
    /// or absent: the region's.
    pub api_gateway_endpoint: Option<String>,
    /// `AWS_SAM_LOCAL`, which `sam local` sets: the function runs in a container on a developer's machine, outside of any
    /// stack, but with the credentials of an AWS account.
    pub sam_local: bool,
}

impl AwsConfig {
    /// Returns the configuration for a `DynamoDB` on this machine, which accepts any credentials.
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
                sam_local: optional("AWS_SAM_LOCAL").is_some(),
            },
        })
    }
}

/// What a function is told that holds tenants to their quotas, and meters what they use.
#[derive(Debug, Clone)]
pub struct MeterConfig {
    /// `QUOTAS`: the plans' monthly quotas in requests, as a JSON object by plan.
    pub quotas: Quotas,
    /// `QUOTA_WHEN_UNAVAILABLE`: what becomes of a request for which no unit can be had.
    pub when_unavailable: WhenUnavailable,
    /// `AWS_LAMBDA_FUNCTION_MEMORY_SIZE`, in MB.
    pub memory_mb: u64,
}

/// A function cannot start with its environment.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A variable is missing.
    #[error(transparent)]
    Missing(#[from] MissingVariable),
    /// A variable is not of its form.
    #[error("the environment variable {0} has an invalid value")]
    Invalid(&'static str),
}

impl MeterConfig {
    /// Reads the environment.
    pub fn from_env() -> Result<Self, ConfigError> {
        const MEMORY: &str = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE";
        Ok(Self {
            quotas: quotas()?,
            when_unavailable: when_unavailable()?,
            memory_mb: required(MEMORY)?.parse().map_err(|_| ConfigError::Invalid(MEMORY))?,
        })
    }
}

/// `QUOTA_WHEN_UNAVAILABLE`.
pub fn when_unavailable() -> Result<WhenUnavailable, ConfigError> {
    const WHEN_UNAVAILABLE: &str = "QUOTA_WHEN_UNAVAILABLE";
    match required(WHEN_UNAVAILABLE)?.as_str() {
        "refuse" => Ok(WhenUnavailable::Refuse),
        "allow" => Ok(WhenUnavailable::Allow),
        _ => Err(ConfigError::Invalid(WHEN_UNAVAILABLE)),
    }
}

/// `QUOTAS`, for who shows them and for who holds to them.
pub fn quotas() -> Result<Quotas, ConfigError> {
    const QUOTAS: &str = "QUOTAS";
    serde_json::from_str(&required(QUOTAS)?).map_err(|_| ConfigError::Invalid(QUOTAS))
}

/// The issuers of the stack, and whether one may be asked for its keys over plain HTTP.
#[derive(Debug, Clone)]
pub struct IssuersConfig {
    /// `ISSUERS`, those of the operator's choice, and `USER_POOL_ISSUERS`, the stack's user pool.
    pub issuers: Issuers,
    /// `AWS_SAM_LOCAL`: whether the function runs on a developer's machine. SAM CLI says `true` in its containers, and
    /// `local` to its processes; Lambda does not.
    pub plain_http: PlainHttp,
}

/// The issuers cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum IssuersConfigError {
    /// A variable is missing.
    #[error(transparent)]
    Missing(#[from] MissingVariable),
    /// An issuer cannot be trusted.
    #[error(transparent)]
    Issuers(#[from] IssuersError),
}

impl IssuersConfig {
    /// Reads the environment.
    pub fn from_env() -> Result<Self, IssuersConfigError> {
        let is_development = optional("AWS_SAM_LOCAL").as_deref() == Some("true");
        let plain_http = if is_development { PlainHttp::ThisMachine } else { PlainHttp::Never };
        let read = |name| Ok::<_, IssuersConfigError>(Issuers::parse(&required(name)?, plain_http)?);
        Ok(Self { issuers: read("ISSUERS")?.with(read("USER_POOL_ISSUERS")?)?, plain_http })
    }
}

/// A variable that has to be there and not be empty.
pub fn required(name: &'static str) -> Result<String, MissingVariable> {
    optional(name).ok_or(MissingVariable(name))
}

/// A variable that may be absent, or empty, which is the same.
#[must_use]
pub fn optional(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
