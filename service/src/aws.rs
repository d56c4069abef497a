//! AWS clients, built once in the init phase.
//!
//! Not by `aws-config`: Lambda gives the region and the credentials in the environment and replaces the environment
//! before they expire. The chain of other sources (profiles, SSO, STS, IMDS) would be linked, and asked, for nothing.

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
use aws_smithy_async::rt::sleep::SharedAsyncSleep;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpConnector, http_client_fn};

use crate::config::AwsConfig;
pub use failure::describe;
pub(crate) use failure::never_connected;
use meter::Meter;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a connection may be idle and still be used. `DynamoDB` closes one after about 60 seconds, by users' reports
/// (<https://github.com/aws/aws-sdk-java/issues/1365>), and an execution environment that Lambda has frozen meanwhile finds
/// out only when it sends the next request. A write that is lost in this way could not be repeated (`store::attempts`), so
/// such a connection is not used at all. By default they are kept for 90 seconds.
const MOST_IDLE: Duration = Duration::from_secs(30);
/// How long one try of a request may take. `DynamoDB` answers in milliseconds; a try that takes this long is lost.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1200);
/// How long a read with its retries may take: less than a request may take (`http::serve`).
const OPERATION_TIMEOUT: Duration = Duration::from_secs(4);
const MAX_ATTEMPTS: u32 = 4;

/// The HTTPS stack that every client shares: one set of trust anchors, one pool of connections.
#[must_use]
pub fn connector() -> Option<SharedHttpConnector> {
    let settings =
        HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(ATTEMPT_TIMEOUT).build();
    let connector = Connector::builder()
        .connector_settings(settings)
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .pool_idle_timeout(MOST_IDLE)
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .build();
    Some(SharedHttpConnector::new(connector))
}

/// The credentials of the environment.
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

/// A client for `DynamoDB`, on a shared connector.
#[must_use]
pub fn dynamodb(config: &AwsConfig, connector: Option<SharedHttpConnector>) -> Client {
    let mut builder = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(config.region.clone()))
        .credentials_provider(credentials(config))
        // The credentials are at hand: there is nothing to cache or to load.
        .identity_cache(IdentityCache::no_cache())
        // For reads: the store sends writes by a client without it.
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
        .interceptor(Meter);
    if let Some(url) = &config.dynamodb_endpoint {
        builder = builder.endpoint_url(url);
    }
    if let Some(connector) = connector {
        builder = builder.http_client(http_client_fn(move |_, _| connector.clone()));
    }
    Client::from_conf(builder.build())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use aws_smithy_runtime_api::client::http::HttpConnector as _;
    use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time;

    use super::*;

    /// A server that never closes a connection, and counts them.
    async fn server() -> (String, Arc<AtomicU32>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    // The requests have no body, and each comes in one piece.
                    while stream.read(&mut [0; 4096]).await.is_ok_and(|length| length > 0) {
                        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                    }
                });
            }
        });
        (address, connections)
    }

    #[tokio::test]
    async fn a_connection_that_was_idle_for_long_is_not_used_again() {
        let (address, connections) = server().await;
        let connector = connector().unwrap();
        let mut seen = Vec::new();
        for idle in [Duration::ZERO, MOST_IDLE / 2, MOST_IDLE * 2] {
            time::pause();
            time::advance(idle).await;
            time::resume();
            connector.call(HttpRequest::get(&address).unwrap()).await.unwrap();
            seen.push(connections.load(Ordering::Relaxed));
        }
        assert_eq!(seen, [1, 1, 2]);
    }
}
