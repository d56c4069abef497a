//! A process of a function: its environment variables, its output, and its end.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use super::RuntimeOptions;
use crate::guard::access_key_id;
use crate::template::{Function, REGION};
use crate::terminal;

/// The variables that a process inherits from local: those by which it finds programs, and the one that makes a panic
/// readable.
const INHERITED: [&str; 3] = ["PATH", "HOME", "RUST_BACKTRACE"];

/// The time that a process has between SIGTERM and SIGKILL.
/// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-shutdown>
const SHUTDOWN_PHASE: Duration = Duration::from_millis(500);
/// The time for which the output of a process that has ended is still read.
const LAST_OUTPUT: Duration = Duration::from_millis(200);

/// Returns the environment variables of a process, as on Lambda: those of the template and those that the
/// [runtime](https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime) defines.
/// `process` is [`ATTACHED`](super::ATTACHED) for one that is started by hand.
#[must_use]
pub fn environment(function: &Function, options: &RuntimeOptions, process: &str) -> BTreeMap<String, String> {
    let name = &function.name;
    let own = [
        ("AWS_ACCESS_KEY_ID", access_key_id(name)),
        ("AWS_DEFAULT_REGION", REGION.to_owned()),
        ("AWS_ENDPOINT_URL_API_GATEWAY", options.api_gateway_endpoint.clone()),
        ("AWS_ENDPOINT_URL_DYNAMODB", options.dynamodb_endpoint.clone()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", function.memory_mb.to_string()),
        ("AWS_LAMBDA_FUNCTION_NAME", name.clone()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_LOG_FORMAT", options.log_format.as_str().to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}")),
        ("AWS_LAMBDA_LOG_STREAM_NAME", process.to_owned()),
        ("AWS_LAMBDA_RUNTIME_API", format!("{}/_local/runtime/{name}/{process}", options.base_url)),
        ("AWS_REGION", REGION.to_owned()),
        // SAM CLI sets it, too. It allows an issuer's JWKS to be fetched from this computer over plain HTTP.
        ("AWS_SAM_LOCAL", "true".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
        ("TZ", ":UTC".to_owned()),
        ("_HANDLER", "bootstrap".to_owned()),
    ];
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
    function.environment.clone().into_iter().chain(own).collect()
}

/// Returns the command that starts a process of `function`.
pub(super) fn command(program: &Path, function: &Function, options: &RuntimeOptions, process: &str) -> Command {
    let output = || if options.quiet { Stdio::null() } else { Stdio::piped() };
    let mut command = Command::new(program);
    command
        .env_clear()
        .envs(INHERITED.iter().filter_map(|name| std::env::var_os(name).map(|value| (name, value))))
        .envs(environment(function, options, process))
        .stdin(Stdio::null())
        .stdout(output())
        .stderr(output())
        // The process has a group of its own, because Ctrl-C interrupts the whole foreground group of a terminal, and a
        // function that dies together with local cannot return the units that it holds. Local ends its functions itself.
        .process_group(0)
        .kill_on_drop(true);
    command
}

/// The request to shut a process down in the way of Lambda, which leaves it some time after SIGTERM. It is dropped when the
/// process has ended.
#[derive(Debug)]
pub(super) struct Shutdown {
    pub(super) _ended: oneshot::Sender<Infallible>,
}

/// Runs the command until the process ends by itself, or until `stop` receives a [`Shutdown`] or is dropped, which kills it
/// at once. Returns how it ended.
pub(super) async fn watch(mut command: Command, name: &str, quiet: bool, stop: oneshot::Receiver<Shutdown>) -> String {
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return format!("it cannot be started: {error}"),
    };
    let output = child.stdout.take().map(|stream| tokio::spawn(relay(stream, name.to_owned())));
    let errors = child.stderr.take().map(|stream| tokio::spawn(relay(stream, name.to_owned())));

    let (status, stopped, _ended) = tokio::select! {
        status = child.wait() => (status, false, None),
        stop = stop => {
            let ended = stop.ok();
            if ended.is_some() {
                terminate(&mut child).await;
            }
            (child.kill().await.and(child.wait().await), true, ended)
        }
    };
    // The last output is still in the pipe. The wait for its end is limited, because children that the process has left
    // behind hold the pipe open.
    for relay in [output, errors].into_iter().flatten() {
        let _unfinished = tokio::time::timeout(LAST_OUTPUT, relay).await;
    }
    let reason = status.map_or_else(|error| error.to_string(), |status| status.to_string());
    if !stopped && !quiet {
        terminal::print(format_args!("{name} | ended: {reason}"));
    }
    reason
}

/// Sends SIGTERM to a process, and waits for its end as long as Lambda does.
async fn terminate(child: &mut Child) {
    let pid = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
    if pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok()) {
        let _late = tokio::time::timeout(SHUTDOWN_PHASE, child.wait()).await;
    }
}

/// Copies lines to local's standard error, each after the name of the function.
async fn relay(stream: impl AsyncRead + Unpin, name: String) {
    let mut lines = BufReader::new(stream);
    let mut line = Vec::new();
    while let Ok(1..) = lines.read_until(b'\n', &mut line).await {
        terminal::print(format_args!("{name} | {}", String::from_utf8_lossy(line.trim_ascii_end())));
        line.clear();
    }
}
