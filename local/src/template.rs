//! The parts of `template.yaml` that have a meaning on this machine.
//!
//! [`Template::read`] goes through these steps, each in a module of its own:
//!
//! | step | module |
//! |---|---|
//! | YAML with `!Ref` and the like becomes JSON in the long form | [`yaml`] |
//! | the parameters get their defaults or the given values, and are validated | `parameters` |
//! | `Ref`, `Fn::Sub` and the other intrinsic functions are resolved, and the rules are checked | `intrinsics` |
//! | the properties of resources are read | `properties` |
//! | functions, API, tables and usage plans are built from them | `model` |
//!
//! [`Template::roles`] reads what the roles of the functions allow, in the module `roles`.

mod intrinsics;
mod model;
mod parameters;
mod properties;
mod roles;
pub mod yaml;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use intrinsics::IntrinsicError;
pub(crate) use intrinsics::STACK;
pub use parameters::ParameterError;
pub use roles::{Role, RoleError};
pub use yaml::YamlError;

/// The id of the account to which everything on this machine belongs.
pub(crate) const ACCOUNT: &str = "000000000000";

/// The region in which everything on this machine is.
pub(crate) const REGION: &str = "us-east-1";

/// The id of the REST API.
pub(crate) const API_ID: &str = "local";

/// A SAM template, as far as it has a meaning on this machine.
#[derive(Debug, Clone)]
pub struct Template {
    /// The functions, including the authorizer.
    pub functions: Vec<Function>,
    /// The REST API.
    pub api: Api,
    /// The tables, sorted by logical id.
    pub tables: Vec<Table>,
    /// The usage plans.
    pub plans: Vec<Plan>,
}

/// An `AWS::Serverless::Function`.
#[derive(Debug, Clone)]
pub struct Function {
    /// The binary's name, from `Metadata.BuildProperties.Binary`.
    pub name: String,
    /// The logical id of the resource.
    pub logical_id: String,
    /// The time that one invocation may take.
    pub timeout: Duration,
    /// The memory in MB. The function gets it as `AWS_LAMBDA_FUNCTION_MEMORY_SIZE`, but it is not enforced.
    pub memory_mb: u32,
    /// `ReservedConcurrentExecutions`: the maximum number of execution environments.
    pub reserved_concurrency: Option<usize>,
    /// The environment variables of `Environment.Variables`, resolved.
    pub environment: BTreeMap<String, String>,
    /// The intervals at which `Schedule` events invoke it.
    pub schedules: Vec<Duration>,
}

/// The `AWS::Serverless::Api`.
#[derive(Debug, Clone)]
pub struct Api {
    /// The stage, the first segment of every path.
    pub stage: String,
    /// The routes, from the `Events` of all functions.
    pub routes: Vec<Route>,
    /// The default authorizer.
    pub authorizer: Option<Authorizer>,
    /// `GatewayResponses`, by response type.
    pub gateway_responses: BTreeMap<String, GatewayResponse>,
    /// `Cors`, with which every path has the method `OPTIONS`.
    pub cors: Option<Cors>,
    /// `BinaryMediaTypes`, as media types (`application/octet-stream`).
    pub binary_media_types: Vec<String>,
    /// `MinimumCompressionSize`, in bytes, with which responses are compressed for clients that accept it.
    pub minimum_compression_size: Option<usize>,
}

/// An `Api` event of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// `GET`, `POST`, or `ANY`.
    pub method: String,
    /// The path without the stage, with `{parameters}` and perhaps `{proxy+}` at the end.
    pub path: String,
    /// The [`Function::name`] of the function that serves it.
    pub function: String,
    /// Whether the default authorizer protects it.
    pub authorized: bool,
    /// Whether a request needs an API key that is in a usage plan.
    pub api_key_required: bool,
}

/// A `TOKEN` authorizer.
#[derive(Debug, Clone)]
pub struct Authorizer {
    /// The [`Function::name`] of the function.
    pub function: String,
    /// The request header with the token.
    pub header: String,
    /// `ValidationExpression`. A token that does not match is rejected without an invocation.
    pub validation_expression: Option<String>,
    /// `ReauthorizeEvery`: the time for which the result for a token is cached. With zero, nothing is cached.
    pub ttl: Duration,
}

/// The customization of a gateway response.
#[derive(Debug, Clone, Default)]
pub struct GatewayResponse {
    /// The status, if it is not the default of the type.
    pub status: Option<u16>,
    /// The names of headers, each with the source of its value.
    pub headers: BTreeMap<String, HeaderSource>,
    /// The body's template for `application/json`, with `$context` variables.
    pub body: Option<String>,
}

