//! Times invocations where Lambda would: at the Runtime API, from the event's hand-over to the answer's arrival.
//!
//! So a process that still finishes the last event is not charged to the next, and the threads behind the API are not
//! charged at all.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;

/// The last invocation's times. There is only one at a time here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clock(Arc<Mutex<Times>>);

/// When an invocation began and ended.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Times {
    pub(crate) handed_over: Option<Instant>,
    pub(crate) answered: Option<Instant>,
}

impl Clock {
    /// The same API, with an eye on the clock.
    pub(crate) fn watch(&self, runtime_api: Router) -> Router {
        runtime_api.layer(from_fn_with_state(self.clone(), observe))
    }

    /// The times since the last call.
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
        clock.change(|times| times.answered = Some(now));
        return next.run(request).await;
    }
    let hands_over = request.uri().path().ends_with("/next");
    let response = next.run(request).await;
    if hands_over && response.status().is_success() {
        clock.change(|times| times.handed_over = Some(Instant::now()));
    }
    response
}
