//! Lambda on this machine: processes that take their events from the Runtime API.
//!
//! Each process is one execution environment. [`Functions`] has a `pool` of them for each function. An event goes to a
//! process that waits for one, or to a process that is started for it, up to the number that the function may have; beyond
//! that, events wait in a queue. A process requests events over HTTP (`api`), under a path of its own, and is watched
//! (`process`) until it ends.
//!
//! Lambda has no such queue: beyond a function's reserved concurrency it throttles. A burst that takes a laptop a second
//! longer is not an error, so here an event is throttled only after it has waited for a while.

mod api;
mod pool;
mod process;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;

use crate::template::Function;
use pool::Pool;
pub use process::environment;

/// A way to invoke functions: [`Functions`], or a closure in the gateway's own tests.
pub trait Invoke: Clone + Send + Sync + 'static {
    /// Invokes the function with `event` and returns its response.
    fn invoke(&self, function: &str, event: Vec<u8>) -> impl Future<Output = Result<Vec<u8>, InvokeError>> + Send;
}

/// The reason why an invocation has no response.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// The invocation did not end within the function's timeout. Its process was killed.
    #[error("timed out")]
    Timeout,
    /// The process ended before it responded.
    #[error("the process ended: {0}")]
    Crashed(String),
    /// All execution environments that the function may have were busy for too long.
    #[error("no execution environment became free within {} s", WAIT.as_secs())]
    Throttled,
    /// The event is larger than Lambda accepts.
    #[error("the event is larger than {REQUEST_LIMIT} bytes")]
    EventTooLarge,
    /// The function reported an error: `{"errorType", "errorMessage"}`.
    #[error("{error_type}: {message}")]
    Function {
        /// The `errorType`.
        error_type: String,
        /// The `errorMessage`.
        message: String,
    },
    /// There is no function of that name.
    #[error("there is no function `{0}`")]
    Unknown(String),
}

/// The counters of a function since the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionStats {
    /// The function's name.
    pub name: String,
    /// The processes that are running.
    pub processes: usize,
    /// The processes that were started.
    pub cold_starts: u64,
    /// The events that arrived.
    pub invocations: u64,
    /// The events that got an error or no response.
    pub errors: u64,
}

/// The options of all functions.
#[derive(Debug, Clone)]
pub struct RuntimeOptions {
    /// The URL at which [`Functions::router`] is served: `http://127.0.0.1:3000`.
    pub base_url: String,
    /// The URL of the API Gateway whose API keys the functions manage.
    pub api_gateway_endpoint: String,
    /// The URL of the functions' DynamoDB.
    pub dynamodb_endpoint: String,
    /// The maximum number of execution environments of a function without `ReservedConcurrentExecutions`.
    pub environments: usize,
    /// Whether the output of functions is discarded.
    pub quiet: bool,
    /// The format of the functions' logs.
    pub log_format: LogFormat,
}

/// A format of a function's log.
/// <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines that people can read.
    Text,
    /// One JSON object per line, as on AWS.
    Json,
}

impl LogFormat {
    /// Returns the value of `AWS_LAMBDA_LOG_FORMAT`.
    fn as_str(self) -> &'static str {
        match self {
            Self::Text => "Text",
            Self::Json => "JSON",
        }
    }
}

/// The limits of a pool.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// The maximum number of execution environments of a function without `ReservedConcurrentExecutions`.
    environments: usize,
    /// The time from a process's start to its first request for an event.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>
    init: Duration,
    /// The maximum time that an event waits for an execution environment.
    wait: Duration,
}

/// The maximum time that an event waits for an execution environment. It is longer than the init phase may take, so that a
/// slow start is not reported as throttling, and together with a function's timeout it is shorter than API Gateway's 29 s.
const WAIT: Duration = Duration::from_secs(15);

/// The largest event of a synchronous invocation, in bytes.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const REQUEST_LIMIT: usize = 6 * 1024 * 1024;

/// Returns the default of [`RuntimeOptions::environments`]: two for each core of this computer.
///
/// Lambda would start one for each request that arrives while the others are busy, on hosts that have nothing else to do.
/// Here all of them share one computer: more busy processes than cores make every one of them slower, until they miss their
/// own deadlines. A function waits for the database most of the time, which is why each core gets two.
#[must_use]
pub fn default_environments() -> usize {
    const RANGE: std::ops::RangeInclusive<usize> = 4..=16;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (2 * cores).clamp(*RANGE.start(), *RANGE.end())
}

/// The name, in paths and log streams, of a process that was started by hand.
pub const ATTACHED: &str = "attached";

/// All functions. Clones share them.
#[derive(Debug, Clone)]
pub struct Functions {
    pools: Arc<BTreeMap<String, Arc<Pool>>>,
}

impl Functions {
    /// Takes the functions, each with its binary. No process is started yet.
    pub fn new(functions: impl IntoIterator<Item = (Function, PathBuf)>, options: &RuntimeOptions) -> Self {
        let limits = Limits { environments: options.environments, init: Duration::from_secs(10), wait: WAIT };
        Self::with_limits(functions, options, limits)
    }

    fn with_limits(
        functions: impl IntoIterator<Item = (Function, PathBuf)>,
        options: &RuntimeOptions,
        limits: Limits,
    ) -> Self {
        let pools = functions.into_iter().map(|(function, program)| {
            (function.name.clone(), Arc::new(Pool::new(function, program, options.clone(), limits)))
        });
        Self { pools: Arc::new(pools.collect()) }
    }

    /// Returns the counters of every function, sorted by name.
    #[must_use]
    pub fn stats(&self) -> Vec<FunctionStats> {
        self.pools.values().map(|pool| pool.stats()).collect()
    }

    /// Kills the processes of a function that local has started, as Lambda may at any moment. Their events fail; the next
    /// ones get new processes.
    pub fn kill(&self, function: &str) {
        if let Some(pool) = self.pools.get(function) {
            pool.kill();
        }
    }

    /// Ends the idle processes of a function, as Lambda does when it has no use for them, and waits until they have ended.
    /// Those with an extension get a signal first and have 500 ms.
    pub async fn retire(&self, function: &str) {
        if let Some(pool) = self.pools.get(function) {
            pool.retire().await;
        }
    }

    /// Returns the Runtime API, and the list of functions at `/_local/functions`.
    pub fn router(&self) -> axum::Router {
        api::router(self.clone())
    }

    /// Ends every process, as Lambda does, and waits until all have ended. Events in progress fail, and so do later ones.
    pub async fn shutdown(&self) {
        let mut closing = JoinSet::new();
        for pool in self.pools.values() {
            let pool = Arc::clone(pool);
            closing.spawn(async move { pool.close().await });
        }
        closing.join_all().await;
    }
}

impl Invoke for Functions {
    async fn invoke(&self, function: &str, event: Vec<u8>) -> Result<Vec<u8>, InvokeError> {
        match self.pools.get(function) {
            Some(_) if event.len() > REQUEST_LIMIT => Err(InvokeError::EventTooLarge),
            Some(pool) => pool.invoke(event).await,
            None => Err(InvokeError::Unknown(function.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests;
