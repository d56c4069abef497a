//! The Runtime API over HTTP. The tests play the role of the processes.

use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;

use axum::http::StatusCode;
use reqwest::Response;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::*;

/// A program that does nothing. The test sends the requests of its process.
const HANGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/runtime/testdata/hang");

/// A program that writes to the file `$LAST_WORDS` when it gets SIGTERM.
const LEAVES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/runtime/testdata/leave");

fn limits(environments: usize) -> Limits {
    Limits { environments, init: Duration::from_mins(1), wait: Duration::from_mins(1) }
}

struct Lambda {
    functions: Functions,
    base_url: String,
    client: reqwest::Client,
}

impl Lambda {
    async fn start(program: &str, timeout: Duration, limits: Limits) -> Self {
        Self::start_with(program, timeout, limits, BTreeMap::new()).await
    }

    async fn start_with(
        program: &str,
        timeout: Duration,
        limits: Limits,
        environment: BTreeMap<String, String>,
    ) -> Self {
        Self::start_function(program, limits, |function| {
            (function.timeout, function.environment) = (timeout, environment);
        })
        .await
    }

    /// Starts the function with this reserved concurrency, or with four execution environments without one.
    async fn reserved(environments: Option<usize>) -> Self {
        Self::start_function(HANGS, limits(4), |function| function.reserved_concurrency = environments).await
    }

    async fn start_function(program: &str, limits: Limits, change: impl FnOnce(&mut Function)) -> Self {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let options = RuntimeOptions {
            base_url: base_url.clone(),
            api_gateway_endpoint: "http://127.0.0.1:1".to_owned(),
            dynamodb_endpoint: "http://127.0.0.1:1".to_owned(),
            environments: limits.environments,
            quiet: true,
            log_format: LogFormat::Text,
        };
        let mut function = Function {
            name: "echo".to_owned(),
            logical_id: "EchoFunction".to_owned(),
            timeout: Duration::from_mins(1),
            memory_mb: 128,
            reserved_concurrency: None,
            environment: BTreeMap::new(),
            schedules: Vec::new(),
        };
        change(&mut function);
        let functions = Functions::with_limits([(function, program.into())], &options, limits);
        let router = functions.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { functions, base_url, client: reqwest::Client::new() }
    }

    async fn patient() -> Self {
        Self::start(HANGS, Duration::from_mins(1), limits(4)).await
    }

    fn invoke(&self, event: &str) -> JoinHandle<Result<Vec<u8>, InvokeError>> {
        let functions = self.functions.clone();
        let event = event.as_bytes().to_vec();
        tokio::spawn(async move { functions.invoke("echo", event).await })
    }

    fn path(&self, process: &str, path: &str) -> String {
        format!("{}/_local/runtime/echo/{process}/2018-06-01/runtime/{path}", self.base_url)
    }

    async fn next(&self, process: &str) -> Response {
        self.client.get(self.path(process, "invocation/next")).send().await.unwrap()
    }

    async fn post(&self, process: &str, path: &str, body: impl Into<reqwest::Body>) -> StatusCode {
        self.client.post(self.path(process, path)).body(body).send().await.unwrap().status()
    }

    /// Responds to one event of `process` with the event itself.
    async fn echo(&self, process: &str) {
        let event = self.next(process).await;
        assert_eq!(event.status(), 200);
        let request = request_of(&event);
        let body = event.bytes().await.unwrap();
        assert_eq!(self.post(process, &format!("invocation/{request}/response"), body).await, 202);
    }

    fn stats(&self) -> FunctionStats {
        self.functions.stats().remove(0)
    }

    /// Waits until this many invocations have arrived.
    async fn arrived(&self, invocations: u64) {
        while self.stats().invocations < invocations {
            tokio::task::yield_now().await;
        }
    }
}

