//! `/health`: whether this region can serve requests, for a DNS health check.
//!
//! Open to everybody, so it must not be a lever: whatever comes in, the table is looked at once in 5 seconds and
//! environment.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lambda_http::http::StatusCode;
use lambda_http::http::header::CACHE_CONTROL;
use serde_json::json;
use service::http::{Handler, Inbound, Problem, Reply};
use service::store::Store;
use tokio::time::{Instant, timeout};

/// How long a finding is answered again.
const KEPT: Duration = Duration::from_secs(5);

/// How long the table may take. Route 53 waits 2 seconds for an answer once it is connected.
/// <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html>
const PATIENCE: Duration = Duration::from_millis(1500);

/// The function's state.
#[derive(Debug)]
pub struct Health {
    store: Store,
    last: Mutex<Option<Finding>>,
}

#[derive(Debug, Clone)]
struct Finding {
    at: Instant,
    result: Result<(), String>,
}

impl Health {
    /// A function on this store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, last: Mutex::new(None) }
    }

    async fn look(&self) -> Result<(), String> {
        match timeout(PATIENCE, self.store.health_check()).await {
            Ok(result) => result.map_err(|fault| fault.to_string()),
            Err(_) => Err("the table is too slow".to_owned()),
        }
    }

    async fn finding(&self) -> Result<(), String> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(last) = last.filter(|last| last.at.elapsed() < KEPT) {
            return last.result;
        }
        let result = self.look().await;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Finding { at: Instant::now(), result: result.clone() });
        result
    }
}

impl Handler for Health {
    async fn handle(&self, request: &Inbound<'_>) -> Result<Reply, Problem> {
        if request.route() != ("GET", "/health") {
            return Err(request.unknown_route());
        }
        match self.finding().await {
            Ok(()) => Ok(Reply::json(StatusCode::OK, &json!({"status": "ok"}))?.header(CACHE_CONTROL, "no-store")),
            Err(cause) => Err(Problem::unavailable(cause)),
        }
    }
}
