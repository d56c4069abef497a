//! `/health`, which shows a DNS health check whether this region can serve requests.
//!
//! The route is public, so it must not let anybody cause load: each execution environment reads the table at most once
//! in 5 seconds, however many requests it gets.

mod start;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lambda_http::http::StatusCode;
use lambda_http::http::header::CACHE_CONTROL;
use serde_json::json;
use service::http::{Handler, Inbound, Problem, Reply};
use service::store::Store;
use tokio::time::{Instant, timeout};

pub use start::run;

/// How long the result of a check is used.
const FRESH: Duration = Duration::from_secs(5);

/// How long the table may take. Route 53 waits 2 seconds for a response after it has connected.
/// <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html>
const TIMEOUT: Duration = Duration::from_millis(1500);

/// The function's state.
#[derive(Debug)]
pub struct Health {
    store: Store,
    last: Mutex<Option<Check>>,
}

#[derive(Debug, Clone)]
struct Check {
    at: Instant,
    result: Result<(), String>,
}

impl Health {
    /// Creates the function for this store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, last: Mutex::new(None) }
    }

    async fn check(&self) -> Result<(), String> {
        match timeout(TIMEOUT, self.store.health_check()).await {
            Ok(result) => result.map_err(|fault| fault.to_string()),
            Err(_) => Err("the table is too slow".to_owned()),
        }
    }

    async fn result(&self) -> Result<(), String> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(last) = last.filter(|last| last.at.elapsed() < FRESH) {
            return last.result;
        }
        let result = self.check().await;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Check { at: Instant::now(), result: result.clone() });
        result
    }
}

impl Handler for Health {
    async fn handle(&self, request: &Inbound<'_>) -> Result<Reply, Problem> {
        if request.route() != ("GET", "/health") {
            return Err(request.unknown_route());
        }
        match self.result().await {
            Ok(()) => Ok(Reply::json(StatusCode::OK, &json!({"status": "ok"}))?.header(CACHE_CONTROL, "no-store")),
            Err(cause) => Err(Problem::unavailable(cause)),
        }
    }
}
