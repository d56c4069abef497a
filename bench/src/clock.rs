//! Times invocations where Lambda would: at the Runtime API, from the event's hand-over to the arrival of the response.
//!
//! So the work that a process still does for the last event does not count towards the next, and that of the threads behind
//! the API does not count at all.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;

/// The times of the last invocation. There is only one at a time here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clock(Arc<Mutex<Times>>);

/// The times at which an invocation began and ended.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Times {
    pub(crate) handed_over: Option<Instant>,
    pub(crate) responded: Option<Instant>,
}

impl Clock {
    /// Returns the same API, which records the times.
    pub(crate) fn watch(&self, runtime_api: Router) -> Router {
        runtime_api.layer(from_fn_with_state(self.clone(), observe))
    }

    /// Returns the times since the last call of this method.
    pub(crate) fn take(&self) -> Times {
        self.change(std::mem::take)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Times) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn observe(State(clock): State<Clock>, request: Request, next: Next) -> Response {
    let now = Instant::now();
    if request.uri().path().ends_with("/response") {
        clock.change(|times| times.responded = Some(now));
        return next.run(request).await;
    }
    let hands_over = request.uri().path().ends_with("/next");
    let response = next.run(request).await;
    if hands_over && response.status().is_success() {
        clock.change(|times| times.handed_over = Some(Instant::now()));
    }
    response
}