fn request_of(event: &Response) -> String {
    event.headers()["lambda-runtime-aws-request-id"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_event_reaches_a_process_that_is_started_for_it_and_the_next_one_finds_it_there() {
    let lambda = Lambda::patient().await;
    for round in 0..3 {
        let result = lambda.invoke(&format!("event {round}"));
        lambda.arrived(round + 1).await;
        lambda.echo("1").await;
        assert_eq!(result.await.unwrap().unwrap(), format!("event {round}").as_bytes());
    }
    let list: Value =
        lambda.client.get(format!("{}/_local/functions", lambda.base_url)).send().await.unwrap().json().await.unwrap();
    assert_eq!(list, json!([{"name": "echo", "processes": 1, "coldStarts": 1, "invocations": 3, "errors": 0}]));
}

#[tokio::test]
async fn events_come_with_the_headers_of_the_runtime_api() {
    let lambda = Lambda::patient().await;
    let _result = lambda.invoke("{}");
    let event = lambda.next("attached").await;
    let header = |name: &str| event.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(request_of(&event).len(), 36);
    assert!(header("lambda-runtime-deadline-ms").parse::<u128>().unwrap() > 1_700_000_000_000);
    assert!(header("lambda-runtime-invoked-function-arn").ends_with(":function:EchoFunction"));
    assert!(header("lambda-runtime-trace-id").starts_with("Root=1-"));
}

#[tokio::test]
async fn events_at_once_get_a_process_each_up_to_the_limit_and_then_wait() {
    let lambda = Lambda::patient().await;
    let results: Vec<_> = (0..6).map(|_| lambda.invoke("{}")).collect();
    lambda.arrived(6).await;
    assert_eq!(lambda.stats().processes, 4);
    // One process can handle all events: no event waits for a process that hangs.
    for _ in 0..6 {
        lambda.echo("3").await;
    }
    for result in results {
        result.await.unwrap().unwrap();
    }
    assert_eq!(lambda.stats().cold_starts, 4);
}

#[tokio::test]
async fn a_process_that_takes_too_long_is_killed_and_replaced() {
    let limits = limits(1);
    let lambda = Lambda::start(HANGS, Duration::from_millis(50), limits).await;
    let late = lambda.invoke("late");
    lambda.arrived(1).await;
    let event = lambda.next("1").await;
    let request = request_of(&event);
    assert!(matches!(late.await.unwrap(), Err(InvokeError::Timeout)));
    assert_eq!(lambda.stats().processes, 0);
    assert_eq!(lambda.post("1", &format!("invocation/{request}/response"), "late").await, 400);
    assert_eq!(lambda.next("1").await.status(), 403);

    let result = lambda.invoke("again");
    lambda.arrived(2).await;
    lambda.echo("2").await;
    assert_eq!(result.await.unwrap().unwrap(), b"again");
    assert_eq!(lambda.stats().errors, 1);
}

#[tokio::test]
async fn a_process_that_is_killed_fails_its_event_and_the_next_gets_another() {
    let lambda = Lambda::patient().await;
    let result = lambda.invoke("{}");
    lambda.arrived(1).await;
    assert_eq!(lambda.next("1").await.status(), 200);
    lambda.functions.kill("nobody");
    lambda.functions.kill("echo");
    assert!(matches!(result.await.unwrap(), Err(InvokeError::Crashed(_))));
    let result = lambda.invoke("{}");
    lambda.arrived(2).await;
    lambda.echo("2").await;
    result.await.unwrap().unwrap();
    assert_eq!(lambda.next("1").await.status(), 403);
    // Local does not kill a process that was started by hand.
    let attached = tokio::spawn(lambda.client.get(lambda.path("attached", "invocation/next")).send());
    while lambda.stats().processes < 2 {
        tokio::task::yield_now().await;
    }
    lambda.functions.kill("echo");
    assert_eq!(lambda.stats().processes, 1);
    attached.abort();
}

#[tokio::test]
async fn a_process_that_never_requests_an_event_fails_the_one_it_was_started_for() {
    let limits = Limits { init: Duration::from_millis(50), ..limits(4) };
    let lambda = Lambda::start(HANGS, Duration::from_mins(1), limits).await;
    let (first, second) = (lambda.invoke("1"), lambda.invoke("2"));
    assert!(matches!(first.await.unwrap(), Err(InvokeError::Timeout)));
    assert!(matches!(second.await.unwrap(), Err(InvokeError::Timeout)));
}

#[tokio::test]
async fn a_process_that_exits_fails_its_event_at_once() {
    let limits = limits(4);
    for program in ["/bin/false", "/nowhere"] {
        let lambda = Lambda::start(program, Duration::from_mins(1), limits).await;
        let result = lambda.functions.invoke("echo", Vec::new()).await;
        assert!(matches!(result, Err(InvokeError::Crashed(_))), "{result:?}");
        assert_eq!(lambda.stats().processes, 0);
    }
}

#[tokio::test]
async fn a_failed_start_is_reported_with_its_reason() {
    let lambda = Lambda::patient().await;
    let result = lambda.invoke("{}");
    lambda.arrived(1).await;
    let report = json!({"errorType": "Panic", "errorMessage": "no table"}).to_string();
    assert_eq!(lambda.post("1", "init/error", report).await, 202);
    let error = result.await.unwrap().unwrap_err().to_string();
    assert_eq!(error, "the process ended: it could not start: Panic: no table");
}

#[tokio::test]
async fn a_functions_error_is_its_result_and_the_process_stays() {
    let lambda = Lambda::patient().await;
    let result = lambda.invoke("{}");
    lambda.arrived(1).await;
    let request = request_of(&lambda.next("1").await);
    let report = json!({"errorType": "Bad", "errorMessage": "no"}).to_string();
    assert_eq!(lambda.post("1", &format!("invocation/{request}/error"), report).await, 202);
    assert!(matches!(
        result.await.unwrap(),
        Err(InvokeError::Function { error_type, message }) if error_type == "Bad" && message == "no"
    ));
    assert_eq!((lambda.stats().processes, lambda.stats().errors), (1, 1));
}

#[tokio::test]
async fn a_response_larger_than_lambda_accepts_is_an_error() {
    let lambda = Lambda::patient().await;
    let result = lambda.invoke("{}");
    lambda.arrived(1).await;
    let request = request_of(&lambda.next("1").await);
    let large = vec![b'x'; 6 * 1024 * 1024 + 101];
    assert_eq!(lambda.post("1", &format!("invocation/{request}/response"), large).await, 413);
    assert!(matches!(result.await.unwrap(), Err(InvokeError::Function { .. })));
}

#[tokio::test]
async fn an_event_larger_than_lambda_accepts_is_rejected_without_an_invocation() {
    let lambda = Lambda::patient().await;
    let largest = lambda.invoke(&"x".repeat(REQUEST_LIMIT));
    lambda.arrived(1).await;
    lambda.echo("1").await;
    assert_eq!(largest.await.unwrap().unwrap().len(), REQUEST_LIMIT);
    let rejected = lambda.functions.invoke("echo", vec![b'x'; REQUEST_LIMIT + 1]).await;
    assert!(matches!(rejected, Err(InvokeError::EventTooLarge)), "{rejected:?}");
    assert_eq!(lambda.stats().invocations, 1);
}

#[tokio::test]
async fn an_event_that_waits_too_long_for_an_environment_is_throttled_and_the_next_one_is_not() {
    let limits = Limits { wait: Duration::from_secs(1), ..limits(1) };
    let lambda = Lambda::start(HANGS, Duration::from_mins(1), limits).await;
    // The first event takes longer than any may wait in the queue, because a process works on it.
    let first = lambda.invoke("first");
    lambda.arrived(1).await;
    let request = request_of(&lambda.next("1").await);
    let second = lambda.invoke("second").await.unwrap();
    assert!(matches!(second, Err(InvokeError::Throttled)), "{second:?}");
    assert!(!first.is_finished());
    assert_eq!(lambda.post("1", &format!("invocation/{request}/response"), "done").await, 202);
    assert_eq!(first.await.unwrap().unwrap(), b"done");

    let (third, ()) = tokio::join!(lambda.invoke("third"), lambda.echo("1"));
    assert_eq!(third.unwrap().unwrap(), b"third");
    let stats = lambda.stats();
    assert_eq!((stats.cold_starts, stats.invocations, stats.errors), (1, 3, 1));
}

#[tokio::test]
async fn a_function_has_as_many_environments_as_its_template_reserves() {
    for (reserved, started) in [(None, 4), (Some(2), 2), (Some(5), 5)] {
        let lambda = Lambda::reserved(reserved).await;
        let _results: Vec<_> = (0..6).map(|_| lambda.invoke("{}")).collect();
        lambda.arrived(6).await;
        assert_eq!(lambda.stats().processes, started, "{reserved:?}");
    }
    let none = Lambda::reserved(Some(0)).await;
    assert!(matches!(none.functions.invoke("echo", Vec::new()).await, Err(InvokeError::Throttled)));
}

#[test]
fn the_default_number_of_environments_is_sensible() {
    assert!((4..=16).contains(&default_environments()));
}

#[tokio::test]
async fn a_response_is_accepted_once_and_from_its_own_process_only() {
    let lambda = Lambda::patient().await;
    let result = lambda.invoke("{}");
    lambda.arrived(1).await;
    let request = request_of(&lambda.next("1").await);
    let path = format!("invocation/{request}/response");
    assert_eq!(lambda.post("attached", &path, "foreign").await, 400);
    assert_eq!(lambda.post("1", "invocation/another/response", "another's").await, 400);
    assert_eq!(lambda.post("1", &path, "own").await, 202);
    assert_eq!(lambda.post("1", &path, "twice").await, 400);
    assert_eq!(result.await.unwrap().unwrap(), b"own");
}

#[tokio::test]
async fn a_process_started_by_hand_gets_events_before_any_other() {
    let lambda = Lambda::patient().await;
    let (result, ()) = tokio::join!(
        async {
            while lambda.stats().processes == 0 {
                tokio::task::yield_now().await;
            }
            lambda.functions.invoke("echo", b"debug me".to_vec()).await
        },
        lambda.echo("attached"),
    );
    assert_eq!(result.unwrap(), b"debug me");
    assert_eq!(lambda.stats().cold_starts, 0);
}

#[tokio::test]
async fn a_process_that_left_while_it_waited_gets_no_event() {
    let lambda = Lambda::patient().await;
    let url = lambda.path("attached", "invocation/next");
    let waiting = tokio::spawn(async move { reqwest::get(url).await });
    while lambda.stats().processes == 0 {
        tokio::task::yield_now().await;
    }
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    // The server notices the end of the connection when it reads from it, or when it sends an event, which then goes to
    // another process.
    while lambda.stats().cold_starts == 0 {
        drop(lambda.invoke("{}"));
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn shutdown_ends_processes_and_events() {
    let lambda = Lambda::patient().await;
    let result = lambda.invoke("{}");
    lambda.arrived(1).await;
    lambda.functions.shutdown().await;
    assert!(matches!(result.await.unwrap(), Err(InvokeError::Crashed(_))));
    assert_eq!((lambda.stats().processes, lambda.stats().errors), (0, 1));
    assert!(lambda.functions.invoke("echo", Vec::new()).await.is_err());
    assert!(matches!(lambda.functions.invoke("nobody", Vec::new()).await, Err(InvokeError::Unknown(_))));
}

/// Starts a process, with or without an extension, that has responded to an event and waits for the next one.
async fn waiting(program: &str, file: &std::path::Path, extended: bool) -> (Lambda, JoinHandle<StatusCode>) {
    let limits = limits(1);
    let environment = BTreeMap::from([("LAST_WORDS".to_owned(), file.to_str().unwrap().to_owned())]);
    let lambda = Lambda::start_with(program, Duration::from_mins(1), limits, environment).await;
    let result = lambda.invoke("{}");
    lambda.arrived(1).await;
    // The program creates the file when it handles signals.
    while !file.exists() && program == LEAVES {
        tokio::task::yield_now().await;
    }
    if extended {
        let url = lambda.path("1", "").replace("2018-06-01/runtime/", "2020-01-01/extension/");
        let register = lambda.client.post(format!("{url}register")).body(r#"{"events":[]}"#);
        assert_eq!(register.try_clone().unwrap().send().await.unwrap().status(), 400);
        let registered = register.header("lambda-extension-name", "test").send().await.unwrap();
        assert_eq!(registered.status(), 200);
        let identifier = registered.headers()["lambda-extension-identifier"].clone();
        let next = lambda.client.get(format!("{url}event/next")).header("lambda-extension-identifier", identifier);
        tokio::spawn(next.send());
    }
    lambda.echo("1").await;
    result.await.unwrap().unwrap();
    let next = lambda.client.get(lambda.path("1", "invocation/next")).send();
    let next = tokio::spawn(async move { next.await.unwrap().status() });
    while !lambda.functions.pools["echo"].has_idle_process() {
        tokio::task::yield_now().await;
    }
    (lambda, next)
}

#[tokio::test]
async fn a_process_with_an_extension_has_a_shutdown_phase() {
    let folder = tempfile::tempdir().unwrap();
    let written = |file: &std::path::Path| std::fs::read_to_string(file).unwrap_or_default();
    for (extended, words) in [(true, "listens\nleaves\n"), (false, "listens\n")] {
        let file = folder.path().join(format!("retire-{extended}"));
        let (lambda, next) = waiting(LEAVES, &file, extended).await;
        lambda.functions.retire("nobody").await;
        lambda.functions.retire("echo").await;
        assert_eq!(written(&file), words);
        assert_eq!(lambda.stats().processes, 0);
        assert_eq!(next.await.unwrap(), 403);

        let file = folder.path().join(format!("shutdown-{extended}"));
        let (lambda, next) = waiting(LEAVES, &file, extended).await;
        lambda.functions.shutdown().await;
        assert_eq!(written(&file), words);
        assert_eq!(next.await.unwrap(), 403);

        let file = folder.path().join(format!("kill-{extended}"));
        let (lambda, next) = waiting(LEAVES, &file, extended).await;
        lambda.functions.kill("echo");
        lambda.functions.shutdown().await;
        assert_eq!(written(&file), "listens\n");
        assert_eq!(next.await.unwrap(), 403);
    }
}

#[tokio::test]
async fn a_process_that_does_not_leave_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stay");
    // A name that ends in `stays` makes the program ignore SIGTERM.
    let (lambda, _) = waiting(LEAVES, &file.with_extension("stays"), true).await;
    let started = std::time::Instant::now();
    lambda.functions.retire("echo").await;
    assert!((500..2000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
}

#[test]
fn the_test_programs_are_executable() {
    assert_ne!(std::fs::metadata(LEAVES).unwrap().permissions().mode() & 0o111, 0);
    assert_ne!(std::fs::metadata(HANGS).unwrap().permissions().mode() & 0o111, 0);
}
