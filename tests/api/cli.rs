//! `cargo run`, from the outside: what it prints works as printed, and Ctrl-C ends all of it.

use std::fs::File;
use std::path::Path;
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use reqwest::Client;
use serde_json::Value;
use service::runtime::aws;
use service::runtime::config::AwsConfig;
use tempfile::NamedTempFile;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::support::{binaries, workspace};

mod messages;
mod signals;

/// How long anything that is waited for may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// `local` from the command line, in a process group of its own, as a shell starts it.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// Its standard error.
    log: NamedTempFile,
    /// Where the API is.
    url: String,
    /// The token of the first line to paste.
    token: String,
}

async fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(binaries().await.join("local"));
    command.args(arguments).current_dir(workspace()).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs it to its end.
async fn output(arguments: &[&str]) -> Output {
    let ended = command(arguments).await.output();
    tokio::time::timeout(PATIENCE, ended).await.unwrap().unwrap()
}

impl Running {
    /// Starts it on a free port, and waits until it listens.
    async fn start(arguments: &[&str]) -> Self {
        let log = NamedTempFile::new().unwrap();
        let mut child = command(&[arguments, &["--port", "0", "--binaries"]].concat())
            .await
            .arg(binaries().await)
            .stdout(Stdio::piped())
            .stderr(File::create(log.path()).unwrap())
            .process_group(0)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut running = Self { child, lines, log, url: String::new(), token: String::new() };
        let first = running.line().await;
        running.url = first.strip_prefix("listening on ").unwrap_or_else(|| panic!("{first}")).to_owned();
        let token = running.line().await;
        token.strip_prefix("TOKEN=").unwrap_or_else(|| panic!("{token}")).clone_into(&mut running.token);
        running
    }

    /// The next line with something in it.
    async fn line(&mut self) -> String {
        loop {
            let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await.unwrap().unwrap();
            match line.unwrap_or_else(|| panic!("it ended: {}", self.log())) {
                line if line.is_empty() => {}
                line => return line,
            }
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }

    /// Waits for a line in the log, which has this in it.
    async fn logged(&self, part: &str) -> String {
        let look = async {
            loop {
                if let Some(line) = self.log().lines().find(|line| line.contains(part)) {
                    return line.to_owned();
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("no `{part}` in {}", self.log()))
    }

    fn base_url(&self) -> &str {
        self.url.strip_suffix("/v1").unwrap()
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        Client::new().get(format!("{}{path}", self.url)).bearer_auth(&self.token).send().await.unwrap()
    }

    /// Sends a signal to its whole process group, as a terminal does with Ctrl-C, or to itself only.
    async fn signal(&self, signal: &str, group: bool) {
        let target = format!("{}{}", if group { "-" } else { "" }, self.child.id().unwrap());
        let sent = Command::new("kill").args([signal, "--", &target]).status().await.unwrap();
        assert!(sent.success());
    }

    async fn ended(&mut self) -> ExitStatus {
        tokio::time::timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap()
    }

    /// The processes that it started, by any of its threads.
    fn children(&self) -> Vec<String> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id().unwrap())).unwrap();
        let lists = threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("children")).unwrap());
        lists.flat_map(|list| list.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>()).collect()
    }
}

/// Whether a process works: one that has ended may still be in the list until it is waited for.
fn is_alive(pid: &str) -> bool {
    let state = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    !state.is_empty() && !state.contains(" Z ")
}

/// The parts of a printed line, as a shell would cut it.
fn words(line: &str, token: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.chars() {
        match (c, quote) {
            (c, Some(q)) if c == q => quote = None,
            ('"' | '\'', None) => quote = Some(c),
            (' ', None) => words.push(std::mem::take(&mut word)),
            (c, _) => word.push(c),
        }
    }
    words.push(word);
    words.into_iter().map(|word| word.replace("$TOKEN", token)).collect()
}

