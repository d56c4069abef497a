//! What the end-to-end tests and the benchmark share: the API of `template.yaml` running on free ports, its tokens, and
//! proxies that make its backends fail on demand.
//!
//! | module | what it provides |
//! |---|---|
//! | [`api`] | [`Api`]: a [`local::Local`] with everything around it, started and stopped |
//! | [`client`] | [`Caller`]: a client that holds every response to the contract |
//! | [`contract`] | `openapi.yaml`, and whether requests and responses conform to it |
//! | [`attached`] | a function's binary, started outside of `local` to read what it writes |
//! | [`engine`] | the embedded DynamoDB at an address of its own |
//! | [`dynamodb`] | a proxy before DynamoDB that counts requests and makes them fail |
//! | [`adversary`] | a proxy before DynamoDB that loses, delays and reorders writes |
//! | [`api_gateway`] | a proxy before API Gateway's management calls that records them and makes them fail |
//!
//! The production crates contain nothing of this: a proxy takes the place of a backend by an endpoint, which is an option of
//! `local`. Helpers fail as tests do, by a panic.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do: by a panic")]

pub mod adversary;
pub mod api;
pub mod api_gateway;
pub mod attached;
pub mod client;
pub mod contract;
pub mod dynamodb;
pub mod engine;
mod proxy;
mod response;

use std::path::{Path, PathBuf};

use local::binaries::Binaries;
use tokio::sync::OnceCell;

pub use api::Api;
pub use client::{Call, Caller};
pub use response::Response;

/// Returns the folder of the workspace whose tests run: the nearest one with a template.
#[must_use]
pub fn workspace() -> PathBuf {
    let here = std::env::current_dir().unwrap();
    here.ancestors().find(|folder| folder.join("template.yaml").is_file()).unwrap().to_owned()
}

/// Reads a file of the workspace.
#[must_use]
pub fn read(path: &str) -> String {
    std::fs::read_to_string(workspace().join(path)).unwrap()
}

/// Returns the folder of the functions' binaries, which cargo brings up to date once in a test run.
pub async fn binaries() -> &'static Path {
    static FOLDER: OnceCell<PathBuf> = OnceCell::const_new();
    let folder = FOLDER.get_or_init(|| async {
        let found = Binaries::Build.locate(&workspace(), ["authorizer"]).await.unwrap();
        found["authorizer"].parent().unwrap().to_owned()
    });
    folder.await
}
