//! Lambda on this machine: processes that take their events from the Runtime API.
//!
//! [`Functions`] holds a `pool` for each function. An event goes to a process that waits for one, else to a process that
//! is started for it, up to the number that the function may have; beyond that events wait. A process asks for events
//! over HTTP (`api`), under a path of its own, and is watched (`process`) until it ends.
//!
//! Lambda does not let events wait: beyond a function's reserved concurrency it refuses them. A burst that one laptop
//! takes a second longer for is not an error, so here an event is refused only after it has waited for a while.

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

/// Whatever answers events as Lambda does: [`Functions`] here, a closure over answers in the gateway's own tests.
pub trait Invoke: Clone + Send + Sync + 'static {
    /// Hands `event` to the function and returns its answer.
    fn invoke(&self, function: &str, event: Vec<u8>) -> impl Future<Output = Result<Vec<u8>, InvokeError>> + Send;
}

/// Why an invocation has no answer.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// It did not end within the function's timeout; its process was killed.
    #[error("timed out")]
    Timeout,
    /// Its process ended before it answered.
    #[error("the process ended: {0}")]
    Crashed(String),
    /// Every execution environment that the function may have was busy for too long.
    #[error("no execution environment became free within {} s", WAIT.as_secs())]
    Throttled,
    /// The event is larger than Lambda takes.
    #[error("the event is larger than {REQUEST_LIMIT} bytes")]
    EventTooLarge,
    /// The function answered with an error: `{"errorType", "errorMessage"}`.
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

/// What is counted of a function since the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionStats {
    /// The function's name.
    pub name: String,
    /// The processes that there are now.
    pub processes: usize,
    /// The processes that were started.
    pub cold_starts: u64,
    /// The events that were handed in.
    pub invocations: u64,
    /// The events that got no answer, or an error for one.
    pub errors: u64,
}

/// How functions are run.
#[derive(Debug, Clone)]
pub struct RuntimeOptions {
    /// The URL at which [`Functions::router`] is served: `http://127.0.0.1:3000`.
    pub base_url: String,
    /// The URL of the API Gateway whose API keys the functions manage.
    pub api_gateway_endpoint: String,
    /// The DynamoDB of the functions.
    pub dynamodb_endpoint: String,
    /// How many execution environments a function has whose template reserves no number of them.
    pub environments: usize,
    /// Whether what functions print is dropped.
    pub quiet: bool,
    /// How functions write what they print.
    pub log_format: LogFormat,
}

/// Lambda's formats of a function's log.
/// <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// Lines for machines, as on AWS.
    Json,
}

impl LogFormat {
    /// As Lambda tells it to the function.
    fn as_str(self) -> &'static str {
        match self {
            Self::Text => "Text",
            Self::Json => "JSON",
        }
    }
}

/// How much a pool bears.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// The execution environments of a function whose template reserves no number of them.
    environments: usize,
    /// The time from a process's start to its first request for an event.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>
    init: Duration,
    /// How long an event waits for an execution environment.
    wait: Duration,
}

/// Longer than the init phase may take, so that a slow start is not reported as a lack of environments, and with a
/// function's own timeout still less than API Gateway's 29 s.
const WAIT: Duration = Duration::from_secs(15);

/// The largest event of a synchronous invocation, in bytes.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const REQUEST_LIMIT: usize = 6 * 1024 * 1024;

/// How many execution environments a function has whose template does not set `ReservedConcurrentExecutions`.
///
/// Lambda would start one for each request that comes while the others are busy, on machines that have nothing else to
/// do. Here all of them share one machine: more processes than it has cores to run them on make every one of them
/// slower, until they miss their own deadlines. A function waits for the database most of the time, hence two for each
/// core.
#[must_use]
pub fn default_environments() -> usize {
    const RANGE: std::ops::RangeInclusive<usize> = 4..=16;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (2 * cores).clamp(*RANGE.start(), *RANGE.end())
}

/// What a process is called that a person started.
pub const ATTACHED: &str = "attached";

/// All the functions. Clones share them.
#[derive(Debug, Clone)]
pub struct Functions {
    pools: Arc<BTreeMap<String, Arc<Pool>>>,
}

impl Functions {
    /// The given functions, each with its binary. Nothing is started yet.
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

    /// The counts of every function, by name.
    #[must_use]
    pub fn stats(&self) -> Vec<FunctionStats> {
        self.pools.values().map(|pool| pool.stats()).collect()
    }

    /// Kills the processes of a function that local has started, as Lambda may at any moment. Events that are under way
    /// fail; the next ones get other processes.
    pub fn kill(&self, function: &str) {
        if let Some(pool) = self.pools.get(function) {
            pool.kill();
        }
    }

    /// Ends the processes of a function that wait for events, as Lambda does when it has no use for them: those with an
    /// extension are told so, and have 500 ms. Waits for that.
    pub async fn retire(&self, function: &str) {
        if let Some(pool) = self.pools.get(function) {
            pool.retire().await;
        }
    }

    /// The Runtime API, and the list of functions at `/_local/functions`.
    pub fn router(&self) -> axum::Router {
        api::router(self.clone())
    }

    /// Ends every process, as Lambda does, and waits for that. Events that are under way fail, and so do later ones.
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
