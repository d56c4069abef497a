//! AWS clients, built once in the init phase.
//!
//! They are built without `aws-config`: Lambda passes the region and the credentials in environment variables, and replaces
//! the execution environment before the credentials expire. The chain of other sources (profiles, SSO, STS, IMDS) would be
//! linked and queried for nothing.

mod connector;
mod failure;
mod meter;

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::StalledStreamProtectionConfig;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, IdentityCache, Region};
use aws_smithy_runtime_api::client::http::{SharedHttpConnector, http_client_fn};

use crate::runtime::config::AwsConfig;
pub use connector::connector;
pub use failure::describe;
pub(crate) use failure::never_connected;
use meter::Meter;

/// The timeout of a new connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The timeout of one attempt of a request. `DynamoDB` responds in milliseconds, so an attempt that takes this long is
/// lost.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1200);
/// The timeout of a read with its retries, which is less than that of a request (`http::serve`).
const OPERATION_TIMEOUT: Duration = Duration::from_secs(4);
/// The most attempts of a read.
const MAX_ATTEMPTS: u32 = 4;

/// Returns the credentials in the environment variables.
#[must_use]
pub fn credentials(config: &AwsConfig) -> SharedCredentialsProvider {
    let AwsConfig { access_key_id, secret_access_key, session_token, .. } = config;
    SharedCredentialsProvider::new(Credentials::new(
        access_key_id,
        secret_access_key,
        session_token.clone(),
        None,
        "environment",
    ))
}

/// Builds a client for `DynamoDB` on a shared connector.
#[must_use]
pub fn dynamodb(config: &AwsConfig, connector: SharedHttpConnector) -> Client {
    let mut builder = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(config.region.clone()))
        .credentials_provider(credentials(config))
        // The credentials are static, so there is nothing to load or to cache.
        .identity_cache(IdentityCache::no_cache())
        // The retries are for reads. The store sends writes by a client without retries.
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(MAX_ATTEMPTS)
                .with_initial_backoff(Duration::from_millis(50))
                .with_max_backoff(Duration::from_millis(500)),
        )
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                .operation_timeout(OPERATION_TIMEOUT)
                .build(),
        )
        // The attempt timeout covers the body as well.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .interceptor(Meter)
        .http_client(http_client_fn(move |_, _| connector.clone()));
    if let Some(url) = &config.dynamodb_endpoint {
        builder = builder.endpoint_url(url);
    }
    Client::from_conf(builder.build())
}
