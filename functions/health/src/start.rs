//! The start of the function.

use service::http;
use service::runtime::{self, Exit, Started};
use service::store::Store;

use crate::Health;

/// Runs the function, as its whole `main`.
pub fn run() -> Exit {
    runtime::run(async {
        let Started { config, dynamodb, .. } = runtime::start(env!("CARGO_PKG_NAME"))?;
        let health = Health::new(Store::new(dynamodb, config.table));
        http::serve(health, config.cors_allowed_origin.as_deref()).await
    })
}
