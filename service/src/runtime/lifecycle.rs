//! The end of an environment, of which Lambda tells by a `SIGTERM`.
//!
//! Lambda sends it to functions with a registered extension only, and kills them 500 ms later; without one it kills them
//! at once. So this registers an internal extension that wants no events.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>
//!
//! `lambda_runtime` has the same as its feature `graceful-shutdown`, but panics where it cannot register, writes lines to
//! the log that are no JSON, and brings `lambda-extension` with a server for telemetry.

use std::process::exit;

use http::{Method, Request};
use lambda_runtime_api_client::body::Body;
use lambda_runtime_api_client::{BoxError, Client, build_request};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::warn;

const REGISTER: &str = "/2020-01-01/extension/register";
const NEXT: &str = "/2020-01-01/extension/event/next";
/// Unique among the function's extensions.
const NAME: &str = "tenantry-last-words";
const NAME_HEADER: &str = "lambda-extension-name";
const IDENTIFIER: &str = "lambda-extension-identifier";

/// Runs `last_words` when Lambda ends the environment. To be called in the init phase, before the first event is asked
/// for. Where it cannot be arranged, the environment ends without: that costs what a crash costs.
pub async fn on_shutdown<F>(last_words: impl FnOnce() -> F + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    match signal(SignalKind::terminate()) {
        Ok(terminate) => tokio::spawn(end(terminate, last_words)),
        Err(cause) => return warn!(%cause, "the environment will not hear of its end"),
    };
    match register().await {
        Ok(waiting) => {
            tokio::spawn(waiting);
        }
        Err(cause) => warn!(%cause, "the environment will not be told of its end"),
    }
}

async fn end<F: Future<Output = ()>>(mut terminate: Signal, last_words: impl FnOnce() -> F) {
    terminate.recv().await;
    last_words().await;
    exit(0);
}

/// Registers the extension, and gives what it waits for. Lambda's init phase ends when everybody waits.
async fn register() -> Result<impl Future<Output = ()> + Send + 'static, BoxError> {
    let client = Client::builder().build()?;
    let request = build_request()
        .method(Method::POST)
        .uri(REGISTER)
        .header(NAME_HEADER, NAME)
        .header("content-type", "application/json")
        .body(Body::from(r#"{"events":[]}"#))?;
    let answer = client.call(request).await?;
    let identifier = answer.headers().get(IDENTIFIER).cloned();
    let identifier = identifier.ok_or_else(|| format!("the extension is not registered: {}", answer.status()))?;
    let waiting: Request<Body> =
        build_request().method(Method::GET).uri(NEXT).header(IDENTIFIER, identifier).body(Body::empty())?;
    Ok(async move {
        // There is no event to come.
        let _ended = client.call(waiting).await;
    })
}
