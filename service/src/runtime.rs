//! What every function needs before its first event: configuration, AWS clients, the log, the counter of capacity units,
//! and the shutdown of its execution environment.

pub mod aws;
pub mod capacity;
pub mod config;
pub mod lifecycle;
pub mod log;

use aws_sdk_dynamodb::Client;
use aws_smithy_runtime_api::client::http::SharedHttpConnector;

use self::config::{Config, MissingVariable};

/// The result of a function's `main`.
pub type Exit = Result<(), lambda_http::Error>;

/// What every function has after its start.
#[derive(Debug)]
pub struct Started {
    /// The configuration that all functions share.
    pub config: Config,
    /// The client for `DynamoDB`.
    pub dynamodb: Client,
    /// The connector that all clients of the function share, so that they share one TLS stack.
    pub connector: SharedHttpConnector,
}

/// Starts a function: initializes the log, reads the configuration, and builds the client for `DynamoDB`. `function` is the
/// name that stands in every log line.
pub fn start(function: &'static str) -> Result<Started, MissingVariable> {
    log::init(function);
    let (config, connector) = (Config::from_env()?, aws::connector());
    Ok(Started { dynamodb: aws::dynamodb(&config.aws, connector.clone()), config, connector })
}

/// Runs a function's whole `main` on one thread, because an execution environment handles one request at a time.
pub fn run(main: impl Future<Output = Exit>) -> Exit {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(main)
}
