//! The management calls of API Gateway that onboarding needs: API keys, and their membership in usage plans.
//!
//! Functions find them by the environment variable `AWS_ENDPOINT_URL_API_GATEWAY`, with the unchanged AWS SDK. The calls work
//! on the API keys by which the gateway meters requests, so a change applies from the next request on. The usage plans are
//! those of the template, and cannot be changed. Paths, JSON and errors follow the
//! [API](https://docs.aws.amazon.com/apigateway/latest/api/API_Operations.html). Requests have to be signed, but the signature
//! is not verified. A function may make only the calls that its role allows (`permissions`).
//!
//! | path | methods |
//! |---|---|
//! | `/apikeys` | `GET`, `POST` |
//! | `/apikeys/{key}` | `GET`, `PATCH`, `DELETE` |
//! | `/usageplans` | `GET` |
//! | `/usageplans/{plan}` | `GET` |
//! | `/usageplans/{plan}/keys` | `GET`, `POST` |
//! | `/usageplans/{plan}/keys/{key}` | `GET`, `DELETE` |

mod error;
mod pages;
mod permissions;
mod routes;
mod wire;

use std::sync::Arc;

use crate::gateway::ApiKeys;
use crate::guard::Guard;
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
    guard: Guard,
}

impl Management {
    /// Manages these API keys, and their membership in these usage plans, as far as the guard lets a caller do it.
    pub(crate) fn new(keys: ApiKeys, plans: &[Plan], guard: Guard) -> Self {
        let mut plans = plans.to_vec();
        plans.sort_by(|one, other| one.id.cmp(&other.id));
        Self { keys, plans: plans.into(), guard }
    }

    /// Returns the routes of the calls, under [`PATH`].
    pub(crate) fn router(self) -> axum::Router {
        axum::Router::new().nest(PATH, routes::router(self))
    }
}

#[cfg(test)]
mod tests;
