//! The shutdown of an execution environment, which Lambda announces with a `SIGTERM`.
//!
//! Lambda sends the signal only to functions with a registered extension, and kills them 500 ms later. Without an extension
//! it kills them at once. So this module registers an internal extension that subscribes to no events.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>
//!
//! The feature `graceful-shutdown` of `lambda_runtime` does the same, but it panics if it cannot register, writes log lines
//! that are not JSON, and adds `lambda-extension` with a server for telemetry.

use std::process::exit;

use http::{Method, Request};
use lambda_runtime_api_client::body::Body;
use lambda_runtime_api_client::{BoxError, Client, build_request};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::warn;

const REGISTER: &str = "/2020-01-01/extension/register";
const NEXT: &str = "/2020-01-01/extension/event/next";
/// The name of the extension, which has to be unique among the function's extensions.
const NAME: &str = "tenantry-last-words";
const NAME_HEADER: &str = "lambda-extension-name";
const IDENTIFIER: &str = "lambda-extension-identifier";

/// Runs `shutdown` when Lambda shuts the execution environment down. It has to be called in the init phase, before the
/// first event is requested. If the registration fails, the execution environment ends without `shutdown`, with the
/// consequences of a crash.
pub async fn on_shutdown<F>(shutdown: impl FnOnce() -> F + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    match signal(SignalKind::terminate()) {
        Ok(terminate) => tokio::spawn(end(terminate, shutdown)),
        Err(cause) => return warn!(%cause, "the signal that ends the execution environment cannot be received"),
    };
    match register().await {
        Ok(waiting) => {
            tokio::spawn(waiting);
        }
        Err(cause) => warn!(%cause, "the execution environment will be ended without a signal"),
    }
}

async fn end<F: Future<Output = ()>>(mut terminate: Signal, shutdown: impl FnOnce() -> F) {
    terminate.recv().await;
    shutdown().await;
    exit(0);
}

/// Registers the extension, and returns its request for the next event. Lambda's init phase ends when the function and all
/// extensions have made that request.
async fn register() -> Result<impl Future<Output = ()> + Send + 'static, BoxError> {
    let client = Client::builder().build()?;
    let request = build_request()
        .method(Method::POST)
        .uri(REGISTER)
        .header(NAME_HEADER, NAME)
        .header("content-type", "application/json")
        .body(Body::from(r#"{"events":[]}"#))?;
    let response = client.call(request).await?;
    let identifier = response.headers().get(IDENTIFIER).cloned();
    let identifier = identifier.ok_or_else(|| format!("the extension is not registered: {}", response.status()))?;
    let waiting: Request<Body> =
        build_request().method(Method::GET).uri(NEXT).header(IDENTIFIER, identifier).body(Body::empty())?;
    Ok(async move {
        // The request stays pending, because the extension gets no events.
        let _ended = client.call(waiting).await;
    })
}
