//! The HTTPS stack that every client shares: one set of trust anchors, one pool of connections.

use std::time::Duration;

use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpConnector};

use super::{ATTEMPT_TIMEOUT, CONNECT_TIMEOUT};

/// The time after which an idle connection is not used any more. According to users, `DynamoDB` closes a connection after
/// about 60 seconds (<https://github.com/aws/aws-sdk-java/issues/1365>), and an execution environment that Lambda has
/// frozen meanwhile notices only when it sends the next request. A write that is lost in this way could not be retried
/// (`store::table::attempts`), so such a connection is not used at all. The default is 90 seconds.
const MAX_IDLE: Duration = Duration::from_secs(30);

/// Builds the connector of a function, once in the init phase.
#[must_use]
pub fn connector() -> SharedHttpConnector {
    let settings =
        HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(ATTEMPT_TIMEOUT).build();
    let connector = Connector::builder()
        .connector_settings(settings)
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .pool_idle_timeout(MAX_IDLE)
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .build();
    SharedHttpConnector::new(connector)
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
        let connector = connector();
        let mut seen = Vec::new();
        for idle in [Duration::ZERO, MAX_IDLE / 2, MAX_IDLE * 2] {
            time::pause();
            time::advance(idle).await;
            time::resume();
            connector.call(HttpRequest::get(&address).unwrap()).await.unwrap();
            seen.push(connections.load(Ordering::Relaxed));
        }
        assert_eq!(seen, [1, 1, 2]);
    }
}
