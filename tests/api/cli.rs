//! `cargo run`, from the outside: what it prints works as printed, and Ctrl-C ends all of it.

use std::process::Stdio;

use reqwest::Client;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::support::{binaries, workspace};

async fn run(arguments: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>) {
    let folder = binaries().await;
    let mut child = Command::new(folder.join("local"))
        .args(arguments)
        .arg("--binaries")
        .arg(folder)
        .current_dir(workspace())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
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
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn the_printed_lines_work_as_printed() {
    let (mut child, mut lines) = run(&["--memory", "--port", "0"]).await;
    let mut next = async || lines.next_line().await.unwrap().unwrap();
    let first = next().await;
    let url = first.strip_prefix("listening on ").unwrap_or_else(|| panic!("{first}")).to_owned();
    assert!(url.starts_with("http://127.0.0.1:") && url.ends_with("/v1"), "{url}");
    let mut printed = Vec::new();
    while printed.len() < 3 {
        let line = next().await;
        if !line.is_empty() && !line.starts_with('#') {
            printed.push(line);
        }
    }
    let token = printed[0].strip_prefix("TOKEN=").unwrap();
    let (status, written) = curl(&printed[1], token).await;
    assert_eq!(status, 201, "{written}");
    let (status, read) = curl(&printed[2], token).await;
    assert_eq!((status, read), (200, written));

    let functions: Vec<Value> =
        reqwest::get(url.replace("/v1", "/_local/functions")).await.unwrap().json().await.unwrap();
    let running = functions.iter().map(|function| function["processes"].as_u64().unwrap()).sum::<u64>();
    assert!(running >= 2);
    let parent = child.id().unwrap().to_string();
    let children = children_of(&parent);
    assert!(children.len() >= 2, "{children:?}");
    let interrupted = Command::new("kill").args(["-INT", &parent]).status().await.unwrap();
    assert!(interrupted.success());
    child.wait().await.unwrap();
    for pid in children {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(state.is_empty() || state.contains(" Z "), "{pid} goes on: {state}");
    }
}

/// The processes that a process started, by any of its threads.
fn children_of(parent: &str) -> Vec<String> {
    let threads = std::fs::read_dir(format!("/proc/{parent}/task")).unwrap();
    let lists = threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("children")).unwrap());
    lists.flat_map(|list| list.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>()).collect()
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
        "AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:3001",
        "AWS_LAMBDA_FUNCTION_NAME=",
    ] {
        assert!(text.lines().any(|one| one.starts_with(line)), "{line} in {text}");
    }
    assert!(output.status.success());
}
