//! A function's real binary, started by hand as for CloudWatch, and what it writes.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use local::runtime::{ATTACHED, LogFormat, RuntimeOptions, environment};
use local::template::Template;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::{Api, binaries, workspace};

/// How long a line may take.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Attached {
    /// Killed with this.
    _child: Child,
    output: Lines<BufReader<ChildStdout>>,
    /// All that was read.
    pub(crate) read: String,
}

impl Attached {
    /// Starts a function that the API hands its next events to, and waits until it asks for them.
    pub(crate) async fn start(api: &Api, function: &str, log_format: LogFormat) -> Self {
        let functions = api.local.functions();
        let processes = || functions.stats().into_iter().find(|one| one.name == function).unwrap().processes;
        // An idle process would be given events while this one turns to the next.
        functions.kill(function);
        assert_eq!(processes(), 0);
        // Only the trigger is there for a user pool, whose keys nobody here has.
        let user_pool = BTreeMap::from([("UserPool".to_owned(), (function == "claims").to_string())]);
        let parameters = local::overrides(user_pool, api.local.issuer());
        let template = Template::read(&workspace().join("template.yaml"), &parameters).unwrap();
        let options = RuntimeOptions {
            base_url: api.local.base_url().to_owned(),
            dynamodb_endpoint: api.local.dynamodb_endpoint().to_owned(),
            environments: 1,
            quiet: true,
            log_format,
        };
        let definition = template.functions.iter().find(|one| one.name == function).unwrap();
        let variables = environment(definition, &options, ATTACHED);
        let mut child = Command::new(binaries().await.join(function))
            .env_clear()
            .envs(variables)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        while processes() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Self { _child: child, output, read: String::new() }
    }

    /// The next line.
    pub(crate) async fn line(&mut self) -> String {
        let line = tokio::time::timeout(PATIENCE, self.output.next_line()).await.unwrap().unwrap().unwrap();
        self.read.push_str(&line);
        line
    }

    /// The next line with metrics. Others are notes on the way to an answer.
    pub(crate) async fn metrics(&mut self) -> Value {
        loop {
            let line: Value = serde_json::from_str(&self.line().await).unwrap();
            if line.get("_aws").is_some() {
                return line;
            }
        }
    }
}
