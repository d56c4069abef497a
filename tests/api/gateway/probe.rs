//! The probe's API, started afresh for each test.

use std::path::Path;

use local::binaries::Binaries;
use local::{Local, Options};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;

/// The API of `tests/probe/template.yaml`, running.
pub(super) struct Probe {
    local: Local,
    client: Client,
}

impl Probe {
    pub(super) async fn start() -> Self {
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("probe/template.yaml");
        let binaries = Path::new(env!("CARGO_BIN_EXE_probe")).parent().unwrap().to_owned();
        let options =
            Options { binaries: Binaries::Directory(binaries), quiet: true, seed: false, ..Options::new(template) };
        let local = Local::start(options).await.unwrap();
        for (key, plan) in [("ample", "ample"), ("slow", "slow"), ("small", "small")] {
            local.keys().put(key, plan);
        }
        Self { local, client: Client::new() }
    }

    pub(super) fn local(&self) -> &Local {
        &self.local
    }

    /// A request of a path below the stage.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.local.url()))
    }

    pub(super) async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    /// A request with a token that tells the authorizer what to do.
    pub(super) async fn send_as(&self, token: &str, method: Method, path: &str) -> Response {
        let request = self.request(method, path).header("authorization", format!("Bearer {token}"));
        request.send().await.unwrap()
    }

    pub(super) async fn get_as(&self, token: &str, path: &str) -> Response {
        self.send_as(token, Method::GET, path).await
    }

    /// How often the authorizer and the function were invoked, as `/_local/functions` has it.
    pub(super) async fn invocations(&self) -> (u64, u64) {
        let url = format!("{}/_local/functions", self.local.base_url());
        let functions: Vec<Value> = self.client.get(url).send().await.unwrap().json().await.unwrap();
        let of = |name: &str| {
            let function = functions.iter().find(|function| function["name"] == name).unwrap();
            function["invocations"].as_u64().unwrap()
        };
        (of("probe-authorizer"), of("probe"))
    }

    pub(super) async fn shutdown(self) {
        self.local.shutdown().await;
    }
}

/// A header of a response, or nothing.
pub(super) fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

pub(super) async fn json(response: Response) -> Value {
    response.json().await.unwrap()
}
