//! What `local` needs to know of `template.yaml`, read from it with the parameters' defaults and some overrides.

mod intrinsics;
mod model;
mod parameters;
mod properties;
pub mod yaml;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use intrinsics::IntrinsicError;
pub use parameters::ParameterError;
pub use yaml::YamlError;

/// The account that everything on this machine belongs to.
pub(crate) const ACCOUNT: &str = "000000000000";

/// The region that everything on this machine is in.
pub(crate) const REGION: &str = "us-east-1";

/// The id of the REST API.
pub(crate) const API_ID: &str = "local";

/// The parts of a SAM template that have a meaning on this machine.
#[derive(Debug, Clone)]
pub struct Template {
    /// The functions, the authorizer among them.
    pub functions: Vec<Function>,
    /// The REST API.
    pub api: Api,
    /// The tables, by logical id.
    pub tables: Vec<Table>,
    /// The usage plans.
    pub plans: Vec<Plan>,
}

/// An `AWS::Serverless::Function`.
#[derive(Debug, Clone)]
pub struct Function {
    /// The binary's name, from `Metadata.BuildProperties.Binary`.
    pub name: String,
    /// The resource's key in the template.
    pub logical_id: String,
    /// How long one invocation may take.
    pub timeout: Duration,
    /// Told to the function as `AWS_LAMBDA_FUNCTION_MEMORY_SIZE`; not enforced.
    pub memory_mb: u32,
    /// `ReservedConcurrentExecutions`: how many execution environments it may have.
    pub reserved_concurrency: Option<usize>,
    /// `Environment.Variables`, resolved.
    pub environment: BTreeMap<String, String>,
    /// How often it is invoked by its `Schedule` events.
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
    /// `Cors`: with it, every path answers to `OPTIONS`.
    pub cors: Option<Cors>,
    /// `BinaryMediaTypes`, as media types (`application/octet-stream`).
    pub binary_media_types: Vec<String>,
    /// `MinimumCompressionSize`, in bytes: with it, responses are compressed for clients that accept it.
    pub minimum_compression_size: Option<usize>,
}

/// An `Api` event of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// `GET`, `POST`, or `ANY`.
    pub method: String,
    /// The path without the stage, with `{parameters}` and perhaps a last `{proxy+}`.
    pub path: String,
    /// The [`Function::name`] that serves it.
    pub function: String,
    /// Whether the default authorizer guards it.
    pub authorized: bool,
    /// Whether a request needs a key that belongs to a plan.
    pub api_key_required: bool,
}

/// A `TOKEN` authorizer.
#[derive(Debug, Clone)]
pub struct Authorizer {
    /// The [`Function::name`] that decides.
    pub function: String,
    /// The request header that holds the token.
    pub header: String,
    /// `ValidationExpression`: a token that does not match is refused without an invocation.
    pub validation_expression: Option<String>,
    /// `ReauthorizeEvery`: how long an answer is kept for the same token. Zero keeps nothing.
    pub ttl: Duration,
}

/// A gateway response as the template customizes it.
#[derive(Debug, Clone, Default)]
pub struct GatewayResponse {
    /// The status, where it is not the type's own.
    pub status: Option<u16>,
    /// Header names and what their values are.
    pub headers: BTreeMap<String, HeaderSource>,
    /// The body's template for `application/json`, with `$context` variables.
    pub body: Option<String>,
}

/// Where a gateway response takes the value of a header from.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-parameter-mapping-sources.html>
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderSource {
    /// The value itself, which stands in single quotes in the template.
    Static(String),
    /// The name of a `$context` variable.
    Context(String),
}

/// SAM's `Cors`, without the single quotes of the template.
#[derive(Debug, Clone, Default)]
pub struct Cors {
    /// `Access-Control-Allow-Origin`; absent where CORS is off.
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
    /// The name that it has on this machine: the logical id.
    pub name: String,
    /// The resource's properties, resolved; they have the form of a `CreateTable` request.
    pub properties: Value,
}

/// An `AWS::ApiGateway::UsagePlan`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The id that it has on this machine: the logical id in lower case. A `Ref` is this.
    pub id: String,
    /// The plan's name, from its tag `plan`.
    pub name: String,
    /// `UsagePlanName`: what it is called in API Gateway.
    pub usage_plan_name: Option<String>,
    /// `Tags`.
    pub tags: BTreeMap<String, String>,
    /// `ApiStages`: the stages that it is for.
    pub stages: Vec<ApiStage>,
    /// Requests per second that fill the bucket.
    pub rate: f64,
    /// The bucket's size, in requests.
    pub burst: u32,
    /// Requests per calendar month (UTC); `None` is no limit.
    pub quota: Option<u64>,
}

/// A stage that a usage plan is for, as the template and API Gateway's own API spell it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all(deserialize = "PascalCase", serialize = "camelCase"))]
pub struct ApiStage {
    /// The API's id.
    pub api_id: String,
    /// The stage's name.
    pub stage: String,
}

/// Why a template cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The text is no template.
    #[error("the template cannot be parsed: {0}")]
    Yaml(#[from] YamlError),
    /// The parameters do not fit.
    #[error(transparent)]
    Parameters(#[from] ParameterError),
    /// A value of a resource cannot be resolved.
    #[error("resource `{resource}`: {source}")]
    Intrinsic {
        /// The logical id.
        resource: String,
        /// Why.
        source: IntrinsicError,
    },
    /// A resource lacks a property, or has one of a wrong form.
    #[error("resource `{resource}`: {source}")]
    Property {
        /// The logical id.
        resource: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A resource says something that does not fit the rest of the template, or that `local` cannot do.
    #[error("resource `{resource}`: {reason}")]
    Resource {
        /// The logical id.
        resource: String,
        /// What.
        reason: &'static str,
    },
    /// There is not exactly one `AWS::Serverless::Api`.
    #[error("the template must have exactly one AWS::Serverless::Api, but has {0}")]
    Apis(usize),
    /// What the file says cannot be used.
    #[error("{}: {source}", path.display())]
    In {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<TemplateError>,
    },
}

impl Template {
    /// Reads the template at `path`, with `overrides` in place of the defaults of its parameters.
    pub fn read(path: &Path, overrides: &BTreeMap<String, String>) -> Result<Self, TemplateError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| TemplateError::Read { path: path.to_owned(), source })?;
        let named = |source| TemplateError::In { path: path.to_owned(), source: Box::new(source) };
        Self::parse(&text, overrides).map_err(named)
    }

    /// Reads a template from its text, as [`Template::read`] does.
    fn parse(text: &str, overrides: &BTreeMap<String, String>) -> Result<Self, TemplateError> {
        model::build(&yaml::parse(text)?, overrides)
    }
}
