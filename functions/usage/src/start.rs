//! The start of the function.

use service::http;
use service::runtime::config::{optional, quotas};
use service::runtime::{self, Exit, Started};
use service::store::Store;

use crate::{Prices, Usage};

/// Runs the function, as its whole `main`.
pub fn run() -> Exit {
    runtime::run(async {
        let Started { config, dynamodb, .. } = runtime::start(env!("CARGO_PKG_NAME"))?;
        let prices = Prices::parse(&optional("PRICES").unwrap_or_default())?;
        let usage = Usage::new(Store::new(dynamodb, config.table), quotas()?, prices);
        http::serve(usage, config.cors_allowed_origin.as_deref()).await
    })
}