/// The source of the value of a header in a gateway response.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-parameter-mapping-sources.html>
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderSource {
    /// The value itself, which is in single quotes in the template.
    Static(String),
    /// The name of a `$context` variable.
    Context(String),
}

/// SAM's `Cors`, without the single quotes of the template.
#[derive(Debug, Clone, Default)]
pub struct Cors {
    /// `Access-Control-Allow-Origin`, or none if CORS is off.
    pub allow_origin: Option<String>,
    /// `Access-Control-Allow-Methods`.
    pub allow_methods: Option<String>,
    /// `Access-Control-Allow-Headers`.
    pub allow_headers: Option<String>,
    /// `Access-Control-Max-Age`, in seconds.
    pub max_age: Option<String>,
}

/// An `AWS::DynamoDB::Table`.
#[derive(Debug, Clone)]
pub struct Table {
    /// The name on this machine, which is the logical id.
    pub name: String,
    /// The resource's properties, resolved. They have the form of a `CreateTable` request.
    pub properties: Value,
}

/// An `AWS::ApiGateway::UsagePlan`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The id on this machine, which is the logical id in lower case, and the value of a `Ref`.
    pub id: String,
    /// The name of the tenants' plan, from the tag `plan`.
    pub name: String,
    /// `UsagePlanName`: the name in API Gateway.
    pub usage_plan_name: Option<String>,
    /// `Tags`.
    pub tags: BTreeMap<String, String>,
    /// `ApiStages`: the stages to which it applies.
    pub stages: Vec<ApiStage>,
    /// The rate of the token bucket, in requests per second.
    pub rate: f64,
    /// The size of the token bucket, in requests.
    pub burst: u32,
    /// The maximum number of requests per calendar month (UTC). `None` means no limit.
    pub quota: Option<u64>,
}

/// A stage to which a usage plan applies, in the spelling of the template and of API Gateway's own API.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all(deserialize = "PascalCase", serialize = "camelCase"))]
pub struct ApiStage {
    /// The API's id.
    pub api_id: String,
    /// The stage's name.
    pub stage: String,
}

/// The reason why a template cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The text cannot be parsed.
    #[error("the template cannot be parsed: {0}")]
    Yaml(#[from] YamlError),
    /// The parameters are not valid.
    #[error(transparent)]
    Parameters(#[from] ParameterError),
    /// A value of a resource cannot be resolved.
    #[error("resource `{resource}`: {source}")]
    Intrinsic {
        /// The logical id.
        resource: String,
        /// The cause.
        source: IntrinsicError,
    },
    /// A resource lacks a property, or has one with a wrong form.
    #[error("resource `{resource}`: {source}")]
    Property {
        /// The logical id.
        resource: String,
        /// The cause.
        source: serde_json::Error,
    },
    /// A resource contradicts the rest of the template, or needs something that `local` does not support.
    #[error("resource `{resource}`: {reason}")]
    Resource {
        /// The logical id.
        resource: String,
        /// The problem.
        reason: &'static str,
    },
    /// A policy of a function's role cannot be evaluated on this machine.
    #[error("resource `{resource}`: {source}; local can run without roles, with --no-iam")]
    Role {
        /// The logical id.
        resource: String,
        /// The cause.
        source: RoleError,
    },
    /// The template does not have exactly one `AWS::Serverless::Api`.
    #[error("the template must have exactly one AWS::Serverless::Api, but has {0}")]
    Apis(usize),
    /// The content of the file cannot be used.
    #[error("{}: {source}", path.display())]
    In {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Box<TemplateError>,
    },
}

impl Template {
    /// Reads the template at `path`, with `overrides` instead of the defaults of its parameters.
    pub fn read(path: &Path, overrides: &BTreeMap<String, String>) -> Result<Self, TemplateError> {
        Self::within(path, |text| Self::parse(text, overrides))
    }

    /// Reads the roles of the functions of the template at `path`.
    pub fn roles(path: &Path, overrides: &BTreeMap<String, String>) -> Result<Vec<Role>, TemplateError> {
        Self::within(path, |text| roles::roles(&yaml::parse(text)?, overrides))
    }

    /// Reads something from the text at `path`. An error names the path.
    fn within<T>(path: &Path, read: impl FnOnce(&str) -> Result<T, TemplateError>) -> Result<T, TemplateError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| TemplateError::Read { path: path.to_owned(), source })?;
        let named = |source| TemplateError::In { path: path.to_owned(), source: Box::new(source) };
        read(&text).map_err(named)
    }

    /// Reads a template from its text, as [`Template::read`] does.
    fn parse(text: &str, overrides: &BTreeMap<String, String>) -> Result<Self, TemplateError> {
        model::build(&yaml::parse(text)?, overrides)
    }
}
