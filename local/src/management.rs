//! The management calls of API Gateway that onboarding makes: API keys, and their places in usage plans.
//!
//! Functions reach it as `AWS_ENDPOINT_URL_API_GATEWAY`, with the AWS SDK as it is. It works on the keys that the
//! gateway meters by, so a change counts from the next request on. The usage plans are those of the template. Paths, JSON
//! and errors are those of the [API](https://docs.aws.amazon.com/apigateway/latest/api/API_Operations.html); other calls
//! than these are not known here. Requests have to be signed, but the signature is not verified, and no IAM policy is.

mod error;
mod pages;
mod routes;
mod wire;

use std::sync::Arc;

use crate::gateway::ApiKeys;
use crate::template::Plan;

/// The path of the calls on local's port.
const PATH: &str = "/_local/apigateway";

/// Returns the URL of the calls of a local at `base_url`.
#[must_use]
pub fn endpoint(base_url: &str) -> String {
    format!("{base_url}{PATH}")
}

/// The API keys and usage plans on which the calls work.
#[derive(Debug, Clone)]
pub(crate) struct Management {
    keys: ApiKeys,
    /// Sorted by id.
    plans: Arc<[Plan]>,
}

impl Management {
    /// Manages these API keys, and their places in these usage plans.
    pub(crate) fn new(keys: ApiKeys, plans: &[Plan]) -> Self {
        let mut plans = plans.to_vec();
        plans.sort_by(|one, other| one.id.cmp(&other.id));
        Self { keys, plans: plans.into() }
    }

    /// Returns the calls, under [`PATH`].
    pub(crate) fn router(self) -> axum::Router {
        axum::Router::new().nest(PATH, routes::router(self))
    }
}

#[cfg(test)]
mod tests;
