//! A function's real binary, started outside of `local`, and its output.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use local::runtime::{ATTACHED, LogFormat, RuntimeOptions, environment};
use local::template::Template;
use local::{guard, management};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use crate::{Api, binaries, workspace};

/// The longest wait for a line.
const PATIENCE: Duration = Duration::from_secs(20);

/// The process. It is killed when this is dropped.
#[derive(Debug)]
pub struct Attached {
    child: Child,
    /// The lines of its standard output, which a task reads all the time, because a full pipe would block the process.
    output: UnboundedReceiver<String>,
    errors: JoinHandle<String>,
    /// The output that was read so far.
    pub read: String,
}

impl Attached {
    /// Starts a function that gets the API's next events, and waits until it requests the first.
    pub async fn start(api: &Api, function: &str, log_format: LogFormat) -> Self {
        Self::start_with(api, function, log_format, &[]).await
    }

    /// The same with other values of environment variables.
    pub async fn start_with(api: &Api, function: &str, log_format: LogFormat, changes: &[(&str, &str)]) -> Self {
        let functions = api.local.functions();
        let processes = || functions.stats().into_iter().find(|one| one.name == function).unwrap().processes;
        // An idle process would get events while this one requests its next.
        functions.kill(function);
        assert_eq!(processes(), 0);
        // Only the user pool's trigger gets a user pool: the authorizer would look for the pool's keys on the internet.
        let user_pool = BTreeMap::from([("UserPool".to_owned(), (function == "claims").to_string())]);
        let parameters = local::overrides(user_pool, api.local.base_url());
        let template = Template::read(&workspace().join("template.yaml"), &parameters).unwrap();
        let options = RuntimeOptions {
            base_url: api.local.base_url().to_owned(),
            api_gateway_endpoint: management::endpoint(api.local.base_url()),
            dynamodb_endpoint: guard::endpoint(api.local.base_url()),
            environments: 1,
            quiet: true,
            log_format,
        };
        let definition = template.functions.iter().find(|one| one.name == function).unwrap();
        let variables = environment(definition, &options, ATTACHED);
        let mut child = Command::new(binaries().await.join(function))
            .env_clear()
            .envs(variables)
            .envs(changes.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, output) = unbounded_channel();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut stream = child.stderr.take().unwrap();
        let errors = tokio::spawn(async move {
            let mut errors = Vec::new();
            stream.read_to_end(&mut errors).await.unwrap();
            String::from_utf8_lossy(&errors).into_owned()
        });
        while processes() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Self { child, output, errors, read: String::new() }
    }

    /// Reads the next line.
    pub async fn line(&mut self) -> String {
        let line = tokio::time::timeout(PATIENCE, self.output.recv()).await.unwrap().unwrap();
        self.read.push_str(&line);
        line
    }

    /// Reads up to the next line with metrics. Lines without metrics report events during a request.
    pub async fn metrics(&mut self) -> Value {
        loop {
            let line: Value = serde_json::from_str(&self.line().await).unwrap();
            if line.get("_aws").is_some() {
                return line;
            }
        }
    }

    /// Kills the process, and returns all that it has written, standard error included.
    pub async fn everything(mut self) -> String {
        self.child.kill().await.unwrap();
        self.rest().await
    }

    /// Terminates the process as Lambda does, and returns all that it has written, standard error included.
    pub async fn terminated(mut self) -> String {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
        assert!(status.success(), "{status}");
        self.rest().await
    }

    async fn rest(mut self) -> String {
        let mut all = self.read;
        while let Some(line) = self.output.recv().await {
            all.push_str(&line);
            all.push('\n');
        }
        all + &self.errors.await.unwrap()
    }
}
