//! The interface between a function and the loop that serves it.

use std::time::Duration;

use super::{Inbound, Problem, Reply};

/// The time limit of a request whose handler needs only the table. It is longer than a call of the table with its retries
/// (`aws`), and longer than the wait for a unit of the quota (`ledger`).
pub(super) const DEADLINE: Duration = Duration::from_secs(5);

/// A function that handles requests.
pub trait Handler: Sync {
    /// The time limit of a request from its arrival, including the wait for a unit of the quota. It is shorter than the
    /// function's timeout (`template.yaml`), so that the function itself sends the response.
    const DEADLINE: Duration = DEADLINE;

    /// Handles one request.
    fn handle(&self, request: &Inbound<'_>) -> impl Future<Output = Result<Reply, Problem>> + Send;
}

/// A function that also runs on a schedule.
pub trait Scheduled: Handler {
    /// Does the work of one scheduled run.
    fn run(&self) -> impl Future<Output = ()> + Send;
}
