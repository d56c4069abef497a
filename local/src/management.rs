//! The management calls of API Gateway that onboarding makes: API keys, and their places in usage plans.
//!
//! Functions reach it as `AWS_ENDPOINT_URL_API_GATEWAY`, with the AWS SDK as it is. It works on the keys that the
//! gateway meters by, so a change counts from the next request on. The usage plans are those of the template. Paths, JSON
//! and errors are those of the [API](https://docs.aws.amazon.com/apigateway/latest/api/API_Operations.html); other calls
//! than these are not known here. Requests have to be signed, but the signature is not verified, and no IAM policy is.

mod error;
mod faults;
mod pages;
mod routes;
mod wire;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::error::ApiError;
use self::faults::Script;
pub use self::faults::{Call, Fault, Operation, Refusal};
use crate::gateway::ApiKeys;
use crate::template::{Plan, Template};

/// Where it is, on local's port.
pub const PATH: &str = "/_local/apigateway";

/// The URL of the calls of a local at `base_url`.
#[must_use]
pub fn endpoint(base_url: &str) -> String {
    format!("{base_url}{PATH}")
}

/// How a request begins its `Authorization` that an AWS SDK has signed.
const SIGNED: &[u8] = b"AWS4-HMAC-SHA256 ";

/// The calls, and what becomes of them. Clones are the same.
#[derive(Debug, Clone)]
pub struct Management {
    keys: ApiKeys,
    /// By id.
    plans: Arc<[Plan]>,
    script: Arc<Mutex<Script>>,
    stalled: Arc<Notify>,
}

impl Management {
    /// Manages these keys, and their places in the usage plans of `template`.
    pub(crate) fn new(keys: ApiKeys, template: &Template) -> Self {
        let mut plans = template.plans.clone();
        plans.sort_by(|one, other| one.id.cmp(&other.id));
        Self { keys, plans: plans.into(), script: Arc::default(), stalled: Arc::default() }
    }

    /// What becomes of the next calls, one after the other; `None` is a call that goes well.
    pub fn fail_next(&self, fates: impl IntoIterator<Item = Option<Fault>>) {
        self.script().next.extend(fates);
    }

    /// Makes every call of an operation fail, or none, after those that [`Management::fail_next`] names.
    pub fn fail_always(&self, operation: Operation, fault: Option<Fault>) {
        match fault {
            Some(fault) => self.script().always.insert(operation, fault),
            None => self.script().always.remove(&operation),
        };
    }

    /// Waits until a call stalls. Returns at once where one has since this was waited for the last time.
    pub async fn stalled(&self) {
        self.stalled.notified().await;
    }

    /// Whether API Gateway's own limit is held, of 5 keys that are created per second. It is off at first.
    pub fn limit_creation(&self, limited: bool) {
        self.script().limit_creation(limited, Instant::now());
    }

    /// The latest calls that were answered, the first of them first; at most a thousand.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.script().calls()
    }

    /// The calls, under [`PATH`].
    pub(crate) fn router(&self) -> axum::Router {
        axum::Router::new().nest(PATH, routes::router(self.clone()))
    }

    /// Does the `work` of a call, unless it is to fail.
    async fn answer(
        &self,
        operation: Operation,
        headers: &HeaderMap,
        work: impl FnOnce(&ApiKeys, &[Plan]) -> Result<Response, ApiError>,
    ) -> Response {
        // A browser adds no such header unasked, so no page can change keys by a request to this machine.
        let signed = headers.get(AUTHORIZATION).is_some_and(|value| value.as_bytes().starts_with(SIGNED));
        let fate = self.script().fate(operation, Instant::now());
        let result = match fate {
            _ if !signed => Err(ApiError::Unauthorized),
            Some(Fault::Throttle) => Err(ApiError::TooManyRequests),
            Some(Fault::Fail) => Err(ApiError::Internal),
            Some(Fault::Refuse(refusal)) => Err(ApiError::Refused(refusal)),
            Some(Fault::LoseAnswer) => work(&self.keys, &self.plans).and(Err(ApiError::Internal)),
            Some(Fault::Stall) => return self.stall().await,
            Some(Fault::StallDone) => {
                // Whether it could be done is what the caller never hears.
                let _unheard = work(&self.keys, &self.plans);
                return self.stall().await;
            }
            None => work(&self.keys, &self.plans),
        };
        let response = result.unwrap_or_else(ApiError::into_response);
        self.script().log(Call { operation, status: response.status().as_u16() });
        response
    }

    /// Never answers: the connection ends with its caller, or with local.
    async fn stall(&self) -> Response {
        self.stalled.notify_one();
        std::future::pending().await
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