/// Does what curl would do with these arguments.
async fn curl(line: &str, token: &str) -> (u16, Value) {
    let words = words(line, token);
    assert_eq!(words[0], "curl", "{line}");
    let (mut method, mut url, mut body, mut headers) = ("GET".to_owned(), String::new(), None, Vec::new());
    let mut rest = words.into_iter().skip(1);
    while let Some(word) = rest.next() {
        match word.as_str() {
            "-i" => {}
            "-X" => method = rest.next().unwrap(),
            "-H" => headers.push(rest.next().unwrap()),
            "-d" => body = rest.next(),
            _ => url = word,
        }
    }
    let mut request = Client::new().request(method.parse().unwrap(), url);
    for header in headers {
        let (name, value) = header.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    if let Some(body) = body {
        request = request.body(body);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn the_printed_lines_work_as_printed() {
    let mut local = Running::start(&["--memory"]).await;
    assert!(local.url.starts_with("http://127.0.0.1:") && local.url.ends_with("/v1"), "{}", local.url);
    let write = local.line().await;
    let (status, written) = curl(&write, &local.token).await;
    assert_eq!(status, 201, "{written}");
    let read = local.line().await;
    let (status, read) = curl(&read, &local.token).await;
    assert_eq!((status, read), (200, written));

    let functions = reqwest::get(format!("{}/_local/functions", local.base_url())).await.unwrap();
    let functions: Vec<Value> = functions.json().await.unwrap();
    let running = functions.iter().map(|function| function["processes"].as_u64().unwrap()).sum::<u64>();
    assert!(running >= 2);
    let children = local.children();
    assert!(children.len() >= 2, "{children:?}");
    local.signal("-INT", false).await;
    assert!(local.ended().await.success());
    for pid in children {
        assert!(!is_alive(&pid), "{pid} goes on");
    }
}

/// Both ports on another address, which containers use.
#[tokio::test]
async fn an_exposed_address_leads_to_the_api_and_the_database() {
    let folder = binaries().await;
    let mut child = Command::new(folder.join("local"))
        .args(["--memory", "--port", "0", "--expose", "127.0.0.2", "--binaries"])
        .arg(folder)
        .current_dir(workspace())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut printed = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut urls = Vec::new();
    while urls.len() < 2 {
        let line = printed.next_line().await.unwrap().unwrap();
        if let Some(warning) = line.strip_prefix("warning: ") {
            assert!(warning.contains("it needs no password"), "{warning}");
            urls.push(warning.split(' ').next().unwrap().to_owned());
        }
    }
    assert!(urls.iter().all(|url| url.starts_with("http://127.0.0.2:")), "{urls:?}");
    let health = reqwest::get(format!("{}/v1/health", urls[0])).await.unwrap();
    assert_eq!(health.status(), 200);
    let config = AwsConfig::local(&urls[1]);
    let tables = aws::dynamodb(&config, aws::connector()).list_tables().send().await.unwrap();
    assert_eq!(tables.table_names(), ["Table"]);
}

/// The tests, `cargo run` and the build that it starts all resolve the same features, so nothing is compiled twice; and a
/// user sees that a build goes on.
#[tokio::test]
async fn the_functions_are_built_in_sight_and_only_once() {
    let folder = binaries().await;
    let mut child = Command::new(folder.join("local"))
        .args(["--memory", "--port", "0", "--no-seed"])
        .current_dir(workspace())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut printed = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = printed.next_line().await.unwrap();
    assert!(first.as_ref().is_some_and(|line| line.starts_with("listening on ")), "{first:?}");
    child.kill().await.unwrap();
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).await.unwrap();
    assert!(stderr.starts_with("building the functions"), "{stderr}");
    assert!(stderr.contains("Finished") && !stderr.contains("Compiling"), "{stderr}");
}

#[tokio::test]
async fn a_functions_environment_is_printed() {
    let output = Command::new(binaries().await.join("local"))
        .args(["env", "records"])
        .current_dir(workspace())
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "TABLE_NAME=Table",
        "AWS_ENDPOINT_URL_API_GATEWAY=http://127.0.0.1:3000/_local/apigateway",
        "AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:3000/_local/dynamodb",
        "AWS_ACCESS_KEY_ID=local-records",
        "AWS_LAMBDA_FUNCTION_NAME=",
    ] {
        assert!(text.lines().any(|one| one.starts_with(line)), "{line} in {text}");
    }
    assert!(output.status.success());
}
