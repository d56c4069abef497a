//! Descriptions of failed requests that are safe to log.

use std::error::Error;
use std::iter::successors;

use aws_sdk_dynamodb::error::{ConnectorError, ProvideErrorMetadata, SdkError};
use hyper_util::client::legacy;

/// Describes a failed request for the log: the service's code, message and request id, or how the connection failed.
///
/// The SDK's own texts contain the response: its body, and the items of a cancelled transaction. Those are a tenant's data,
/// or secrets, and must not reach a log.
pub fn describe<E: ProvideErrorMetadata>(error: &SdkError<E>) -> String {
    let id = error.raw_response().and_then(|raw| raw.headers().get("x-amzn-requestid")).unwrap_or("none");
    match error {
        SdkError::ServiceError(service) if !service.raw().status().is_success() => {
            let (status, error) = (service.raw().status().as_u16(), service.err());
            let (code, message) = (error.code().unwrap_or("no code"), error.message().unwrap_or("no message"));
            format!("{status} {code}: {message} (request id {id})")
        }
        SdkError::ServiceError(_) | SdkError::ResponseError(_) => {
            format!("a response that cannot be read (request id {id})")
        }
        SdkError::ConstructionFailure(_) => "the request could not be put together".to_owned(),
        SdkError::TimeoutError(_) => "there was no response in time".to_owned(),
        SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
            Some(error) => format!(
                "the connection failed: {}",
                causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
            ),
            None => "the connection failed".to_owned(),
        },
        _ => "the request failed".to_owned(),
    }
}

/// Returns whether a request failed before there was a connection, so that it certainly did not reach the service.
pub(crate) fn never_connected(error: &ConnectorError) -> bool {
    causes(error).filter_map(|error| error.downcast_ref::<legacy::Error>()).any(legacy::Error::is_connect)
}

/// Returns an error and its causes, outermost first.
fn causes(error: &ConnectorError) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let outermost: &(dyn Error + 'static) = error;
    successors(Some(outermost), |error| (*error).source())
}
